"""Draw docs/images/running.svg and docs/images/zscores.svg, of docs/normalisation.md.

    python docs/images/normalisation.py

Every curve is computed by normfast from the data that is drawn.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import normfast as nf

INK, MUTED = "#1b2733", "#5f6f7f"
BLUE, ORANGE, PURPLE = "#3597d3", "#e9703c", "#8d6ad0"
HERE = Path(__file__).parent


def save(figure: Figure, name: str) -> None:
    # Without a date, and with a fixed salt, the same file comes out each time.
    metadata = {"Date": None, "Creator": None}
    figure.savefig(HERE / name, facecolor="white", metadata=metadata)
    plt.close(figure)


def plain(ax: Axes, title: str, **labels: Any) -> None:
    ax.set_title(title, fontsize=10.5, weight="bold", color=INK, loc="left")
    ax.set(**labels)
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(colors=MUTED)


def running() -> None:
    """The running mean follows the means of the batches; how fast is the momentum."""
    rng = np.random.default_rng(2)
    batches = rng.normal(2.0, 3.0, (60, 32, 1))
    figure, ax = plt.subplots(figsize=(7.5, 3.2), layout="constrained")
    steps = np.arange(len(batches) + 1)
    ax.plot(steps[1:], batches.mean(axis=(1, 2)), ".", color=MUTED, label="mean of each batch")
    for momentum, colour in ((0.1, ORANGE), (0.02, BLUE)):
        mean, var = np.zeros(1), np.ones(1)
        line = [0.0]
        for batch in batches:
            nf.batch_norm(batch, mean, var, training=True, momentum=momentum)
            line.append(mean.item())
        ax.plot(steps, line, color=colour, label=f"running mean, momentum {momentum}")
    ax.axhline(2.0, color=MUTED, linewidth=1, linestyle="--", zorder=0, label="mean of the data")
    plain(ax, "", xlabel="batches", ylabel="one channel")
    ax.legend(frameon=False, loc="lower right")
    save(figure, "running.svg")


def zscores() -> None:
    """What a z-score does not do: it resists no outlier, and keeps correlation and shape."""
    rng = np.random.default_rng(0)
    figure, axes = plt.subplots(2, 3, figsize=(11, 5.2), layout="constrained")

    nine = np.arange(1.0, 10.0)
    a = rng.normal(size=300)
    cloud = np.stack([3 + 2 * a, 1 + a + 0.5 * rng.normal(size=300)], axis=1)
    skewed = rng.exponential(size=2000)
    for row, colour, which in ((0, BLUE, "before"), (1, ORANGE, "after")):
        outlier, scatter, histogram = axes[row]
        values, title = nine, "z-scores of 1, 2, ... 9"
        if which == "after":
            cloud, skewed = nf.standardize(cloud), nf.standardize(skewed)
            values, title = np.append(nine, 100.0), "z-scores of 1, 2, ... 9 and 100"
        z = nf.standardize(values)
        outlier.plot(z, np.zeros_like(z), "|", color=colour, markersize=30)
        outlier.set_yticks([])
        plain(outlier, title, xlim=(-2, 3.2))
        outlier.spines["left"].set_visible(False)
        scatter.plot(*cloud.T, ".", color=colour, markersize=3)
        scatter.set_aspect("equal", adjustable="datalim")
        correlation = np.corrcoef(cloud.T)[0, 1]
        plain(scatter, f"{which}: correlation {correlation:.2f}")
        histogram.hist(skewed, bins=40, color=colour)
        histogram.set_yticks([])
        skewness = ((skewed - skewed.mean()) ** 3).mean() / skewed.std() ** 3
        plain(histogram, f"{which}: skewness {skewness:.2f}")
    save(figure, "zscores.svg")


if __name__ == "__main__":
    mpl.rcParams.update(
        {"svg.hashsalt": "normfast", "font.family": "DejaVu Sans", "font.size": 9.5}
    )
    running()
    zscores()
