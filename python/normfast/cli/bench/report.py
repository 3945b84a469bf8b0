"""The tables for people: short on the console, complete in Markdown."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.table import Table
from rich.text import Text

from normfast.cli.bench.result import OWN, OWN_FRESH, Result, Run
from normfast.cli.bench.summary import Promise, Summary, behind, by_peer, groups, promises

BUSY = 0.1  # CPUs in use by others that make times doubtful
FEW = 24  # results that are told one by one instead of by group
WORST = 6  # cases that are named

EXPLANATION = """\
share: of the bandwidth of the yardstick, the best plain copy of as many bytes in the same run (of
mean_var: the best read; of a single row: its time in calls of np.add). Bytes are the fewest that
the operation must move. Peers: their time by normfast's, each with its own best settings; those
that allocate their output by that of normfast doing so."""


def print_run(console: Console, run: Run) -> None:
    """The cases where there are few, the groups where there are many."""
    if not run.results:
        return
    console.print(headline(run.conditions), markup=False)
    if len(run.results) <= FEW:
        console.print(as_grid(case_rows(run)))
        console.print(EXPLANATION)
    else:
        console.print(as_grid(group_rows(run)))
        console.print(EXPLANATION)
        console.print(as_grid(peer_rows(run)))
        console.print(as_grid(promise_rows(run)))
        for result, why in behind(run, WORST):
            console.print(f"{why}: {result.case.title}, threads: {result.threads}", markup=False)
    for line in failures(run):
        console.print(line, style="red", markup=False)


def headline(conditions: Mapping[str, Any]) -> str:
    """The machine, the versions, and a warning where others were busy on it."""
    return "\n".join((machine(conditions), versions(conditions), *warning(conditions)))


def machine(conditions: Mapping[str, Any]) -> str:
    """CPU, ISA, caches, threads."""
    caches = ", ".join(f"{name} {size(n)}" for name, n in conditions["caches"].items() if n)
    threads = " and ".join(map(str, conditions["threads"]))
    parts = (conditions["cpu"], conditions["isa"], caches, f"threads: {threads}")
    return f"{', '.join(filter(None, parts))}, median of {conditions['rounds']} rounds"


def versions(conditions: Mapping[str, Any]) -> str:
    """Of everyone."""
    return ", ".join(f"{name} {version}" for name, version in conditions["versions"].items())


def warning(conditions: Mapping[str, Any]) -> list[str]:
    """A line where others were busy on the machine."""
    others = conditions["cpus_used_by_others"]
    if others is None or others <= BUSY:
        return []
    return [f"Other processes used {others:.1f} CPUs meanwhile: do not trust these times."]


def failures(run: Run) -> Iterator[str]:
    """Peers that failed, once each; results that are less exact than promised."""
    seen: dict[tuple[str, str], list[str]] = {}
    for result in run.results:
        for name, note in result.notes.items():
            seen.setdefault((name, note), []).append(result.case.title)
        if not result.kept:
            error = number(worst_error(result))
            yield f"{result.case.title}: error {error}, promised {result.promise:.1e}"
    for (name, note), titles in seen.items():
        more = f" and {len(titles) - 1} more" if len(titles) > 1 else ""
        yield f"{titles[0]}{more}: {name} failed: {note}"


def worst_error(result: Result) -> float | None:
    """Of both calls of normfast; NaN is the worst."""
    errors = [result.entries[name].error for name in (OWN, OWN_FRESH) if name in result.entries]
    known = [error for error in errors if error is not None]
    return next((error for error in known if math.isnan(error)), max(known, default=None))


# ---- tables ----


def as_grid(rows: Iterator[list[str]]) -> Table:
    """Rows as the console shows them; one of a single cell is a heading."""
    grid = Table(box=None, padding=(0, 1, 0, 0), header_style="bold", pad_edge=False)
    header, *body = rows
    for place, title in enumerate(header):
        justify: Literal["left", "right"] = "right" if place else "left"
        grid.add_column(title.replace(": ", "\n"), justify=justify, vertical="bottom", no_wrap=True)
    for row in body:
        if len(row) == 1:
            grid.add_row(Text(row[0], style="bold cyan"))
        else:
            grid.add_row(*(Text(cell, style="red" if "missed" in cell else "") for cell in row))
    return grid


def group_rows(run: Run) -> Iterator[list[str]]:
    """The header, then rows; one of a single cell is a heading."""
    header = ["", "cases"]
    for threads in run.threads:
        header += [f"{threads} thread{'s' if threads > 1 else ''}: share", "least"]
        header += ["best peer", "least"]
        header += ["1 thread"] if threads > 1 and 1 in run.threads else []
    yield header
    for heading, rows in groups(run):
        if heading:
            yield [heading]
        for name, found in rows:
            cells = [f"  {name}" if heading else name]
            cells.append(str(max(summary.count for summary in found.values())))
            for threads, summary in found.items():
                cells += group_cells(summary, scaled=threads > 1 and 1 in run.threads)
            yield cells


def group_cells(summary: Summary, *, scaled: bool) -> list[str]:
    """The numbers of a group with one number of threads."""
    cells = [share(summary.share_median), share(summary.share_least)]
    cells += [times(summary.speedup_mean), times(summary.speedup_least)]
    return [*cells, times(summary.scaling_median)] if scaled else cells


def case_rows(run: Run) -> Iterator[list[str]]:
    """The header, then a row a case; one of a single cell is a heading."""
    yield ["case", "in", "threads", "time", "GB/s", "share", "error", *run.names]
    operation = ""
    for result in run.results:
        if result.case.op != operation:
            operation = result.case.op
            yield [operation]
        small = result.case.call
        yield [
            f"  {result.case.label}",
            result.level,
            str(result.threads),
            duration(result.seconds),
            "-" if small else f"{result.bandwidth / 1e9:.1f}",
            f"{result.adds:.2f} add" if result.adds is not None else share(result.share),
            number(result.own.error),
            *(times(result.speedup(name)) for name in run.names),
        ]


# ---- Markdown ----

METHOD = """\
A case is one operation on one array that a model has. Every contender computes it once, and is
compared with the same result in float64; then all of them, the yardsticks among them, are timed in
turn in one process, in a new order each round. A time is the median over the rounds of the mean of
as many calls as fill a sample.

