"""The reference itself, against exact arithmetic: an oracle is only as good as its proof."""

from fractions import Fraction

import numpy as np
import pytest
import reference as ref

EXACT_CASES = {
    "far from zero": lambda rng: 1e12 + rng.standard_normal(999),
    "outlier first": lambda rng: np.r_[1e9, rng.standard_normal(998)],
    "two level": lambda rng: np.where(rng.random(999) < 0.5, 1e8, 1e8 + 1),
    "huge": lambda rng: rng.standard_normal(999) * 1e150,
    "tiny": lambda rng: rng.standard_normal(999) * 1e-150,
}


@pytest.mark.parametrize("name", EXACT_CASES)
def test_mean_variance_and_deviations_agree_with_exact_fractions(
    name: str, rng: np.random.Generator
) -> None:
    x = EXACT_CASES[name](rng)
    exact = [Fraction(v) for v in x.tolist()]
    mean = sum(exact) / len(exact)
    var = sum((v - mean) ** 2 for v in exact) / len(exact)

    got_mean, got_var = ref.mean_var(x)
    _, centred = ref.deviations(x, (0,))
    assert float(got_mean[0]) == pytest.approx(
        float(mean), rel=3e-16, abs=float(var) ** 0.5 * 1e-15
    )
    assert float(got_var[0]) == pytest.approx(float(var), rel=1e-15)
    np.testing.assert_allclose(
        centred.astype(np.float64),
        [float(v - mean) for v in exact],
        rtol=0,
        atol=float(var) ** 0.5 * 1e-15,
    )


def test_sums_run_over_exactly_the_named_axes(rng: np.random.Generator) -> None:
    x = rng.integers(-9, 9, (2, 3, 4, 5)).astype(float)
    for axes in [(0,), (3,), (1, 2), (0, 2), (0, 1, 2, 3)]:
        np.testing.assert_array_equal(ref.total(x, axes), x.sum(axis=axes, keepdims=True))


def test_a_group_is_a_block_of_neighbouring_channels() -> None:
    x = np.arange(2 * 6 * 4, dtype=float).reshape(2, 6, 4)
    expected = ref.group_norm(x, 3)
    np.testing.assert_array_equal(expected.mean[1, 2, 0], x[1, 4:6].mean())
    np.testing.assert_array_equal(expected.mean.shape, (2, 3, 1))
