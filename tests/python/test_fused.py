"""What is done in the same pass: residual= before the statistics; weight_offset=, add= and
activation= after them.
"""

import functools
import itertools
import math
from collections.abc import Callable
from typing import Any

import cases
import layouts
import ml_dtypes
import numpy as np
import pytest
import reference as ref
from cases import CASES, Case, parameters
from helpers import (
    PROMISE,
    affine,
    assert_all_same_bits,
    assert_promised,
    assert_same_bits,
    assert_stats,
    assert_within,
    computing,
    make,
    rounding,
)
from numpy.typing import NDArray
from refusals import CHANNELS, check, each_not_array, good

import normfast as nf
from normfast import _core

Array = NDArray[Any]
Layout = Callable[[Array], Array]
FLOATS = [np.dtype(d) for d in ("float32", "float64", "float16", ml_dtypes.bfloat16)]
each_float = pytest.mark.parametrize("x_dtype", FLOATS, ids=str)
each_other = pytest.mark.parametrize("other_dtype", FLOATS, ids=str)
each_layout = layouts.each_layout


# --- activations, one number at a time


def relu(z: float) -> float:
    return 0.0 if z < 0 else z


def gelu(z: float) -> float:
    return z / 2 * math.erfc(-z / math.sqrt(2))


def gelu_tanh(z: float) -> float:
    return z / 2 * (1 + math.tanh(math.sqrt(2 / math.pi) * (z + 0.044715 * z**3)))


def silu(z: float) -> float:
    return z / (1 + math.exp(-z))


ACTIVATIONS: dict[str, Callable[[float], float]] = {
    "relu": relu,
    "gelu": gelu,
    "gelu_tanh": gelu_tanh,
    "silu": silu,
}
# The largest slope, rounded up.
SLOPE = 1.13
ACTIVATION_PROMISE = {np.dtype("float32"): 3e-7, np.dtype("float64"): 1e-13}
each_activation = pytest.mark.parametrize("activation", ACTIVATIONS)
each_activation_or_none = pytest.mark.parametrize("activation", [None, *ACTIVATIONS])


def activated(z: Array, activation: str | None) -> Array:
    """In float64. Beyond 50 they are z or, to 1e-19, 0: also at infinity."""
    z = np.asarray(z, np.float64)
    if activation is None:
        return z
    function = ACTIVATIONS[activation]
    values = [v if v > 50 else 0.0 if v < -50 else function(v) for v in z.ravel().tolist()]
    return np.array(values).reshape(z.shape)


def assert_fused(
    y: Array, expected: ref.Expected, activation: str | None, add: Array | None = None
) -> None:
    """y is activation(expected + add), within the promises of both."""
    limits = np.finfo(computing(y.dtype))
    added = np.zeros(1) if add is None else add.astype(ref.Wide)
    exact = activated(expected.y + added, activation)
    size = np.abs(expected.normed * expected.weight) + np.abs(expected.bias) + np.abs(added)
    tolerance = PROMISE[limits.dtype] * np.maximum(1, np.abs(expected.normed))
    tolerance = SLOPE * (tolerance * np.abs(expected.weight) + 3 * limits.eps * size)
    tolerance += ACTIVATION_PROMISE[limits.dtype] * np.maximum(1, np.abs(exact))
    assert_within(y, exact, tolerance + rounding(exact, y.dtype))


def apply(z: Array, activation: str, **common: Any) -> Array:
    """The activation alone: normalised by mean 0 and variance 1, z stays as it is."""
    zero, one = np.zeros(z.shape[1]), np.ones(z.shape[1])
    return nf.batch_norm(z, zero, one, eps=0, activation=activation, **common)


@functools.cache
def sweep(dtype: np.dtype) -> Array:
    """Dense where the functions bend, and every power of two from subnormal to huge."""
    limits = np.finfo(dtype)
    exponents = np.arange(math.log2(limits.smallest_subnormal), math.log2(limits.max))
    powers = np.exp2(exponents)
    z = np.r_[
        np.linspace(-16, 16, 60_001),
        np.linspace(-110, 110, 20_001),
        np.linspace(-0.01, 0.01, 2001),
        np.linspace(-800, 800, 2001),
        *(sign * factor * powers for sign in (1, -1) for factor in (1, 1.37, 1.99)),
        [0.0, -0.0, limits.max, -limits.max, np.inf, -np.inf],
    ].astype(dtype)
    return np.pad(z, (0, -len(z) % 8)).reshape(-1, 8)


@each_activation
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_an_activation_is_as_exact_as_promised(activation: str, dtype: str) -> None:
    z = sweep(np.dtype(dtype))
    y = apply(z, activation)
    exact = activated(z, activation)
    infinite = np.isinf(exact)
    np.testing.assert_array_equal(y[infinite], np.inf)
    promise = ACTIVATION_PROMISE[y.dtype]
    finite = exact[~infinite]
    assert_within(y[~infinite], finite, promise * np.maximum(1, np.abs(finite)))


