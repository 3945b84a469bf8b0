"""What a type checker says of a user's code is what it is when the code runs.

`mypy --strict` checks this file as a user's, and pytest runs it. Every public name is used.
"""

from typing import TYPE_CHECKING, Any, TypeAlias, assert_type

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

import normfast as nf
from normfast import nn
from normfast import onnx as nfo

Single: TypeAlias = NDArray[np.float32]
Double: TypeAlias = NDArray[np.float64]

X: Single = np.random.default_rng(0).standard_normal((4, 6, 5, 5), dtype=np.float32)
ROWS: Single = X.reshape(4, 150)
C = np.ones(6)


def test_the_dtype_of_x_is_that_of_the_result() -> None:
    mean, var, count = np.zeros(6), np.ones(6), np.zeros((), np.int64)
    layer = nf.layer_norm(X, (5, 5), axis=None, activation="gelu")
    rms = nf.rms_norm(X, axis=(1, -1), eps=1e-6, weight_offset=1)
    batch = nf.batch_norm(X, mean, var, C, C, True, None, num_batches_tracked=count, add=X)
    instance = nf.instance_norm(X, weight=C, where=X > 0, channel_axis=1)
    group = nf.group_norm(X, 2, C, C, add=X, activation="relu")
    unit = nf.normalize(X, 1, axis=(2, 3))
    weight = nf.weight_norm(ROWS, np.ones(4), out=np.empty_like(ROWS))
    scores = nf.standardize(ROWS, None, correction=1, sample_weight=np.ones(150), num_threads=1)
    assert_type(layer, Single)
    assert_type(rms, Single)
    assert_type(batch, Single)
    assert_type(instance, Single)
    assert_type(group, Single)
    assert_type(unit, Single)
    assert_type(weight, Single)
    assert_type(scores, Single)
    for y in (layer, rms, batch, instance, group, unit, weight, scores):
        assert y.dtype == np.float32

    double = nf.layer_norm(X.astype(np.float64))
    assert_type(double, Double)
    assert double.dtype == np.float64
    half = nf.layer_norm(X.astype(np.float16), out=np.empty(X.shape, np.float16))
    assert_type(half, NDArray[np.float16])
    assert half.dtype == np.float16


def test_statistics_are_of_float64() -> None:
    layer = nf.layer_norm(X, return_stats=True)
    rms = nf.rms_norm(X, return_stats=True)
    batch = nf.batch_norm(X, None, None, training=True, return_stats=True)
    instance = nf.instance_norm(X, return_stats=True)
    group = nf.group_norm(X, 3, return_stats=True)
    unit = nf.normalize(X, return_stats=True)
    weight = nf.weight_norm(ROWS, np.ones(4), return_stats=True)
    scores = nf.standardize(ROWS, return_stats=True)
    assert_type(layer, tuple[Single, Double, Double])
    assert_type(rms, tuple[Single, Double])
    assert_type(batch, tuple[Single, Double, Double])
    assert_type(instance, tuple[Single, Double, Double])
    assert_type(group, tuple[Single, Double, Double])
    assert_type(unit, tuple[Single, Double])
    assert_type(weight, tuple[Single, Double])
    assert_type(scores, tuple[Single, Double, Double])
    results: tuple[tuple[NDArray[Any], ...], ...] = (layer, rms, batch, instance, group, unit)
    for y, *statistics in (*results, weight, scores):
        assert y.dtype == np.float32
        assert [s.dtype for s in statistics] == [np.dtype(np.float64)] * len(statistics)


def test_a_residual_adds_the_sum() -> None:
    two = nf.layer_norm(X, residual=X)
    three = nf.rms_norm(X, residual=X, return_stats=True, out=(X.copy(), X.copy()))
    four = nf.layer_norm(X, residual=X, return_stats=True)
    assert_type(two, tuple[NDArray[Any], NDArray[Any]])
    assert_type(three, tuple[NDArray[Any], NDArray[Any], Double])
    assert_type(four, tuple[NDArray[Any], NDArray[Any], Double, Double])
    assert (len(two), len(three), len(four)) == (2, 3, 4)


def test_moments_of_all_axes_are_numbers() -> None:
    numbers = nf.mean_var(X)
    kept = nf.mean_var(X, axis=(0, 2), keepdims=True, where=X > 0)
    assert_type(numbers, tuple[np.float64, np.float64])
    assert_type(kept, tuple[Double, Double])
    assert [type(n) for n in numbers] == [np.float64, np.float64]
    assert [k.shape for k in kept] == [(1, 6, 1, 5)] * 2


