"""Every operation, dtype and layout on the GPU, against extended precision on the CPU."""

from typing import Any

import numpy as np
import pytest
import reference as ref
from devices import Device, drawn
from helpers import (
    assert_promised,
    assert_relative,
    assert_same_bits,
    assert_stats,
    assert_within,
    rounding,
)
from numpy.typing import NDArray
from operations import CALLS, Call, sample

from normfast import cuda

Array = NDArray[Any]

each_call = pytest.mark.parametrize("call", CALLS, ids=str)


def assert_exact(y: Array, exact: Any) -> None:
    """Within the promise: of the normalised value, or of a unit vector relative."""
    if isinstance(exact, ref.Expected):
        assert_promised(y, exact)
    elif y.dtype == np.float32:
        assert_relative(y, exact)
    else:
        assert_within(y, exact, 1e-6 * np.abs(exact) + rounding(exact, y.dtype))


def check(device: Device, call: Call, x: Array) -> None:
    """The result and its statistics."""
    parameters = call.draw()
    results = call.run(cuda, device.put(x), *device.put_all(*parameters), return_stats=True)
    y, *statistics = device.get_all(results)
    exact, *others = call.exact(x, *parameters)
    assert y.dtype == x.dtype
    assert_exact(y, exact)
    for found, wanted in zip(statistics, others, strict=True):
        assert found.dtype == np.float64
        spread = x.astype(np.float64).std()  # a mean near 0 is as exact as its numbers allow
        assert_within(found, wanted, 1e-6 * np.maximum(np.abs(wanted), spread))


@pytest.mark.small
@each_call
def test_the_result_is_as_exact_as_promised(call: Call, dtype: np.dtype, device: Device) -> None:
    check(device, call, sample(call, dtype))


@each_call
@pytest.mark.parametrize(("mean", "std"), [(1e4, 1), (-1e6, 1), (100, 1e-3), (0, 1e-3)])
def test_digits_are_kept_far_from_zero(call: Call, mean: float, std: float, device: Device) -> None:
    check(device, call, sample(call, np.float32, mean, std))


LENGTHS = [1, 2, 3, 7, 8, 31, 33, 63, 64, 65, 127, 129, 255, 256, 257, 511, 513, 1000, 1023, 1025]
LENGTHS += [2047, 2049, 4096, 4097, 8191, 8193, 16385, 32767, 32769, 65537, 131_073, 262_147]


@pytest.mark.parametrize("n", LENGTHS)
def test_rows_of_every_length(n: int, dtype: np.dtype, device: Device) -> None:
    x = drawn((3, n), dtype)
    weight, bias = drawn((n,), np.float32, 1, 0.3), drawn((n,), np.float32, 0, 1)
    w, b = device.put_all(weight, bias)
    y = cuda.layer_norm(device.put(x), weight=w, bias=b)
    assert_promised(device.get(y), ref.layer_norm(x, -1, weight, bias))
    y = cuda.rms_norm(device.put(x), weight=w, eps=1e-6)
    assert_promised(device.get(y), ref.rms_norm(x, -1, weight, 1e-6))


@pytest.mark.parametrize("c", [1, 2, 3, 8, 31, 32, 33, 64, 100, 257])
def test_any_number_of_channels_last(c: int, dtype: np.dtype, device: Device) -> None:
    x = drawn((3, 5, 7, c), dtype)
    y = cuda.batch_norm(device.put(x), None, None, training=True, channel_axis=-1)
    assert_promised(device.get(y), ref.batch_norm(x, channel_axis=-1))


def test_float64_is_computed_in_float64_or_refused(device: Device) -> None:
    x = drawn((5, 77), np.float64)
    try:
        y = device.get(cuda.layer_norm(device.put(x)))
    except TypeError:
        with pytest.raises(TypeError, match=r"^layer_norm: x .*float64"):
            cuda.layer_norm(device.put(x))
    else:
        assert_promised(y, ref.layer_norm(x))


@pytest.mark.parametrize("axis", [None, 0, -1, (0, 1)])
@pytest.mark.parametrize("keepdims", [False, True])
def test_mean_and_variance(axis: Any, keepdims: bool, dtype: np.dtype, device: Device) -> None:
    x = drawn((67, 45), dtype, 50, 1)
    found = device.get_all(cuda.mean_var(device.put(x), axis, keepdims=keepdims, correction=1))
    exact = [part.astype(np.float64) for part in ref.mean_var(x, axis, 1)]
    assert [part.shape for part in found] == [x.mean(axis=axis, keepdims=keepdims).shape] * 2
    assert_stats(tuple(part.reshape(e.shape) for part, e in zip(found, exact, strict=True)), *exact)


