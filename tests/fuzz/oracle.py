"""What an accepted call must give: in extended precision, from the formulas of the documentation.

Every value comes with the error that is allowed: infinite where nothing is promised, as for
statistics of NaN and infinity.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import ml_dtypes
import numpy as np
import reference as ref
from draw import computing_type, result_type, sum_type
from numpy.typing import NDArray
from reference import Wide

Array = NDArray[Any]

FLOAT64 = np.dtype("float64")
# The error promised for the normalised value before affine, times max(1, |value|).
PROMISE = {np.dtype("float32"): 1e-6, np.dtype("float64"): 1e-13}
ACTIVATION = {np.dtype("float32"): 3e-7, np.dtype("float64"): 1e-13}


@dataclass
class Value:
    """One array that the call returns or updates, and how far each element may be off."""

    exact: Array
    error: Array
    dtype: np.dtype


@dataclass
class Expected:
    results: list[Value]
    updated: dict[str, Value] = field(default_factory=dict)
    refusable: bool = False  # too little data was selected


@dataclass
class Moments:
    """Weighted statistics, the reduced axes kept as 1."""

    mean: Array
    var: Array  # of the population; for RMS the mean square
    centred: Array  # x - mean, 0 where x is not finite
    total: Array  # the sum of the weights
    count: Array  # how many elements were selected
    known: Array  # False where something selected is not finite
    constant: Array  # every element of the statistic is the same number


class Call:
    """The arguments of a call, as they were before it, with the types that follow from them."""

    def __init__(self, operation: str, arguments: dict[str, Any]) -> None:
        self.arguments = {
            k: int(v) if isinstance(v, np.integer) else v for k, v in arguments.items()
        }
        names = {"weight_norm": "v", "normalize_image": "image"}
        self.x = arguments[names.get(operation, "x")]
        self.compute = computing_type(self.x.dtype)
        dtype = arguments.get("dtype")
        self.result = result_type(self.x.dtype) if dtype is None else np.dtype(dtype)
        self.promise = PROMISE[self.compute]
        self.eps = float(np.finfo(self.compute).eps)
        self.tiny = float(np.finfo(self.compute).smallest_subnormal)
        self.wide = self.x.astype(Wide)

    def get(self, name: str, default: Any = None) -> Any:
        return self.arguments.get(name, default)

    def optional(self, name: str, axes: tuple[int, ...], default: float) -> Array:
        value = self.get(name)
        if value is not None and value.dtype not in (np.float32, np.float64):
            value = value.astype(np.float64)
        return ref.along(value, axes, self.x.ndim, default)

    def with_stats(self, results: list[Value], *stats: Value) -> list[Value]:
        return [*results, *stats] if self.get("return_stats") else results

    def selected(self) -> Array:
        """The weight of each element: 0 where it does not count."""
        weights = np.ones(self.x.shape, Wide)
        where, given = self.get("where"), self.get("sample_weight")
        if given is not None:
            weights = weights * given.astype(np.float64)
        if where is not None:
            weights = np.where(where, weights, Wide(0))
        return weights

    @property
    def weighted(self) -> bool:
        return self.get("sample_weight") is not None

    # --- the steps of a normalisation

    def moments(
        self, axes: tuple[int, ...], wide: Array, weights: Array, about_zero: bool = False
    ) -> Moments:
        counts, finite = weights > 0, np.isfinite(wide)
        values = np.where(finite, wide, Wide(0))
        total = ref.total(weights, axes)
        some = np.where(total == 0, Wide(1), total)
        mean = np.zeros_like(total)
        for _ in range(0 if about_zero else 2):  # once more, of what rounding left
            shift = ref.total(weights * np.where(counts, values, Wide(0)), axes) / some
            values, mean = values - shift, mean + shift
        everything = {"axis": axes, "keepdims": True}
        return Moments(
            mean=mean,
            var=ref.total(weights * values * values, axes) / some,
            centred=values,
            total=total,
            count=counts.sum(**everything),
            known=np.all(finite | ~counts, **everything),
            constant=wide.max(**everything, initial=-np.inf)
            == wide.min(**everything, initial=np.inf),
        )

    def scaled(self, m: Moments, rstd: Array) -> tuple[Array, Array]:
        """The normalised value and its promised error."""
        normed = m.centred * rstd
        # Beyond a mean of a million deviations float32 promises less, and so do weights in float64.
        limit = 1e6 if self.compute == np.float32 else 1e12 if not self.weighted else 1e3
        strained = np.maximum(1, np.abs(m.mean) * rstd / limit)
        error = self.promise * np.maximum(1, np.abs(normed)) * strained
        if not self.weighted:
            error = np.where(m.constant & (self.get("where") is None), Wide(0), error)
        return normed, np.where(m.known, error, np.inf)

    def finish(self, normed: Array, error: Array, weight: Array, bias: Array) -> Value:
        """Affine, add=, activation and the rounding to the result's type."""
        offset = Wide(self.get("weight_offset", 0) if self.get("weight") is not None else 0)
        size = np.abs(normed) * (np.abs(weight) + np.abs(offset)) + np.abs(bias)
        weight = weight + offset
        y = normed * weight + bias
        error = error * np.abs(weight) + 4 * self.eps * size
        error = error + 4 * self.tiny * np.maximum(1, np.abs(weight))
        size = np.maximum(size, np.abs(normed))
        add = self.get("add")
        if add is not None:
            y = y + add.astype(np.float64)
            error = error + 4 * self.eps * np.abs(add.astype(np.float64))
        # What is larger on the way than the computing type reaches may be infinite.
        reach = np.maximum(size, np.abs(y)) + error
        error = np.where(reach < float(np.finfo(self.compute).max), error, np.inf)
        activation = self.get("activation")
        if activation is not None:
            y = ACTIVATIONS[activation](y)
            error = 1.13 * error
            if activation != "relu":
                error = error + ACTIVATION[self.compute] * np.maximum(1, np.abs(y))
        # What is not finite is judged elsewhere.
        y = np.broadcast_to(y, self.x.shape)
        error = np.where(np.isfinite(self.wide), error, np.inf)
        return self.rounded(y, np.broadcast_to(error, self.x.shape))

    def rounded(self, y: Array, error: Array) -> Value:
        return rounded(y, error, self.result)

    def stats_error(self, m: Moments, rstd: Array) -> tuple[Value, Value]:
        """The mean and rstd that are returned."""
        strained = np.maximum(1, np.abs(m.mean) * rstd / 1e6)
        lost = np.where(m.known, Wide(0), np.inf)
        strict = self.promise * (np.sqrt(m.var) * (1 + strained) + np.abs(m.mean) * 1e-9)
        return (
            rounded(m.mean, strict + 4e-16 * np.abs(m.mean) + 1e-323 + lost, FLOAT64),
            rounded(rstd, 4 * self.promise * strained * rstd + lost, FLOAT64),
        )


