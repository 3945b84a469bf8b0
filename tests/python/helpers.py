"""Comparisons: to the bit, and to the promised accuracy."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import ArrayLike, NDArray
from reference import Expected

Array = NDArray[Any]

# The error promised for the normalised value before affine, times max(1, |value|).
PROMISE = {np.dtype("float32"): 1e-6, np.dtype("float64"): 1e-13}


def bits(array: ArrayLike) -> Array:
    """The representation as integers. All NaNs count as one: their payloads promise nothing."""
    array = np.array(array, order="C")
    if array.dtype.kind == "f":
        array[np.isnan(array)] = np.nan
    return array.view(f"u{array.itemsize}")


def assert_same_bits(actual: ArrayLike, expected: ArrayLike) -> None:
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert (actual.dtype, actual.shape) == (expected.dtype, expected.shape)
    different = np.argwhere(bits(actual) != bits(expected))
    if len(different):
        first = tuple(different[0])
        raise AssertionError(
            f"{len(different)} of {actual.size} elements differ, first at {first}: "
            f"{actual[first]!r} is not {expected[first]!r}"
        )


def assert_all_same_bits(actual: tuple[Array, ...], expected: tuple[Array, ...]) -> None:
    assert len(actual) == len(expected)
    for one, other in zip(actual, expected, strict=True):
        assert_same_bits(one, other)


def assert_within(actual: Array, expected: Array, tolerance: Array) -> None:
    """|actual - expected| <= tolerance everywhere; a NaN fails."""
    assert actual.shape == expected.shape
    error = np.abs(actual.astype(np.longdouble) - expected)
    worst = np.unravel_index(np.nanargmax(error - tolerance), error.shape) if error.size else ()
    assert np.all(error <= tolerance), (
        f"at {worst}: {actual[worst]!r}, expected {expected[worst]!r}: "
        f"error {error[worst]:.3g}, allowed {np.broadcast_to(tolerance, error.shape)[worst]:.3g}"
    )


def computing(dtype: np.dtype) -> np.dtype:
    """What the arithmetic on arrays of this dtype is done in."""
    return np.dtype("float64" if dtype in ("float64", "int32") else "float32")


def rounding(values: Array, dtype: np.dtype) -> Any:
    """Half a unit in the last place: what one rounding to a half type may cost. Else nothing."""
    if dtype.itemsize != 2:
        return np.longdouble(0)
    limits = ml_dtypes.finfo(dtype)
    exponent = np.where(values == 0, limits.minexp, np.frexp(values)[1] - 1)
    exponent = np.maximum(exponent, limits.minexp)
    return np.ldexp(np.longdouble(1), exponent - limits.nmant - 1)


def assert_promised(y: Array, expected: Expected) -> None:
    """y is within the promise: of the normalised value, carried through weight and bias."""
    limits = np.finfo(computing(y.dtype))
    promise = PROMISE[limits.dtype]
    tolerance = promise * np.maximum(1, np.abs(expected.normed)) * np.abs(expected.weight)
    if expected.is_affine:  # the affine step and the parameters' conversion round as well
        scaled = np.abs(expected.normed * expected.weight)
        tolerance += 2 * limits.eps * (scaled + np.abs(expected.bias)) + limits.smallest_subnormal
    assert_within(y, expected.y, tolerance + rounding(expected.y, y.dtype))


def assert_relative(y: Array, expected: Array) -> None:
    """For unit vectors, where every element counts however small it is."""
    limits = np.finfo(y.dtype)
    tolerance = PROMISE[y.dtype] * np.abs(expected) + limits.smallest_subnormal
    assert_within(y, expected, tolerance)


def make(shape: tuple[int, ...], dtype: np.dtype, rng: np.random.Generator) -> Array:
    return (3 + 2 * rng.standard_normal(shape)).astype(dtype)


def affine(
    shape: int | tuple[int, ...], rng: np.random.Generator, dtype: Any = np.float32
) -> tuple[Array, Array]:
    return rng.uniform(0.5, 2, shape).astype(dtype), rng.standard_normal(shape).astype(dtype)


def assert_stats(stats: tuple[Array, ...], *expected: Array) -> None:
    """float64, reduced dimensions kept as 1; no more than float32 data can promise."""
    for actual, exact in zip(stats, expected, strict=True):
        assert actual.dtype == np.float64
        assert_within(actual, exact, 1e-6 * np.maximum(np.abs(exact), 1e-6))


# For scripts: the most memory the process has had, in MB. Unlike getrusage's, it starts at exec.
STATUS = Path("/proc/self/status")
LARGEST_SIZE = f"""
import pathlib
def largest_size():
    status = pathlib.Path({str(STATUS)!r}).read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) // 1024
"""


def run_python(script: str, timeout: float = 60, **environment: str) -> str:
    """The output of a script in a process of its own, which must end well and in time."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
