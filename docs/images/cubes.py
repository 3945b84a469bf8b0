"""Draw docs/images/cubes.svg: which elements of an (N, C, H, W) array share a mean and a variance.

    python docs/images/cubes.py

Each cube is cut into the blocks that an operation normalises on their own; one block is coloured.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection

Vector = np.ndarray[Any, np.dtype[np.float64]]

N, C, S = 4, 6, 4  # images, channels, places in a plane (H and W are drawn as one axis)
ALONG_N, ALONG_C, DOWN = np.eye(3)
GAP = 0.42  # between two blocks, in cells

INK, MUTED = "#1b2733", "#5f6f7f"
GREY = "#e9eef3 #d5dde6 #c3ced9"  # of the top, the left and the right side
ORANGE = "#ffb38a #fb8b5a #e9703c"
BLUE = "#8fd0f5 #55b1e6 #3597d3"
GREEN = "#a5dfb0 #6cc47f #4aab61"
PURPLE = "#cdb8f2 #a98ae3 #8d6ad0"


@dataclass(frozen=True)
class Cube:
    title: str
    images: int  # that share a mean and a variance
    channels: int  # that do
    shared: str
    call: str
    colours: str


CUBES = (
    Cube("batch norm", N, 1, "per channel", "batch_norm(x, m, v, training=True)", ORANGE),
    Cube("layer norm", 1, C, "per image", "layer_norm(x, axis=(1, 2, 3))", BLUE),
    Cube("instance norm", 1, 1, "per image and channel", "instance_norm(x)", GREEN),
    Cube("group norm", 1, C // 2, "per image and group", "group_norm(x, 2)", PURPLE),
)


def project(point: Vector) -> Vector:
    """Isometric view: n runs down to the left, c down to the right, s straight down."""
    n, c, s = point
    return np.array(((c - n) * np.cos(np.pi / 6), -(c + n) / 2 - s))


def side(corner: Vector, u: Vector, v: Vector) -> list[Vector]:
    return [project(p) for p in (corner, corner + u, corner + u + v, corner + v)]


def column(n: float, c: float) -> Iterator[tuple[int, list[Vector]]]:
    """The visible sides of the cells at (n, c): 0 for a top, 1 for a left, 2 for a right one."""
    top = n * ALONG_N + c * ALONG_C
    yield 0, side(top, ALONG_N, ALONG_C)
    for s in range(S):
        yield 1, side(top + s * DOWN + ALONG_N, ALONG_C, DOWN)
        yield 2, side(top + s * DOWN + ALONG_C, ALONG_N, DOWN)


def arrow(ax: Axes, start: Vector, end: Vector, label: str, away: tuple[float, float]) -> None:
    (x0, y0), (x1, y1) = project(start), project(end)
    style = {"arrowstyle": "-|>", "color": MUTED, "shrinkA": 0, "shrinkB": 0}
    ax.annotate("", (x1, y1), (x0, y0), arrowprops=style)
    x, y = (x0 + x1) / 2 + away[0], (y0 + y1) / 2 + away[1]
    turn = 90 if label == "H, W" else 0
    ax.text(x, y, label, color=MUTED, rotation=turn, ha="center", va="center")


def draw(ax: Axes, cube: Cube) -> None:
    sides, colours = [], []  # from the far corner to the near one: what is near hides what is far
    for n in range(N):
        for c in range(C):
            i, j = n // cube.images, c // cube.channels  # the block
            chosen = n >= N - cube.images and c >= C - cube.channels
            shades = (cube.colours if chosen else GREY).split()
            for which, corners in column(n + GAP * i, c + GAP * j):
                sides.append(corners)
                colours.append(shades[which])
    ax.add_collection(PolyCollection(sides, facecolors=colours, edgecolors="white", linewidths=0.9))

    end_n = (N + GAP * (N // cube.images - 1)) * ALONG_N
    end_c = (C + GAP * (C // cube.channels - 1)) * ALONG_C
    beside_n, beside_c = -0.55 * ALONG_N, -0.55 * ALONG_C
    arrow(ax, 0.3 * ALONG_N + beside_c, end_n + beside_c, "N", (-0.3, 0.52))
    arrow(ax, 0.3 * ALONG_C + beside_n, end_c + beside_n, "C", (0.3, 0.52))
    arrow(ax, 0.3 * DOWN + end_n + beside_c, S * DOWN + end_n + beside_c, "H, W", (-0.6, 0))

    middle = (project(end_n)[0] + project(end_c)[0]) / 2
    centre = project((end_n + end_c + S * DOWN) / 2)[1]
    ax.set(xlim=(middle - 7.4, middle + 7.0), ylim=(centre - 8.3, centre + 7.4), aspect="equal")
    ax.axis("off")

    def line(y: float, text: str, **style: Any) -> None:
        ax.text(middle, centre + y, text, ha="center", **style)

    line(6.3, cube.title, color=INK, size=15, weight="bold")
    line(-6.6, "one mean " + cube.shared, color=cube.colours.split()[-1], size=11, weight="bold")
    line(-7.7, cube.call, color=INK, size=9.5, family="DejaVu Sans Mono")


def main() -> None:
    mpl.rcParams.update(
        {"svg.hashsalt": "normfast", "font.family": "DejaVu Sans", "font.size": 10.5}
    )
    figure, axes = plt.subplots(1, len(CUBES), figsize=(13.6, 4.0))
    figure.subplots_adjust(0, 0, 1, 1, wspace=0)
    for ax, cube in zip(axes, CUBES, strict=True):
        draw(ax, cube)
    # Without a date, and with a fixed salt, the same file comes out each time.
    path = Path(__file__).with_name("cubes.svg")
    figure.savefig(path, facecolor="white", metadata={"Date": None, "Creator": None})


if __name__ == "__main__":
    main()
