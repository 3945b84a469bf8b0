"""What normfast is measured with: the best copy or read of as many bytes; for small calls np.add.

The bandwidth of the best of them is that of the machine, for these bytes, where they lie (in a
cache or in memory), with this number of threads.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np

from normfast import _core
from normfast.cli.bench.contender import Contender
from normfast.cli.bench.problem import Array, Problem

SPLIT_ABOVE = 1 << 20  # bytes; below, handing work to a thread costs more than it saves


def prepare(problem: Problem, threads: int, pool: ThreadPoolExecutor) -> dict[str, Contender]:
    """Everything that this case is compared with."""
    if problem.case.call:
        names = {"np": np, "x": problem.x}
        return {"np.add": Contender("np.add(x, x)", names, fresh=True, moved=3 * problem.x.nbytes)}
    found = copies(problem, threads, pool)
    if problem.case.op == "mean_var":  # which writes nothing: of a copy only what is read counts
        found = {name: replace(way, moved=way.moved // 2) for name, way in found.items()}
        found |= reads(problem, threads, pool)
    return found


def copies(problem: Problem, threads: int, pool: ThreadPoolExecutor) -> dict[str, Contender]:
    """Copies by memcpy (which is NumPy's), by vectors, and by stores that pass the caches.

    x is copied to y, which are as far away as what is measured; where the case moves more or
    less than x and y of the same size, it is other memory of as many bytes in all.
    """
    source, target = problem.x, problem.y
    half = bytes_of_a_copy(problem) // 2
    if not source.nbytes == target.nbytes == half or not source.flags.c_contiguous:
        source, target = (np.full(half, fill, np.uint8) for fill in (1, 0))
    names = {
        "np": np,
        "copy": _core.copy,
        "split": in_threads(np.copyto, threads, pool),
        "x": source,
        "y": target,
        "threads": threads,
    }
    ways = {
        "np.copyto": "np.copyto(y, x)",
        "vector copy": "copy(x, y, False, threads)",
        "non-temporal copy": "copy(x, y, True, threads)",
    }
    if threads > 1 and half >= SPLIT_ABOVE:
        ways["np.copyto in threads"] = "split(y, x)"
    return {name: Contender(way, names, moved=2 * half) for name, way in ways.items()}


def reads(problem: Problem, threads: int, pool: ThreadPoolExecutor) -> dict[str, Contender]:
    """The sum and the largest of as many bytes of float32."""
    memory = problem.x
    if memory.dtype != np.float32 or not memory.flags.c_contiguous:
        memory = np.ones(problem.working_set // 4, np.float32)
    names = {
        "np": np,
        "x": memory.reshape(-1),
        "split_sum": in_threads(np.add.reduce, threads, pool),
        "split_max": in_threads(np.max, threads, pool),
    }
    split = threads > 1 and memory.nbytes >= SPLIT_ABOVE
    ways = {
        "sum": "split_sum(x)" if split else "np.add.reduce(x)",
        "max": "split_max(x)" if split else "np.max(x)",
    }
    return {name: Contender(way, names, moved=memory.nbytes) for name, way in ways.items()}


def in_threads(
    function: Callable[..., object], threads: int, pool: ThreadPoolExecutor
) -> Callable[..., object]:
    """The function on a part of its arrays in each thread."""

    def run(*arrays: Array) -> None:
        parts = (np.array_split(array.reshape(-1), threads) for array in arrays)
        list(pool.map(function, *parts))

    return run


def bytes_of_a_copy(problem: Problem) -> int:
    """What a copy reads and writes: as much as x and y, or as all the arrays where there are more.

    In whole float32 on both sides.
    """
    more = any(array.shape == problem.x.shape for array in problem.companions.values())
    same = problem.x.nbytes == problem.y.nbytes and problem.x.flags.c_contiguous
    return (problem.working_set if more or not same else 2 * problem.x.nbytes) // 8 * 8
