"""One way of doing a case: the statement that is timed, as a user would write it."""

import timeit
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from normfast.cli.bench.problem import Array


def arrays_of(value: Any) -> tuple[Array, ...]:
    """The arrays that a NumPy statement gives: one, or a tuple of them."""
    return tuple(np.asarray(part) for part in (value if isinstance(value, tuple) else (value,)))


@dataclass(frozen=True)
class Contender:
    """A statement and the names in it.

    A statement instead of a function, so that a call of 400 ns is timed without a wrapper, and
    so that the JSON says what was timed. ``fresh``: it allocates its output in every call.
    ``moved``: the bytes that a yardstick reads and writes.
    """

    statement: str
    names: dict[str, Any]
    fresh: bool = False
    arrays: Callable[[Any], tuple[Array, ...]] = arrays_of
    moved: int = 0

    def run(self) -> tuple[Array, ...]:
        """Run once, and give the result in the layout of x."""
        return self.arrays(eval(self.statement, dict(self.names)))

    def timer(self) -> timeit.Timer:
        """What ``measure`` calls."""
        return timeit.Timer(self.statement, globals=dict(self.names))
