"""One visit to a GPU: build, test, search for races and stray accesses, time; under eight minutes.

    python bench/gpu.py                            all steps, into build/gpu
    python bench/gpu.py --steps test,check,time    with the normfast that is installed
    python bench/gpu.py --read build/gpu/gpu.json --markdown docs/benchmarks.md
    python bench/gpu.py --steps check,time --emulated    small arrays, on a build that emulates

build: CMake, for the GPU of this machine. test: tests/cuda. check: every case against float64.
sanitize: compute-sanitizer's memcheck and racecheck on the tests that are marked small. time: every
case against torch, torch.compile and a device copy of as many bytes, by CUDA events around replays
of a CUDA graph, on buffers that are together four times the L2; shares are of the copy's bandwidth.
A step that lacks a tool says so, and the others go on.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "build" / "gpu"
SITE = FOLDER / "site"
SCHEMA = 1

Step = dict[str, Any]
Report = dict[str, Any]


# --- the cases ------------------------------------------------------------------------------------


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
        said = {True: "{}", False: "no {}"}
        words = [said.get(v, f"{k} {v}").format(k) for k, v in self.options.items()]
        return ", ".join(
            [f"{self.op} {'x'.join(['N', *map(str, self.shape)])}", self.dtype, *words]
        )


ROWS = {
    "rows of 64 to 255": (64, 96, 128, 192),
    "rows of 256 to 1023": (256, 512, 768),
    "rows of 1K to 32K": (1024, 2048, 4096, 8192, 16384, 32768),
    "rows of 64K to 256K": (65536, 131072, 262144),
}
# Shares of the copy: must, aim.
TARGETS: dict[str, tuple[float, float | None]] = {
    "rows of 64 to 255": (0.80, 0.90),
    "rows of 256 to 1023": (0.90, 0.95),
    "rows of 1K to 32K": (0.95, 0.98),
    "rows of 64K to 256K": (0.90, 0.96),
    "add and normalise": (0.93, 0.97),
    "batch norm, evaluation": (0.95, 0.98),
    "batch norm, training": (0.88, None),
    "groups, channels first": (0.92, 0.96),
    "groups, channels last": (0.60, 0.85),
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


# --- steps ----------------------------------------------------------------------------------------


def run(command: Sequence[str], seconds: float, log: str, **env: str) -> tuple[int | None, str]:
    """Exit status (None: it took too long, and was stopped with its children) and output."""
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=max(seconds, 1))
        status: int | None = process.returncode
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        status = None
    (FOLDER / f"{log}.log").write_text(" ".join(command) + "\n" + output)
    return status, output


def outcome(ok: bool | None, said: str) -> Step:
    """What a step found; None: it could not be made."""
    return {"ok": ok, "said": said}


def tail(output: str) -> str:
    """The last line that says something."""
    return next((line for line in reversed(output.splitlines()) if line.strip()), "no output")


def build(args: argparse.Namespace, _: Report) -> Step:
    """CMake for this machine's GPU, and the package in build/gpu/site."""
    missing = [tool for tool in ("cmake", "nvcc") if shutil.which(tool) is None]
    if find_spec("pybind11") is None:
        missing.append("pybind11")
    if missing and not (args.emulated and missing == ["nvcc"]):
        return outcome(None, f"{', '.join(missing)} missing: --steps without build, and a normfast")
    end = time.monotonic() + min(args.left(), 240)
    # fmt: off
    configure = [
        "cmake", "-S", str(ROOT), "-B", str(FOLDER / "cmake"), "-DCMAKE_BUILD_TYPE=Release",
        "-DNORMFAST_PYTHON=ON", f"-DNORMFAST_CUDA={'EMULATED' if args.emulated else 'ON'}",
        f"-DPython_EXECUTABLE={sys.executable}", f"-Dpybind11_DIR={pybind11_folder()}",
        *(["-GNinja"] if shutil.which("ninja") else []),
        *([] if args.emulated else ["-DCMAKE_CUDA_ARCHITECTURES=native"]),
    ]
    # fmt: on
    make = ["cmake", "--build", str(FOLDER / "cmake"), "--parallel", str(os.cpu_count())]
    install = ["cmake", "--install", str(FOLDER / "cmake"), "--component", "python"]
    install += ["--prefix", str(SITE)]
    shutil.rmtree(SITE, ignore_errors=True)
    shutil.copytree(ROOT / "python" / "normfast", SITE / "normfast")
    for name, command in (("configure", configure), ("make", make), ("install", install)):
        status, output = run(command, end - time.monotonic(), f"build-{name}")
        if status != 0:
            why = "took too long" if status is None else first_error(output)
            return outcome(False, f"{name}: {why} (build/gpu/build-{name}.log)")
    use_site()
    return outcome(True, f"normfast with CUDA in {SITE.relative_to(ROOT)}")


