"""What many results amount to: by group, and against the promises of the project."""

import math
import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from normfast.cli.bench.cases import DTYPES, LAYOUTS, OPERATIONS, STRIDED
from normfast.cli.bench.result import Result, Run

LEVELS = ("L1", "L2", "L3", "memory")
# How results are grouped: a heading, the key of a result, the order of the keys.
GROUPINGS: Sequence[tuple[str, Callable[[Result], str], Sequence[str]]] = (
    ("operation", lambda result: result.case.op, OPERATIONS),
    ("layout", lambda result: result.case.layout, LAYOUTS),
    ("dtype", lambda result: result.case.dtype, DTYPES),
    ("working set in", lambda result: result.level, LEVELS),
)


@dataclass(frozen=True)
class Summary:
    """Some results with one number of threads. None: there is nothing to tell of.

    ``share``: of the yardstick; ``speedup``: against the best peer of each case; ``scaling``:
    against one thread.
    """

    count: int
    share_median: float | None
    share_least: float | None
    speedup_mean: float | None
    speedup_least: float | None
    scaling_median: float | None


def summarize(run: Run, results: Sequence[Result]) -> Summary:
    """The numbers of a group."""
    shares = [result.share for result in results if result.share is not None]
    speedups = [best[1] for result in results if (best := result.best_peer(run.names))]
    scalings = [gain for result in results if (gain := scaling(run, result)) is not None]
    return Summary(
        len(results),
        statistics.median(shares) if shares else None,
        min(shares, default=None),
        geometric_mean(speedups) if speedups else None,
        min(speedups, default=None),
        statistics.median(scalings) if scalings else None,
    )


def scaling(run: Run, result: Result) -> float | None:
    """How many times as fast as with one thread."""
    if result.threads == 1:
        return None
    return next(
        (
            other.seconds / result.seconds
            for other in run.results
            if other.threads == 1 and other.case == result.case
        ),
        None,
    )


def groups(run: Run) -> Iterator[tuple[str, list[tuple[str, Mapping[int, Summary]]]]]:
    """Every grouping: its heading, and each group's summary by number of threads."""
    for heading, key, order in GROUPINGS:
        found = {key(result) for result in run.results}
        rows = [
            (name, of_threads(run, [result for result in run.results if key(result) == name]))
            for name in order
            if name in found
        ]
        yield heading, rows
    yield "", [("all", of_threads(run, run.results))]


def of_threads(run: Run, results: Sequence[Result]) -> Mapping[int, Summary]:
    """A summary for each number of threads."""
    return {
        threads: summarize(run, [result for result in results if result.threads == threads])
        for threads in run.threads
    }


def geometric_mean(ratios: Sequence[float]) -> float:
    """The mean that treats twice and half alike."""
    return math.exp(statistics.fmean(math.log(ratio) for ratio in ratios))


def by_peer(run: Run, threads: int) -> dict[str, tuple[float, int]]:
    """The geometric mean of the speed-up against each peer, and the cases that it does."""
    found = {}
    for name in run.names:
        ratios = [
            ratio
            for result in run.results
            if result.threads == threads and (ratio := result.speedup(name)) is not None
        ]
        if ratios:
            found[name] = geometric_mean(ratios), len(ratios)
    return found


# ---- promises ----


@dataclass(frozen=True)
class Promise:
    """A bound on one number; ``culprit``: the case that has it, where it is that of one case."""

    text: str
    bound: float
    at_most: bool = False
    measured: float | None = None
    culprit: str = ""

    @property
    def kept(self) -> bool | None:
        """None where nothing was measured."""
        if self.measured is None:
            return None
        return self.measured <= self.bound if self.at_most else self.measured >= self.bound

    def median(self, found: Iterable[tuple[float, str]]) -> "Promise":
        """With the median."""
        values = [value for value, _ in found]
        return replace(self, measured=statistics.median(values) if values else None)

    def worst(self, found: Iterable[tuple[float, str]]) -> "Promise":
        """With the worst."""
        pick = max if self.at_most else min
        worst = pick(found, default=None)
        return self if worst is None else replace(self, measured=worst[0], culprit=worst[1])


