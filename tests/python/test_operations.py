"""Each operation means what its page says, in every layout; judged by the reference."""

from collections.abc import Callable
from typing import Any

import layouts
import numpy as np
import pytest
import reference as ref
from helpers import (
    affine,
    assert_promised,
    assert_relative,
    assert_same_bits,
    assert_stats,
    assert_within,
    make,
)
from layouts import each_layout
from numpy.typing import NDArray

import normfast as nf

Array = NDArray[Any]
Layout = Callable[[Array], Array]


# --- mean_var


@each_layout
@pytest.mark.parametrize("axis", [None, 0, 1, -1, (0, 2), (2, 0), (-1, 1), (0, 1, 2, 3), ()])
def test_mean_var_on_any_axes(
    axis: Any, layout: Layout, dtype: np.dtype, rng: np.random.Generator
) -> None:
    x = make((3, 6, 5, 7), dtype, rng)
    stats = nf.mean_var(layout(x), axis)
    kept = nf.mean_var(layout(x), axis, keepdims=True)
    assert_stats(kept, *ref.mean_var(x, axis))
    assert stats[0].shape == x.mean(axis=axis).shape
    for one, same in zip(stats, kept, strict=True):
        assert_same_bits(one, same.reshape(one.shape))


def test_mean_var_of_everything_gives_scalars(rng: np.random.Generator) -> None:
    mean, var = nf.mean_var(make((3, 5), np.dtype("float32"), rng))
    assert type(mean) is type(var) is np.float64


@pytest.mark.parametrize("correction", [0, 1, 1.5])
def test_correction_is_taken_from_the_count(
    correction: float, dtype: np.dtype, rng: np.random.Generator
) -> None:
    x = make((9, 4), dtype, rng)
    _, var = nf.mean_var(x, 0, correction=correction)
    np.testing.assert_allclose(var, x.astype(np.float64).var(axis=0, ddof=correction), rtol=1e-6)


# --- layer_norm and rms_norm


@each_layout
@pytest.mark.parametrize("axis", [-1, 0, 1, (1, 2), (0, 3), (3, 1), (0, 1, 2, 3)])
def test_layer_norm_on_any_axes(
    axis: Any, layout: Layout, dtype: np.dtype, rng: np.random.Generator
) -> None:
    x = make((3, 6, 5, 7), dtype, rng)
    weight, bias = affine(tuple(x.shape[a] for a in ref.all_axes(axis, 4)), rng)
    y, *stats = nf.layer_norm(layout(x), axis=axis, weight=weight, bias=bias, return_stats=True)
    expected = ref.layer_norm(x, axis, weight, bias)
    assert_promised(y, expected)
    assert_stats(stats, expected.mean, expected.rstd)
    assert_promised(nf.layer_norm(layout(x), axis=axis), ref.layer_norm(x, axis))


@each_layout
@pytest.mark.parametrize("axis", [-1, 0, 1, (1, 2), (0, 3), (3, 1), (0, 1, 2, 3)])
def test_rms_norm_on_any_axes(
    axis: Any, layout: Layout, dtype: np.dtype, rng: np.random.Generator
) -> None:
    x = make((3, 6, 5, 7), dtype, rng)
    weight, _ = affine(tuple(x.shape[a] for a in ref.all_axes(axis, 4)), rng)
    y, *stats = nf.rms_norm(layout(x), axis=axis, weight=weight, return_stats=True)
    expected = ref.rms_norm(x, axis, weight)
    assert_promised(y, expected)
    assert_stats(stats, expected.rstd)


@pytest.mark.parametrize("normalized_shape", [7, (7,), (5, 7), [6, 5, 7], (3, 6, 5, 7)])
def test_normalized_shape_names_the_trailing_axes(
    normalized_shape: Any, rng: np.random.Generator
) -> None:
    x = make((3, 6, 5, 7), np.dtype("float32"), rng)
    axes = tuple(range(4 - np.size(normalized_shape), 4))
    assert_same_bits(nf.layer_norm(x, normalized_shape), nf.layer_norm(x, axis=axes))
    assert_same_bits(nf.rms_norm(x, normalized_shape), nf.rms_norm(x, axis=axes))


def test_the_last_axis_is_the_default(rng: np.random.Generator) -> None:
    x = make((3, 6, 5), np.dtype("float32"), rng)
    assert_same_bits(nf.layer_norm(x), nf.layer_norm(x, axis=2))
    assert_same_bits(nf.rms_norm(x), nf.rms_norm(x, axis=2))


@pytest.mark.parametrize("shape", [(1, 6, 1), (3, 1, 5), (3, 6, 5), (1, 1, 1), (1, 6, 5)])
@pytest.mark.parametrize("axis", [0, 1, 2, (0, 2), (0, 1, 2)])
def test_weight_and_bias_of_all_axes_broadcast(
    shape: tuple[int, ...], axis: Any, dtype: np.dtype, rng: np.random.Generator
) -> None:
    x = make((3, 6, 5), dtype, rng)
    weight, bias = affine(shape, rng)
    y = nf.layer_norm(x, axis=axis, weight=weight, bias=bias)
    assert_promised(y, ref.layer_norm(x, axis, weight, bias))
    assert_promised(nf.rms_norm(x, axis=axis, weight=weight), ref.rms_norm(x, axis, weight))