@each_activation
@pytest.mark.parametrize("half", FLOATS[2:], ids=str)
def test_an_activation_of_halves_is_rounded_once(activation: str, half: np.dtype) -> None:
    z = np.arange(1 << 16, dtype=np.uint16).view(half).reshape(-1, 64)
    wide = z.astype(np.float32)
    z = np.where(np.isfinite(wide), z, half.type(1))
    y = apply(z, activation)
    exact = activated(z.astype(np.float64), activation)
    tolerance = 3e-7 * np.maximum(1, np.abs(exact)) + rounding(exact, half)
    assert_within(y.astype(np.float64), exact, tolerance)


@each_activation
def test_an_activation_of_nan_is_nan_and_of_infinity_its_limit(
    activation: str, dtype: np.dtype
) -> None:
    for n in (1, 3, 16, 33):
        z = np.tile(np.array([[np.nan], [np.inf], [-np.inf], [-0.0], [0.0]], dtype), n)
        for y in (apply(z, activation), apply(np.ascontiguousarray(z.T), activation).T):
            assert np.isnan(y[0]).all()
            np.testing.assert_array_equal(y[1], np.inf)
            np.testing.assert_allclose(y[2:], 0, atol=1e-30)


@each_activation
@pytest.mark.usefixtures("vector_isa")
def test_an_activation_has_the_same_bits_on_every_instruction_set(
    activation: str, dtype: np.dtype
) -> None:
    z = sweep(dtype)
    lengths = [z[:n, :1].reshape(1, 1, n) for n in (1, 2, 7, 8, 9, 15, 16, 17, 33, 500)]
    inputs = [z, z.T.copy(), z[::3], *lengths]
    vectorised = [apply(a, activation) for a in inputs]
    _core.use_isa("scalar")
    for a, expected in zip(inputs, vectorised, strict=True):
        assert_same_bits(apply(a, activation), expected)


@each_activation
def test_an_activation_has_the_same_bits_anywhere(activation: str, dtype: np.dtype) -> None:
    z = sweep(dtype)
    y = apply(z, activation)
    assert_same_bits(apply(z[5:77], activation), y[5:77])
    assert_same_bits(apply(layouts.byte_offset(z), activation), y)
    assert_same_bits(apply(z[::-1, ::2], activation), y[::-1, ::2])
    assert_same_bits(apply(z, activation, num_threads=2), y)
    z = z.copy()
    assert apply(z, activation, out=z) is z
    assert_same_bits(z, y)


@each_activation
def test_every_operation_applies_the_activation_last(
    activation: str, dtype: np.dtype, rng: np.random.Generator
) -> None:
    x = make((5, 6, 7), dtype, rng)
    weight, bias = affine(7, rng)
    channel = affine(6, rng)
    mean, var = rng.standard_normal(6), rng.uniform(1, 2, 6)
    last = {"activation": activation}
    for y, expected in (
        (nf.layer_norm(x, 7, weight, bias, **last), ref.layer_norm(x, -1, weight, bias)),
        (nf.rms_norm(x, 7, weight, **last), ref.rms_norm(x, -1, weight)),
        (nf.rms_norm(x, axis=0, **last), ref.rms_norm(x, 0)),
        (nf.batch_norm(x, None, None, *channel, True, **last), ref.batch_norm(x, *channel)),
        (
            nf.batch_norm(x, mean, var, *channel, **last),
            ref.batch_norm_with(x, mean, var, *channel),
        ),
        (nf.instance_norm(x, None, None, *channel, **last), ref.instance_norm(x, *channel)),
        (nf.group_norm(x, 3, *channel, **last), ref.group_norm(x, 3, *channel)),
    ):
        assert y.dtype == dtype
        assert_fused(y, expected, activation)


@pytest.mark.parametrize(
    "operation", ["layer_norm", "rms_norm", "batch_norm", "instance_norm", "group_norm"]
)
def test_an_unknown_activation_is_refused(operation: str) -> None:
    for name in ("tanh", "ReLU", "", "gelu "):
        check(ValueError, operation, "activation", activation=name)
    for thing in (1, np.tanh, b"relu", True, ["relu"]):
        check(TypeError, operation, "activation", activation=thing)
    with pytest.raises(ValueError, match=r"relu.*gelu.*gelu_tanh.*silu"):
        getattr(nf, operation)(**good(operation), activation="swish")


# --- residual


def sum_dtype(one: np.dtype, other: np.dtype) -> np.dtype:
    """The wider of two; float16 and bfloat16 have none but float32."""
    if one == other:
        return one
    return np.dtype("float64" if np.dtype("float64") in (one, other) else "float32")


def wide_sum(x: Array, residual: Array) -> Array:
    """In the computing type, as it is before any rounding to a half type."""
    wide = computing(sum_dtype(x.dtype, residual.dtype))
    return np.asarray(x.astype(wide) + residual.astype(wide))


AXES = {
    "rows": ((5, 1003), -1),
    "short rows": ((40, 9), -1),
    "columns": ((203, 19), 0),
    "middle axis": ((3, 67, 5), 1),
    "outer and inner axes": ((3, 7, 5, 11), (1, 3)),
}
each_axes = pytest.mark.parametrize(("shape", "axes"), AXES.values(), ids=AXES)