def reshaped(v: Value, shape: Sequence[int]) -> Value:
    return Value(v.exact.reshape(shape), v.error.reshape(shape), v.dtype)


def rounded(y: Array, error: Array, dtype: np.dtype) -> Value:
    limits = ml_dtypes.finfo(dtype)
    error = error + 0.501 * (float(limits.eps) * np.abs(y) + float(limits.smallest_subnormal))
    # Where the type ends the result may be infinite.
    error = np.where(np.abs(y) + error > float(limits.max), np.inf, error)
    return Value(np.asarray(y), np.asarray(error), dtype)


# --- activations


def erfc(x: Array) -> Array:
    flat = [math.erfc(v) if math.isfinite(v) else float(v < 0) * 2 for v in x.ravel().tolist()]
    return np.array(flat, Wide).reshape(x.shape)


def gelu(x: Array) -> Array:
    return Wide(0.5) * x * erfc(-(x / np.sqrt(Wide(2))).astype(np.float64))


def gelu_tanh(x: Array) -> Array:
    inner = np.sqrt(Wide(2) / Wide(np.pi)) * (x + Wide(0.044715) * x * x * x)
    return x / (1 + np.exp(-2 * inner))  # 0.5 (1 + tanh z) = 1 / (1 + exp(-2z))


def silu(x: Array) -> Array:
    return x / (1 + np.exp(-x))


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "relu": lambda x: np.maximum(x, 0),
    "gelu": gelu,
    "gelu_tanh": gelu_tanh,
    "silu": silu,
}


