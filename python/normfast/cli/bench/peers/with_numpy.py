"""What a good NumPy user writes: two passes over the data's own type, and no needless array."""

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import numpy as np

from normfast.cli.bench.contender import Contender, arrays_of
from normfast.cli.bench.peers.peer import Peer
from normfast.cli.bench.problem import Array, Problem

Where = Any  # True, or a mask; NumPy's own stubs do not take both


def load(stack: ExitStack) -> Peer:  # noqa: ARG001
    """NumPy needs no settings, and has one thread."""
    return Peer("numpy", lambda problem, _: prepare(problem))


def prepare(problem: Problem) -> Contender | None:
    """Every operation on the view, with parameters in the shape that broadcasts."""
    case, options = problem.case, problem.case.options
    half = problem.x.dtype.itemsize == 2
    names: dict[str, Any] = {
        # Those of a half are converted once, not in every call.
        name: value.astype(np.float32 if half else value.dtype).reshape(problem.param_shape)
        for name, value in problem.params.items()
    }
    names |= {"x": problem.x, "y": problem.y, "residual": None, "sum": problem.sum, "np": np}
    names |= {"axes": problem.axes, "eps": options.eps, "where": True} | problem.companions
    given = case.op == "batch_norm" and not options.training
    function, arguments = EVALUATION if given else STATEMENTS[case.op]
    names[function.__name__] = function
    if half or options.residual:
        names["in_float32"] = in_float32
        call = f"in_float32({function.__name__}, x, residual, y, sum, {arguments})"
    elif case.op == "mean_var":
        call = f"mean_var(x, {arguments})"
    else:
        call = f"{function.__name__}(x, {arguments}, y)"
    if case.op == "normalize_image":
        prepare_image(names)
    else:
        names |= {name: names[name].reshape(problem.view) for name in ("x", "y")}
    if options.add:
        call = f"np.add({call}, add, out=y)"
    if options.activation == "relu":
        call = f"np.maximum({call}, 0, out=y)"
    elif options.activation == "silu":
        names["silu"] = silu
        call = f"silu({call})"
    elif options.activation is not None:
        return None

    def arrays(value: Any) -> tuple[Array, ...]:
        parts = arrays_of(value)
        return parts if case.op == "mean_var" else tuple(p.reshape(problem.y.shape) for p in parts)

    return Contender(call, names, arrays=arrays)


def in_float32(
    norm: Callable[..., Array],
    x: Array, residual: Array | None, y: Array, sum: Array | None,  # noqa: A002
    *arguments: Any,
) -> Array | tuple[Array, Array]:  # fmt: skip
    """Halves widened and rounded once; the sum with a residual, before it is rounded."""
    wide = x.astype(np.float32) if residual is None else np.add(x, residual, dtype=np.float32)
    if sum is not None:
        sum[...] = wide
    y[...] = norm(wide, *arguments, wide)
    return y if sum is None else (y, sum)


def silu(y: Array) -> Array:
    """In place, but for the sigmoid."""
    with np.errstate(over="ignore"):
        y /= 1 + np.exp(-y)
    return y


def mean_var(x: Array, axes: tuple[int, ...], where: Where) -> tuple[Array, Array]:
    """Mean and population variance."""
    mean = x.mean(axes, keepdims=True, where=where)
    return mean.squeeze(axes), np.square(x - mean).mean(axes, where=where)


def norm_by_feature(
    x: Array, axes: tuple[int, ...], where: Where, eps: float, weight: Array, bias: Array,
    out: Array,
) -> Array:  # fmt: skip
    """Parameters along the reduced axes: as large as x once they meet the statistics."""
    np.subtract(x, x.mean(axes, keepdims=True, where=where), out=out)
    var = np.square(out).mean(axes, keepdims=True, where=where)
    out /= np.sqrt(var + eps)
    out *= weight
    out += bias
    return out


def norm_by_channel(
    x: Array, axes: tuple[int, ...], where: Where, eps: float, weight: Array, bias: Array,
    out: Array,
) -> Array:  # fmt: skip
    """Parameters along the kept axes: joined with the statistics first, which are small."""
    np.subtract(x, x.mean(axes, keepdims=True, where=where), out=out)
    var = np.square(out).mean(axes, keepdims=True, where=where)
    out *= weight / np.sqrt(var + eps)
    out += bias
    return out


