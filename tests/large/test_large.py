"""Arrays of more than 2^31 elements, which a 32-bit index cannot count: `nox -s large`.

4 GB of float16 each, most of them changed in place; every answer is known beforehand, and differs
from place to place so that an element of the wrong place is a wrong element.
"""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import normfast as nf

Array = NDArray[Any]

C, L = 64, 2**15
N = 2**31 // (C * L) + 1
SIGNS = np.random.default_rng(0).permuted(np.tile(np.float16([1, -1]), (C, L // 2)), axis=1)
MEAN = np.arange(-32.0, 32.0)  # with SCALE all exact in float16
SCALE = np.arange(C) % 8 + 1.0


SAMPLE = (MEAN[:, None] + SCALE[:, None] * SIGNS).astype(np.float16)


def signs(n: int) -> Array:
    """Of sample n, (C, L): each channel half 1 and half -1, every sample another turn."""
    return np.roll(SIGNS, n, axis=1)


def sample(n: int) -> Array:
    return np.roll(SAMPLE, n, axis=1)


def channels_first() -> Array:
    x = np.empty((N, C, L), np.float16)
    for n in range(N):
        x[n] = sample(n)
    return x


def channels_last() -> Array:
    x = np.empty((N, L, C), np.float16)
    for n in range(N):
        x[n] = sample(n).T
    return x


LAYOUTS = {
    "channels first": channels_first,
    "channels last": lambda: channels_last().transpose(0, 2, 1),
    "backwards": lambda: channels_first()[::-1, :, ::-1],
}


@pytest.fixture(params=LAYOUTS)
def x(request: pytest.FixtureRequest) -> Array:
    """(N, C, L), in memory of this order."""
    x = LAYOUTS[request.param]()
    assert x.size > 2**31
    return x


def is_backwards(x: Array) -> bool:
    return x.strides[0] < 0


def expected_signs(x: Array, n: int) -> Array:
    return signs(N - 1 - n)[:, ::-1] if is_backwards(x) else signs(n)


def test_batch_norm(x: Array) -> None:
    mean, var = np.zeros(C), np.zeros(C)
    nf.batch_norm(x, mean, var, training=True, momentum=1.0, eps=0.0, out=x)
    np.testing.assert_allclose(mean, MEAN, rtol=0, atol=1e-9)
    np.testing.assert_allclose(var, SCALE**2, rtol=1e-7)
    for n in range(N):
        assert (x[n] == expected_signs(x, n)).all(), n
    nf.batch_norm(x, -MEAN, np.ones(C), bias=SCALE, eps=0.0, out=x)  # evaluation
    for n in range(0, N, 31):
        assert (x[n] == expected_signs(x, n) + (MEAN + SCALE)[:, None]).all(), n


@pytest.mark.parametrize("axis", [0, 2, (0, 2), None])
def test_mean_var(x: Array, axis: Any) -> None:
    mean, var = nf.mean_var(x, axis)
    if axis == 0:
        total = np.zeros((C, L))
        for n in range(N):
            total += expected_signs(x, n)
        part = total / N
        np.testing.assert_allclose(mean, MEAN[:, None] + SCALE[:, None] * part, atol=1e-6)
        np.testing.assert_allclose(var, SCALE[:, None] ** 2 * (1 - part**2), atol=1e-4)
    elif axis is None:
        assert mean == pytest.approx(MEAN.mean(), abs=1e-9)
        assert var == pytest.approx((SCALE**2).mean() + MEAN.var(), rel=1e-7)
    else:
        np.testing.assert_allclose(mean, np.broadcast_to(MEAN, mean.shape), atol=1e-6)
        np.testing.assert_allclose(var, np.broadcast_to(SCALE**2, var.shape), rtol=1e-6)


def test_a_mask(x: Array) -> None:
    """What lies beyond 2^31 elements is not selected, and does no harm."""
    first = 1000
    x[first:, 5] = np.nan
    where = (np.arange(N) < first)[:, None, None]
    mean, var = nf.mean_var(x, (0, 2), where=where)
    np.testing.assert_allclose(mean, MEAN, atol=1e-9)
    np.testing.assert_allclose(var, SCALE**2, rtol=1e-7)
    nf.batch_norm(x, None, None, training=True, eps=0.0, where=where, out=x)
    for n in range(N):
        want = expected_signs(x, n)
        good = np.arange(C) != 5 if n >= first else slice(None)
        assert (x[n][good] == want[good]).all(), n
    assert np.isnan(x[first:, 5]).all()


# --- rows

WIDTH = 1024
ROWS = 2**21 + 1
PERIOD = 1021  # a prime: no power of two brings a row back to the same data


def pattern() -> Array:
    """PERIOD different rows."""
    rng = np.random.default_rng(1)
    return (3 + 2 * rng.standard_normal((PERIOD, WIDTH))).astype(np.float16)


def repeated(rows: Array) -> Array:
    x = np.empty((ROWS, WIDTH), rows.dtype)
    for start in range(0, ROWS, PERIOD):
        x[start : start + PERIOD] = rows[: ROWS - start]
    return x


def assert_repeats(y: Array, rows: Array) -> None:
    for start in range(0, ROWS, PERIOD):
        block = y[start : start + PERIOD]
        assert (block == rows[: len(block)]).all(), start


def normed(rows: Array) -> Array:
    """In float64, as NumPy has it."""
    wide = rows.astype(np.float64)
    centred = wide - wide.mean(1, keepdims=True)
    return centred / np.sqrt(wide.var(1, keepdims=True) + 1e-5)


@pytest.mark.parametrize("layout", ["rows", "columns"])
def test_layer_norm(layout: str) -> None:
    rows = pattern()
    x = repeated(rows)
    assert x.size > 2**31
    if layout == "columns":  # the same numbers, the axis that is normalised outside
        x = np.ascontiguousarray(x.T).T
    y, mean, rstd = nf.layer_norm(x, out=x, return_stats=True)
    assert y is x
    assert mean.shape == rstd.shape == (ROWS, 1)
    few = nf.layer_norm(rows)
    assert np.abs(few - normed(rows)).max() < 2e-3  # of float16
    if layout == "rows":
        assert_repeats(x, few)
    else:
        exact = normed(rows)
        for start in range(0, ROWS, PERIOD * 16):
            block = x[start : start + PERIOD]
            assert np.abs(block - exact[: len(block)]).max() < 2e-3
    np.testing.assert_allclose(mean[-1], rows[(ROWS - 1) % PERIOD].mean(dtype=float), rtol=1e-6)


def test_a_result_in_memory_of_its_own() -> None:
    """Written past the cache, unlike one in place; 9 GB."""
    rows = pattern()
    x = repeated(rows)
    assert_repeats(nf.layer_norm(x), nf.layer_norm(rows))
    assert_repeats(x, rows)


def test_layer_norm_of_everything_is_one_statistic() -> None:
    x = np.empty((N, C, L), np.float16)
    for n in range(N):
        x[n] = signs(n)
    x += np.float16(7)
    y, mean, rstd = nf.layer_norm(x, axis=(0, 1, 2), eps=0.0, out=x, return_stats=True)
    assert mean.item() == pytest.approx(7, abs=1e-12)
    assert rstd.item() == pytest.approx(1, rel=1e-12)
    for n in range(N):
        assert (y[n] == signs(n)).all(), n


def test_a_residual() -> None:
    """Two such arrays: the sum goes to the one, y to the other."""
    rows = pattern()
    x, residual = repeated(rows), repeated(rows[::-1])
    nf.layer_norm(x, residual=residual, out=(x, residual))
    y, total = nf.layer_norm(rows, residual=np.ascontiguousarray(rows[::-1]))
    assert_repeats(residual, total)
    assert_repeats(x, y)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8])
def test_sums_of_bytes_are_exact(dtype: Any) -> None:
    top = np.iinfo(dtype).max
    x = np.full(2**32 // 3, top, dtype)
    x = np.concatenate([x, x])
    x[::2] = 0
    assert x.size > 2**31
    mean, var = nf.mean_var(x)
    share = np.count_nonzero(x) / x.size
    assert mean == pytest.approx(top * share, rel=1e-15)
    assert var == pytest.approx(top**2 * share * (1 - share), rel=1e-14)
