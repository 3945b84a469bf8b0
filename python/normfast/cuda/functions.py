"""The operations on a GPU: signatures, documentation, and the arrays that each one has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from normfast.cuda import extension
from normfast.cuda.call import Call

if TYPE_CHECKING:
    from normfast.functional import _Activation, _Axes, _Shape

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

# Of any library: what it must have is checked when it is given.
_Array: TypeAlias = Any
_Dtype: TypeAlias = Any
_Stream: TypeAlias = Any


def mean_var(
    x: _Array,
    axis: _Axes | None = None,
    *,
    correction: float = 0,
    keepdims: bool = False,
    stream: _Stream = None,
) -> tuple[Any, Any]:
    """Mean and variance together: :func:`normfast.mean_var`, which has the formulas and sources.

    Parameters
    ----------
    x : array of float32, float16 or bfloat16 on a GPU
    axis : int or tuple of ints, optional
        The axes to reduce; None: all of them.
    correction : float
        1 gives the unbiased variance, 0 the variance of the population. Must be less than n.
    keepdims : bool
        Keep the reduced axes, with size 1.
    stream : int or stream, optional
        Where to queue the work, for arrays of a library without a current stream.

    Returns
    -------
    mean, var : array of float64, of x's library
        With no axes left, of shape ().

    Raises
    ------
    ValueError, TypeError
        As the function of the CPU; and where an array is not on x's GPU.
    """
    call = Call("mean_var", x, stream)
    return extension.mean_var(call.launch, call.x, axis, correction, keepdims)


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
    dtype: _Dtype | None = None,
    out: _Array | tuple[_Array | None, _Array | None] | None = None,
    return_stats: bool = False,
    stream: _Stream = None,
) -> Any:
    """Layer normalisation: :func:`normfast.layer_norm`, which has the formulas and sources.

    Parameters
    ----------
    x : array of float32, float16 or bfloat16 on a GPU
    normalized_shape : int or tuple of ints, optional
        The shape of the trailing axes to normalise. Give this, or `axis`, or neither: then it is
        the last axis.
    weight, bias : array of float32, float16 or bfloat16 on x's GPU, optional
        Scale and shift: the shape of the normalised axes.
    eps : float
        Added to the variance; 0 is allowed.
    axis : int or tuple of ints, optional
        The axes to normalise.
    residual : array of floats, the shape of x, optional
        Added to x first.
    activation : {"relu", "gelu", "gelu_tanh", "silu"}, optional
        Applied last.
    dtype : float dtype of any library, or its name, optional
        The dtype of y. None: that of x.
    out : array, optional
        Where to write y: x itself, the residual itself, or memory that overlaps no argument. With
        residual also a tuple (y, sum), each of them such an array or None.
    return_stats : bool
        Also return the statistics.
    stream : int or stream, optional
        Where to queue the work, for arrays of a library without a current stream.

    Returns
    -------
    y : array, the shape of x, of x's library
    sum : array
        With residual: x + residual, in the wider of their two dtypes.
    mean, rstd : array of float64
        With return_stats: the mean and 1 / sqrt(var + eps), the normalised axes kept as size 1.

    Raises
    ------
    ValueError, TypeError
        As the function of the CPU; and where an array is not on x's GPU.
    """
    call = Call("layer_norm", x, stream)
    return extension.layer_norm(
        call.launch,
        call.x,
        normalized_shape,
        call.optional("weight", weight),
        call.optional("bias", bias),
        eps,
        axis,
        call.optional("residual", residual),
        activation,
        call.dtype(dtype),
        call.out(out),
        return_stats,
    )


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
    dtype: _Dtype | None = None,
    out: _Array | tuple[_Array | None, _Array | None] | None = None,
    return_stats: bool = False,
    stream: _Stream = None,
) -> Any:
    """Root mean square norm: :func:`normfast.rms_norm`, which has the formulas and sources.

    Parameters
    ----------
    x : array of float32, float16 or bfloat16 on a GPU
    normalized_shape : int or tuple of ints, optional
        The shape of the trailing axes to normalise. Give this, or `axis`, or neither: then it is
        the last axis.
    weight : array of float32, float16 or bfloat16 on x's GPU, optional
        Scale: the shape of the normalised axes.
    eps : float, optional
        Added to the mean square; 0 is allowed. None: the machine epsilon of float32.
    axis : int or tuple of ints, optional
        The axes to normalise.
    weight_offset : float
        Added to the weight, in float32.
    residual : array of floats, the shape of x, optional
        Added to x first.
    activation : {"relu", "gelu", "gelu_tanh", "silu"}, optional
        Applied last.
    dtype : float dtype of any library, or its name, optional
        The dtype of y. None: that of x.
    out : array, optional
        Where to write y: x itself, the residual itself, or memory that overlaps no argument. With
        residual also a tuple (y, sum), each of them such an array or None.
    return_stats : bool
        Also return the statistic.
    stream : int or stream, optional
        Where to queue the work, for arrays of a library without a current stream.

    Returns
    -------
    y : array, the shape of x, of x's library
    sum : array
        With residual: x + residual, in the wider of their two dtypes.
    rstd : array of float64
        With return_stats: 1 / sqrt(mean(s**2) + eps), the normalised axes kept as size 1.

    Raises
    ------
    ValueError, TypeError
        As the function of the CPU; and where an array is not on x's GPU.
    """
    call = Call("rms_norm", x, stream)
    return extension.rms_norm(
        call.launch,
        call.x,
        normalized_shape,
        call.optional("weight", weight),
        eps,
        axis,
        weight_offset,
        call.optional("residual", residual),
        activation,
        call.dtype(dtype),
        call.out(out),
        return_stats,
    )


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
    dtype: _Dtype | None = None,
    out: _Array | None = None,
    return_stats: bool = False,
    stream: _Stream = None,
) -> Any:
    """Batch normalisation: :func:`normfast.batch_norm`, which has the formulas and sources.

    Parameters
    ----------
    x : array of float32, float16 or bfloat16 on a GPU
        (N, C, ...) by default.
    running_mean, running_var : array of floats on x's GPU, shape (C,), or None
        Evaluation needs both; training takes both, which it updates in place, or neither.
    weight, bias : array of float32, float16 or bfloat16 on x's GPU, shape (C,), optional
        Scale and shift of each channel.
    training : bool
        Normalise by the batch's own statistics.
    momentum : float, optional
        The share of the new batch in the running statistics. None: the average of all batches.
    eps : float
        Added to the variance; 0 is allowed.
    channel_axis : int or tuple of ints
        The axis that keeps its own statistics; -1 for (N, ..., C).
    running_var_correction : float
        1: running_var is the unbiased variance, 0: the population's.
    num_batches_tracked : array of int64 on x's GPU, shape (), optional
        Counts the batches: incremented in training.
    add : array of floats, the shape of x, optional
        Added after weight and bias, before the activation.
    activation : {"relu", "gelu", "gelu_tanh", "silu"}, optional
        Applied last.
    dtype : float dtype of any library, or its name, optional
        The dtype of y. None: that of x.
    out : array, optional
        Where to write y: x itself, add itself, or memory that overlaps no argument.
    return_stats : bool
        Also return the statistics.
    stream : int or stream, optional
        Where to queue the work, for arrays of a library without a current stream.

    Returns
    -------
    y : array, the shape of x, of x's library
    mean, rstd : array of float64
        With return_stats: the mean and the 1 / sqrt(var + eps) used, all but the channel axis of
        size 1.

    Raises
    ------
    ValueError, TypeError
        As the function of the CPU; and where an array is not on x's GPU. Nothing was updated.
    """
    call = Call("batch_norm", x, stream)
    return extension.batch_norm(
        call.launch,
        call.x,
        call.optional("running_mean", running_mean),
        call.optional("running_var", running_var),
        call.optional("weight", weight),
        call.optional("bias", bias),
        training,
        momentum,
        eps,
        channel_axis,
        running_var_correction,
        call.optional("num_batches_tracked", num_batches_tracked),
        call.optional("add", add),
        activation,
        call.dtype(dtype),
        call.out(out),
        return_stats,
    )


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
    dtype: _Dtype | None = None,
    out: _Array | None = None,
    return_stats: bool = False,
    stream: _Stream = None,
) -> Any:
    """Instance normalisation: :func:`normfast.instance_norm`, which has the formulas and sources.

    Parameters
    ----------
    x : array of float32, float16 or bfloat16 on a GPU
        (N, C, ...) by default.
    running_mean, running_var : array of floats on x's GPU, shape (C,), optional
        Both or neither. Updated where use_input_stats is True, used where it is False.
    weight, bias : array of float32, float16 or bfloat16 on x's GPU, shape (C,), optional
        Scale and shift of each channel.
    use_input_stats : bool
        False: normalise by the running statistics.
    momentum : float
        The share of the new batch in the running statistics.
    eps : float
        Added to the variance; 0 is allowed.
    channel_axis : int
        The channels' axis; -1 for (N, ..., C).
    add : array of floats, the shape of x, optional
        Added after weight and bias, before the activation.
    activation : {"relu", "gelu", "gelu_tanh", "silu"}, optional
        Applied last.
    dtype : float dtype of any library, or its name, optional
        The dtype of y. None: that of x.
    out : array, optional
        Where to write y: x itself, add itself, or memory that overlaps no argument.
    return_stats : bool
        Also return the statistics.
    stream : int or stream, optional
        Where to queue the work, for arrays of a library without a current stream.

    Returns
    -------
    y : array, the shape of x, of x's library
    mean, rstd : array of float64
        With return_stats: the mean and the 1 / sqrt(var + eps) used, reduced axes kept as size 1.

    Raises
    ------
    ValueError, TypeError
        As the function of the CPU; and where an array is not on x's GPU. Nothing was updated.
    """
    call = Call("instance_norm", x, stream)
    return extension.instance_norm(
        call.launch,
        call.x,
        call.optional("running_mean", running_mean),
        call.optional("running_var", running_var),
        call.optional("weight", weight),
        call.optional("bias", bias),
        use_input_stats,
        momentum,
        eps,
        channel_axis,
        call.optional("add", add),
        activation,
        call.dtype(dtype),
        call.out(out),
        return_stats,
    )


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
    dtype: _Dtype | None = None,
    out: _Array | None = None,
    return_stats: bool = False,
    stream: _Stream = None,
) -> Any:
    """Group normalisation: :func:`normfast.group_norm`, which has the formulas and sources.

    Parameters
    ----------
    x : array of float32, float16 or bfloat16 on a GPU
        (N, C, ...) by default.
    num_groups : int
        Must divide C.
    weight, bias : array of float32, float16 or bfloat16 on x's GPU, shape (C,), optional
        Scale and shift of each channel.
    eps : float
        Added to the variance; 0 is allowed.
    channel_axis : int
        The channels' axis; -1 for (N, ..., C).
    add : array of floats, the shape of x, optional
        Added after weight and bias, before the activation.
    activation : {"relu", "gelu", "gelu_tanh", "silu"}, optional
        Applied last.
    dtype : float dtype of any library, or its name, optional
        The dtype of y. None: that of x.
    out : array, optional
        Where to write y: x itself, add itself, or memory that overlaps no argument.
    return_stats : bool
        Also return the statistics.
    stream : int or stream, optional
        Where to queue the work, for arrays of a library without a current stream.

    Returns
    -------
    y : array, the shape of x, of x's library
    mean, rstd : array of float64
        With return_stats: the mean and 1 / sqrt(var + eps), (N, num_groups, 1, ...).

    Raises
    ------
    ValueError, TypeError
        As the function of the CPU; and where an array is not on x's GPU.
    """
    call = Call("group_norm", x, stream)
    return extension.group_norm(
        call.launch,
        call.x,
        num_groups,
        call.optional("weight", weight),
        call.optional("bias", bias),
        eps,
        channel_axis,
        call.optional("add", add),
        activation,
        call.dtype(dtype),
        call.out(out),
        return_stats,
    )


def normalize(
    x: _Array,
    p: float = 2.0,
    axis: _Axes | None = 1,
    eps: float = 1e-12,
    *,
    dtype: _Dtype | None = None,
    out: _Array | None = None,
    return_stats: bool = False,
    stream: _Stream = None,
) -> Any:
    """Scale vectors to unit length: :func:`normfast.normalize`, which has the formulas and sources.

    Parameters
    ----------
    x : array of float32, float16 or bfloat16 on a GPU
    p : 1, 2 or inf
        Which norm.
    axis : int or tuple of ints, optional
        The axes along which the vectors lie; None: all, one vector.
    eps : float
        The smallest norm to divide by; 0 is allowed.
    dtype : float dtype of any library, or its name, optional
        The dtype of y. None: that of x.
    out : array, optional
        Where to write y: x itself, or memory that overlaps no argument.
    return_stats : bool
        Also return the norm.
    stream : int or stream, optional
        Where to queue the work, for arrays of a library without a current stream.

    Returns
    -------
    y : array, the shape of x, of x's library
    norm : array of float64
        With return_stats: before the maximum with eps, `axis` kept as size 1.

    Raises
    ------
    ValueError, TypeError
        As the function of the CPU; and where an array is not on x's GPU.
    """
    call = Call("normalize", x, stream)
    return extension.normalize(
        call.launch, call.x, p, axis, eps, call.dtype(dtype), call.out(out), return_stats
    )


def weight_norm(
    v: _Array,
    g: _Array,
    channel_axis: _Axes | None = 0,
    *,
    dtype: _Dtype | None = None,
    out: _Array | None = None,
    return_stats: bool = False,
    stream: _Stream = None,
) -> Any:
    """Weight normalisation: :func:`normfast.weight_norm`, which has the formulas and sources.

    Parameters
    ----------
    v : array of float32, float16 or bfloat16 on a GPU
        The direction: (C, ...) by default.
    g : array of float32, float16 or bfloat16 on v's GPU
        The length, of shape (C,), or of v's axes with size 1 in all but the channel's.
    channel_axis : int or tuple of ints, optional
        The axis that keeps its own norms. None: one norm over all of v, and g has shape ().
    dtype : float dtype of any library, or its name, optional
        The dtype of w. None: that of v.
    out : array, optional
        Where to write w: v itself, or memory that overlaps no argument.
    return_stats : bool
        Also return the norm.
    stream : int or stream, optional
        Where to queue the work, for arrays of a library without a current stream.

    Returns
    -------
    w : array, the shape of v, of v's library
    norm : array of float64
        With return_stats: ||v||, the reduced axes kept as size 1.

    Raises
    ------
    ValueError, TypeError
        As the function of the CPU; and where an array is not on v's GPU.
    """
    call = Call("weight_norm", v, stream, "v")
    return extension.weight_norm(
        call.launch,
        call.x,
        call.array("g", g),
        channel_axis,
        call.dtype(dtype),
        call.out(out),
        return_stats,
    )


def standardize(
    x: _Array,
    axis: _Axes | None = 0,
    *,
    mean: _Array | None = None,
    std: _Array | None = None,
    correction: float = 0,
    dtype: _Dtype | None = None,
    out: _Array | None = None,
    return_stats: bool = False,
    stream: _Stream = None,
) -> Any:
    """Z-score: :func:`normfast.standardize`, which has the formulas and sources.

    Parameters
    ----------
    x : array of float32, float16 or bfloat16 on a GPU
    axis : int or tuple of ints, optional
        The axes of the samples; None: all. The default standardises columns.
    mean, std : array of floats on x's GPU, optional
        Statistics to use in place of x's own, both or neither, as return_stats gave them.
    correction : float
        1: the unbiased variance; 0: the population's.
    dtype : float dtype of any library, or its name, optional
        The dtype of y. None: that of x.
    out : array, optional
        Where to write y: x itself, or memory that overlaps no argument.
    return_stats : bool
        Also return the statistics.
    stream : int or stream, optional
        Where to queue the work, for arrays of a library without a current stream.

    Returns
    -------
    y : array, the shape of x, of x's library
    mean, std : array of float64
        With return_stats: the statistics used, `axis` kept as size 1.

    Raises
    ------
    ValueError, TypeError
        As the function of the CPU; and where an array is not on x's GPU.
    """
    call = Call("standardize", x, stream)
    return extension.standardize(
        call.launch,
        call.x,
        axis,
        call.optional("mean", mean),
        call.optional("std", std),
        correction,
        call.dtype(dtype),
        call.out(out),
        return_stats,
    )
