"""JAX on the processor: compiled once, waited for, its result allocated in every call.

The number of threads is that of a client. Each has its own, made while the process may use only
that many processors, as XLA counts them.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np

from normfast.cli.bench.contender import Contender
from normfast.cli.bench.peers.peer import Peer
from normfast.cli.bench.problem import Array, Problem


def load(stack: ExitStack) -> Peer:  # noqa: ARG001 - nothing outside its own clients is set
    """Import jax; a graphics card is left alone."""
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    jax: Any = import_module("jax")

    @cache
    def device(threads: int) -> Any:
        with processors(threads):
            return import_module("jaxlib.xla_client").make_cpu_client().devices()[0]

    return Peer("jax", lambda problem, threads: prepare(jax, device(threads), problem))


@contextmanager
def processors(count: int) -> Iterator[None]:
    """Let this thread, and those that it starts, use only so many processors."""
    if not hasattr(os, "sched_setaffinity"):
        raise OSError("the number of its threads cannot be set on this system")
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(allowed)[:count])
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


def prepare(jax: Any, device: Any, problem: Problem) -> Contender | None:
    """The compiled operation and its arguments on the device, which is NumPy's memory again."""
    case, jnp = problem.case, jax.numpy
    wide_integers = case.dtype != "float64" and case.result_dtype == "float64"
    # A float64 array is put there in every call, but JAX narrows it outside of `enable_x64`.
    narrowed = case.dtype == "float64" and not problem.x.flags.c_contiguous
    if "where" in problem.companions or wide_integers or narrowed:
        return None
    arrays: dict[str, Array] = {"x": problem.x.reshape(problem.view), **problem.companions}
    arrays |= {name: value.reshape(problem.param_shape) for name, value in problem.params.items()}
    if case.op == "normalize_image":
        arrays |= {name: arrays[name].astype(np.float32) for name in ("mean", "std")}
    with jax.enable_x64(problem.x.dtype == np.float64):
        there = {name: jax.device_put(array, device) for name, array in arrays.items()}
        there = jax.block_until_ready(there)
        compiled = jax.jit(function(jax, jnp, problem)).lower(there).compile()

    def results(value: Any) -> tuple[Array, ...]:
        parts = tuple(np.asarray(part) for part in value)
        if case.op == "mean_var":
            return parts
        return tuple(part.reshape(problem.y.shape) for part in parts[: len(problem.results)])

    names: dict[str, Any] = {"f": compiled, "arrays": there, "wait": jax.block_until_ready}
    if problem.x.flags.c_contiguous:
        return Contender("wait(f(arrays))", names, fresh=True, arrays=results)
    names |= {"x": problem.x.reshape(problem.view), "put": jax.device_put, "device": device}
    statement = "wait(f(arrays | {'x': put(x, device)}))"  # arrays of JAX have no strides
    return Contender(statement, names, fresh=True, arrays=results)


def function(jax: Any, jnp: Any, problem: Problem) -> Callable[[dict[str, Any]], tuple[Any, ...]]:
    """The operation as its users write it, statistics in float32 or wider."""
    case, options, axes = problem.case, problem.case.options, problem.axes
    wide = jnp.float64 if problem.x.dtype == np.float64 else jnp.float32
    result = problem.y.dtype

    def moments(x: Any) -> tuple[Any, Any]:
        return x.mean(axes, keepdims=True), x.var(axes, keepdims=True)

    def statistics(given: dict[str, Any]) -> tuple[Any, ...]:
        mean, var = moments(given["x"].astype(wide))
        return mean.squeeze(axes), var.squeeze(axes)

    def image(given: dict[str, Any]) -> tuple[Any, ...]:
        y = (given["x"].astype(wide) / 255 - given["mean"]) / given["std"]
        return (jnp.moveaxis(y, -1, -3).astype(result),)

    def norm(given: dict[str, Any]) -> tuple[Any, ...]:
        params = {name: array.astype(wide) for name, array in given.items()}
        x = params["x"] + params["residual"] if options.residual else params["x"]
        more: tuple[Any, ...] = ()
        match case.op:
            case "rms_norm":
                y = x * jax.lax.rsqrt(jnp.square(x).mean(axes, keepdims=True) + options.eps)
            case "normalize" | "weight_norm":
                length = jnp.sqrt(jnp.square(x).sum(axes, keepdims=True))
                y = x / (jnp.maximum(length, options.eps) if case.op == "normalize" else length)
                y = y * params.get("g", 1)
            case "standardize":
                mean, var = moments(x)
                y = (x - mean) / jnp.sqrt(var)
            case _:
                mean, var = moments(x)
                if options.training:
                    n = x.size / mean.size
                    more = (
                        0.9 * params["running_mean"] + 0.1 * mean,
                        0.9 * params["running_var"] + 0.1 * var * (n / (n - 1)),
                    )
                elif case.op == "batch_norm":
                    mean, var = params["running_mean"], params["running_var"]
                y = (x - mean) * jax.lax.rsqrt(var + options.eps)
        y = y * params.get("weight", 1) + params.get("bias", 0)
        y = y + params["add"].reshape(y.shape) if options.add else y
        y = activated(y)
        total = (x.astype(result),) if options.residual else ()
        return (y.astype(result), *total, *more)

    def activated(y: Any) -> Any:
        match options.activation:
            case "relu":
                return jax.nn.relu(y)
            case "silu":
                return jax.nn.silu(y)
            case "gelu" | "gelu_tanh":
                return jax.nn.gelu(y, approximate=options.activation == "gelu_tanh")
        return y

    return {"mean_var": statistics, "normalize_image": image}.get(case.op, norm)