# --- operations


def mean_var(call: Call) -> Expected:
    axes = ref.all_axes(call.get("axis"), call.x.ndim)
    m = call.moments(axes, call.wide, call.selected())
    freedom = m.total - call.get("correction", 0)
    short = (freedom <= 0) & (m.count > 0)
    var = m.var * m.total / np.where(freedom <= 0, Wide(1), freedom)
    exact = call.x.dtype in (np.uint8, np.int8) and not call.weighted
    promise = 1e-14 if exact else 2 * call.promise
    lost = np.where(m.known & ~short, Wide(0), np.inf)
    strained = np.maximum(1, np.abs(m.mean) / (np.sqrt(m.var) + 1e-300) / 1e6)
    if exact:
        strained = np.ones_like(strained)
    mean_error = promise * np.sqrt(m.var) * strained + 4e-16 * np.abs(m.mean) + 5e-324 + lost
    var_error = (2 * promise * strained + 8e-16) * var + 5e-324 + lost
    strange = np.sqrt(m.var) < np.abs(m.mean) * 1e-12
    if not exact:
        var_error = np.where(strange & (m.var > 0), np.inf, var_error)
    values = [rounded(m.mean, mean_error, FLOAT64), rounded(var, var_error, FLOAT64)]
    if not call.get("keepdims"):
        values = [reshaped(v, np.squeeze(v.exact, axes).shape) for v in values]
    return Expected(values, refusable=bool(np.any(short)) or bool(np.any(freedom <= 0)))


def trailing(call: Call) -> tuple[int, ...]:
    shape = call.get("normalized_shape")
    if shape is not None:
        return tuple(range(call.x.ndim - np.size(shape), call.x.ndim))
    axis = call.get("axis")
    return ref.all_axes(-1 if axis is None else axis, call.x.ndim)


def add_residual(call: Call) -> list[Value]:
    """x becomes the sum in the computing type; what is returned of it."""
    residual = call.get("residual")
    if residual is None:
        return []
    total = call.x.astype(call.compute) + residual.astype(call.compute)
    call.wide = total.astype(Wide)
    error = np.where(np.isfinite(call.wide), 0, np.inf)
    return [rounded(call.wide, error, sum_type(call.x.dtype, residual.dtype))]


def layer_norm(call: Call, rms: bool = False) -> Expected:
    axes = trailing(call)
    sums = add_residual(call)
    m = call.moments(axes, call.wide, call.selected(), about_zero=rms)
    eps = call.get("eps", None if rms else 1e-5)
    eps = call.eps if eps is None else eps
    nothing = m.total == 0
    rstd = np.where(nothing, Wide(1), ref.inverse_root(m.var + Wide(eps)))
    normed, error = call.scaled(m, rstd)
    y = call.finish(normed, error, call.optional("weight", axes, 1), call.optional("bias", axes, 0))
    stats = call.stats_error(m, rstd)
    return Expected(call.with_stats([y, *sums], *stats[rms:]))


def rms_norm(call: Call) -> Expected:
    return layer_norm(call, rms=True)


def given(call: Call, mean: Array, var: Array, eps: float) -> tuple[Array, Array, Array, Moments]:
    """Evaluation, by running statistics."""
    rstd = ref.inverse_root(var + Wide(eps))
    centred = np.where(np.isfinite(call.wide), call.wide, Wide(0)) - mean
    yes = np.ones(rstd.shape, bool)
    m = Moments(mean, var, centred, yes * Wide(1), yes * 1, known=yes, constant=~yes)
    normed, error = call.scaled(m, rstd)
    return normed, error, rstd, m