def promises(run: Run, threads: int) -> list[Promise]:
    """What the project promises of speed, as far as one run can tell."""
    results = [result for result in run.results if result.threads == threads]

    def shares(wanted: Callable[[Result], bool]) -> list[tuple[float, str]]:
        return [
            (result.share, result.case.title)
            for result in results
            if result.share is not None and wanted(result)
        ]

    def beyond(result: Result) -> bool:
        return result.level == "memory" and result.case.layout not in STRIDED

    def rows(level: str) -> list[tuple[float, str]]:
        return shares(lambda result: result.level == level and is_long_row(result))

    speedups = [
        (best[1], f"{result.case.title} ({best[0]})")
        for result in results
        if (best := result.best_peer(run.names))
    ]
    adds = [(result.adds, result.case.title) for result in results if result.adds is not None]
    gains = [
        (gain, result.case.title)
        for result in results
        if (gain := scaling(run, result)) is not None
    ]
    reads = shares(lambda result: beyond(result) and result.case.op == "mean_var")
    found = [
        Promise("beyond cache, contiguous: share of the yardstick, median", 0.85).median(
            shares(beyond)
        ),
        Promise("beyond cache, contiguous: share of the yardstick, least", 0.70).worst(
            shares(beyond)
        ),
        Promise("mean_var beyond cache: share of read bandwidth, least", 0.85).worst(reads),
        Promise("float32 rows of 768 and more in L2: share, least", 0.50).worst(rows("L2")),
        Promise("float32 rows of 768 and more in L1: share, least", 0.35).worst(rows("L1")),
        Promise("one row of 768: calls of np.add, most", 1.1, at_most=True).worst(adds),
    ]
    found += [
        Promise(f"{dtype} beyond cache: times the elements a second of float32, least", 1.4).worst(
            halves(results, dtype)
        )
        for dtype in ("bfloat16", "float16")
    ]
    means = [(geometric_mean([ratio for ratio, _ in speedups]), "")] if speedups else []
    found += [
        Promise("against the best peer of each case: geometric mean", 4.0).worst(means),
        Promise("against the best peer of each case: least", 0.97).worst(speedups),
        Promise("against one thread: least", 0.97).worst(gains),
    ]
    return [promise for promise in found if promise.kept is not None]


def is_long_row(result: Result) -> bool:
    """Whether each row of a contiguous float32 array is normalised on its own."""
    case = result.case
    rows = case.op in ("layer_norm", "rms_norm", "normalize") and case.options.axis == (-1,)
    plain = case.layout == "contiguous" and case.dtype == "float32"
    return rows and plain and case.shape[-1] >= 768


def halves(results: Sequence[Result], dtype: str) -> list[tuple[float, str]]:
    """How many times as fast a case is in that dtype, where it is beyond cache in it."""
    wide = {result.case: result for result in results if result.case.dtype == "float32"}
    return [
        (wide[twin].seconds / result.seconds, result.case.title)
        for result in results
        if result.case.dtype == dtype
        and result.level == "memory"
        and (twin := replace(result.case, dtype="float32")) in wide
    ]


def behind(run: Run, count: int) -> list[tuple[Result, str]]:
    """The cases that are furthest behind the best peer; then those of the least shares."""
    slow = [
        (best[1], result, f"{best[1]:.2f}x {best[0]}")
        for result in run.results
        if (best := result.best_peer(run.names)) and best[1] < 0.97
    ]
    slow.sort(key=lambda found: found[0])
    low = [
        (result.share, result, f"{result.share:.2f} of {result.yardstick[0]}")
        for result in run.results
        if result.share is not None and result.level == "memory"
    ]
    low.sort(key=lambda found: found[0])
    chosen = [*slow[:count], *(found for found in low[:count] if found[0] < 0.85)]
    return [(result, why) for _, result, why in chosen]
