"""The normalisations of ONNX: a function for each operator, named and parametrised as it is.

>>> import numpy as np
>>> from normfast import onnx as nfo
>>> X = np.array([[1.0, 3.0], [10.0, 30.0]], dtype=np.float32)
>>> Y, Mean, InvStdDev = nfo.LayerNormalization(X, np.ones(2, dtype=np.float32), epsilon=0.0)
>>> Y
array([[-1.,  1.],
       [-1.,  1.]], dtype=float32)

=========================  =======  ===================================  ==========================
operator                   version  what shares a mean and a variance    outputs
=========================  =======  ===================================  ==========================
BatchNormalization         15       all but axis 1                       Y[, running_mean and _var]
LayerNormalization         17       the axes from ``axis`` on            Y, Mean, InvStdDev
RMSNormalization           23       as above; no mean is subtracted      Y
GroupNormalization         21       a group of channels of one sample    Y
GroupNormalization_18      18       as above; a scale for each group     Y
InstanceNormalization      22 (6)   one channel of one sample            output
MeanVarianceNormalization  13       ``axes``                             Y
LpNormalization            22 (1)   a vector, scaled to unit length      output
=========================  =======  ===================================  ==========================

A number in brackets is that of the first version that differs in no more than the types it takes.

Inputs are positional, attributes keywords with ONNX's defaults. The outputs are always a tuple, in
ONNX's order, also where there is one: ``(Y,) = MeanVarianceNormalization(X)``. A missing optional
input is None. All arrays are NumPy's, of float32, float64, float16 or bfloat16 (ml_dtypes).
``epsilon`` and ``momentum`` are rounded to float32, as attributes of a model are. Inputs are never
written to. Errors are those of the functions of :mod:`normfast`, by the names of ONNX.

:func:`reference_ops` gives the operators to onnx's ReferenceEvaluator; nothing else here needs the
package onnx.

Rounding
--------
Where an operator has a ``stash_type`` ONNX asks for two stages: X is cast to that type, normalised
in it, and cast back; then it is multiplied by the scale, and the bias is added, each rounded to the
type of X. So it is done here, with these two remarks:

- Of float32 with stash_type 1, and of float64 with 11, both stages are one pass, in which product
  and sum are one fused operation. It rounds once where two operations round twice: results differ
  by about a unit in the last place.
- ONNX's default stash_type of 1 has float64 normalised in float32, whose range and seven digits
  are then those of the result. stash_type=11 computes in float64.

Where an operator has no ``stash_type``, half types are widened, computed in float32, and rounded
once. That is more exact than two stages: for 2**20 normally distributed values in rows of 1024,
with random scale and bias, a third of the results differ, and their error is up to 2.2 units in the
last place of the largest term, against 0.5. :func:`normfast.layer_norm` and its kin round once.

Where variance + epsilon is 0 the formulas say 0 / 0; here the result is exactly the bias.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from numbers import Integral, Real
from typing import Any, Literal, overload

import numpy as np
from numpy.typing import NDArray

from normfast.functional import (
    batch_norm,
    group_norm,
    layer_norm,
    mean_var,
    normalize,
    rms_norm,
)

__all__ = [
    "BatchNormalization",
    "GroupNormalization",
    "GroupNormalization_18",
    "InstanceNormalization",
    "LayerNormalization",
    "LpNormalization",
    "MeanVarianceNormalization",
    "RMSNormalization",
    "reference_ops",
]

Array = NDArray[Any]

# ONNX's numbers for types of elements (TensorProto.DataType).
_TYPES = {1: "float32", 10: "float16", 11: "float64", 16: "bfloat16"}


@overload
def BatchNormalization(
    X: Array,
    scale: Array,
    B: Array,
    input_mean: Array,
    input_var: Array,
    *,
    epsilon: float = 1e-5,
    momentum: float = 0.9,
    training_mode: Literal[0] = 0,
) -> tuple[Array]: ...
@overload
def BatchNormalization(
    X: Array,
    scale: Array,
    B: Array,
    input_mean: Array,
    input_var: Array,
    *,
    epsilon: float = 1e-5,
    momentum: float = 0.9,
    training_mode: Literal[1],
) -> tuple[Array, Array, Array]: ...
@overload
def BatchNormalization(
    X: Array,
    scale: Array,
    B: Array,
    input_mean: Array,
    input_var: Array,
    *,
    epsilon: float = 1e-5,
    momentum: float = 0.9,
    training_mode: int,
) -> tuple[Array, ...]: ...
def BatchNormalization(
    X: Array,
    scale: Array,
    B: Array,
    input_mean: Array,
    input_var: Array,
    *,
    epsilon: float = 1e-5,
    momentum: float = 0.9,
    training_mode: int = 0,
) -> tuple[Array, ...]:
    """Batch normalisation, as version 15 of the operator [1]_.

    ::

        Y = (X - mean) / sqrt(var + epsilon) * scale + B

    with the mean and variance given or, in training, the mean and the population variance of X
    over every axis but 1, of which also::

        running_mean = input_mean * momentum + mean * (1 - momentum)
        running_var = input_var * momentum + var * (1 - momentum)

    Parameters
    ----------
    X : ndarray of floats
        (N, C, ...), or (N,) for one channel.
    scale, B : ndarray of floats, shape (C,)
        What each channel is multiplied by, and what is then added.
    input_mean, input_var : ndarray of floats, shape (C,)
        The statistics to use, in training those to average with.
    epsilon : float
        Added to the variance.
    momentum : float
        The share of the running statistics that is kept: torch's is 1 minus this.
    training_mode : int
        1: training; 0: not.

    Returns
    -------
    Y : ndarray
        The shape and dtype of X, rounded once.
    running_mean, running_var : ndarray, shape (C,)
        In training only. Those of an empty X are input_mean and input_var.

    Raises
    ------
    ValueError
        A shape or an attribute does not fit.
    TypeError
        An input is not an array of floats.

    References
    ----------
    .. [1] https://onnx.ai/onnx/operators/onnx__BatchNormalization.html

    Examples
    --------
    >>> X = np.array([[1.0, 10.0], [3.0, 10.0]])
    >>> one, zero = np.ones(2), np.zeros(2)
    >>> Y, running_mean, running_var = nfo.BatchNormalization(
    ...     X, one, zero, zero, one, epsilon=0.0, momentum=0.5, training_mode=1
    ... )
    >>> Y
    array([[-1.,  0.],
           [ 1.,  0.]])
    >>> running_mean, running_var
    (array([1., 5.]), array([1. , 0.5]))
    """
    name = "BatchNormalization"
    _check(name, X=X, scale=scale, B=B, input_mean=input_mean, input_var=input_var)
    if training_mode not in (0, 1):
        raise ValueError(f"{name}: training_mode is {training_mode}, expected 0 or 1")
    eps = _attribute(name, "epsilon", epsilon)
    kept = _attribute(name, "momentum", momentum)
    channels = X.shape[1:2] or (1,)
    _check_shapes(name, channels, scale=scale, B=B, input_mean=input_mean, input_var=input_var)
    data = X[:, None] if X.ndim == 1 else X
    mean, var = input_mean, input_var
    if training_mode:
        mean, var = mean.copy(), var.copy()
        if X.size == channels[0]:  # One value for each channel: two of it have the same moments.
            data = np.broadcast_to(data, (2, *data.shape[1:]))
    with _errors(name, x="X", weight="scale", bias="B", eps="epsilon"):
        y = batch_norm(
            data,
            mean,
            var,
            scale,
            B,
            training=bool(training_mode),
            momentum=1 - kept,
            eps=eps,
            running_var_correction=0,
        )
    y = y[: len(X)].reshape(X.shape)
    return (y, mean, var) if training_mode else (y,)


def LayerNormalization(
    X: Array,
    Scale: Array,
    B: Array | None = None,
    *,
    axis: int = -1,
    epsilon: float = 1e-5,
    stash_type: int = 1,
) -> tuple[Array, Array, Array]:
    """Layer normalisation, as version 17 of the operator [1]_.

    ::

        Normalized = (X - Mean) * InvStdDev,    InvStdDev = 1 / sqrt(Var + epsilon)
        Y = Normalized * Scale + B

    with the mean and the population variance over the axes from `axis` on. Normalized is computed
    in the type `stash_type` and rounded to that of X, the rest computed in that of X:
    `help(normfast.onnx)` has more on rounding.

    Parameters
    ----------
    X : ndarray of floats
    Scale, B : ndarray of floats
        Of a shape that broadcasts to X's. B is optional.
    axis : int
        The first of the axes to normalise.
    epsilon : float
        Added to the variance.
    stash_type : int
        ONNX's number of the type of the statistics and of the first stage: 1 float32, 10 float16,
        11 float64, 16 bfloat16. (ONNX allows 1 and 16.)

    Returns
    -------
    Y : ndarray
        The shape and dtype of X.
    Mean, InvStdDev : ndarray
        Of the type `stash_type`, the normalised axes kept as size 1.

    Raises
    ------
    ValueError
        A shape or an attribute does not fit.
    TypeError
        An input is not an array of floats.

    References
    ----------
    .. [1] https://onnx.ai/onnx/operators/onnx__LayerNormalization.html

    Examples
    --------
    >>> X = np.array([[1.0, 3.0], [10.0, 30.0]], dtype=np.float32)
    >>> Scale, B = np.array([1.0, 2.0], dtype=np.float32), np.array([0.5], dtype=np.float32)
    >>> Y, Mean, InvStdDev = nfo.LayerNormalization(X, Scale, B, epsilon=0.0)
    >>> Y
    array([[-0.5,  2.5],
           [-0.5,  2.5]], dtype=float32)
    >>> Mean, InvStdDev
    (array([[ 2.],
           [20.]], dtype=float32), array([[1. ],
           [0.1]], dtype=float32))
    """
    name = "LayerNormalization"
    _check(name, X=X, Scale=Scale, **({} if B is None else {"B": B}))
    axes = _axes_from(name, axis, X.ndim)
    eps = _attribute(name, "epsilon", epsilon)
    weight = _aligned(name, "Scale", Scale, X)
    bias = None if B is None else _aligned(name, "B", B, X)

    def normed(
        x: Array, dtype: np.dtype[Any], weight: Array | None = None, bias: Array | None = None
    ) -> tuple[Array, Array, Array]:
        with _errors(name, x="X", weight="Scale", bias="B", eps="epsilon"):
            y, mean, rstd = layer_norm(
                x, None, weight, bias, eps, axis=axes, dtype=dtype, return_stats=True
            )
        return y, mean, rstd

    stash = _stash(name, stash_type)
    y, mean, rstd = _in_two_stages(normed, X, stash, X.dtype, weight, bias)
    with np.errstate(over="ignore", under="ignore"):
        return y, mean.astype(stash), rstd.astype(stash)


def RMSNormalization(
    X: Array, scale: Array, *, axis: int = -1, epsilon: float = 1e-5, stash_type: int = 1
) -> tuple[Array]:
    """Root mean square normalisation, as version 23 of the operator [1]_.

    ::

        Normalized = X / sqrt(mean(X**2) + epsilon)
        Y = Normalized * scale

    with the mean over the axes from `axis` on. Normalized is computed in the type `stash_type` and
    rounded to that of X: `help(normfast.onnx)` has more on rounding.

    Parameters
    ----------
    X : ndarray of floats
    scale : ndarray of floats
        Of a shape that broadcasts to X's.
    axis : int
        The first of the axes to normalise.
    epsilon : float
        Added to the mean square.
    stash_type : int
        ONNX's number of the type of the first stage: 1 float32, 10 float16, 11 float64,
        16 bfloat16.

    Returns
    -------
    Y : ndarray
        The shape of X and, as ONNX has it, the dtype of scale.

    Raises
    ------
    ValueError
        A shape or an attribute does not fit.
    TypeError
        An input is not an array of floats.

    References
    ----------
    .. [1] https://onnx.ai/onnx/operators/onnx__RMSNormalization.html

    Examples
    --------
    >>> X = np.array([[1.0, -1.0, 7.0, 7.0]], dtype=np.float32)
    >>> (Y,) = nfo.RMSNormalization(X, np.full(1, 5.0, dtype=np.float32), epsilon=0.0)
    >>> Y
    array([[ 1., -1.,  7.,  7.]], dtype=float32)
    """
    name = "RMSNormalization"
    _check(name, X=X, scale=scale)
    axes = _axes_from(name, axis, X.ndim)
    eps = _attribute(name, "epsilon", epsilon)
    weight = _aligned(name, "scale", scale, X)

    def normed(
        x: Array, dtype: np.dtype[Any], weight: Array | None = None, _: None = None
    ) -> tuple[Array]:
        with _errors(name, x="X", weight="scale", eps="epsilon"):
            return (rms_norm(x, None, weight, eps, axis=axes, dtype=dtype),)

    (y,) = _in_two_stages(normed, X, _stash(name, stash_type), scale.dtype, weight, None)
    return (y,)


def GroupNormalization(
    X: Array,
    scale: Array,
    bias: Array,
    *,
    num_groups: int,
    epsilon: float = 1e-5,
    stash_type: int = 1,
) -> tuple[Array]:
    """Group normalisation, as version 21 of the operator [1]_: a scale for each channel.

    ::

        Y = (X - mean) / sqrt(variance + epsilon) * scale + bias

    with the mean and the population variance of each group of channels of each sample. The
    quotient is computed in the type `stash_type` and rounded to that of X, the rest computed in
    that of X: `help(normfast.onnx)` has more on rounding.

    Parameters
    ----------
    X : ndarray of floats
        (N, C, ...).
    scale, bias : ndarray of floats, shape (C,)
        What each channel is multiplied by, and what is then added.
    num_groups : int
        A divisor of C.
    epsilon : float
        Added to the variance.
    stash_type : int
        ONNX's number of the type of the first stage: 1 float32, 10 float16, 11 float64,
        16 bfloat16.

    Returns
    -------
    Y : ndarray
        The shape and dtype of X.

    Raises
    ------
    ValueError
        A shape or an attribute does not fit.
    TypeError
        An input is not an array of floats.

    See Also
    --------
    GroupNormalization_18 : with a scale for each group.

    References
    ----------
    .. [1] https://onnx.ai/onnx/operators/onnx__GroupNormalization.html

    Examples
    --------
    >>> X = np.array([[1.0, 3.0, 10.0, 30.0]], dtype=np.float32)
    >>> scale, bias = np.array([[1, 2, 3, 4], [0, 0, 0, 1]], dtype=np.float32)
    >>> (Y,) = nfo.GroupNormalization(X, scale, bias, num_groups=2, epsilon=0.0)
    >>> Y
    array([[-1.,  2., -3.,  5.]], dtype=float32)
    """
    name = "GroupNormalization"
    _check(name, X=X, scale=scale, bias=bias)
    _check_groups(name, X, num_groups)
    eps = _attribute(name, "epsilon", epsilon)
    channels = X.shape[1]
    _check_shapes(name, (channels,), scale=scale, bias=bias)
    per_channel = (channels, *[1] * (X.ndim - 2))

    def normed(
        x: Array, dtype: np.dtype[Any], weight: Array | None = None, bias: Array | None = None
    ) -> tuple[Array]:
        weight, bias = (None if a is None else a.reshape(channels) for a in (weight, bias))
        with _errors(name, x="X", weight="scale", eps="epsilon"):
            return (group_norm(x, num_groups, weight, bias, eps, dtype=dtype),)

    stash = _stash(name, stash_type)
    (y,) = _in_two_stages(
        normed, X, stash, X.dtype, scale.reshape(per_channel), bias.reshape(per_channel)
    )
    return (y,)


def GroupNormalization_18(
    X: Array, scale: Array, bias: Array, *, num_groups: int, epsilon: float = 1e-5
) -> tuple[Array]:
    """Group normalisation, as version 18 of the operator [1]_: a scale for each group.

    The formula is that of :func:`GroupNormalization`, which is version 21.

    Parameters
    ----------
    X : ndarray of floats
        (N, C, ...).
    scale, bias : ndarray of floats, shape (num_groups,)
        What each group is multiplied by, and what is then added.
    num_groups : int
        A divisor of C.
    epsilon : float
        Added to the variance.

    Returns
    -------
    Y : ndarray
        The shape and dtype of X, rounded once.

    Raises
    ------
    ValueError
        A shape or an attribute does not fit.
    TypeError
        An input is not an array of floats.

    References
    ----------
    .. [1] https://onnx.ai/onnx/operators/onnx__GroupNormalization.html

    Examples
    --------
    >>> X = np.array([[1.0, 3.0, 10.0, 30.0]])
    >>> scale, bias = np.array([2.0, 5.0]), np.array([0.0, 1.0])
    >>> (Y,) = nfo.GroupNormalization_18(X, scale, bias, num_groups=2, epsilon=0.0)
    >>> Y
    array([[-2.,  2., -4.,  6.]])
    """
    name = "GroupNormalization_18"
    _check(name, X=X, scale=scale, bias=bias)
    _check_groups(name, X, num_groups)
    eps = _attribute(name, "epsilon", epsilon)
    _check_shapes(name, (num_groups,), scale=scale, bias=bias)
    members = X.shape[1] // num_groups
    with _errors(name, x="X", weight="scale", eps="epsilon"):
        y = group_norm(
            X,
            num_groups,
            np.repeat(scale, members),
            np.repeat(bias, members),
            eps,
        )
    return (y,)


def InstanceNormalization(
    input: Array,  # noqa: A002 (ONNX's name)
    scale: Array,
    B: Array,
    *,
    epsilon: float = 1e-5,
) -> tuple[Array]:
    """Instance normalisation, as versions 6 and 22 of the operator [1]_.

    ::

        output = (input - mean) / sqrt(variance + epsilon) * scale + B

    with the mean and the population variance of each channel of each sample; of a single value
    the result is B.

    Parameters
    ----------
    input : ndarray of floats
        (N, C, ...).
    scale, B : ndarray of floats, shape (C,)
        What each channel is multiplied by, and what is then added.
    epsilon : float
        Added to the variance.

    Returns
    -------
    output : ndarray
        The shape and dtype of input, rounded once.

    Raises
    ------
    ValueError
        A shape or an attribute does not fit.
    TypeError
        An input is not an array of floats.

    References
    ----------
    .. [1] https://onnx.ai/onnx/operators/onnx__InstanceNormalization.html

    Examples
    --------
    >>> x = np.array([[[1.0, 3.0], [10.0, 30.0]]])
    >>> (output,) = nfo.InstanceNormalization(x, np.ones(2), np.array([0.0, 0.5]), epsilon=0.0)
    >>> output
    array([[[-1. ,  1. ],
            [-0.5,  1.5]]])
    """
    name = "InstanceNormalization"
    _check(name, input=input, scale=scale, B=B)
    if input.ndim < 2:
        raise ValueError(f"{name}: input has shape {input.shape}, expected (N, C, ...)")
    eps = _attribute(name, "epsilon", epsilon)
    channels = input.shape[1]
    _check_shapes(name, (channels,), scale=scale, B=B)
    with _errors(name, x="input", weight="scale", bias="B", eps="epsilon"):
        # Groups of one channel; nf.instance_norm refuses a single value.
        y = group_norm(input, max(channels, 1), scale, B, eps)
    return (y,)


def MeanVarianceNormalization(X: Array, *, axes: Sequence[int] = (0, 2, 3)) -> tuple[Array]:
    """Mean and variance normalisation, as version 13 of the operator [1]_.

    ::

        Y = (X - mean) / (std + 1e-9)

    with the mean and the population's standard deviation over `axes`, as the function that defines
    the operator says; the text leaves 1e-9 out. Where std is 0 the result is 0.

    Parameters
    ----------
    X : ndarray of floats
    axes : sequence of ints
        The axes that share a mean and a variance. None in it: all, as in ONNX's reductions.

    Returns
    -------
    Y : ndarray
        The shape and dtype of X, rounded once.

    Raises
    ------
    ValueError
        An axis does not fit.
    TypeError
        X is not an array of floats.

    References
    ----------
    .. [1] https://onnx.ai/onnx/operators/onnx__MeanVarianceNormalization.html

    Examples
    --------
    >>> X = np.array([[1.0, 3.0], [10.0, 30.0]], dtype=np.float32)
    >>> (Y,) = nfo.MeanVarianceNormalization(X, axes=[1])
    >>> Y
    array([[-1.,  1.],
           [-1.,  1.]], dtype=float32)
    """
    name = "MeanVarianceNormalization"
    _check(name, X=X)
    reduced = tuple(axes) or tuple(range(X.ndim))
    with _errors(name, x="X", axis="axes"):
        if X.size == 0:
            return (layer_norm(X, axis=reduced),)
        _, var = mean_var(X, axis=reduced, keepdims=True)
        with np.errstate(divide="ignore", invalid="ignore"):
            # std / (std + 1e-9), also where var overflows or is 0.
            share = 1 / (1 + float(np.float32(1e-9)) / np.sqrt(var))
        return (layer_norm(X, weight=share, eps=0.0, axis=reduced),)


def LpNormalization(
    input: Array,  # noqa: A002 (ONNX's name)
    *,
    axis: int = -1,
    p: int = 2,
) -> tuple[Array]:
    """Vectors of unit length, as versions 1 and 22 of the operator [1]_.

    ::

        output = input / (sum |input|**p)**(1/p)

    A zero vector stays zero.

    Parameters
    ----------
    input : ndarray of floats
    axis : int
        The axis along which the vectors lie.
    p : int
        1 or 2.

    Returns
    -------
    output : ndarray
        The shape and dtype of input, rounded once.

    Raises
    ------
    ValueError
        An attribute does not fit.
    TypeError
        input is not an array of floats.

    References
    ----------
    .. [1] https://onnx.ai/onnx/operators/onnx__LpNormalization.html

    Examples
    --------
    >>> (output,) = nfo.LpNormalization(np.array([[3.0, -4.0], [0.0, 0.0]]))
    >>> output
    array([[ 0.6, -0.8],
           [ 0. ,  0. ]])
    """
    name = "LpNormalization"
    _check(name, input=input)
    _check_integer(name, "axis", axis)
    if p not in (1, 2):
        raise ValueError(f"{name}: p is {p}, expected 1 or 2")
    with _errors(name, x="input"):
        return (normalize(input, p, axis, 0.0),)


def reference_ops() -> list[type[Any]]:
    """The operators as classes for ``onnx.reference.ReferenceEvaluator(model, new_ops=...)``.

    The evaluator then computes them by the functions here; of GroupNormalization the one that
    belongs to the model's opset. A model whose opset has another meaning of an operator
    (BatchNormalization before 9, InstanceNormalization before 6) gets a NotImplementedError.

    Returns
    -------
    list of subclasses of onnx.reference.op_run.OpRun

    Raises
    ------
    ModuleNotFoundError
        The package onnx is not installed.

    Examples
    --------
    >>> import onnx, onnx.reference
    >>> model = onnx.parser.parse_model('''
    ...     <ir_version: 10, opset_import: ["": 22]>
    ...     graph (float[N, 2] x) => (float[N, 2] y) { y = LpNormalization (x) }
    ... ''')
    >>> session = onnx.reference.ReferenceEvaluator(model, new_ops=nfo.reference_ops())
    >>> session.run(None, {"x": np.array([[3.0, -4.0]], dtype=np.float32)})
    [array([[ 0.6, -0.8]], dtype=float32)]
    """
    # The first opset of which the function here has the meaning.
    since: dict[Callable[..., tuple[Array, ...]], int] = {
        BatchNormalization: 9,
        LayerNormalization: 17,
        RMSNormalization: 23,
        GroupNormalization: 18,
        InstanceNormalization: 6,
        MeanVarianceNormalization: 9,
        LpNormalization: 1,
    }
    base = import_module("onnx.reference.op_run").OpRun
    return [_reference_op(base, function, opset) for function, opset in since.items()]


def _reference_op(
    base: type[Any], function: Callable[..., tuple[Array, ...]], since: int
) -> type[Any]:
    name = function.__name__

    def run(self: Any, *inputs: Array | None, **attributes: Any) -> tuple[Array, ...]:
        opset = self.run_params["opsets"][""]
        if opset < since:
            raise NotImplementedError(f"{name}: the model's opset is {opset}, expected {since} on")
        implementation = function
        if name == "GroupNormalization" and opset < 21:
            attributes.pop("stash_type", None)  # the evaluator knows the last version's alone
            implementation = GroupNormalization_18
        outputs = implementation(*inputs, **attributes)
        wanted = len(self.onnx_node.output)
        if wanted > len(outputs):
            raise ValueError(f"{name}: the node has {wanted} outputs, expected {len(outputs)}")
        return outputs

    return type(name, (base,), {"op_domain": "", "_run": run, "__module__": __name__})


def _in_two_stages(
    normed: Callable[..., tuple[Array, ...]],
    X: Array,
    stash: np.dtype[Any],
    result: np.dtype[Any],
    scale: Array,
    bias: Array | None,
) -> tuple[Array, ...]:
    """Y and the statistics; `normed` takes x, a dtype, and for one pass scale and bias.

    scale and bias have X's axes, or those from the channels' on.
    """
    if X.dtype == stash and result.itemsize <= stash.itemsize and stash.itemsize > 2:
        return normed(X, result, scale, bias)
    # The core widens half types to float32 itself.
    widened = stash == np.float32 and X.itemsize == 2
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        first = normed(
            X if widened else X.astype(stash, copy=False),
            X.dtype if X.itemsize < stash.itemsize else stash,
        )
        y = first[0].astype(X.dtype, copy=False) * scale
        if bias is not None:
            y = y + bias
        return y.astype(result, copy=False), *first[1:]


def _attribute(operator: str, name: str, value: Any) -> float:
    """A float as an attribute of a model has it."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{operator}: {name} must be a number, got {type(value).__name__}")
    with np.errstate(over="ignore"):
        return float(np.float32(value))


