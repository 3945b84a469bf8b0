"""The result in a wider type, and how far a result may be from it.

Written from the definitions, two passes over widened data, and apart from every contender.
"""

from dataclasses import dataclass

import numpy as np

from normfast.cli.bench.problem import Array, Problem

PROMISE = {"float32": 1e-6, "float64": 1e-13}


@dataclass(frozen=True)
class Reference:
    """Expected arrays, each with the scale on which an error is measured."""

    expected: tuple[Array, ...]
    scale: tuple[Array, ...]

    def error(self, actual: tuple[Array, ...]) -> float:
        """The largest error; NaN, which is within no bound, where a value is not finite."""
        worst = 0.0
        for result, expected, scale in zip(actual, self.expected, self.scale, strict=True):
            if result.shape != expected.shape:
                raise ValueError(f"result has shape {result.shape}, expected {expected.shape}")
            difference = np.abs(result - expected)
            difference /= scale
            worst = float(np.maximum(worst, difference.max()))
        return worst


def reference(problem: Problem) -> Reference:
    """Compute the result from the definition."""
    case = problem.case
    wider = np.longdouble if problem.x.dtype == np.float64 else np.float64
    wide: Array = problem.x.astype(wider).reshape(problem.view)
    params: dict[str, Array] = {
        name: value.astype(wider).reshape(problem.param_shape)
        for name, value in problem.params.items()
    }
    if case.op == "mean_var":
        mean, var = moments(wide, problem.axes)
        # In standard deviations: what an error does to the values that are normalised with it.
        mean, var = mean.squeeze(problem.axes), var.squeeze(problem.axes)
        return Reference((mean, var), (np.sqrt(var), 2 * var))
    if case.op in ("normalize", "weight_norm"):
        norm = np.sqrt(np.square(wide).sum(problem.axes, keepdims=True))
        unit = wide / (np.maximum(norm, case.options.eps) if case.op == "normalize" else norm)
        y = (unit * params.get("g", 1.0)).reshape(case.shape)
        return Reference((y,), (np.where(y == 0, 1.0, np.abs(y)),))

    if case.op == "rms_norm":
        y = wide / np.sqrt(np.square(wide).mean(problem.axes, keepdims=True) + case.options.eps)
    elif case.op == "standardize":
        mean, var = moments(wide, problem.axes)
        y = (wide - mean) / np.sqrt(var)
    else:
        given = case.op == "batch_norm" and not case.options.training
        mean, var = (
            (params["running_mean"], params["running_var"])
            if given
            else moments(wide, problem.axes)
        )
        y = (wide - mean) / np.sqrt(var + case.options.eps)
    y *= params.get("weight", 1.0)
    y += params.get("bias", 0.0)
    y = y.reshape(case.shape)
    return Reference((y,), (np.maximum(1.0, np.abs(y)),))


def moments(wide: Array, axes: tuple[int, ...]) -> tuple[Array, Array]:
    """Mean and population variance, in two passes."""
    mean = wide.mean(axes, keepdims=True)
    return mean, np.square(wide - mean).mean(axes, keepdims=True)