def pybind11_folder() -> str:
    """Where CMake finds pybind11."""
    import pybind11

    return pybind11.get_cmake_dir()


def use_site() -> None:
    """Here and in what is started from here, normfast is what was built."""
    sys.path.insert(0, str(SITE))
    os.environ["PYTHONPATH"] = os.pathsep.join(
        filter(None, (str(SITE), os.environ.get("PYTHONPATH")))
    )


def first_error(output: str) -> str:
    """The first line with an error, else the last line."""
    return next((line for line in output.splitlines() if "error" in line.lower()), tail(output))


def test(args: argparse.Namespace, _: Report) -> Step:
    """tests/cuda, on this machine."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/cuda"]
    status, output = run(command, min(args.left(), 150), "tests")
    if status is None:
        return outcome(False, "took too long (build/gpu/tests.log)")
    return outcome(status == 0, tail(output).strip("= "))


def sanitize(args: argparse.Namespace, _: Report) -> Step:
    """Memcheck and racecheck of our kernels, in the tests that are marked small."""
    toolkit = Path(os.environ.get("CUDA_HOME", "/usr/local/cuda")) / "bin"
    tool = shutil.which("compute-sanitizer", path=f"{os.environ['PATH']}{os.pathsep}{toolkit}")
    if tool is None:
        return outcome(None, "compute-sanitizer is missing (it comes with the CUDA toolkit)")
    said, ok = [], True
    names = ("memcheck", "racecheck")
    for place, name in enumerate(names):
        # fmt: off
        command = [
            tool, "--tool", name, "--kernel-name", "kns=normfast", "--report-api-errors", "no",
            "--error-exitcode", "77",
            sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-m", "small",
            "tests/cuda",
        ]
        # fmt: on
        seconds = min((args.left() - args.reserve) / (len(names) - place), 100)
        status, output = run(command, seconds, name, PYTORCH_NO_CUDA_MEMORY_CACHING="1")
        found = re.findall(r"SUMMARY: (.*)", output)
        passed = re.findall(r"^(?:=+ )?(\d+ passed.*?)(?: =+)?$", output, re.MULTILINE)
        summary = "took too long" if status is None else (found or [tail(output)])[-1]
        said.append(f"{name}: {'; '.join([summary, *passed[-1:]])}")
        ok = ok and status == 0 and bool(found)
    return outcome(ok, ". ".join(said))


def check(args: argparse.Namespace, report: Report) -> Step:
    """Every case once on buffers of a sixteenth of the size, against float64."""
    return each_case(args, report, timed=False)


def time_all(args: argparse.Namespace, report: Report) -> Step:
    """Every case, checked again and timed."""
    return each_case(args, report, timed=True)


def each_case(args: argparse.Namespace, report: Report, *, timed: bool) -> Step:
    """Run the cases; whatever fails is told with its case, and ends nothing."""
    for package in ("torch", "numpy"):
        if find_spec(package) is None:
            return outcome(None, f"{package} is missing")
    import torch

    if not args.emulated and not torch.cuda.is_available():
        return outcome(None, "torch finds no GPU")
    from normfast import cuda
    from normfast.cli.bench.reference import PROMISE

    report["conditions"] |= conditions(torch, args.emulated)
    bench = Bench(torch, cuda, args, report["conditions"]["l2"])
    results, wrong, failed, skipped = [], [], [], 0
    with torch.inference_mode():
        for case in cases():
            if args.filter not in case.label:
                continue
            if args.left() < 5:
                skipped += 1
                continue
            try:
                result = bench.time(case) if timed else bench.check(case)
            except Exception as error:  # one case that fails must not end the visit
                failed.append(f"{case.label}: {type(error).__name__}: {tail(str(error))[:200]}")
                if "CUDA error" in str(error):  # after which nothing works in this process
                    break
                continue
            result["kept"] = result["error"] <= PROMISE[case.dtype]
            if not result["kept"]:
                wrong.append(f"{case.label}: error {result['error']:.1e}")
            results.append(result)
    if timed:
        report["cases"] = results
    counts = f"{len(wrong)} wrong, {len(failed)} failed, {skipped} not reached"
    said = [f"{len(results)} cases, {counts}"]
    return outcome(not wrong and not failed and not skipped, ". ".join(said + wrong + failed))


class Bench:
    """What all cases share."""

    def __init__(self, torch: Any, cuda: Any, args: argparse.Namespace, l2: int) -> None:
        self.torch, self.cuda, self.args, self.l2 = torch, cuda, args, l2
        self.device = "cpu" if args.emulated else "cuda"
        self.compile = args.compile and (args.emulated or find_spec("triton") is not None)
        self.size = 1 << 16 if args.emulated else args.size << 20
        if not args.emulated:  # until its clocks are up
            pair = torch.ones(2, 1 << 26, device=self.device)
            end = time.monotonic() + 1
            while time.monotonic() < end:
                pair[1].copy_(pair[0])
                torch.cuda.synchronize()

    def tensors(self, case: Case, size: int, *, rotate: bool) -> Tensors:
        """Enough of them that each call finds its data in memory, not in L2."""
        itemsize = getattr(self.torch, case.dtype).itemsize
        count = max(2, size // (itemsize * math.prod(case.shape)))
        shape = (count, *case.shape)
        moved = case.moved * itemsize * math.prod(shape)
        sets = max(1, math.ceil(4 * self.l2 / moved)) if rotate else 1
        return Tensors(self.torch, case, shape, sets, self.device)

    def check(self, case: Case) -> dict[str, Any]:
        """The error of one call."""
        tensors = self.tensors(case, self.size // 16, rotate=False)
        (b,) = tensors.buffers
        expected = tensors.expected(b)
        return {"label": case.label, "error": tensors.error(tensors.own(self.cuda)(b), expected)}

    def time(self, case: Case) -> dict[str, Any]:
        """Times of all, and the error of what was timed."""
        from normfast.cli.bench.measure import measure
        from normfast.cli.bench.reference import SAME

        tensors = self.tensors(case, self.size, rotate=True)
        last = tensors.buffers[-1]
        expected = tensors.expected(last)
        half = case.moved * last.x.nbytes // 2
        pairs = [self.torch.empty(2, half, dtype=self.torch.uint8, device=self.device)]
        pairs += [self.torch.empty_like(pairs[0]) for _ in tensors.buffers[1:]]
        notes: dict[str, str] = {}
        timers = {
            "normfast": self.timer(tensors.own(self.cuda), tensors.buffers),
            "copy": self.timer(lambda pair: pair[1].copy_(pair[0]), pairs),
        }
        # What the replays wrote is what is judged: NaN stood there before.
        last.y.fill_(math.nan)
        timers["normfast"].timeit(1)
        written = (last.y,) if last.total is None else (last.y, last.total)
        if case.op == "mean_var":
            written = tensors.own(self.cuda)(last)
        error = tensors.error(written, expected)

        peers = {"torch": tensors.peer()}
        if case.op == "batch_norm" and not self.args.emulated:
            peers["torch without cuDNN"] = self.without_cudnn(tensors.peer())
        if case.compiled and self.compile and self.args.left() > self.args.reserve:
            self.torch.compiler.reset()
            peers["torch.compile"] = self.torch.compile(tensors.peer(), dynamic=False)
        for name, peer in peers.items():
            try:
                off = tensors.error(peer(last), expected, moved=True)
                if not off <= SAME[case.dtype]:
                    raise ValueError(f"not timed, as its result is wrong by {off:.0e}")
                timers[name] = self.timer(peer, tensors.buffers)
            except Exception as failure:  # a peer that fails must not end the run
                notes[name] = tail(str(failure))[:200]
        found = measure(timers, self.args.rounds, 2e-3)
        return {
            "label": case.label,
            **asdict(case),
            "shape": list(last.x.shape),
            "bytes": 2 * half,
            "sets": len(tensors.buffers),
            "error": error,
            "seconds": {name: list(timing.seconds) for name, timing in found.items()},
            "graph": {name: timer.graph is not None for name, timer in timers.items()},
            "notes": notes,
        }

    def timer(self, call: Callable[[Any], Any], buffers: Sequence[Any]) -> Replay:
        """A timer of the call on each of the buffers in turn."""
        return Replay(self.torch, call, buffers, on_gpu=not self.args.emulated)

    def without_cudnn(self, call: Callable[[Buffers], Any]) -> Callable[[Buffers], Any]:
        """The same with torch's own kernels."""

        def native(b: Buffers) -> Any:
            with self.torch.backends.cudnn.flags(enabled=False):
                return call(b)

        return native


