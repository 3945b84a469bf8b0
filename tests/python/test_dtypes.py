"""Halves are widened, computed in float32 and rounded once; integers have exact statistics."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import layouts
import ml_dtypes
import numpy as np
import pytest
import reference as ref
from cases import CASES, NORMALISING, Case, plain, with_spikes
from helpers import PROMISE, assert_all_same_bits, assert_same_bits, assert_within, computing
from numpy.typing import NDArray

import normfast as nf
from normfast import _core

Array = NDArray[Any]
Dtype = np.dtype[Any]

FLOAT32, FLOAT64, FLOAT16, BFLOAT16 = (
    np.dtype(d) for d in ("float32", "float64", "float16", ml_dtypes.bfloat16)
)
HALVES = [FLOAT16, BFLOAT16]
FLOATS = [FLOAT32, FLOAT64, *HALVES]
INTEGERS = [np.dtype(d) for d in ("uint8", "int8", "int16", "uint16", "int32")]

each_half = pytest.mark.parametrize("half", HALVES, ids=str)
each_integer = pytest.mark.parametrize("integer", INTEGERS, ids=str)


@pytest.fixture(params=_core.info()["isas_available"])
def isa(request: pytest.FixtureRequest) -> Iterator[str]:
    """Each instruction set of this CPU in turn, in use."""
    previous = _core.use_isa(request.param)
    yield request.param
    _core.use_isa(previous)


# --- rounding, without the casts of any library


def every_pattern(half: Dtype) -> Array:
    return np.arange(1 << 16, dtype=np.uint16).view(half)


INFINITY = {FLOAT16: 0x7C00, BFLOAT16: 0x7F80}


def magnitudes(half: Dtype) -> Array:
    """Zero and all positive numbers, in the order of their patterns; then where infinity stands."""
    finite = every_pattern(half)[: INFINITY[half]].astype(np.float64)
    return np.r_[finite, 2 * finite[-1] - finite[-2]]


def midpoints(half: Dtype) -> Array:
    """Between each magnitude and the next. float32 and float64 hold them exactly."""
    numbers = magnitudes(half)
    return (numbers[1:] + numbers[:-1]) / 2


def rounded(values: Array, dtype: Dtype) -> Array:
    """To the nearest number of the dtype, of two the one with the even pattern."""
    if dtype not in HALVES:
        return values.astype(dtype)
    middles, magnitude = midpoints(dtype), np.abs(values).astype(np.float64)
    pattern = np.searchsorted(middles, magnitude)
    tie = magnitude == middles[np.minimum(pattern, len(middles) - 1)]
    pattern += tie & (pattern % 2 == 1)
    pattern[np.isnan(values)] = 0x7FFF
    return (pattern | np.signbit(values) * 0x8000).astype(np.uint16).view(dtype)


def assert_same_but_for_nan(actual: Array, expected: Array) -> None:
    """Every bit, except in a NaN."""
    with np.errstate(invalid="ignore"):
        nan = np.isnan(expected)
        np.testing.assert_array_equal(np.isnan(actual), nan)
    zero = np.zeros((), expected.dtype)
    assert_same_bits(np.where(nan, zero, actual), np.where(nan, zero, expected))


def assert_rounded_once(y: Array, exact: Array, tolerance: Array) -> None:
    """y is some value within the tolerance of the exact one, rounded: rounding keeps the order."""
    low, high = (
        rounded((exact + d).astype(np.float64), y.dtype).astype(np.float64)
        for d in (-tolerance, tolerance)
    )
    wide = y.astype(np.float64)
    wrong = ~((low <= wide) & (wide <= high))
    first = tuple(np.argwhere(wrong)[0]) if wrong.any() else ()
    assert not wrong.any(), (
        f"{wrong.sum()} of {y.size} elements, first {wide[first]!r} at {first}, "
        f"expected {low[first]!r} to {high[first]!r}"
    )


@each_half
def test_the_rounding_here_is_that_of_numpy_and_ml_dtypes(half: Dtype) -> None:
    values = around_midpoints(half, FLOAT32)
    with np.errstate(over="ignore", invalid="ignore"):
        assert_same_bits(rounded(values, half), values.astype(half))


# --- conversions, by operations that change nothing

Identity = Callable[..., Array]


def unchanged(x: Array, shape: tuple[int, ...], channel_axis: int, **common: Any) -> Array:
    """Evaluation with mean 0 and variance 1."""
    x = x.reshape(shape)
    channels = x.shape[channel_axis]
    mean, var = np.zeros(channels), np.ones(channels)
    y = nf.batch_norm(x, mean, var, eps=0.0, channel_axis=channel_axis, **common)
    return y.reshape(-1)


def standardized(x: Array, **common: Any) -> Array:
    rows = x.reshape(-1, 5)
    n = len(rows)
    return nf.standardize(rows, 1, mean=np.zeros(n), std=np.ones(n), **common).reshape(-1)


# Each takes 1-d arrays whose length 14700 divides.
IDENTITIES: dict[str, Identity] = {
    "one row": lambda x, **common: unchanged(x, (1, 1, -1), 1, **common),
    "planes of 49": lambda x, **common: unchanged(x, (-1, 4, 7, 7), 1, **common),
    "columns": lambda x, **common: unchanged(x, (-1, 300), 1, **common),
    "three channels": lambda x, **common: unchanged(x, (-1, 3), 1, **common),
    "every other element": lambda x, **common: unchanged(
        np.repeat(x, 2)[::2], (1, -1), 0, **common
    ),
    "from an odd byte": lambda x, **common: unchanged(
        layouts.byte_offset(x), (1, 1, -1), 1, **common
    ),
    "rows of five": standardized,
}
each_identity = pytest.mark.parametrize("identity", IDENTITIES.values(), ids=IDENTITIES)


def whole(x: Array) -> Array:
    """With as many elements more as every identity needs."""
    return np.resize(x, math.ceil(x.size / 14700) * 14700)


def around_midpoints(half: Dtype, source: Dtype) -> Array:
    """Values on, just above and just below every midpoint, of both signs, and other edges."""
    middle = midpoints(half).astype(source)
    values = np.r_[
        middle, np.nextafter(middle, source.type(np.inf)), np.nextafter(middle, source.type(0))
    ]
    limits = np.finfo(source)
    edges = [0, limits.smallest_subnormal, limits.tiny, limits.max, np.inf]
    return np.r_[values, -values, source.type(edges), -source.type(edges)]


@each_half
@each_identity
@pytest.mark.usefixtures("isa")
def test_every_half_comes_back(identity: Identity, half: Dtype) -> None:
    x = whole(every_pattern(half))
    assert_same_but_for_nan(identity(x), x)


@each_half
@each_identity
@pytest.mark.usefixtures("isa")
def test_every_half_is_widened_exactly(identity: Identity, half: Dtype) -> None:
    x = whole(every_pattern(half))
    for dtype in (FLOAT32, FLOAT64):
        y = identity(x, dtype=dtype)
        assert y.dtype == dtype
        with np.errstate(invalid="ignore"):
            expected = x.astype(dtype)
        assert_same_but_for_nan(y, expected)


@pytest.mark.parametrize(("half", "other"), [HALVES, HALVES[::-1]], ids=str)
@each_identity
@pytest.mark.usefixtures("isa")
def test_every_half_is_rounded_to_the_other_half(
    identity: Identity, half: Dtype, other: Dtype
) -> None:
    x = whole(every_pattern(half))
    with np.errstate(invalid="ignore"):
        expected = rounded(x.astype(np.float32), other)
    assert_same_but_for_nan(identity(x, dtype=other), expected)


@pytest.mark.parametrize("source", [FLOAT32, FLOAT64], ids=str)
@each_half
@each_identity
@pytest.mark.usefixtures("isa")
def test_values_beside_every_midpoint_are_rounded_to_nearest_even(
    identity: Identity, half: Dtype, source: Dtype
) -> None:
    """From float64 at once: by way of float32, what is just above a midpoint would be a tie."""
    x = whole(around_midpoints(half, source))
    y = identity(x, dtype=half)
    assert y.dtype == half
    assert_same_bits(y, rounded(x, half))


@each_half
@pytest.mark.usefixtures("isa")
def test_a_nan_stays_nan_whatever_its_payload(half: Dtype) -> None:
    patterns = np.arange(1, 1 << 23, 641, dtype=np.uint32) | np.uint32(0x7F800000)
    nans = whole(np.r_[patterns, patterns | np.uint32(1 << 31)].view(np.float32))
    for identity in IDENTITIES.values():
        assert np.isnan(identity(nans, dtype=half)).all()


@each_identity
@pytest.mark.usefixtures("isa")
def test_float64_is_rounded_to_float32_as_numpy_does(identity: Identity) -> None:
    rng = np.random.default_rng(0)
    single = rng.integers(0, 0x7F7FFFFF, 14700 * 2, np.uint32).view(np.float32).astype(np.float64)
    next_up = np.nextafter(single.astype(np.float32), np.float32(np.inf)).astype(np.float64)
    middle = (single + next_up) / 2
    x = np.r_[middle, np.nextafter(middle, np.inf), np.nextafter(middle, 0)]
    x *= rng.choice([-1.0, 1.0], x.size)
    assert_same_bits(identity(x, dtype=np.float32), x.astype(np.float32))


@each_half
@pytest.mark.usefixtures("isa")
def test_tails_of_every_length_are_converted_and_nothing_beside_them(half: Dtype) -> None:
    pool = every_pattern(half)[: INFINITY[half]]
    for n in [*range(1, 70), 127, 129, 511, 513, 4095, 4097, 16385]:
        x = pool[-n:]
        guarded = np.full(n + 2, 7, half)
        one = np.zeros(1), np.ones(1)
        nf.batch_norm(x[None, None], *one, eps=0.0, out=guarded[None, None, 1:-1])
        assert_same_bits(guarded[1:-1], x)
        assert guarded[0] == guarded[-1] == 7
        lines = np.full((3, n + 2), 7, half)
        stats = np.zeros(n), np.ones(n)
        nf.batch_norm(np.stack([x] * 3), *stats, eps=0.0, out=lines[:, 1:-1])
        assert_same_bits(lines[:, 1:-1], np.stack([x] * 3))
        assert np.all(lines[:, 0] == 7)
        assert np.all(lines[:, -1] == 7)


# --- every operation, against float64


class Parameters:
    """Of one dtype, with values that every dtype holds exactly."""

    def __init__(self, dtype: Dtype) -> None:
        self.dtype = dtype

    def positive(self, *shape: int) -> Array:
        return np.asarray(np.random.default_rng(1).integers(4, 16, shape) / 8, self.dtype)

    def signed(self, *shape: int) -> Array:
        return np.asarray(np.random.default_rng(2).integers(-16, 17, shape) / 8, self.dtype)


def promised(expected: ref.Expected, c: Dtype) -> tuple[Array, Array]:
    """The exact result, and how far off it may be before it is rounded to its dtype."""
    scaled = np.abs(expected.normed * expected.weight)
    tolerance = PROMISE[c] * np.maximum(1, np.abs(expected.normed)) * np.abs(expected.weight)
    return expected.y, tolerance + 2 * np.finfo(c).eps * (scaled + np.abs(expected.bias))


def relative(expected: Array, c: Dtype) -> tuple[Array, Array]:
    return expected, PROMISE[c] * np.abs(expected) + np.finfo(c).smallest_subnormal


def absolute(expected: Array, c: Dtype) -> tuple[Array, Array]:
    return expected, PROMISE[c] * np.maximum(1, np.abs(expected))


@dataclass(frozen=True)
class Operation:
    """`call(x, parameters, **common)`; `exact(x in float64, parameters, computing dtype)`."""

    shape: tuple[int, ...]
    call: Callable[..., Any]
    exact: Callable[[Array, Parameters, Dtype], tuple[Array, Array]]


def layer_norm(shape: tuple[int, ...], *axes: int) -> Operation:
    sizes = [shape[a] for a in axes]
    return Operation(
        shape,
        lambda x, p, **k: nf.layer_norm(
            x, axis=axes, weight=p.positive(*sizes), bias=p.signed(*sizes), **k
        ),
        lambda x, p, c: promised(ref.layer_norm(x, axes, p.positive(*sizes), p.signed(*sizes)), c),
    )


def rms_norm(shape: tuple[int, ...], axis: int, offset: float = 0.0) -> Operation:
    n = shape[axis]

    def exact(x: Array, p: Parameters, c: Dtype) -> tuple[Array, Array]:
        weight = p.positive(n).astype(float) + offset
        return promised(ref.rms_norm(x, axis, weight, np.finfo(c).eps), c)

    return Operation(
        shape,
        lambda x, p, **k: nf.rms_norm(
            x, axis=axis, weight=p.positive(n), weight_offset=offset, **k
        ),
        exact,
    )


def batch_norm(shape: tuple[int, ...], channel_axis: int, training: bool = True) -> Operation:
    n = shape[channel_axis]

    def call(x: Array, p: Parameters, **k: Any) -> Any:
        mean, var, weight, bias = p.signed(n), p.positive(n), p.positive(n), p.signed(n)
        return nf.batch_norm(x, mean, var, weight, bias, training, channel_axis=channel_axis, **k)

    def exact(x: Array, p: Parameters, c: Dtype) -> tuple[Array, Array]:
        mean, var, weight, bias = p.signed(n), p.positive(n), p.positive(n), p.signed(n)
        if training:
            return promised(ref.batch_norm(x, weight, bias, channel_axis=channel_axis), c)
        given = mean.astype(np.float64), var.astype(np.float64)
        return promised(ref.batch_norm_with(x, *given, weight, bias, 1e-5, channel_axis), c)

    return Operation(shape, call, exact)


def instance_norm(shape: tuple[int, ...], channel_axis: int) -> Operation:
    n = shape[channel_axis]
    return Operation(
        shape,
        lambda x, p, **k: nf.instance_norm(
            x, weight=p.positive(n), bias=p.signed(n), channel_axis=channel_axis, **k
        ),
        lambda x, p, c: promised(
            ref.instance_norm(x, p.positive(n), p.signed(n), channel_axis=channel_axis), c
        ),
    )


def group_norm(shape: tuple[int, ...], groups: int, channel_axis: int) -> Operation:
    n = shape[channel_axis]
    return Operation(
        shape,
        lambda x, p, **k: nf.group_norm(
            x, groups, p.positive(n), p.signed(n), channel_axis=channel_axis, **k
        ),
        lambda x, p, c: promised(
            ref.group_norm(x, groups, p.positive(n), p.signed(n), channel_axis=channel_axis), c
        ),
    )


def normalize(shape: tuple[int, ...], p: float, axis: int) -> Operation:
    return Operation(
        shape,
        lambda x, _, **k: nf.normalize(x, p, axis, **k),
        lambda x, _, c: relative(ref.normalize(x, p, axis)[0], c),
    )


def weight_norm(shape: tuple[int, ...], channel_axis: int | None) -> Operation:
    gain = () if channel_axis is None else (shape[channel_axis],)
    return Operation(
        shape,
        lambda v, p, **k: nf.weight_norm(v, p.positive(*gain), channel_axis, **k),
        lambda v, p, c: relative(ref.weight_norm(v, p.positive(*gain), channel_axis)[0], c),
    )


def standardize(shape: tuple[int, ...], axis: int) -> Operation:
    return Operation(
        shape,
        lambda x, _, **k: nf.standardize(x, axis, **k),
        lambda x, _, c: absolute(ref.standardize(x, axis)[0], c),
    )


def standardize_by(shape: tuple[int, ...]) -> Operation:
    """By statistics that are given."""
    n = shape[1]

    def exact(x: Array, p: Parameters, c: Dtype) -> tuple[Array, Array]:
        return absolute(
            (x.astype(np.longdouble) - p.signed(n).astype(float)) / p.positive(n).astype(float), c
        )

    return Operation(
        shape,
        lambda x, p, **k: nf.standardize(x, mean=p.signed(n), std=p.positive(n), **k),
        exact,
    )


OPERATIONS = {
    "layer_norm rows": layer_norm((5, 777), -1),
    "layer_norm short rows": layer_norm((41, 5), -1),
    "layer_norm columns": layer_norm((37, 21), 0),
    "layer_norm middle axis": layer_norm((3, 7, 5, 11), 1),
    "layer_norm outer and inner axes": layer_norm((6, 9, 35), 0, 2),
    "rms_norm rows": rms_norm((5, 777), -1),
    "rms_norm columns": rms_norm((37, 21), 0),
    "rms_norm with an offset": rms_norm((9, 100), -1, 1.0),
    "batch_norm channels first": batch_norm((3, 5, 19, 17), 1),
    "batch_norm planes of 49": batch_norm((6, 20, 7, 7), 1),
    "batch_norm channels last": batch_norm((3, 9, 9, 20), -1),
    "batch_norm three channels last": batch_norm((3, 17, 19, 3), -1),
    "batch_norm features": batch_norm((67, 23), 1),
    "batch_norm evaluation": batch_norm((3, 5, 19, 17), 1, training=False),
    "batch_norm evaluation, planes of 49": batch_norm((6, 20, 7, 7), 1, training=False),
    "batch_norm evaluation, channels last": batch_norm((3, 9, 9, 20), -1, training=False),
    "instance_norm channels first": instance_norm((3, 5, 19, 17), 1),
    "instance_norm channels last": instance_norm((3, 9, 9, 20), -1),
    "group_norm channels first": group_norm((3, 6, 19, 17), 2, 1),
    "group_norm planes of 49": group_norm((6, 20, 7, 7), 5, 1),
    "group_norm channels last": group_norm((3, 9, 9, 20), 5, -1),
    "normalize rows, p=1": normalize((5, 777), 1, -1),
    "normalize rows, p=2": normalize((5, 777), 2, -1),
    "normalize columns, p=inf": normalize((37, 21), np.inf, 0),
    "weight_norm by row": weight_norm((12, 65), 0),
    "weight_norm by column": weight_norm((65, 12), 1),
    "weight_norm whole": weight_norm((31, 33), None),
    "standardize columns": standardize((301, 31), 0),
    "standardize rows": standardize((5, 777), -1),
    "standardize by given statistics": standardize_by((301, 31)),
}
each_operation = pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
each_dtype = pytest.mark.parametrize("dtype", FLOATS, ids=str)


def make(shape: tuple[int, ...], dtype: Dtype) -> Array:
    return (3 + 2 * np.random.default_rng(0).standard_normal(shape)).astype(dtype)


def wide(x: Array) -> Array:
    return x.astype(np.float64)


@pytest.mark.parametrize("layout", layouts.ALL)
@each_half
@each_operation
def test_a_half_in_any_layout_is_rounded_once(
    operation: Operation, half: Dtype, layout: Callable[[Array], Array]
) -> None:
    x = make(operation.shape, half)
    parameters = Parameters(half)
    y = operation.call(layout(x), parameters)
    assert y.dtype == half
    assert_rounded_once(y, *operation.exact(wide(x), parameters, FLOAT32))


@each_half
@each_operation
def test_a_half_that_is_broadcast_is_rounded_once(operation: Operation, half: Dtype) -> None:
    for axis in range(len(operation.shape)):
        x = make(operation.shape, half)
        first = (slice(None),) * axis + (slice(1),)
        x = np.broadcast_to(x[first], x.shape)
        y = operation.call(x, Parameters(FLOAT32))
        assert_rounded_once(y, *operation.exact(wide(x), Parameters(FLOAT32), FLOAT32))


@pytest.mark.parametrize("out_dtype", FLOATS, ids=lambda d: f"to {d}")
@each_dtype
@each_operation
def test_dtype_is_that_of_the_result(operation: Operation, dtype: Dtype, out_dtype: Dtype) -> None:
    x, parameters = make(operation.shape, dtype), Parameters(FLOAT64)
    y = operation.call(x, parameters, dtype=out_dtype)
    assert (y.shape, y.dtype) == (x.shape, out_dtype)
    assert_rounded_once(y, *operation.exact(wide(x), parameters, computing(dtype)))
    unrounded = operation.call(x, parameters, dtype=computing(dtype))
    assert_same_bits(y, rounded(unrounded, out_dtype))


def test_dtype_takes_what_numpy_takes() -> None:
    x = np.ones((2, 3), np.float16)
    for spelling in ("float64", "f8", float, np.float64, FLOAT64):
        assert nf.layer_norm(x, dtype=spelling).dtype == FLOAT64
    for spelling in ("bfloat16", ml_dtypes.bfloat16, BFLOAT16):
        assert nf.layer_norm(x, dtype=spelling).dtype == BFLOAT16
    assert nf.layer_norm(x, dtype=None).dtype == FLOAT16


@each_dtype
@each_operation
def test_parameters_of_every_float_dtype_give_the_same_bits(
    operation: Operation, dtype: Dtype
) -> None:
    x = make(operation.shape, dtype)
    expected = operation.call(x, Parameters(dtype))
    for other in FLOATS:
        assert_same_bits(operation.call(x, Parameters(other)), expected)


def test_weight_and_bias_may_differ_in_dtype() -> None:
    x = make((4, 33), BFLOAT16)
    single, half = Parameters(FLOAT32), Parameters(FLOAT16)
    y = nf.layer_norm(x, 33, half.positive(33), Parameters(FLOAT64).signed(33))
    assert_same_bits(y, nf.layer_norm(x, 33, single.positive(33), single.signed(33)))


@each_half
@pytest.mark.parametrize("n", [1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 511, 513, 4095, 4097, 16385])
def test_rows_and_columns_of_every_length_are_rounded_once(n: int, half: Dtype) -> None:
    parameters = Parameters(FLOAT32)
    for operation in (
        layer_norm((3, n), 1),
        layer_norm((n, 3), 0),
        rms_norm((3, n), 1),
        rms_norm((n, 3), 0),
        normalize((3, n), 2, 1),
        normalize((n, 3), 1, 0),
        standardize((3, n), 1),
        standardize((n, 3), 0),
        weight_norm((3, n), 0),
        batch_norm((2, 3, n), 1),
        batch_norm((2, n, 3), 2),
        instance_norm((2, 3, n + 1), 1),
        group_norm((2, 6, n), 3, 1),
    ):
        x = make(operation.shape, half)
        assert_rounded_once(
            operation.call(x, parameters), *operation.exact(wide(x), parameters, FLOAT32)
        )


@each_operation
@each_half
def test_the_largest_halves_do_not_overflow_on_the_way(operation: Operation, half: Dtype) -> None:
    limit = float(magnitudes(half)[-2])
    signs = np.random.default_rng(0).uniform(-1, 1, operation.shape)
    x = (limit * signs).astype(half)
    parameters = Parameters(FLOAT32)
    y = operation.call(x, parameters)
    assert_rounded_once(y, *operation.exact(wide(x), parameters, FLOAT32))


@each_half
def test_subnormal_halves_count(half: Dtype) -> None:
    """With eps = 0; all numbers are multiples of the smallest subnormal."""
    smallest = float(magnitudes(half)[1])
    multiples = np.random.default_rng(0).integers(-100, 101, (7, 300))
    x = (multiples * smallest).astype(half)
    exact = ref.layer_norm(multiples.astype(float), -1, eps=0.0)
    assert_rounded_once(nf.layer_norm(x, eps=0.0), *promised(exact, FLOAT32))
    exact = ref.rms_norm(multiples.astype(float), -1, eps=0.0)
    assert_rounded_once(nf.rms_norm(x, eps=0.0), *promised(exact, FLOAT32))
    unit = ref.normalize(multiples.astype(float), 2, -1)[0]
    assert_rounded_once(nf.normalize(x, eps=0.0), *relative(unit, FLOAT32))


@each_half
def test_a_result_too_large_for_the_half_is_infinite(half: Dtype) -> None:
    x = np.array([[-1.0, 1.0]], half)
    limit = float(magnitudes(half)[-2])
    for weight, y in ((limit, limit), (1.5 * limit, math.inf)):
        gain = np.full(2, weight)
        np.testing.assert_array_equal(nf.rms_norm(x, weight=gain, eps=0.0).astype(float), [[-y, y]])


@each_half
def test_the_result_is_ordered_in_memory_as_x(half: Dtype) -> None:
    x = make((4, 5, 6), half)
    assert nf.layer_norm(layouts.fortran(x)).flags.f_contiguous
    y = nf.batch_norm(layouts.second_axis_last(x), None, None, training=True, dtype=np.float32)
    assert y.transpose(0, 2, 1).flags.c_contiguous


# --- statistics


@each_half
def test_statistics_of_halves_are_float64_and_not_rounded_to_a_half(half: Dtype) -> None:
    x = make((9, 1001), half)
    mean, var = ref.mean_var(wide(x), -1)
    _, *stats = nf.layer_norm(x, return_stats=True)
    _, *by_column = nf.standardize(x.T, return_stats=True)
    measured = [*nf.mean_var(x, 1, keepdims=True), *stats, *by_column]
    rstd, std = 1 / np.sqrt(var + 1e-5), np.sqrt(var)
    for actual, exact in zip(measured, [mean, var, mean, rstd, mean.T, std.T], strict=True):
        assert actual.dtype == np.float64
        assert_within(actual, exact, 2e-6 * np.abs(exact))


@pytest.mark.parametrize("dtypes", [(h, o) for h in HALVES for o in FLOATS], ids=str)
def test_running_statistics_in_half_types_are_rounded_once(dtypes: tuple[Dtype, Dtype]) -> None:
    x = make((8, 6, 50), BFLOAT16)
    batch, samples = ref.mean_var(wide(x), (0, 2), 1), ref.mean_var(wide(x), 2, 1)
    updates: list[tuple[Callable[..., Any], list[Array]]] = [
        (lambda *r: nf.batch_norm(x, *r, training=True, momentum=0.3), list(batch)),
        (lambda *r: nf.instance_norm(x, *r, momentum=0.3), [s.mean(0) for s in samples]),
    ]
    for call, new in updates:
        running = Parameters(dtypes[0]).signed(6), Parameters(dtypes[1]).positive(6)
        before = [wide(r) for r in running]
        call(*running)
        for now, old, fresh in zip(running, before, new, strict=True):
            exact = ref.running(old, fresh, 0.3)
            assert_rounded_once(now, exact, 2e-6 * np.abs(exact) + 1e-6)


# --- the same bits as float32


def halved(case: Case, half: Dtype) -> Array:
    """bfloat16 with values whose squares float32 cannot hold; float16 has none."""
    return (with_spikes if half == BFLOAT16 else plain)(case.shape, FLOAT32).astype(half)


def assert_results(actual: tuple[Array, ...], expected: tuple[Array, ...], dtype: Dtype) -> None:
    """The first is rounded to dtype; statistics are as they were."""
    assert_same_bits(actual[0], expected[0].astype(dtype))
    assert_all_same_bits(actual[1:], expected[1:])


@each_half
@pytest.mark.parametrize("case", NORMALISING, ids=str)
def test_a_half_gives_the_bits_of_its_float32_copy_rounded(case: Case, half: Dtype) -> None:
    """On any number of threads, in place and at an odd byte: float32 has the same bits there."""
    x = halved(case, half)
    expected = case.call(x.astype(np.float32))
    assert_results(case.call(x, dtype=np.float32), expected, FLOAT32)
    for threads in (1, 3):
        assert_results(case.call(x, num_threads=threads), expected, half)
    assert_results(case.call(layouts.byte_offset(x)), expected, half)
    assert_results(case.call(layouts.padded(x)), expected, half)
    together = case.call(x, out=x)
    assert together[0] is x
    assert_results(together, expected, half)


@pytest.mark.usefixtures("isa")
@each_half
@each_operation
def test_every_instruction_set_gives_a_half_the_bits_of_its_float32_copy(
    operation: Operation, half: Dtype
) -> None:
    x, parameters = make(operation.shape, half), Parameters(FLOAT32)
    results = operation.call(x, parameters, return_stats=True)
    _core.use_isa("scalar")
    assert_results(
        results, operation.call(wide(x).astype("f4"), parameters, return_stats=True), half
    )


@each_half
@pytest.mark.parametrize("case", [c for c in CASES if c not in NORMALISING], ids=str)
def test_statistics_of_a_half_are_those_of_its_float32_copy(case: Case, half: Dtype) -> None:
    x = halved(case, half)
    expected = case.call(x.astype(np.float32))
    for same in (x, layouts.byte_offset(x), layouts.every_other_inner(x)):
        assert_all_same_bits(case.call(same, num_threads=3), expected)


@each_half
@pytest.mark.parametrize("n", [1, 3, 5, 16, 31, 32, 33, 65, 513, 1025, 17000])
def test_a_row_of_halves_has_the_same_bits_alone(n: int, half: Dtype) -> None:
    x = make((23, n), half)
    for call in (nf.layer_norm, nf.rms_norm, nf.normalize, lambda x: nf.standardize(x, 1)):
        together = call(x)
        for rows in (slice(0, 1), slice(11, 12), slice(3, 20), slice(None, None, -2)):
            assert_same_bits(call(x[rows]), together[rows])


# --- integers


def full_range(shape: tuple[int, ...], dtype: Dtype) -> Array:
    limits = np.iinfo(dtype)
    x = np.random.default_rng(0).integers(limits.min, limits.max, shape, dtype, endpoint=True)
    x.reshape(-1)[:2] = limits.min, limits.max
    return x


def exact_mean_var(x: Array, axes: tuple[int, ...], correction: int = 0) -> tuple[Array, Array]:
    """In Python's integers; int / int is correctly rounded."""
    rows = np.moveaxis(x, axes, range(x.ndim - len(axes), x.ndim))
    kept = rows.shape[: x.ndim - len(axes)]
    means, variances = [], []
    for row in rows.reshape(math.prod(kept), -1).tolist():
        n, s = len(row), sum(row)
        means.append(s / n)
        variances.append((n * sum(v * v for v in row) - s * s) / (n * (n - correction)))
    return np.reshape(means, kept), np.reshape(variances, kept)