@each_float
@each_axes
def test_statistics_are_of_the_sum(
    shape: tuple[int, ...], axes: Any, x_dtype: np.dtype, rng: np.random.Generator
) -> None:
    x, residual = make(shape, x_dtype, rng), make(shape, x_dtype, rng)
    weight, bias = affine(tuple(shape[a] for a in ref.all_axes(axes, len(shape))), rng)
    exact = wide_sum(x, residual)
    y, total, *stats = nf.layer_norm(
        x, None, weight, bias, axis=axes, residual=residual, return_stats=True
    )
    expected = ref.layer_norm(exact, axes, weight, bias)
    assert y.dtype == total.dtype == x_dtype
    assert_promised(y, expected)
    assert_stats(stats, expected.mean, expected.rstd)
    assert_same_bits(total, exact.astype(x_dtype))
    y, total, *stats = nf.rms_norm(x, None, weight, axis=axes, residual=residual, return_stats=True)
    expected = ref.rms_norm(exact, axes, weight)
    assert_promised(y, expected)
    assert_stats(stats, expected.rstd)
    assert_same_bits(total, exact.astype(x_dtype))


@each_float
@each_other
def test_the_sum_has_the_wider_dtype(
    x_dtype: np.dtype, other_dtype: np.dtype, rng: np.random.Generator
) -> None:
    for shape, axis in (((7, 103), 1), ((103, 7), 0)):
        x, residual = make(shape, x_dtype, rng), make(shape, other_dtype, rng)
        exact = x.astype(ref.Wide) + residual.astype(ref.Wide)
        for operation, expected in (
            (nf.layer_norm, ref.layer_norm(exact, axis)),
            (nf.rms_norm, ref.rms_norm(exact, axis, eps=1e-5)),
        ):
            y, total = operation(x, axis=axis, eps=1e-5, residual=residual)
            assert y.dtype == x_dtype
            assert total.dtype == sum_dtype(x_dtype, other_dtype)
            terms = np.abs(x.astype(ref.Wide)) + np.abs(residual.astype(ref.Wide))
            assert_within(total, exact, 1.2e-7 * terms + rounding(exact, total.dtype))
            size = np.maximum(1, np.abs(expected.normed))
            assert_within(y, expected.y, 2e-6 * size + rounding(expected.y, y.dtype))


@pytest.mark.parametrize("half", FLOATS[2:], ids=str)
def test_a_half_sum_is_normalised_before_it_is_rounded(half: np.dtype) -> None:
    """At 1024 a float16 has no digit after the point, and a bfloat16 none for the last 8."""
    small = np.array([0, 1, 2, 3] * 16, np.float32) / 8
    x = np.full((2, 64), 1024, half)
    residual = np.stack([small, -small]).astype(half)
    y, total = nf.layer_norm(x, residual=residual)
    assert_promised(y, ref.layer_norm(wide_sum(x, residual)))
    assert np.abs(y.astype(np.float32)).max() > 1
    rounded = nf.layer_norm(total)
    assert np.abs(rounded.astype(np.float32) - y.astype(np.float32)).max() > 0.3
    columns, _ = nf.layer_norm(x.T.copy(), axis=0, residual=residual.T.copy())
    assert_promised(columns, ref.layer_norm(wide_sum(x, residual).T, 0))


@pytest.mark.parametrize("result", FLOATS, ids=str)
@each_float
def test_dtype_is_of_y_and_not_of_the_sum(
    x_dtype: np.dtype, result: np.dtype, rng: np.random.Generator
) -> None:
    x, residual = make((7, 103), x_dtype, rng), make((7, 103), x_dtype, rng)
    y, total = nf.layer_norm(x, residual=residual, dtype=result)
    assert y.dtype == result
    assert total.dtype == x_dtype
    expected = ref.layer_norm(wide_sum(x, residual))
    promise = PROMISE[computing(x_dtype)] if result != np.float32 else 1e-6
    tolerance = promise * np.maximum(1, np.abs(expected.y)) + rounding(expected.y, result)
    assert_within(y, expected.y, tolerance)