NODES = 8


class Replay:
    """Times calls on all buffers in turn: a CUDA graph of them where one can be captured."""

    def __init__(
        self, torch: Any, call: Callable[[Any], Any], buffers: Sequence[Any], *, on_gpu: bool
    ) -> None:
        self.torch, self.call, self.buffers, self.on_gpu = torch, call, buffers, on_gpu
        self.graph, self.rounds = None, 1
        if not on_gpu:
            self.each()
            return
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(2):
                self.each()
        torch.cuda.current_stream().wait_stream(side)
        torch.cuda.synchronize()
        # What lies between two graphs is time too: several rounds in each.
        self.rounds = max(1, NODES // len(buffers))
        with suppress(RuntimeError):
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                for _ in range(self.rounds):
                    self.each()
            self.graph = graph
        torch.cuda.synchronize()

    def each(self) -> None:
        """One call on each."""
        for buffer in self.buffers:
            self.call(buffer)

    def timeit(self, number: int) -> float:
        """Seconds for as many calls as that, each on all buffers; by the number of calls in it."""
        once = self.each if self.graph is None else self.graph.replay
        calls = len(self.buffers) * (1 if self.graph is None else self.rounds)
        if not self.on_gpu:
            start = time.perf_counter()
            for _ in range(number):
                once()
            return (time.perf_counter() - start) / calls
        events = [self.torch.cuda.Event(enable_timing=True) for _ in range(2)]
        events[0].record()
        for _ in range(number):
            once()
        events[1].record()
        events[1].synchronize()
        return events[0].elapsed_time(events[1]) / 1e3 / calls


STEPS: dict[str, Callable[[argparse.Namespace, Report], Step]] = {
    "build": build,
    "test": test,
    "check": check,
    "sanitize": sanitize,
    "time": time_all,
}


def conditions(torch: Any, emulated: bool) -> dict[str, Any]:
    """The machine and the versions."""
    import normfast

    versions = {"normfast": normfast.__version__, "torch": torch.__version__}
    if find_spec("triton") is not None:
        import triton

        versions["triton"] = triton.__version__
    if emulated:
        return {"gpu": "none: emulated on the CPU", "l2": 1 << 16, "versions": versions}
    properties = torch.cuda.get_device_properties(0)
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    with suppress(OSError, subprocess.SubprocessError):
        found = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True)
        versions["driver"] = found.stdout.split("\n")[0].strip()
    return {
        "gpu": properties.name,
        "capability": f"{properties.major}.{properties.minor}",
        "multiprocessors": properties.multi_processor_count,
        "memory": properties.total_memory,
        "l2": properties.L2_cache_size,
        "versions": versions | {"CUDA of torch": torch.version.cuda},
    }


