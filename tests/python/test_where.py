"""where= and sample_weight=: what counts in the statistics, in every operation that has them."""

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import cases
import layouts
import numpy as np
import pytest
import reference as ref
from cases import parameters
from helpers import (
    PROMISE,
    assert_all_same_bits,
    assert_promised,
    assert_relative,
    assert_same_bits,
    assert_stats,
    assert_within,
    make,
)
from numpy.typing import NDArray
from refusals import OPERATIONS, WITH_BUFFERS, check, each_not_array, good

import normfast as nf
from normfast import _core

Array = NDArray[Any]


@dataclass(frozen=True)
class Form:
    """An operation in one inner form: `call` returns y and its statistics first."""

    name: str
    shape: tuple[int, ...]
    call: Callable[..., tuple[Array, ...]]
    expected: Callable[[Array, Array], ref.Expected]

    def __str__(self) -> str:
        return self.name

    def check(self, x: Array, results: tuple[Array, ...], w: Array) -> None:
        expected = self.expected(x, w)
        assert_promised(results[0], expected)
        exact = (expected.rstd,) if "rms_norm" in self.name else (expected.mean, expected.rstd)
        assert_stats(results[1 : 1 + len(exact)], *exact)


def layer_norm(name: str, shape: tuple[int, ...], *axes: int) -> Form:
    def expected(x: Array, w: Array) -> ref.Expected:
        return ref.layer_norm(x, axes, *parameters(*(x.shape[a] for a in axes)), w=w)

    return Form(f"layer_norm {name}", shape, cases.layer_norm(*axes), expected)


def rms_norm(name: str, shape: tuple[int, ...], axis: int) -> Form:
    def expected(x: Array, w: Array) -> ref.Expected:
        return ref.rms_norm(x, axis, parameters(x.shape[axis])[0], w=w)

    return Form(f"rms_norm {name}", shape, cases.rms_norm(axis), expected)


def batch_norm(name: str, shape: tuple[int, ...], axis: int) -> Form:
    def expected(x: Array, w: Array) -> ref.Expected:
        return ref.batch_norm(x, *parameters(x.shape[axis]), channel_axis=axis, w=w)

    return Form(f"batch_norm {name}", shape, cases.batch_norm(axis), expected)


def instance_norm(name: str, shape: tuple[int, ...], axis: int) -> Form:
    def expected(x: Array, w: Array) -> ref.Expected:
        return ref.instance_norm(x, *parameters(x.shape[axis]), channel_axis=axis, w=w)

    return Form(f"instance_norm {name}", shape, cases.instance_norm(axis), expected)


def group_norm(name: str, shape: tuple[int, ...], groups: int, axis: int) -> Form:
    def expected(x: Array, w: Array) -> ref.Expected:
        return ref.group_norm(x, groups, *parameters(x.shape[axis]), channel_axis=axis, w=w)

    return Form(f"group_norm {name}", shape, cases.group_norm(groups, axis), expected)


def standardize(name: str, shape: tuple[int, ...], axis: int) -> Form:
    def expected(x: Array, w: Array) -> ref.Expected:
        y, mean, std = ref.standardize(x, axis, w=w)
        return ref.Expected(y, np.ones(1), np.zeros(1), mean, std * std, std, False)

    return Form(f"standardize {name}", shape, cases.standardize(axis), expected)


FORMS = [
    layer_norm("rows", (5, 1003), -1),
    layer_norm("short rows", (40, 9), -1),
    layer_norm("long rows", (2, 20_003), -1),
    layer_norm("columns", (2503, 19), 0),
    layer_norm("middle axis", (3, 67, 5), 1),
    layer_norm("outer and inner axes", (3, 7, 5, 11), 1, 3),
    rms_norm("rows", (5, 1003), -1),
    rms_norm("columns", (2503, 19), 0),
    batch_norm("planes of 49", (9, 5, 7, 7), 1),
    batch_norm("many planes of 9", (1100, 2, 3, 3), 1),
    batch_norm("large planes", (3, 5, 31, 33), 1),
    batch_norm("channels last", (9, 11, 13, 37), -1),
    batch_norm("three channels last", (5, 31, 29, 3), -1),
    batch_norm("features", (131, 37), 1),
    instance_norm("channels first", (3, 5, 13, 17), 1),
    instance_norm("planes of 49", (9, 5, 7, 7), 1),
    instance_norm("channels last", (3, 13, 17, 5), -1),
    group_norm("channels first", (3, 6, 13, 17), 2, 1),
    group_norm("planes of 49", (9, 6, 7, 7), 3, 1),
    group_norm("channels last", (3, 13, 17, 6), 2, -1),
    standardize("columns", (131, 7), 0),
    standardize("rows", (7, 131), 1),
]
each_form = pytest.mark.parametrize("form", FORMS, ids=str)
each_dtype = pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
each_norm = pytest.mark.parametrize("p", [1, 2, np.inf])


