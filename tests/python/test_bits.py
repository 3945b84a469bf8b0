"""Promise 2: the same bits for any threads, instruction set, batch, place in memory, and run."""

import math
from collections.abc import Callable
from typing import Any

import layouts
import ml_dtypes
import numpy as np
import pytest
from cases import CASES, NORMALISING, VALUES, Case, far_from_zero, parameters, with_spikes
from helpers import assert_all_same_bits, assert_same_bits
from numpy.typing import NDArray

import normfast as nf
from normfast import _core

Array = NDArray[Any]
Values = Callable[..., Array]

each_case = pytest.mark.parametrize("case", CASES, ids=str)
each_normalising = pytest.mark.parametrize("case", NORMALISING, ids=str)
each_values = pytest.mark.parametrize("values", VALUES)


@each_values
@each_case
def test_any_number_of_threads_gives_the_same_bits(
    case: Case, values: Values, dtype: np.dtype
) -> None:
    x = values(case.shape, dtype)
    alone = case.call(x, num_threads=1)
    for threads in (2, 3, 7):
        assert_all_same_bits(case.call(x, num_threads=threads), alone)


@each_values
@each_case
@pytest.mark.usefixtures("vector_isa")
def test_every_instruction_set_gives_the_same_bits(
    case: Case, values: Values, dtype: np.dtype
) -> None:
    x = values(case.shape, dtype)
    vectorised = case.call(x)
    _core.use_isa("scalar")
    assert_all_same_bits(vectorised, case.call(x))


@pytest.mark.parametrize(
    "n", [1, 2, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 97, 500, 513, 1025, 5000]
)
@pytest.mark.usefixtures("vector_isa")
def test_every_length_gives_the_same_bits_on_every_instruction_set(n: int, dtype: np.dtype) -> None:
    def everything() -> tuple[Array, ...]:
        x = far_from_zero((37, n), dtype)
        weight, bias = parameters(n)
        return (
            *nf.layer_norm(x, n, weight, bias, return_stats=True),
            *nf.layer_norm(x, axis=0, return_stats=True),
            *nf.rms_norm(x, return_stats=True),
            *nf.normalize(x, 1, return_stats=True),
            *nf.batch_norm(x.reshape(37, n, 1), bias, weight, return_stats=True),
            *nf.mean_var(x, None),
        )

    vectorised = everything()
    _core.use_isa("scalar")
    assert_all_same_bits(vectorised, everything())


@pytest.mark.parametrize("shape", [(9, 33), (9, 97), (9, 768), (8192, 1024)], ids=str)
@pytest.mark.usefixtures("vector_isa")
def test_bfloat16_results_below_its_normal_numbers_are_rounded_as_all_others(
    shape: tuple[int, int], rng: np.random.Generator
) -> None:
    x = rng.standard_normal(shape).astype(ml_dtypes.bfloat16)
    weight = np.resize(np.float32([2.0**-130, 1, 0, 2.0**-127, -(2.0**-133)]), shape[1])
    rounded = nf.layer_norm(x, shape[1], weight)
    whole = nf.layer_norm(x, shape[1], weight, dtype=np.float32)
    assert np.any((rounded != 0) & (np.abs(rounded.astype(np.float32)) < 2.0**-126))
    assert_same_bits(rounded, whole.astype(ml_dtypes.bfloat16))


@each_case
def test_every_run_gives_the_same_bits(case: Case, dtype: np.dtype) -> None:
    x = with_spikes(case.shape, dtype)
    first = case.call(x)
    for _ in range(3):
        assert_all_same_bits(case.call(x.copy()), first)


@each_normalising
def test_in_place_gives_the_same_bits(case: Case, dtype: np.dtype) -> None:
    x = with_spikes(case.shape, dtype)
    apart = case.call(x)
    together = case.call(x, out=x)
    assert together[0] is x
    assert_all_same_bits(together, apart)


