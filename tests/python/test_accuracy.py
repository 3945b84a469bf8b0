"""Promise 1: the normalised value is within 1e-6 (float32) or 1e-13 (float64) of the exact one.

Times max(1, |y|). On the data that burns people elsewhere, in every inner form of the problem.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import reference as ref
from helpers import PROMISE, assert_promised, assert_relative, assert_same_bits, assert_within
from numpy.typing import NDArray

import normfast as nf

Array = NDArray[Any]
Make = Callable[[np.random.Generator], Array]

LENGTHS = [1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 63, 65, 96, 97, 511, 512, 513, 1023, 1025]
LENGTHS += [4095, 4097, 16383, 16385, 49155, 262147]


def normal(n: int, mean: float = 0, std: float = 1) -> Make:
    return lambda rng: mean + std * rng.standard_normal(n)


def outlier_first(rng: np.random.Generator) -> Array:
    return np.r_[1e6, rng.standard_normal(4096)]


def outlier_last(rng: np.random.Generator) -> Array:
    return np.r_[rng.standard_normal(4096), 1e6]


def level_after(start: int, n: int) -> Make:
    """Noise, then a level: sums about what the start suggests cancel, with errors that add up."""
    return lambda rng: np.r_[rng.standard_normal(start), np.full(n - start, rng.uniform(1e3, 1e4))]


HARD: dict[str, Make] = {
    "40000..40003": lambda _: np.arange(40000.0, 40004),
    "all 1234": lambda _: np.full(256, 1234.0),
    "all 0.1": lambda _: np.full(4096, 0.1),
    "mean 1e4": normal(4096, 1e4),
    "mean 1e6": normal(4096, 1e6),
    "mean -1e6": normal(4095, -1e6),
    "mean 1e6, long": normal(100_003, 1e6),
    "std 1e-3 at 100": normal(4096, 100, 1e-3),
    "ramp": lambda _: 100 + np.arange(4096) * 1e-3,
    "sorted": lambda rng: np.sort(rng.standard_normal(5000)),
    "two levels": lambda rng: np.where(rng.random(4097) < 0.5, 1000.0, 1001.0),
    "drift": lambda rng: np.repeat([0.0, 1e5, -1e5, 7.0], 1000) + rng.standard_normal(4000),
    "level after 8": level_after(8, 512),
    "level after 32": level_after(32, 1024),
    "level after 512": level_after(512, 16384),
    "outlier first": outlier_first,
    "outlier last": outlier_last,
    "heavy tails": lambda rng: rng.standard_cauchy(4096),
    "1e20": lambda rng: 1e20 * rng.choice([-1.0, 1.0], 999),
    "1e20, all but one alike": lambda _: np.r_[np.full(998, 1e20), -1e20],
    "1e30": lambda rng: 1e30 * rng.standard_normal(4096),
    "largest": lambda rng: 3.4e38 * rng.uniform(-1, 1, 4096),
    "small": lambda rng: 1e-4 * rng.standard_normal(4096),
}
# Where the variance vanishes beside any other eps.
HARD_WITHOUT_EPS: dict[str, Make] = {
    "1e-20": normal(4096, 0, 1e-20),
    "1e-25": normal(4096, 0, 1e-25),
    "1e-25 at 1e-23": normal(4096, 1e-23, 1e-25),
    "subnormal": normal(4096, 0, 1e-40),
    "smallest subnormal": lambda rng: 1.4e-45 * rng.integers(-1, 2, 4096),
}
HARD_FLOAT64: dict[str, Make] = {
    "mean 1e9": normal(4096, 1e9),
    "mean 1e12": normal(4096, 1e12),
    "mean -1e12, long": normal(100_003, -1e12),
    "1e150": normal(4096, 0, 1e150),
    "1e200": normal(4096, 0, 1e200),
    "1e200 at 1e204": normal(4096, 1e204, 1e200),
    "1e308": lambda rng: 1.7e308 * rng.uniform(-1, 1, 4096),
    "largest, both signs": lambda rng: np.finfo(float).max * rng.choice([-1.0, 1.0], 4096),
    "1e-200": normal(4096, 0, 1e-200),
    "1e-308": normal(4096, 0, 1e-308),
    "subnormal": normal(4096, 0, 1e-315),
}


def rows(x: Array, eps: float) -> tuple[Array, ref.Expected]:
    return nf.layer_norm(x, axis=-1, eps=eps), ref.layer_norm(x, -1, eps=eps)


def columns(x: Array, eps: float) -> tuple[Array, ref.Expected]:
    x = np.ascontiguousarray(x.T)
    return nf.layer_norm(x, axis=0, eps=eps), ref.layer_norm(x, 0, eps=eps)


def channels_first(x: Array, eps: float) -> tuple[Array, ref.Expected]:
    batch = 4 if x.shape[1] % 4 == 0 and x.shape[1] > 4 else 1
    x = np.ascontiguousarray(np.moveaxis(x.reshape(len(x), batch, -1), 1, 0))
    return nf.batch_norm(x, None, None, training=True, eps=eps), ref.batch_norm(x, eps=eps)


def channels_last(x: Array, eps: float) -> tuple[Array, ref.Expected]:
    batch = 4 if x.shape[1] % 4 == 0 and x.shape[1] > 4 else 1
    x = np.ascontiguousarray(np.moveaxis(x.reshape(len(x), batch, -1), 0, -1))
    return nf.batch_norm(x, None, None, training=True, eps=eps, channel_axis=-1), ref.batch_norm(
        x, eps=eps, channel_axis=-1
    )


def small_planes(x: Array, eps: float) -> tuple[Array, ref.Expected]:
    """Planes of 7: a channel is narrower than any vector."""
    x = x[:, : x.shape[1] // 7 * 7] if x.shape[1] >= 14 else np.repeat(x, 7, axis=1)
    x = np.ascontiguousarray(np.moveaxis(x.reshape(len(x), -1, 7), 1, 0))
    return nf.batch_norm(x, None, None, training=True, eps=eps), ref.batch_norm(x, eps=eps)


FORMS = [rows, columns, channels_first, channels_last, small_planes]


def several(make: Make, dtype: Any, rng: np.random.Generator, width: int = 5) -> Array:
    """Rows of the same kind. A width of 5 leaves vectors part empty, 19 fills one and a bit."""
    return np.stack([make(rng) for _ in range(width)]).astype(dtype)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("eps", [0.0, 1e-5])
@pytest.mark.parametrize("name", HARD)
def test_hard_data_keeps_its_digits(
    name: str, eps: float, form: Callable[..., Any], dtype: np.dtype, rng: np.random.Generator
) -> None:
    assert_promised(*form(several(HARD[name], dtype, rng), eps))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", HARD_WITHOUT_EPS)
def test_tiny_data_without_eps_keeps_its_digits(
    name: str, form: Callable[..., Any], dtype: np.dtype, rng: np.random.Generator
) -> None:
    assert_promised(*form(several(HARD_WITHOUT_EPS[name], dtype, rng), 0.0))


@pytest.mark.skipif(
    np.finfo(ref.Wide).maxexp <= 1024, reason="longdouble is no wider than float64 here"
)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", HARD_FLOAT64)
def test_float64_keeps_its_digits_at_any_mean_and_magnitude(
    name: str, form: Callable[..., Any], rng: np.random.Generator
) -> None:
    assert_promised(*form(several(HARD_FLOAT64[name], np.float64, rng), 0.0))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("ratio", [0, 1, 1e2, 1e4, 1e6])
def test_every_length_keeps_its_digits(
    form: Callable[..., Any], ratio: float, dtype: np.dtype, rng: np.random.Generator
) -> None:
    for n in LENGTHS[form in (channels_first, channels_last) :]:  # training refuses one value
        width = 19 if n < 5000 else 2
        assert_promised(*form(several(normal(n, ratio), dtype, rng, width), 1e-5))


def test_sixteen_million_elements_far_from_zero_keep_their_digits(rng: np.random.Generator) -> None:
    x = rng.standard_normal(2**24, np.float32)
    x += np.float32(1e6)
    assert_promised(nf.layer_norm(x), ref.layer_norm(x))


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("name", HARD)
def test_mean_and_variance_are_as_exact_as_the_normalised_value(
    name: str, axis: int, dtype: np.dtype, rng: np.random.Generator
) -> None:
    x = several(HARD[name], dtype, rng)
    x = x if axis == 1 else np.ascontiguousarray(x.T)
    mean, var = nf.mean_var(x, axis, keepdims=True)
    exact_mean, exact_var = ref.mean_var(x, axis)
    assert mean.dtype == var.dtype == np.float64
    assert_within(mean, exact_mean, PROMISE[dtype] * np.sqrt(exact_var) + np.spacing(np.abs(mean)))
    assert_within(var, exact_var, 2 * PROMISE[dtype] * exact_var)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("name", [*HARD, *HARD_WITHOUT_EPS])
def test_rms_norm_keeps_its_digits(
    name: str, axis: int, dtype: np.dtype, rng: np.random.Generator
) -> None:
    x = several((HARD | HARD_WITHOUT_EPS)[name], dtype, rng)
    x = x if axis == 1 else np.ascontiguousarray(x.T)
    assert_promised(nf.rms_norm(x, axis=axis, eps=0), ref.rms_norm(x, axis, eps=0))


@pytest.mark.parametrize("ratio", [0, 1e3, 1e6])
@pytest.mark.parametrize("channel_axis", [1, -1])
def test_evaluation_keeps_its_digits_far_from_zero(
    ratio: float, channel_axis: int, dtype: np.dtype, rng: np.random.Generator
) -> None:
    x = (ratio + rng.standard_normal((4, 37, 35))).astype(dtype)
    channels = x.shape[channel_axis]
    mean, var = ratio + rng.standard_normal(channels), rng.uniform(0.5, 2, channels)
    y = nf.batch_norm(x, mean, var, channel_axis=channel_axis)
    expected = ref.batch_norm_with(x, mean, var, channel_axis=channel_axis)
    assert_within(y, expected.y, PROMISE[dtype] * np.maximum(1, np.abs(expected.y)))


@pytest.mark.parametrize("p", [1, 2, np.inf])
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("name", [*HARD, *HARD_WITHOUT_EPS])
def test_unit_vectors_have_small_relative_errors(
    name: str, axis: int, p: float, dtype: np.dtype, rng: np.random.Generator
) -> None:
    x = several((HARD | HARD_WITHOUT_EPS)[name], dtype, rng)
    x = x if axis == 1 else np.ascontiguousarray(x.T)
    assert_relative(nf.normalize(x, p, axis, eps=0), ref.normalize(x, p, axis, eps=0)[0])


@pytest.mark.parametrize("vector", [(1e30, -1e30), (1e-30, -1e-30), (6e20, -8e20), (3e-42, 4e-42)])
def test_unit_vectors_of_extreme_numbers(vector: tuple[float, float], dtype: np.dtype) -> None:
    x = np.array([vector], dtype)
    assert_relative(nf.normalize(x, eps=0), ref.normalize(x, eps=0)[0])
    assert_relative(nf.normalize(x.T.copy(), axis=0, eps=0), ref.normalize(x, eps=0)[0].T)


@pytest.mark.parametrize("value", [0.0, 0.1, -1234.0, 1e-42, 1e-30, 1e30, 3.4e38])
@pytest.mark.parametrize("eps", [0.0, 1e-5])
@pytest.mark.parametrize("n", [1, 3, 17, 100, 4097])
def test_constant_data_gives_exactly_the_bias(
    n: int, eps: float, value: float, dtype: np.dtype
) -> None:
    x = np.full((3, n), value, dtype)
    bias = np.linspace(-2, 3, n).astype(dtype)
    np.testing.assert_array_equal(nf.layer_norm(x, n, bias, bias, eps), [bias] * 3)
    np.testing.assert_array_equal(
        nf.layer_norm(x.T.copy(), axis=0, weight=bias, bias=bias, eps=eps).T, [bias] * 3
    )
    if n > 1:
        bias = bias[:3]
        images = np.full((2, len(bias), n), value, dtype)
        expected = np.broadcast_to(bias[:, None], images.shape)
        common = {"weight": bias, "bias": bias, "eps": eps}
        np.testing.assert_array_equal(
            nf.batch_norm(images, None, None, training=True, **common), expected
        )
        np.testing.assert_array_equal(nf.instance_norm(images, **common), expected)
        np.testing.assert_array_equal(nf.group_norm(images, 1, **common), expected)
        np.testing.assert_array_equal(nf.standardize(images, 2), np.zeros_like(images))


@pytest.mark.parametrize("channel_axis", [1, -1])
@pytest.mark.parametrize("ratio", [0, 1e3, 1e6])
def test_gamma_and_beta_of_the_batch_give_the_input_back(
    ratio: float, channel_axis: int, dtype: np.dtype, rng: np.random.Generator
) -> None:
    x = (ratio + rng.standard_normal((6, 21, 19))).astype(dtype)
    axes = tuple(a for a in range(3) if a != channel_axis % 3)
    mean, var = nf.mean_var(x, axes)
    gamma = np.sqrt(var + 1e-5)
    y = nf.batch_norm(x, None, None, gamma, mean, True, channel_axis=channel_axis)
    normed = ref.batch_norm(x, channel_axis=channel_axis).normed
    scale = ref.along(gamma, (channel_axis % 3,), 3, 1)
    assert_within(
        y, x, PROMISE[dtype] * np.maximum(1, np.abs(normed)) * scale + 2 * np.spacing(np.abs(x))
    )


POISONED: dict[str, tuple[tuple[int, ...], int, Callable[[Array], Array]]] = {
    "layer_norm rows": ((5, 1003), 0, nf.layer_norm),
    "layer_norm columns": ((1003, 5), 1, lambda x: nf.layer_norm(x, axis=0)),
    "layer_norm wide columns": ((67, 70), 1, lambda x: nf.layer_norm(x, axis=0)),
    "layer_norm narrow rows": ((70, 5), 0, nf.layer_norm),
    "rms_norm rows": ((5, 1003), 0, nf.rms_norm),
    "rms_norm columns": ((1003, 5), 1, lambda x: nf.rms_norm(x, axis=0)),
    "batch_norm channels first": (
        (3, 5, 201),
        1,
        lambda x: nf.batch_norm(x, None, None, training=True),
    ),
    "batch_norm planes of 49": (
        (3, 5, 49),
        1,
        lambda x: nf.batch_norm(x, None, None, training=True),
    ),
    "batch_norm channels last": (
        (3, 67, 5),
        2,
        lambda x: nf.batch_norm(x, None, None, training=True, channel_axis=-1),
    ),
    "instance_norm": ((5, 3, 49), 0, nf.instance_norm),
    "group_norm": ((5, 6, 49), 0, lambda x: nf.group_norm(x, 3)),
    "group_norm channels last": ((5, 49, 6), 0, lambda x: nf.group_norm(x, 3, channel_axis=-1)),
    "normalize rows": ((5, 1003), 0, lambda x: nf.normalize(x, axis=1)),
    "normalize columns": ((1003, 5), 1, lambda x: nf.normalize(x, axis=0)),
    "weight_norm": ((5, 1003), 0, lambda x: nf.weight_norm(x, np.ones(5))),
    "standardize": ((1003, 5), 1, nf.standardize),
}


@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", ["first", "body", "tail"])
@pytest.mark.parametrize("name", POISONED)
def test_nan_and_inf_stay_in_their_own_row_or_channel(
    name: str, place: str, poison: float, dtype: np.dtype, rng: np.random.Generator
) -> None:
    shape, axis, call = POISONED[name]
    x = rng.standard_normal(shape).astype(dtype)
    sick = x.copy()
    victim = np.moveaxis(sick, axis, 0)[2]
    index = {"first": 0, "body": victim.size // 2, "tail": victim.size - 1}[place]
    victim.flat[index] = poison
    y, healthy = (np.moveaxis(call(a), axis, 0) for a in (sick, x))
    others = np.arange(len(y)) != 2
    assert_same_bits(y[others], healthy[others])
    assert np.isnan(y[2].flat[index])
    if np.isnan(poison) and not name.startswith(("instance", "group")):
        assert np.isnan(y[2]).all()


def test_in_evaluation_a_nan_stays_at_its_own_element(
    dtype: np.dtype, rng: np.random.Generator
) -> None:
    x = rng.standard_normal((2, 5, 49)).astype(dtype)
    sick = x.copy()
    sick[1, 3, 48] = np.nan
    mean, var = np.zeros(5), np.ones(5)
    expected = nf.batch_norm(x, mean, var)
    expected[1, 3, 48] = np.nan
    assert_same_bits(nf.batch_norm(sick, mean, var), expected)