def broadcasting(shape: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """Every shape of 1s and the sizes of x, and those of fewer axes."""
    for full in itertools.product([False, True], repeat=len(shape)):
        yield tuple(n if f else 1 for n, f in zip(shape, full, strict=True))
    for start in range(1, len(shape) + 1):
        yield shape[start:]


def mask_of(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    return np.asarray(rng.random(shape) < 0.7)


def weights_of(shape: tuple[int, ...], rng: np.random.Generator, dtype: Any = np.float64) -> Array:
    return np.asarray(rng.uniform(0.25, 4, shape)).astype(dtype)


# --- digits


@each_dtype
@each_form
def test_statistics_are_of_what_is_selected(
    form: Form, dtype: str, rng: np.random.Generator
) -> None:
    x = make(form.shape, np.dtype(dtype), rng)
    for shape in broadcasting(form.shape):
        mask = mask_of(shape, rng)
        form.check(x, form.call(x, where=mask), ref.weights(x, mask))


@each_dtype
@each_form
def test_statistics_are_weighted(form: Form, dtype: str, rng: np.random.Generator) -> None:
    x = make(form.shape, np.dtype(dtype), rng)
    kinds = itertools.cycle([np.float64, np.float32, np.float16])
    for shape, kind in zip(broadcasting(form.shape), kinds, strict=False):
        weights = weights_of(shape, rng, kind)
        form.check(x, form.call(x, sample_weight=weights), ref.weights(x, None, weights))


@each_form
def test_a_mask_and_weights_together(form: Form, dtype: np.dtype, rng: np.random.Generator) -> None:
    x = make(form.shape, dtype, rng)
    mask, weights = mask_of(form.shape, rng), weights_of(form.shape[1:], rng)
    results = form.call(x, where=mask, sample_weight=weights)
    form.check(x, results, ref.weights(x, mask, weights))
    assert_all_same_bits(results, form.call(x, sample_weight=np.where(mask, weights, 0.0)))


@pytest.mark.parametrize("ratio", [1e3, -1e6])
@each_form
def test_digits_are_kept_far_from_zero(
    form: Form, ratio: float, dtype: np.dtype, rng: np.random.Generator
) -> None:
    x = (ratio + rng.standard_normal(form.shape)).astype(dtype)
    mask, weights = mask_of(form.shape, rng), weights_of(form.shape, rng)
    form.check(x, form.call(x, where=mask), ref.weights(x, mask))
    form.check(x, form.call(x, sample_weight=weights), ref.weights(x, None, weights))


HARD: dict[str, Callable[[np.random.Generator], Array]] = {
    "outlier first": lambda rng: np.r_[1e6, rng.standard_normal(4096)],
    "drift": lambda rng: np.repeat([0.0, 1e5, -1e5, 7.0], 1000) + rng.standard_normal(4000),
    "1e30": lambda rng: 1e30 * rng.standard_normal(4096),
    "1e-25": lambda rng: 1e-25 * rng.standard_normal(4096),
    "subnormal": lambda rng: 1e-40 * rng.standard_normal(4096),
    "all but one alike": lambda _: np.r_[np.full(998, 1e20), -1e20],
}


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("name", HARD)
def test_hard_data_keeps_its_digits(
    name: str, axis: int, dtype: np.dtype, rng: np.random.Generator
) -> None:
    x = np.stack([HARD[name](rng) for _ in range(5)]).astype(dtype)
    x = x if axis == 1 else np.ascontiguousarray(x.T)
    mask, weights = mask_of(x.shape, rng), weights_of(x.shape, rng)
    for chosen in ({"where": mask}, {"sample_weight": weights}):
        w = ref.weights(x, chosen.get("where"), chosen.get("sample_weight"))
        y = nf.layer_norm(x, axis=axis, eps=0, **chosen)
        assert_promised(y, ref.layer_norm(x, axis, eps=0, w=w))
        y = nf.rms_norm(x, axis=axis, eps=0, **chosen)
        assert_promised(y, ref.rms_norm(x, axis, eps=0, w=w))


@pytest.mark.parametrize("correction", [0, 1, 1.5])
@pytest.mark.parametrize("axis", [0, 1])
def test_mean_and_variance_are_those_of_the_selected_values_alone(
    axis: int, correction: float, dtype: np.dtype, rng: np.random.Generator
) -> None:
    x = (1e4 + rng.standard_normal((67, 71))).astype(dtype)
    mask, weights = mask_of(x.shape, rng), weights_of(x.shape, rng)
    plain = nf.mean_var(x, axis, where=mask, correction=correction)
    weighted = nf.mean_var(x, axis, where=mask, sample_weight=weights, correction=correction)
    for i in range(x.shape[1 - axis]):
        line, selected, counts = (a.take(i, 1 - axis) for a in (x, mask, weights))
        chosen = line[selected].astype(float).tolist()
        ones, counts = [1.0] * len(chosen), counts[selected].tolist()
        for (mean, var), w in ((plain, ones), (weighted, counts)):
            n = math.fsum(w)
            about = math.fsum(c * v for c, v in zip(w, chosen, strict=True)) / n
            squares = math.fsum(c * (v - about) ** 2 for c, v in zip(w, chosen, strict=True))
            assert mean[i] == pytest.approx(about, rel=1e-10)
            assert var[i] == pytest.approx(squares / (n - correction), rel=2e-6)


@each_norm
@pytest.mark.parametrize("axis", [0, 1, 2, (0, 2), None])
def test_the_norm_is_of_what_is_selected(
    axis: Any, p: float, dtype: np.dtype, rng: np.random.Generator
) -> None:
    x = make((13, 67, 11), dtype, rng)
    for shape in broadcasting(x.shape):
        mask = mask_of(shape, rng)
        y, norm = nf.normalize(x, p, axis, where=mask, return_stats=True)
        expected, length = ref.normalize(x, p, axis, w=ref.weights(x, mask))
        assert_relative(y, expected)
        assert_stats((norm,), length)


def test_fewer_values_than_the_correction_have_no_variance(dtype: np.dtype) -> None:
    x = np.array([[1, 2, 3], [4, 5, 6]], dtype)
    mask = np.array([[True, False, False], [True, True, False]])
    mean, var = nf.mean_var(x, 1, where=mask, correction=1)
    np.testing.assert_array_equal(mean, [1, 4.5])
    np.testing.assert_array_equal(var, [np.nan, 0.5])
    _, std = nf.standardize(x, 1, where=mask, correction=1, return_stats=True)[1:]
    np.testing.assert_array_equal(std, [[np.nan], [0.5**0.5]])


INTEGERS = ["uint8", "int8", "int16", "uint16", "int32"]


@pytest.mark.parametrize("axis", [0, 1, None])
@pytest.mark.parametrize("name", INTEGERS)
def test_integers_are_selected_and_weighted(
    name: str, axis: int | None, rng: np.random.Generator
) -> None:
    limits = np.iinfo(name)
    x = rng.integers(limits.min, limits.max, (67, 71), np.dtype(name), endpoint=True)
    mask, weights = mask_of(x.shape, rng), weights_of((67, 1), rng)
    for chosen in ({"where": mask}, {"sample_weight": weights}):
        w = ref.weights(x, chosen.get("where"), chosen.get("sample_weight"))
        mean, var = nf.mean_var(x, axis, keepdims=True, **chosen)
        exact_mean, exact_var = ref.mean_var(x, axis, w=w)
        assert_within(mean, exact_mean, 1e-6 * np.sqrt(exact_var))
        assert_within(var, exact_var, 2e-6 * exact_var)
        y = nf.standardize(x, axis, **chosen)
        exact = ref.standardize(x, axis, w=w)[0]
        assert y.dtype == ("float64" if name == "int32" else "float32")
        assert_within(y, exact, PROMISE[y.dtype] * np.maximum(1, np.abs(exact)))


@pytest.mark.parametrize("name", ["uint8", "int8"])
def test_sums_of_selected_bytes_are_exact(name: str, rng: np.random.Generator) -> None:
    limits = np.iinfo(name)
    x = rng.integers(limits.min, limits.max, (3, 217, 211), np.dtype(name), endpoint=True)
    mask = mask_of(x.shape, rng)
    mean, var = nf.mean_var(x, (1, 2), where=mask)
    for i in range(3):
        chosen = x[i][mask[i]].tolist()
        n, total = len(chosen), sum(chosen)
        squares = Fraction(n * sum(v * v for v in chosen) - total**2, n**2)
        assert mean[i] == pytest.approx(float(Fraction(total, n)), rel=4e-16)
        assert var[i] == pytest.approx(float(squares), rel=1e-15)


# --- what a user would call the same


@each_form
def test_selecting_everything_changes_no_digit(
    form: Form, dtype: np.dtype, rng: np.random.Generator
) -> None:
    x = make(form.shape, dtype, rng)
    everything = np.ones(form.shape, bool)
    for chosen in ({"where": everything}, {"sample_weight": np.ones(form.shape)}):
        form.check(x, form.call(x, **chosen), everything)


@each_form
def test_only_ratios_of_weights_matter(form: Form, rng: np.random.Generator) -> None:
    x = make(form.shape, np.dtype("float32"), rng)
    weights = weights_of(form.shape, rng)
    # The correction of a running variance is a number of samples: the weights must exceed it.
    for factor in (1e30,) if form.name.startswith("batch_norm") else (1e-30, 1e-3, 1e30):
        scaled = form.call(x, sample_weight=weights * factor)
        form.check(x, scaled, ref.weights(x, None, weights))


@pytest.mark.parametrize("channel_axis", [1, -1])
def test_weights_may_sum_to_one_where_no_running_variance_is_wanted(
    channel_axis: int, dtype: np.dtype, rng: np.random.Generator
) -> None:
    x = make((9, 6, 5), dtype, rng)
    weights = weights_of((9, 1, 1), rng)
    weights /= weights.sum() * 5 * 6
    w = ref.weights(x, None, weights)
    chosen = {"channel_axis": channel_axis, "sample_weight": weights}
    y = nf.batch_norm(x, None, None, training=True, **chosen)
    assert_promised(y, ref.batch_norm(x, channel_axis=channel_axis, w=w))
    y = nf.instance_norm(x, **chosen)
    assert_promised(y, ref.instance_norm(x, channel_axis=channel_axis, w=w))
    mean, var = np.zeros(x.shape[channel_axis]), np.ones(x.shape[channel_axis])
    with pytest.raises(ValueError, match="running_var_correction"):
        nf.batch_norm(x, mean, var, training=True, **chosen)
    assert not mean.any()
    nf.batch_norm(x, mean, var, training=True, running_var_correction=0, **chosen)
    assert mean.all()


def test_a_weight_of_two_is_a_sample_given_twice(dtype: np.dtype, rng: np.random.Generator) -> None:
    x = make((53, 6, 5), dtype, rng)
    times = rng.integers(0, 4, 53)
    repeated = np.repeat(x, times, axis=0)
    weights = times.astype(np.float32)[:, None, None]
    tolerance = np.float64(2e-6)
    for correction in (0, 1):
        one = nf.mean_var(x, (0, 2), sample_weight=weights, correction=correction)
        other = nf.mean_var(repeated, (0, 2), correction=correction)
        assert_within(one[0], other[0], tolerance)
        assert_within(one[1], other[1], 2 * tolerance * other[1])
    buffers = [np.zeros(6), np.ones(6), np.zeros(6), np.ones(6)]
    y = nf.batch_norm(x, *buffers[:2], training=True, sample_weight=weights)
    again = nf.batch_norm(repeated, *buffers[2:], training=True)
    assert_within(np.repeat(y, times, axis=0), again, 4 * tolerance)
    assert_within(buffers[0], buffers[2], tolerance)
    assert_within(buffers[1], buffers[3], 2 * tolerance * buffers[3])


@each_form
def test_a_weight_of_zero_is_not_selected(
    form: Form, dtype: np.dtype, rng: np.random.Generator
) -> None:
    x = make(form.shape, dtype, rng)
    mask = mask_of(form.shape, rng)
    results = form.call(x, sample_weight=mask.astype(np.float32))
    form.check(x, results, ref.weights(x, mask))
    x[~mask] = np.nan
    spoilt = form.call(x, sample_weight=mask.astype(np.float32))
    assert_same_bits(spoilt[0][mask], results[0][mask])
    assert_all_same_bits(spoilt[1:], results[1:])


# --- what is not selected has no effect


RUBBISH = {"NaN": np.nan, "inf": np.inf, "-inf": -np.inf, "huge": None, "tiny": 1e-40, "zero": 0.0}


@pytest.mark.parametrize("name", RUBBISH)
@each_form
def test_what_is_not_selected_has_no_effect_on_the_rest(
    form: Form, name: str, dtype: np.dtype, rng: np.random.Generator
) -> None:
    rubbish = np.finfo(dtype).max if RUBBISH[name] is None else RUBBISH[name]
    x = make(form.shape, dtype, rng)
    tail = np.ones(form.shape, bool)
    tail[..., -1] = tail[:2] = False
    for mask in (mask_of(form.shape, rng), tail, ~tail):
        clean = form.call(x, where=mask)
        spoilt = form.call(np.where(mask, x, dtype.type(rubbish)), where=mask)
        assert_same_bits(spoilt[0][mask], clean[0][mask])
        assert_all_same_bits(spoilt[1:], clean[1:])


@each_norm
@pytest.mark.parametrize("name", RUBBISH)
@pytest.mark.parametrize("axis", [0, 1])
def test_the_norm_does_not_feel_what_is_not_selected(
    axis: int, name: str, p: float, dtype: np.dtype, rng: np.random.Generator
) -> None:
    rubbish = np.finfo(dtype).max if RUBBISH[name] is None else RUBBISH[name]
    x = make((97, 71), dtype, rng)
    mask = mask_of(x.shape, rng)
    clean = nf.normalize(x, p, axis, where=mask, return_stats=True)
    spoilt = np.where(mask, x, dtype.type(rubbish))
    y, norm = nf.normalize(spoilt, p, axis, where=mask, return_stats=True)
    assert_same_bits(y[mask], clean[0][mask])
    assert_same_bits(norm, clean[1])


def test_a_selected_nan_stays_in_its_own_row_or_channel(
    dtype: np.dtype, rng: np.random.Generator
) -> None:
    x = make((5, 6, 7, 7), dtype, rng)
    mask = mask_of(x.shape, rng)
    mask[2, 3, 1, 1] = True
    clean = x.copy()
    x[2, 3, 1, 1] = np.nan
    for call, alone in (
        (lambda x: nf.batch_norm(x, None, None, training=True, where=mask), np.s_[:, 3]),
        (lambda x: nf.instance_norm(x, where=mask), np.s_[2, 3]),
        (lambda x: nf.layer_norm(x, axis=1, where=mask), np.s_[2, :, 1, 1]),
        (lambda x: nf.layer_norm(x, axis=(2, 3), sample_weight=mask + 0.5), np.s_[2, 3]),
    ):
        y, expected = call(x), call(clean)
        assert np.isnan(y[alone]).all()
        y[alone] = expected[alone] = 0
        assert_same_bits(y, expected)


# --- nothing selected


@pytest.mark.parametrize("shape", [(4, 6, 5), (), (5,), (4, 1, 1)])
def test_with_nothing_selected_the_input_is_kept(
    shape: tuple[int, ...], dtype: np.dtype, rng: np.random.Generator
) -> None:
    x = make((4, 6, 5), dtype, rng)
    nothing = np.zeros(shape, bool)
    calls: list[Callable[..., Any]] = [
        nf.layer_norm,
        lambda x, **k: nf.layer_norm(x, axis=0, **k),
        nf.rms_norm,
        lambda x, **k: nf.batch_norm(x, None, None, training=True, **k),
        nf.instance_norm,
        lambda x, **k: nf.group_norm(x, 2, **k),
    ]
    for call in calls:
        for chosen in ({"where": nothing}, {"sample_weight": nothing.astype(np.float32)}):
            y, *stats = call(x, return_stats=True, **chosen)
            np.testing.assert_array_equal(y, x)
            np.testing.assert_array_equal(stats[-1], np.ones_like(stats[-1]))
            if len(stats) == 2:
                np.testing.assert_array_equal(stats[0], np.zeros_like(stats[0]))
    y, mean, std = nf.standardize(x, where=nothing, return_stats=True)
    np.testing.assert_array_equal(y, x)
    assert not mean.any()
    assert not std.any()
    mean, var = nf.mean_var(x, 0, where=nothing)
    assert not mean.any()
    assert not var.any()
    for p in (1, 2, np.inf):
        y, norm = nf.normalize(x, p, where=nothing, return_stats=True)
        np.testing.assert_array_equal(y, x)
        assert not norm.any()


def test_rows_with_nothing_selected_stand_beside_others(
    dtype: np.dtype, rng: np.random.Generator
) -> None:
    x = make((7, 103), dtype, rng)
    mask = mask_of(x.shape, rng)
    mask[2:4] = False
    y, mean, rstd = nf.layer_norm(x, where=mask, return_stats=True)
    np.testing.assert_array_equal(y[2:4], x[2:4])
    np.testing.assert_array_equal(mean[2:4], 0)
    np.testing.assert_array_equal(rstd[2:4], 1)
    others = [0, 1, 4, 5, 6]
    assert_same_bits(y[others], nf.layer_norm(x[others], where=mask[others]))


def test_one_value_selected_is_its_own_mean(dtype: np.dtype, rng: np.random.Generator) -> None:
    x = make((5, 9), dtype, rng)
    mask = np.zeros(x.shape, bool)
    mask[:, 3] = True
    y, mean, rstd = nf.layer_norm(x, eps=0.25, where=mask, return_stats=True)
    np.testing.assert_array_equal(y[:, 3], 0)
    np.testing.assert_array_equal(mean[:, 0], x[:, 3])
    np.testing.assert_array_equal(rstd, 2)


# --- running statistics


@pytest.mark.parametrize("channel_axis", [1, -1])
@pytest.mark.parametrize("correction", [0, 1])
@pytest.mark.parametrize("shape", [(8, 6, 7, 7), (131, 17), (4, 5, 301)])
def test_running_statistics_move_towards_those_of_what_is_selected(
    shape: tuple[int, ...],
    correction: int,
    channel_axis: int,
    dtype: np.dtype,
    rng: np.random.Generator,
) -> None:
    x = make(shape, dtype, rng)
    mask, weights = mask_of(shape, rng), weights_of(shape, rng)
    channels = shape[channel_axis]
    mask.swapaxes(channel_axis, 0)[2] = False  # a channel without values
    for chosen in ({"where": mask}, {"where": mask, "sample_weight": weights}):
        mean, var, count = rng.standard_normal(channels), rng.uniform(1, 2, channels), np.array(4)
        before = mean.copy(), var.copy()
        nf.batch_norm(
            x,
            mean,
            var,
            training=True,
            momentum=0.25,
            channel_axis=channel_axis,
            running_var_correction=correction,
            num_batches_tracked=count,
            **chosen,
        )
        w = ref.weights(x, mask, chosen.get("sample_weight"))
        exact = ref.batch_norm(x, channel_axis=channel_axis, w=w)
        n = ref.total(w, tuple(a for a in range(x.ndim) if a != channel_axis % x.ndim))
        n = np.where(n == 0, 2, n)
        moved = (
            ref.running(before[0], exact.mean, 0.25),
            ref.running(before[1], exact.var * n / (n - correction), 0.25),
        )
        some = np.arange(channels) != 2
        assert_within(mean[some], moved[0][some], np.float64(1e-6))
        assert_within(var[some], moved[1][some], np.float64(5e-6))
        assert_same_bits((mean[2], var[2]), (before[0][2], before[1][2]))
        assert count == 5


def test_instance_norm_averages_the_samples_that_have_values(
    dtype: np.dtype, rng: np.random.Generator
) -> None:
    x = make((4, 6, 31), dtype, rng)
    mask = mask_of(x.shape, rng)
    mask[1, 2] = mask[3, 2] = mask[:, 4] = False
    mean, var = np.full(6, 2.0), np.full(6, 3.0)
    nf.instance_norm(x, mean, var, momentum=0.25, where=mask)
    for c in range(6):
        parts = [x[i, c][mask[i, c]].astype(float) for i in range(4) if mask[i, c].any()]
        if not parts:
            assert (mean[c], var[c]) == (2, 3)
            continue
        batch_mean = np.mean([part.mean() for part in parts])
        batch_var = np.mean([part.var(ddof=1) for part in parts])
        assert mean[c] == pytest.approx(0.75 * 2 + 0.25 * batch_mean, rel=1e-6)
        assert var[c] == pytest.approx(0.75 * 3 + 0.25 * batch_var, rel=2e-6)


def test_an_average_of_all_batches_skips_nothing_but_what_is_masked(
    dtype: np.dtype, rng: np.random.Generator
) -> None:
    mean, var, batches = np.zeros(3), np.ones(3), np.array(0)
    means = []
    for _ in range(4):
        x = make((8, 3, 4), dtype, rng)
        mask = mask_of((8, 1, 4), rng)
        common = {"momentum": None, "num_batches_tracked": batches, "where": mask}
        nf.batch_norm(x, mean, var, training=True, **common)
        means.append(ref.batch_norm(x, w=ref.weights(x, mask)).mean.ravel())
    np.testing.assert_allclose(mean, np.mean(means, axis=0).astype(float), rtol=1e-6)


@pytest.mark.parametrize("selection", ["where", "sample_weight"])
@pytest.mark.parametrize("operation", WITH_BUFFERS)
def test_one_value_selected_in_training_is_refused(operation: str, selection: str) -> None:
    alone = np.ones((4, 6, 5), bool if selection == "where" else np.float32)
    if operation == "batch_norm":
        alone[:, 3] = 0
    alone[2, 3] = 0
    alone[2, 3, 1] = 1
    check(ValueError, operation, "value", **{selection: alone})
    alone[2, 3] = 0
    arguments = good(operation)
    getattr(nf, operation)(**arguments, **{selection: alone})  # none at all is no error


# --- given statistics


def test_given_statistics_need_no_selection(dtype: np.dtype, rng: np.random.Generator) -> None:
    """Every element is normalised, by the same statistics."""
    x = make((7, 6, 5), dtype, rng)
    mask = mask_of(x.shape, rng)
    mean, var = np.linspace(-1, 1, 6), np.linspace(1, 2, 6)
    assert_same_bits(nf.batch_norm(x, mean, var, where=mask), nf.batch_norm(x, mean, var))
    assert_same_bits(
        nf.instance_norm(x, mean, var, use_input_stats=False, where=mask),
        nf.instance_norm(x, mean, var, use_input_stats=False),
    )
    given = {"mean": mean[:, None], "std": var[:, None]}
    given = {k: np.broadcast_to(v, (6, 5)) for k, v in given.items()}
    assert_same_bits(nf.standardize(x, where=mask, **given), nf.standardize(x, **given))


# --- bits


SELECTABLE = [case for case in cases.CASES if not case.name.startswith("weight_norm")]
each_case = pytest.mark.parametrize("case", SELECTABLE, ids=str)


def selection(case: cases.Case, rng: np.random.Generator) -> list[dict[str, Array]]:
    """A mask of each element, one that broadcasts, and weights where the operation has them."""
    chosen = [
        {"where": mask_of(case.shape, rng)},
        {"where": mask_of(case.shape[1:], rng)},
        {"sample_weight": weights_of((*case.shape[:-1], 1), rng, np.float32)},
    ]
    return chosen[:2] if case.name.startswith("normalize") else chosen


@each_case
def test_any_number_of_threads_gives_the_same_bits(
    case: cases.Case, rng: np.random.Generator
) -> None:
    x = cases.with_spikes(case.shape, np.dtype("float32"))
    for chosen in selection(case, rng):
        alone = case.call(x, num_threads=1, **chosen)
        assert_all_same_bits(case.call(x, num_threads=2, **chosen), alone)


@each_form
@pytest.mark.usefixtures("vector_isa")
def test_every_instruction_set_gives_the_same_bits(
    form: Form, dtype: np.dtype, rng: np.random.Generator
) -> None:
    spikes = make(form.shape, dtype, rng)
    spikes.reshape(-1)[:: max(spikes.size // 5, 1)] *= dtype.type(1e25)
    choices = [
        {"where": mask_of(form.shape, rng)},
        {"where": mask_of(form.shape[1:], rng)},
        {"sample_weight": weights_of(form.shape, rng, np.float32)},
    ]
    inputs = [(x, chosen) for x in (make(form.shape, dtype, rng), spikes) for chosen in choices]
    vectorised = [form.call(x, **chosen) for x, chosen in inputs]
    _core.use_isa("scalar")
    for (x, chosen), expected in zip(inputs, vectorised, strict=True):
        assert_all_same_bits(form.call(x, **chosen), expected)


@pytest.mark.parametrize(
    "n", [1, 2, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 97, 500, 513, 1025, 5000]
)
@pytest.mark.usefixtures("vector_isa")
def test_every_length_gives_the_same_bits_on_every_instruction_set(
    n: int, dtype: np.dtype, rng: np.random.Generator
) -> None:
    x = (1e4 + rng.standard_normal((37, n))).astype(dtype)
    mask, weights = mask_of(x.shape, rng), weights_of((n,), rng)

    def everything() -> tuple[Array, ...]:
        return (
            *nf.layer_norm(x, where=mask, return_stats=True),
            *nf.layer_norm(x, axis=0, where=mask, return_stats=True),
            *nf.rms_norm(x, sample_weight=weights, return_stats=True),
            *nf.normalize(x, 1, where=mask, return_stats=True),
            *nf.mean_var(x, 0, where=mask, sample_weight=weights),
            *nf.standardize(x.astype(np.int16), where=mask, return_stats=True),
        )

    vectorised = everything()
    _core.use_isa("scalar")
    assert_all_same_bits(everything(), vectorised)


@pytest.mark.parametrize("layout", layouts.ALL)
@each_form
def test_a_mask_may_lie_in_memory_in_any_way(
    form: Form, layout: Callable[[Array], Array], rng: np.random.Generator
) -> None:
    x = make(form.shape, np.dtype("float32"), rng)
    mask, weights = mask_of(form.shape, rng), weights_of(form.shape, rng, np.float32)
    assert_all_same_bits(form.call(x, where=layout(mask)), form.call(x, where=mask))
    assert_all_same_bits(
        form.call(x, sample_weight=layout(weights)), form.call(x, sample_weight=weights)
    )


@each_form
def test_a_mask_that_broadcasts_gives_the_bits_of_its_copy(
    form: Form, rng: np.random.Generator
) -> None:
    x = make(form.shape, np.dtype("float32"), rng)
    for shape in broadcasting(form.shape):
        mask, weights = mask_of(shape, rng), weights_of(shape, rng, np.float32)
        whole, every = np.broadcast_to(mask, form.shape), np.broadcast_to(weights, form.shape)
        expected = form.call(x, where=whole.copy()), form.call(x, sample_weight=every.copy())
        assert_all_same_bits(form.call(x, where=mask), expected[0])
        assert_all_same_bits(form.call(x, where=whole), expected[0])
        assert_all_same_bits(form.call(x, sample_weight=weights), expected[1])
        assert_all_same_bits(form.call(x, sample_weight=every), expected[1])


@pytest.mark.parametrize("layout", layouts.ALL)
@each_form
def test_any_layout_of_the_input(
    form: Form,
    layout: Callable[[Array], Array],
    dtype: np.dtype,
    rng: np.random.Generator,
) -> None:
    x = make(form.shape, dtype, rng)
    mask = mask_of(form.shape, rng)
    results = form.call(layout(x), where=mask)
    form.check(x, results, ref.weights(x, mask))
    if layout in layouts.SAME_ORDER:
        assert_all_same_bits(results, form.call(x, where=mask))


@each_form
def test_in_place_gives_the_same_bits(
    form: Form, dtype: np.dtype, rng: np.random.Generator
) -> None:
    x = make(form.shape, dtype, rng)
    chosen = {"where": mask_of(form.shape, rng), "sample_weight": weights_of(form.shape[1:], rng)}
    apart = form.call(x, **chosen)
    together = form.call(x, out=x, **chosen)
    assert together[0] is x
    assert_all_same_bits(together, apart)


ROWS_IN_A_BATCH: dict[str, tuple[tuple[int, ...], Callable[..., Array]]] = {
    "layer_norm of rows": ((53, 777), nf.layer_norm),
    "layer_norm of short rows": ((401, 5), nf.layer_norm),
    "layer_norm of columns in each image": (
        (11, 67, 35, 3),
        lambda x, **k: nf.layer_norm(x, axis=1, **k),
    ),
    "layer_norm of images": ((11, 67, 35, 3), lambda x, **k: nf.layer_norm(x, axis=(1, 2, 3), **k)),
    "rms_norm of rows": ((53, 777), nf.rms_norm),
    "instance_norm channels first": ((11, 12, 35, 33), nf.instance_norm),
    "instance_norm channels last": (
        (11, 35, 33, 12),
        lambda x, **k: nf.instance_norm(x, channel_axis=-1, **k),
    ),
    "instance_norm of planes of 49": ((23, 30, 7, 7), nf.instance_norm),
    "group_norm of planes of 49": ((23, 30, 7, 7), lambda x, **k: nf.group_norm(x, 6, **k)),
    "group_norm channels last": (
        (11, 35, 33, 12),
        lambda x, **k: nf.group_norm(x, 4, channel_axis=-1, **k),
    ),
    "standardize rows": ((53, 777), lambda x, **k: nf.standardize(x, 1, **k)),
    "mean of rows": ((53, 777), lambda x, **k: nf.mean_var(x, 1, **k)[0]),
}


@pytest.mark.parametrize("name", ROWS_IN_A_BATCH)
def test_a_row_has_the_same_bits_alone_and_anywhere_in_a_batch(
    name: str, dtype: np.dtype, rng: np.random.Generator
) -> None:
    shape, call = ROWS_IN_A_BATCH[name]
    x = cases.with_spikes(shape, dtype)
    for chosen in ({"where": mask_of(shape, rng)}, {"sample_weight": weights_of(shape, rng)}):
        whole = call(x, **chosen)
        for part in (np.s_[:1], np.s_[1:2], np.s_[-1:], np.s_[3:], np.s_[1:4], np.s_[::-2]):
            some = {k: a[part] for k, a in chosen.items()}
            assert_same_bits(call(x[part], **some), whole[part])


# --- what is refused


MASKABLE = [op for op in OPERATIONS if op != "weight_norm"]
WEIGHABLE = [op for op in MASKABLE if op != "normalize"]
CHOICES = [(op, "where") for op in MASKABLE] + [(op, "sample_weight") for op in WEIGHABLE]
each_choice = pytest.mark.parametrize(("operation", "name"), CHOICES)


def choice(name: str, shape: tuple[int, ...]) -> Array:
    return np.ones(shape, bool if name == "where" else np.float32)


@each_choice
@pytest.mark.parametrize(
    "shape", [(), (1,), (5,), (6, 1), (6, 5), (4, 1, 1), (1, 1, 1), (4, 6, 5), (1, 6, 1)]
)
def test_every_shape_that_broadcasts_is_taken(
    operation: str, name: str, shape: tuple[int, ...]
) -> None:
    getattr(nf, operation)(**good(operation) | {name: choice(name, shape)})


@each_choice
@pytest.mark.parametrize(
    "shape", [(4,), (6,), (2, 5), (4, 6), (0,), (4, 6, 0), (8, 6, 5), (1, 4, 6, 5), (2, 4, 6, 5)]
)
def test_the_shape_must_broadcast_to_x(operation: str, name: str, shape: tuple[int, ...]) -> None:
    check(ValueError, operation, name, **{name: choice(name, shape)})


@pytest.mark.parametrize("wrong", ["uint8", "int64", "float32", "object", "U1", "complex64"])
@pytest.mark.parametrize("operation", MASKABLE)
def test_a_mask_is_of_bool(operation: str, wrong: str) -> None:
    check(TypeError, operation, "where", where=np.ones((4, 6, 5), wrong))
    with pytest.raises(TypeError, match="bool"):
        getattr(nf, operation)(**good(operation), where=np.ones((4, 6, 5), wrong))


@pytest.mark.parametrize("wrong", ["bool", "complex64", "object", ">f4", "U1"])
@pytest.mark.parametrize("operation", WEIGHABLE)
def test_weights_are_of_numbers(operation: str, wrong: str) -> None:
    check(TypeError, operation, "sample_weight", sample_weight=np.ones((4, 6, 5), wrong))


@pytest.mark.parametrize("kind", [*INTEGERS, "int64"])
def test_weights_may_be_counts(kind: str, dtype: np.dtype, rng: np.random.Generator) -> None:
    x = make((19, 6, 5), dtype, rng)
    counts = rng.integers(0, 4, (19, 1, 1)).astype(kind)
    results = nf.mean_var(x, (0, 2), sample_weight=counts)
    assert_all_same_bits(results, nf.mean_var(x, (0, 2), sample_weight=counts.astype(float)))
    with pytest.raises(ValueError, match="sample_weight"):
        nf.mean_var(x, sample_weight=-np.ones(5, np.int64))


@each_not_array
@each_choice
def test_a_selection_is_an_array(operation: str, name: str, thing: Any) -> None:
    if name == "sample_weight" and isinstance(thing, memoryview | np.generic):
        pytest.skip("a buffer of floats is an array of weights")
    check(TypeError, operation, name, **{name: thing})


@each_choice
def test_a_selection_may_not_be_masked(operation: str, name: str) -> None:
    check(TypeError, operation, name, **{name: np.ma.array(choice(name, (4, 6, 5)))})


@pytest.mark.parametrize("wrong", [-1.0, -1e-30, np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("shape", [(4, 6, 5), (4, 1, 1), (5,)])
@pytest.mark.parametrize("operation", WEIGHABLE)
def test_weights_are_finite_and_not_negative(
    operation: str, shape: tuple[int, ...], wrong: float
) -> None:
    weights = np.ones(shape)
    weights.reshape(-1)[-1] = wrong
    check(ValueError, operation, "sample_weight", sample_weight=weights)


@pytest.mark.parametrize("operation", [op for op in MASKABLE if op != "mean_var"])
def test_out_may_not_overlap_a_selection(operation: str) -> None:
    memory = np.ones(4 * 6 * 5, np.float32)
    out = memory.reshape(4, 6, 5)
    with pytest.raises(ValueError, match="overlap"):
        getattr(nf, operation)(**good(operation) | {"out": out, "where": memory.view(bool)[:5]})
    if operation in WEIGHABLE:
        with pytest.raises(ValueError, match="overlap"):
            getattr(nf, operation)(**good(operation) | {"out": out, "sample_weight": memory[7:12]})
    assert (memory == 1).all()


def test_selections_are_not_written_to(rng: np.random.Generator) -> None:
    x = make((4, 6, 5), np.dtype("float32"), rng)
    mask, weights = mask_of(x.shape, rng), weights_of(x.shape, rng)
    before = mask.copy(), weights.copy()
    mask.flags.writeable = weights.flags.writeable = False
    nf.layer_norm(x, where=mask, sample_weight=weights)
    nf.batch_norm(x, None, None, training=True, where=mask, sample_weight=weights)
    assert_all_same_bits((mask.view(np.uint8), weights), (before[0].view(np.uint8), before[1]))


def test_an_empty_input_takes_an_empty_selection(dtype: np.dtype) -> None:
    x = np.zeros((0, 5), dtype)
    assert nf.layer_norm(x, where=np.ones((0, 5), bool)).shape == (0, 5)
    assert nf.layer_norm(x, where=np.ones(5, bool), sample_weight=np.ones(5)).shape == (0, 5)
