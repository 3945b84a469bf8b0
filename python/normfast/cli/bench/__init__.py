"""``normfast bench``: every operation, on arrays of real models, against the peers and a copy.

A case goes through these files in this order:

- ``cases``      operation, name, shape, layout, dtype: read from the models in ``shapes``
- ``problem``    its arrays, what is reduced over what, the bytes that have to be moved
- ``reference``  the result in float64, and the distance from it
- ``peers``      one statement per library that does the same, and normfast's own
- ``yardstick``  the copies and reads to compare with
- ``runner``     checks everyone, and hands all statements to
- ``measure``    which times them in turn, several rounds, in one process
- ``neighbours`` whether other processes disturbed it
- ``result``     the numbers and their ratios, to JSON and back
- ``summary``    groups, and the promises of the project
- ``report``     tables on the console and in Markdown; ``plots``: figures
- ``compare``    which cases got slower since an earlier run
"""

import math
import os
import shlex
import sys
from collections.abc import Iterable, Sequence
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
from normfast.cli.bench import compare, peers, report
from normfast.cli.bench.cases import CASES, STRIDED, Case, load_file
from normfast.cli.bench.neighbours import Neighbours
from normfast.cli.bench.result import Result, Run, describe, from_json, to_json
from normfast.cli.bench.runner import Runner

WIDTH = 140  # of the table; a narrower terminal wraps it, a pipe does not ask
LARGE = 1 << 22  # elements


@dataclass(frozen=True)
class Settings:
    """The options of the command."""

    quick: bool = False
    filter: str = ""
    threads: tuple[int, ...] | None = None
    rounds: int | None = None
    peers: tuple[str, ...] | None = None
    shapes: Path | None = None
    load: Path | None = None
    json: Path | None = None
    markdown: Path | None = None
    plot: Path | None = None
    compare: Path | None = None

    @property
    def command(self) -> str:
        """The command that gives the same numbers: without the options that only write."""
        words = ["normfast", "bench"]
        words += ["--quick"] if self.quick else []
        words += ["--filter", self.filter] if self.filter else []
        words += ["--threads", ",".join(map(str, self.threads))] if self.threads else []
        words += ["--rounds", str(self.rounds)] if self.rounds else []
        words += ["--peers", ",".join(self.peers)] if self.peers is not None else []
        words += ["--shapes", self.shapes.name] if self.shapes else []
        isa = os.environ.get("NORMFAST_ISA")
        return (f"NORMFAST_ISA={isa} " if isa else "") + shlex.join(words)


@dataclass(frozen=True)
class Pace:
    """How long everything is timed: rounds, seconds of a sample and of a slow peer in all."""

    rounds: int
    sample: float
    patience: float


FULL, QUICK = Pace(9, 1e-2, 0.4), Pace(3, 1e-3, 0.1)


def run(settings: Settings) -> int:
    """Time the chosen cases and report; 1 where digits are not as promised or a case got slower."""
    try:
        check_targets(settings)
        old = None if settings.compare is None else from_json(settings.compare)
        loaded = None if settings.load is None else from_json(settings.load)
        cases = choose(settings) if loaded is None else []
        peers.check(settings.peers)
    except ValueError as error:
        return complain(str(error))
    done, status = (loaded, 0) if loaded is not None else time_cases(settings, cases)
    output = Console(highlight=False)
    output.width = max(output.width, WIDTH)
    report.print_run(output, done)
    if settings.json is not None:
        report.write(settings.json, to_json(done))
    figures = draw(settings, done)
    if settings.markdown is not None:
        notes = report.notes_of(settings.markdown)
        report.write(settings.markdown, report.to_markdown(done, figures, notes))
    slower = False
    if old is not None:
        lines, slower = compare.report(old, done)
        for line in lines:
            output.print(line, markup=False)
    return status or int(slower or any(not result.kept for result in done.results))


