"""ONNX Runtime: models of one node, parameters as constants, input and output bound in place."""

from contextlib import ExitStack
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np

from normfast.cli.bench.contender import Contender
from normfast.cli.bench.peers.onnx_model import one_node_model
from normfast.cli.bench.peers.peer import Peer
from normfast.cli.bench.problem import Array, Problem

QUIET = 4  # fatal errors only
CONTRIB = "com.microsoft"
# Operator set and file version: those that every runtime of the last years reads, where possible.
NORMAL, GROUP, RMS = (17, 8), (21, 10), (23, 11)
# What has no kernel for the processor; bfloat16 is the other way round: what has one.
NOT_FLOAT64 = ("InstanceNormalization", "MeanVarianceNormalization")
BFLOAT16 = ("LayerNormalization", "SkipLayerNormalization", "SkipSimplifiedLayerNormalization")


class Node(NamedTuple):
    """An operator, its attributes, its parameters in its order, and versions."""

    op: str
    attributes: dict[str, Any]
    params: list[str]
    versions: tuple[int, int] = NORMAL


def load(stack: ExitStack) -> Peer:  # noqa: ARG001 - there is nothing to undo
    """Import onnxruntime; threads are a setting of each session."""
    ort: Any = import_module("onnxruntime")
    return Peer("onnxruntime", lambda problem, threads: prepare(ort, problem, threads))


def prepare(ort: Any, problem: Problem, threads: int) -> Contender | None:
    """A session and its binding, or None where there is no such operator or type."""
    node = node_of(problem)
    if node is None:
        return None
    skip = problem.sum is not None
    model = one_node_model(
        node.op,
        problem.x,
        {name: problem.params[name].reshape(-1) for name in node.params},
        node.attributes,
        *node.versions,
        inputs=("x", "residual") if skip else ("x",),
        outputs=("y", "", "", "sum") if skip else ("y",),
        domain=CONTRIB if skip else "",
    )
    settings = ort.SessionOptions()
    settings.intra_op_num_threads = threads
    settings.log_severity_level = QUIET
    session = ort.InferenceSession(model, settings, providers=["CPUExecutionProvider"])
    binding = session.io_binding()
    names: dict[str, Any] = {"run": session.run_with_iobinding, "binding": binding}
    bound: dict[str, Array] = {"x": problem.x, **problem.companions}
    statement = "run(binding)"
    if not problem.x.flags.c_contiguous:  # which a tensor of this runtime has to be
        bound["x"] = np.empty_like(problem.x, order="C")
        names |= {"np": np, "x": problem.x, "packed": bound["x"]}
        statement = "np.copyto(packed, x), run(binding)"
    for name, array in bound.items():
        tensor, where = tensor_of(ort, array)
        binding.bind_ortvalue_input(name, tensor)
        names[f"memory of {name}"] = where
    results = [problem.y] if problem.sum is None else [problem.y, problem.sum]
    for name, array in zip(("y", "sum"), results, strict=False):
        tensor, where = tensor_of(ort, array)
        binding.bind_ortvalue_output(name, tensor)
        names[f"memory of {name}"] = where

    def arrays(_: Any) -> tuple[Array, ...]:
        return tuple(results)

    return Contender(statement, names, arrays=arrays)


def tensor_of(ort: Any, array: Array) -> tuple[Any, Array]:
    """A tensor in NumPy's memory, and what has to live as long."""
    if array.dtype.name == "bfloat16":
        plain = array.view(np.uint16)
        return ort.OrtValue.ortvalue_from_numpy_with_onnx_type(plain, 16), plain
    return ort.OrtValue.ortvalue_from_numpy(array), array


def node_of(problem: Problem) -> Node | None:
    """The operator that does the case."""
    case, options = problem.case, problem.case.options
    if options.add or options.where or options.activation:
        return None
    node = residual_node(problem) if options.residual else plain_node(problem)
    if node is None:
        return None
    missing = {
        "float64": node.op in NOT_FLOAT64 or options.residual,
        "bfloat16": node.op not in BFLOAT16,
    }
    return None if missing.get(case.dtype, case.dtype not in ("float32", "float16")) else node


def plain_node(problem: Problem) -> Node | None:
    """ONNX's own operators."""
    case, options = problem.case, problem.case.options
    eps = {"epsilon": options.eps}
    first = options.channel_axis == 1 and len(case.shape) > 1
    last = problem.axes == (len(case.shape) - 1,)
    match case.op:
        case "batch_norm" if first and not options.training:
            params = ["weight", "bias", "running_mean", "running_var"]
            return Node("BatchNormalization", eps, params)
        case "layer_norm" if last:
            return Node("LayerNormalization", eps | {"axis": -1}, ["weight", "bias"])
        case "rms_norm" if last:
            return Node("RMSNormalization", eps | {"axis": -1}, ["weight"], RMS)
        case "group_norm" if first:
            groups = {"num_groups": options.num_groups}
            return Node("GroupNormalization", eps | groups, ["weight", "bias"], GROUP)
        case "instance_norm" if first:
            return Node("InstanceNormalization", eps, ["weight", "bias"])
        case "normalize" if len(problem.axes) == 1:
            return Node("LpNormalization", {"axis": problem.axes[0], "p": 2}, [])
        case "standardize":
            return Node("MeanVarianceNormalization", {"axes": list(problem.axes)}, [])
    return None


def residual_node(problem: Problem) -> Node | None:
    """The runtime's own operators for a residual; they want three axes."""
    case, eps = problem.case, {"epsilon": problem.case.options.eps}
    if problem.axes != (len(case.shape) - 1,) or not 2 <= len(case.shape) <= 3:
        return None
    match case.op:
        case "layer_norm":
            return Node("SkipLayerNormalization", eps, ["weight", "bias"])
        case "rms_norm":
            return Node("SkipSimplifiedLayerNormalization", eps, ["weight"])
    return None