def test_a_dtype_that_is_asked_for_is_known_at_run_time_alone() -> None:
    y: NDArray[np.float16] = nf.layer_norm(X, dtype=np.float16)
    assert y.dtype == np.float16
    z: NDArray[Any] = nf.layer_norm(X.astype(ml_dtypes.bfloat16))
    assert z.dtype == ml_dtypes.bfloat16


def test_arrays_of_others_are_taken() -> None:
    memory: NDArray[Any] = nf.standardize(bytearray(range(6)))
    assert memory.shape == (6,)


def test_images_and_layers() -> None:
    images = nf.normalize_image(np.zeros((2, 4, 4, 3), np.uint8), [0.5, 0.4, 0.3], 0.25)
    cosines = nf.cosine_linear(ROWS, np.ones((2, 150)), np.zeros(2), scale=8)
    folded = nf.fold_batch_norm(np.ones((6, 3)), None, running_mean=C, running_var=C, bn_weight=C)
    before = nf.keep_buffers(nf.keep_buffers(1 << 20))
    assert_type(images, NDArray[Any])
    assert_type(cosines, NDArray[Any])
    assert_type(folded, tuple[NDArray[Any], NDArray[Any]])
    assert_type(before, int)
    assert_type(nf.__version__, str)
    assert_type(nf.get_include(), str)
    assert images.shape == (2, 3, 4, 4)
    assert cosines.shape == (4, 2)
    assert [a.shape for a in folded] == [(6, 3), (6,)]


def test_modules() -> None:
    norms: list[nn.Module] = [
        nn.BatchNorm(6),
        nn.BatchNorm1d(6, momentum=None),
        nn.BatchNorm2d(6, dtype=np.float16),
        nn.BatchNorm3d(6, affine=False),
        nn.InstanceNorm(6, track_running_stats=True),
        nn.InstanceNorm1d(6),
        nn.InstanceNorm2d(6),
        nn.InstanceNorm3d(6),
        nn.GroupNorm(2, 6),
        nn.LayerNorm(5, bias=False),
        nn.RMSNorm((5, 5), eps=None),
        nn.WeightNorm((4, 6), channel_axis=0),
        nn.CosineLinear(150, 2),
    ]
    for norm in norms:
        state = norm.state_dict(prefix="norm.")
        assert_type(state, dict[str, NDArray[Any]])
        keys = norm.eval().load_state_dict(state, prefix="norm.")
        assert_type(keys, nn.IncompatibleKeys)
        assert keys.missing_keys == []
    batch = nn.BatchNorm2d(6).train()
    assert_type(batch, nn.BatchNorm2d)
    y: Single = batch(X, activation="silu", where=X > 0)
    assert y.dtype == np.float32


def test_operators() -> None:
    one, zero = np.ones(6, np.float32), np.zeros(6, np.float32)
    inference = nfo.BatchNormalization(X, one, zero, zero, one)
    training = nfo.BatchNormalization(X, one, zero, zero, one, training_mode=1)
    layer = nfo.LayerNormalization(X, np.ones(5, np.float32))
    assert_type(inference, tuple[NDArray[Any]])
    assert_type(training, tuple[NDArray[Any], NDArray[Any], NDArray[Any]])
    assert_type(layer, tuple[NDArray[Any], NDArray[Any], NDArray[Any]])
    assert (len(inference), len(training), len(layer)) == (1, 3, 3)
    for (y,) in (
        nfo.RMSNormalization(X, np.ones(5, np.float32)),
        nfo.GroupNormalization(X, one, zero, num_groups=2),
        nfo.GroupNormalization_18(X, one[:2], zero[:2], num_groups=2),
        nfo.InstanceNormalization(X, one, zero),
        nfo.MeanVarianceNormalization(X),
        nfo.LpNormalization(X, p=1),
    ):
        assert_type(y, NDArray[Any])
        assert y.shape == X.shape


if TYPE_CHECKING:
    # What is wrong is refused: without an error in a line, its comment would be one.
    nf.layer_norm([1.0, 2.0])  # type: ignore[call-overload]
    nf.layer_norm(X, activation="tanh")  # type: ignore[call-overload]
    nf.layer_norm(X, return_stats="yes")  # type: ignore[call-overload]
    nf.batch_norm(X)  # type: ignore[call-overload]
    nf.group_norm(X, 2, groups=2)  # type: ignore[call-overload]
    nn.LayerNorm(5)(X, add=X)  # type: ignore[call-arg]
    mean: float = nf.mean_var(X)  # type: ignore[assignment]
