"""What normfast is measured with: the best copy of x, and for small calls ``np.add``."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from normfast.cli.bench.contender import Contender
from normfast.cli.bench.problem import Array, Problem

SPLIT_ABOVE = 1 << 20  # bytes; below, handing work to a thread costs more than it saves


def copies(problem: Problem, threads: int, pool: ThreadPoolExecutor) -> dict[str, Contender]:
    """Every way to copy x with that many threads; the fastest is the yardstick."""

    def split_copy(target: Array, source: Array) -> None:
        pieces = zip(
            np.array_split(target.reshape(-1), threads),
            np.array_split(source.reshape(-1), threads),
            strict=True,
        )
        list(pool.map(lambda pair: np.copyto(*pair), pieces))

    names = {"np": np, "x": problem.x, "y": problem.y, "split_copy": split_copy}
    ways = {"np.copyto": Contender("np.copyto(y, x)", names)}
    if threads > 1 and problem.x.nbytes >= SPLIT_ABOVE:
        ways["np.copyto in threads"] = Contender("split_copy(y, x)", names)
    return ways


def small_call(problem: Problem) -> dict[str, Contender]:
    """NumPy's own small call on the same array."""
    return {"np.add": Contender("np.add(x, x)", {"np": np, "x": problem.x}, fresh=True)}