def channels(call: Call, axes: tuple[int, ...], reduced: tuple[int, ...], own: bool) -> Expected:
    """Batch and instance norm."""
    eps = call.get("eps", 1e-5)
    weight, bias = call.optional("weight", axes, 1), call.optional("bias", axes, 0)
    if not own:
        mean, var = call.optional("running_mean", axes, 0), call.optional("running_var", axes, 1)
        normed, error, rstd, m = given(call, mean, var, eps)
        y = call.finish(normed, error, weight, bias)
        return Expected(call.with_stats([y], *call.stats_error(m, rstd)))
    m = call.moments(reduced, call.wide, call.selected())
    rstd = np.where(m.total == 0, Wide(1), ref.inverse_root(m.var + Wide(eps)))
    normed, error = call.scaled(m, rstd)
    y = call.finish(normed, error, weight, bias)
    freedom = m.total - call.get("running_var_correction", 1)
    few = bool(np.any((m.count == 1) | (m.count > 0) & (freedom <= 0)))
    expected = Expected(call.with_stats([y], *call.stats_error(m, rstd)), refusable=few)
    if call.x.size:
        update(call, expected, axes, m)
    return expected


def update(call: Call, expected: Expected, axes: tuple[int, ...], m: Moments) -> None:
    """Running statistics: the average over what a channel still has of samples."""
    tracked = call.get("num_batches_tracked")
    momentum = call.get("momentum", 0.1)
    if tracked is not None:
        count = tracked + 1
        expected.updated["num_batches_tracked"] = Value(
            np.asarray(count), np.zeros((), Wide), tracked.dtype
        )
        momentum = 1 / Wide(count) if momentum is None else momentum
    if call.get("running_mean") is None:
        return
    correction = call.get("running_var_correction", 1)
    freedom = m.total - correction
    var = m.var * m.total / np.where(freedom <= 0, Wide(1), freedom)
    others = tuple(a for a in range(m.mean.ndim) if a not in axes)
    some = m.total > 0
    whole = np.all(some, axis=others, keepdims=True)
    none = ~np.any(some, axis=others, keepdims=True)
    known = np.all(m.known & ((freedom > 0) | ~some), axis=others, keepdims=True)
    # float32 promises little of a mean beyond a million deviations.
    deviation = np.sqrt(m.var.min(axis=others, keepdims=True, initial=np.inf))
    known &= np.abs(m.mean).max(axis=others, keepdims=True, initial=0) <= 1e6 * deviation
    for name, value in (("running_mean", m.mean), ("running_var", var)):
        buffer, old = call.get(name), call.optional(name, axes, 0)
        size = np.abs(value) + (np.sqrt(var) if name == "running_mean" else 0)
        size = np.max(size, axis=others, keepdims=True)
        new = np.mean(value, axis=others, keepdims=True)
        exact = (1 - Wide(momentum)) * old + Wide(momentum) * new
        error = 4 * call.promise * size + 4e-16 * np.abs(old)
        # The sum of the samples' means may end where float64 does.
        error = np.where(known & whole & (size * m.mean.size < 1e308), error, np.inf)
        updated = Value(np.where(none, old, exact), np.where(none, Wide(0), error), buffer.dtype)
        updated = rounded(updated.exact, updated.error, buffer.dtype)
        expected.updated[name] = reshaped(updated, buffer.shape)


def batch_norm(call: Call) -> Expected:
    axes = ref.all_axes(call.get("channel_axis", 1), call.x.ndim)
    reduced = tuple(a for a in range(call.x.ndim) if a not in axes)
    return channels(call, axes, reduced, call.get("training", False))


