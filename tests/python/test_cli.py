"""The command line as a user runs it: what it prints, writes and returns."""

import json
import os
import re
import subprocess
import sys
from importlib import metadata, resources
from pathlib import Path

import numpy as np
import pytest

from normfast import _core

pytest.importorskip("rich", reason="the command line needs rich")

from normfast.cli import main
from normfast.cli.bench.cases import CASES
from normfast.cli.bench.reference import PROMISE


def normfast(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a user does."""
    return subprocess.run(
        [sys.executable, "-m", "normfast", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | environment,
    )


def test_info_tells_what_was_built_and_chosen() -> None:
    done = normfast("info", NORMFAST_ISA="scalar", OMP_NUM_THREADS="3")
    assert done.returncode == 0, done.stderr
    lines = dict(re.split(" {2,}", line, maxsplit=1) for line in done.stdout.splitlines())
    assert lines["ISA"] == "scalar (NORMFAST_ISA=scalar)"
    assert "scalar" in lines["ISA available"]
    assert lines["threads"].startswith("3 ")
    assert "OMP_NUM_THREADS" in lines["threads"]
    assert lines["normfast"].startswith(_core.info()["version"])
    assert {"CPU", "ISA built", "caches", "OpenMP", "CUDA", "peers"} <= set(lines)


@pytest.mark.parametrize(
    ("option", "printed"),
    [
        ("--includes", "-I{}/include"),
        ("--cmakedir", "{}/lib/cmake/normfast"),
        ("--pkgconfigdir", "{}/lib/pkgconfig"),
    ],
)
def test_one_line_tells_builds_where_the_library_is(option: str, printed: str) -> None:
    """Whether it is there, tests/consumer/build.py shows."""
    done = normfast(option, COLUMNS="20")
    root = Path(_core.__file__).parent.as_posix()
    assert done.stdout == printed.format(root) + "\n", done.stderr


def test_a_build_by_scikit_build_core_finds_the_cmake_package() -> None:
    """As it looks: below the resources of what the entry point names, of editable installs too."""
    entry_points = metadata.entry_points(group="cmake.root", name="normfast")
    if not entry_points:
        pytest.skip("normfast is not installed")
    (entry_point,) = entry_points
    root = resources.files(entry_point.load())
    assert root.joinpath("lib/cmake/normfast/normfast-config.cmake").is_file()


def test_without_rich_one_line_names_the_extra() -> None:
    program = "import sys; sys.modules['rich'] = None; from normfast.cli import main; main(['{}'])"
    for command in ("info", "bench"):
        done = subprocess.run(
            [sys.executable, "-c", program.format(command)],
            capture_output=True,
            text=True,
            check=True,
        )
        expected = "normfast: the command line needs rich: pip install 'normfast[cli]'\n"
        assert done.stderr == expected


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out == f"normfast {_core.info()['version']}\n"


def test_bench_prints_a_table_and_writes_json(tmp_path: Path) -> None:
    file = tmp_path / "bench.json"
    done = normfast(
        "bench", "--quick", "--filter", "single", "--peers", "numpy", "--json", str(file)
    )
    assert done.returncode == 0, done.stderr
    assert max(map(len, done.stdout.splitlines())) <= 120
    assert done.stdout.count("single row of 768") == sum("single" in c.title for c in CASES)

    written = json.loads(file.read_text())
    conditions = written["conditions"]
    assert conditions["isa"] == _core.info()["isa"]
    assert conditions["versions"]["numpy"] == np.__version__
    assert {"cpu", "caches", "threads", "rounds"} <= conditions.keys()
    for case in written["cases"]:
        assert case["kept"] is True
        assert case["contenders"].keys() == {"normfast", "numpy"}
        assert case["yardsticks"].keys() == {"np.add"}
        for entry in case["contenders"].values():
            assert len(entry["seconds"]) == conditions["rounds"]
            assert 0 < entry["minimum"] <= entry["median"]
            assert entry["error"] <= 1e-6
        medians = {name: entry["median"] for name, entry in case["contenders"].items()}
        assert case["speedup"]["numpy"] == medians["numpy"] / medians["normfast"]


def test_an_inexact_result_is_reported(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(PROMISE, "float32", 1e-12)
    assert main(["bench", "--quick", "--filter", "layer single", "--peers", "numpy"]) == 1
    assert "layer_norm single row of 768: error" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--filter", "no such case"], "no case has all the words of 'no such case'"),
        (["--peers", "numpy,mathlib"], "no peer is called 'mathlib'"),
        (["--json", "no/such/bench.json"], "there is no directory 'no/such'"),
    ],
)
def test_wrong_options_are_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", *arguments]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""
