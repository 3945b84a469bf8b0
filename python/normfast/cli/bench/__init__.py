"""``normfast bench``: every operation, on shapes from real models, against the peers and a copy.

A case goes through these files in this order:

- ``cases``      the data: operation, name, shape
- ``problem``    its arrays, and what is reduced over what
- ``reference``  the result in float64, and the distance from it
- ``peers``      one statement per library that does the same, and normfast's own
- ``yardstick``  the copies to compare with
- ``measure``    all statements in turn, several rounds, in one process
- ``neighbours`` whether other processes disturbed it
- ``report``     the table and the JSON
"""

import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from normfast import _core
from normfast.cli import INTERRUPTED
from normfast.cli.bench import peers, report
from normfast.cli.bench.cases import CASES, Case
from normfast.cli.bench.neighbours import Neighbours
from normfast.cli.bench.runner import Runner

WIDTH = 140  # of the table; a narrower terminal wraps it, a pipe does not ask


@dataclass(frozen=True)
class Settings:
    """The options of the command."""

    quick: bool = False
    filter: str = ""
    threads: int | None = None
    rounds: int | None = None
    json: Path | None = None
    peers: tuple[str, ...] | None = None


def run(settings: Settings) -> int:
    """Check and time the chosen cases; the exit status is 1 where a promise is broken."""
    cases = select(CASES, settings.filter)
    if not cases:
        return complain(f"no case has all the words of {settings.filter!r}")
    if settings.json is not None and not settings.json.parent.is_dir():
        return complain(f"there is no directory {str(settings.json.parent)!r} for the JSON")
    if len(possible := with_known_dtypes(cases)) < len(cases):
        complain("no cases of bfloat16 without ml_dtypes: pip install ml_dtypes")
        cases = possible
    core: dict[str, Any] = dict(_core.info())
    threads = settings.threads or core["threads"]
    results: list[report.Result] = []
    neighbours = Neighbours()
    status = 0
    with ExitStack() as stack:
        try:
            libraries = peers.load(settings.peers, threads, stack)
        except ValueError as error:
            return complain(str(error))
        runner = Runner(
            libraries=libraries,
            pool=stack.enter_context(ThreadPoolExecutor(threads)),
            caches=core["caches"],
            threads=threads,
            rounds=settings.rounds or (3 if settings.quick else 9),
            sample_seconds=1e-3 if settings.quick else 1e-2,
        )
        try:
            with progress_bar() as progress:
                task = progress.add_task("", total=len(cases))
                for case in cases:
                    progress.update(task, description=case.title, refresh=True)
                    results.append(runner.run(case))
                    progress.advance(task)
        except KeyboardInterrupt:
            status = INTERRUPTED

    conditions = report.describe(core, threads, runner.rounds, neighbours.cpus())
    names = [library.name for library in libraries]
    output = Console(highlight=False)
    output.width = max(output.width, WIDTH)
    report.print_results(output, conditions, names, results)
    if settings.json is not None:
        settings.json.write_text(report.to_json(conditions, names, results))
    return status or int(any(not result.kept for result in results))


def select(cases: Iterable[Case], words: str) -> list[Case]:
    """The cases that have all the words, upper or lower case."""
    wanted = words.lower().split()
    return [case for case in cases if all(word in case.title.lower() for word in wanted)]


def with_known_dtypes(cases: Iterable[Case]) -> list[Case]:
    """Without those of bfloat16 where ml_dtypes, which has that type, is not installed."""
    known = find_spec("ml_dtypes") is not None
    return [case for case in cases if known or case.dtype != "bfloat16"]


def progress_bar() -> Progress:
    """A bar on stderr that leaves nothing behind.

    It moves between cases only: a thread that redraws it would disturb what is timed.
    """
    return Progress(
        TextColumn("{task.description:<50.50}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        auto_refresh=False,
        transient=True,
    )


def complain(message: str) -> int:
    """One line on stderr, and the exit status of a wrong option."""
    print(f"normfast bench: {message}", file=sys.stderr)
    return 2
