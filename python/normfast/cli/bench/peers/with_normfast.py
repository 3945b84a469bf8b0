"""normfast's own statements."""

from typing import Any

import normfast
from normfast import _core
from normfast.cli.bench.cases import Options
from normfast.cli.bench.contender import Contender
from normfast.cli.bench.problem import Problem


def prepare(problem: Problem, threads: int) -> dict[str, Contender]:
    """The call into memory that is there already, and the call that allocates its output.

    Small calls always allocate, as NumPy's do. They leave the threads to the library, as all do
    that may use every processor.
    """
    call, names = positional(problem)
    case = problem.case
    call += "".join(f", {name}={name}" for name in problem.companions)
    names |= problem.companions
    if case.options.activation is not None:
        call += f", activation={case.options.activation!r}"
    names |= {"nf": normfast, "y": problem.y, "sum": problem.sum, "threads": threads}
    if case.call:
        return {"normfast": Contender(f"nf.{case.op}({call})", names, fresh=True)}
    if threads != _core.info()["threads"]:
        call += ", num_threads=threads"
    if case.op == "mean_var":
        return {"normfast": Contender(f"nf.mean_var({call})", names)}
    out = "(y, sum)" if problem.sum is not None else "y"
    dtype = ""
    if case.op == "normalize_image" and case.result_dtype != "float32":
        names["dtype"] = problem.y.dtype
        dtype = ", dtype=dtype"
    return {
        "normfast": Contender(f"nf.{case.op}({call}{dtype}, out={out})", names),
        "normfast fresh": Contender(f"nf.{case.op}({call}{dtype})", names, fresh=True),
    }


def positional(problem: Problem) -> tuple[str, dict[str, Any]]:
    """The arguments as a user writes them, and the names in them."""
    case, options = problem.case, problem.case.options
    by_feature = case.op in ("layer_norm", "rms_norm")
    shape = tuple(case.shape[axis] for axis in problem.axes) if by_feature else (-1,)
    names: dict[str, Any] = {"x": problem.x}
    names |= {name: value.reshape(shape).copy() for name, value in problem.params.items()}
    channel = f", channel_axis={options.channel_axis}" if options.channel_axis != 1 else ""
    channel += f", eps={options.eps}" if options.eps != Options.eps else ""
    last = options.axis == (-1,)
    axis: Any = options.axis
    if axis is not None and len(axis) == 1:
        axis = axis[0]
    trailing = f"({case.shape[-1]},)" if last else "None"
    where = "" if last else f", axis={axis}"
    match case.op:
        case "mean_var":
            return f"x, {axis}", names
        case "normalize_image":
            return "x, mean, std", names
        case "batch_norm":
            training = ", True" if options.training else ""
            return f"x, running_mean, running_var, weight, bias{training}{channel}", names
        case "layer_norm":
            return f"x, {trailing}, weight, bias, {options.eps}{where}", names
        case "rms_norm":
            return f"x, {trailing}, weight, {options.eps}{where}", names
        case "group_norm":
            return f"x, {options.num_groups}, weight, bias{channel}", names
        case "instance_norm":
            return f"x, None, None, weight, bias{channel}", names
        case "normalize":
            return f"x, 2.0, {axis}, {options.eps}", names
        case "weight_norm":
            return "v, g", {"v": problem.x} | names
        case "standardize":
            return f"x, {axis}", names
    raise LookupError(case.op)
