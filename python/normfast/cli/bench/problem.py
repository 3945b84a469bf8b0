"""A case with its arrays: what is reduced over what, and how the parameters broadcast."""

import math
import zlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from normfast.cli import dtypes
from normfast.cli.bench.cases import STRIDED, Case

Array = NDArray[Any]
LINE = 64  # bytes of a cache line


@dataclass(frozen=True)
class Problem:
    """Arrays of one case.

    ``view`` is x's shape, with the channels split into groups where the case has groups;
    statistics are over ``axes`` of it, and parameters broadcast as ``param_shape``.
    ``y`` is memory for the result, already touched, for everyone who can write into it;
    ``sum`` the same for x + residual. ``companions`` are read beside x, element by element:
    residual, add and where.
    """

    case: Case
    x: Array
    y: Array
    view: tuple[int, ...]
    axes: tuple[int, ...]
    param_shape: tuple[int, ...]
    params: dict[str, Array] = field(default_factory=dict)
    companions: dict[str, Array] = field(default_factory=dict)
    sum: Array | None = None

    @property
    def results(self) -> tuple[Array, ...]:
        """The memory for what is written."""
        if self.case.op == "mean_var":
            return ()
        return (self.y,) if self.sum is None else (self.y, self.sum)

    @property
    def working_set(self) -> int:
        """Bytes that have to stay in a cache for the next call to find them there."""
        read = (self.x, *self.params.values(), *self.companions.values())
        return sum(touched(array) for array in (*read, *self.results))

    def traffic(self, l2: int) -> int:
        """The fewest bytes that any algorithm moves.

        Each input is read once and each output written once; x (with a residual, the sum) is read
        twice where the statistics are needed before the first result and the data of one of them
        (a plane set, a group, a strip of columns a cache line wide) does not fit in L2.
        """
        twice = self._needs_statistics_first() and self._bytes_of_a_statistic() > l2
        again = self.x if self.sum is None else self.sum
        return self.working_set + (touched(again) if twice else 0)

    def _needs_statistics_first(self) -> bool:
        given = self.case.op == "batch_norm" and not self.case.options.training
        return not given and self.case.op not in ("mean_var", "normalize_image")

    def _bytes_of_a_statistic(self) -> int:
        """Memory under one statistic, in whole cache lines: a narrow run still costs one."""
        reduced = [axis in self.axes for axis in range(len(self.view))]
        run = 1
        for length, is_reduced in zip(reversed(self.view), reversed(reduced), strict=True):
            if is_reduced != reduced[-1]:
                break
            run *= length
        count = math.prod(self.view[axis] for axis in self.axes)
        if not reduced[-1]:
            return count * LINE
        return count // max(run, 1) * max(run * self.x.itemsize, LINE)


def touched(array: Array) -> int:
    """Bytes that come with an array's elements, as memory moves whole cache lines."""
    step = abs(array.strides[-1]) // array.itemsize if array.ndim else 1
    return array.nbytes * max(1, min(step, LINE // array.itemsize))


def arranged(values: Array, layout: str) -> Array:
    """The same values where the layout puts them: a part of an array twice as long."""
    if layout not in STRIDED:
        return values
    *rows, length = values.shape
    memory = np.full((*rows, 2 * length), 0, values.dtype)
    view = memory[..., :length] if layout == "sliced" else memory[..., ::2]
    view[...] = values
    return view


def prepare(case: Case) -> Problem:
    """Make the arrays of a case, the same ones in every run.

    All by np.empty, which asks for large pages. np.zeros does not: how fast its memory is depends
    on what was freed before.
    """
    rng = np.random.default_rng(zlib.crc32(case.title.encode()))
    dtype = dtypes.named(case.dtype)
    view, axes, param_shape = geometry(case)
    if case.op == "normalize_image":
        pixels = rng.integers(0, 256, case.shape, dtype)
        planes = np.full(np.moveaxis(pixels, -1, -3).shape, 0, dtypes.named(case.result_dtype))
        params = {name: np.array(value) for name, value in IMAGENET.items()}
        return Problem(case, pixels, planes, view, axes, param_shape, params)

    def normal(center: float = 0.0) -> Array:
        if dtype.kind in "iu":
            return arranged(rng.integers(0, 128, case.shape, dtype), case.layout)
        values = rng.standard_normal(case.shape, dtype=np.float32)
        values += np.float32(center)
        return arranged(values.astype(dtype, copy=False), case.layout)

    x = normal(0.5)
    y = np.full(case.shape, 0, dtypes.named(case.result_dtype))

    def draw(center: float, spread: float, shape: tuple[int, ...] = param_shape) -> Array:
        values = center + spread * rng.uniform(-1, 1, math.prod(shape))
        return values.astype(dtype)

    # Of integers there are only statistics and z-scores, which have no parameters.
    params = {}
    if case.op == "batch_norm":
        params |= {"running_mean": draw(0.5, 0.1), "running_var": draw(1.0, 0.2)}
    if case.op in ("batch_norm", "layer_norm", "rms_norm", "group_norm", "instance_norm"):
        params["weight"] = draw(1.0, 0.1)
    if case.op in ("batch_norm", "layer_norm", "group_norm", "instance_norm"):
        params["bias"] = draw(0.0, 0.1)
    if case.op == "weight_norm":
        params["g"] = draw(1.0, 0.1)
    companions = {name: normal() for name in ("residual", "add") if getattr(case.options, name)}
    if case.options.where is not None:
        companions["where"] = MASKS[case.options.where](rng, case.shape)
    total = np.full_like(y, 0) if case.options.residual else None
    return Problem(case, x, y, view, axes, param_shape, params, companions, total)


def padding(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """True for the first steps of each sample, for half of them at least: (N, T, 1, ...)."""
    batch, steps, *others = shape
    lengths = rng.integers((steps + 1) // 2, steps + 1, (batch, 1))
    return (np.arange(steps) < lengths).reshape(batch, steps, *(1 for _ in others))


def missing(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """True for four elements of five, and for the first of each row."""
    mask: Array = rng.random(shape, np.float32) < 0.8
    mask[..., 0] = True
    return mask


MASKS = {"padding": padding, "missing": missing}
IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}  # of pixels in 0..1


def geometry(case: Case) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """The view, its reduced axes, and the shape in which parameters broadcast against it."""
    shape, ndim = case.shape, len(case.shape)
    channel = case.options.channel_axis % ndim
    batch = 1 if channel == 0 else 0  # where an operation keeps one
    match case.op:
        case "normalize_image":
            return shape, (), only(shape, channel)
        case "batch_norm" | "weight_norm":
            return shape, without(ndim, channel), only(shape, channel)
        case "instance_norm":
            return shape, without(ndim, batch, channel), only(shape, channel)
        case "group_norm":
            groups = case.options.num_groups
            view = (*shape[:channel], groups, shape[channel] // groups, *shape[channel + 1 :])
            return view, without(ndim + 1, batch, channel), only(view, channel, channel + 1)
        case _:
            chosen = range(ndim) if case.options.axis is None else case.options.axis
            axes = tuple(sorted(axis % ndim for axis in chosen))
            return shape, axes, only(shape, *axes)


def without(ndim: int, *kept: int) -> tuple[int, ...]:
    """All axes but these."""
    return tuple(axis for axis in range(ndim) if axis not in kept)


def only(shape: tuple[int, ...], *axes: int) -> tuple[int, ...]:
    """The shape with every other axis 1."""
    return tuple(length if axis in axes else 1 for axis, length in enumerate(shape))
