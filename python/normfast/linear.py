"""Layers that normalisation is a part of: cosines in place of dot products, folded batch norm."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from numbers import Real
from operator import index
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from normfast.functional import normalize

if TYPE_CHECKING:
    from normfast.functional import _Array

__all__ = ["cosine_linear", "fold_batch_norm"]

Array = NDArray[Any]

# By name: bfloat16 is no dtype of NumPy's own.
FLOATS = ("float32", "float64", "float16", "bfloat16")


def cosine_linear(
    x: _Array,
    weight: _Array,
    bias: _Array | None = None,
    *,
    scale: float = 1.0,
    eps: float = 1e-12,
    num_threads: int | None = None,
) -> Array:
    """A linear layer of cosines: of x and each row of the weight, in place of their dot product.

    ::

        y[..., j] = scale * sum(u * w[j]) + bias[j]
        u = x / max(||x||, eps),    w[j] = weight[j] / max(||weight[j]||, eps)

    as in [1]_ and the heads of face recognition and of metric learning. Both sides are scaled by
    :func:`normalize` before the product, so that neither overflows nor underflows where x and
    weight do not. A zero vector has the cosine 0 with every other.

    Parameters
    ----------
    x : array of float32, float64, float16 or bfloat16
        (..., in_features); any number of axes from 1.
    weight : array of float32, float64, float16 or bfloat16
        (out_features, in_features).
    bias : array of float32, float64, float16 or bfloat16, shape (out_features,), optional
        Added last.
    scale : float
        What the cosines are multiplied by.
    eps : float
        The smallest norm to divide by; 0 is allowed.
    num_threads : int, optional
        At most this many threads for the norms. Those of the product are NumPy's BLAS's own.

    Returns
    -------
    y : ndarray, shape (..., out_features)
        Of the dtype of x; computed in float32, or in float64 where an argument is of float64, and
        rounded once.

    Raises
    ------
    ValueError
        A shape, scale or eps does not fit.
    TypeError
        An argument is not an array of a dtype named above.

    Notes
    -----
    The product is NumPy's, so the order of its sums, and with it the last bits, may depend on the
    batch, the threads and the machine. A cosine may exceed 1 by a few units in the last place.

    References
    ----------
    .. [1] Luo, Zhan, Xue, Wang, Ren, Yang, "Cosine normalization: using cosine similarity instead
       of dot product in neural networks", arXiv:1702.05870.

    Examples
    --------
    >>> x = np.array([[3.0, 4.0], [6e200, -8e200], [0.0, 0.0]])
    >>> nf.cosine_linear(x, np.array([[1.0, 0.0], [0.0, 2.0]]))
    array([[ 0.6,  0.8],
           [ 0.6, -0.8],
           [ 0. ,  0. ]])
    """
    name = "cosine_linear"
    x, weight = _array(name, "x", x), _array(name, "weight", weight)
    if x.ndim == 0:
        raise ValueError(f"{name}: x has no dimensions, expected at least 1")
    if weight.ndim != 2:
        raise ValueError(
            f"{name}: weight has shape {weight.shape}, expected (out_features, in_features)"
        )
    outputs, features = weight.shape
    if x.shape[-1] != features:
        raise ValueError(f"{name}: x has shape {x.shape}, expected {features} on its last axis")
    parameters = [weight]
    if bias is not None:
        bias = _array(name, "bias", bias, (outputs,))
        parameters.append(bias)
    scale = _finite(name, "scale", scale)

    double = any(array.dtype == np.float64 for array in (x, *parameters))
    dtype = np.dtype(np.float64 if double else np.float32)

    def unit(vectors: Array) -> Array:
        if double:  # float32 would be divided in float32
            vectors = vectors.astype(dtype, copy=False)
        units = normalize(vectors, axis=-1, eps=eps, dtype=dtype, num_threads=num_threads)
        return cast(Array, units)

    # NaN and infinity stay where they are; that they are met is no news.
    with _errors(name, "normalize"), np.errstate(over="ignore", invalid="ignore"):
        left = unit(x).reshape(math.prod(x.shape[:-1]), features)
        right = unit(weight)
        if scale != 1:
            fewer = left if left.size < right.size else right
            fewer *= scale
        y = np.matmul(left, right.T)
        if bias is not None:
            y += bias.astype(dtype, copy=False)
        return _rounded(y, x.dtype).reshape(*x.shape[:-1], outputs)


def fold_batch_norm(
    weight: _Array,
    bias: _Array | None,
    *,
    running_mean: _Array,
    running_var: _Array,
    bn_weight: _Array | None = None,
    bn_bias: _Array | None = None,
    eps: float = 1e-5,
    channel_axis: int = 0,
    groups: int = 1,
    flush_subnormals: bool = False,
) -> tuple[Array, Array]:
    """Weight and bias of a layer that does its own work and that of the batch norm after it.

    ::

        factor = bn_weight / sqrt(running_var + eps)
        weight * factor,    (bias - running_mean) * factor + bn_bias

    with the factor of each output channel, as in section 3.2 of [1]_: a linear layer followed by
    batch_norm in evaluation is one linear layer. A channel whose running_var + eps is 0 is divided
    by 1, as in batch_norm.

    Parameters
    ----------
    weight : array of float32, float64, float16 or bfloat16
        Of a dense layer (C, in), of a convolution (C, in / groups, ...), or with channel_axis=1 of
        a transposed convolution (in, C / groups, ...): PyTorch's and ONNX's shapes.
    bias : array of floats, shape (C,), or None
        None: the layer has no bias, as is usual before batch norm, which subtracts it again.
    running_mean, running_var : array of floats, shape (C,)
        The running statistics.
    bn_weight, bn_bias : array of floats, shape (C,), optional
        Scale and shift of the batch norm.
    eps : float
        That of the batch norm.
    channel_axis : int
        The axis of weight with the output channels.
    groups : int
        Of a grouped convolution. Where it is transposed the groups split the first axis of weight,
        and channel j of group g is output channel g * (C / groups) + j.
    flush_subnormals : bool
        Replace results that are subnormal numbers of their dtype by 0: many CPUs are slow at those,
        and training leaves them where a channel has died.

    Returns
    -------
    weight, bias : ndarray
        The shape of weight, and (C,). New arrays of the dtype of weight; computed in float64 and
        rounded once.

    Raises
    ------
    ValueError
        A shape, an axis, groups or eps does not fit.
    TypeError
        An argument is not an array of a dtype named above.

    References
    ----------
    .. [1] Jacob et al., "Quantization and training of neural networks for efficient
       integer-arithmetic-only inference", arXiv:1712.05877.

    Examples
    --------
    >>> weight = np.array([[1.0, 2.0], [3.0, 4.0]])
    >>> mean, var = np.array([1.0, 0.0]), np.array([4.0, 0.25])
    >>> folded = nf.fold_batch_norm(weight, None, running_mean=mean, running_var=var, eps=0.0)
    >>> folded
    (array([[0.5, 1. ],
           [6. , 8. ]]), array([-0.5,  0. ]))

    The layer and its batch norm are the folded layer:

    >>> x = np.array([[1.0, -1.0], [2.0, 5.0]])
    >>> nf.batch_norm(x @ weight.T, mean, var, eps=0.0) - (x @ folded[0].T + folded[1])
    array([[0., 0.],
           [0., 0.]])
    """
    name = "fold_batch_norm"
    weight = _array(name, "weight", weight)
    shape, dtype = weight.shape, weight.dtype
    if weight.ndim < 2:
        raise ValueError(f"{name}: weight has shape {shape}, expected at least 2 dimensions")
    axis, groups = _integer(name, "channel_axis", channel_axis), _integer(name, "groups", groups)
    if not -weight.ndim <= axis < weight.ndim:
        raise ValueError(
            f"{name}: channel_axis is {axis}, out of range for {weight.ndim} dimensions"
        )
    axis %= weight.ndim
    if groups != 1 and axis > 1:
        raise ValueError(
            f"{name}: groups is {groups} and channel_axis {axis}, expected channel_axis 0, or 1 "
            "for a transposed convolution"
        )
    if groups < 1 or shape[0] % groups:
        raise ValueError(
            f"{name}: groups is {groups}, expected a divisor of the {shape[0]} of weight's axis 0"
        )
    split = groups if axis == 1 else 1  # groups of inputs, each with outputs of its own
    channels = (split * shape[axis],)
    eps = _finite(name, "eps", eps)
    if eps < 0:
        raise ValueError(f"{name}: eps is {eps:g}, expected a finite number that is not negative")

    def parameter(argument: str, value: _Array | None, otherwise: float | None = None) -> Array:
        if value is None and otherwise is not None:
            return np.full(channels, otherwise)
        return _array(name, argument, value, channels).astype(np.float64)

    mean = parameter("running_mean", running_mean)
    var = parameter("running_var", running_var)
    gain = parameter("bn_weight", bn_weight, 1.0)
    shift = parameter("bn_bias", bn_bias, 0.0)
    start = parameter("bias", bias, 0.0)

    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        var += eps
        factor = gain / np.sqrt(np.where(var == 0, 1, var))
        # As an array that broadcasts to weight.
        along = [1] * weight.ndim
        along[axis] = shape[axis]
        if split == 1:
            factors = factor.reshape(along)
        else:
            along[0] = split
            factors = np.repeat(factor.reshape(along), shape[0] // split, axis=0)
        folded = _rounded(weight.astype(np.float64) * factors, dtype)
        folded_bias = _rounded((start - mean) * factor + shift, dtype)
    if flush_subnormals:
        # bfloat16 has the exponents of float32.
        limits = np.finfo(np.float32 if dtype.name == "bfloat16" else dtype)
        for result in (folded, folded_bias):
            result[np.abs(result) < dtype.type(limits.smallest_normal)] = 0
    return folded, folded_bias


def _array(
    function: str, name: str, value: _Array | None, shape: tuple[int, ...] | None = None
) -> Array:
    """An argument as a NumPy array of floats: itself, a view of its memory, or a copy."""
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"{function}: {name} is a masked array, whose mask would be ignored")
    array: Any = value
    if not isinstance(array, np.ndarray) and hasattr(array, "__dlpack__"):
        # Where NumPy cannot (bfloat16, a gradient required), the core copies or says why not.
        with suppress(BufferError, RuntimeError, TypeError, ValueError):
            array = np.from_dlpack(array)
    readable = isinstance(array, np.ndarray) and array.dtype.isnative
    if not readable or array.dtype.name not in FLOATS:
        with _errors(f"{function}: {name}", "normalize: x"):
            array = _copy(array)
    if shape is not None and array.shape != shape:
        raise ValueError(f"{function}: {name} has shape {array.shape}, expected {shape}")
    return cast(Array, array)


def _rounded(array: Array, dtype: np.dtype[Any]) -> Array:
    """Rounded once; ml_dtypes rounds float64 to bfloat16 by way of float32."""
    return array if array.dtype == dtype else _copy(array, dtype)


def _copy(array: Any, dtype: np.dtype[Any] | None = None) -> Array:
    """What the core makes of any array: one of NumPy, here divided by the norm of nothing, 1."""
    return cast(Array, normalize(array, 2, None, 0.0, where=np.zeros(1, bool), dtype=dtype))


def _finite(function: str, name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{function}: {name} must be a number, got {type(value).__name__}")
    if not math.isfinite(value):
        raise ValueError(f"{function}: {name} is {value}, expected a finite number")
    return float(value)


def _integer(function: str, name: str, value: Any) -> int:
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{function}: {name} must be an int, got {type(value).__name__}")
    return index(value)


@contextmanager
def _errors(ours: str, theirs: str) -> Iterator[None]:
    """Errors that start with `theirs`, of a function the caller did not call, start with `ours`."""
    try:
        yield
    except (TypeError, ValueError) as error:
        raise type(error)(ours + str(error).removeprefix(theirs)) from None