- **share**: the bandwidth of normfast as a share of the yardstick's, which is the best of memcpy
  (NumPy's copy), a copy by vector registers and a copy that writes past the caches, of as many
  bytes, in the same run, with as many threads. Bytes are the fewest that the operation must move:
  each input read once and each output written once; x twice where the data of one statistic (a
  plane set, a group, a strip of columns a cache line wide) does not fit in L2, and so must come
  from memory again before the first result. The yardstick of `mean_var`, which writes nothing, is
  the best of NumPy's sum, NumPy's largest value and the reading half of these copies. That of a
  single row is `np.add` of the row: the cost of a call.
- **in**: the smallest cache of one core that holds everything the case reads and writes.
- **peers**: their time by that of normfast, so above 1 normfast is faster. Those that write into
  given memory are compared with normfast doing so, those that allocate their result with normfast
  allocating. torch in inference mode, onnxruntime with its memory bound, jax compiled, NumPy in
  two passes without a needless array, scikit-learn without its checks of the input. A peer that
  lacks a case, or is wrong in it, has no number; NumPy and scikit-learn have one thread.
- **best peer**: the fastest of them in each case; its geometric mean over the cases, and the least.
- **1 thread**: the median of the time with one thread by that with several.
- **error**: the largest |y - exact| / max(1, |y|), of unit vectors relative."""


def to_markdown(run: Run, plots: Sequence[tuple[str, str]] = (), notes: str = "") -> str:
    """The page: conditions, groups, promises, method, every case.

    ``plots``: titles and files. ``notes``: the section of that name, written by a person.
    """
    conditions = run.conditions
    parts = [
        "# Benchmarks",
        f"```sh\n{conditions['command']}\n```",
        f"{machine(conditions)}. {versions(conditions)}. {conditions['time'][:10]}.",
        *warning(conditions),
        "## By group",
        markdown_table(group_rows(run)),
        *(f"![{title}]({file})" for title, file in plots),
        "## Promises",
        markdown_table(promise_rows(run)),
        "\n".join(f"- {line}" for line in culprits(run)),
        notes,
        "## Against each peer",
        markdown_table(peer_rows(run)),
        "## How it is measured",
        METHOD,
        "## Every case",
        markdown_table(case_rows(run)),
        "\n".join(f"- {line}" for line in failures(run)),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def notes_of(file: Path) -> str:
    """The sections of an earlier page that outlive the numbers around them."""
    text = file.read_text("utf-8") if file.exists() else ""
    found = re.findall(r"^## (?:Notes|GPU)\n.*?(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    return "\n\n".join(section.strip() for section in found)


def promise_rows(run: Run) -> Iterator[list[str]]:
    """A row a promise, for each number of threads what was measured."""
    header = [f"{threads} thread{'s' if threads > 1 else ''}" for threads in run.threads]
    yield ["promise", "bound", *header]
    found: dict[str, dict[int, Promise]] = {}
    for threads in run.threads:
        for promise in promises(run, threads):
            found.setdefault(promise.text, {})[threads] = promise
    for text, measured in found.items():
        any_ = next(iter(measured.values()))
        bound = f"{'<=' if any_.at_most else '>='} {any_.bound}"
        yield [text, bound, *(verdict(measured.get(threads)) for threads in run.threads)]


def verdict(promise: Promise | None) -> str:
    """What was measured, and whether it is enough."""
    if promise is None:
        return "-"
    return f"{promise.measured:.2f} {'kept' if promise.kept else 'missed'}"


def culprits(run: Run) -> Iterator[str]:
    """The case that misses a promise, a line each."""
    for threads in run.threads:
        for promise in promises(run, threads):
            if promise.culprit and not promise.kept:
                found = f"{promise.measured:.2f}, threads: {threads}: {promise.culprit}"
                yield f"{promise.text}: {found}"


def peer_rows(run: Run) -> Iterator[list[str]]:
    """A row a peer."""
    header = [f"{threads} thread{'s' if threads > 1 else ''}" for threads in run.threads]
    yield ["peer", *header]
    means = {threads: by_peer(run, threads) for threads in run.threads}
    for name in run.names:
        cells = []
        for threads in run.threads:
            mean, count = means[threads].get(name, (None, 0))
            cells.append("-" if mean is None else f"{times(mean)} ({count} cases)")
        yield [name, *cells]


def markdown_table(rows: Iterator[list[str]]) -> str:
    """A table; headings of one cell become bold."""
    header, *body = rows
    lines = [header, ["---"] + ["--:"] * (len(header) - 1)]
    lines += [[f"**{row[0].strip()}**"] if len(row) == 1 else row for row in body]
    return "\n".join(f"| {' | '.join(cell.strip() for cell in line)} |" for line in lines)


def write(file: Path, text: str) -> None:
    """Write a whole text file."""
    file.write_text(text, "utf-8")


# ---- numbers ----


def share(value: float | None) -> str:
    """Two digits."""
    return "-" if value is None else f"{value:.2f}"


def duration(seconds: float) -> str:
    """Three digits and a unit."""
    for unit, scale in (("ns", 1e9), ("us", 1e6), ("ms", 1e3)):
        if seconds * scale < 999.5:
            return f"{seconds * scale:.3g} {unit}"
    return f"{seconds:.3g} s"


def times(ratio: float | None) -> str:
    """A ratio in at most four signs and the x."""
    if ratio is None:
        return "-"
    return f"{ratio:.{2 if ratio < 9.995 else 1 if ratio < 99.95 else 0}f}x"


def number(error: float | None) -> str:
    """An error in one digit: 2e-7."""
    if error is None:
        return "-"
    return f"{error:.0e}".replace("e-0", "e-").replace("e+0", "e+")


def size(count: int) -> str:
    """A cache size as people write it."""
    return f"{count >> 20} MiB" if count >= 1 << 20 else f"{count >> 10} KiB"
