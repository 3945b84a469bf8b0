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


def collect(files: list[str]) -> set[tuple[str, str]]:
    """The tests in these files, by a pytest of their own."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *files],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    found = set(re.findall(r"^(tests/[\w/]+\.py)::(\w+)", done.stdout, re.MULTILINE))
    # A file whose optional dependency is missing is skipped as a whole.
    skipped = re.findall(r"^SKIPPED .*?(tests/[\w/]+\.py):", done.stdout, re.MULTILINE)
    return found | {(file, name) for file, name in named() if file in skipped}


def test_every_test_that_is_named_is_collected(request: pytest.FixtureRequest) -> None:
    """In this run of pytest, or where that runs but a part, in one of its own."""
    here = {
        (item.path.relative_to(ROOT).as_posix(), item.name.partition("[")[0])
        for item in request.session.items
    }
    missing = named() - here
    if missing:
        missing -= collect(sorted({file for file, _ in missing}))
    assert not missing


def test_a_test_that_does_not_exist_would_be_found() -> None:
    here = "tests/python/test_behaviour.py"
    found = collect([here])
    assert (here, "test_every_test_that_is_named_is_collected") in found
    assert (here, "test_of_nothing") not in found
