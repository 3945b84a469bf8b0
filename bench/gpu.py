"""One visit to a GPU: build, test, search for races and stray accesses, time; under eight minutes.

    python bench/gpu.py                            all steps, into build/gpu
    python bench/gpu.py --steps test,check,time    with the normfast that Python finds
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
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from gpu_report import renew, section, show, step_lines
from gpu_timing import tail

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "build" / "gpu"
SITE = FOLDER / "site"
SCHEMA = 1

Step = dict[str, Any]
Report = dict[str, Any]


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
        *([] if args.emulated else [f"-DCMAKE_CUDA_ARCHITECTURES={architecture()}"]),
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


def architecture() -> str:
    """Of this machine's GPU, as CMake names it."""
    query = ["nvidia-smi", "--query-gpu=compute_cap", "--format=csv,noheader"]
    with suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True)
        number = done.stdout.partition("\n")[0].strip().replace(".", "")
        if number.isdigit():
            return f"{number}-real"
    return "native"


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
    """The first line with an error and the one after it, else the last line."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    places = (place for place, line in enumerate(lines) if "error" in line.lower())
    return next((" ".join(lines[place : place + 2]) for place in places), tail(output))


def test(args: argparse.Namespace, _: Report) -> Step:
    """tests/cuda, on this machine."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/cuda"]
    status, output = run(command, min(args.left() - args.reserve, 150), "tests")
    if status is None:
        return outcome(False, "took too long (build/gpu/tests.log)")
    return outcome(status == 0, tail(output).strip("= "))


def sanitize(args: argparse.Namespace, _: Report) -> Step:
    """Memcheck and racecheck of our kernels, in the tests that are marked small."""
    tool = shutil.which("compute-sanitizer")
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
        if seconds < 10:
            return outcome(None, "; ".join([*said, f"{name}: no time was left"]))
        status, output = run(command, seconds, name, PYTORCH_NO_CUDA_MEMORY_CACHING="1")
        found = re.findall(r"SUMMARY: (.*)", output)
        passed = re.findall(r"^(?:=+ )?(\d+ passed.*?)(?: =+)?$", output, re.MULTILINE)
        summary = "took too long" if status is None else (found or [tail(output)])[-1]
        said.append(f"{name}: {'; '.join([summary, *passed[-1:]])}")
        ok = ok and status == 0 and bool(found)
    return outcome(ok, ". ".join(said))


def each_case(kind: str, args: argparse.Namespace, report: Report) -> Step:
    """The cases, in a process of their own: a kernel that hangs or crashes ends that alone."""
    if find_spec("torch") is None:
        return outcome(None, "torch is missing")
    file = FOLDER / f"{kind}.jsonl"
    file.unlink(missing_ok=True)
    # fmt: off
    command = [
        sys.executable, str(ROOT / "bench" / "gpu_timing.py"), kind, str(file),
        "--seconds", str(args.left() - 10), "--rounds", str(args.rounds),
        "--size", str(args.size), "--filter", args.filter,
        *(["--no-compile"] if not args.compile else []),
        *(["--emulated"] if args.emulated else []),
    ]
    # fmt: on
    status, output = run(command, args.left(), kind)
    lines = file.read_text("utf-8").splitlines() if file.exists() else []
    first, *found = [json.loads(line) for line in lines] or [{}]
    if not first:
        return outcome(False if status else None, tail(output))
    report["conditions"] |= first
    results = [result for result in found if "error" in result]
    if kind == "time":
        report["cases"] = results
    bad = [f"{r['label']}: error {r['error']:.1e}" for r in results if not r["kept"]]
    bad += [f"{result['label']}: {result['failed']}" for result in found if "failed" in result]
    if status != 0:
        bad.append("stopped, as it took too long" if status is None else tail(output))
    return outcome(not bad, ". ".join([f"{len(results)} cases within the promise", *bad]))


STEPS: dict[str, Callable[[argparse.Namespace, Report], Step]] = {
    "build": build,
    "test": test,
    "check": partial(each_case, "check"),
    "sanitize": sanitize,
    "time": partial(each_case, "time"),
}


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
    args.reserve = 15 * args.minutes  # seconds that the steps before leave to time
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
        toolkit = Path(os.environ.get("CUDA_HOME", "/usr/local/cuda")) / "bin"
        os.environ["PATH"] += f"{os.pathsep}{toolkit}"
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