def assert_statistics(x: Array, actual: tuple[Array, Array], exact: tuple[Array, Array]) -> None:
    """Bytes to one unit in the last place; wider integers as their computing type promises."""
    for one, other, power in zip(actual, exact, (1, 2), strict=True):
        assert one.dtype == np.float64
        if x.dtype.itemsize == 1:
            tolerance = np.spacing(np.abs(other))
        else:
            deviation = np.sqrt(exact[1]) ** power
            tolerance = 2 * PROMISE[computing(x.dtype)] * deviation + np.spacing(np.abs(other))
        assert_within(np.asarray(one), np.asarray(other), tolerance)


def spaced(x: Array) -> Array:
    """Every other element, in both the outer and the inner axis."""
    return np.repeat(np.repeat(x, 2, 0), 2, -1)[::2][..., ::2]


FORMS = {
    "rows": ((7, 777), (1,)),
    "short rows": ((41, 5), (1,)),
    "one long row": ((40_001,), (0,)),
    "columns": ((97, 37), (0,)),
    "planes": ((3, 5, 19, 17), (0, 2, 3)),
    "planes of 49": ((6, 20, 7, 7), (0, 2, 3)),
    "images": ((3, 17, 19, 3), (0, 1, 2)),
    "each image": ((3, 17, 19, 3), (1, 2)),
    "middle axis": ((3, 31, 29), (1,)),
    "everything": ((3, 17, 19, 3), (0, 1, 2, 3)),
}
each_form = pytest.mark.parametrize(("shape", "axes"), FORMS.values(), ids=FORMS)
INTEGER_LAYOUTS = [
    layouts.contiguous,
    layouts.fortran,
    layouts.first_axis_last,
    layouts.backwards,
    layouts.backwards_outer,
    layouts.byte_offset,
    layouts.read_only,
    spaced,
]