def _check_integer(operator: str, name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{operator}: {name} must be an int, got {type(value).__name__}")


def _stash(operator: str, number: int) -> np.dtype[Any]:
    if number not in _TYPES:
        listed = ", ".join(f"{key} ({name})" for key, name in _TYPES.items())
        raise ValueError(f"{operator}: stash_type is {number}, expected one of {listed}")
    if _TYPES[number] == "bfloat16":
        import_module("ml_dtypes")  # tells NumPy the name
    return np.dtype(_TYPES[number])


def _check(operator: str, **inputs: Any) -> None:
    for name, array in inputs.items():
        if not isinstance(array, np.ndarray) or isinstance(array, np.ma.MaskedArray):
            kind = type(array).__name__
            raise TypeError(f"{operator}: {name} must be a NumPy array, got {kind}")
        if array.dtype.name not in _TYPES.values() or not array.dtype.isnative:
            raise TypeError(
                f"{operator}: {name} is {array.dtype}, expected one of {', '.join(_TYPES.values())}"
            )


def _check_shapes(operator: str, shape: tuple[int, ...], **inputs: Array) -> None:
    for name, array in inputs.items():
        if array.shape != shape:
            raise ValueError(f"{operator}: {name} has shape {array.shape}, expected {shape}")


def _check_groups(operator: str, X: Array, num_groups: int) -> None:
    _check_integer(operator, "num_groups", num_groups)
    if X.ndim < 2:
        raise ValueError(f"{operator}: X has shape {X.shape}, expected (N, C, ...)")
    if num_groups < 1 or X.shape[1] % num_groups:
        raise ValueError(
            f"{operator}: num_groups is {num_groups}, expected a divisor of "
            f"the {X.shape[1]} channels"
        )


def _axes_from(operator: str, axis: int, ndim: int) -> tuple[int, ...]:
    _check_integer(operator, "axis", axis)
    if not -ndim <= axis < ndim:
        raise ValueError(f"{operator}: axis is {axis}, out of range for {ndim} dimensions")
    return tuple(range(axis % ndim, ndim))


def _aligned(operator: str, name: str, array: Array, X: Array) -> Array:
    """With as many axes as X, as broadcasting aligns them: at the end."""
    aligned = array.reshape((1,) * (X.ndim - array.ndim) + array.shape)
    fits = all(size in (1, of_x) for size, of_x in zip(aligned.shape, X.shape, strict=False))
    if aligned.ndim != X.ndim or not fits:
        raise ValueError(
            f"{operator}: {name} has shape {array.shape}, which does not broadcast to X's {X.shape}"
        )
    return aligned


@contextmanager
def _errors(operator: str, **names: str) -> Iterator[None]:
    """Errors of normfast's functions, by the names of the operator and of its inputs."""
    try:
        yield
    except (TypeError, ValueError) as error:
        argument, _, rest = str(error).partition(": ")[2].partition(" ")
        raise type(error)(f"{operator}: {names.get(argument, argument)} {rest}") from None