def check_targets(settings: Settings) -> None:
    """Before minutes of timing: whether what is wanted can be written."""
    targets = {"JSON": settings.json, "Markdown": settings.markdown, "plots": settings.plot}
    for what, file in targets.items():
        if file is not None and not file.parent.is_dir():
            raise ValueError(f"there is no directory {str(file.parent)!r} for the {what}")
    if settings.plot is not None and find_spec("matplotlib") is None:
        raise ModuleNotFoundError(name="matplotlib")


def choose(settings: Settings) -> Sequence[Case]:
    """The cases of the run."""
    known = CASES if settings.shapes is None else load_file(settings.shapes)
    cases = select(known, settings.filter)
    if not cases:
        raise ValueError(f"no case has all the words of {settings.filter!r}")
    if len(possible := with_known_dtypes(cases)) < len(cases):
        complain("no cases of bfloat16 without ml_dtypes: pip install ml_dtypes")
    whole = not settings.quick or settings.filter or settings.shapes
    return possible if whole else one_of_each_kind(possible)


def time_cases(settings: Settings, cases: Sequence[Case]) -> tuple[Run, int]:
    """All results so far, and an exit status."""
    core: dict[str, Any] = dict(_core.info())
    threads = tuple(dict.fromkeys(settings.threads or (1, core["threads"])))
    pace = QUICK if settings.quick else FULL
    rounds = settings.rounds or pace.rounds
    results: list[Result] = []
    neighbours = Neighbours()
    status = 0
    with ExitStack() as stack:
        libraries = peers.load(settings.peers, stack)
        runner = Runner(
            libraries=libraries,
            pool=stack.enter_context(ThreadPoolExecutor(max(threads))),
            caches=core["caches"],
            threads=threads,
            rounds=rounds,
            sample_seconds=pace.sample,
            patience=pace.patience,
        )
        try:
            with progress_bar() as progress:
                task = progress.add_task("", total=len(cases))
                for case in cases:
                    progress.update(task, description=case.title, refresh=True)
                    try:
                        results += runner.run(case)
                    except (TypeError, ValueError) as error:
                        if settings.shapes is None:
                            raise
                        status = complain(f"{case.title}: {error}")
                    progress.advance(task)
        except KeyboardInterrupt:
            status = INTERRUPTED
    names = [library.name for library in libraries]
    conditions = describe(core, threads, rounds, neighbours.cpus(), settings.command, names)
    return Run(conditions, results), status


def draw(settings: Settings, done: Run) -> list[tuple[str, str]]:
    """The figures: what each shows, and where it lies seen from the page."""
    if settings.plot is None:
        return []
    from normfast.cli.bench import plots

    page = Path() if settings.markdown is None else settings.markdown.parent
    return [
        (title, Path(os.path.relpath(file, page)).as_posix())
        for title, file in plots.draw(done, settings.plot)
    ]


def select(cases: Iterable[Case], words: str) -> list[Case]:
    """The cases that have all the words, upper or lower case."""
    wanted = words.lower().split()
    return [case for case in cases if all(word in case.title.lower() for word in wanted)]


def with_known_dtypes(cases: Iterable[Case]) -> list[Case]:
    """Without those of bfloat16 where ml_dtypes, which has that type, is not installed."""
    known = find_spec("ml_dtypes") is not None
    return [case for case in cases if known or case.dtype != "bfloat16"]


def one_of_each_kind(cases: Iterable[Case]) -> list[Case]:
    """The smallest case of each operation, layout and width of elements; and a large one."""
    kinds: dict[tuple[object, ...], Case] = {}
    for case in sorted(cases, key=lambda case: math.prod(case.shape)):
        size = "call" if case.call else math.prod(case.shape) > LARGE
        kind = case.op, case.layout, case.dtype, case.options.training, size
        if size is not True or case.layout not in STRIDED:
            kinds.setdefault(kind, case)
    chosen = set(kinds.values())
    return [case for case in cases if case in chosen]


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
