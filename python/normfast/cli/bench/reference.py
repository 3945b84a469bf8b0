"""The result in a wider type, and how far a result may be from it.

Written from the definitions, two passes over widened data, and apart from every contender.
"""

import math
from dataclasses import dataclass

import numpy as np

from normfast.cli.bench.problem import Array, Problem

# By the dtype of the result; a half is computed in float32 and rounded once.
PROMISE = {
    "float32": 1e-6,
    "float64": 1e-13,
    "float16": 2.0**-11 + 1e-6,
    "bfloat16": 2.0**-8 + 1e-6,
}
# A peer that is farther off did something else, and is not timed.
SAME = {"float32": 1e-3, "float64": 1e-9, "float16": 2e-2, "bfloat16": 0.1}
PIECE = 1 << 16  # elements that are compared at a time, so that they stay in cache


@dataclass(frozen=True)
class Reference:
    """Expected arrays, each with the scale on which an error is measured."""

    expected: tuple[Array, ...]
    scale: tuple[Array, ...]

    def error(self, actual: tuple[Array, ...]) -> float:
        """The largest error; NaN, which is within no bound, where a value is not finite."""
        worst = np.float64(0.0)
        for result, expected, scale in zip(actual, self.expected, self.scale, strict=True):
            if result.shape != expected.shape:
                raise ValueError(f"result has shape {result.shape}, expected {expected.shape}")
            flat = (array.reshape(-1) for array in (result, expected, scale))
            cuts = [range(PIECE, expected.size, PIECE)] * 3
            for pieces in zip(*map(np.split, flat, cuts), strict=True):
                with np.errstate(invalid="ignore"):  # a NaN is told by what is returned
                    difference = np.abs(pieces[0] - pieces[1])
                difference /= pieces[2]
                worst = np.maximum(worst, difference.max(initial=0.0))
        return float(worst)


def reference(problem: Problem) -> Reference:
    """Compute the result from the definition."""
    case = problem.case
    wider = np.longdouble if problem.x.dtype == np.float64 else np.float64
    wide: Array = problem.x.astype(wider).reshape(problem.view)
    params: dict[str, Array] = {
        name: value.astype(wider).reshape(problem.param_shape)
        for name, value in problem.params.items()
    }
    if case.op == "normalize_image":
        y = np.moveaxis((wide / 255 - params["mean"]) / params["std"], -1, -3)
        return Reference((y,), (np.maximum(1.0, np.abs(y)),))
    companions: dict[str, Array] = {
        name: value if value.dtype == np.bool_ else value.astype(wider).reshape(problem.view)
        for name, value in problem.companions.items()
    }
    where = companions.get("where")
    if "residual" in companions:
        wide += companions["residual"]
    if case.op == "mean_var":
        mean, var = moments(wide, problem.axes, where)
        # In standard deviations: what an error does to the values that are normalised with it.
        mean, var = mean.squeeze(problem.axes), var.squeeze(problem.axes)
        return Reference((mean, var), (np.sqrt(var), 2 * var))
    if case.op in ("normalize", "weight_norm"):
        counted = wide if where is None else wide * where
        norm = np.sqrt(np.square(counted).sum(problem.axes, keepdims=True))
        unit = wide / (np.maximum(norm, case.options.eps) if case.op == "normalize" else norm)
        y = (unit * params.get("g", 1.0)).reshape(case.shape)
        return Reference((y,), (np.where(y == 0, 1.0, np.abs(y)),))

    if case.op == "rms_norm":
        (square, _) = moments(np.square(wide), problem.axes, where)
        y = wide / np.sqrt(square + case.options.eps)
    elif case.op == "standardize":
        mean, var = moments(wide, problem.axes, where)
        y = (wide - mean) / np.sqrt(var)
    else:
        given = case.op == "batch_norm" and not case.options.training
        mean, var = (
            (params["running_mean"], params["running_var"])
            if given
            else moments(wide, problem.axes, where)
        )
        y = (wide - mean) / np.sqrt(var + case.options.eps)
    y *= params.get("weight", 1.0)
    y += params.get("bias", 0.0)
    if "add" in companions:
        y += companions["add"]
    match case.options.activation:
        case "relu":
            np.maximum(y, 0, out=y)
        case "silu":
            y /= 1 + np.exp(-y)
        case "gelu":
            y *= (1 + np.vectorize(math.erf, otypes=[y.dtype])(y / math.sqrt(2))) / 2
        case "gelu_tanh":
            y *= (1 + np.tanh(math.sqrt(2 / math.pi) * (y + 0.044715 * y**3))) / 2
    results = (y, wide) if case.options.residual else (y,)
    expected: tuple[Array, ...] = tuple(part.reshape(case.shape) for part in results)
    return Reference(expected, tuple(np.maximum(1.0, np.abs(part)) for part in expected))


def moments(wide: Array, axes: tuple[int, ...], where: Array | None) -> tuple[Array, Array]:
    """Mean and population variance of what counts, in two passes."""
    counted = np.ones((), wide.dtype) if where is None else where.astype(wide.dtype)
    count = np.broadcast_to(counted, wide.shape).sum(axes, keepdims=True)
    mean = (wide * counted).sum(axes, keepdims=True) / count
    return mean, (np.square(wide - mean) * counted).sum(axes, keepdims=True) / count
