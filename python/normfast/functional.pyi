# The types of normfast.functional: dtypes in and out, and what return_stats adds.

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "batch_norm",
    "group_norm",
    "instance_norm",
    "layer_norm",
    "mean_var",
    "normalize",
    "rms_norm",
    "standardize",
    "weight_norm",
]

_F = TypeVar("_F", bound=np.float32 | np.float64)
_Param: TypeAlias = NDArray[np.float32 | np.float64]
_Stat: TypeAlias = NDArray[np.float64]
_Axes: TypeAlias = int | tuple[int, ...]
_Shape: TypeAlias = int | Sequence[int]

@overload
def mean_var(
    x: _Param,
    axis: None = None,
    *,
    correction: float = 0,
    keepdims: Literal[False] = False,
    num_threads: int | None = None,
) -> tuple[np.float64, np.float64]: ...
@overload
def mean_var(
    x: _Param,
    axis: _Axes | None = None,
    *,
    correction: float = 0,
    keepdims: Literal[True],
    num_threads: int | None = None,
) -> tuple[_Stat, _Stat]: ...
@overload
def mean_var(
    x: _Param,
    axis: _Axes | None = None,
    *,
    correction: float = 0,
    keepdims: bool = False,
    num_threads: int | None = None,
) -> tuple[Any, Any]: ...
@overload
def layer_norm(
    x: NDArray[_F],
    normalized_shape: _Shape | None = None,
    weight: _Param | None = None,
    bias: _Param | None = None,
    eps: float = 1e-5,
    *,
    axis: _Axes | None = None,
    out: NDArray[_F] | None = None,
    return_stats: Literal[False] = False,
    num_threads: int | None = None,
) -> NDArray[_F]: ...
@overload
def layer_norm(
    x: NDArray[_F],
    normalized_shape: _Shape | None = None,
    weight: _Param | None = None,
    bias: _Param | None = None,
    eps: float = 1e-5,
    *,
    axis: _Axes | None = None,
    out: NDArray[_F] | None = None,
    return_stats: Literal[True],
    num_threads: int | None = None,
) -> tuple[NDArray[_F], _Stat, _Stat]: ...
@overload
def rms_norm(
    x: NDArray[_F],
    normalized_shape: _Shape | None = None,
    weight: _Param | None = None,
    eps: float | None = None,
    *,
    axis: _Axes | None = None,
    out: NDArray[_F] | None = None,
    return_stats: Literal[False] = False,
    num_threads: int | None = None,
) -> NDArray[_F]: ...
@overload
def rms_norm(
    x: NDArray[_F],
    normalized_shape: _Shape | None = None,
    weight: _Param | None = None,
    eps: float | None = None,
    *,
    axis: _Axes | None = None,
    out: NDArray[_F] | None = None,
    return_stats: Literal[True],
    num_threads: int | None = None,
) -> tuple[NDArray[_F], _Stat]: ...
@overload
def batch_norm(
    x: NDArray[_F],
    running_mean: _Param | None,
    running_var: _Param | None,
    weight: _Param | None = None,
    bias: _Param | None = None,
    training: bool = False,
    momentum: float | None = 0.1,
    eps: float = 1e-5,
    *,
    channel_axis: _Axes = 1,
    running_var_correction: float = 1,
    num_batches_tracked: NDArray[np.int64] | None = None,
    out: NDArray[_F] | None = None,
    return_stats: Literal[False] = False,
    num_threads: int | None = None,
) -> NDArray[_F]: ...
@overload
def batch_norm(
    x: NDArray[_F],
    running_mean: _Param | None,
    running_var: _Param | None,
    weight: _Param | None = None,
    bias: _Param | None = None,
    training: bool = False,
    momentum: float | None = 0.1,
    eps: float = 1e-5,
    *,
    channel_axis: _Axes = 1,
    running_var_correction: float = 1,
    num_batches_tracked: NDArray[np.int64] | None = None,
    out: NDArray[_F] | None = None,
    return_stats: Literal[True],
    num_threads: int | None = None,
) -> tuple[NDArray[_F], _Stat, _Stat]: ...
@overload
def instance_norm(
    x: NDArray[_F],
    running_mean: _Param | None = None,
    running_var: _Param | None = None,
    weight: _Param | None = None,
    bias: _Param | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
    *,
    channel_axis: int = 1,
    out: NDArray[_F] | None = None,
    return_stats: Literal[False] = False,
    num_threads: int | None = None,
) -> NDArray[_F]: ...
@overload
def instance_norm(
    x: NDArray[_F],
    running_mean: _Param | None = None,
    running_var: _Param | None = None,
    weight: _Param | None = None,
    bias: _Param | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
    *,
    channel_axis: int = 1,
    out: NDArray[_F] | None = None,
    return_stats: Literal[True],
    num_threads: int | None = None,
) -> tuple[NDArray[_F], _Stat, _Stat]: ...
@overload
def group_norm(
    x: NDArray[_F],
    num_groups: int,
    weight: _Param | None = None,
    bias: _Param | None = None,
    eps: float = 1e-5,
    *,
    channel_axis: int = 1,
    out: NDArray[_F] | None = None,
    return_stats: Literal[False] = False,
    num_threads: int | None = None,
) -> NDArray[_F]: ...
@overload
def group_norm(
    x: NDArray[_F],
    num_groups: int,
    weight: _Param | None = None,
    bias: _Param | None = None,
    eps: float = 1e-5,
    *,
    channel_axis: int = 1,
    out: NDArray[_F] | None = None,
    return_stats: Literal[True],
    num_threads: int | None = None,
) -> tuple[NDArray[_F], _Stat, _Stat]: ...
@overload
def normalize(
    x: NDArray[_F],
    p: float = 2.0,
    axis: _Axes | None = 1,
    eps: float = 1e-12,
    *,
    out: NDArray[_F] | None = None,
    return_stats: Literal[False] = False,
    num_threads: int | None = None,
) -> NDArray[_F]: ...
@overload
def normalize(
    x: NDArray[_F],
    p: float = 2.0,
    axis: _Axes | None = 1,
    eps: float = 1e-12,
    *,
    out: NDArray[_F] | None = None,
    return_stats: Literal[True],
    num_threads: int | None = None,
) -> tuple[NDArray[_F], _Stat]: ...
@overload
def weight_norm(
    v: NDArray[_F],
    g: _Param,
    channel_axis: _Axes | None = 0,
    *,
    out: NDArray[_F] | None = None,
    return_stats: Literal[False] = False,
    num_threads: int | None = None,
) -> NDArray[_F]: ...
@overload
def weight_norm(
    v: NDArray[_F],
    g: _Param,
    channel_axis: _Axes | None = 0,
    *,
    out: NDArray[_F] | None = None,
    return_stats: Literal[True],
    num_threads: int | None = None,
) -> tuple[NDArray[_F], _Stat]: ...
@overload
def standardize(
    x: NDArray[_F],
    axis: _Axes | None = 0,
    *,
    mean: _Param | None = None,
    std: _Param | None = None,
    correction: float = 0,
    out: NDArray[_F] | None = None,
    return_stats: Literal[False] = False,
    num_threads: int | None = None,
) -> NDArray[_F]: ...
@overload
def standardize(
    x: NDArray[_F],
    axis: _Axes | None = 0,
    *,
    mean: _Param | None = None,
    std: _Param | None = None,
    correction: float = 0,
    out: NDArray[_F] | None = None,
    return_stats: Literal[True],
    num_threads: int | None = None,
) -> tuple[NDArray[_F], _Stat, _Stat]: ...
