"""Calls nobody would write by hand: every one gives the right answer, or is refused and writes
nothing. Each is drawn from (seed, index), so that one can be run again.

    python tests/fuzz/fuzz.py --seconds 60             any number of calls in this time
    python tests/fuzz/fuzz.py --count 1000 --seed 3
    python tests/fuzz/fuzz.py --seed 3 --index 17      one call again, described

The calls run in a process of their own: one that crashes or hangs is a finding like any other.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

# For the reference that the tests have.
sys.path.append(str(Path(__file__).resolve().parents[1] / "python"))

# A call that takes longer hangs: the slowest take a second, under the sanitizers ten.
PATIENCE = 120
EXIT_FINDINGS = 1
WAYS = ["accepted", "refused", "finding"]


def command(seed: int, index: int) -> str:
    return f"python tests/fuzz/fuzz.py --seed {seed} --index {index}"


def open_progress(path: Path) -> np.memmap:
    """What the two processes share: the index of the call, and how many calls ended in each way."""
    return np.memmap(path, np.int64, "r+" if path.exists() else "w+", shape=1 + len(WAYS))


def work(seed: int, first: int, count: int, path: Path) -> None:
    """The process that makes the calls; it notes each index before the call."""
    from check import run_one

    progress = open_progress(path)
    for index in range(first, first + count):
        progress[0] = index
        way, finding = run_one(seed, index)
        progress[1 + WAYS.index(way)] += 1
        if finding:
            print(f"{command(seed, index)}\n{finding}\n", flush=True)


def watch(worker: subprocess.Popen[bytes], progress: np.memmap, deadline: float) -> str:
    """Wait for the end of the worker; why it ended, if that is a finding."""
    seen, since = int(progress[0]), time.monotonic()
    while worker.poll() is None:
        time.sleep(0.05)
        if int(progress[0]) != seen:
            seen, since = int(progress[0]), time.monotonic()
        hangs = time.monotonic() - since > PATIENCE
        if hangs or time.monotonic() > deadline:
            worker.kill()
            worker.wait()
            return "hangs" if hangs else ""
    return f"ended the process with {worker.returncode}" if worker.returncode else ""


def fuzz(seed: int, count: int, seconds: float) -> int:
    """Run calls in a process that is watched; 1 if there was a finding."""
    deadline = time.monotonic() + seconds
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "progress"
        progress = open_progress(path)
        index = 0
        while index < count and time.monotonic() < deadline:
            worker = [sys.executable, __file__, "--work", str(path), "--seed", str(seed)]
            worker += ["--index", str(index), "--count", str(count - index)]
            death = watch(subprocess.Popen(worker), progress, deadline)
            if death:
                progress[1 + WAYS.index("finding")] += 1
                print(f"{command(seed, int(progress[0]))}\nFINDING {death}\n", flush=True)
            index = int(progress[0]) + 1
        accepted, refused, findings = progress[1:].tolist()
    print(f"{accepted} accepted, {refused} refused, {findings} findings (seed {seed})")
    return EXIT_FINDINGS if findings else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=None, help="how many calls")
    parser.add_argument("--seconds", type=float, default=None, help="for how long")
    parser.add_argument("--index", type=int, default=None, help="this call alone")
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work(options.seed, options.index, options.count, options.work)
        return 0
    if options.index is not None:
        from check import run_one

        way, finding = run_one(options.seed, options.index, verbose=True)
        print(finding or way)
        return EXIT_FINDINGS if finding else 0
    seconds = options.seconds or (60 if options.count is None else float("inf"))
    return fuzz(options.seed, options.count or sys.maxsize, seconds)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "3")
    sys.exit(main())
