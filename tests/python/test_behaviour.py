"""docs/behaviour.md: its rows are complete, and every test it names is one that pytest collects."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "behaviour.md"
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def rows() -> list[list[str]]:
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def named() -> set[tuple[str, str]]:
    return set(NAMED.findall(PAGE.read_text()))


def test_every_row_says_what_is_done_and_which_tests_hold_it() -> None:
    header, rule, *body = rows()
    assert len(header) == 4
    assert set(rule) == {"---"}
    assert len(body) > 30
    for row in body:
        assert len(row) == 4, row
        assert all(row), row
        behaviour, source, _, tests = row
        assert re.search(r"[\w/-]+#\d+|\]\(numerics\.md\)", source), behaviour
        assert all(NAMED.fullmatch(test) for test in tests.split("<br>")), behaviour


def test_no_behaviour_is_listed_twice() -> None:
    behaviours = [row[0] for row in rows()]
    assert len(set(behaviours)) == len(behaviours)


def test_every_test_that_is_named_is_collected() -> None:
    files = sorted({file for file, _ in named()})
    assert all((ROOT / file).is_file() for file in files)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *files],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    collected = {
        (file, name)
        for file, name in re.findall(r"^(tests/[\w/]+\.py)::(\w+)", done.stdout, re.MULTILINE)
    }
    # A file whose optional dependency is missing is skipped as a whole.
    skipped = set(re.findall(r"^SKIPPED .*?(tests/[\w/]+\.py):", done.stdout, re.MULTILINE))
    missing = {f"{file}::{name}" for file, name in named() - collected if file not in skipped}
    assert not missing


def test_a_test_that_does_not_exist_would_be_found(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    page = tmp_path / "behaviour.md"
    page.write_text("| a | b#1 | c | `tests/python/test_behaviour.py::test_of_nothing` |\n")
    monkeypatch.setattr(sys.modules[__name__], "PAGE", page)
    with pytest.raises(AssertionError, match="test_of_nothing"):
        test_every_test_that_is_named_is_collected()
