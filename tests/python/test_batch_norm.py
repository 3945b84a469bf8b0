"""Batch, instance and group normalisation: channels anywhere, and running statistics."""

from collections.abc import Callable
from typing import Any

import layouts
import numpy as np
import pytest
import reference as ref
from helpers import (
    affine,
    assert_promised,
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
SHAPES = [(7, 6), (3, 6, 5), (3, 6, 5, 7), (2, 6, 3, 4, 5)]
each_shape = pytest.mark.parametrize("shape", SHAPES, ids=lambda s: f"{len(s)}d")


# --- batch_norm


@each_shape
@each_layout
@pytest.mark.parametrize("channel_axis", [1, -1, 0])
def test_batch_norm_of_a_batch(
    channel_axis: int,
    layout: Layout,
    shape: tuple[int, ...],
    dtype: np.dtype,
    rng: np.random.Generator,
) -> None:
    x = make(shape, dtype, rng)
    weight, bias = affine(shape[channel_axis], rng)
    y, *stats = nf.batch_norm(
        layout(x), None, None, weight, bias, True, channel_axis=channel_axis, return_stats=True
    )
    expected = ref.batch_norm(x, weight, bias, channel_axis=channel_axis)
    assert_promised(y, expected)
    assert_stats(stats, expected.mean, expected.rstd)


@each_shape
@each_layout
@pytest.mark.parametrize("channel_axis", [1, -1, 0])
def test_batch_norm_in_evaluation_uses_the_running_statistics(
    channel_axis: int,
    layout: Layout,
    shape: tuple[int, ...],
    dtype: np.dtype,
    rng: np.random.Generator,
) -> None:
    x = make(shape, dtype, rng)
    var, mean = affine(shape[channel_axis], rng)
    weight, bias = affine(shape[channel_axis], rng)
    before = mean.copy(), var.copy()
    y, *stats = nf.batch_norm(
        layout(x), mean, var, weight, bias, channel_axis=channel_axis, return_stats=True
    )
    expected = ref.batch_norm_with(x, mean, var, weight, bias, channel_axis=channel_axis)
    assert_promised(y, expected)
    assert_stats(stats, expected.mean, expected.rstd)
    assert_same_bits(mean, before[0])
    assert_same_bits(var, before[1])


@each_layout
@pytest.mark.parametrize("channel_axis", [(0, 1), (1, 2), (0, 3), (3, 1), (1, 2, 3), (2,)])
def test_batch_norm_keeps_statistics_per_step_and_channel(
    channel_axis: tuple[int, ...], layout: Layout, dtype: np.dtype, rng: np.random.Generator
) -> None:
    """With several channel axes, parameters have their sizes in increasing order of axis."""
    x = make((5, 6, 4, 7), dtype, rng)
    shape = tuple(x.shape[a] for a in sorted(channel_axis))
    weight, bias = affine(shape, rng)
    mean, var = np.zeros(shape), np.ones(shape)
    y = nf.batch_norm(layout(x), mean, var, weight, bias, True, channel_axis=channel_axis)
    expected = ref.batch_norm(x, weight, bias, channel_axis=channel_axis)
    assert_promised(y, expected)
    n = x.size // mean.size
    assert_within(mean, ref.running(np.zeros(shape), expected.mean, 0.1), np.float64(1e-6))
    assert_within(
        var, ref.running(np.ones(shape), expected.var * n / (n - 1), 0.1), np.float64(1e-6)
    )
    y = nf.batch_norm(layout(x), mean, var, weight, bias, channel_axis=channel_axis)
    assert_promised(y, ref.batch_norm_with(x, mean, var, weight, bias, channel_axis=channel_axis))


@pytest.mark.parametrize("momentum", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("correction", [0, 1])
@pytest.mark.parametrize("buffer_dtype", [np.float32, np.float64])
def test_training_moves_the_running_statistics(
    buffer_dtype: Any, correction: int, momentum: float, dtype: np.dtype, rng: np.random.Generator
) -> None:
    x = make((4, 6, 5), dtype, rng)
    var, mean = affine(6, rng, buffer_dtype)
    exact = ref.batch_norm(x)
    unbiased = exact.var * 20 / (20 - correction)
    expected = ref.running(mean, exact.mean, momentum), ref.running(var, unbiased, momentum)
    batches = np.array(41)
    nf.batch_norm(
        x,
        mean,
        var,
        training=True,
        momentum=momentum,
        running_var_correction=correction,
        num_batches_tracked=batches,
    )
    assert mean.dtype == var.dtype == buffer_dtype
    np.testing.assert_allclose(mean, expected[0].astype(float), rtol=3e-7, atol=1e-7)
    np.testing.assert_allclose(var, expected[1].astype(float), rtol=2e-6)
    assert batches == 42


def test_training_writes_through_strided_running_statistics(rng: np.random.Generator) -> None:
    x = make((4, 6, 5), np.dtype("float32"), rng)
    buffers = np.zeros((6, 3)), np.ones((6, 3))
    plain = np.zeros(6), np.ones(6)
    nf.batch_norm(x, *plain, training=True)
    nf.batch_norm(x, buffers[0][:, 1], buffers[1][::-1, 2], training=True)
    assert_same_bits(buffers[0][:, 1], plain[0])
    assert_same_bits(buffers[1][::-1, 2], plain[1])
    assert not buffers[0][:, [0, 2]].any()


def test_momentum_none_averages_all_batches(dtype: np.dtype, rng: np.random.Generator) -> None:
    mean, var, batches = np.zeros(3), np.ones(3), np.array(0)
    means, variances = [], []
    for _ in range(5):
        x = make((8, 3, 4), dtype, rng)
        nf.batch_norm(x, mean, var, training=True, momentum=None, num_batches_tracked=batches)
        exact = ref.batch_norm(x)
        means.append(exact.mean.ravel())
        variances.append(exact.var.ravel() * 32 / 31)
    assert batches == 5
    np.testing.assert_allclose(mean, np.mean(means, axis=0).astype(float), rtol=1e-6)
    np.testing.assert_allclose(var, np.mean(variances, axis=0).astype(float), rtol=1e-6)


def test_evaluation_does_not_count_a_batch(rng: np.random.Generator) -> None:
    batches = np.array(7)
    x = make((4, 6), np.dtype("float32"), rng)
    nf.batch_norm(x, np.zeros(6), np.ones(6), num_batches_tracked=batches)
    assert batches == 7


def test_a_running_variance_of_zero_without_eps_divides_by_one(dtype: np.dtype) -> None:
    x = np.array([[1, 2], [3, 4]], dtype)
    y = nf.batch_norm(x, np.array([1.0, 1.0]), np.array([0.0, 4.0]), eps=0)
    np.testing.assert_array_equal(y, [[0, 0.5], [2, 1.5]])


# --- instance_norm and group_norm


@each_layout
@pytest.mark.parametrize("shape", SHAPES[1:], ids=lambda s: f"{len(s)}d")
@pytest.mark.parametrize("channel_axis", [1, -1, 0])
def test_instance_norm(
    channel_axis: int,
    layout: Layout,
    shape: tuple[int, ...],
    dtype: np.dtype,
    rng: np.random.Generator,
) -> None:
    x = make(shape, dtype, rng)
    weight, bias = affine(shape[channel_axis], rng)
    y, *stats = nf.instance_norm(
        layout(x), weight=weight, bias=bias, channel_axis=channel_axis, return_stats=True
    )
    expected = ref.instance_norm(x, weight, bias, channel_axis=channel_axis)
    assert_promised(y, expected)
    assert_stats(stats, expected.mean, expected.rstd)


@pytest.mark.parametrize("channel_axis", [1, -1])
def test_instance_norm_moves_running_statistics_by_the_mean_over_the_batch(
    channel_axis: int, dtype: np.dtype, rng: np.random.Generator
) -> None:
    x = make((4, 6, 5), dtype, rng)
    n, channels = (5, 6) if channel_axis == 1 else (6, 5)
    mean, var = np.full(channels, 2.0), np.full(channels, 3.0)
    expected = ref.instance_norm(x, channel_axis=channel_axis)
    batch_mean, batch_var = expected.mean.mean(axis=0), expected.var.mean(axis=0) * n / (n - 1)
    exact = ref.running(mean, batch_mean, 0.25), ref.running(var, batch_var, 0.25)
    y = nf.instance_norm(x, mean, var, momentum=0.25, channel_axis=channel_axis)
    assert_promised(y, expected)
    np.testing.assert_allclose(mean, exact[0].astype(float), rtol=1e-6)
    np.testing.assert_allclose(var, exact[1].astype(float), rtol=1e-6)


def test_instance_norm_without_input_stats_uses_the_running_ones(
    dtype: np.dtype, rng: np.random.Generator
) -> None:
    x = make((4, 6, 5), dtype, rng)
    var, mean = affine(6, rng)
    weight, bias = affine(6, rng)
    y = nf.instance_norm(x, mean, var, weight, bias, use_input_stats=False)
    assert_promised(y, ref.batch_norm_with(x, mean, var, weight, bias))


@each_shape
@each_layout
@pytest.mark.parametrize("channel_axis", [1, -1, 0])
def test_group_norm(
    channel_axis: int,
    layout: Layout,
    shape: tuple[int, ...],
    dtype: np.dtype,
    rng: np.random.Generator,
) -> None:
    shape = tuple(6 if n == shape[channel_axis] else n for n in shape)
    x = make(shape, dtype, rng)
    weight, bias = affine(shape[channel_axis], rng)
    for groups in (1, 2, 3, 6):
        if len(shape) == 2 and groups == 6:
            continue  # one value a group: see the next test
        y, *stats = nf.group_norm(
            layout(x), groups, weight, bias, channel_axis=channel_axis, return_stats=True
        )
        expected = ref.group_norm(x, groups, weight, bias, channel_axis=channel_axis)
        assert_promised(y, expected)
        assert_stats(stats, expected.mean, expected.rstd)


# Planes of 49 and 64: several runs a statistic, each with a weight and a bias of its own.
@pytest.mark.parametrize("side", [7, 8])
@pytest.mark.parametrize("groups", [1, 3, 8, 24])
def test_group_norm_of_small_planes(
    groups: int, side: int, dtype: np.dtype, rng: np.random.Generator
) -> None:
    x = make((5, 24, side, side), dtype, rng)
    weight, bias = affine(24, rng)
    for affines in ((weight, bias), (weight, None), (None, bias), (None, None)):
        expected = ref.group_norm(x, groups, *affines)
        for layout in (layouts.contiguous, layouts.padded, layouts.every_third_outer):
            assert_promised(nf.group_norm(layout(x), groups, *affines), expected)
        half = x.astype(np.float16)
        y = nf.group_norm(half, groups, *affines)
        assert_promised(y, ref.group_norm(half.astype(np.float32), groups, *affines))


def test_one_value_alone_is_its_own_mean(dtype: np.dtype, rng: np.random.Generator) -> None:
    x = make((5, 6), dtype, rng)
    bias = rng.standard_normal(6).astype(dtype)
    np.testing.assert_array_equal(nf.group_norm(x, 6, bias=bias), [bias] * 5)
    np.testing.assert_array_equal(nf.layer_norm(x[:, :1], bias=bias[:1]), [[bias[0]]] * 5)