def test_a_sum_in_place_of_its_residual_is_added_once_where_float32_has_no_such_scale() -> None:
    """Rows of so little variance, without eps, are done again in float64."""
    rng = np.random.default_rng(0)
    for rows in (1, 2, 5, 40):
        x = rng.standard_normal((rows, 300)).astype(np.float32)
        residual = rng.standard_normal((rows, 300)).astype(np.float32)
        x[rows // 2] *= np.float32(1e-41)
        residual[rows // 2] *= np.float32(1e-41)
        total = residual.copy()
        y, _ = nf.layer_norm(x, residual=total, out=(None, total), eps=0)
        assert_same_bits(total, x + residual)
        assert_promised(y, ref.layer_norm(wide_sum(x, residual), eps=0))


@each_layout
def test_a_residual_may_lie_in_memory_in_any_way(
    layout: Layout, dtype: np.dtype, rng: np.random.Generator
) -> None:
    x, residual = make((5, 67, 13), dtype, rng), make((5, 67, 13), dtype, rng)
    for axis in (-1, 0, 1, (0, 2)):
        common = {"axis": axis, "return_stats": True}
        apart = nf.layer_norm(x, residual=residual, **common)
        assert_all_same_bits(nf.layer_norm(x, residual=layout(residual), **common), apart)
        for results in (
            nf.layer_norm(layout(x), residual=residual, **common),
            nf.layer_norm(layout(x), residual=layout(residual), **common),
        ):
            expected = ref.layer_norm(x + residual, axis)
            assert_promised(results[0], expected)
            assert_same_bits(results[1], x + residual)
            assert_stats(results[2:], expected.mean, expected.rstd)


def test_a_residual_that_broadcasts_is_read_where_it_is(
    dtype: np.dtype, rng: np.random.Generator
) -> None:
    x, row = make((5, 67), dtype, rng), make((67,), dtype, rng)
    residual = np.broadcast_to(row, x.shape)
    expected = nf.layer_norm(x, residual=residual.copy())
    assert_all_same_bits(nf.layer_norm(x, residual=residual), expected)


def buffers(dtype: Any, rng: np.random.Generator, axis: int) -> tuple[Array, Array, Any, Any]:
    """x, residual, the call, and what it gives with arrays of its own."""
    shape = (13, 205) if axis == 1 else (205, 13)
    x, residual = make(shape, dtype, rng), make(shape, dtype, rng)

    def call(x: Array, residual: Array, out: Any) -> Any:
        return nf.layer_norm(x, axis=axis, residual=residual, out=out)

    return x, residual, call, call(x, residual, None)


@pytest.mark.parametrize("axis", [0, 1])
@each_float
def test_the_sum_may_be_written_over_the_residual_or_x(
    x_dtype: np.dtype, axis: int, rng: np.random.Generator
) -> None:
    x, residual, call, expected = buffers(x_dtype, rng, axis)
    outs: dict[str, Callable[[Array, Array], tuple[Array, Array]]] = {
        "apart": lambda x, r: (np.empty_like(x), np.empty_like(r)),
        "over the residual": lambda x, r: (np.empty_like(x), r),
        "over x": lambda x, _: (np.empty_like(x), x),
        "both in place": lambda x, r: (x, r),
        "each over the other": lambda x, r: (r, x),
        "strided": lambda x, r: (layouts.every_other_inner(x), layouts.backwards(r)),
        "another order": lambda x, r: (layouts.fortran(x), layouts.fortran(r)),
    }
    for name, make_out in outs.items():
        a, b = x.copy(), residual.copy()
        out = make_out(a, b)
        results = call(a, b, out)
        assert results[0] is out[0], name
        assert results[1] is out[1], name
        assert_all_same_bits(results, expected)


@pytest.mark.parametrize("shape", [(40, 9), (37, 49), (67, 205), (3, 20_001)])
@pytest.mark.parametrize("layout", [f for f in layouts.SAME_ORDER if f is not layouts.read_only])
def test_the_sum_may_be_written_over_an_x_of_any_strides(
    layout: Layout, shape: tuple[int, ...], rng: np.random.Generator
) -> None:
    for x_dtype in FLOATS:
        x, residual = make(shape, x_dtype, rng), make(shape, x_dtype, rng)
        weight, bias = affine(shape[1], rng)
        apart = nf.layer_norm(x, None, weight, bias, residual=residual)
        a = layout(x)
        y, total = nf.layer_norm(
            a, None, weight, bias, residual=residual, out=(np.empty_like(x), a)
        )
        assert total is a
        assert_all_same_bits((y, total), apart)
        assert_same_bits(total, (x + residual).astype(x_dtype))
        assert_promised(y, ref.layer_norm(wide_sum(x, residual), 1, weight, bias))


def test_out_may_be_that_of_y_alone(dtype: np.dtype, rng: np.random.Generator) -> None:
    x, residual, call, expected = buffers(dtype, rng, 1)
    y = np.empty_like(x)
    results = call(x, residual, y)
    assert results[0] is y
    assert_all_same_bits(results, expected)
    results = call(x, residual, x)
    assert results[0] is x
    assert_all_same_bits(results, expected)


def test_x_may_be_its_own_residual(dtype: np.dtype, rng: np.random.Generator) -> None:
    x = make((5, 103), dtype, rng)
    y, total = nf.layer_norm(x, residual=x)
    assert_same_bits(total, x + x)
    assert_promised(y, ref.layer_norm(x + x))


def test_a_chain_of_residual_blocks_keeps_one_stream(rng: np.random.Generator) -> None:
    """As in a transformer: the stream is updated in place, each block reads its normed value."""
    stream = rng.standard_normal((3, 64)).astype(np.float32)
    exact, y = stream.copy(), np.empty_like(stream)
    for _ in range(4):
        block = rng.standard_normal((3, 64)).astype(np.float32)
        nf.rms_norm(block, residual=stream, out=(y, stream))
        exact = exact + block
        assert_same_bits(stream, exact)
        assert_promised(y, ref.rms_norm(exact))


def test_a_residual_with_a_mask_an_activation_and_another_dtype(
    dtype: np.dtype, rng: np.random.Generator
) -> None:
    for shape, axis in (((7, 103), 1), ((103, 7), 0)):
        x, residual = make(shape, dtype, rng), make(shape, dtype, rng)
        mask = rng.random(shape) < 0.7
        common = {"axis": axis, "where": mask, "activation": "gelu"}
        y, total = nf.layer_norm(x, residual=residual, **common)
        expected = ref.layer_norm(x + residual, axis, w=ref.weights(x, mask))
        assert_fused(y, expected, "gelu")
        assert_same_bits(total, x + residual)
        half, total = nf.layer_norm(x, residual=residual, dtype=np.float16, **common)
        assert half.dtype == np.float16
        assert_fused(half, expected, "gelu")
        assert_same_bits(total, x + residual)
        residual[~mask] = np.nan
        spoilt, total = nf.layer_norm(x, residual=residual, **common)
        assert_same_bits(spoilt[mask], y[mask])
        assert np.isnan(total[~mask]).all()


@pytest.mark.parametrize("ratio", [1e3, 1e6])
@each_axes
def test_the_sum_keeps_its_digits_far_from_zero(
    shape: tuple[int, ...], axes: Any, ratio: float, dtype: np.dtype, rng: np.random.Generator
) -> None:
    x = (ratio + rng.standard_normal(shape)).astype(dtype)
    residual = rng.standard_normal(shape).astype(dtype)
    y, total = nf.layer_norm(x, axis=axes, residual=residual)
    assert_same_bits(total, x + residual)
    assert_promised(y, ref.layer_norm(x + residual, axes))


def test_huge_terms_may_cancel(dtype: np.dtype, rng: np.random.Generator) -> None:
    values = rng.integers(-100, 100, (4, 200)).astype(dtype)
    x = (values + 2.0**20).astype(dtype)
    y, total = nf.layer_norm(x, residual=np.full_like(x, -(2.0**20)))
    assert_same_bits(total, values)
    assert_promised(y, ref.layer_norm(values))


RESIDUAL_CASES = [case for case in CASES if case.name.startswith(("layer_norm", "rms_norm"))]
each_residual_case = pytest.mark.parametrize("case", RESIDUAL_CASES, ids=str)


@each_residual_case
def test_a_residual_has_the_same_bits_with_any_number_of_threads(case: Case) -> None:
    x = cases.with_spikes(case.shape, np.dtype("float32"))
    residual = cases.plain(case.shape, np.dtype("float32"))[::-1]
    alone = case.call(x, residual=residual, num_threads=1)
    assert_all_same_bits(case.call(x, residual=residual, num_threads=2), alone)
    together = case.call(x, residual=residual, out=(x, residual.copy()))
    assert together[0] is x
    assert_all_same_bits(together, alone)


@each_axes
@each_float
@pytest.mark.usefixtures("vector_isa")
def test_a_residual_has_the_same_bits_on_every_instruction_set(
    shape: tuple[int, ...], axes: Any, x_dtype: np.dtype, rng: np.random.Generator
) -> None:
    x, residual = make(shape, x_dtype, rng), make(shape, np.dtype("float32"), rng)

    def everything() -> tuple[Array, ...]:
        common = {"axis": axes, "residual": residual, "return_stats": True, "activation": "silu"}
        return (*nf.layer_norm(x, **common), *nf.rms_norm(x, weight_offset=0.5, **common))

    vectorised = everything()
    _core.use_isa("scalar")
    assert_all_same_bits(everything(), vectorised)


@pytest.mark.parametrize("shape", [(53, 777), (401, 5), (11, 67, 35)], ids=str)
def test_a_row_with_a_residual_has_the_same_bits_alone(
    shape: tuple[int, ...], dtype: np.dtype, rng: np.random.Generator
) -> None:
    x, residual = cases.with_spikes(shape, dtype), make(shape, dtype, rng)
    whole = nf.layer_norm(x, axis=1, residual=residual)
    for part in (np.s_[:1], np.s_[-1:], np.s_[3:], np.s_[1:4], np.s_[::-2]):
        some = nf.layer_norm(x[part], axis=1, residual=residual[part])
        assert_all_same_bits(some, tuple(a[part] for a in whole))


def test_a_nan_in_a_residual_stays_in_its_row(dtype: np.dtype, rng: np.random.Generator) -> None:
    x, residual = make((5, 103), dtype, rng), make((5, 103), dtype, rng)
    clean, _ = nf.layer_norm(x, residual=residual)
    residual[2, 7] = np.inf
    y, total = nf.layer_norm(x, residual=residual)
    assert np.isnan(y[2]).all()
    assert np.isinf(total[2, 7])
    assert_same_bits(np.delete(y, 2, 0), np.delete(clean, 2, 0))


RESIDUAL = ["layer_norm", "rms_norm"]
each_residual = pytest.mark.parametrize("operation", RESIDUAL)
TERMS = [(op, "residual") for op in RESIDUAL] + [(op, "add") for op in CHANNELS]
each_term = pytest.mark.parametrize(("operation", "term"), TERMS)


@pytest.mark.parametrize("shape", [(), (5,), (1, 6, 5), (4, 6), (4, 6, 5, 1), (0, 6, 5), (6, 4, 5)])
@each_term
def test_a_term_has_the_shape_of_x(operation: str, term: str, shape: tuple[int, ...]) -> None:
    check(ValueError, operation, term, **{term: np.ones(shape, np.float32)})


@pytest.mark.parametrize("wrong", ["int64", "uint8", "bool", "complex64", "object", ">f4", "U1"])
@each_term
def test_a_term_is_of_floats(operation: str, term: str, wrong: str) -> None:
    check(TypeError, operation, term, **{term: np.ones((4, 6, 5), wrong)})


@each_not_array
@each_term
def test_a_term_is_an_array_like_x(operation: str, term: str, thing: Any) -> None:
    with pytest.raises((ValueError, TypeError), match=rf"^{operation}: .*{term}"):
        getattr(nf, operation)(**good(operation) | {term: thing})


@each_term
def test_a_term_may_not_be_masked(operation: str, term: str) -> None:
    check(TypeError, operation, term, **{term: np.ma.ones((4, 6, 5), np.float32)})


@each_residual
def test_out_must_fit_the_sum(operation: str) -> None:
    residual, y = np.ones((4, 6, 5), np.float32), np.zeros((4, 6, 5), np.float32)
    for wrong in (np.zeros((4, 6, 5), np.float16), np.zeros((4, 6, 5)), [1.0]):
        check(TypeError, operation, "sum", residual=residual, out=(y, wrong))
    for shape in ((4, 6), (1, 6, 5), (4, 6, 5, 1)):
        bad = np.zeros(shape, np.float32)
        check(ValueError, operation, "sum", residual=residual, out=(y, bad))
    locked = layouts.read_only(y)
    check(ValueError, operation, "sum", residual=residual, out=(y, locked))
    check(ValueError, operation, "sum", residual=locked, out=(y, locked))


@each_residual
def test_out_is_one_array_or_two(operation: str) -> None:
    residual, y = np.ones((4, 6, 5), np.float32), np.zeros((4, 6, 5), np.float32)
    for out in ((), (y,), (y, y.copy(), y.copy()), [y, y.copy()]):
        with pytest.raises((ValueError, TypeError), match="out"):
            getattr(nf, operation)(**good(operation) | {"residual": residual, "out": out})
    with pytest.raises((ValueError, TypeError), match="out"):
        getattr(nf, operation)(**good(operation) | {"out": (y, y.copy())})
    assert not y.any()


@each_residual
def test_the_sum_may_not_overlap_anything_in_part(operation: str) -> None:
    memory = np.arange(500, dtype=np.float32)
    x, shifted = memory[:120].reshape(4, 6, 5), memory[1:121].reshape(4, 6, 5)
    apart, other = memory[200:320].reshape(4, 6, 5), memory[350:470].reshape(4, 6, 5)
    for residual, out in (
        (apart, (other, shifted)),  # the sum and x
        (shifted, (other, x)),  # the sum and the residual
        (apart, (x, x)),  # the sum and y
        (apart, (x, shifted)),
        (apart, (other, other)),
        (shifted, (x, other)),  # y and the residual
    ):
        before = memory.copy()
        with pytest.raises(ValueError, match="overlap"):
            getattr(nf, operation)(**good(operation) | {"x": x, "residual": residual, "out": out})
        assert_same_bits(memory, before)


# --- weight_offset


@each_float
@each_other
@pytest.mark.parametrize("axis", [0, 1])
def test_the_offset_is_added_to_the_weight_before_the_product(
    axis: int, x_dtype: np.dtype, other_dtype: np.dtype, rng: np.random.Generator
) -> None:
    x = make((37, 103), x_dtype, rng)
    weight = (0.1 * rng.standard_normal(x.shape[axis])).astype(other_dtype)
    wide = x.astype(np.float64)
    eps = float(np.finfo(computing(x_dtype)).eps)
    along = np.expand_dims(weight.astype(np.float64), 1 - axis)
    for offset in (1.0, -0.5, 0.0):
        y = nf.rms_norm(x, axis=axis, weight=weight, weight_offset=offset)
        root = np.sqrt((wide**2).mean(axis=axis, keepdims=True) + eps)
        exact = wide / root * (along + offset)
        promise = PROMISE[computing(x_dtype)] * np.maximum(1, np.abs(wide / root))
        tolerance = promise * (np.abs(along) + abs(offset)) + rounding(exact, x_dtype)
        assert_within(y, exact, tolerance)


@pytest.mark.parametrize("half", FLOATS[2:], ids=str)
def test_a_half_weight_is_widened_before_the_offset_is_added(half: np.dtype) -> None:
    """1 + 2**-13 is no half; the weight must not be lost beside the offset."""
    x = np.tile(np.float32([1, -1]), (3, 8))
    weight = np.full(16, 2.0**-13, half)
    y = nf.rms_norm(x, weight=weight, eps=0, weight_offset=1.0)
    assert_within(y, x * (1 + 2.0**-13), np.float64(1e-7))


@pytest.mark.parametrize("half", FLOATS[2:], ids=str)
def test_the_product_with_the_weight_is_rounded_once(
    half: np.dtype, rng: np.random.Generator
) -> None:
    x, weight = make((50, 64), half, rng), rng.standard_normal(64).astype(half)
    y = nf.rms_norm(x, weight=weight, weight_offset=1.0)
    exact = ref.rms_norm(x).normed * (weight.astype(ref.Wide) + 1)
    assert_within(y, exact, 4e-6 * np.maximum(1, np.abs(exact)) + rounding(exact, half))
    # As Llama does it: twice rounded, so that some results are another neighbour.
    twice = nf.rms_norm(x).astype(np.float32) * (weight.astype(np.float32) + 1)
    assert (y != twice.astype(half)).any()


def test_the_offset_takes_a_weight_of_any_shape(dtype: np.dtype, rng: np.random.Generator) -> None:
    x = make((5, 6, 7), dtype, rng)
    for axis, shape in (
        (2, (7,)),
        ((0, 2), (5, 7)),
        (1, (5, 1, 7)),
        (1, (1, 6, 7)),
        (2, (5, 6, 7)),
    ):
        weight = rng.standard_normal(shape).astype(dtype)
        y = nf.rms_norm(x, axis=axis, weight=weight, weight_offset=2.0)
        axes = ref.all_axes(axis, 3)
        shifted = ref.along(weight, axes, 3, 0) + 2
        assert_promised(y, ref.rms_norm(x, axes, shifted))


def test_without_a_weight_there_is_nothing_to_offset(
    dtype: np.dtype, rng: np.random.Generator
) -> None:
    x = make((5, 67), dtype, rng)
    assert_same_bits(nf.rms_norm(x, weight_offset=1.0), nf.rms_norm(x))


def test_the_offset_is_a_finite_number() -> None:
    for value in (np.nan, np.inf):
        check(ValueError, "rms_norm", "weight_offset", weight_offset=value)
    for thing in ("1", None, [1.0], np.ones(1), 1j, True):
        check(TypeError, "rms_norm", "weight_offset", weight_offset=thing)


# --- add


@each_layout
@each_activation_or_none
@pytest.mark.parametrize("channel_axis", [1, -1])
def test_add_comes_after_the_affine_and_before_the_activation(
    channel_axis: int,
    activation: str | None,
    layout: Layout,
    dtype: np.dtype,
    rng: np.random.Generator,
) -> None:
    shape = (3, 6, 5, 6)
    x, add = make(shape, dtype, rng), 2 * make(shape, dtype, rng) - 6
    weight, bias = affine(6, rng)
    mean, var = rng.standard_normal(6), rng.uniform(1, 2, 6)
    k: dict[str, Any] = {"channel_axis": channel_axis}
    last = {"add": layout(add), "activation": activation, **k}
    x_, parameters_ = layout(x), (weight, bias)
    for y, expected in (
        (
            nf.batch_norm(x_, None, None, *parameters_, True, **last),
            ref.batch_norm(x, *parameters_, **k),
        ),
        (
            nf.batch_norm(x_, mean, var, *parameters_, **last),
            ref.batch_norm_with(x, mean, var, *parameters_, **k),
        ),
        (
            nf.instance_norm(x_, None, None, *parameters_, **last),
            ref.instance_norm(x, *parameters_, **k),
        ),
        (nf.group_norm(x_, 3, *parameters_, **last), ref.group_norm(x, 3, *parameters_, **k)),
    ):
        assert_fused(y, expected, activation, add)


# Operations that take add=, in each inner form.
ADD_CASES = [
    case for case in CASES if case.name.startswith(("batch_norm", "instance_norm", "group_norm"))
]
each_add_case = pytest.mark.parametrize("case", ADD_CASES, ids=str)


@each_add_case
def test_add_has_the_same_bits_with_any_number_of_threads_and_in_place(case: Case) -> None:
    x = cases.with_spikes(case.shape, np.dtype("float32"))
    add = cases.plain(case.shape, np.dtype("float32"))[::-1]
    common = {"add": add, "activation": "gelu"}
    alone = case.call(x, num_threads=1, **common)
    assert_all_same_bits(case.call(x, num_threads=2, **common), alone)
    together = case.call(x, out=x, **common)
    assert together[0] is x
    assert_all_same_bits(together, alone)


@each_add_case
@pytest.mark.usefixtures("vector_isa")
def test_add_has_the_same_bits_on_every_instruction_set(case: Case, dtype: np.dtype) -> None:
    shape = (min(case.shape[0], 3), *case.shape[1:])
    if len(shape) == 2:
        shape = (301, shape[1])
    x, add = cases.with_spikes(shape, dtype), cases.plain(shape, dtype)[::-1]
    common = {"add": add, "activation": "silu"}
    vectorised = case.call(x, **common)
    _core.use_isa("scalar")
    assert_all_same_bits(case.call(x, **common), vectorised)


@pytest.mark.parametrize("planes", [(5, 6, 49), (2, 6, 1033), (3, 37, 49), (9, 130, 7)], ids=str)
def test_add_in_planes_of_any_size(
    planes: tuple[int, ...], dtype: np.dtype, rng: np.random.Generator
) -> None:
    x, add = make(planes, dtype, rng), make(planes, dtype, rng)
    weight, bias = parameters(planes[1])
    y = nf.batch_norm(x, None, None, weight, bias, True, add=add, activation="relu")
    assert_fused(y, ref.batch_norm(x, weight, bias), "relu", add)
    y = nf.instance_norm(x, None, None, weight, bias, add=add)
    assert_fused(y, ref.instance_norm(x, weight, bias), None, add)


@each_float
@each_other
def test_add_may_be_of_any_float_dtype(
    x_dtype: np.dtype, other_dtype: np.dtype, rng: np.random.Generator
) -> None:
    x, add = make((9, 6, 35), x_dtype, rng), make((9, 6, 35), other_dtype, rng)
    mean, var = rng.standard_normal(6), rng.uniform(1, 2, 6)
    for y, expected in (
        (nf.batch_norm(x, None, None, training=True, add=add), ref.batch_norm(x)),
        (nf.batch_norm(x, mean, var, add=add), ref.batch_norm_with(x, mean, var)),
    ):
        assert y.dtype == x_dtype
        assert_fused(y, expected, None, add)


def test_add_may_be_the_input(dtype: np.dtype, rng: np.random.Generator) -> None:
    x = make((9, 6, 35), dtype, rng)
    expected = ref.batch_norm(x)
    assert_fused(nf.batch_norm(x, None, None, training=True, add=x), expected, None, x)


def test_the_result_may_be_written_over_add(dtype: np.dtype, rng: np.random.Generator) -> None:
    for shape, channel_axis in (((9, 6, 35), 1), ((9, 35, 6), -1), ((2, 6, 2051), 1)):
        x, add = make(shape, dtype, rng), make(shape, dtype, rng)
        common = {"channel_axis": channel_axis, "training": True, "activation": "relu"}
        apart = nf.batch_norm(x, None, None, add=add, **common)
        assert nf.batch_norm(x, None, None, add=add, out=add, **common) is add
        assert_same_bits(add, apart)
        both = nf.batch_norm(x, None, None, add=x, **common)
        assert_same_bits(nf.batch_norm(x, None, None, add=x, out=x, **common), both)


@pytest.mark.parametrize("operation", CHANNELS)
def test_out_may_not_overlap_add_in_part(operation: str) -> None:
    memory = np.arange(300, dtype=np.float32)
    out, add = memory[:120].reshape(4, 6, 5), memory[1:121].reshape(4, 6, 5)
    with pytest.raises(ValueError, match="overlap"):
        getattr(nf, operation)(**good(operation) | {"out": out, "add": add})
    np.testing.assert_array_equal(memory, np.arange(300))


def test_add_does_not_touch_statistics(dtype: np.dtype, rng: np.random.Generator) -> None:
    x, add = make((9, 6, 35), dtype, rng), make((9, 6, 35), dtype, rng)
    buffers = [np.zeros(6), np.ones(6), np.zeros(6), np.ones(6)]
    common = {"training": True, "return_stats": True}
    with_add = nf.batch_norm(x, *buffers[:2], add=add, activation="relu", **common)
    without = nf.batch_norm(x, *buffers[2:], **common)
    assert_all_same_bits(with_add[1:], without[1:])
    assert_all_same_bits(tuple(buffers[:2]), tuple(buffers[2:]))


def test_an_infinity_in_add_stays_where_it_is(dtype: np.dtype, rng: np.random.Generator) -> None:
    x, add = make((9, 6, 35), dtype, rng), make((9, 6, 35), dtype, rng)
    clean = nf.group_norm(x, 2, add=add)
    for value in (np.inf, np.nan):
        add[2, 3, 4] = value
        y = nf.group_norm(x, 2, add=add)
        assert not np.isfinite(y[2, 3, 4])
        y[2, 3, 4] = clean[2, 3, 4]
        assert_same_bits(y, clean)


def test_combinations_agree_with_their_parts(dtype: np.dtype, rng: np.random.Generator) -> None:
    """Every mix of affine, add, activation and mask, rows and columns alike."""
    x, add = make((4, 6, 7, 7), dtype, rng), make((4, 6, 7, 7), dtype, rng)
    mask = rng.random(x.shape) < 0.7
    weight, bias = affine(6, rng)
    for w, b, a, f, m, channel_axis in itertools.product(
        (None, weight), (None, bias), (None, add), (None, "gelu"), (None, mask), (1, -1)
    ):
        moved = [
            t if t is None or channel_axis == 1 else np.moveaxis(t, 1, -1).copy() for t in (x, a, m)
        ]
        x_, a_, m_ = moved
        y = nf.batch_norm(
            x_, None, None, w, b, True, channel_axis=channel_axis, add=a_, activation=f, where=m_
        )
        chosen = None if m_ is None else ref.weights(x_, m_)
        expected = ref.batch_norm(x_, w, b, channel_axis=channel_axis, w=chosen)
        assert_fused(y, expected, f, a_)