@pytest.mark.parametrize("start", [1, 4, 8, 28])
@each_case
def test_any_alignment_gives_the_same_bits(case: Case, start: int, dtype: np.dtype) -> None:
    x = with_spikes(case.shape, dtype)
    expected = case.call(x)
    assert_all_same_bits(case.call(layouts.byte_offset(x, start)), expected)
    if case in NORMALISING:
        out = layouts.byte_offset(np.empty_like(x), start)
        assert_all_same_bits(case.call(x, out=out), expected)


@pytest.mark.parametrize("layout", layouts.SAME_ORDER)
@each_case
def test_a_strided_view_gives_the_bits_of_its_copy(
    case: Case, layout: Callable[[Array], Array], dtype: np.dtype
) -> None:
    x = with_spikes(case.shape, dtype)
    assert_all_same_bits(case.call(layout(x)), case.call(x))


# A row must not feel its company. `kept` is the axis along which rows are independent.
ROWS_IN_A_BATCH: dict[str, tuple[tuple[int, ...], int, Callable[[Array], Array]]] = {
    "layer_norm of rows": ((531, 777), 0, nf.layer_norm),
    "layer_norm of short rows": ((4001, 5), 0, nf.layer_norm),
    "layer_norm of long rows": ((7, 100_003), 0, nf.layer_norm),
    "layer_norm of columns in each image": ((41, 67, 35, 3), 0, lambda x: nf.layer_norm(x, axis=1)),
    "layer_norm of images": ((41, 67, 35, 3), 0, lambda x: nf.layer_norm(x, axis=(1, 2, 3))),
    "rms_norm of rows": ((531, 777), 0, nf.rms_norm),
    "rms_norm of columns in each image": ((41, 67, 35), 0, lambda x: nf.rms_norm(x, axis=1)),
    "instance_norm channels first": ((41, 12, 35, 33), 0, nf.instance_norm),
    "instance_norm channels last": (
        (41, 35, 33, 12),
        0,
        lambda x: nf.instance_norm(x, channel_axis=-1),
    ),
    "instance_norm of planes of 49": ((99, 130, 7, 7), 0, nf.instance_norm),
    "group_norm channels first": ((41, 12, 35, 33), 0, lambda x: nf.group_norm(x, 4)),
    "group_norm channels last": (
        (41, 35, 33, 12),
        0,
        lambda x: nf.group_norm(x, 4, channel_axis=-1),
    ),
    "group_norm of planes of 49": ((99, 130, 7, 7), 0, lambda x: nf.group_norm(x, 26)),
    "group_norm of (N, C)": ((999, 130), 0, lambda x: nf.group_norm(x, 26)),
    "normalize rows": ((531, 777), 0, nf.normalize),
    "normalize columns in each image": ((41, 67, 35), 0, nf.normalize),
    "weight_norm": ((531, 77, 9), 0, lambda x: nf.weight_norm(x, np.ones(len(x)))),
    "standardize rows": ((531, 777), 0, lambda x: nf.standardize(x, axis=1)),
    "evaluation": ((41, 12, 35, 33), 0, lambda x: nf.batch_norm(x, np.ones(12), np.full(12, 3.0))),
}


