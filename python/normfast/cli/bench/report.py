"""What was measured, the ratios, the table and the JSON."""

import json
import math
import platform
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from normfast.cli.bench import peers
from normfast.cli.bench.cases import Case
from normfast.cli.bench.measure import Timing

SCHEMA = 1
BUSY = 0.1  # CPUs in use by others that make times doubtful
OWN, OWN_FRESH = "normfast", "normfast fresh"


@dataclass(frozen=True)
class Entry:
    """One statement: its times, and its largest error (None for a yardstick)."""

    statement: str
    fresh: bool
    timing: Timing
    error: float | None


@dataclass(frozen=True)
class Result:
    """One case. ``moved`` and ``copied``: the bytes that it has to move, and that a copy moves."""

    case: Case
    level: str
    moved: int
    copied: int
    promise: float
    entries: Mapping[str, Entry]
    yardsticks: Mapping[str, Entry]
    notes: Mapping[str, str] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """The time of normfast: the median."""
        return self.entries[OWN].timing.median

    @property
    def yardstick(self) -> float:
        """The time of the best yardstick."""
        return min(entry.timing.median for entry in self.yardsticks.values())

    @property
    def share(self) -> float | None:
        """Of the bandwidth of the best copy; None for a small call."""
        if self.case.call:
            return None
        return (self.moved / self.seconds) / (self.copied / self.yardstick)

    @property
    def adds(self) -> float | None:
        """A small call in calls of np.add; None for the others."""
        return self.seconds / self.yardstick if self.case.call else None

    @property
    def kept(self) -> bool:
        """Whether normfast is as exact as promised; NaN is not."""
        own = (self.entries[name].error for name in (OWN, OWN_FRESH) if name in self.entries)
        return all(error is not None and error <= self.promise for error in own)

    def speedup(self, peer: str) -> float | None:
        """How many times as long a peer takes; None if it does not do the case.

        Like for like: a peer that allocates its output is compared with normfast doing so.
        """
        if peer not in self.entries:
            return None
        entry = self.entries[peer]
        own = self.entries.get(OWN_FRESH, self.entries[OWN]) if entry.fresh else self.entries[OWN]
        return entry.timing.median / own.timing.median

    def best_peer(self, names: Iterable[str]) -> tuple[str, float] | None:
        """The peer with the least speed-up, and that speed-up."""
        found = [(name, ratio) for name in names if (ratio := self.speedup(name)) is not None]
        return min(found, key=lambda pair: pair[1], default=None)


def print_results(
    console: Console, conditions: Mapping[str, Any], names: Sequence[str], results: Sequence[Result]
) -> None:
    """The table and what it amounts to."""
    if not results:
        return
    names = [name for name in names if any(name in result.entries for result in results)]
    console.print(headline(conditions))
    console.print(table(names, results))
    for line in (EXPLANATION, *summary(names, results)):
        console.print(line)
    for result in results:
        for name, note in result.notes.items():
            console.print(f"{result.case.title}: {name} failed: {note}", markup=False)
        if not result.kept:
            error = number(result.entries[OWN].error)
            console.print(f"[red]{result.case.title}: error {error}, promised {result.promise}")


def headline(conditions: Mapping[str, Any]) -> str:
    """The machine, the versions, and a warning where others were busy on it."""
    versions = ", ".join(f"{name} {version}" for name, version in conditions["versions"].items())
    threads, rounds = conditions["threads"], conditions["rounds"]
    machine = f"{conditions['cpu']}, {conditions['isa']}"
    lines = [f"{machine}, threads: {threads}, median of {rounds} rounds", versions]
    others = conditions["cpus_used_by_others"]
    if others is not None and others > BUSY:
        lines.append(f"Other processes used {others:.1f} CPUs meanwhile: do not trust these times.")
    return "\n".join(lines)


EXPLANATION = """\
GB/s: the fewest bytes that the operation must move, by its time. of copy: its share of the best
plain copy in the same run; for a single row, its time in calls of np.add. Peers: their time by
normfast's, and their error; those that allocate their output (torch), by that of normfast doing so.
Errors: the largest |y - exact| / max(1, |y|), or relative for unit vectors."""


def table(names: Sequence[str], results: Sequence[Result]) -> Table:
    """A row a case, under the name of its operation."""
    grid = Table(box=None, padding=(0, 1, 0, 0), header_style="bold", pad_edge=False)
    grid.add_column("case", no_wrap=True, max_width=48)
    for title in ("in", "time", "GB/s", "of copy", "error", "best peer", *names):
        grid.add_column(title, justify="right", no_wrap=True)
    operation = ""
    for result in results:
        if result.case.op != operation:
            operation = result.case.op
            grid.add_row(Text(operation, style="bold cyan"))
        grid.add_row(*row(names, result))
    return grid