# --- what it comes to -----------------------------------------------------------------------------


def seconds(result: Mapping[str, Any], name: str) -> float | None:
    """The median."""
    values = result["seconds"].get(name)
    return statistics.median(values) if values else None


def share(result: Mapping[str, Any]) -> float:
    """Of the bandwidth of the copy."""
    return seconds(result, "copy") / seconds(result, "normfast")


def group_rows(report: Report) -> Iterator[list[str]]:
    """A row a class of the targets."""
    yield ["class", "cases", "share: median", "least", "must", "aim", ""]
    for group in dict.fromkeys(result["group"] for result in report["cases"]):
        shares = [share(result) for result in report["cases"] if result["group"] == group]
        must, aim = TARGETS.get(group, (None, None))
        least = min(shares)
        verdict = "-" if must is None else "kept" if least >= must else "missed"
        if verdict == "kept" and aim is not None and least >= aim:
            verdict = "kept, and the aim"
        bounds = ["-" if bound is None else f"{bound:.2f}" for bound in (must, aim)]
        median = statistics.median(shares)
        yield [group, str(len(shares)), f"{median:.2f}", f"{least:.2f}", *bounds, verdict]


PEERS = ("torch", "torch without cuDNN", "torch.compile")


def case_rows(report: Report) -> Iterator[list[str]]:
    """A row a case, under its class."""
    from normfast.cli.bench.report import duration, number, times

    yield ["case", "time", "GB/s", "share", "error", *PEERS]
    group = None
    for result in report["cases"]:
        if result["group"] != group:
            group = result["group"]
            yield [group]
        own = seconds(result, "normfast")
        taken = [seconds(result, name) for name in PEERS]
        yield [
            f"  {result['label']}",
            duration(own) + ("" if result["graph"]["normfast"] else " (no graph)"),
            f"{result['bytes'] / own / 1e9:.0f}",
            f"{share(result):.2f}",
            number(result["error"]) + ("" if result["kept"] else " missed"),
            *(times(None if peer is None else peer / own) for peer in taken),
        ]


