"""Calls nobody would write by hand: every one gives the right answer, or is refused and writes
nothing. Each is drawn from (seed, index), so that one can be run again.

    python tests/fuzz/fuzz.py --seconds 60             any number of calls in this time
    python tests/fuzz/fuzz.py --count 1000 --seed 3
    python tests/fuzz/fuzz.py --seed 3 --index 17      one call again, described

The calls run in a process of their own: one that crashes or hangs is a finding like any other.
"""

import argparse
import mmap
import os
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "python")]

# A call that takes longer hangs: the slowest take a second, under the sanitizers ten.
PATIENCE = 120
EXIT_FINDINGS = 1


def command(seed: int, index: int) -> str:
    return f"python tests/fuzz/fuzz.py --seed {seed} --index {index}"


# --- one call


class Finding(Exception):
    """What is wrong with a call."""


def describe(value: Any) -> str:
    import numpy as np

    if isinstance(value, tuple):
        return f"({', '.join(map(describe, value))})"
    if not isinstance(value, np.ndarray):
        return repr(value)[:80]
    text = f"{value.dtype}{value.shape} strides {value.strides}"
    if value.dtype.kind in "fiub" and value.size:
        text += f" from {value.reshape(-1)[0]!r}"
    return text + ("" if value.flags.writeable else " read-only")


def draw(seed: int, index: int) -> Any:
    import draw
    import numpy as np
    import oracle
    import spoil

    drawer = draw.Drawer(np.random.default_rng([seed, index]))
    call = drawer.call()
    if call.verdict == "accepted":
        before = oracle.Call(call.operation, call.arguments)
        if oracle.too_little(before, call.operation):
            some = {"where", "sample_weight"} & set(call.arguments)
            call.verdict = "either" if some else "refused"
            call.spoiled = "too little data"
    if call.verdict == "accepted" and drawer.chance(0.3):
        spoil.Spoiler(drawer, call).spoil()
    return call


def check(call: Any) -> str:
    """Make the call; raises Finding, or returns what happened."""
    import numpy as np
    import oracle

    import normfast as nf

    frozen = {k: v.copy() if isinstance(v, np.ndarray) else v for k, v in call.arguments.items()}
    given = call.passed()
    for memory in call.memories:
        memory.remember()
    try:
        results = getattr(nf, call.operation)(**given)
    except (ValueError, TypeError) as error:
        check_refusal(call, error)
        if call.verdict == "accepted":
            expected = oracle.expect(call.operation, frozen)
            if not expected.refusable:
                raise Finding(f"refused a good call: {error}") from error
        return "refused"
    except BaseException as error:
        raise Finding(f"raised {type(error).__name__}: {error}") from error
    if call.verdict == "refused":
        raise Finding(f"accepted ({call.spoiled})")
    if call.spoiled:
        return "accepted"
    expected = oracle.expect(call.operation, frozen)
    results = results if isinstance(results, tuple) else (results,)
    check_results(call, given.get("out"), results, expected)
    return "accepted"


def check_refusal(call: Any, error: Exception) -> None:
    message = str(error)
    if type(error) not in (ValueError, TypeError):
        raise Finding(f"raised {type(error).__name__}")
    if not message.startswith(f"{call.operation}: "):
        raise Finding(f"the message does not begin with the function: {message}")
    if len(message.splitlines()) > 2 or len(message) > 400:
        raise Finding(f"the message is long: {message}")
    if any(memory.changed([]) for memory in call.memories):
        raise Finding(f"wrote before it refused: {message}")


def check_results(call: Any, passed: Any, results: tuple[Any, ...], expected: Any) -> None:
    import numpy as np

    names = ["y", "second", "third", "fourth"]
    out = call.arguments.get("out")
    outs = out if isinstance(out, tuple) else (out,)
    given_outs = passed if isinstance(passed, tuple) else (passed,)
    for given, result in zip(given_outs, results, strict=False):
        if given is not None and result is not given:
            raise Finding("out was not returned")
    # As NumPy sees what was returned.
    results = tuple(outs) + results[len(outs) :] if out is not None else results
    if len(results) != len(expected.results):
        raise Finding(f"{len(results)} results, expected {len(expected.results)}")
    for name, result, value in zip(names, results, expected.results, strict=False):
        compare(name, np.asarray(result), value)
    for name, value in expected.updated.items():
        compare(name, call.arguments[name], value)
    writable = [a for a in outs if a is not None]
    writable += [call.arguments[name] for name in expected.updated]
    if any(memory.changed(writable) for memory in call.memories):
        raise Finding("wrote outside its outputs")


