"""Measure the hard cases: normfast and its peers against exact arithmetic.

    python bench/numerics.py            print the tables; exit 1 where normfast breaks its promise
    python bench/numerics.py --write    also renew docs/numerics.md and docs/numerics.svg

The error is the largest |y - exact| / max(1, |exact|) of a layer norm without affine; for unit
vectors it is relative. The exact value comes from integers, out of the very inputs, rounded once.
A peer that is not installed is left out. The tables have NumPy and torch, the picture all of them.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

import normfast as nf

Array = np.ndarray[Any, np.dtype[Any]]
Norm = Callable[[Array, int, float], Array]  # x, axis, eps

PACKAGES = {"onnxruntime": "onnxruntime", "JAX": "jax", "scikit-learn": "sklearn"}
DOCS = Path(__file__).resolve().parents[1] / "docs"
PROMISE = {"float32": 1e-6, "float64": 1e-13}
ROWS, COLUMNS = 1, 0  # the axis of a matrix that is normalised
LAYOUT = {ROWS: "rows", COLUMNS: "columns"}
N = 4096  # the usual length


# --- the exact value ------------------------------------------------------------------------------


def integers(x: Array) -> tuple[Array, int]:
    """Python integers k and an exponent e such that x == k * 2**e, exactly."""
    mantissa, exponent = np.frexp(x.astype(np.float64))
    mantissa, e = (mantissa * 2.0**53).astype(np.int64), int(exponent.min())
    return mantissa.astype(object) << (exponent - e).astype(object), e - 53


def times_root(k: Array, a: Fraction) -> Array:
    """k * sqrt(a) in float64, rounded once, from a square root with 100 bits below the point."""
    roots = (math.isqrt((int(v) ** 2 * a.numerator << 200) // a.denominator) for v in k)
    return np.array([math.copysign(root / 2**100, v) for root, v in zip(roots, k, strict=True)])


def exact_layer_norm(row: Array, eps: float) -> Array:
    if np.isnan(row).any():
        return np.full(len(row), np.nan)
    k, e = integers(row)
    n, unit = len(row), Fraction(2) ** e
    d = n * k - k.sum()  # n * (x - mean), in units of 2**e
    var_eps = Fraction(int((d * d).sum()), n**3) * unit**2 + Fraction(eps)
    return times_root(d, (unit / n) ** 2 / var_eps) if var_eps else np.zeros(n)


def exact_unit_vector(row: Array, eps: float) -> Array:
    assert eps == 0
    k, _ = integers(row)
    return times_root(k, Fraction(1, int((k * k).sum()))) if row.any() else np.zeros(len(row))


# --- what is measured -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Operation:
    exact: Callable[[Array, float], Array]
    floor: float  # the error is relative to max(floor, |exact|)
    norms: Mapping[str, Norm]


def installed(names: Sequence[str]) -> list[str]:
    return [name for name in names if find_spec(PACKAGES.get(name, name.lower()))]


def numpy_layer_norm(x: Array, axis: int, eps: float) -> Array:
    mean, var = x.mean(axis, keepdims=True), x.var(axis, keepdims=True)
    return np.asarray((x - mean) / np.sqrt(var + x.dtype.type(eps)))


def torch_layer_norm(x: Array, axis: int, eps: float) -> Array:
    torch: Any = import_module("torch")
    t = torch.from_numpy(x)
    if axis == ROWS:
        y = torch.layer_norm(t, t.shape[1:], eps=eps)
    else:  # down the columns of a matrix, torch's name for it is batch norm
        y = torch.batch_norm(t, None, None, None, None, True, 0.1, eps, False)
    return np.asarray(y)


def onnxruntime_layer_norm(x: Array, axis: int, eps: float) -> Array:
    from normfast.cli.bench.peers.onnx_model import one_node_model

    assert axis == ROWS
    ort: Any = import_module("onnxruntime")
    scale = {"scale": np.ones(x.shape[1], x.dtype)}
    attributes = {"axis": 1, "epsilon": eps}
    model = one_node_model("LayerNormalization", x, scale, attributes, opset=17, version=8)
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"x": x})[0])


def jax_layer_norm(x: Array, axis: int, eps: float) -> Array:
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    jax: Any = import_module("jax")
    with jax.enable_x64(x.dtype == np.float64):
        return np.asarray(jax.nn.standardize(x, axis=axis, epsilon=eps))


def scikit_learn_z_scores(x: Array, axis: int, eps: float) -> Array:  # noqa: ARG001 - it has none
    assert axis == COLUMNS
    preprocessing: Any = import_module("sklearn.preprocessing")
    with warnings.catch_warnings(action="ignore"):
        return np.asarray(preprocessing.StandardScaler().fit_transform(x))


def torch_unit_vector(x: Array, axis: int, eps: float) -> Array:
    torch: Any = import_module("torch")
    y = torch.nn.functional.normalize(torch.from_numpy(x), dim=axis, eps=eps)
    return np.asarray(y)


LAYER_NORM = Operation(
    exact_layer_norm,
    1.0,
    {
        "normfast": lambda x, axis, eps: nf.layer_norm(x, axis=axis, eps=eps),
        "NumPy": numpy_layer_norm,
        "torch": torch_layer_norm,
        "onnxruntime": onnxruntime_layer_norm,
        "JAX": jax_layer_norm,
        "scikit-learn": scikit_learn_z_scores,
    },
)
UNIT_VECTOR = Operation(
    exact_unit_vector,
    sys.float_info.min,
    {
        "normfast": lambda x, axis, eps: nf.normalize(x, axis=axis, eps=eps),
        "NumPy": lambda x, axis, _: x / np.linalg.norm(x, axis=axis, keepdims=True),
        "torch": torch_unit_vector,
    },
)


# --- the cases ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """Arrays whose rows are normalised, each on its own.

    A row with a NaN must become all NaN and spoil no other.
    """

    name: str
    arrays: Sequence[Array]
    eps: float = 1e-5
    repeat: int = 1  # each row so many times over, which leaves its exact values as they are


def normal(mean: float, std: float, n: int = N, rows: int = 20) -> Array:
    return mean + std * np.random.default_rng(n).standard_normal((rows, n))


def alternating(size: float) -> Array:
    return size * (-1.0) ** np.arange(N)[None]


def outlier_first() -> Array:
    x = normal(0, 1)
    x[:, 0] = 1e6
    return x


def with_nan() -> Array:
    x = normal(3, 2, 1001)
    x[2, 500] = x[5, 1000] = np.nan
    return x


RAMP = 100 + 1e-3 * np.arange(N)[None]
LENGTHS = (1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 4095, 4097)

FLOAT32 = (
    Case("`[40000, 40001, 40002, 40003]`", [40000 + np.arange(4.0)[None]]),
    Case("256 times 1234", [np.full((1, 256), 1234.0)]),
    Case("4096 times 0.1", [np.full((1, N), 0.1)]),
    Case("4096 times 0.1, eps = 0", [np.full((1, N), 0.1)], eps=0),
    Case("N(1e4, 1)", [normal(1e4, 1)]),
    Case("N(1e6, 1)", [normal(1e6, 1)]),
    Case("N(1e4, 1), 2^24 values", [normal(1e4, 1, rows=1)], repeat=2**12),
    Case("100 + 0.001 i", [RAMP]),
    Case("1e6, then N(0, 1)", [outlier_first()]),
    Case("+1e20, -1e20, ...", [alternating(1e20)]),
    Case("+1e30, -1e30, ...", [alternating(1e30)]),
    Case("N(0, 1e30)", [normal(0, 1e30)]),
    Case("N(0, 1e-25), eps = 0", [normal(0, 1e-25)], eps=0),
    Case("N(0, 1e-41), eps = 0", [normal(0, 1e-41)], eps=0),
    Case(f"N(3, 2), of {' '.join(map(str, LENGTHS))} values", [normal(3, 2, n) for n in LENGTHS]),
    Case("NaN within one row and at the end of another", [with_nan()]),
)
FLOAT64 = (
    Case("4096 times 0.1, eps = 0", [np.full((1, N), 0.1)], eps=0),
    Case("N(1e4, 1)", [normal(1e4, 1)]),
    Case("N(1e8, 1)", [normal(1e8, 1)]),
    Case("N(1e12, 1)", [normal(1e12, 1)]),
    Case("N(1e8, 1), 2^22 values", [normal(1e8, 1, rows=1)], repeat=2**10),
    Case("100 + 0.001 i", [RAMP]),
    Case("1e6, then N(0, 1)", [outlier_first()]),
    Case("+1e200, -1e200, ...", [alternating(1e200)]),
    Case("N(0, 1e-200), eps = 0", [normal(0, 1e-200)], eps=0),
)
VECTORS = (
    Case("`[1e30, -1e30]`", [np.array([[1e30, -1e30]])], eps=0),
    Case("`[1e-30, -1e-30]`", [np.array([[1e-30, -1e-30]])], eps=0),
    Case("`[6e20, -8e20]`", [np.array([[6e20, -8e20]])], eps=0),
    Case("a zero vector", [np.zeros((1, 8))], eps=0),
    Case("N(0, 1)", [normal(0, 1)], eps=0),
)


# --- measuring ------------------------------------------------------------------------------------


def error(y: Array, exact: Array, floor: float) -> float:
    """The largest error; NaN where one of the two is NaN and the other is not."""
    if not np.array_equal(np.isnan(y), np.isnan(exact)):
        return math.nan
    return float(np.nanmax(np.abs(y - exact) / np.maximum(floor, np.abs(exact))))


def measure(
    operation: Operation, case: Case, dtype: str, axis: int, names: Sequence[str]
) -> list[float]:
    """The errors of these libraries, the case's rows laid along `axis`."""
    norms = [operation.norms[name] for name in names]
    worst = [0.0] * len(norms)
    for array in case.arrays:
        rows = array.astype(dtype)
        exact = np.array([operation.exact(row, case.eps) for row in rows])
        x = np.tile(rows, case.repeat)
        x = np.ascontiguousarray(x.T) if axis == COLUMNS else x
        for i, norm in enumerate(norms):
            with np.errstate(all="ignore"):  # NumPy's overflows show in its errors
                y = norm(x, axis, case.eps).astype(np.float64)
            y = (y.T if axis == COLUMNS else y).reshape(len(rows), case.repeat, -1)
            largest = error(y, np.broadcast_to(exact[:, None], y.shape), operation.floor)
            worst[i] = float(np.maximum(worst[i], largest))  # NaN is worse than any number
    return worst