@each_integer
@each_form
def test_mean_and_variance_of_integers_are_exact(
    shape: tuple[int, ...], axes: tuple[int, ...], integer: Dtype
) -> None:
    x = full_range(shape, integer)
    for correction in (0, 1):
        exact = exact_mean_var(x, axes, correction)
        for layout in INTEGER_LAYOUTS:
            actual = nf.mean_var(layout(x), axes, correction=correction)
            assert_statistics(x, actual, exact)


@each_integer
@pytest.mark.parametrize("n", [1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 511, 513, 4095, 4097, 16385])
def test_mean_and_variance_of_every_length_are_exact(n: int, integer: Dtype) -> None:
    x = full_range((3, n), integer) if n > 1 else np.full((3, 1), 7, integer)
    exact = exact_mean_var(x, (1,))
    assert_statistics(x, nf.mean_var(x, 1), exact)
    assert_statistics(x, nf.mean_var(x.T, 0), exact)
    assert_statistics(x, nf.mean_var(np.ascontiguousarray(x.T), 0), exact)


@pytest.mark.parametrize("byte", ["uint8", "int8"])
@pytest.mark.parametrize("axes", [(0, 1, 2), (1, 2), (3,), None], ids=str)
def test_constant_images_have_exactly_their_level_and_no_variance(
    byte: str, axes: tuple[int, ...] | None
) -> None:
    for level in (np.iinfo(byte).min, 0, 1, 77, np.iinfo(byte).max):
        images = np.full((5, 67, 71, 3), level, byte)
        mean, var = nf.mean_var(images, axes)
        assert np.all(mean == level)
        assert np.all(var == 0)
        y, mean, std = nf.standardize(images, axes, return_stats=True)
        assert np.all(y == 0)
        assert np.all(mean == level)
        assert np.all(std == 0)