@pytest.mark.parametrize("name", ROWS_IN_A_BATCH)
def test_a_row_has_the_same_bits_alone_and_anywhere_in_a_batch(name: str, dtype: np.dtype) -> None:
    shape, _, call = ROWS_IN_A_BATCH[name]
    x = with_spikes(shape, dtype)
    whole = call(x)
    for i in (0, 1, len(x) // 2, len(x) - 1):
        assert_same_bits(call(x[i : i + 1]), whole[i : i + 1])
    for start, stop in ((0, 2), (1, 4), (3, len(x)), (len(x) - 5, len(x))):
        assert_same_bits(call(x[start:stop]), whole[start:stop])
    shuffled = np.random.default_rng(0).permutation(len(x))
    assert_same_bits(call(x[shuffled]), whole[shuffled])


@pytest.mark.parametrize("n", [*range(1, 36), 63, 64, 65, 95, 96, 97, 127, 128, 129, 513, 1025])
def test_a_row_of_any_length_has_the_same_bits_alone(n: int, dtype: np.dtype) -> None:
    x = with_spikes((203, n), dtype)
    for call in (nf.layer_norm, nf.rms_norm, nf.normalize, lambda x: nf.mean_var(x, 1)[1]):
        whole = call(x)
        for start, stop in ((0, 1), (101, 102), (202, 203), (3, 20), (1, 203)):
            assert_same_bits(call(x[start:stop]), whole[start:stop])
        assert_same_bits(call(x[::3]), whole[::3])
        assert_same_bits(call(x[::-1]), whole[::-1])
        assert_same_bits(call(np.pad(x, ((0, 0), (2, 1)))[:, 2 : n + 2]), whole)


# Rows are taken several at a time: other kernels for each range, other pairs for each batch.
@pytest.mark.parametrize("lengths", [range(2, 32), range(32, 97), range(97, 201)], ids=str)
@pytest.mark.parametrize("name", ["float32", "float64", "float16"])
def test_a_row_has_the_same_bits_in_a_batch_of_any_size(lengths: range, name: str) -> None:
    for n in lengths:
        x = far_from_zero((33, n), np.dtype("float64"))
        x = (x - 9999).astype(name) if name == "float16" else x.astype(name)
        x[7] *= 100
        weight, bias = parameters(n)
        calls: list[Callable[[Array], tuple[Array, ...]]] = [
            lambda x, w=weight, b=bias: nf.layer_norm(x, None, w, b, return_stats=True),
            lambda x, w=weight: nf.rms_norm(x, None, w, return_stats=True),
            lambda x, b=bias: (nf.layer_norm(x, None, None, b),),
            lambda x: (nf.layer_norm(x), *nf.mean_var(x, 1, keepdims=True)),
        ]
        for call in calls:
            rows = [call(x[i : i + 1]) for i in range(len(x))]
            alone = tuple(np.concatenate(parts) for parts in zip(*rows, strict=True))
            for batch in (2, 3, 31, 32, 33):
                assert_all_same_bits(call(x[:batch]), tuple(a[:batch] for a in alone))
                assert_all_same_bits(call(x[-batch:]), tuple(a[-batch:] for a in alone))


def test_more_leading_dimensions_do_not_change_a_row(dtype: np.dtype) -> None:
    x = far_from_zero((30, 1003), dtype)
    flat = nf.layer_norm(x)
    assert_same_bits(nf.layer_norm(x.reshape(2, 3, 5, 1003)), flat.reshape(2, 3, 5, 1003))
    assert_same_bits(nf.layer_norm(x[:, None, None]), flat[:, None, None])


def test_a_mean_over_rows_does_not_depend_on_how_many_there_are(dtype: np.dtype) -> None:
    x = with_spikes((531, 777), dtype)
    mean, var = nf.mean_var(x, 1)
    for i in (0, 17, 530):
        assert_same_bits(nf.mean_var(x[i]), (mean[i], var[i]))


# Fewer than 16 channels are summed several rows at once, in another order.
@pytest.mark.parametrize("window", [slice(0, 64), slice(3, 37), slice(5, 22), slice(0, 70, 2)])
def test_slicing_channels_before_or_after_gives_the_same_bits(
    window: slice, dtype: np.dtype
) -> None:
    x = with_spikes((9, 31, 33, 70), dtype)
    whole = nf.batch_norm(x, None, None, training=True, channel_axis=-1, return_stats=True)
    for part in (x[..., window], x[..., window].copy()):
        sliced = nf.batch_norm(part, None, None, training=True, channel_axis=-1, return_stats=True)
        assert_all_same_bits(sliced, tuple(a[..., window] for a in whole))


@pytest.mark.parametrize("name", ["batch", "features", "evaluation"])
def test_asking_for_statistics_changes_nothing(name: str, dtype: np.dtype) -> None:
    x = far_from_zero((67, 70, 49), dtype)
    training = name != "evaluation"
    x = x.reshape(-1, 70) if name == "features" else x
    mean, var = np.zeros(70), np.ones(70)
    y, *_ = nf.batch_norm(x, mean.copy(), var.copy(), training=training, return_stats=True)
    assert_same_bits(nf.batch_norm(x, mean, var, training=training), y)


@pytest.mark.parametrize("name", ["float32", "float64", "float16"])
@pytest.mark.parametrize("threads", [1, 2])
def test_results_larger_than_the_cache_have_the_bits_of_those_in_place(
    name: str, threads: int
) -> None:
    """They are written past the cache, but never in place."""
    unit = np.dtype(name).itemsize
    size = (_core.info()["caches"]["L3"] or 2**25) // (2 * unit) + 2**17
    if size * unit > 2**28:
        pytest.skip("this processor's last cache holds more than 256 MiB")
    x = np.resize(np.arange(10007) % 613 - 300, size).astype(name)
    memory = np.zeros(size + 1, name)
    for shape in ((size // 771, 771), (size // 392, 8, 49), (1, size // 49, 49)):
        for axis in (-1, 0, (0, 2)[: len(shape) - 1]):
            data = x[: np.prod(shape)].reshape(shape)
            out = memory[1 : 1 + data.size].reshape(shape)  # no multiple of a vector
            nf.layer_norm(data, axis=axis, out=out, num_threads=threads)
            expected = data.copy()
            nf.layer_norm(expected, axis=axis, out=expected, num_threads=threads)
            assert_same_bits(out, expected)
    assert memory[0] == 0


FUSED: dict[str, tuple[bool, str | None]] = {
    "residual": (True, None),
    "activation": (False, "relu"),
    "both": (True, "silu"),
}


@pytest.mark.parametrize("fused", FUSED)
@pytest.mark.parametrize("name", ["float32", "float64", "float16", "bfloat16"])
def test_fused_results_larger_than_the_cache_have_their_bits_from_any_byte_on(
    name: str, fused: str
) -> None:
    """The sum with a residual is written past the cache as well, by whole lines."""
    dtype = np.dtype(ml_dtypes.bfloat16 if name == "bfloat16" else name)
    size = (_core.info()["caches"]["L3"] or 2**25) // (2 * dtype.itemsize) + 2**17
    if size * dtype.itemsize > 2**28:
        pytest.skip("this processor's last cache holds more than 256 MiB")
    values = (np.arange(size) % 613 - 300).astype(dtype)
    adds, activation = FUSED[fused]

    def run(x: Array, axis: int, y: Array, total: Array) -> tuple[Array, ...]:
        """With another x as residual, the sum in `total`."""
        weight, bias = parameters(x.shape[axis])
        common = {"axis": axis, "activation": activation}
        if not adds:
            return (nf.layer_norm(x, None, weight, bias, out=y, **common),)
        residual = values[-x.size :].reshape(x.shape)
        return nf.layer_norm(x, None, weight, bias, residual=residual, out=(y, total), **common)

    unsigned = f"u{dtype.itemsize}"
    for shape, axis in (((size // 771, 771), 1), ((size // 771, 771), 0), ((size // 49, 49), 1)):
        x = values[: math.prod(shape)].reshape(shape)
        in_place = x.copy()
        expected = run(in_place, axis, in_place, np.empty_like(x))
        for start, other in ((1, 32), (4, 1), (16, 60), (18, 34), (36, 16), (60, 4)):
            y = layouts.byte_offset(np.empty_like(x), start)
            total = layouts.byte_offset(np.empty_like(x), other)
            for actual, wanted in zip(run(x, axis, y, total), expected, strict=True):
                assert np.array_equal(actual.view(unsigned), wanted.view(unsigned)), (start, other)
