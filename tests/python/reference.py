"""Slow, independent and exact enough: every operation in extended precision, on any axes.

Means are taken about a first element of each group and variances of the deviations, in two passes
of pairwise `longdouble` sums, so nothing cancels; test_reference.py holds them against fractions.
`w` is what `weights` makes of where= and sample_weight=; None: every element counts once.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[Any]
Axes = int | Sequence[int] | None
Wide = np.longdouble


@dataclass(frozen=True)
class Expected:
    """normed * weight + bias, and the statistics with reduced dimensions kept as 1."""

    normed: Array
    weight: Array
    bias: Array
    mean: Array
    var: Array
    rstd: Array
    is_affine: bool

    @property
    def y(self) -> Array:
        return self.normed * self.weight + self.bias


def all_axes(axes: Axes, ndim: int) -> tuple[int, ...]:
    if axes is None:
        return tuple(range(ndim))
    axes = (axes,) if isinstance(axes, int) else axes
    return tuple(sorted(a % ndim for a in axes))


def count(shape: Sequence[int], axes: Sequence[int]) -> int:
    return math.prod(shape[a] for a in axes)


def total(values: Array, axes: tuple[int, ...]) -> Array:
    """The sum over axes, kept as 1. NumPy adds pairwise only where they are contiguous."""
    rows = np.moveaxis(values, axes, range(values.ndim - len(axes), values.ndim))
    kept = rows.shape[: values.ndim - len(axes)]
    sums = np.ascontiguousarray(rows).reshape(*kept, count(values.shape, axes)).sum(axis=-1)
    return np.expand_dims(sums, axes)


def weights(x: Array, where: ArrayLike | None, sample_weight: ArrayLike | None = None) -> Array:
    """How much each element of x counts: 0 where it is not selected."""
    w = np.ones(x.shape, Wide) if sample_weight is None else np.asarray(sample_weight).astype(Wide)
    return np.broadcast_to(w if where is None else np.where(where, w, Wide(0)), x.shape)


def weighted_total(values: Array, axes: tuple[int, ...], w: Array | None) -> Array:
    """The weighted sum over axes, kept as 1: what does not count may be NaN."""
    if w is None:
        return total(values, axes)
    return total(w * np.where(w == 0, Wide(0), values), axes)


def weighted_count(shape: tuple[int, ...], axes: tuple[int, ...], w: Array | None) -> Any:
    return count(shape, axes) if w is None else total(w, axes)


def average(
    values: Array, axes: tuple[int, ...], w: Array | None = None, correction: float = 0
) -> Array:
    """The weighted sum over the count less the correction; 0 where nothing counts."""
    n = weighted_count(values.shape, axes, w)
    return weighted_total(values, axes, w) / np.where(n == 0, Wide(1), n - Wide(correction))


def deviations(x: Array, axes: tuple[int, ...], w: Array | None = None) -> tuple[Array, Array]:
    """Mean, and x - mean."""
    pivot = x[tuple(slice(1) if a in axes else slice(None) for a in range(x.ndim))].astype(Wide)
    if w is not None:
        pivot = average(x.astype(Wide), axes, w)
    centred = x.astype(Wide)
    centred -= pivot
    shift = average(centred, axes, w)
    centred -= shift
    return pivot + shift, centred


def inverse_root(v: Array) -> Array:
    """1/sqrt(v), where 0 gives 1."""
    return 1 / np.sqrt(np.where(v == 0, Wide(1), v))


def unless_empty(rstd: Array, axes: tuple[int, ...], w: Array | None) -> Array:
    """1 where nothing counts."""
    return rstd if w is None else np.where(total(w, axes) == 0, Wide(1), rstd)


def along(parameter: ArrayLike | None, axes: tuple[int, ...], ndim: int, default: float) -> Array:
    """A parameter of the given axes (or of all of them, broadcasting), as an array of ndim axes."""
    if parameter is None:
        return np.full((1,) * ndim, default, Wide)
    parameter = np.asarray(parameter, Wide)
    if parameter.ndim == ndim:
        return parameter
    shape = np.ones(ndim, int)
    shape[list(axes)] = parameter.shape
    return parameter.reshape(shape)


def mean_var(
    x: Array, axis: Axes = None, correction: float = 0, w: Array | None = None
) -> tuple[Array, Array]:
    axes = all_axes(axis, x.ndim)
    mean, centred = deviations(x, axes, w)
    centred *= centred
    return mean, average(centred, axes, w, correction)


def normed(
    x: Array,
    axes: tuple[int, ...],
    parameter_axes: tuple[int, ...],
    weight: Array | None = None,
    bias: Array | None = None,
    eps: float = 1e-5,
    w: Array | None = None,
) -> Expected:
    """What all operations with a mean have in common."""
    mean, centred = deviations(x, axes, w)
    var = average(centred * centred, axes, w)
    rstd = unless_empty(inverse_root(var + Wide(eps)), axes, w)
    centred *= rstd
    return Expected(
        normed=centred,
        weight=along(weight, parameter_axes, x.ndim, 1),
        bias=along(bias, parameter_axes, x.ndim, 0),
        mean=mean,
        var=var,
        rstd=rstd,
        is_affine=weight is not None or bias is not None,
    )


def layer_norm(
    x: Array,
    axis: Axes = -1,
    weight: Any = None,
    bias: Any = None,
    eps: float = 1e-5,
    w: Array | None = None,
) -> Expected:
    axes = all_axes(axis, x.ndim)
    return normed(x, axes, axes, weight, bias, eps, w)


def rms_norm(
    x: Array,
    axis: Axes = -1,
    weight: Any = None,
    eps: float | None = None,
    w: Array | None = None,
) -> Expected:
    axes = all_axes(axis, x.ndim)
    wide = x.astype(Wide)
    square = average(wide * wide, axes, w)
    if eps is None:
        eps = float(np.finfo(np.promote_types(x.dtype, np.float32)).eps)
    rstd = unless_empty(inverse_root(square + Wide(eps)), axes, w)
    zero = np.zeros_like(rstd)
    gain = along(weight, axes, x.ndim, 1)
    return Expected(wide * rstd, gain, zero, zero, square, rstd, weight is not None)


def batch_norm(
    x: Array,
    weight: Any = None,
    bias: Any = None,
    eps: float = 1e-5,
    channel_axis: Axes = 1,
    w: Array | None = None,
) -> Expected:
    """Training: with the statistics of the batch."""
    channels = all_axes(channel_axis, x.ndim)
    reduced = tuple(a for a in range(x.ndim) if a not in channels)
    return normed(x, reduced, channels, weight, bias, eps, w)


def batch_norm_with(
    x: Array,
    mean: Array,
    var: Array,
    weight: Any = None,
    bias: Any = None,
    eps: float = 1e-5,
    channel_axis: Axes = 1,
) -> Expected:
    """Evaluation: with statistics that are given."""
    channels = all_axes(channel_axis, x.ndim)
    mean = along(mean, channels, x.ndim, 0)
    var = along(var, channels, x.ndim, 1)
    rstd = inverse_root(var + Wide(eps))
    gain = along(weight, channels, x.ndim, 1)
    shift = along(bias, channels, x.ndim, 0)
    return Expected((x.astype(Wide) - mean) * rstd, gain, shift, mean, var, rstd, True)


def running(old: Array, new: Array, momentum: float) -> Array:
    """The update of a running statistic, torch's way: momentum is the share of the new."""
    return (1 - Wide(momentum)) * old.astype(Wide) + Wide(momentum) * new.reshape(old.shape)


