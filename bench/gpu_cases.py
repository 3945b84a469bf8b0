"""What gpu.py runs: the operations at the sizes that models have, and how torch does the same."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any


@dataclass(frozen=True)
class Case:
    """An operation on x of this shape, whose first size is what fills `--size`.

    ``moved``: how often as many bytes as x has are moved by the best algorithm there can be.
    """

    group: str
    op: str
    shape: tuple[int, ...]
    dtype: str
    moved: int
    options: Mapping[str, Any] = field(default_factory=dict)
    compiled: bool = False  # torch.compile takes seconds a case: only for some

    @property
    def label(self) -> str:
        """The operation and what is not usual."""
        usual = {"channel_axis": 1, "training": False}.items()
        words = [
            name if value is True else f"{name} {value}"
            for name, value in self.options.items()
            if (name, value) not in usual
        ]
        return ", ".join(
            [f"{self.op} {'x'.join(['N', *map(str, self.shape)])}", self.dtype, *words]
        )


ROWS = {
    "rows of 64 to 255": (64, 96, 128, 192),
    "rows of 256 to 1023": (256, 512, 768),
    "rows of 1K to 32K": (1024, 2048, 4096, 8192, 16384, 32768),
    "rows of 64K to 256K": (65536, 131072, 262144),
}


def cases() -> Iterator[Case]:
    """All of them, by group."""
    both = ("float32", "bfloat16")
    for group, lengths in ROWS.items():
        for op in ("layer_norm", "rms_norm"):
            for n in lengths:
                for dtype in both:
                    first = n == lengths[len(lengths) // 2] and dtype == "bfloat16"
                    yield Case(group, op, (n,), dtype, 2, compiled=first)
    for op in ("layer_norm", "rms_norm"):
        for n in (1024, 4096, 8192):
            for dtype in both:
                compiled = n == 4096 and dtype == "bfloat16"
                yield Case("add and normalise", op, (n,), dtype, 4, {"residual": True}, compiled)
    for training in (False, True):
        group = "batch norm, training" if training else "batch norm, evaluation"
        for dtype in both:
            for shape, axis in (((256, 56, 56), 1), ((2048, 7, 7), 1), ((56, 56, 256), -1)):
                options = {"channel_axis": axis, "training": training}
                compiled = dtype == "float32" and shape[-1] != 7
                yield Case(group, "batch_norm", shape, dtype, 2 + training, options, compiled)
    for last in (False, True):
        group = "groups, channels last" if last else "groups, channels first"
        axis = -1 if last else 1
        for dtype in both:
            compiled = dtype == "bfloat16"
            for channels, size in ((320, 64), (512, 32)):
                shape = (size, size, channels) if last else (channels, size, size)
                options: dict[str, Any] = {"num_groups": 32, "channel_axis": axis}
                moved = 3 if last else 2
                yield Case(group, "group_norm", shape, dtype, moved, options, compiled)
            shape = (128, 128, 64) if last else (64, 128, 128)
            options = {"channel_axis": axis}
            yield Case(group, "instance_norm", shape, dtype, moved, options, compiled)
    others = "without a target"
    yield Case(others, "layer_norm", (1001,), "float32", 2)
    yield Case(others, "layer_norm", (1001,), "float16", 2)
    yield Case(others, "rms_norm", (4096,), "bfloat16", 2, {"activation": "silu"}, compiled=True)
    fused = {"channel_axis": 1, "activation": "relu", "add": True}
    yield Case(others, "batch_norm", (256, 56, 56), "float32", 3, fused, compiled=True)
    yield Case(others, "mean_var", (4096,), "float32", 1, {"axis": -1})
    yield Case(others, "mean_var", (256,), "float32", 1, {"axis": 0})
    yield Case(others, "normalize", (768,), "float32", 2, {"axis": -1})
    yield Case(others, "standardize", (256,), "float32", 3, {"axis": 0})
    yield Case(others, "weight_norm", (4096,), "float32", 2)


# --- a case in tensors ----------------------------------------------------------------------------


class Buffers:
    """The tensors of one call of a case."""

    def __init__(self, torch: Any, case: Case, shape: tuple[int, ...], device: str) -> None:
        options = {"dtype": getattr(torch, case.dtype), "device": device}
        self.x = torch.randn(shape, **options).add_(0.5)
        self.y = torch.full_like(self.x, math.nan)
        self.second = None  # the residual, or what is added
        self.total = None
        if case.options.get("residual") or case.options.get("add"):
            self.second = torch.randn(shape, **options)
        if case.options.get("residual"):
            self.total = torch.full_like(self.x, math.nan)


class Tensors:
    """A case: its parameters, as many buffers as are rotated, and who computes it in what way."""

    def __init__(self, torch: Any, case: Case, shape: tuple[int, ...], sets: int, device: str):
        self.torch, self.case = torch, case
        self.buffers = [Buffers(torch, case, shape, device) for _ in range(sets)]
        self.channel = case.options.get("channel_axis", -1)
        count = shape[0] if case.op == "weight_norm" else shape[self.channel]

        def parameter(low: float, high: float) -> Any:
            return torch.empty(count, device=device).uniform_(low, high)

        self.weight, self.bias = parameter(0.5, 2), parameter(-1, 1)
        self.mean, self.var = parameter(0.4, 0.6), parameter(0.8, 1.2)

    def own(self, cuda: Any) -> Callable[[Buffers], Any]:
        """The call of normfast.cuda, into memory that is there."""
        case, options = self.case, dict(self.case.options)
        call = getattr(cuda, case.op)
        match case.op:
            case "mean_var":
                return lambda b: call(b.x, **options)
            case "normalize" | "standardize":
                return lambda b: call(b.x, out=b.y, **options)
            case "weight_norm":
                return lambda b: call(b.x, self.weight, out=b.y)
            case "batch_norm":
                fixed = partial(call, weight=self.weight, bias=self.bias, **options | {"add": None})
                return lambda b: fixed(b.x, self.mean, self.var, out=b.y, add=b.second)
            case "rms_norm":
                call = partial(call, weight=self.weight, eps=1e-5)
            case _:
                call = partial(call, weight=self.weight, bias=self.bias)
        if options.pop("residual", False):
            return lambda b: call(b.x, residual=b.second, out=(b.y, b.total))
        return lambda b: call(b.x, out=b.y, **options)

    def peer(self) -> Callable[[Buffers], Any]:
        """The call of torch, as its own layers make it."""
        torch, case, options = self.torch, self.case, self.case.options
        functional = torch.nn.functional
        like_x = (self.weight.to(self.buffers[0].x.dtype), self.bias.to(self.buffers[0].x.dtype))
        n = case.shape[-1:]

        def first(tensor: Any) -> Any:
            return tensor.movedim(-1, 1) if self.channel == -1 else tensor

        match case.op:
            case "mean_var":
                return lambda b: torch.var_mean(b.x, options["axis"], correction=0)
            case "normalize":
                return lambda b: functional.normalize(b.x, dim=options["axis"])
            case "standardize":

                def scores(b: Buffers) -> Any:
                    std, mean = torch.std_mean(b.x, options["axis"], correction=0, keepdim=True)
                    return (b.x - mean) / std

                return scores
            case "weight_norm":
                return lambda b: torch._weight_norm(b.x, self.weight[:, None], 0)
            case "batch_norm":
                norm = partial(
                    functional.batch_norm,
                    running_mean=self.mean.clone(),
                    running_var=self.var.clone(),
                    weight=self.weight,
                    bias=self.bias,
                    training=options.get("training", False),
                )
            case "group_norm":
                norm = partial(
                    functional.group_norm,
                    num_groups=options["num_groups"],
                    weight=like_x[0],
                    bias=like_x[1],
                )
            case "instance_norm":
                norm = partial(functional.instance_norm, weight=like_x[0], bias=like_x[1])
            case "layer_norm":
                norm = partial(functional.layer_norm, normalized_shape=n, weight=like_x[0])
                norm = partial(norm, bias=like_x[1])
            case "rms_norm":
                norm = partial(functional.rms_norm, normalized_shape=n, weight=like_x[0], eps=1e-5)
        by_feature = case.op in ("layer_norm", "rms_norm")
        place = (lambda tensor: tensor) if by_feature else first

        def call(b: Buffers) -> Any:
            x = place(b.x)
            if options.get("residual"):
                x = x + b.second
            y = norm(x)
            if options.get("add"):
                y = y + place(b.second)
            if "activation" in options:
                y = getattr(functional, options["activation"])(y)
            return (y, x) if options.get("residual") else y

        return call

    def liger(self, liger: Any) -> Callable[[Buffers], Any] | None:
        """The call of Liger's functions, for what they do."""
        weight, bias = (one.to(self.buffers[0].x.dtype) for one in (self.weight, self.bias))
        match self.case.op, *self.case.options:
            case ("layer_norm",):
                return lambda b: liger.liger_layer_norm(b.x, weight, bias, 1e-5)
            case ("rms_norm",):
                return lambda b: liger.liger_rms_norm(b.x, weight, 1e-5, in_place=False)
            case ("rms_norm", "residual"):
                norm = partial(liger.liger_fused_add_rms_norm, in_place=False)
                return lambda b: norm(b.x, b.second, weight, 1e-5)
        return None

    def expected(self, b: Buffers) -> tuple[Any, ...]:
        """The results in float64, from the definition."""
        torch, case, options = self.torch, self.case, self.case.options
        x = b.x.double()
        if options.get("residual"):
            x = x + b.second.double()
        if case.op == "mean_var":
            mean = x.mean(options["axis"], keepdim=True)
            var = (x - mean).square().mean(options["axis"])
            return mean.squeeze(options["axis"]), var
        if case.op == "normalize":
            return (x / x.norm(dim=options["axis"], keepdim=True),)
        if case.op == "weight_norm":
            return (x / x.norm(dim=1, keepdim=True) * self.weight.double()[:, None],)
        channel = self.channel % x.ndim
        along = [1] * x.ndim
        along[channel] = -1
        view, axes = x, tuple(i for i in range(x.ndim) if i != channel)
        if case.op in ("layer_norm", "rms_norm"):
            axes = (channel,)
        elif case.op == "standardize":
            axes = (options["axis"],)
        elif case.op == "instance_norm":
            axes = axes[1:]
        elif case.op == "group_norm":
            view = x.unflatten(channel, (options["num_groups"], -1))
            axes = tuple(i for i in range(1, view.ndim) if i != channel)
        mean = view.mean(axes, keepdim=True)
        if case.op == "rms_norm":
            mean = torch.zeros_like(mean)
        centred = view - mean
        var = centred.square().mean(axes, keepdim=True)
        if case.op == "standardize":
            return (centred / var.sqrt(),)
        if case.op == "batch_norm" and not options.get("training"):
            centred = x - self.mean.double().view(along)
            var = self.var.double().view(along)
        y = (centred / (var + 1e-5).sqrt()).reshape(x.shape) * self.weight.double().view(along)
        if case.op != "rms_norm":
            y = y + self.bias.double().view(along)
        if options.get("add"):
            y = y + b.second.double()
        if "activation" in options:
            y = getattr(torch.nn.functional, options["activation"])(y)
        return (y, x) if options.get("residual") else (y,)

    def error(self, actual: Any, expected: tuple[Any, ...], *, moved: bool = False) -> float:
        """The largest |y - exact| / max(1, |exact|); NaN where a result is not finite."""
        results = actual if isinstance(actual, tuple) else (actual,)
        if self.case.op == "mean_var" and moved:  # torch has them the other way round
            results = results[::-1]
        worst = 0.0
        for one, exact in zip(results, expected, strict=True):
            by_feature = self.case.op in ("layer_norm", "rms_norm")
            back = moved and self.channel == -1 and not by_feature and exact.ndim > 2
            same = (one.movedim(1, -1) if back else one).double().reshape(exact.shape)
            off = (same - exact).abs() / exact.abs().clamp(min=1)
            found = float(off.max())
            worst = found if math.isnan(found) else max(worst, found)
        return worst
