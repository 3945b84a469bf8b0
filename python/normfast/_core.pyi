# The extension module: every argument positional, in the order of normfast.functional.

from typing import Any, TypedDict

class _Caches(TypedDict):
    L1d: int
    L2: int
    L3: int

class _Info(TypedDict):
    version: str
    cpu: str
    isa: str
    isas_available: list[str]
    isas_built: list[str]
    openmp: bool
    cuda: bool
    threads: int
    threads_why: str
    caches: _Caches

__version__: str

def info() -> _Info: ...
def keep_buffers(limit: int, /) -> int: ...
def use_isa(name: str, /) -> str: ...
def copy(x: Any, y: Any, non_temporal: bool, num_threads: int, /) -> None: ...
def mean_var(
    x: Any,
    axis: Any,
    correction: Any,
    keepdims: Any,
    where: Any,
    sample_weight: Any,
    num_threads: Any,
    /,
) -> tuple[Any, Any]: ...
def layer_norm(
    x: Any,
    normalized_shape: Any,
    weight: Any,
    bias: Any,
    eps: Any,
    axis: Any,
    residual: Any,
    activation: Any,
    where: Any,
    sample_weight: Any,
    dtype: Any,
    out: Any,
    return_stats: Any,
    num_threads: Any,
    /,
) -> Any: ...
def rms_norm(
    x: Any,
    normalized_shape: Any,
    weight: Any,
    eps: Any,
    axis: Any,
    weight_offset: Any,
    residual: Any,
    activation: Any,
    where: Any,
    sample_weight: Any,
    dtype: Any,
    out: Any,
    return_stats: Any,
    num_threads: Any,
    /,
) -> Any: ...
def batch_norm(
    x: Any,
    running_mean: Any,
    running_var: Any,
    weight: Any,
    bias: Any,
    training: Any,
    momentum: Any,
    eps: Any,
    channel_axis: Any,
    running_var_correction: Any,
    num_batches_tracked: Any,
    add: Any,
    activation: Any,
    where: Any,
    sample_weight: Any,
    dtype: Any,
    out: Any,
    return_stats: Any,
    num_threads: Any,
    /,
) -> Any: ...
def instance_norm(
    x: Any,
    running_mean: Any,
    running_var: Any,
    weight: Any,
    bias: Any,
    use_input_stats: Any,
    momentum: Any,
    eps: Any,
    channel_axis: Any,
    add: Any,
    activation: Any,
    where: Any,
    sample_weight: Any,
    dtype: Any,
    out: Any,
    return_stats: Any,
    num_threads: Any,
    /,
) -> Any: ...
def group_norm(
    x: Any,
    num_groups: Any,
    weight: Any,
    bias: Any,
    eps: Any,
    channel_axis: Any,
    add: Any,
    activation: Any,
    where: Any,
    sample_weight: Any,
    dtype: Any,
    out: Any,
    return_stats: Any,
    num_threads: Any,
    /,
) -> Any: ...
def normalize(
    x: Any,
    p: Any,
    axis: Any,
    eps: Any,
    where: Any,
    dtype: Any,
    out: Any,
    return_stats: Any,
    num_threads: Any,
    /,
) -> Any: ...
def weight_norm(
    v: Any,
    g: Any,
    channel_axis: Any,
    dtype: Any,
    out: Any,
    return_stats: Any,
    num_threads: Any,
    /,
) -> Any: ...
def standardize(
    x: Any,
    axis: Any,
    mean: Any,
    std: Any,
    correction: Any,
    where: Any,
    sample_weight: Any,
    dtype: Any,
    out: Any,
    return_stats: Any,
    num_threads: Any,
    /,
) -> Any: ...
def normalize_image(
    image: Any,
    mean: Any,
    std: Any,
    scale: Any,
    channel_axis: Any,
    out_channel_axis: Any,
    dtype: Any,
    swap_rb: Any,
    out: Any,
    num_threads: Any,
    /,
) -> Any: ...
