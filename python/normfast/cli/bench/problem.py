"""A case with its arrays: what is reduced over what, and how the parameters broadcast."""

import math
import zlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from normfast.cli.bench.cases import Case

Array = NDArray[Any]
LINE = 64  # bytes of a cache line


@dataclass(frozen=True)
class Problem:
    """Arrays of one case.

    ``view`` is x's shape, with the channels split into groups where the case has groups;
    statistics are over ``axes`` of it, and parameters broadcast as ``param_shape``.
    ``y`` is memory for the result, already touched, for everyone who can write into it.
    """

    case: Case
    x: Array
    y: Array
    view: tuple[int, ...]
    axes: tuple[int, ...]
    param_shape: tuple[int, ...]
    params: dict[str, Array] = field(default_factory=dict)

    @property
    def working_set(self) -> int:
        """Bytes that have to stay in a cache for the next call to find them there."""
        return self.x.nbytes + sum(p.nbytes for p in self.params.values()) + self._written()

    def traffic(self, l2: int) -> int:
        """The fewest bytes that any algorithm moves.

        Each input is read once and each output written once; x is read twice where the
        statistics are needed before the first result and their data does not fit in L2.
        """
        twice = self._needs_statistics_first() and self._bytes_of_a_statistic() > l2
        return self.working_set + (self.x.nbytes if twice else 0)

    def _written(self) -> int:
        return 0 if self.case.op == "mean_var" else self.y.nbytes

    def _needs_statistics_first(self) -> bool:
        given = self.case.op == "batch_norm" and not self.case.options.training
        return not given and self.case.op != "mean_var"

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


def prepare(case: Case) -> Problem:
    """Make the arrays of a case, the same ones in every run."""
    rng = np.random.default_rng(zlib.crc32(case.title.encode()))
    x = rng.standard_normal(case.shape, dtype=np.float32).astype(case.dtype, copy=False)
    x += x.dtype.type(0.5)
    y = np.zeros_like(x)
    view, axes, param_shape = geometry(case)

    def draw(center: float, spread: float, shape: tuple[int, ...] = param_shape) -> Array:
        values = center + spread * rng.uniform(-1, 1, math.prod(shape))
        return values.astype(x.dtype)

    params: dict[str, Array] = {}
    if case.op == "batch_norm":
        params |= {"running_mean": draw(0.5, 0.1), "running_var": draw(1.0, 0.2)}
    if case.op in ("batch_norm", "layer_norm", "rms_norm", "group_norm", "instance_norm"):
        params["weight"] = draw(1.0, 0.1)
    if case.op in ("batch_norm", "layer_norm", "group_norm", "instance_norm"):
        params["bias"] = draw(0.0, 0.1)
    if case.op == "weight_norm":
        params["g"] = draw(1.0, 0.1)
    return Problem(case, x, y, view, axes, param_shape, params)


def geometry(case: Case) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """The view, its reduced axes, and the shape in which parameters broadcast against it."""
    shape, ndim = case.shape, len(case.shape)
    channel = case.options.channel_axis % ndim
    batch = 1 if channel == 0 else 0  # where an operation keeps one
    match case.op:
        case "batch_norm" | "weight_norm":
            return shape, without(ndim, channel), only(shape, channel)
        case "instance_norm":
            return shape, without(ndim, batch, channel), only(shape, channel)
        case "group_norm":
            groups = case.options.num_groups
            view = (*shape[:channel], groups, shape[channel] // groups, *shape[channel + 1 :])
            return view, without(ndim + 1, batch, channel), only(view, channel, channel + 1)
        case _:
            axes = tuple(sorted(axis % ndim for axis in case.options.axis))
            return shape, axes, only(shape, *axes)


def without(ndim: int, *kept: int) -> tuple[int, ...]:
    """All axes but these."""
    return tuple(axis for axis in range(ndim) if axis not in kept)


def only(shape: tuple[int, ...], *axes: int) -> tuple[int, ...]:
    """The shape with every other axis 1."""
    return tuple(length if axis in axes else 1 for axis, length in enumerate(shape))
