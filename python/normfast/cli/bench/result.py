"""What was measured, and the ratios that everything else is made of."""

import json
import math
import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from normfast.cli.bench import peers
from normfast.cli.bench.cases import Case, Options
from normfast.cli.bench.measure import Timing

SCHEMA = 2
OWN, OWN_FRESH = "normfast", "normfast fresh"


@dataclass(frozen=True)
class Entry:
    """One statement: its times, its largest error (None for a yardstick), the bytes it moves."""

    statement: str
    fresh: bool
    timing: Timing
    error: float | None
    moved: int


@dataclass(frozen=True)
class Result:
    """One case with one number of threads.

    ``level``: the smallest cache that holds the ``working_set``, or memory.
    """

    case: Case
    threads: int
    level: str
    working_set: int
    promise: float
    entries: Mapping[str, Entry]
    yardsticks: Mapping[str, Entry]
    notes: Mapping[str, str] = field(default_factory=dict)

    @property
    def own(self) -> Entry:
        """Of normfast, where there is memory for its output."""
        return self.entries[OWN]

    @property
    def seconds(self) -> float:
        """The time of normfast: the median."""
        return self.own.timing.median

    @property
    def bandwidth(self) -> float:
        """Bytes a second of normfast."""
        return self.own.moved / self.seconds

    @property
    def yardstick(self) -> tuple[str, Entry]:
        """The one of the highest bandwidth."""
        return max(self.yardsticks.items(), key=lambda item: item[1].moved / item[1].timing.median)

    @property
    def share(self) -> float | None:
        """Of the bandwidth of the yardstick; None for a small call."""
        return None if self.case.call else self.ratio_to_yardstick(lambda timing: timing.median)

    @property
    def adds(self) -> float | None:
        """A small call in calls of np.add; None for the others."""
        return self.seconds / self.yardstick[1].timing.median if self.case.call else None

    def ratio_to_yardstick(self, time: Callable[[Timing], float]) -> float:
        """The bandwidth as a share of the yardstick's, by ``time`` of the timings of both."""
        best = max(entry.moved / time(entry.timing) for entry in self.yardsticks.values())
        return self.own.moved / time(self.own.timing) / best

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
        own = self.entries.get(OWN_FRESH, self.own) if entry.fresh else self.own
        return entry.timing.median / own.timing.median

    def best_peer(self, names: Iterable[str]) -> tuple[str, float] | None:
        """The peer with the least speed-up, and that speed-up."""
        found = [(name, ratio) for name in names if (ratio := self.speedup(name)) is not None]
        return min(found, key=lambda pair: pair[1], default=None)


@dataclass(frozen=True)
class Run:
    """All results, the peers in them, and what else someone must have to get the same numbers."""

    conditions: Mapping[str, Any]
    results: Sequence[Result]

    @property
    def threads(self) -> list[int]:
        """The numbers of threads, in the order of the run."""
        return list(self.conditions["threads"])

    @property
    def names(self) -> list[str]:
        """The peers that did a case."""
        known = (*peers.LIBRARIES, *(name for r in self.results for name in r.entries))
        return [
            name
            for name in dict.fromkeys(known)
            if name not in (OWN, OWN_FRESH) and any(name in r.entries for r in self.results)
        ]


def describe(
    core: Mapping[str, Any],
    threads: Sequence[int],
    rounds: int,
    others: float | None,
    command: str = "normfast bench",
    names: Sequence[str] = (),
) -> dict[str, Any]:
    """The conditions of a run; ``names``: of the peers."""
    installed = peers.versions()
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command,
        "cpu": core["cpu"],
        "isa": core["isa"],
        "caches": core["caches"],
        "threads": list(threads),
        "rounds": rounds,
        "cpus_used_by_others": others,
        "openmp": core["openmp"],
        "platform": platform.platform(),
        "versions": {
            "normfast": core["version"],
            "python": platform.python_version(),
            **{name: installed.get(name) for name in dict.fromkeys(("numpy", *names))},
        },
    }


def to_json(run: Run) -> str:
    """All numbers; seconds are those of one call, a value a round."""
    cases = [
        {
            **asdict(result.case),
            "title": result.case.title,
            "threads": result.threads,
            "level": result.level,
            "working_set": result.working_set,
            "promise": result.promise,
            "kept": result.kept,
            "gigabytes_per_second": result.bandwidth / 1e9,
            "share_of_yardstick": result.share,
            "calls_of_add": result.adds,
            "speedup": {name: result.speedup(name) for name in run.names},
            "contenders": {name: entry_dict(entry) for name, entry in result.entries.items()},
            "yardsticks": {name: entry_dict(entry) for name, entry in result.yardsticks.items()},
            "notes": dict(result.notes),
        }
        for result in run.results
    ]
    content = {"schema": SCHEMA, "conditions": run.conditions, "cases": cases}
    return json.dumps(content, indent=1) + "\n"


def entry_dict(entry: Entry) -> dict[str, Any]:
    """One statement; an error that is not finite becomes text, which JSON can hold."""
    error = entry.error
    return {
        "statement": entry.statement,
        "fresh": entry.fresh,
        "bytes": entry.moved,
        "error": error if error is None or math.isfinite(error) else str(error),
        "median": entry.timing.median,
        "minimum": entry.timing.minimum,
        "calls": entry.timing.calls,
        "seconds": entry.timing.seconds,
    }


def from_json(file: Path) -> Run:
    """A run as `to_json` wrote it; ValueError in one line where the file is another."""
    try:
        content = json.loads(file.read_text("utf-8"))
        if content["schema"] != SCHEMA:
            raise ValueError(f"schema {content['schema']}")
        return Run(content["conditions"], [result_of(case) for case in content["cases"]])
    except OSError as error:
        raise ValueError(f"{file}: {error.strerror}") from None
    except (KeyError, TypeError, ValueError):
        raise ValueError(f"{file}: expected a file that --json of this version wrote") from None


def result_of(written: Mapping[str, Any]) -> Result:
    """One case of the file."""
    given = dict(written["options"])
    given["axis"] = None if given["axis"] is None else tuple(given["axis"])
    names = ("op", "name", "call", "dtype", "out_dtype", "layout")
    case = Case(
        **{name: written[name] for name in names},
        shape=tuple(written["shape"]),
        options=Options(**given),
    )
    contenders, yardsticks = (
        {name: entry_of(entry) for name, entry in written[group].items()}
        for group in ("contenders", "yardsticks")
    )
    facts = {name: written[name] for name in ("threads", "level", "working_set", "promise")}
    return Result(case, **facts, entries=contenders, yardsticks=yardsticks, notes=written["notes"])


def entry_of(written: Mapping[str, Any]) -> Entry:
    """One statement of the file."""
    error = written["error"]
    return Entry(
        written["statement"],
        written["fresh"],
        Timing(tuple(written["seconds"]), written["calls"]),
        None if error is None else float(error),
        written["bytes"],
    )