def batch_norm_training(
    x: Array, axes: tuple[int, ...], where: Where, eps: float, weight: Array, bias: Array,
    running_mean: Array, running_var: Array, out: Array,
) -> Array:  # fmt: skip
    """And the running statistics, in place. A mask is the same for all channels."""
    mean = x.mean(axes, keepdims=True, where=where)
    np.subtract(x, mean, out=out)
    var = np.square(out).mean(axes, keepdims=True, where=where)
    out *= weight / np.sqrt(var + eps)
    out += bias
    count = x.size / mean.size if where is True else np.count_nonzero(where)
    running_mean += 0.1 * (mean - running_mean)
    running_var += 0.1 * (var * (count / (count - 1)) - running_var)
    return out


def scale_and_shift(
    x: Array, eps: float, weight: Array, bias: Array,
    running_mean: Array, running_var: Array, out: Array,
) -> Array:  # fmt: skip
    """Two passes over x; the parameters are joined first."""
    scale = weight / np.sqrt(running_var + eps)
    np.multiply(x, scale, out=out)
    out += bias - running_mean * scale
    return out


def rms_norm(x: Array, axes: tuple[int, ...], eps: float, weight: Array, out: Array) -> Array:
    """No mean."""
    mean_square = np.square(x).mean(axes, keepdims=True)
    np.divide(x, np.sqrt(mean_square + eps), out=out)
    out *= weight
    return out


def normalize(x: Array, axes: tuple[int, ...], eps: float, out: Array) -> Array:
    """NumPy has the norm."""
    norm = np.linalg.norm(x, axis=axes[0], keepdims=True)
    np.divide(x, np.maximum(norm, eps), out=out)
    return out


def weight_norm(v: Array, g: Array, axes: tuple[int, ...], out: Array) -> Array:
    """One norm a channel."""
    norm = np.sqrt(np.square(v).sum(axes, keepdims=True))
    np.multiply(v, g / norm, out=out)
    return out


def standardize(x: Array, axes: tuple[int, ...], out: Array) -> Array:
    """No parameters."""
    np.subtract(x, x.mean(axes, keepdims=True), out=out)
    out /= np.sqrt(np.square(out).mean(axes, keepdims=True))
    return out


def prepare_image(names: dict[str, Any]) -> None:
    """Channels first, as views; both parameters in the scale of the pixels."""
    names["x"] = np.moveaxis(names["x"], -1, -3)
    names["mean"] = np.float32(255 * names["mean"].reshape(-1, 1, 1))
    names["rstd"] = np.float32(1 / (255 * names.pop("std").reshape(-1, 1, 1)))


def normalize_image(x: Array, mean: Array, rstd: Array, out: Array) -> Array:
    """Two passes, in float32."""
    wide = out if out.dtype == np.float32 else np.empty(out.shape, np.float32)
    np.subtract(x, mean, out=wide)
    np.multiply(wide, rstd, out=out, casting="same_kind")
    return out


EVALUATION = (scale_and_shift, "eps, weight, bias, running_mean, running_var")
BY_CHANNEL = (norm_by_channel, "axes, where, eps, weight, bias")
# What stands between x and the output.
STATEMENTS: dict[str, tuple[Callable[..., Any], str]] = {
    "mean_var": (mean_var, "axes, where"),
    "batch_norm": (
        batch_norm_training,
        "axes, where, eps, weight, bias, running_mean, running_var",
    ),
    "layer_norm": (norm_by_feature, "axes, where, eps, weight, bias"),
    "rms_norm": (rms_norm, "axes, eps, weight"),
    "group_norm": BY_CHANNEL,
    "instance_norm": BY_CHANNEL,
    "normalize": (normalize, "axes, eps"),
    "weight_norm": (weight_norm, "g, axes"),
    "standardize": (standardize, "axes"),
    "normalize_image": (normalize_image, "mean, rstd"),
}
