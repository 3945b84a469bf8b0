"""The calls that the tests of bits, processes and threads share: each operation in each inner form.

Large enough (2 to 4 MB of float32) for threads to share the work, with sizes that divide nothing.
"""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import normfast as nf

Array = NDArray[Any]


@dataclass(frozen=True)
class Case:
    """`call(x, **common)` returns every array that the operation writes."""

    name: str
    shape: tuple[int, ...]
    call: Callable[..., tuple[Array, ...]]

    def __str__(self) -> str:
        return self.name


def parameters(*shape: int) -> tuple[Array, Array]:
    """A weight and a bias; the same ones for the same shape."""
    rng = np.random.default_rng(sum(shape))
    return rng.uniform(0.5, 2, shape).astype(np.float32), rng.standard_normal(shape).astype(
        np.float32
    )


def layer_norm(*axes: int) -> Callable[..., tuple[Array, ...]]:
    def call(x: Array, **common: Any) -> tuple[Array, ...]:
        weight, bias = parameters(*(x.shape[a] for a in axes))
        return nf.layer_norm(x, axis=axes, weight=weight, bias=bias, return_stats=True, **common)

    return call


def rms_norm(axis: int) -> Callable[..., tuple[Array, ...]]:
    def call(x: Array, **common: Any) -> tuple[Array, ...]:
        weight, _ = parameters(x.shape[axis])
        return nf.rms_norm(x, axis=axis, weight=weight, return_stats=True, **common)

    return call


def batch_norm(channel_axis: int, training: bool = True) -> Callable[..., tuple[Array, ...]]:
    def call(x: Array, **common: Any) -> tuple[Array, ...]:
        weight, bias = parameters(x.shape[channel_axis])
        mean, var = bias.copy(), weight.copy()
        results = nf.batch_norm(
            x,
            mean,
            var,
            weight,
            bias,
            training,
            channel_axis=channel_axis,
            return_stats=True,
            **common,
        )
        return (*results, mean, var)

    return call


def instance_norm(channel_axis: int) -> Callable[..., tuple[Array, ...]]:
    def call(x: Array, **common: Any) -> tuple[Array, ...]:
        weight, bias = parameters(x.shape[channel_axis])
        return nf.instance_norm(
            x, weight=weight, bias=bias, channel_axis=channel_axis, return_stats=True, **common
        )

    return call


def group_norm(groups: int, channel_axis: int) -> Callable[..., tuple[Array, ...]]:
    def call(x: Array, **common: Any) -> tuple[Array, ...]:
        weight, bias = parameters(x.shape[channel_axis])
        return nf.group_norm(
            x, groups, weight, bias, channel_axis=channel_axis, return_stats=True, **common
        )

    return call


def normalize(p: float, axis: int) -> Callable[..., tuple[Array, ...]]:
    return lambda x, **common: nf.normalize(x, p, axis, return_stats=True, **common)


def weight_norm(channel_axis: int | None) -> Callable[..., tuple[Array, ...]]:
    def call(x: Array, **common: Any) -> tuple[Array, ...]:
        gain = np.float32([2.5]) if channel_axis is None else parameters(x.shape[channel_axis])[0]
        gain = gain.reshape(()) if channel_axis is None else gain
        return nf.weight_norm(x, gain, channel_axis, return_stats=True, **common)

    return call


def standardize(axis: int) -> Callable[..., tuple[Array, ...]]:
    return lambda x, **common: nf.standardize(x, axis, return_stats=True, **common)


def mean_var(axis: int | None) -> Callable[..., tuple[Array, ...]]:
    return lambda x, **common: nf.mean_var(x, axis, **common)


# Operations that write an array like x, so that they take `out`.
NORMALISING = [
    Case("layer_norm rows", (1237, 777), layer_norm(-1)),
    Case("layer_norm narrow rows", (90001, 9), layer_norm(-1)),
    Case("layer_norm one long row", (1, 900_007), layer_norm(-1)),
    Case("layer_norm columns", (3301, 259), layer_norm(0)),
    Case("layer_norm middle axis", (7, 67, 43, 41), layer_norm(1)),
    Case("layer_norm outer and inner axes", (23, 31, 37, 29), layer_norm(1, 3)),
    Case("rms_norm rows", (1237, 777), rms_norm(-1)),
    Case("rms_norm columns", (3301, 259), rms_norm(0)),
    Case("batch_norm planes of 3136", (5, 61, 56, 56), batch_norm(1)),
    Case("batch_norm planes of 49", (67, 259, 7, 7), batch_norm(1)),
    Case("batch_norm channels last", (11, 28, 28, 100), batch_norm(-1)),
    Case("batch_norm three channels last", (5, 241, 239, 3), batch_norm(-1)),
    Case("batch_norm features", (4099, 203), batch_norm(1)),
    Case("batch_norm evaluation, channels first", (5, 61, 56, 56), batch_norm(1, training=False)),
    Case("batch_norm evaluation, channels last", (11, 28, 28, 100), batch_norm(-1, training=False)),
    Case("instance_norm channels first", (5, 61, 56, 56), instance_norm(1)),
    Case("instance_norm channels last", (5, 56, 56, 61), instance_norm(-1)),
    Case("group_norm channels first", (5, 60, 57, 53), group_norm(12, 1)),
    Case("group_norm planes of 49", (67, 256, 7, 7), group_norm(32, 1)),
    Case("group_norm channels last", (5, 57, 53, 60), group_norm(12, -1)),
    Case("normalize rows, p=1", (1237, 777), normalize(1, -1)),
    Case("normalize rows, p=2", (1237, 777), normalize(2, -1)),
    Case("normalize rows, p=inf", (1237, 777), normalize(np.inf, -1)),
    Case("normalize columns, p=1", (3301, 259), normalize(1, 0)),
    Case("normalize columns, p=2", (3301, 259), normalize(2, 0)),
    Case("normalize columns, p=inf", (3301, 259), normalize(np.inf, 0)),
    Case("weight_norm by row", (509, 1601), weight_norm(0)),
    Case("weight_norm by column", (1601, 509), weight_norm(1)),
    Case("weight_norm whole", (901, 907), weight_norm(None)),
    Case("standardize columns", (30011, 31), standardize(0)),
    Case("standardize rows", (1237, 777), standardize(-1)),
]
STATISTICS = [
    Case("mean_var rows", (1237, 777), mean_var(-1)),
    Case("mean_var columns", (3301, 259), mean_var(0)),
    Case("mean_var of everything", (1237, 777), mean_var(None)),
]
CASES = NORMALISING + STATISTICS


@functools.cache
def noise() -> Array:
    return np.random.default_rng(1).standard_normal(max(math.prod(case.shape) for case in CASES))


def plain(shape: tuple[int, ...], dtype: np.dtype) -> Array:
    return noise()[: math.prod(shape)].reshape(shape).astype(dtype)


def far_from_zero(shape: tuple[int, ...], dtype: np.dtype) -> Array:
    return (1e4 + noise()[: math.prod(shape)]).reshape(shape).astype(dtype)


def with_spikes(shape: tuple[int, ...], dtype: np.dtype) -> Array:
    """Some statistics overflow float32 and take the careful path; their neighbours do not."""
    x = plain(shape, dtype)
    x.reshape(-1)[:: max(x.size // 5, 1)] *= 1e25
    return x


VALUES = [plain, far_from_zero, with_spikes]