@pytest.mark.parametrize("parameter_dtype", [np.float32, np.float64])
@each_layout
def test_parameters_have_their_own_dtype_and_strides(
    layout: Layout, parameter_dtype: Any, dtype: np.dtype, rng: np.random.Generator
) -> None:
    x = make((4, 6, 5), dtype, rng)
    weight, bias = affine((6, 5), rng, parameter_dtype)
    y = nf.layer_norm(x, (6, 5), layout(weight), layout(bias))
    assert_promised(y, ref.layer_norm(x, (1, 2), weight, bias))
    assert_promised(nf.layer_norm(x, (6, 5), weight), ref.layer_norm(x, (1, 2), weight))
    assert_promised(nf.layer_norm(x, (6, 5), bias=bias), ref.layer_norm(x, (1, 2), None, bias))
    assert_promised(nf.rms_norm(x, (6, 5), layout(weight)), ref.rms_norm(x, (1, 2), weight))


def test_rms_norm_adds_the_machine_epsilon_by_default(dtype: np.dtype) -> None:
    x = np.array([[1e-4, -1e-4, 2e-4]], dtype)
    assert_same_bits(nf.rms_norm(x), nf.rms_norm(x, eps=float(np.finfo(dtype).eps)))
    assert not np.array_equal(nf.rms_norm(x), nf.rms_norm(x, eps=0))


# --- normalize, weight_norm and standardize


@each_layout
@pytest.mark.parametrize("p", [1, 2, 2.0, np.inf])
@pytest.mark.parametrize("axis", [0, 1, -1, (1, 2), None])
def test_normalize_on_any_axis(
    axis: Any, p: float, layout: Layout, dtype: np.dtype, rng: np.random.Generator
) -> None:
    x = make((3, 6, 5, 7), dtype, rng)
    y, norm = nf.normalize(layout(x), p, axis, return_stats=True)
    expected, length = ref.normalize(x, p, axis)
    assert_relative(y, expected)
    assert_stats((norm,), length)


def test_short_vectors_are_divided_by_eps(dtype: np.dtype) -> None:
    x = np.array([[3e-5, 4e-5], [3, 4]], dtype)
    y, norm = nf.normalize(x, eps=1e-3, return_stats=True)
    np.testing.assert_allclose(y, [[0.03, 0.04], [0.6, 0.8]], rtol=1e-6)
    np.testing.assert_allclose(norm, [[5e-5], [5]], rtol=1e-6)


@pytest.mark.parametrize("p", [1, 2, np.inf])
@pytest.mark.parametrize("eps", [0, 1e-12])
@pytest.mark.parametrize("axis", [0, 1])
def test_a_zero_vector_stays_zero(axis: int, eps: float, p: float, dtype: np.dtype) -> None:
    x = np.zeros((37, 35), dtype)
    y, norm = nf.normalize(x, p, axis, eps, return_stats=True)
    np.testing.assert_array_equal(y, x)
    np.testing.assert_array_equal(norm, 0)


@each_layout
@pytest.mark.parametrize("channel_axis", [0, 1, -1, None])
def test_weight_norm(
    channel_axis: int | None, layout: Layout, dtype: np.dtype, rng: np.random.Generator
) -> None:
    v = make((3, 6, 5, 7), dtype, rng)
    shape = () if channel_axis is None else v.shape[channel_axis]
    g = rng.uniform(-2, 2, shape).astype(np.float32)
    w, norm = nf.weight_norm(layout(v), np.asarray(g), channel_axis, return_stats=True)
    expected, length = ref.weight_norm(v, np.asarray(g), channel_axis)
    assert_within(
        w,
        expected,
        4 * np.finfo(dtype).eps * np.abs(expected)
        + 1e-6 * np.abs(expected) * (dtype == np.float32),
    )
    assert_stats((norm,), length)


def test_weight_norm_takes_the_gain_in_torchs_shape(rng: np.random.Generator) -> None:
    v, g = make((6, 5, 7), np.dtype("float32"), rng), rng.standard_normal(6)
    assert_same_bits(nf.weight_norm(v, g.reshape(6, 1, 1)), nf.weight_norm(v, g))


@each_layout
@pytest.mark.parametrize("axis", [0, -1, (0, 2), None])
@pytest.mark.parametrize("correction", [0, 1])
def test_standardize(
    correction: int, axis: Any, layout: Layout, dtype: np.dtype, rng: np.random.Generator
) -> None:
    x = make((9, 6, 5), dtype, rng)
    y, *stats = nf.standardize(layout(x), axis, correction=correction, return_stats=True)
    expected, mean, std = ref.standardize(x, axis, correction)
    assert_within(
        y, expected, (1e-6 if dtype == np.float32 else 1e-13) * np.maximum(1, np.abs(expected))
    )
    assert_stats(stats, mean, std)