def test_a_constant_row_is_exactly_the_bias(device: Device) -> None:
    x, bias = np.full((3, 1234), 0.1, np.float32), drawn((1234,), np.float32)
    y = cuda.layer_norm(device.put(x), bias=device.put(bias), eps=0.0)
    assert_same_bits(device.get(y), np.broadcast_to(bias, x.shape))


@pytest.mark.parametrize("scale", [1e20, 1e30, 1e-20, 1e-25, 1e-40])
def test_any_finite_magnitude(scale: float, device: Device) -> None:
    x = drawn((3, 777), np.float64, 0, 1) * scale
    x = x.astype(np.float32)
    eps = 0.0 if scale < 1 else 1e-5
    y = device.get(cuda.layer_norm(device.put(x), eps=eps))
    assert_promised(y, ref.layer_norm(x, eps=eps))


@pytest.mark.small
def test_nan_and_inf_stay_in_their_own_row(device: Device) -> None:
    x = drawn((5, 777), np.float32)
    clean = device.get(cuda.layer_norm(device.put(x)))
    x[1, 776], x[3, 0] = np.nan, np.inf
    y = device.get(cuda.layer_norm(device.put(x)))
    assert np.isnan(y[1]).all()
    assert not np.isfinite(y[3]).all()
    assert_same_bits(y[::2], clean[::2])


# --- what is fused


@pytest.mark.small
@pytest.mark.parametrize("name", ["layer_norm", "rms_norm"])
def test_a_residual_is_added_before_the_statistics(
    name: str, dtype: np.dtype, device: Device
) -> None:
    x, residual = drawn((7, 777), dtype), drawn((7, 777), dtype, -1, 1)[::-1].copy()
    weight = drawn((777,), np.float32, 1, 0.3)
    y, total = getattr(cuda, name)(
        *device.put_all(x), weight=device.put(weight), residual=device.put(residual), eps=1e-5
    )
    wide = x.astype(np.float32) + residual.astype(np.float32)  # as it is computed
    assert_promised(device.get(y).astype(dtype), getattr(ref, name)(wide, -1, weight, eps=1e-5))
    assert_same_bits(device.get(total), wide.astype(dtype))


@pytest.mark.small
@pytest.mark.parametrize("activation", ["relu", "gelu", "gelu_tanh", "silu"])
def test_activations_are_applied_last(activation: str, device: Device) -> None:
    x, weight = drawn((7, 777), np.float32), drawn((777,), np.float32)
    plain = cuda.layer_norm(*device.put_all(x), weight=device.put(weight))
    y = cuda.layer_norm(*device.put_all(x), weight=device.put(weight), activation=activation)
    functions = {
        "relu": device.torch.nn.functional.relu,
        "gelu": device.torch.nn.functional.gelu,
        "gelu_tanh": lambda z: device.torch.nn.functional.gelu(z, approximate="tanh"),
        "silu": device.torch.nn.functional.silu,
    }
    exact = device.get(functions[activation](plain.double()))
    assert_within(device.get(y), exact, 5e-7 * np.maximum(1, np.abs(exact)))


@pytest.mark.small
def test_what_is_added_comes_before_the_activation(device: Device, dtype: np.dtype) -> None:
    x, shortcut = drawn((3, 12, 7, 9), dtype), drawn((3, 12, 7, 9), dtype, 0, 3)[::-1].copy()
    for y in (
        cuda.batch_norm(device.put(x), None, None, training=True, add=device.put(shortcut)),
        cuda.batch_norm(
            *(device.put(x), None, None),
            training=True,
            add=device.put(shortcut),
            activation="relu",
        ),
    ):
        exact = ref.batch_norm(x).y + shortcut
        kept = np.where(device.get(y) == 0, np.maximum(exact, 0), exact)
        tolerance = 3e-6 * np.maximum(1, np.abs(exact)) + rounding(exact, dtype)
        assert_within(device.get(y), kept, tolerance)