def text(value: float) -> str:
    if value == 0 or not value < 1e-2:
        return f"{value:.2g}".replace("nan", "NaN")
    return f"{value:.1e}".replace("e-0", "e-")


def table(
    operation: Operation, cases: Sequence[Case], dtype: str, axes: Sequence[int]
) -> tuple[list[str], bool]:
    """A Markdown table, and whether normfast kept its promise in every line of it."""
    names = installed(("normfast", "NumPy", "torch"))
    heads = [f"{name}, {LAYOUT[axis]}" for axis in axes for name in names]
    lines = ["| " + " | ".join(["", *heads]) + " |", "|---|" + "---:|" * len(heads)]
    print(lines[0])
    kept = True
    for case in cases:
        errors = [measure(operation, case, dtype, axis, names) for axis in axes]
        kept &= all(e[0] <= PROMISE[dtype] for e in errors)
        lines.append("| " + " | ".join([case.name, *(text(v) for e in errors for v in e)]) + " |")
        print(lines[-1], flush=True)
    return lines, kept


# --- the page and the picture ---------------------------------------------------------------------


def draw(path: Path) -> None:
    """Error against mean/std: a line a library, the promise dashed. A NaN ends a line."""
    import matplotlib as mpl
    import matplotlib.pyplot as plt

    mpl.rcParams.update({"svg.hashsalt": "normfast", "font.family": "DejaVu Sans", "font.size": 10})
    figure, panels = plt.subplots(1, 3, figsize=(13, 4.2), layout="constrained")
    styles = {
        "normfast": ("#e9703c", "o"),
        "NumPy": ("#3597d3", "s"),
        "torch": ("#8d6ad0", "^"),
        "onnxruntime": ("#4aab61", "v"),
        "JAX": ("#c9a227", "D"),
        "scikit-learn": ("#5f6f7f", "P"),
    }
    over_rows = installed(("NumPy", "torch", "onnxruntime", "JAX", "normfast"))
    over_columns = installed(("NumPy", "torch", "JAX", "scikit-learn", "normfast"))
    what = (
        ("float32", ROWS, 1e7, 1e-8, over_rows),
        ("float32", COLUMNS, 1e7, 1e-8, over_columns),
        ("float64", ROWS, 1e14, 1e-17, over_rows),
    )
    for panel, (dtype, axis, last, lowest, names) in zip(panels, what, strict=True):
        ratios, promise = np.geomspace(1, last, 15), PROMISE[dtype]
        # A deviation beside which eps is nothing: scikit-learn has none.
        cases = [Case("", [normal(1024 * ratio, 1024)]) for ratio in ratios]
        errors = np.array([measure(LAYER_NORM, case, dtype, axis, names) for case in cases])
        for line, name in zip(errors.T, names, strict=True):
            colour, marker = styles[name]
            panel.loglog(ratios, line, color=colour, marker=marker, markersize=4.5, label=name)
        panel.axhline(promise, color="#5f6f7f", linewidth=1, linestyle="--", zorder=0)
        label = f"promise {promise:.0e}".replace("-0", "-")
        above = {"xytext": (0, 4), "textcoords": "offset points", "ha": "right", "color": "#5f6f7f"}
        panel.annotate(label, (last, promise), **above)
        panel.set_title(f"{dtype}, {LAYOUT[axis]} of {N}", fontsize=11, weight="bold")
        panel.set(xlabel="mean / standard deviation", ylim=(lowest, 10))
        panel.grid(which="major", color="#e3e8ed", linewidth=0.8)
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("largest error of a layer norm")
    for panel in panels[:2]:
        panel.legend(frameon=False, loc="upper left", fontsize=9)
    figure.savefig(path, facecolor="white", metadata={"Date": None, "Creator": None})


