# The types of normfast.functional: dtypes in and out, and what residual and return_stats add.
# Any is returned where the dtype is asked for (dtype=), is bfloat16, or x is not of NumPy.

from collections.abc import Sequence
from typing import Any, Literal, Protocol, TypeAlias, TypeVar, overload

import numpy as np
from numpy.typing import DTypeLike, NDArray
from typing_extensions import Buffer

__all__ = [
    "batch_norm",
    "group_norm",
    "instance_norm",
    "layer_norm",
    "mean_var",
    "normalize",
    "normalize_image",
    "rms_norm",
    "standardize",
    "weight_norm",
]

class _DLPack(Protocol):
    def __dlpack__(self) -> Any: ...

_F = TypeVar("_F", bound=np.float16 | np.float32 | np.float64)
_Array: TypeAlias = NDArray[Any] | _DLPack | Buffer
_Stat: TypeAlias = NDArray[np.float64]
_Axes: TypeAlias = int | tuple[int, ...]
_Shape: TypeAlias = int | Sequence[int]
_Activation: TypeAlias = Literal["relu", "gelu", "gelu_tanh", "silu"]

@overload
def mean_var(
    x: _Array,
    axis: None = None,
    *,
    correction: float = 0,
    keepdims: Literal[False] = False,
    where: _Array | None = None,
    sample_weight: _Array | None = None,
    num_threads: int | None = None,
) -> tuple[np.float64, np.float64]: ...
@overload
def mean_var(
    x: _Array,
    axis: _Axes | None = None,
    *,
    correction: float = 0,
    keepdims: Literal[True],
    where: _Array | None = None,
    sample_weight: _Array | None = None,
    num_threads: int | None = None,
) -> tuple[_Stat, _Stat]: ...
@overload
def mean_var(
    x: _Array,
    axis: _Axes | None = None,
    *,
    correction: float = 0,
    keepdims: bool = False,
    where: _Array | None = None,
    sample_weight: _Array | None = None,
    num_threads: int | None = None,
) -> tuple[Any, Any]: ...
@overload
def layer_norm(
    x: NDArray[_F],
    normalized_shape: _Shape | None = None,
    weight: _Array | None = None,
    bias: _Array | None = None,
    eps: float = 1e-5,
    *,
    axis: _Axes | None = None,
    residual: None = None,
    activation: _Activation | None = None,
    where: _Array | None = None,
    sample_weight: _Array | None = None,
    dtype: None = None,
    out: NDArray[_F] | None = None,
    return_stats: Literal[False] = False,
    num_threads: int | None = None,
) -> NDArray[_F]: ...
@overload
def layer_norm(
    x: NDArray[_F],
    normalized_shape: _Shape | None = None,
    weight: _Array | None = None,
    bias: _Array | None = None,
    eps: float = 1e-5,
    *,
    axis: _Axes | None = None,
    residual: None = None,
    activation: _Activation | None = None,
    where: _Array | None = None,
    sample_weight: _Array | None = None,
    dtype: None = None,
    out: NDArray[_F] | None = None,
    return_stats: Literal[True],
    num_threads: int | None = None,
) -> tuple[NDArray[_F], _Stat, _Stat]: ...
@overload
def layer_norm(
    x: _Array,
    normalized_shape: _Shape | None = None,
    weight: _Array | None = None,
    bias: _Array | None = None,
    eps: float = 1e-5,
    *,
    axis: _Axes | None = None,
    residual: _Array,
    activation: _Activation | None = None,
    where: _Array | None = None,
    sample_weight: _Array | None = None,
    dtype: DTypeLike | None = None,
    out: _Array | tuple[_Array, _Array] | None = None,
    return_stats: Literal[False] = False,
    num_threads: int | None = None,
) -> tuple[NDArray[Any], NDArray[Any]]: ...
@overload
def layer_norm(
    x: _Array,
    normalized_shape: _Shape | None = None,
    weight: _Array | None = None,
    bias: _Array | None = None,
    eps: float = 1e-5,
    *,
    axis: _Axes | None = None,
    residual: _Array,
    activation: _Activation | None = None,
    where: _Array | None = None,
    sample_weight: _Array | None = None,
    dtype: DTypeLike | None = None,
    out: _Array | tuple[_Array, _Array] | None = None,
    return_stats: Literal[True],
    num_threads: int | None = None,
) -> tuple[NDArray[Any], NDArray[Any], _Stat, _Stat]: ...
@overload
def layer_norm(
    x: _Array,
    normalized_shape: _Shape | None = None,
    weight: _Array | None = None,
    bias: _Array | None = None,
    eps: float = 1e-5,
    *,
    axis: _Axes | None = None,
    residual: _Array | None = None,
    activation: _Activation | None = None,
    where: _Array | None = None,
    sample_weight: _Array | None = None,
    dtype: DTypeLike | None = None,
    out: _Array | tuple[_Array, _Array] | None = None,
    return_stats: bool = False,
    num_threads: int | None = None,
) -> Any: ...
@overload
def rms_norm(
    x: NDArray[_F],
    normalized_shape: _Shape | None = None,
    weight: _Array | None = None,
    eps: float | None = None,
    *,
    axis: _Axes | None = None,
    weight_offset: float = 0.0,
    residual: None = None,
    activation: _Activation | None = None,
    where: _Array | None = None,
    sample_weight: _Array | None = None,
    dtype: None = None,
    out: NDArray[_F] | None = None,
    return_stats: Literal[False] = False,
    num_threads: int | None = None,
) -> NDArray[_F]: ...
@overload
def rms_norm(
    x: NDArray[_F],
    normalized_shape: _Shape | None = None,
    weight: _Array | None = None,
    eps: float | None = None,
    *,
    axis: _Axes | None = None,
    weight_offset: float = 0.0,
    residual: None = None,
    activation: _Activation | None = None,
    where: _Array | None = None,
    sample_weight: _Array | None = None,
    dtype: None = None,
    out: NDArray[_F] | None = None,
    return_stats: Literal[True],
    num_threads: int | None = None,
) -> tuple[NDArray[_F], _Stat]: ...
@overload
def rms_norm(
    x: _Array,
    normalized_shape: _Shape | None = None,
    weight: _Array | None = None,
    eps: float | None = None,
    *,
    axis: _Axes | None = None,
    weight_offset: float = 0.0,
    residual: _Array,
    activation: _Activation | None = None,
    where: _Array | None = None,
    sample_weight: _Array | None = None,
    dtype: DTypeLike | None = None,
    out: _Array | tuple[_Array, _Array] | None = None,
    return_stats: Literal[False] = False,
    num_threads: int | None = None,
) -> tuple[NDArray[Any], NDArray[Any]]: ...
@overload
def rms_norm(
    x: _Array,
    normalized_shape: _Shape | None = None,
    weight: _Array | None = None,
    eps: float | None = None,
    *,
    axis: _Axes | None = None,
    weight_offset: float = 0.0,
    residual: _Array,
    activation: _Activation | None = None,
    where: _Array | None = None,
    sample_weight: _Array | None = None,
    dtype: DTypeLike | None = None,
    out: _Array | tuple[_Array, _Array] | None = None,
    return_stats: Literal[True],
    num_threads: int | None = None,
) -> tuple[NDArray[Any], NDArray[Any], _Stat]: ...
@overload
def rms_norm(
    x: _Array,
    normalized_shape: _Shape | None = None,
    weight: _Array | None = None,
    eps: float | None = None,
    *,
    axis: _Axes | None = None,
    weight_offset: float = 0.0,
    residual: _Array | None = None,
    activation: _Activation | None = None,
    where: _Array | None = None,
    sample_weight: _Array | None = None,
    dtype: DTypeLike | None = None,
    out: _Array | tuple[_Array, _Array] | None = None,
    return_stats: bool = False,
    num_threads: int | None = None,
) -> Any: ...
@overload
def batch_norm(
    x: NDArray[_F],
    running_mean: _Array | None,
    running_var: _Array | None,
    weight: _Array | None = None,
    bias: _Array | None = None,
    training: bool = False,
    momentum: float | None = 0.1,
    eps: float = 1e-5,
    *,
    channel_axis: _Axes = 1,
    running_var_correction: float = 1,
    num_batches_tracked: _Array | None = None,
    add: _Array | None = None,
    activation: _Activation | None = None,
    where: _Array | None = None,
    sample_weight: _Array | None = None,
    dtype: None = None,
    out: NDArray[_F] | None = None,
    return_stats: Literal[False] = False,
    num_threads: int | None = None,
) -> NDArray[_F]: ...
@overload
def batch_norm(
    x: NDArray[_F],
    running_mean: _Array | None,
    running_var: _Array | None,
    weight: _Array | None = None,
    bias: _Array | None = None,
    training: bool = False,
    momentum: float | None = 0.1,
    eps: float = 1e-5,
    *,
    channel_axis: _Axes = 1,
    running_var_correction: float = 1,
    num_batches_tracked: _Array | None = None,
    add: _Array | None = None,
    activation: _Activation | None = None,
    where: _Array | None = None,
    sample_weight: _Array | None = None,
    dtype: None = None,
    out: NDArray[_F] | None = None,
    return_stats: Literal[True],
    num_threads: int | None = None,
) -> tuple[NDArray[_F], _Stat, _Stat]: ...
@overload
def batch_norm(
    x: _Array,
    running_mean: _Array | None,
    running_var: _Array | None,
    weight: _Array | None = None,
    bias: _Array | None = None,
    training: bool = False,
    momentum: float | None = 0.1,
    eps: float = 1e-5,
    *,
    channel_axis: _Axes = 1,
    running_var_correction: float = 1,
    num_batches_tracked: _Array | None = None,
    add: _Array | None = None,
    activation: _Activation | None = None,
    where: _Array | None = None,
    sample_weight: _Array | None = None,
    dtype: DTypeLike | None = None,
    out: _Array | None = None,
    return_stats: bool = False,
    num_threads: int | None = None,
) -> Any: ...
@overload
def instance_norm(
    x: NDArray[_F],
    running_mean: _Array | None = None,
    running_var: _Array | None = None,
    weight: _Array | None = None,
    bias: _Array | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
    *,
    channel_axis: int = 1,
    add: _Array | None = None,
    activation: _Activation | None = None,
    where: _Array | None = None,
    sample_weight: _Array | None = None,
    dtype: None = None,
    out: NDArray[_F] | None = None,
    return_stats: Literal[False] = False,
    num_threads: int | None = None,
) -> NDArray[_F]: ...
@overload
def instance_norm(
    x: NDArray[_F],
    running_mean: _Array | None = None,
    running_var: _Array | None = None,
    weight: _Array | None = None,
    bias: _Array | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
    *,
    channel_axis: int = 1,
    add: _Array | None = None,
    activation: _Activation | None = None,
    where: _Array | None = None,
    sample_weight: _Array | None = None,
    dtype: None = None,
    out: NDArray[_F] | None = None,
    return_stats: Literal[True],
    num_threads: int | None = None,
) -> tuple[NDArray[_F], _Stat, _Stat]: ...
@overload
def instance_norm(
    x: _Array,
    running_mean: _Array | None = None,
    running_var: _Array | None = None,
    weight: _Array | None = None,
    bias: _Array | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
    *,
    channel_axis: int = 1,
    add: _Array | None = None,
    activation: _Activation | None = None,
    where: _Array | None = None,
    sample_weight: _Array | None = None,
    dtype: DTypeLike | None = None,
    out: _Array | None = None,
    return_stats: bool = False,
    num_threads: int | None = None,
) -> Any: ...
@overload
def group_norm(
    x: NDArray[_F],
    num_groups: int,
    weight: _Array | None = None,
    bias: _Array | None = None,
    eps: float = 1e-5,
    *,
    channel_axis: int = 1,
    add: _Array | None = None,
    activation: _Activation | None = None,
    where: _Array | None = None,
    sample_weight: _Array | None = None,
    dtype: None = None,
    out: NDArray[_F] | None = None,
    return_stats: Literal[False] = False,
    num_threads: int | None = None,
) -> NDArray[_F]: ...
@overload
def group_norm(
    x: NDArray[_F],
    num_groups: int,
    weight: _Array | None = None,
    bias: _Array | None = None,
    eps: float = 1e-5,
    *,
    channel_axis: int = 1,
    add: _Array | None = None,
    activation: _Activation | None = None,
    where: _Array | None = None,
    sample_weight: _Array | None = None,
    dtype: None = None,
    out: NDArray[_F] | None = None,
    return_stats: Literal[True],
    num_threads: int | None = None,
) -> tuple[NDArray[_F], _Stat, _Stat]: ...
@overload
def group_norm(
    x: _Array,
    num_groups: int,
    weight: _Array | None = None,
    bias: _Array | None = None,
    eps: float = 1e-5,
    *,
    channel_axis: int = 1,
    add: _Array | None = None,
    activation: _Activation | None = None,
    where: _Array | None = None,
    sample_weight: _Array | None = None,
    dtype: DTypeLike | None = None,
    out: _Array | None = None,
    return_stats: bool = False,
    num_threads: int | None = None,
) -> Any: ...
@overload
def normalize(
    x: NDArray[_F],
    p: float = 2.0,
    axis: _Axes | None = 1,
    eps: float = 1e-12,
    *,
    where: _Array | None = None,
    dtype: None = None,
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
    where: _Array | None = None,
    dtype: None = None,
    out: NDArray[_F] | None = None,
    return_stats: Literal[True],
    num_threads: int | None = None,
) -> tuple[NDArray[_F], _Stat]: ...
@overload
def normalize(
    x: _Array,
    p: float = 2.0,
    axis: _Axes | None = 1,
    eps: float = 1e-12,
    *,
    where: _Array | None = None,
    dtype: DTypeLike | None = None,
    out: _Array | None = None,
    return_stats: bool = False,
    num_threads: int | None = None,
) -> Any: ...
@overload
def weight_norm(
    v: NDArray[_F],
    g: _Array,
    channel_axis: _Axes | None = 0,
    *,
    dtype: None = None,
    out: NDArray[_F] | None = None,
    return_stats: Literal[False] = False,
    num_threads: int | None = None,
) -> NDArray[_F]: ...
@overload
def weight_norm(
    v: NDArray[_F],
    g: _Array,
    channel_axis: _Axes | None = 0,
    *,
    dtype: None = None,
    out: NDArray[_F] | None = None,
    return_stats: Literal[True],
    num_threads: int | None = None,
) -> tuple[NDArray[_F], _Stat]: ...
@overload
def weight_norm(
    v: _Array,
    g: _Array,
    channel_axis: _Axes | None = 0,
    *,
    dtype: DTypeLike | None = None,
    out: _Array | None = None,
    return_stats: bool = False,
    num_threads: int | None = None,
) -> Any: ...
@overload
def standardize(
    x: NDArray[_F],
    axis: _Axes | None = 0,
    *,
    mean: _Array | None = None,
    std: _Array | None = None,
    correction: float = 0,
    where: _Array | None = None,
    sample_weight: _Array | None = None,
    dtype: None = None,
    out: NDArray[_F] | None = None,
    return_stats: Literal[False] = False,
    num_threads: int | None = None,
) -> NDArray[_F]: ...
@overload
def standardize(
    x: NDArray[_F],
    axis: _Axes | None = 0,
    *,
    mean: _Array | None = None,
    std: _Array | None = None,
    correction: float = 0,
    where: _Array | None = None,
    sample_weight: _Array | None = None,
    dtype: None = None,
    out: NDArray[_F] | None = None,
    return_stats: Literal[True],
    num_threads: int | None = None,
) -> tuple[NDArray[_F], _Stat, _Stat]: ...
@overload
def standardize(
    x: _Array,
    axis: _Axes | None = 0,
    *,
    mean: _Array | None = None,
    std: _Array | None = None,
    correction: float = 0,
    where: _Array | None = None,
    sample_weight: _Array | None = None,
    dtype: DTypeLike | None = None,
    out: _Array | None = None,
    return_stats: bool = False,
    num_threads: int | None = None,
) -> Any: ...
def normalize_image(
    image: _Array,
    mean: float | Sequence[float] | _Array,
    std: float | Sequence[float] | _Array,
    *,
    scale: float | None = None,
    channel_axis: int = -1,
    out_channel_axis: int = -3,
    dtype: DTypeLike = ...,
    swap_rb: bool = False,
    out: NDArray[Any] | None = None,
    num_threads: int | None = None,
) -> NDArray[Any]: ...