def instance_norm(
    x: Array,
    weight: Any = None,
    bias: Any = None,
    eps: float = 1e-5,
    channel_axis: int = 1,
    w: Array | None = None,
) -> Expected:
    channels = all_axes(channel_axis, x.ndim)
    batch = 1 if channels == (0,) else 0
    reduced = tuple(a for a in range(x.ndim) if a not in (*channels, batch))
    return normed(x, reduced, channels, weight, bias, eps, w)


def group_norm(
    x: Array,
    groups: int,
    weight: Any = None,
    bias: Any = None,
    eps: float = 1e-5,
    channel_axis: int = 1,
    w: Array | None = None,
) -> Expected:
    """The channels are split in two axes, group and member; the member is reduced."""
    (channel,) = all_axes(channel_axis, x.ndim)
    batch = 1 if channel == 0 else 0
    split = x.reshape(
        *x.shape[:channel], groups, x.shape[channel] // groups, *x.shape[channel + 1 :]
    )
    w = None if w is None else w.reshape(split.shape)
    keep = (batch + (channel < batch), channel)
    reduced = tuple(a for a in range(split.ndim) if a not in keep)
    apart = normed(split, reduced, (), None, None, eps, w)
    joined = {
        name: np.squeeze(getattr(apart, name), channel + 1) for name in ("mean", "var", "rstd")
    }
    return Expected(
        normed=apart.normed.reshape(x.shape),
        weight=along(weight, (channel,), x.ndim, 1),
        bias=along(bias, (channel,), x.ndim, 0),
        is_affine=weight is not None or bias is not None,
        **joined,
    )


def norm(x: Array, axes: tuple[int, ...], p: float, w: Array | None = None) -> Array:
    wide = np.abs(x.astype(Wide))
    if w is not None:
        wide = np.where(w == 0, Wide(0), wide)
    if p == math.inf:
        return wide.max(axis=axes, keepdims=True)
    if p == 1:
        return total(wide, axes)
    return np.sqrt(total(wide * wide, axes))


def normalize(
    x: Array, p: float = 2, axis: Axes = 1, eps: float = 1e-12, w: Array | None = None
) -> tuple[Array, Array]:
    length = norm(x, all_axes(axis, x.ndim), p, w)
    bound = unless_empty(np.maximum(length, Wide(eps)), all_axes(axis, x.ndim), w)
    return x.astype(Wide) / np.where(bound == 0, Wide(1), bound), length


def weight_norm(v: Array, g: Array, channel_axis: int | None = 0) -> tuple[Array, Array]:
    channels = () if channel_axis is None else all_axes(channel_axis, v.ndim)
    length = norm(v, tuple(a for a in range(v.ndim) if a not in channels), 2)
    return v.astype(Wide) * (g.astype(Wide).reshape(length.shape) / length), length


def standardize(
    x: Array, axis: Axes = 0, correction: float = 0, w: Array | None = None
) -> tuple[Array, Array, Array]:
    axes = all_axes(axis, x.ndim)
    mean, var = mean_var(x, axes, correction, w)
    _, centred = deviations(x, axes, w)
    std = np.sqrt(var)
    return centred / np.where(std == 0, Wide(1), std), mean, std
