"""What gpu.py found, as tables on the console and as a section of the page of benchmarks."""

from __future__ import annotations

import re
import statistics
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

Report = dict[str, Any]

# Shares of the copy: must, aim.
TARGETS: dict[str, tuple[float, float | None]] = {
    "rows of 64 to 255": (0.80, 0.90),
    "rows of 256 to 1023": (0.90, 0.95),
    "rows of 1K to 32K": (0.95, 0.98),
    "rows of 64K to 256K": (0.90, 0.96),
    "add and normalise": (0.93, 0.97),
    "batch norm, evaluation": (0.95, 0.98),
    "batch norm, training": (0.88, None),
    "groups, channels first": (0.92, 0.96),
    "groups, channels last": (0.60, 0.85),
}


def seconds(result: Mapping[str, Any], name: str) -> float | None:
    """The median."""
    values = result["seconds"].get(name)
    return statistics.median(values) if values else None


def share(result: Mapping[str, Any]) -> float:
    """Of the bandwidth of the copy."""
    return seconds(result, "copy") / seconds(result, "normfast")


def group_rows(report: Report) -> Iterator[list[str]]:
    """A row a class of the targets."""
    yield ["class", "cases", "share: median", "least", "must", "aim", ""]
    for group in dict.fromkeys(result["group"] for result in report["cases"]):
        shares = [share(result) for result in report["cases"] if result["group"] == group]
        must, aim = TARGETS.get(group, (None, None))
        least = min(shares)
        verdict = "-" if must is None else "kept" if least >= must else "missed"
        if verdict == "kept" and aim is not None and least >= aim:
            verdict = "kept, and the aim"
        bounds = ["-" if bound is None else f"{bound:.2f}" for bound in (must, aim)]
        median = statistics.median(shares)
        yield [group, str(len(shares)), f"{median:.2f}", f"{least:.2f}", *bounds, verdict]


def case_rows(report: Report) -> Iterator[list[str]]:
    """A row a case, under its class."""
    from normfast.cli.bench.report import duration, number, times

    names = dict.fromkeys(name for result in report["cases"] for name in result["seconds"])
    peers = [name for name in names if name not in ("normfast", "copy")]
    yield ["case", "time", "GB/s", "share", "error", *peers]
    group = None
    for result in report["cases"]:
        if result["group"] != group:
            group = result["group"]
            yield [group]
        own = seconds(result, "normfast")
        taken = [seconds(result, name) for name in peers]
        yield [
            f"  {result['label']}",
            duration(own) + ("" if result["graph"]["normfast"] else " (no graph)"),
            f"{result['bytes'] / own / 1e9:.0f}",
            f"{share(result):.2f}",
            number(result["error"]) + ("" if result["kept"] else " missed"),
            *(times(None if peer is None else peer / own) for peer in taken),
        ]


def step_lines(report: Report) -> list[str]:
    """What each step said."""
    words = {True: "passed", False: "failed", None: "not run"}
    return [
        f"{name}: {words[step['ok']]} ({step['seconds']:.0f} s): {step['said']}"
        for name, step in report["steps"].items()
    ]


def headline(report: Report) -> str:
    """The machine and the versions in a line."""
    known = report["conditions"]
    parts = [known.get("gpu", "no GPU was reached")]
    if "multiprocessors" in known:
        l2, memory = known["l2"] >> 20, known["memory"] >> 30
        parts.append(f"{known['multiprocessors']} multiprocessors, L2 {l2} MiB, {memory} GiB")
    parts += [f"{name} {version}" for name, version in known.get("versions", {}).items()]
    return ", ".join(parts) + f". {report['time'][:10]}."


def show(report: Report) -> None:
    """The tables on the console."""
    if report["cases"]:
        from rich.console import Console

        from normfast.cli.bench.report import as_grid

        console = Console(width=None if sys.stdout.isatty() else 150)
        console.print(as_grid(case_rows(report)))
        console.print(as_grid(group_rows(report)))
        for result in report["cases"]:
            for name, note in result["notes"].items():
                print(f"{result['label']}: {name}: {note}")
    print(headline(report))
    print("\n".join(step_lines(report)))


SHARES = """\
Shares are of the bandwidth of a device copy of as many bytes in the same run. Peers: their time by
that of normfast, so above 1 normfast is faster."""


def section(report: Report) -> str:
    """The section of the page."""
    from normfast.cli.bench.report import markdown_table

    parts = ["## GPU", f"```sh\n{report['command']}\n```", headline(report)]
    parts.append("\n".join(f"- {line}" for line in step_lines(report)))
    if report["cases"]:
        parts += [
            SHARES,
            markdown_table(group_rows(report)),
            markdown_table(case_rows(report)),
        ]
    return "\n\n".join(parts) + "\n"


def renew(page: Path, text: str) -> None:
    """Put the section in the place of the old one, or at the end."""
    old = page.read_text("utf-8")
    new, count = re.subn(
        r"^## GPU\n.*?(?=^## |\Z)",
        lambda _: text + "\n",
        old,
        count=1,
        flags=re.MULTILINE | re.DOTALL,
    )
    page.write_text((new if count else f"{old}\n{text}").rstrip() + "\n", "utf-8")
