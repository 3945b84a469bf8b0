"""One call: drawn from a seed and an index, made, and judged."""

from typing import Any

import numpy as np
import oracle
from draw import Call, Drawer
from numpy.typing import NDArray
from spoil import Spoiler

import normfast as nf

Array = NDArray[Any]


class Finding(Exception):
    """What is wrong with a call."""


def describe(value: Any) -> str:
    if isinstance(value, tuple):
        return f"({', '.join(map(describe, value))})"
    if not isinstance(value, np.ndarray):
        return repr(value)[:80]
    text = f"{value.dtype}{value.shape} strides {value.strides}"
    if value.dtype.kind in "fiub" and value.size:
        text += f" from {value.reshape(-1)[0]!r}"
    return text + ("" if value.flags.writeable else " read-only")


def draw_call(seed: int, index: int) -> Call:
    drawer = Drawer(np.random.default_rng([seed, index]))
    call = drawer.call()
    if call.verdict == "accepted":
        before = oracle.Call(call.operation, call.arguments)
        if oracle.too_little(before, call.operation):
            some = {"where", "sample_weight"} & set(call.arguments)
            call.verdict = "either" if some else "refused"
            call.spoiled = "too little data"
    if call.verdict == "accepted" and drawer.chance(0.3):
        Spoiler(drawer, call).spoil()
    return call


def check(call: Call) -> str:
    """Make the call; raises Finding, or returns what happened."""
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


def check_refusal(call: Call, error: Exception) -> None:
    message = str(error)
    if type(error) not in (ValueError, TypeError):
        raise Finding(f"raised {type(error).__name__}")
    if not message.startswith(f"{call.operation}: "):
        raise Finding(f"the message does not begin with the function: {message}")
    if len(message.splitlines()) > 2 or len(message) > 400:
        raise Finding(f"the message is long: {message}")
    if any(memory.changed([]) for memory in call.memories):
        raise Finding(f"wrote before it refused: {message}")


def check_results(call: Call, passed: Any, results: tuple[Any, ...], expected: Any) -> None:
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
    call = draw_call(seed, index)
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
