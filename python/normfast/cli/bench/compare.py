"""``--compare``: which cases got slower since an earlier run, whatever else the machine did.

Times of two runs are not compared, but their ratios to the yardstick of the same run: the share
of its bandwidth, for small calls the calls of np.add. A case counts as slower where that ratio
fell by more than the noise, by the medians of the rounds and by their minima both: a disturbance
moves one of them, a slower program moves both. The noise of a case is 10 %, or what the rounds tell
of it where that is more: by how much the median is above the minimum, of normfast and of the
yardstick, in both runs, added.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from normfast.cli.bench.measure import Timing
from normfast.cli.bench.result import Result, Run
from normfast.cli.bench.summary import geometric_mean

NOISE = 0.10  # at least: what two runs of the same program differ by on an idle machine


@dataclass(frozen=True)
class Change:
    """A case of both runs: its ratio to the yardstick as a multiple of the earlier one."""

    title: str
    threads: int
    by_median: float
    by_minimum: float
    noise: float

    @property
    def slower(self) -> bool:
        """By more than the noise."""
        return max(self.by_median, self.by_minimum) < 1 / (1 + self.noise)

    @property
    def faster(self) -> bool:
        """By more than the noise."""
        return min(self.by_median, self.by_minimum) > 1 + self.noise


def changes(old: Run, new: Run) -> Iterator[Change]:
    """The cases that both runs have."""
    earlier = {key(result): result for result in old.results}
    for result in new.results:
        before = earlier.get(key(result))
        if before is not None:
            by_median, by_minimum = (
                result.ratio_to_yardstick(time) / before.ratio_to_yardstick(time)
                for time in (median, minimum)
            )
            spread = sum(
                median(entry.timing) / minimum(entry.timing) - 1
                for run in (before, result)
                for entry in (run.own, run.yardstick[1])
            )
            noise = max(NOISE, spread)
            yield Change(result.case.title, result.threads, by_median, by_minimum, noise)


def key(result: Result) -> tuple[str, int]:
    """What tells a result from the others of its run."""
    return result.case.title, result.threads


def median(timing: Timing) -> float:
    """The middle round."""
    return timing.median


def minimum(timing: Timing) -> float:
    """The best round."""
    return timing.minimum


def report(old: Run, new: Run) -> tuple[list[str], bool]:
    """What to print, and whether a case got slower."""
    found = list(changes(old, new))
    if not found:
        return ["compare: no case is in both runs"], False
    lines = [
        f"compare: other {name}: {old.conditions[name]} then, {new.conditions[name]} now"
        for name in ("cpu", "isa")
        if old.conditions[name] != new.conditions[name]
    ]
    slower = sorted((c for c in found if c.slower), key=lambda change: change.by_median)
    lines += [
        f"slower: {change.by_median:.2f} of its earlier share (minima: {change.by_minimum:.2f}, "
        f"noise: {change.noise:.0%}): {change.title}, threads: {change.threads}"
        for change in slower
    ]
    mean = geometric_mean([change.by_median for change in found])
    lines.append(
        f"compare: {len(found)} cases, {len(slower)} slower, "
        f"{sum(change.faster for change in found)} faster, by more than {NOISE:.0%} and the spread "
        f"of the rounds; in the geometric mean {mean:.2f} of the earlier shares of the yardstick"
    )
    return lines, bool(slower)
