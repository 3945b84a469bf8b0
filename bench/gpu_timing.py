"""How gpu.py times: CUDA graphs between events, on buffers that are together four times the L2."""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from gpu_cases import Buffers, Case, Tensors, cases


class Bench:
    """What all cases share."""

    def __init__(self, torch: Any, cuda: Any, args: argparse.Namespace, l2: int) -> None:
        self.torch, self.cuda, self.args, self.l2 = torch, cuda, args, l2
        self.device = "cpu" if args.emulated else "cuda"
        self.compile = args.compile and (args.emulated or find_spec("triton") is not None)
        self.end = time.monotonic() + args.seconds
        self.liger = None
        if not args.emulated and find_spec("liger_kernel") is not None:
            with suppress(Exception):  # whatever it is that it lacks
                self.liger = import_module("liger_kernel.transformers.functional")
        self.size = 1 << 16 if args.emulated else args.size << 20
        if not args.emulated:  # until its clocks are up
            pair = torch.ones(2, 1 << 26, device=self.device)
            end = time.monotonic() + 1
            while time.monotonic() < end:
                pair[1].copy_(pair[0])
                torch.cuda.synchronize()

    def left(self) -> float:
        """Seconds."""
        return self.end - time.monotonic()

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
        if self.liger is not None and (liger := tensors.liger(self.liger)) is not None:
            peers["Liger"] = liger
        if case.compiled and self.compile and self.left() > self.args.seconds / 4:
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


def tail(output: str) -> str:
    """The last line that says something."""
    return next((line for line in reversed(output.splitlines()) if line.strip()), "no output")


def main() -> int:
    """Write what was found, a line of JSON a case, the machine first."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=["check", "time"])
    parser.add_argument("file", type=Path)
    parser.add_argument("--seconds", type=float, default=300, help="for everything")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--size", type=int, default=256, help="MiB of x")
    parser.add_argument("--filter", default="")
    parser.add_argument("--no-compile", dest="compile", action="store_false")
    parser.add_argument("--emulated", action="store_true")
    args = parser.parse_args()
    import torch

    if not args.emulated and not torch.cuda.is_available():
        print("torch finds no GPU")
        return 0
    from normfast import cuda
    from normfast.cli.bench.reference import PROMISE

    with args.file.open("w", encoding="utf-8", buffering=1) as file, torch.inference_mode():

        def write(line: Mapping[str, Any]) -> None:
            file.write(json.dumps(line) + "\n")

        known = conditions(torch, args.emulated)
        write(known)
        bench = Bench(torch, cuda, args, known["l2"])
        for case in cases():
            if args.filter not in case.label:
                continue
            if bench.left() < 0:
                write({"label": case.label, "failed": "no time was left"})
                continue
            try:
                found = bench.time(case) if args.kind == "time" else bench.check(case)
                write(found | {"kept": found["error"] <= PROMISE[case.dtype]})
            except Exception as error:  # one case that fails must not end the visit
                why = f"{type(error).__name__}: {tail(str(error))[:200]}"
                write({"label": case.label, "failed": why})
                if "CUDA error" in str(error):  # after which nothing works in this process
                    return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