@pytest.mark.parametrize("axis", [0, 1, (0, 2)])
def test_training_statistics_standardize_new_data(
    axis: Any, dtype: np.dtype, rng: np.random.Generator
) -> None:
    train, test = make((9, 6, 5), dtype, rng), make((9, 6, 5), dtype, rng)
    y, mean, std = nf.standardize(train, axis, return_stats=True)
    again, *same = nf.standardize(train, axis, mean=mean, std=std, return_stats=True)
    np.testing.assert_allclose(again, y, rtol=0, atol=1e-6)
    assert_same_bits(same[0], mean)
    assert_same_bits(same[1], std)
    expected = (test.astype(ref.Wide) - mean) / std
    tolerance = (1e-6 if dtype == np.float32 else 1e-13) * np.maximum(1, np.abs(expected))
    assert_within(nf.standardize(test, axis, mean=mean, std=std), expected, tolerance)


def test_a_constant_feature_is_divided_by_one_in_training_and_test(dtype: np.dtype) -> None:
    train, test = np.full((5, 2), 7, dtype), np.full((3, 2), 9, dtype)
    y, mean, std = nf.standardize(train, return_stats=True)
    np.testing.assert_array_equal(y, 0)
    np.testing.assert_array_equal(nf.standardize(test, mean=mean, std=std), 2)


# --- all of them: out and empty arrays

OPERATIONS: dict[str, Callable[..., Any]] = {
    "layer_norm": lambda x, **kw: nf.layer_norm(x, axis=1, weight=np.full(6, 2.0), **kw),
    "rms_norm": lambda x, **kw: nf.rms_norm(x, axis=1, weight=np.full(6, 2.0), **kw),
    "batch_norm": lambda x, **kw: nf.batch_norm(x, np.zeros(6), np.ones(6), training=True, **kw),
    "evaluation": lambda x, **kw: nf.batch_norm(x, np.full(6, 3.0), np.full(6, 2.0), **kw),
    "instance_norm": nf.instance_norm,
    "group_norm": lambda x, **kw: nf.group_norm(x, 3, **kw),
    "normalize": nf.normalize,
    "weight_norm": lambda x, **kw: nf.weight_norm(x, np.arange(6.0), 1, **kw),
    "standardize": nf.standardize,
}


@pytest.mark.parametrize("layout", [a for a in layouts.ALL if a is not layouts.read_only])
@pytest.mark.parametrize("name", OPERATIONS)
def test_out_of_any_layout_is_filled_and_returned(
    name: str, layout: Layout, dtype: np.dtype, rng: np.random.Generator
) -> None:
    x = make((4, 6, 35), dtype, rng)
    out = layout(np.full_like(x, np.nan))
    assert OPERATIONS[name](x, out=out) is out
    assert_same_bits(out, OPERATIONS[name](x))


@pytest.mark.parametrize("name", OPERATIONS)
def test_out_may_interleave_with_the_input(
    name: str, dtype: np.dtype, rng: np.random.Generator
) -> None:
    both = make((4, 6, 35, 2), dtype, rng)
    x = both[..., 0].copy()
    OPERATIONS[name](both[..., 0], out=both[..., 1])
    assert_same_bits(both[..., 0], x)
    assert_same_bits(both[..., 1], OPERATIONS[name](x))


@pytest.mark.parametrize("shape", [(0, 6, 5), (4, 6, 0), (0, 6, 0)])
@pytest.mark.parametrize("name", OPERATIONS)
def test_an_empty_array_gives_an_empty_result(
    name: str, shape: tuple[int, ...], dtype: np.dtype
) -> None:
    x = np.empty(shape, dtype)
    y = OPERATIONS[name](x)
    assert (y.shape, y.dtype) == (shape, dtype)
    assert OPERATIONS[name](x, out=x) is x
    y, *stats = OPERATIONS[name](x, return_stats=True)
    assert all(s.dtype == np.float64 and s.ndim == 3 for s in stats)


@pytest.mark.parametrize("shape", [(0, 6, 5), (4, 6, 0)])
def test_an_empty_batch_does_not_poison_running_statistics(
    shape: tuple[int, ...], dtype: np.dtype
) -> None:
    mean, var, batches = np.full(6, 2.0), np.full(6, 3.0), np.array(5)
    x = np.empty(shape, dtype)
    nf.batch_norm(x, mean, var, training=True, num_batches_tracked=batches)
    nf.instance_norm(x, mean, var)
    assert (mean == 2).all()
    assert (var == 3).all()
    assert batches == 5


def test_no_channels_are_an_empty_batch(dtype: np.dtype) -> None:
    x, none = np.empty((4, 0, 5), dtype), np.empty(0)
    for y in (
        nf.batch_norm(x, none, none, none, none, training=True),
        nf.batch_norm(x, none, none, none, none),
        nf.instance_norm(x, none, none),
        nf.group_norm(x, 2, none, none),
        nf.layer_norm(x, axis=1, weight=none),
        nf.weight_norm(x, none, 1),
    ):
        assert (y.shape, y.dtype) == (x.shape, dtype)