def instance_norm(call: Call) -> Expected:
    axes = ref.all_axes(call.get("channel_axis", 1), call.x.ndim)
    batch = 1 if axes == (0,) else 0
    reduced = tuple(a for a in range(call.x.ndim) if a not in (*axes, batch))
    return channels(call, axes, reduced, call.get("use_input_stats", True))


def group_norm(call: Call) -> Expected:
    (channel,) = ref.all_axes(call.get("channel_axis", 1), call.x.ndim)
    groups = call.get("num_groups")
    batch = 1 if channel == 0 else 0
    shape = call.x.shape
    split_shape = (*shape[:channel], groups, shape[channel] // groups, *shape[channel + 1 :])
    keep = (batch + (channel < batch), channel)
    reduced = tuple(a for a in range(len(split_shape)) if a not in keep)
    m = call.moments(reduced, call.wide.reshape(split_shape), call.selected().reshape(split_shape))
    eps = call.get("eps", 1e-5)
    rstd = np.where(m.total == 0, Wide(1), ref.inverse_root(m.var + Wide(eps)))
    normed, error = call.scaled(m, rstd)
    weight, bias = call.optional("weight", (channel,), 1), call.optional("bias", (channel,), 0)
    y = call.finish(normed.reshape(shape), error.reshape(shape), weight, bias)
    kept = np.squeeze(m.mean, channel + 1).shape
    stats = [reshaped(v, kept) for v in call.stats_error(m, rstd)]
    return Expected(call.with_stats([y], *stats))


def length(call: Call, axes: tuple[int, ...], p: float) -> tuple[Array, Array]:
    """The norm of what is selected, and where something selected is not finite."""
    counts = call.selected() > 0
    finite = np.isfinite(call.wide)
    values = np.where(counts & finite, call.wide, Wide(0))
    some = call.x.size > 0
    size = ref.norm(values, axes, p) if some else values.sum(axis=axes, keepdims=True)
    return size, np.where(np.all(finite | ~counts, axis=axes, keepdims=True), Wide(0), np.inf)


def divided(call: Call, size: Array, lost: Array, bound: Array, gain: Array) -> list[Value]:
    normed = np.where(np.isfinite(call.wide), call.wide, 0) / np.where(bound == 0, Wide(1), bound)
    error = call.promise * np.abs(normed) * np.abs(gain) + call.tiny + lost
    y = call.finish(normed, error, gain, np.zeros_like(gain))
    return call.with_stats([y], rounded(size, 2 * call.promise * size + lost, FLOAT64))


def normalize(call: Call) -> Expected:
    axis = call.get("axis", 1)
    axes = ref.all_axes(axis, call.x.ndim)
    size, lost = length(call, axes, call.get("p", 2.0))
    bound = np.maximum(size, Wide(call.get("eps", 1e-12)))
    bound = np.where(np.any(call.selected() > 0, axis=axes, keepdims=True), bound, Wide(1))
    return Expected(divided(call, size, lost, bound, np.ones_like(size)))


def weight_norm(call: Call) -> Expected:
    axis = call.get("channel_axis", 0)
    kept = () if axis is None else ref.all_axes(axis, call.x.ndim)
    axes = tuple(a for a in range(call.x.ndim) if a not in kept)
    size, lost = length(call, axes, 2)
    return Expected(divided(call, size, lost, size, call.optional("g", kept, 1)))


def standardize(call: Call) -> Expected:
    axes = ref.all_axes(call.get("axis", 0), call.x.ndim)
    kept = tuple(a for a in range(call.x.ndim) if a not in axes)
    if call.get("mean") is not None:
        mean, std = call.optional("mean", kept, 0), call.optional("std", kept, 1)
        divisor = np.where(std == 0, Wide(1), std)
        normed, error, _, _ = given(call, mean, divisor * divisor, 0)
        y = call.finish(normed, error, np.ones_like(std), np.zeros_like(std))
        none = np.zeros_like(std)
        return Expected(call.with_stats([y], Value(mean, none, FLOAT64), Value(std, none, FLOAT64)))
    m = call.moments(axes, call.wide, call.selected())
    freedom = m.total - call.get("correction", 0)
    short = (freedom <= 0) & (m.count > 0)
    std = np.sqrt(m.var * m.total / np.where(freedom <= 0, Wide(1), freedom))
    m.known = m.known & ~short
    rstd = 1 / np.where(std == 0, Wide(1), std)
    normed, error = call.scaled(m, rstd)
    y = call.finish(normed, error, np.ones_like(std), np.zeros_like(std))
    mean_value, rstd_value = call.stats_error(m, rstd)
    results = call.with_stats([y], mean_value, rounded(std, rstd_value.error * std * std, FLOAT64))
    return Expected(results, refusable=bool(np.any(freedom <= 0)))


def normalize_image(call: Call) -> Expected:
    image = call.x
    axis = call.get("channel_axis", -1) % image.ndim
    scale = call.get("scale")
    if scale is None:
        scale = 1 if image.dtype.kind in "fV" else 1 / Wide(255)
    pixels = call.wide * scale
    if call.get("swap_rb"):
        order = [2, 1, 0, 3][: image.shape[axis]]
        pixels = np.take(pixels, order, axis)
    mean, std = (
        np.moveaxis(
            np.atleast_1d(np.asarray(call.arguments[k], Wide)).reshape(
                (-1,) + (1,) * (image.ndim - 1)
            ),
            0,
            axis,
        )
        for k in ("mean", "std")
    )
    y = (pixels - mean) / std
    size = (np.abs(pixels) + np.abs(mean)) / np.abs(std)
    error = 4 * call.eps * size + call.tiny * np.maximum(1, 1 / np.abs(std))
    most = float(np.finfo(call.compute).max)
    error = np.where(np.isfinite(y) & (np.maximum(size, np.abs(pixels)) < most), error, np.inf)
    to = call.get("out_channel_axis", -3)
    moved = [np.moveaxis(a, axis, to) for a in (y, error)]
    return Expected([rounded(*moved, np.dtype(call.get("dtype", np.float32)))])


OPERATIONS: dict[str, Callable[[Call], Expected]] = {
    f.__name__: f
    for f in (
        mean_var,
        layer_norm,
        rms_norm,
        batch_norm,
        instance_norm,
        group_norm,
        normalize,
        weight_norm,
        standardize,
        normalize_image,
    )
}


def too_little(call: Call, operation: str) -> bool:
    """Whether there is nothing, or one value, where the operation needs more."""
    x = call.x

    def size(axes: Sequence[int]) -> int:
        return math.prod(x.shape[a] for a in axes)

    if operation == "mean_var":
        axes = ref.all_axes(call.get("axis"), x.ndim)
        kept = [a for a in range(x.ndim) if a not in axes]
        return size(kept) > 0 and size(axes) <= max(0, call.get("correction", 0))
    if operation == "standardize" and call.get("mean") is None and x.size:
        axes = ref.all_axes(call.get("axis", 0), x.ndim)
        return size(axes) <= call.get("correction", 0)
    own = call.get("training") if operation == "batch_norm" else call.get("use_input_stats")
    if operation in ("batch_norm", "instance_norm") and own and x.size:
        kept = set(ref.all_axes(call.get("channel_axis", 1), x.ndim))
        if operation == "instance_norm":
            kept.add(1 if kept == {0} else 0)
        return size([a for a in range(x.ndim) if a not in kept]) <= 1
    return False


def expect(operation: str, arguments: dict[str, Any]) -> Expected:
    call = Call(operation, arguments)
    with np.errstate(all="ignore"):
        expected = OPERATIONS[operation](call)
    for value in (*expected.results, *expected.updated.values()):
        # Nothing is said of 0 * inf, nor of the statistics of nothing.
        value.error = np.where(np.isnan(value.error) | (call.x.size == 0), np.inf, value.error)
    return expected
