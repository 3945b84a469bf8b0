"""What a peer is."""

from collections.abc import Callable
from dataclasses import dataclass

from normfast.cli.bench.contender import Contender
from normfast.cli.bench.problem import Problem


@dataclass(frozen=True)
class Peer:
    """A library.

    ``prepare(problem, threads)`` gives None for what the library cannot do. The number of threads
    holds until the next call.
    """

    name: str
    prepare: Callable[[Problem, int], Contender | None]
