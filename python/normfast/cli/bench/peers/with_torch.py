"""PyTorch in inference mode: torch.nn.functional, which allocates its output.

Channels-last arrays are given as what torch calls channels_last: a permuted view.
"""

from contextlib import ExitStack
from importlib import import_module
from typing import Any

import numpy as np

from normfast.cli.bench.contender import Contender
from normfast.cli.bench.peers.peer import Peer
from normfast.cli.bench.problem import Array, Problem


def load(stack: ExitStack) -> Peer:
    """Import torch and switch autograd off."""
    torch: Any = import_module("torch")
    stack.callback(torch.set_num_threads, torch.get_num_threads())
    stack.enter_context(torch.inference_mode())
    return Peer("torch", lambda problem, threads: prepare(torch, problem, threads))


def prepare(torch: Any, problem: Problem, threads: int) -> Contender | None:
    """Views of the same memory as torch sees it, and the statement; torch has no masks."""
    case = problem.case
    integers = problem.x.dtype.kind in "iu" and case.op != "normalize_image"
    by_feature = case.op in ("layer_norm", "rms_norm")
    several = by_feature and len(problem.axes) > 1 and not trailing(problem)
    if "where" in problem.companions or integers or several:
        return None
    torch.set_num_threads(threads)

    def tensor(array: Array) -> Any:
        if array.dtype.name == "bfloat16":  # which from_numpy does not know
            return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
        return torch.from_numpy(array)

    channel_last = case.op in CHANNELS and case.options.channel_axis == -1 and problem.x.ndim > 2
    features = tuple(case.shape[axis] for axis in problem.axes) if by_feature else ()
    names: dict[str, Any] = {"F": torch.nn.functional, "torch": torch, "shape": features}
    for name, value in problem.params.items():
        names[name] = tensor(value.copy().reshape(features if by_feature else -1))
    for name, value in ({"x": problem.x} | problem.companions).items():
        names[name] = first(tensor(value), channel_last)
    names["eps"] = case.options.eps
    if case.op == "weight_norm":
        names["g"] = names["g"].reshape(problem.param_shape)
    if case.op == "normalize_image":
        names |= {name: names[name].float().reshape(-1, 1, 1) for name in ("mean", "std")}
    if case.op == "normalize":
        names["y"] = tensor(problem.y)
    names |= {"axes": problem.axes, "groups": case.options.num_groups}

    def standardize(x: Any, axes: tuple[int, ...]) -> Any:
        std, mean = torch.std_mean(x, axes, correction=0, keepdim=True)
        return (x - mean).div_(std)

    names["standardize"] = standardize

    def arrays(value: Any) -> tuple[Array, ...]:
        if case.op == "mean_var":
            return tuple(part.numpy() for part in reversed(value))
        parts = value if isinstance(value, tuple) else (value,)
        if case.dtype == "bfloat16":  # which numpy() does not know
            parts = tuple(part.float() for part in parts)
        return tuple(last(part, channel_last).numpy() for part in parts)

    return Contender(statement(problem), names, fresh=case.op not in IN_PLACE, arrays=arrays)


def statement(problem: Problem) -> str:
    """The operation, and around it what a model does before and after."""
    options = problem.case.options
    call = operation(problem)
    if options.residual:
        return f"({call.replace('(x,', '(sum := x + residual,', 1)}, sum)"
    if options.add:
        call += ".add_(add)"
    match options.activation:
        case "relu":
            return f"torch.relu_({call})"
        case "silu":
            return f"F.silu({call}, inplace=True)"
        case "gelu" | "gelu_tanh":
            approximate = "tanh" if options.activation == "gelu_tanh" else "none"
            return f"F.gelu({call}, approximate={approximate!r})"
    return call


def operation(problem: Problem) -> str:
    """The call that PyTorch's own layers make; torchvision's transforms, for images."""
    case = problem.case
    match case.op:
        case "normalize_image":
            half = ".half()" if case.result_dtype == "float16" else ""
            planes = "x.movedim(-1, -3).contiguous()"
            return f"{planes}.float().div_(255).sub_(mean).div_(std){half}"
        case "batch_norm":
            training = case.options.training
            return f"F.batch_norm(x, running_mean, running_var, weight, bias, {training}, 0.1, eps)"
        case "layer_norm" | "rms_norm" if not trailing(problem):  # torchvision's LayerNorm2d
            (axis,) = problem.axes
            call = STATEMENTS[case.op].replace("(x,", f"(x.movedim({axis}, -1),")
            return f"{call}.movedim(-1, {axis})"
        case op:
            return STATEMENTS[op]


def trailing(problem: Problem) -> bool:
    """Whether the normalised axes are the last ones."""
    ndim = len(problem.case.shape)
    return problem.axes == tuple(range(ndim - len(problem.axes), ndim))


def first(tensor: Any, channel_last: bool) -> Any:
    """Channels to axis 1, without moving the data."""
    return tensor.movedim(-1, 1) if channel_last else tensor


def last(tensor: Any, channel_last: bool) -> Any:
    """And back."""
    return tensor.movedim(1, -1) if channel_last else tensor


CHANNELS = ("batch_norm", "instance_norm", "group_norm")
IN_PLACE = ("normalize", "mean_var")  # F.normalize has out=
STATEMENTS = {
    "mean_var": "torch.var_mean(x, axes, correction=0)",
    "layer_norm": "F.layer_norm(x, shape, weight, bias, eps)",
    "rms_norm": "F.rms_norm(x, shape, weight, eps)",
    "group_norm": "F.group_norm(x, groups, weight, bias, eps)",
    "instance_norm": "F.instance_norm(x, None, None, weight, bias, True, 0.1, eps)",
    "normalize": "F.normalize(x, 2.0, axes[0], eps, out=y)",
    "weight_norm": "torch._weight_norm(x, g, 0)",
    "standardize": "standardize(x, axes)",
}
