"""Random calls: a fixed number here, without end in `nox -s fuzz`; and whether they find faults."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import normfast as nf

FOLDER = Path(__file__).resolve().parents[1] / "fuzz"
SCRIPT = FOLDER / "fuzz.py"


@pytest.fixture
def check(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The fuzzer's own module."""
    monkeypatch.syspath_prepend(str(FOLDER))
    import check

    yield check
    for name in ("check", "draw", "spoil", "oracle", "memory"):
        sys.modules.pop(name, None)


def run(*arguments: str, script: Path = SCRIPT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", str(script), *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_random_calls_are_answered_right_or_refused() -> None:
    done = run("--seed", "2024", "--count", "2000")
    assert done.returncode == 0, done.stdout + done.stderr
    accepted, refused = map(int, re.findall(r"(\d+) accepted, (\d+) refused", done.stdout)[0])
    assert accepted + refused == 2000
    assert min(accepted, refused) > 400


def test_a_call_can_be_run_again_by_its_seed_and_index() -> None:
    first, again = (run("--seed", "7", "--index", "12") for _ in range(2))
    assert first.returncode == 0, first.stdout + first.stderr
    assert first.stdout == again.stdout
    assert " = " in first.stdout


# --- the fuzzer finds what is wrong: with an operation that is wrong, some call must tell

REAL = nf.layer_norm


def loses_digits(x: Any, *args: Any, **kwargs: Any) -> Any:
    results = REAL(x, *args, **kwargs)
    y = results[0] if isinstance(results, tuple) else results
    y += (4 * np.finfo(np.float32).eps * np.abs(y.astype(np.float32)) + 1e-4).astype(y.dtype)
    return results


def writes_to_its_input(x: Any, *args: Any, **kwargs: Any) -> Any:
    results = REAL(x, *args, **kwargs)
    if isinstance(x, np.ndarray) and x.size and kwargs.get("out") is None:
        x[(0,) * x.ndim] = 5
    return results


def writes_beside_its_output(x: Any, *args: Any, **kwargs: Any) -> Any:
    results = REAL(x, *args, **kwargs)
    out = kwargs.get("out")
    if isinstance(out, np.ndarray) and isinstance(out.base, np.ndarray):
        out.base[-1] ^= 1
    return results


def writes_before_it_refuses(x: Any, *args: Any, **kwargs: Any) -> Any:
    out = kwargs.get("out")
    try:
        return REAL(x, *args, **kwargs)
    except (TypeError, ValueError):
        if isinstance(out, np.ndarray) and out.size and out.flags.writeable:
            out[(0,) * out.ndim] = 5
        raise


def accepts_everything(x: Any, *args: Any, **kwargs: Any) -> Any:
    try:
        return REAL(x, *args, **kwargs)
    except (TypeError, ValueError):
        return x


def raises_an_unexpected_exception(x: Any, *args: Any, **kwargs: Any) -> Any:
    try:
        return REAL(x, *args, **kwargs)
    except ValueError as error:
        raise IndexError(error) from error


def says_too_much(x: Any, *args: Any, **kwargs: Any) -> Any:
    try:
        return REAL(x, *args, **kwargs)
    except ValueError as error:
        raise ValueError(f"{error}\n\n{x}") from None


WRONG = [
    (loses_digits, "expected"),
    (writes_to_its_input, "wrote outside its outputs"),
    (writes_beside_its_output, "wrote outside its outputs"),
    (writes_before_it_refuses, "wrote before it refused"),
    (accepts_everything, "accepted"),
    (raises_an_unexpected_exception, "raised IndexError"),
    (says_too_much, "the message is long"),
]


@pytest.mark.parametrize(("wrong", "finding"), WRONG, ids=lambda w: getattr(w, "__name__", ""))
def test_the_fuzzer_finds_an_operation_that(
    wrong: Callable[..., Any], finding: str, check: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nf, "layer_norm", wrong)
    findings = (check.run_one(2024, index)[1] for index in range(1000))
    assert any(finding in text for text in findings)


@pytest.mark.parametrize("death", ["os.abort()", "os._exit(3)"])
def test_the_fuzzer_outlives_a_crash_and_names_the_call(death: str, tmp_path: Path) -> None:
    folder = tmp_path / "tests" / "fuzz"
    shutil.copytree(FOLDER, folder, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "tests" / "python").symlink_to(FOLDER.parent / "python")
    text = (folder / "check.py").read_text()
    drawn = "    call = draw_call(seed, index)\n"
    assert drawn in text
    crash = f"    import os\n\n    if index == 3:\n        {death}\n"
    (folder / "check.py").write_text(text.replace(drawn, drawn + crash))
    done = run("--seed", "5", "--count", "20", script=folder / "fuzz.py")
    assert done.returncode == 1
    assert "python tests/fuzz/fuzz.py --seed 5 --index 3" in done.stdout
    assert "1 findings" in done.stdout
