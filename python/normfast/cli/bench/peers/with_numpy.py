"""What a good NumPy user writes: two passes over the data's own type, and no needless array."""

from contextlib import ExitStack
from typing import Any

import numpy as np

from normfast.cli.bench.contender import Contender
from normfast.cli.bench.peers.peer import Peer
from normfast.cli.bench.problem import Array, Problem


def load(threads: int, stack: ExitStack) -> Peer:  # noqa: ARG001
    """NumPy needs no settings."""
    return Peer("numpy", prepare)


def prepare(problem: Problem) -> Contender:
    """Every operation on the view, with parameters in the shape that broadcasts."""
    case, shape = problem.case, problem.case.shape
    names: dict[str, Any] = {
        name: value.copy().reshape(problem.param_shape) for name, value in problem.params.items()
    }
    names |= {"x": problem.x.reshape(problem.view), "y": problem.y.reshape(problem.view)}
    names |= {"axes": problem.axes, "eps": case.options.eps}
    statement, function = STATEMENTS[case.op]
    if case.op == "batch_norm" and not case.options.training:
        statement, function = EVALUATION
    names[function.__name__] = function

    def arrays(value: Any) -> tuple[Array, ...]:
        return value if case.op == "mean_var" else (value.reshape(shape),)

    return Contender(statement, names, arrays=arrays)


def mean_var(x: Array, axes: tuple[int, ...]) -> tuple[Array, Array]:
    """Mean and population variance."""
    mean = x.mean(axes, keepdims=True)
    return mean.squeeze(axes), np.square(x - mean).mean(axes)


def norm_by_feature(
    x: Array, axes: tuple[int, ...], eps: float, weight: Array, bias: Array, out: Array
) -> Array:
    """Parameters along the reduced axes: as large as x once they meet the statistics."""
    np.subtract(x, x.mean(axes, keepdims=True), out=out)
    var = np.square(out).mean(axes, keepdims=True)
    out /= np.sqrt(var + eps)
    out *= weight
    out += bias
    return out


def norm_by_channel(
    x: Array, axes: tuple[int, ...], eps: float, weight: Array, bias: Array, out: Array
) -> Array:
    """Parameters along the kept axes: joined with the statistics first, which are small."""
    np.subtract(x, x.mean(axes, keepdims=True), out=out)
    var = np.square(out).mean(axes, keepdims=True)
    out *= weight / np.sqrt(var + eps)
    out += bias
    return out


def batch_norm_training(
    x: Array, axes: tuple[int, ...], eps: float, weight: Array, bias: Array,
    running_mean: Array, running_var: Array, out: Array,
) -> Array:  # fmt: skip
    """And the running statistics, in place."""
    mean = x.mean(axes, keepdims=True)
    np.subtract(x, mean, out=out)
    var = np.square(out).mean(axes, keepdims=True)
    out *= weight / np.sqrt(var + eps)
    out += bias
    count = x.size / mean.size
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


EVALUATION = (
    "scale_and_shift(x, eps, weight, bias, running_mean, running_var, y)",
    scale_and_shift,
)
BY_CHANNEL = ("norm_by_channel(x, axes, eps, weight, bias, y)", norm_by_channel)
STATEMENTS: dict[str, tuple[str, Any]] = {
    "mean_var": ("mean_var(x, axes)", mean_var),
    "batch_norm": (
        "batch_norm_training(x, axes, eps, weight, bias, running_mean, running_var, y)",
        batch_norm_training,
    ),
    "layer_norm": ("norm_by_feature(x, axes, eps, weight, bias, y)", norm_by_feature),
    "rms_norm": ("rms_norm(x, axes, eps, weight, y)", rms_norm),
    "group_norm": BY_CHANNEL,
    "instance_norm": BY_CHANNEL,
    "normalize": ("normalize(x, axes, eps, y)", normalize),
    "weight_norm": ("weight_norm(x, g, axes, y)", weight_norm),
    "standardize": ("standardize(x, axes, y)", standardize),
}
