"""``--plot``: share of the yardstick against working set, and speed-ups by case and peer."""

from importlib import import_module
from pathlib import Path
from typing import Any

from normfast.cli.bench.cases import OPERATIONS
from normfast.cli.bench.report import machine
from normfast.cli.bench.result import Run

STYLE = {
    "svg.hashsalt": "normfast",  # the same file from the same numbers
    "font.size": 9,
    "axes.grid": True,
    "grid.color": "#e5e9ee",
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
FASTER, SLOWER, MUTED = "#3597d3", "#e9703c", "#5f6f7f"
MARKERS = {"contiguous": "o", "channels first": "s", "channels last": "^"}
OTHER = "x"  # strided


def draw(run: Run, folder: Path) -> list[tuple[str, Path]]:
    """Write the figures; what each shows, and where it is."""
    matplotlib: Any = import_module("matplotlib")
    matplotlib.use("agg")
    plt: Any = import_module("matplotlib.pyplot")
    folder.mkdir(parents=True, exist_ok=True)
    with plt.rc_context(STYLE):
        figures = [("share", "share of the yardstick by working set", shares(plt, run))]
        if run.names:
            figures += [
                (
                    f"speedup-{threads}",
                    f"speed-up against each peer, threads: {threads}",
                    speedups(plt, run, threads),
                )
                for threads in run.threads
            ]
        written = []
        for name, title, figure in figures:
            file = folder / f"{name}.svg"
            figure.savefig(file, bbox_inches="tight", metadata={"Date": None})
            plt.close(figure)
            written.append((title, file))
    return written


def shares(plt: Any, run: Run) -> Any:
    """A panel for each number of threads, the caches marked."""
    figure, panels = plt.subplots(
        1, len(run.threads), figsize=(5.5 * len(run.threads), 4.5), sharey=True, squeeze=False
    )
    colors = dict(zip(OPERATIONS, plt.get_cmap("tab10").colors, strict=True))
    for panel, threads in zip(panels[0], run.threads, strict=True):
        for op in OPERATIONS:
            panel.scatter([], [], s=22, color=colors[op], label=op)
        for result in run.results:
            if result.threads == threads and result.share is not None:
                panel.scatter(
                    *([result.working_set], [result.share]),
                    s=22,
                    marker=MARKERS.get(result.case.layout, OTHER),
                    color=colors[result.case.op],
                    alpha=0.8,
                )
        for name, count in run.conditions["caches"].items():
            if count:
                panel.axvline(count, color=MUTED, linewidth=0.8, linestyle=":")
                panel.annotate(
                    *(f" {name}", (count, 0.01)),
                    xycoords=("data", "axes fraction"), color=MUTED, fontsize=8,
                )  # fmt: skip
        panel.axhline(1.0, color=MUTED, linewidth=0.8)
        panel.set(xscale="log", xlabel="working set in bytes", title=f"threads: {threads}")
        panel.set_ylim(bottom=0)
    panels[0][0].set_ylabel("share of the yardstick's bandwidth")
    panels[0][-1].legend(loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False)
    figure.suptitle(
        f"{machine(run.conditions)}\ncircles: contiguous, squares: channels first, "
        "triangles: channels last, crosses: strided",
        fontsize=8,
        y=1.03,
    )
    return figure


def speedups(plt: Any, run: Run, threads: int) -> Any:
    """A bar a case, a panel a peer; red where the peer is faster."""
    results = [
        result
        for result in run.results
        if result.threads == threads and result.best_peer(run.names) is not None
    ]
    figure, panels = plt.subplots(
        *(1, len(run.names)),
        figsize=(3 + 1.9 * len(run.names), 1.2 + 0.17 * len(results)),
        sharex=True,
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    for panel, name in zip(panels[0], run.names, strict=True):
        for row, result in enumerate(results):
            ratio = result.speedup(name)
            if ratio is not None:
                color = FASTER if ratio >= 1 else SLOWER
                panel.barh(row, ratio - 1, left=1, height=0.75, color=color)
        panel.axvline(1, color=MUTED, linewidth=0.8)
        panel.set(xscale="log", title=name)
        panel.xaxis.set_major_formatter("{x:g}")
        panel.margins(y=0.005)
    first = panels[0][0]
    first.set_yticks(range(len(results)), [result.case.title for result in results], fontsize=6)
    first.invert_yaxis()
    figure.supxlabel(f"times as long as normfast, threads: {threads}", fontsize=8)
    return figure