def test_a_checkerboard_of_0_and_255_has_exactly_known_statistics() -> None:
    board = (255 * (np.indices((128, 130)).sum(0) % 2)).astype(np.uint8)
    for axes in (None, 0, 1, (0, 1)):
        mean, var = nf.mean_var(board, axes)
        assert np.all(mean == 127.5)
        assert np.all(var == 127.5**2)
        y = nf.standardize(board, axes)
        np.testing.assert_array_equal(y, np.where(board == 255, np.float32(1), np.float32(-1)))


@pytest.mark.parametrize("axes", [0, None], ids=["columns", "everything"])
def test_sums_of_many_bytes_do_not_wrap_around(axes: int | None) -> None:
    """Of 255 and 254: the sum passes 2**32, the sum of squares 2**40."""
    n = (1 << 24) + 4
    x = np.full((n // 4, 4), 255, np.uint8)
    x[::3] = 254
    low = 4 * len(x[::3]) if axes is None else len(x[::3])
    count = n if axes is None else n // 4
    mean, var = nf.mean_var(x, axes)
    exact_mean, exact_var = 255 - low / count, low * (count - low) / count**2
    assert np.all(np.abs(mean - exact_mean) <= np.spacing(exact_mean))
    assert np.all(np.abs(var - exact_var) <= np.spacing(exact_var))
    mean, var = nf.mean_var(np.full(n, -128, np.int8))
    assert (mean, var) == (-128, 0)


@pytest.mark.parametrize("selected", [0.3, 1.0])
def test_statistics_of_selected_bytes_are_exact(selected: float) -> None:
    x = full_range((5, 41, 43, 3), np.dtype("uint8"))
    where = np.random.default_rng(1).random((5, 41, 43, 1)) < selected
    mean, var = nf.mean_var(x, (0, 1, 2), where=where)
    exact = exact_mean_var(x[where[..., 0]].T, (1,))
    assert_within(mean, exact[0], 1e-13 * exact[0])
    assert_within(var, exact[1], 1e-13 * exact[1])


@each_integer
@each_form
def test_standardized_integers_are_floats_within_the_promise(
    shape: tuple[int, ...], axes: tuple[int, ...], integer: Dtype
) -> None:
    x = full_range(shape, integer)
    c = computing(integer)
    exact, exact_mean, exact_std = ref.standardize(x, axes)
    for layout in INTEGER_LAYOUTS:
        y, mean, std = nf.standardize(layout(x), axes, return_stats=True)
        assert y.dtype == c
        assert_rounded_once(y, *absolute(exact, c))
    assert_within(mean, exact_mean, 2 * PROMISE[c] * exact_std)
    assert_within(std, exact_std, 2 * PROMISE[c] * exact_std)
    for dtype in FLOATS:
        y = nf.standardize(x, axes, dtype=dtype)
        assert y.dtype == dtype
        assert_rounded_once(y, *absolute(exact, c))


@each_integer
def test_integers_are_standardized_by_given_statistics(integer: Dtype) -> None:
    train, test = full_range((301, 7), integer), full_range((100, 7), integer)
    _, mean, std = nf.standardize(train, return_stats=True)
    exact = (test.astype(np.longdouble) - mean) / std
    c = computing(integer)
    assert_rounded_once(nf.standardize(test, mean=mean, std=std), *absolute(exact, c))


@each_integer
def test_an_integer_result_may_go_to_a_float_out(integer: Dtype) -> None:
    x = full_range((31, 7), integer)
    out = np.zeros(x.shape, np.float16)
    assert nf.standardize(x, dtype=np.float16, out=out) is out
    assert_same_bits(out, rounded(nf.standardize(x), FLOAT16))


@each_integer
@pytest.mark.parametrize(
    "case", [c for c in CASES if c.name.startswith(("mean_var", "standardize"))], ids=str
)
def test_integers_give_the_same_bits_everywhere(case: Case, integer: Dtype) -> None:
    x = full_range(case.shape, integer)
    expected = case.call(x, num_threads=1)
    previous = _core.info()["isa"]
    results = {
        "threads": case.call(x, num_threads=3),
        "an odd byte": case.call(layouts.byte_offset(x, 3)),
        "strides": case.call(spaced(x)),
        "backwards": case.call(layouts.backwards(x)),
    }
    try:
        for isa in _core.info()["isas_available"]:
            _core.use_isa(isa)
            results[isa] = case.call(x)
    finally:
        _core.use_isa(previous)
    for arrays in results.values():
        assert_all_same_bits(arrays, expected)


@each_integer
def test_a_row_of_integers_has_the_same_bits_alone(integer: Dtype) -> None:
    for n in (1, 3, 16, 33, 513, 17000):
        x = full_range((23, n), integer)
        y, mean, std = nf.standardize(x, 1, return_stats=True)
        for rows in (slice(0, 1), slice(11, 12), slice(3, 20), slice(None, None, -2)):
            parts = nf.standardize(x[rows], 1, return_stats=True)
            for part, together in zip(parts, (y, mean, std), strict=True):
                assert_same_bits(part, together[rows])
