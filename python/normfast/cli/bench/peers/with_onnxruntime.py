"""ONNX Runtime: models of one node, parameters as constants, input and output bound in place."""

from contextlib import ExitStack
from importlib import import_module
from typing import Any

from normfast.cli.bench.contender import Contender
from normfast.cli.bench.peers.onnx_model import one_node_model
from normfast.cli.bench.peers.peer import Peer
from normfast.cli.bench.problem import Array, Problem

QUIET = 3  # errors only
NORMAL = 17, 8  # operator set and file version that every runtime of the last years reads


def load(threads: int, stack: ExitStack) -> Peer:  # noqa: ARG001 - a session's, not the process's
    """Import onnxruntime; threads are a setting of each session."""
    ort: Any = import_module("onnxruntime")
    return Peer("onnxruntime", lambda problem: prepare(ort, problem, threads))


def prepare(ort: Any, problem: Problem, threads: int) -> Contender | None:
    """A session and its binding, or None where ONNX has no such operator."""
    node = node_of(problem)
    if node is None:
        return None
    op, attributes, params, (opset, version) = node
    model = one_node_model(
        op, problem.x, {name: problem.params[name] for name in params}, attributes, opset, version
    )
    settings = ort.SessionOptions()
    settings.intra_op_num_threads = threads
    settings.log_severity_level = QUIET
    session = ort.InferenceSession(model, settings, providers=["CPUExecutionProvider"])
    binding = session.io_binding()
    y = ort.OrtValue.ortvalue_from_numpy(problem.y)  # both share NumPy's memory
    binding.bind_ortvalue_input("x", ort.OrtValue.ortvalue_from_numpy(problem.x))
    binding.bind_ortvalue_output("y", y)

    def arrays(_: None) -> tuple[Array, ...]:
        return (y.numpy(),)

    names = {"run": session.run_with_iobinding, "binding": binding}
    return Contender("run(binding)", names, arrays=arrays)


def node_of(problem: Problem) -> tuple[str, dict[str, Any], list[str], tuple[int, int]] | None:
    """Operator, attributes, parameters in its order, and versions."""
    case, options = problem.case, problem.case.options
    if problem.companions or options.activation or case.dtype not in ("float32", "float64"):
        return None
    eps = {"epsilon": options.eps}
    first = options.channel_axis == 1
    last = options.axis == (-1,)
    match case.op:
        case "batch_norm" if first and not options.training:
            params = ["weight", "bias", "running_mean", "running_var"]
            return "BatchNormalization", eps, params, NORMAL
        case "layer_norm" if last:
            return "LayerNormalization", eps | {"axis": -1}, ["weight", "bias"], NORMAL
        case "rms_norm" if last:
            return "RMSNormalization", eps | {"axis": -1}, ["weight"], (23, 11)
        case "group_norm" if first:
            groups = {"num_groups": options.num_groups}
            return "GroupNormalization", eps | groups, ["weight", "bias"], (21, 10)
        case "instance_norm" if first:
            return "InstanceNormalization", eps, ["weight", "bias"], NORMAL
        case "normalize":
            return "LpNormalization", {"axis": options.axis[0], "p": 2}, [], NORMAL
        case "standardize":
            axes = list(problem.axes)
            return "MeanVarianceNormalization", {"axes": axes}, [], NORMAL
    return None
