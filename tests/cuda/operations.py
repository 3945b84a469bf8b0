"""The calls that the tests share: each operation, in each layout; and what comes out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

import numpy as np
import reference as ref
from devices import drawn
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True)
class Call:
    """`run(module, x, *parameters, **common)`, with parameters of these shapes, returns y, ...

    `exact(x, *parameters)`: what y is, as reference.Expected or as an array whose error is
    relative; and the statistics.
    """

    name: str
    shape: tuple[int, ...]
    parameters: tuple[tuple[int, ...], ...]
    run: Callable[..., Any]
    exact: Callable[..., tuple[Any, ...]]

    def __str__(self) -> str:
        return self.name

    def draw(self, dtype: Any = np.float32) -> list[Array]:
        """The parameters: a weight around 1.25 or a bias around 0."""
        made = []
        for place, shape in enumerate(self.parameters):
            rng = np.random.default_rng(place + sum(shape))
            values = rng.standard_normal(shape) if place else rng.uniform(0.5, 2, shape)
            made.append(values.astype(dtype))
        return made


def sizes(shape: Sequence[int], axes: Sequence[int]) -> tuple[int, ...]:
    return tuple(shape[axis] for axis in axes)


def layer_norm(name: str, shape: tuple[int, ...], *axes: int) -> Call:
    def exact(x: Array, weight: Array, bias: Array) -> tuple[Any, ...]:
        found = ref.layer_norm(x, axes, weight, bias)
        return found, found.mean, found.rstd

    def run(module: Any, x: Any, weight: Any, bias: Any, **common: Any) -> Any:
        return module.layer_norm(x, weight=weight, bias=bias, axis=axes, **common)

    return Call(f"layer_norm {name}", shape, (sizes(shape, axes),) * 2, run, exact)


def rms_norm(name: str, shape: tuple[int, ...], *axes: int) -> Call:
    def exact(x: Array, weight: Array) -> tuple[Any, ...]:
        found = ref.rms_norm(x, axes, weight)
        return found, found.rstd

    def run(module: Any, x: Any, weight: Any, **common: Any) -> Any:
        return module.rms_norm(x, weight=weight, axis=axes, **common)

    return Call(f"rms_norm {name}", shape, (sizes(shape, axes),), run, exact)


def batch_norm(name: str, shape: tuple[int, ...], axis: int = 1, *, training: bool = True) -> Call:
    channels = (shape[axis],)

    def exact(x: Array, weight: Array, bias: Array) -> tuple[Any, ...]:
        if training:
            found = ref.batch_norm(x, weight, bias, channel_axis=axis)
        else:
            mean, var = bias + np.float32(2), np.float32(3) * weight
            found = ref.batch_norm_with(x, mean, var, weight, bias, channel_axis=axis)
        return found, found.mean, found.rstd

    def run(module: Any, x: Any, weight: Any, bias: Any, **common: Any) -> Any:
        mean, var = (None, None) if training else (bias + 2, 3 * weight)
        return module.batch_norm(x, mean, var, weight, bias, training, channel_axis=axis, **common)

    return Call(f"batch_norm {name}", shape, (channels,) * 2, run, exact)


def instance_norm(name: str, shape: tuple[int, ...], axis: int = 1) -> Call:
    def exact(x: Array, weight: Array, bias: Array) -> tuple[Any, ...]:
        found = ref.instance_norm(x, weight, bias, channel_axis=axis)
        return found, found.mean, found.rstd

    def run(module: Any, x: Any, weight: Any, bias: Any, **common: Any) -> Any:
        return module.instance_norm(x, weight=weight, bias=bias, channel_axis=axis, **common)

    return Call(f"instance_norm {name}", shape, ((shape[axis],),) * 2, run, exact)


def group_norm(name: str, shape: tuple[int, ...], groups: int, axis: int = 1) -> Call:
    def exact(x: Array, weight: Array, bias: Array) -> tuple[Any, ...]:
        found = ref.group_norm(x, groups, weight, bias, channel_axis=axis)
        return found, found.mean, found.rstd

    def run(module: Any, x: Any, weight: Any, bias: Any, **common: Any) -> Any:
        return module.group_norm(x, groups, weight, bias, channel_axis=axis, **common)

    return Call(f"group_norm {name}", shape, ((shape[axis],),) * 2, run, exact)


def normalize(name: str, shape: tuple[int, ...], p: float, *axes: int) -> Call:
    def exact(x: Array) -> tuple[Any, ...]:
        return ref.normalize(x, p, axes)

    def run(module: Any, x: Any, **common: Any) -> Any:
        return module.normalize(x, p, axes, **common)

    return Call(f"normalize {name}, p={p}", shape, (), run, exact)


def weight_norm(name: str, shape: tuple[int, ...], axis: int | None) -> Call:
    def exact(x: Array, g: Array) -> tuple[Any, ...]:
        return ref.weight_norm(x, g, axis)

    def run(module: Any, x: Any, g: Any, **common: Any) -> Any:
        return module.weight_norm(x, g, axis, **common)

    return Call(f"weight_norm {name}", shape, (() if axis is None else (shape[axis],),), run, exact)


def standardize(name: str, shape: tuple[int, ...], *axes: int) -> Call:
    def exact(x: Array) -> tuple[Any, ...]:
        scores, mean, std = ref.standardize(x, axes)
        return as_expected(scores), mean, std

    def run(module: Any, x: Any, **common: Any) -> Any:
        return module.standardize(x, axes, **common)

    return Call(f"standardize {name}", shape, (), run, exact)


def as_expected(normed: Array) -> ref.Expected:
    """A normalised value without weight and bias."""
    one, zero = np.ones((1,) * normed.ndim), np.zeros((1,) * normed.ndim)
    return ref.Expected(normed, one, zero, zero, one, one, is_affine=False)


# Odd sizes, in every form: what the threads of a warp, a block or a cluster share a row, and what
# is reduced by columns.
CALLS = [
    layer_norm("rows", (37, 777), -1),
    layer_norm("narrow rows", (301, 9), -1),
    layer_norm("of two axes", (5, 7, 11, 13), -2, -1),
    layer_norm("one long row", (1, 70_001), -1),
    rms_norm("rows", (37, 768), -1),
    rms_norm("narrow rows", (301, 65), -1),
    batch_norm("channels first", (3, 5, 17, 19)),
    batch_norm("small planes", (9, 33, 7, 7)),
    batch_norm("channels last", (3, 17, 19, 40), -1),
    batch_norm("three channels last", (2, 31, 33, 3), -1),
    batch_norm("features", (67, 45)),
    batch_norm("evaluation, channels first", (3, 5, 17, 19), training=False),
    batch_norm("evaluation, channels last", (3, 17, 19, 40), -1, training=False),
    instance_norm("channels first", (3, 5, 17, 19)),
    instance_norm("channels last", (3, 17, 19, 40), -1),
    group_norm("channels first", (3, 12, 17, 19), 4),
    group_norm("small planes", (5, 64, 7, 7), 8),
    group_norm("channels last", (3, 17, 19, 40), 8, -1),
    normalize("rows", (37, 777), 1, -1),
    normalize("rows", (37, 777), 2, -1),
    normalize("rows", (37, 777), inf, -1),
    normalize("columns", (67, 45), 2, 0),
    weight_norm("by row", (37, 5, 3, 3), 0),
    weight_norm("whole", (37, 45), None),
    standardize("columns", (67, 45), 0),
    standardize("rows", (37, 777), -1),
]


def sample(call: Call, dtype: Any, mean: float = 3, std: float = 2) -> Array:
    return drawn(call.shape, dtype, mean, std)