def row(names: Sequence[str], result: Result) -> list[Text]:
    """The cells of one case."""
    best = result.best_peer(names)
    share = f"{result.adds:.2f} add" if result.adds is not None else f"{result.share:.2f}"
    cells = [
        Text(f"  {result.case.label}"),
        Text(result.level[:3]),
        Text(duration(result.seconds)),
        Text("-" if result.case.call else f"{result.moved / result.seconds / 1e9:.1f}"),
        Text(share),
        Text(number(result.entries[OWN].error), style="" if result.kept else "bold red"),
        Text("-")
        if best is None
        else Text(times(best[1]), style="red" if best[1] < 1 else "green"),
    ]
    for name in names:
        ratio = result.speedup(name)
        if ratio is None:
            cells.append(Text("-"))
        else:
            cells.append(Text(f"{times(ratio)} {number(result.entries[name].error)}"))
    return cells


def summary(names: Sequence[str], results: Sequence[Result]) -> list[str]:
    """Geometric means over the cases, and the shares of the copy."""
    lines = []
    means = {
        name: [ratio for result in results if (ratio := result.speedup(name)) is not None]
        for name in names
    }
    means["best peer"] = [best[1] for result in results if (best := result.best_peer(names))]
    parts = [f"{name} {times(geometric_mean(r))}" for name, r in means.items() if r]
    if parts:
        lines.append(f"geometric mean over the cases that each does: {', '.join(parts)}")
    shares = [result.share for result in results if result.share is not None]
    if shares:
        middle = statistics.median(shares)
        lines.append(f"share of copy: median {middle:.2f}, least {min(shares):.2f}")
    return lines


def geometric_mean(ratios: Sequence[float]) -> float:
    """The mean that treats twice and half alike."""
    return math.exp(statistics.fmean(math.log(ratio) for ratio in ratios))


def duration(seconds: float) -> str:
    """Three digits and a unit."""
    for unit, scale in (("ns", 1e9), ("us", 1e6), ("ms", 1e3)):
        if seconds * scale < 999.5:
            return f"{seconds * scale:.3g} {unit}"
    return f"{seconds:.3g} s"


def times(ratio: float) -> str:
    """A ratio in at most four signs and the x."""
    return f"{ratio:.{2 if ratio < 9.995 else 1 if ratio < 99.95 else 0}f}x"


def number(error: float | None) -> str:
    """An error in one digit: 2e-7."""
    if error is None:
        return "-"
    return f"{error:.0e}".replace("e-0", "e-").replace("e+0", "e+")


def describe(
    core: Mapping[str, Any], threads: int, rounds: int, others: float | None
) -> dict[str, Any]:
    """The conditions of a run: what else someone must have to get the same numbers."""
    installed = {name: version for name, version in peers.versions().items() if version}
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu": core["cpu"],
        "isa": core["isa"],
        "caches": core["caches"],
        "threads": threads,
        "rounds": rounds,
        "cpus_used_by_others": others,
        "openmp": core["openmp"],
        "platform": platform.platform(),
        "versions": {"normfast": core["version"], "python": platform.python_version()} | installed,
    }


def to_json(conditions: Mapping[str, Any], names: Sequence[str], results: Sequence[Result]) -> str:
    """All numbers; seconds are those of one call, a value a round."""
    cases = [
        {
            **asdict(result.case),
            "level": result.level,
            "bytes": result.moved,
            "bytes_of_a_copy": result.copied,
            "promise": result.promise,
            "kept": result.kept,
            "gigabytes_per_second": result.moved / result.seconds / 1e9,
            "share_of_copy": result.share,
            "calls_of_add": result.adds,
            "speedup": {name: result.speedup(name) for name in names},
            "contenders": {name: entry_dict(entry) for name, entry in result.entries.items()},
            "yardsticks": {name: entry_dict(entry) for name, entry in result.yardsticks.items()},
            "notes": dict(result.notes),
        }
        for result in results
    ]
    return json.dumps({"schema": SCHEMA, "conditions": conditions, "cases": cases}, indent=1) + "\n"


def entry_dict(entry: Entry) -> dict[str, Any]:
    """One statement; an error that is not finite becomes text, which JSON can hold."""
    error = entry.error
    return {
        "statement": entry.statement,
        "fresh": entry.fresh,
        "error": error if error is None or math.isfinite(error) else str(error),
        "median": entry.timing.median,
        "minimum": entry.timing.minimum,
        "calls": entry.timing.calls,
        "seconds": entry.timing.seconds,
    }