def write(page: Path, lines: Sequence[str]) -> None:
    """Put the lines between the page's two markers."""
    begin, end = "<!-- tables: begin -->", "<!-- tables: end -->"
    before, rest = page.read_text(encoding="utf-8").split(begin)
    _, after = rest.split(end)
    page.write_text("\n".join([before + begin, *lines, end + after]), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument(
        "--write", action="store_true", help="renew docs/numerics.md and docs/numerics.svg"
    )
    options = parser.parse_args()

    versions = f"normfast {nf.__version__}, NumPy {np.__version__}"
    if installed(("torch",)):
        torch: Any = import_module("torch")
        versions += f", torch {torch.__version__} on {torch.get_num_threads()} threads"
    lines, kept = [f"Measured with {versions}."], True
    both = (ROWS, COLUMNS)
    for title, operation, cases, dtype, axes in (
        ("float32: layer norm over rows, and down columns", LAYER_NORM, FLOAT32, "float32", both),
        ("float64: layer norm over rows, and down columns", LAYER_NORM, FLOAT64, "float64", both),
        ("float32: unit vectors, relative error", UNIT_VECTOR, VECTORS, "float32", (ROWS,)),
    ):
        print("\n" + title)
        rows, good = table(operation, cases, dtype, axes)
        lines += ["", f"**{title}**", "", *rows]
        kept &= good
    if options.write:
        write(DOCS / "numerics.md", lines)
        draw(DOCS / "numerics.svg")
    if not kept:
        parser.exit(1, "\nnormfast BROKE its promise\n")
    print("\nnormfast kept its promise")


if __name__ == "__main__":
    main()
