"""What normfast is measured with: the best copy of x, and for small calls ``np.add``."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from normfast.cli.bench.contender import Contender
from normfast.cli.bench.problem import Array, Problem

SPLIT_ABOVE = 1 << 20  # bytes; below, handing work to a thread costs more than it saves


def copies(problem: Problem, threads: int, pool: ThreadPoolExecutor) -> dict[str, Contender]:
    """Every way to copy with that many threads; the fastest is the yardstick.

    x is copied to y, which are as far away as what is measured; where the case moves more or
    less than x and y of the same size, it is other memory of as many bytes in all.
    """
    source, target = problem.x, problem.y
    half = bytes_of_a_copy(problem) // 2
    if not source.nbytes == target.nbytes == half:
        source, target = (np.full(half, fill, np.uint8) for fill in (1, 0))

    def split_copy(target: Array, source: Array) -> None:
        pieces = zip(
            np.array_split(target.reshape(-1), threads),
            np.array_split(source.reshape(-1), threads),
            strict=True,
        )
        list(pool.map(lambda pair: np.copyto(*pair), pieces))

    names = {"np": np, "x": source, "y": target, "split_copy": split_copy}
    ways = {"np.copyto": Contender("np.copyto(y, x)", names)}
    if threads > 1 and source.nbytes >= SPLIT_ABOVE:
        ways["np.copyto in threads"] = Contender("split_copy(y, x)", names)
    return ways


def bytes_of_a_copy(problem: Problem) -> int:
    """What a copy reads and writes."""
    more = any(array.shape == problem.x.shape for array in problem.companions.values())
    if more or problem.x.nbytes != problem.y.nbytes:
        return problem.working_set // 2 * 2
    return 2 * problem.x.nbytes


def small_call(problem: Problem) -> dict[str, Contender]:
    """NumPy's own small call on the same array."""
    return {"np.add": Contender("np.add(x, x)", {"np": np, "x": problem.x}, fresh=True)}