@pytest.mark.small
def test_the_offset_is_added_to_the_weight(device: Device) -> None:
    x, weight = drawn((7, 777), np.float32), drawn((777,), np.float16, 0, 0.1)
    y = cuda.rms_norm(device.put(x), weight=device.put(weight), weight_offset=1.0)
    assert_promised(device.get(y), ref.rms_norm(x, -1, weight.astype(np.float32) + np.float32(1)))


def test_the_dtypes_of_x_of_parameters_and_of_the_result_are_independent(
    dtype: np.dtype, device: Device
) -> None:
    x = drawn((7, 777), dtype)
    exact = ref.layer_norm(x)
    for kind in ("float32", "float16", "bfloat16"):
        y = cuda.layer_norm(device.put(x), dtype=kind)
        assert_promised(device.get(y), exact)
        same = cuda.layer_norm(device.put(x), dtype=getattr(device.torch, kind))
        assert_same_bits(device.get(y), device.get(same))
        weight = drawn((777,), np.dtype(kind), 1, 0.3)
        y = cuda.layer_norm(device.put(x), weight=device.put(weight))
        assert_promised(device.get(y), ref.layer_norm(x, -1, weight.astype(np.float64)))


# --- running statistics


@pytest.mark.small
@pytest.mark.parametrize("axis", [1, -1])
@pytest.mark.parametrize("momentum", [0.1, None])
def test_running_statistics_are_torchs(axis: int, momentum: float | None, device: Device) -> None:
    module = device.torch.nn.BatchNorm2d(6, momentum=momentum, dtype=device.torch.float64)
    mean, var = device.put_all(np.zeros(6, np.float32), np.ones(6, np.float32))
    count = device.put(np.array(0))
    for step in range(3):
        x = drawn((4, 6, 5, 7), np.float32, step, 2)
        module(device.torch.from_numpy(x).double())
        there = np.ascontiguousarray(np.moveaxis(x, 1, axis))
        cuda.batch_norm(
            *(device.put(there), mean, var),
            training=True,
            momentum=momentum,
            channel_axis=axis,
            num_batches_tracked=count,
        )
    np.testing.assert_allclose(device.get(mean), module.running_mean.numpy(), rtol=2e-6)
    np.testing.assert_allclose(device.get(var), module.running_var.numpy(), rtol=2e-6)
    assert int(count) == 3


def test_an_empty_batch_leaves_running_statistics_alone(device: Device) -> None:
    mean, var = device.put_all(np.zeros(6, np.float32), np.ones(6, np.float32))
    y = cuda.batch_norm(device.put(np.empty((0, 6, 4), np.float32)), mean, var, training=True)
    assert y.shape == (0, 6, 4)
    assert not mean.any()
    assert (var == 1).all()


# --- bits


@pytest.mark.small
@each_call
def test_two_runs_give_the_same_bits(call: Call, dtype: np.dtype, device: Device) -> None:
    x, parameters = device.put(sample(call, dtype)), device.put_all(*call.draw())
    once, twice = (call.run(cuda, x, *parameters, return_stats=True) for _ in range(2))
    for one, other in zip(device.get_all(once), device.get_all(twice), strict=True):
        assert_same_bits(one, other)


BY_SAMPLE = ("layer_norm", "rms_norm", "instance_norm", "group_norm")


@pytest.mark.parametrize(
    "call", [c for c in CALLS if c.name.startswith(BY_SAMPLE) and c.shape[0] > 1], ids=str
)
def test_a_sample_has_the_same_bits_in_any_batch(call: Call, device: Device) -> None:
    x, parameters = device.put(sample(call, np.float32)), device.put_all(*call.draw())
    whole = call.run(cuda, x, *parameters)
    for start, stop in ((0, 1), (1, 3), (x.shape[0] - 1, x.shape[0])):
        part = call.run(cuda, x[start:stop].clone(), *parameters)
        assert_same_bits(device.get(part), device.get(whole[start:stop]))


def test_a_row_has_the_same_bits_in_a_batch_that_fills_the_gpu(device: Device) -> None:
    x = device.put(drawn((5000 if not device.emulated else 50, 257), np.float32))
    whole = device.get(cuda.layer_norm(x))
    for row in (0, 17, len(whole) - 1):
        assert_same_bits(device.get(cuda.layer_norm(x[row : row + 1].clone()))[0], whole[row])
