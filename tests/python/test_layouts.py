"""Any shape, strides, axes and values: found by hypothesis, judged by the reference."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import layouts
import numpy as np
import pytest
import reference as ref
from cases import NORMALISING, STATISTICS, Case, plain
from helpers import (
    LARGEST_SIZE,
    PROMISE,
    STATUS,
    assert_promised,
    assert_relative,
    assert_same_bits,
    assert_within,
    run_python,
)
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

import normfast as nf

Array = NDArray[Any]

DTYPES = st.sampled_from([np.dtype("float32"), np.dtype("float64")])


@st.composite
def strided_arrays(draw: st.DrawFn, min_dims: int = 1) -> Array:
    """An array of any shape, memory order and strides (negative and zero too), at any byte."""
    dtype = draw(DTYPES)
    shape = draw(st.lists(st.integers(1, 7), min_size=min_dims, max_size=5))
    long_axis = draw(st.integers(0, len(shape) - 1))
    shape[long_axis] = draw(st.sampled_from([shape[long_axis], 16, 33, 65, 130]))
    steps = draw(
        st.lists(st.sampled_from([1, 1, 1, 2, 3, -1, -2]), min_size=len(shape), max_size=len(shape))
    )
    order = draw(st.permutations(range(len(shape))))
    start = draw(st.sampled_from([0, 0, 1, 4, 12]))

    stored = [shape[a] * abs(steps[a]) for a in order]
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    offset = draw(st.sampled_from([0, 3, 1e4]))
    values = (offset + rng.standard_normal(stored)) * draw(st.sampled_from([1, 1e-6, 1e25]))
    memory = layouts.byte_offset(values.astype(dtype), start)
    x = memory[tuple(slice(None, None, steps[a]) for a in order)].transpose(np.argsort(order))
    if draw(st.booleans()):
        repeated = draw(st.integers(0, len(shape) - 1))
        x = np.broadcast_to(x[(slice(None),) * repeated + (slice(1),)], shape)
    x.flags.writeable = False
    assert x.shape == tuple(shape)
    return x


def some_axes(data: st.DataObject, x: Array) -> tuple[int, ...]:
    axes = st.integers(-x.ndim, x.ndim - 1)
    return tuple(
        data.draw(st.lists(axes, min_size=1, unique_by=lambda a: a % x.ndim), label="axes")
    )


def affine(data: st.DataObject, shape: Any) -> tuple[Array | None, Array | None]:
    rng = np.random.default_rng(5)
    drawn = []
    for values in (rng.uniform(0.5, 2, shape), rng.standard_normal(shape)):
        dtype = data.draw(st.sampled_from([None, np.float32, np.float64]))
        drawn.append(None if dtype is None else values.astype(dtype))
    return drawn[0], drawn[1]


def assert_same_order(y: Array, x: Array) -> None:
    """As np.empty_like orders it. The stride of an axis of size 1 means nothing."""
    for size, ours, numpys in zip(x.shape, y.strides, np.empty_like(x).strides, strict=True):
        assert ours == numpys or size == 1


@given(strided_arrays(), st.data())
def test_layer_norm_and_rms_norm(x: Array, data: st.DataObject) -> None:
    axes = some_axes(data, x)
    weight, bias = affine(data, tuple(x.shape[a] for a in ref.all_axes(axes, x.ndim)))
    y = nf.layer_norm(x, axis=axes, weight=weight, bias=bias)
    assert_same_order(y, x)
    assert_promised(y, ref.layer_norm(x, axes, weight, bias))
    assert_promised(nf.rms_norm(x, axis=axes, weight=weight), ref.rms_norm(x, axes, weight))


@given(strided_arrays(), st.data())
def test_mean_var_standardize_and_normalize(x: Array, data: st.DataObject) -> None:
    axes = some_axes(data, x)
    exact_mean, exact_var = ref.mean_var(x, axes)
    mean, var = nf.mean_var(x, axes, keepdims=True)
    promise = PROMISE[x.dtype]
    assert_within(mean, exact_mean, promise * np.sqrt(exact_var) + np.spacing(np.abs(mean)))
    assert_within(var, exact_var, 2 * promise * exact_var)
    y, exact = nf.standardize(x, axes), ref.standardize(x, axes)[0]
    assert_same_order(y, x)
    assert_within(y, exact, promise * np.maximum(1, np.abs(exact)))
    p = data.draw(st.sampled_from([1, 2, np.inf]))
    assert_relative(nf.normalize(x, p, axes), ref.normalize(x, p, axes)[0])


@given(strided_arrays(min_dims=2), st.data())
def test_batch_norm(x: Array, data: st.DataObject) -> None:
    channels = some_axes(data, x)
    shape = tuple(x.shape[a] for a in ref.all_axes(channels, x.ndim))
    weight, bias = affine(data, shape)
    expected = ref.batch_norm(x, weight, bias, channel_axis=channels)
    mean = expected.mean.reshape(shape).astype(float)
    var = expected.var.reshape(shape).astype(float) + 1e-3
    if x.size > mean.size:
        y = nf.batch_norm(x, None, None, weight, bias, True, channel_axis=channels)
        assert_same_order(y, x)
        assert_promised(y, expected)
    y = nf.batch_norm(x, mean, var, weight, bias, channel_axis=channels)
    assert_promised(y, ref.batch_norm_with(x, mean, var, weight, bias, channel_axis=channels))


@given(strided_arrays(min_dims=2), st.data())
def test_group_norm_instance_norm_and_weight_norm(x: Array, data: st.DataObject) -> None:
    channel_axis = data.draw(st.integers(-x.ndim, x.ndim - 1))
    channels = x.shape[channel_axis]
    weight, bias = affine(data, channels)
    groups = data.draw(st.sampled_from([g for g in range(1, channels + 1) if channels % g == 0]))
    y = nf.group_norm(x, groups, weight, bias, channel_axis=channel_axis)
    assert_same_order(y, x)
    assert_promised(y, ref.group_norm(x, groups, weight, bias, channel_axis=channel_axis))
    expected = ref.instance_norm(x, weight, bias, channel_axis=channel_axis)
    if x.size > expected.mean.size:
        assert_promised(
            nf.instance_norm(x, weight=weight, bias=bias, channel_axis=channel_axis), expected
        )
    gain = np.linspace(1, 2, channels)
    assert_relative(
        nf.weight_norm(x, gain, channel_axis), ref.weight_norm(x, gain, channel_axis)[0]
    )


@given(
    hnp.arrays(
        np.float32,
        hnp.array_shapes(min_dims=2, max_dims=2, max_side=40),
        elements=st.floats(width=32, allow_nan=False, allow_infinity=False),
    ),
    st.sampled_from([0, 1]),
    st.sampled_from([0.0, 1e-5]),
)
@example(np.float32([[40000, 40001, 40002, 40003]]), 1, 1e-5)
@example(np.float32([[3.4e38, -3.4e38, 1e-45]]), 1, 0.0)
def test_any_finite_values(x: Array, axis: int, eps: float) -> None:
    expected = ref.layer_norm(x, axis, eps=eps)
    y = nf.layer_norm(x, axis=axis, eps=eps)
    within_promise = np.abs(expected.mean) <= 1e6 * np.sqrt(expected.var)
    difference = np.abs(y - expected.y)
    assert np.all((difference <= 1e-6 * np.maximum(1, np.abs(expected.y))) | ~within_promise)
    assert np.all(y[np.broadcast_to(expected.var == 0, x.shape)] == 0)
    assert_promised(nf.rms_norm(x, axis=axis, eps=eps), ref.rms_norm(x, axis, eps=eps))
    assert_relative(nf.normalize(x, axis=axis, eps=0), ref.normalize(x, axis=axis, eps=0)[0])


@pytest.mark.parametrize("layout", layouts.ALL)
@pytest.mark.parametrize("case", NORMALISING + STATISTICS, ids=str)
def test_the_input_is_never_modified(
    case: Case, layout: Callable[[Array], Array], dtype: np.dtype
) -> None:
    x = layout(plain(case.shape, dtype))
    x.flags.writeable = False
    before = x.tobytes()
    case.call(x)
    assert x.tobytes() == before


@pytest.mark.parametrize("layout", layouts.ALL)
def test_the_result_has_the_memory_order_of_the_input(
    layout: Callable[[Array], Array], dtype: np.dtype, rng: np.random.Generator
) -> None:
    x = layout(rng.standard_normal((3, 6, 4, 5)).astype(dtype))
    for y in (
        nf.layer_norm(x),
        nf.rms_norm(x, axis=1),
        nf.batch_norm(x, np.zeros(6), np.ones(6)),
        nf.instance_norm(x),
        nf.group_norm(x, 2),
        nf.normalize(x),
        nf.weight_norm(x, np.ones(3)),
        nf.standardize(x),
    ):
        assert_same_order(y, x)


def test_a_memory_mapped_file_is_an_array_like_any_other(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    x = rng.standard_normal((97, 333)).astype(np.float32)
    (tmp_path / "x.bin").write_bytes(x.tobytes())
    mapped = np.memmap(tmp_path / "x.bin", np.float32, "r", shape=x.shape)
    result = np.memmap(tmp_path / "y.bin", np.float32, "w+", shape=x.shape)
    assert nf.layer_norm(mapped, out=result) is result
    assert_same_bits(np.asarray(result), nf.layer_norm(x))
    assert_same_bits(nf.mean_var(mapped, 0)[0], nf.mean_var(x, 0)[0])


@pytest.mark.skipif(not STATUS.exists(), reason="needs Linux's account of the process")
@pytest.mark.parametrize(
    "view", ["x", "x.transpose(2, 0, 1)", "x[:, ::2]", "x[::-1, ::-1, ::-1]", "x.T", "x[..., 1:-1]"]
)
def test_data_is_not_copied(view: str) -> None:
    """A copy of these 48 to 96 MB would show in the process's largest size."""
    run_python(f"""
{LARGEST_SIZE}
import numpy as np, normfast as nf
x = np.random.default_rng(0).standard_normal((64, 384, 1024), np.float32)
x = {view}
C = x.shape[1]
mean, var = np.zeros(C), np.ones(C)
before = largest_size()
nf.mean_var(x, 1)
for axis in (0, 1, -1):
    nf.layer_norm(x, axis=axis, out=x)
nf.batch_norm(x, mean, var, training=True, out=x)
nf.batch_norm(x, mean, var, out=x)
nf.instance_norm(x, out=x)
nf.group_norm(x, 2, out=x)
nf.normalize(x, out=x)
nf.weight_norm(x, mean, 1, out=x)
nf.standardize(x, out=x)
assert largest_size() < before + 24, f"grew from {{before}} to {{largest_size()}} MB"
""")


def test_more_elements_than_32_bits_can_count() -> None:
    """Four thousand million elements in little memory: every row is the same row."""
    row = np.arange(1024, dtype=np.float32)
    x = as_strided(row, (2**22 + 3, 1024), (0, 4), writeable=False)
    mean, var = nf.mean_var(x)
    assert mean == 511.5
    assert var == pytest.approx((1024**2 - 1) / 12, rel=1e-12)
