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

import os
import shlex
import sys
from collections.abc import Iterable, Iterator
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
from normfast.cli.bench.cases import CASES, Case, load_file
from normfast.cli.bench.neighbours import Neighbours
from normfast.cli.bench.result import Result, Run, describe, from_json, to_json
from normfast.cli.bench.runner import Runner

WIDTH = 140  # of the table; a narrower terminal wraps it, a pipe does not ask


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


class WrongOption(ValueError):
    """An option that cannot be followed; one line."""


def run(settings: Settings) -> int:
    """Time the chosen cases and report; 1 where a promise on digits is broken or a case slower."""
    try:
        for file in (settings.json, settings.markdown, settings.plot):
            if file is not None and not file.parent.is_dir():
                raise WrongOption(f"there is no directory {str(file.parent)!r} for {file.name}")
        if settings.plot is not None and find_spec("matplotlib") is None:
            raise ModuleNotFoundError(name="matplotlib")
        old = None if settings.compare is None else from_json(settings.compare)
        if settings.load is not None:
            return finish(settings, from_json(settings.load), old)
        return finish(settings, *time_cases(settings, old))
    except WrongOption as error:
        return complain(str(error))