def step_lines(report: Report) -> list[str]:
    """What each step said."""
    words = {True: "passed", False: "failed", None: "not run"}
    return [
        f"{name}: {words[step['ok']]} ({step['seconds']:.0f} s): {step['said']}"
        for name, step in report["steps"].items()
    ]


def headline(report: Report) -> str:
    """The machine and the versions in a line."""
    known = report["conditions"]
    parts = [known.get("gpu", "no GPU was reached")]
    if "multiprocessors" in known:
        l2, memory = known["l2"] >> 20, known["memory"] >> 30
        parts.append(f"{known['multiprocessors']} multiprocessors, L2 {l2} MiB, {memory} GiB")
    parts += [f"{name} {version}" for name, version in known.get("versions", {}).items()]
    return ", ".join(parts) + f". {report['time'][:10]}."


def show(report: Report) -> None:
    """The tables on the console."""
    if report["cases"]:
        from rich.console import Console

        from normfast.cli.bench.report import as_grid

        console = Console(width=None if sys.stdout.isatty() else 150)
        console.print(as_grid(case_rows(report)))
        console.print(as_grid(group_rows(report)))
        for result in report["cases"]:
            for name, note in result["notes"].items():
                print(f"{result['label']}: {name}: {note}")
    print(headline(report))
    print("\n".join(step_lines(report)))


