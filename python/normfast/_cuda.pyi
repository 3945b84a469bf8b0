# The extension module of the GPU. Its functions are those of functional.py, in the same order of
# arguments, behind a Launch; `where`, `sample_weight` and `num_threads` are not there. They queue
# kernels on the launch's stream and return: nothing waits, and all memory comes from `empty`.
#
# Arguments are checked as on the CPU: ValueError, TypeError. What CUDA itself reports is a
# RuntimeError, and so is a call where there is no driver or no device: it says why.

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, TypedDict, final

_Axes: TypeAlias = int | tuple[int, ...]

class _Device(TypedDict):
    name: str
    architecture: str  # "sm_90"
    memory: int  # bytes

class _Info(TypedDict):
    architectures: list[str]  # built: "sm_90"; "compute_90" is PTX, for those that follow
    runtime: str  # "13.0"
    driver: str | None  # the newest runtime it can run; None: no driver
    devices: list[_Device]
    why: str  # there is no device, because; else empty
    emulated: bool  # kernels run on the CPU, on arrays of the CPU: a build for tests

__version__: str

# Never raises.
def info() -> _Info: ...

# An array in a GPU's memory. `owner` keeps the memory alive and is what calls return; strides are
# in bytes; dtype is "float32", "float64", "float16", "bfloat16", "int64" (num_batches_tracked) or
# "uint8" (work space).
@final
class Array:
    def __init__(
        self,
        owner: Any,
        pointer: int,
        dtype: str,
        shape: Sequence[int],
        strides: Sequence[int],
        writable: bool = True,
    ) -> None: ...
    @property
    def owner(self) -> Any: ...
    @property
    def pointer(self) -> int: ...
    @property
    def dtype(self) -> str: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def strides(self) -> tuple[int, ...]: ...
    @property
    def writable(self) -> bool: ...

# A new array: shape, strides in bytes, dtype. Called before the first kernel is queued, for
# results, statistics (float64) and work space (uint8, one dimension, kept until the call returns:
# freed in the order of the stream).
_Empty: TypeAlias = Callable[[tuple[int, ...], tuple[int, ...], str], Array]

# What a capsule shows, whose owner keeps the memory, and its device.
def from_dlpack(owner: Any, capsule: Any) -> tuple[Array, int]: ...

# The GPU that memory is of; -1: none.
def device_of(pointer: int) -> int: ...

# Makes a stream wait for what is queued on another; nothing waits here.
def wait(device: int, stream: int, other: int) -> None: ...

# Where a call runs: a device, its stream (cudaStream_t as an int) and its allocator.
@final
class Launch:
    def __init__(self, device: int, stream: int, empty: _Empty) -> None: ...

# All return owners: y, then sum (with residual), then the statistics (with return_stats); a tuple
# where there is more than one. `out` None: a new array in x's memory order.
def mean_var(
    launch: Launch, x: Array, axis: _Axes | None, correction: float, keepdims: bool
) -> tuple[Any, Any]: ...
def layer_norm(
    launch: Launch,
    x: Array,
    normalized_shape: int | Sequence[int] | None,
    weight: Array | None,
    bias: Array | None,
    eps: float,
    axis: _Axes | None,
    residual: Array | None,
    activation: str | None,
    dtype: str | None,
    out: Array | tuple[Array | None, Array | None] | None,
    return_stats: bool,
) -> Any: ...
def rms_norm(
    launch: Launch,
    x: Array,
    normalized_shape: int | Sequence[int] | None,
    weight: Array | None,
    eps: float | None,
    axis: _Axes | None,
    weight_offset: float,
    residual: Array | None,
    activation: str | None,
    dtype: str | None,
    out: Array | tuple[Array | None, Array | None] | None,
    return_stats: bool,
) -> Any: ...
def batch_norm(
    launch: Launch,
    x: Array,
    running_mean: Array | None,
    running_var: Array | None,
    weight: Array | None,
    bias: Array | None,
    training: bool,
    momentum: float | None,
    eps: float,
    channel_axis: _Axes,
    running_var_correction: float,
    num_batches_tracked: Array | None,
    add: Array | None,
    activation: str | None,
    dtype: str | None,
    out: Array | None,
    return_stats: bool,
) -> Any: ...
def instance_norm(
    launch: Launch,
    x: Array,
    running_mean: Array | None,
    running_var: Array | None,
    weight: Array | None,
    bias: Array | None,
    use_input_stats: bool,
    momentum: float,
    eps: float,
    channel_axis: int,
    add: Array | None,
    activation: str | None,
    dtype: str | None,
    out: Array | None,
    return_stats: bool,
) -> Any: ...
def group_norm(
    launch: Launch,
    x: Array,
    num_groups: int,
    weight: Array | None,
    bias: Array | None,
    eps: float,
    channel_axis: int,
    add: Array | None,
    activation: str | None,
    dtype: str | None,
    out: Array | None,
    return_stats: bool,
) -> Any: ...
def normalize(
    launch: Launch,
    x: Array,
    p: float,
    axis: _Axes | None,
    eps: float,
    dtype: str | None,
    out: Array | None,
    return_stats: bool,
) -> Any: ...
def weight_norm(
    launch: Launch,
    v: Array,
    g: Array,
    channel_axis: _Axes | None,
    dtype: str | None,
    out: Array | None,
    return_stats: bool,
) -> Any: ...
def standardize(
    launch: Launch,
    x: Array,
    axis: _Axes | None,
    mean: Array | None,
    std: Array | None,
    correction: float,
    dtype: str | None,
    out: Array | None,
    return_stats: bool,
) -> Any: ...