def compare(name: str, actual: Any, value: Any) -> None:
    import numpy as np

    if actual.dtype != value.dtype or actual.shape != value.exact.shape:
        raise Finding(
            f"{name} is {actual.dtype}{actual.shape}, expected {value.dtype}{value.exact.shape}"
        )
    with np.errstate(all="ignore"):
        wide = actual.astype(np.float64) if actual.dtype.kind == "V" else actual
        error = np.abs(wide.astype(np.longdouble) - value.exact)
        wrong = ~(error <= value.error) & ~np.isposinf(value.error)
    if wrong.any():
        at = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise Finding(
            f"{name}{list(at)} is {actual[at]!r}, expected {value.exact[at]!r} within "
            f"{value.error[at]:.3g}; {int(wrong.sum())} of {actual.size} are wrong"
        )


def run_one(seed: int, index: int, verbose: bool = False) -> tuple[str, str]:
    """What happened, and the finding if it is one."""
    call = draw(seed, index)
    lines = [f"{call.operation}: {call.verdict} {call.spoiled}".rstrip()]
    for name, value in call.arguments.items():
        how = f" in a {call.wrapped[name].__name__}" if name in call.wrapped else ""
        lines.append(f"    {name} = {describe(value)}{how}")
    if verbose:
        print("\n".join(lines), flush=True)
    try:
        return check(call), ""
    except Finding as finding:
        return "finding", "\n".join([f"FINDING {finding}", *([] if verbose else lines)])


# --- many calls


def work(seed: int, first: int, count: int, progress: Path) -> int:
    """The process that makes the calls; it notes each index before the call."""
    with progress.open("r+b") as file, mmap.mmap(file.fileno(), 0) as shared:
        for index in range(first, first + count):
            struct.pack_into("q", shared, 0, index)
            happened, finding = run_one(seed, index)
            offset = 8 * (1 + ["accepted", "refused", "finding"].index(happened))
            struct.pack_into("q", shared, offset, struct.unpack_from("q", shared, offset)[0] + 1)
            if finding:
                print(f"{command(seed, index)}\n{finding}\n", flush=True)
    return 0


def indices(progress: Path) -> Iterator[int]:
    yield from struct.unpack("4q", progress.read_bytes())


def fuzz(seed: int, first: int, count: int, seconds: float) -> int:
    """Run calls in a process that is watched; 1 if there was a finding."""
    deadline = time.monotonic() + seconds
    crashes = 0
    with tempfile.TemporaryDirectory() as folder:
        progress = Path(folder) / "progress"
        progress.write_bytes(struct.pack("4q", first, 0, 0, 0))
        index, end, out_of_time = first, first + count, False
        while index < end and not out_of_time:
            arguments = ["--work", str(progress), "--seed", str(seed), "--index", str(index)]
            worker = subprocess.Popen(
                [sys.executable, __file__, *arguments, "--count", str(end - index)]
            )
            seen, since = index, time.monotonic()
            while worker.poll() is None:
                time.sleep(0.05)
                index = next(indices(progress))
                if index != seen:
                    seen, since = index, time.monotonic()
                out_of_time = time.monotonic() > deadline
                hangs = time.monotonic() - since > PATIENCE
                if out_of_time or hangs:
                    worker.kill()
                    worker.wait()
                    break
            index = next(indices(progress)) + 1
            if not out_of_time and worker.returncode != 0:
                crashes += 1
                why = "hangs" if hangs else f"ended the process with {worker.returncode}"
                print(f"{command(seed, index - 1)}\nFINDING {why}\n", flush=True)
        _, accepted, refused, findings = indices(progress)
    print(f"{accepted} accepted, {refused} refused, {findings + crashes} findings (seed {seed})")
    return EXIT_FINDINGS if findings + crashes else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=None, help="how many calls")
    parser.add_argument("--seconds", type=float, default=None, help="for how long")
    parser.add_argument("--index", type=int, default=None, help="this call alone")
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        return work(options.seed, options.index, options.count, options.work)
    if options.index is not None:
        happened, finding = run_one(options.seed, options.index, verbose=True)
        print(finding or happened)
        return EXIT_FINDINGS if finding else 0
    seconds = options.seconds or (60 if options.count is None else float("inf"))
    return fuzz(options.seed, 0, options.count or sys.maxsize, seconds)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "3")
    sys.exit(main())