SHARES = """\
Shares are of the bandwidth of a device copy of as many bytes in the same run. Peers: their time by
that of normfast, so above 1 normfast is faster."""


def section(report: Report) -> str:
    """The section of the page."""
    from normfast.cli.bench.report import markdown_table

    parts = ["## GPU", f"```sh\n{report['command']}\n```", headline(report)]
    parts.append("\n".join(f"- {line}" for line in step_lines(report)))
    if report["cases"]:
        parts += [
            SHARES,
            markdown_table(group_rows(report)),
            markdown_table(case_rows(report)),
        ]
    return "\n\n".join(parts) + "\n"


def renew(page: Path, text: str) -> None:
    """Put the section in the place of the old one, or at the end."""
    old = page.read_text("utf-8")
    new, count = re.subn(
        r"^## GPU\n.*?(?=^## |\Z)",
        lambda _: text + "\n",
        old,
        count=1,
        flags=re.MULTILINE | re.DOTALL,
    )
    page.write_text((new if count else f"{old}\n{text}").rstrip() + "\n", "utf-8")


def parse() -> argparse.Namespace:
    """The options, and the clock: ``left()`` is what is left of ``--minutes``."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", default=",".join(STEPS), help="default: %(default)s")
    parser.add_argument("--filter", default="", help="only cases with this in their label")
    parser.add_argument("--minutes", type=float, default=8.0, help="for everything")
    parser.add_argument("--rounds", type=int, default=7, help="times each case is measured")
    parser.add_argument("--size", type=int, default=256, help="MiB of x in the timed cases")
    parser.add_argument("--no-compile", dest="compile", action="store_false", help="as peer")
    parser.add_argument("--emulated", action="store_true", help="no GPU: try the script itself")
    parser.add_argument("--json", type=Path, default=FOLDER / "gpu.json", help="where it is kept")
    parser.add_argument("--read", type=Path, help="show what was kept; run nothing")
    parser.add_argument("--markdown", type=Path, help="a page whose section 'GPU' to renew")
    args = parser.parse_args()
    args.steps = args.steps.split(",")
    unknown = set(args.steps) - STEPS.keys()
    if unknown:
        parser.error(f"no step is called {', '.join(sorted(unknown))}")
    end = time.monotonic() + 60 * args.minutes
    args.left = lambda: end - time.monotonic()
    args.reserve = 15 * args.minutes  # seconds that sanitize and torch.compile leave to the rest
    return args


def main() -> int:
    """Run the steps in order; 1 where one of them failed."""
    args = parse()
    if args.read is not None:
        report = json.loads(args.read.read_text("utf-8"))
        if report["schema"] != SCHEMA:
            raise SystemExit(f"{args.read}: expected schema {SCHEMA}")
    else:
        FOLDER.mkdir(parents=True, exist_ok=True)
        command = " ".join(["python", "bench/gpu.py", *sys.argv[1:]])
        now = datetime.now(UTC).isoformat(timespec="seconds")
        report = {"schema": SCHEMA, "time": now, "command": command}
        report |= {"conditions": {}, "steps": {}, "cases": []}
        if SITE.exists() and "build" not in args.steps:
            use_site()
        for name in args.steps:
            start = time.monotonic()
            print(f"{name} ...", flush=True)
            try:
                step = STEPS[name](args, report)
            except Exception as error:  # the other steps may still tell something
                step = outcome(False, f"{type(error).__name__}: {error}")
            report["steps"][name] = step | {"seconds": time.monotonic() - start}
            args.json.write_text(json.dumps(report, indent=1) + "\n", "utf-8")
            print(step_lines(report)[-1], flush=True)
    show(report)
    if args.markdown is not None:
        renew(args.markdown, section(report))
    return int(any(step["ok"] is False for step in report["steps"].values()))


if __name__ == "__main__":
    sys.exit(main())
