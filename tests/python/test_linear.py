"""Linear layers: cosines in place of dot products, and batch norm folded into the layer before."""

import array
import doctest
import inspect
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from helpers import assert_same_bits, assert_within
from numpy.typing import NDArray

import normfast as nf
from normfast import linear
from normfast.linear import cosine_linear, fold_batch_norm

Array = NDArray[Any]

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
FLOATS = [np.dtype(d) for d in ("float32", "float64", "float16", BFLOAT16)]
EPS = {d: float(ml_dtypes.finfo(d).eps) for d in FLOATS}
each_float = pytest.mark.parametrize("dtype", FLOATS, ids=str)


@pytest.fixture
def torch() -> Any:
    return pytest.importorskip("torch", reason="torch is not installed")


@pytest.mark.parametrize("function", [cosine_linear, fold_batch_norm])
def test_the_documentation_has_every_parameter_and_its_examples_hold(
    function: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nf, function.__name__, function, raising=False)
    (example,) = doctest.DocTestFinder(recurse=False).find(function, globs={"np": np, "nf": nf})
    report: list[str] = []
    assert doctest.DocTestRunner().run(example, out=report.append).attempted
    assert not report, "".join(report)
    for name in inspect.signature(function).parameters:
        assert name in inspect.getdoc(function).partition("Parameters\n")[2]


def test_what_the_module_has_to_offer() -> None:
    assert linear.__all__ == ["cosine_linear", "fold_batch_norm"]


# --- cosine_linear


def cosines(x: Array, weight: Array, bias: Any = 0, scale: float = 1, eps: float = 1e-12) -> Array:
    """The formula, in a type whose range no square of a float64 leaves."""

    def units(vectors: Array) -> Array:
        wide = vectors.astype(np.longdouble)
        length = np.maximum(np.sqrt((wide * wide).sum(-1, keepdims=True)), np.longdouble(eps))
        return wide / np.where(length == 0, 1, length)

    product = (units(x)[..., None, :] * units(weight)).sum(-1)
    return np.longdouble(scale) * product + np.asarray(bias).astype(np.longdouble)


def assert_cosines(y: Array, expected: Array, dtype: np.dtype, scale: float = 1) -> None:
    assert y.dtype == dtype
    computed = 1e-15 if dtype == np.float64 else 5e-7
    rounding = EPS[dtype] / 2 * np.abs(expected)
    assert_within(y, expected, 4 * computed * (abs(scale) + np.abs(expected)) + rounding)


@each_float
@pytest.mark.parametrize("shape", [(40,), (5, 40), (2, 3, 40), (0, 40), (1, 2, 1, 40)], ids=str)
@pytest.mark.parametrize("with_bias", [False, True], ids=["without bias", "with bias"])
def test_cosines_of_any_leading_axes(
    shape: tuple[int, ...], with_bias: bool, dtype: np.dtype, rng: np.random.Generator
) -> None:
    x = rng.standard_normal(shape).astype(dtype)
    weight = rng.standard_normal((7, 40)).astype(dtype)
    bias = rng.standard_normal(7).astype(dtype) if with_bias else None
    y = cosine_linear(x, weight, bias, scale=3)
    assert y.shape == (*shape[:-1], 7)
    assert_cosines(y, cosines(x, weight, 0 if bias is None else bias, 3), dtype, 3)


def test_a_cosine_is_one_along_a_row_and_zero_across() -> None:
    weight = np.array([[3.0, 4.0], [4.0, -3.0], [-6.0, -8.0]])
    y = cosine_linear(np.array([0.6, 0.8]), weight)
    np.testing.assert_allclose(y, [1, 0, -1], rtol=1e-15, atol=1e-15)


@pytest.mark.parametrize("size", [1e30, 1e-30, 3e38, 1e-40], ids="{:g}".format)
def test_huge_and_tiny_vectors_have_the_cosines_of_others(
    size: float, rng: np.random.Generator
) -> None:
    """1e-40 is a subnormal number, of fewer digits: the formula is of the values that are left."""
    x = (rng.uniform(-1, 1, (5, 16)) * size).astype(np.float32)
    weight = (rng.uniform(-1, 1, (3, 16)) / 7).astype(np.float32)
    assert_cosines(cosine_linear(x, weight, eps=0), cosines(x, weight, eps=0), np.dtype(np.float32))
    assert_cosines(cosine_linear(weight, x, eps=0), cosines(weight, x, eps=0), np.dtype(np.float32))
    assert_cosines(cosine_linear(x, x, eps=0), cosines(x, x, eps=0), np.dtype(np.float32))


@pytest.mark.parametrize("size", [1e300, 1e-300, 1e-310], ids="{:g}".format)
def test_huge_and_tiny_float64_vectors(size: float, rng: np.random.Generator) -> None:
    x = rng.uniform(-1, 1, (5, 16)) * size
    y = cosine_linear(x, x, eps=0)
    assert_cosines(y, cosines(x, x, eps=0), np.dtype(np.float64))
    np.testing.assert_allclose(np.diagonal(y), 1, rtol=1e-14)


@each_float
def test_a_zero_vector_gives_the_bias(dtype: np.dtype) -> None:
    x = np.zeros((2, 3), dtype)
    x[1] = 1
    weight = np.array([[0, 0, 0], [1, 1, 1]], dtype)
    bias = np.array([5, -0.5], dtype)
    for eps in (0.0, 1e-12):
        y = cosine_linear(x, weight, bias, scale=2, eps=eps)
        np.testing.assert_allclose(y.astype(float), [[5, -0.5], [5, 1.5]], rtol=4 * EPS[dtype])
        assert_same_bits(cosine_linear(x, weight, eps=eps)[0], np.zeros(2, dtype))


def test_a_norm_below_eps_is_divided_by_eps() -> None:
    x, weight = np.array([3e-13, 4e-13]), np.array([[3.0, 4.0]])
    np.testing.assert_allclose(cosine_linear(x, weight), 0.5, rtol=1e-14)
    np.testing.assert_allclose(cosine_linear(x, weight, eps=0), 1, rtol=1e-14)
    np.testing.assert_allclose(cosine_linear(x, weight, eps=25), 2e-14 * 0.2, rtol=1e-14)


@each_float
def test_the_result_is_of_the_dtype_of_x_whatever_the_parameters_are(
    dtype: np.dtype, rng: np.random.Generator
) -> None:
    x = rng.standard_normal((4, 24)).astype(dtype)
    for other in FLOATS:
        weight = rng.standard_normal((6, 24)).astype(other)
        bias = rng.standard_normal(6).astype(other)
        assert_cosines(cosine_linear(x, weight, bias), cosines(x, weight, bias), dtype)


def test_a_float64_parameter_makes_the_computation_float64(rng: np.random.Generator) -> None:
    """Of a float32 x all that is lost is the last rounding."""
    x = rng.standard_normal((50, 24)).astype(np.float32)
    weight, bias = rng.standard_normal((6, 24)), rng.standard_normal(6)
    expected = cosines(x, weight, bias)
    assert_same_bits(cosine_linear(x, weight, bias), expected.astype(np.float32))
    x = x.astype(BFLOAT16)
    assert_same_bits(
        cosine_linear(x, weight), cosines(x, weight).astype(np.float64).astype(BFLOAT16)
    )


def test_halves_are_rounded_once(rng: np.random.Generator) -> None:
    """Cosine, scale and bias in float32, then half: but for float32's own error at a boundary."""
    x, weight = rng.standard_normal((2, 64, 24)).astype(np.float16)
    bias = rng.standard_normal(64).astype(np.float32)
    y = cosine_linear(x, weight, bias, scale=10)
    exact = cosines(x, weight, bias, 10).astype(np.float64)
    assert np.mean(y == exact.astype(np.float16)) > 0.99


def test_the_bias_is_not_rounded_to_the_half_type_of_x() -> None:
    x, weight = np.ones((1, 4), np.float16), np.ones((1, 4), np.float16)
    y = cosine_linear(x, weight, np.array([2.0**-11 + 2.0**-20], np.float32))
    assert y[0, 0] == 1 + 2.0**-10


def test_the_scale_may_be_of_any_size(rng: np.random.Generator) -> None:
    x, weight = rng.standard_normal((2, 3, 8)).astype(np.float32)
    for scale in (0, -1, 64.0, np.float32(0.5), 1e20):
        y = cosine_linear(x, weight, scale=float(scale))
        assert_cosines(y, cosines(x, weight, scale=scale), np.dtype(np.float32), float(scale))


def test_nan_and_infinity_stay_in_their_row_and_column() -> None:
    x, weight = np.ones((4, 8), np.float32), np.ones((3, 8), np.float32)
    x[1, 2], x[2, 5], weight[0, 0] = np.nan, np.inf, np.nan
    y = cosine_linear(x, weight)
    assert np.isnan(y[1]).all()
    assert np.isnan(y[2]).all()
    assert np.isnan(y[:, 0]).all()
    np.testing.assert_allclose(y[[0, 3], 1:], 1, rtol=1e-6)


def test_a_result_too_large_for_a_half_is_infinite() -> None:
    x = np.ones((1, 4), np.float16)
    assert np.isposinf(cosine_linear(x, x, scale=1e6)).all()


def test_any_strides(rng: np.random.Generator) -> None:
    x, weight = rng.standard_normal((6, 5, 16)), rng.standard_normal((7, 16))
    expected = cosine_linear(x, weight)
    for strided in (
        np.asfortranarray(x),
        np.repeat(x, 3, axis=1)[:, ::3],
        x[:, :, ::-1].copy()[:, :, ::-1],
        x.transpose(1, 0, 2).copy().transpose(1, 0, 2),
    ):
        np.testing.assert_allclose(cosine_linear(strided, weight), expected, atol=1e-14)
    np.testing.assert_allclose(cosine_linear(x, np.asfortranarray(weight)), expected, atol=1e-14)
    row = np.broadcast_to(x[0, 0], (4, 16))
    np.testing.assert_allclose(cosine_linear(row, weight)[2], expected[0, 0], atol=1e-14)


def test_no_features_give_the_bias() -> None:
    y = cosine_linear(np.ones((2, 0)), np.ones((3, 0)), np.arange(3.0))
    np.testing.assert_array_equal(y, [[0, 1, 2]] * 2)
    assert cosine_linear(np.ones((2, 4)), np.ones((0, 4))).shape == (2, 0)


def test_cosine_linear_leaves_its_arguments_alone(rng: np.random.Generator) -> None:
    arguments = [rng.standard_normal(s) for s in ((5, 8), (3, 8), (3,))]
    before = [a.copy() for a in arguments]
    for argument in arguments:
        argument.flags.writeable = False
    y = cosine_linear(*arguments, scale=5, num_threads=1)
    assert all(map(np.array_equal, arguments, before))
    assert not any(np.shares_memory(y, argument) for argument in arguments)


@each_float
def test_tensors_are_taken_as_they_are(
    torch: Any, dtype: np.dtype, rng: np.random.Generator
) -> None:
    x, weight = rng.standard_normal((2, 6, 8)).astype(dtype)
    bias = rng.standard_normal(6).astype(dtype)

    def tensor(values: Array) -> Any:
        return torch.from_numpy(values.astype(np.float64)).to(getattr(torch, dtype.name))

    y = cosine_linear(tensor(x), tensor(weight), tensor(bias))
    assert type(y) is np.ndarray
    assert_same_bits(y, cosine_linear(x, weight, bias))
    with pytest.raises(TypeError, match=r"^cosine_linear: weight .*detach"):
        cosine_linear(x, tensor(weight).requires_grad_())


def test_memory_of_the_standard_library_is_taken() -> None:
    assert_same_bits(cosine_linear(array.array("f", [3, 4]), np.eye(2)), np.float32([0.6, 0.8]))


def test_cosine_linear_is_torchs_linear_of_normalized(torch: Any, rng: np.random.Generator) -> None:
    functional = torch.nn.functional
    x, weight, bias = (torch.from_numpy(rng.standard_normal(s)) for s in ((2, 5, 8), (3, 8), (3,)))
    x[0, 0], x[1, 1] = 0, 1e-13
    for eps in (1e-12, 0.5):
        units = [functional.normalize(side, dim=-1, eps=eps) for side in (x, weight)]
        expected = functional.linear(16 * units[0], units[1], bias)
        y = cosine_linear(x, weight, bias, scale=16, eps=eps)
        np.testing.assert_allclose(y, expected.numpy(), rtol=1e-13, atol=1e-13)


GOOD = {"x": np.ones((2, 3), np.float32), "weight": np.ones((4, 3)), "bias": np.ones(4)}


@pytest.mark.parametrize(
    ("error", "message", "changes"),
    [
        (ValueError, "x has no dimensions", {"x": np.ones(())}),
        (ValueError, r"x has shape \(2, 5\), expected 3", {"x": np.ones((2, 5))}),
        (ValueError, r"weight has shape \(3,\), expected \(out_f", {"weight": np.ones(3)}),
        (ValueError, r"weight has shape \(1, 4, 3\)", {"weight": np.ones((1, 4, 3))}),
        (ValueError, r"bias has shape \(3,\), expected \(4,\)", {"bias": np.ones(3)}),
        (ValueError, r"bias has shape \(\), expected \(4,\)", {"bias": np.ones(())}),
        (ValueError, "eps is -1", {"eps": -1}),
        (ValueError, "eps is nan", {"eps": np.nan}),
        (TypeError, "eps must be a number", {"eps": "1"}),
        (ValueError, "scale is nan", {"scale": np.nan}),
        (ValueError, "scale is inf", {"scale": np.inf}),
        (TypeError, "scale must be a number, got str", {"scale": "1"}),
        (TypeError, "scale must be a number, got bool", {"scale": True}),
        (ValueError, "num_threads is 0", {"num_threads": 0}),
        (TypeError, "num_threads must be an int", {"num_threads": 1.5}),
        (TypeError, "x is int64, expected float32", {"x": np.ones((2, 3), np.int64)}),
        (TypeError, "weight is int64", {"weight": np.ones((4, 3), np.int64)}),
        (TypeError, "bias has dtype complex128", {"bias": np.ones(4, complex)}),
        (TypeError, "x has dtype >f8, expected native", {"x": np.ones((2, 3), ">f8")}),
        (TypeError, "x must be a NumPy array", {"x": [[1.0, 2.0, 3.0]]}),
        (TypeError, "weight must be a NumPy array", {"weight": None}),
        (TypeError, "x is a masked array", {"x": np.ma.array(np.ones((2, 3)))}),
    ],
)
def test_a_wrong_argument_of_cosine_linear_is_named(
    error: type[Exception], message: str, changes: dict[str, Any]
) -> None:
    with pytest.raises(error, match=f"^cosine_linear: {message}") as raised:
        cosine_linear(**{**GOOD, **changes})
    assert raised.type is error
    assert len(str(raised.value)) < 200


# --- fold_batch_norm


def statistics(channels: int, rng: np.random.Generator) -> dict[str, Array]:
    return {
        "running_mean": rng.standard_normal(channels),
        "running_var": rng.uniform(0.2, 3, channels),
        "bn_weight": rng.uniform(-2, 2, channels),
        "bn_bias": rng.standard_normal(channels),
    }


def normed(y: Array, bn: dict[str, Array], eps: float = 1e-5) -> Array:
    """Batch norm in evaluation, of channels that are last."""
    scaled = (y - bn["running_mean"]) / np.sqrt(bn["running_var"] + eps)
    return scaled * bn.get("bn_weight", 1) + bn.get("bn_bias", 0)


@pytest.mark.parametrize("with_bias", [False, True], ids=["without bias", "with bias"])
def test_a_folded_dense_layer_is_the_layer_and_its_batch_norm(
    with_bias: bool, rng: np.random.Generator
) -> None:
    weight, bn = rng.standard_normal((5, 7)), statistics(5, rng)
    bias = rng.standard_normal(5) if with_bias else None
    folded, folded_bias = fold_batch_norm(weight, bias, **bn, eps=1e-3)
    x = rng.standard_normal((11, 7))
    y = x @ weight.T + (0 if bias is None else bias)
    np.testing.assert_allclose(
        x @ folded.T + folded_bias, normed(y, bn, 1e-3), rtol=1e-12, atol=1e-12
    )


def test_a_folded_dense_layer_that_keeps_its_outputs_last(rng: np.random.Generator) -> None:
    """(in, out), as Keras stores it."""
    weight, bn = rng.standard_normal((7, 5)), statistics(5, rng)
    x = rng.standard_normal((11, 7))
    for axis in (1, -1):
        folded, folded_bias = fold_batch_norm(weight, None, **bn, channel_axis=axis)
        np.testing.assert_allclose(
            x @ folded + folded_bias, normed(x @ weight, bn), rtol=1e-12, atol=1e-12
        )


@pytest.mark.parametrize("groups", [1, 2, 3])
@pytest.mark.parametrize("kernel", [(), (3,), (3, 2), (2, 1, 2)], ids=str)
def test_the_output_channel_of_each_weight(
    kernel: tuple[int, ...], groups: int, rng: np.random.Generator
) -> None:
    """Channel by channel: what belongs to a channel is multiplied by its factor."""
    bn = statistics(6, rng)
    factor = bn["bn_weight"] / np.sqrt(bn["running_var"] + 1e-5)

    weight = rng.standard_normal((6, 4, *kernel))  # a convolution: groups change nothing
    folded, _ = fold_batch_norm(weight, None, **bn, groups=groups)
    for channel in range(6):
        np.testing.assert_allclose(folded[channel], weight[channel] * factor[channel], rtol=1e-14)

    weight = rng.standard_normal((12, 6 // groups, *kernel))  # transposed
    folded, _ = fold_batch_norm(weight, None, **bn, channel_axis=1, groups=groups)
    for i in range(12):
        for j in range(6 // groups):
            group = i // (12 // groups)
            channel = group * (6 // groups) + j
            np.testing.assert_allclose(folded[i, j], weight[i, j] * factor[channel], rtol=1e-14)


def test_what_is_folded_is_known() -> None:
    folded, bias = fold_batch_norm(
        np.array([[1.0, 2.0], [3.0, 4.0]]),
        np.array([10.0, 20.0]),
        running_mean=np.array([9.0, 20.0]),
        running_var=np.array([3.0, 0.0]),
        bn_weight=np.array([4.0, 1.0]),
        bn_bias=np.array([0.5, 7.0]),
        eps=1.0,
    )
    np.testing.assert_array_equal(folded, [[2, 4], [3, 4]])
    np.testing.assert_array_equal(bias, [2.5, 7])


def test_scale_and_shift_may_be_missing(rng: np.random.Generator) -> None:
    weight, bn = rng.standard_normal((5, 7)), statistics(5, rng)
    without = {name: bn[name] for name in ("running_mean", "running_var")}
    assert_all_close(
        fold_batch_norm(weight, None, **without),
        fold_batch_norm(weight, np.zeros(5), **without, bn_weight=np.ones(5), bn_bias=np.zeros(5)),
    )


def assert_all_close(actual: tuple[Array, ...], expected: tuple[Array, ...]) -> None:
    for one, other in zip(actual, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-14)


def test_a_dead_channel_is_divided_by_one_as_in_batch_norm() -> None:
    """running_var + eps is 0."""
    weight, mean, var = np.array([[2.0], [2.0]]), np.array([1.0, 1.0]), np.array([0.0, 4.0])
    folded, bias = fold_batch_norm(weight, None, running_mean=mean, running_var=var, eps=0.0)
    np.testing.assert_array_equal(folded, [[2], [1]])
    np.testing.assert_array_equal(bias, [-1, -0.5])
    y = nf.batch_norm(np.ones((1, 2)) * weight.T, mean, var, eps=0.0)
    np.testing.assert_array_equal(folded.T + bias, y)


@pytest.mark.parametrize(
    ("dtype", "digits"),
    [("float16", 10), ("bfloat16", 7), ("float32", 23)],
)
def test_the_result_is_rounded_once(dtype: str, digits: int) -> None:
    """A little more than half a unit is rounded up; by way of a narrower type it is not."""
    gain = np.array([1 + 2.0 ** -(digits + 1) + 2.0**-40])
    if dtype == "float32":
        gain += 2.0**-50
    folded, bias = fold_batch_norm(
        np.ones((1, 2), dtype),
        np.zeros(1),
        running_mean=np.array([-1.0]),
        running_var=np.ones(1),
        bn_weight=gain,
        eps=0.0,
    )
    assert folded.dtype == bias.dtype == dtype
    np.testing.assert_array_equal(folded.astype(float), 1 + 2.0**-digits)
    np.testing.assert_array_equal(bias.astype(float), 1 + 2.0**-digits)


@each_float
def test_parameters_are_of_any_dtype(dtype: np.dtype, rng: np.random.Generator) -> None:
    weight = rng.standard_normal((6, 4, 3)).astype(dtype)
    for other in FLOATS:
        bn = {name: array.astype(other) for name, array in statistics(6, rng).items()}
        bias = rng.standard_normal(6).astype(other)
        folded = fold_batch_norm(weight, bias, **bn)
        wide = {name: array.astype(np.float64) for name, array in bn.items()}
        exact = fold_batch_norm(weight.astype(np.float64), bias.astype(np.float64), **wide)
        for one, reference in zip(folded, exact, strict=True):
            assert one.dtype == dtype
            scale = np.maximum(np.abs(reference), 1e-4)
            assert_within(one, reference.astype(np.longdouble), EPS[dtype] / 2 * scale)


@each_float
def test_subnormals_are_flushed_on_request(dtype: np.dtype) -> None:
    normal = float(ml_dtypes.finfo(dtype).smallest_normal)
    gain = np.array([normal, -normal, normal / 2, -normal / 4, 0.0])
    arguments: dict[str, Any] = {
        "weight": np.ones((5, 2), dtype),
        "bias": np.ones(5),
        "running_mean": np.zeros(5),
        "running_var": np.ones(5),
        "bn_weight": gain,
        "eps": 0.0,
    }
    for one in fold_batch_norm(**arguments):
        assert_same_bits(one.reshape(5, -1)[:, 0], gain.astype(dtype))
    expected = np.array([normal, -normal, 0, 0, 0]).astype(dtype)
    for one in fold_batch_norm(**arguments, flush_subnormals=True):
        assert_same_bits(one.reshape(5, -1)[:, 0], expected)


def test_what_rounds_up_to_a_normal_number_is_kept() -> None:
    normal = float(np.finfo(np.float32).smallest_normal)
    folded, _ = fold_batch_norm(
        np.ones((1, 1), np.float32),
        None,
        running_mean=np.zeros(1),
        running_var=np.ones(1),
        bn_weight=np.array([np.nextafter(normal, 0)]),
        eps=0.0,
        flush_subnormals=True,
    )
    assert folded[0, 0] == np.float32(normal)


def test_nan_and_overflow_stay_in_their_channel() -> None:
    folded, bias = fold_batch_norm(
        np.ones((4, 2), np.float16),
        None,
        running_mean=np.array([0, np.nan, 0, 0]),
        running_var=np.array([1, 1, 1e-20, -1]),
        eps=0.0,
        flush_subnormals=True,
    )
    np.testing.assert_array_equal(folded, [[1, 1], [1, 1], [np.inf, np.inf], [np.nan, np.nan]])
    assert np.isnan(bias).tolist() == [False, True, False, True]


@each_float
def test_fold_returns_new_arrays_and_leaves_its_arguments_alone(
    dtype: np.dtype, rng: np.random.Generator
) -> None:
    bn = {name: array.astype(dtype) for name, array in statistics(6, rng).items()}
    arguments = {"weight": rng.standard_normal((6, 4)).astype(dtype), "bias": bn["bn_bias"], **bn}
    before = {name: array.copy() for name, array in arguments.items()}
    for argument in arguments.values():
        argument.flags.writeable = False
    for options in ({}, {"flush_subnormals": True}, {"groups": 2}):
        for result in fold_batch_norm(**arguments, **options):
            assert result.flags.writeable
            assert not any(np.shares_memory(result, a) for a in arguments.values())
    for name, array_before in before.items():
        assert_same_bits(arguments[name], array_before)


def test_the_weights_memory_order_is_kept(rng: np.random.Generator) -> None:
    weight = rng.standard_normal((6, 3, 3, 4)).transpose(0, 3, 1, 2)  # channels last
    bn = statistics(6, rng)
    folded, _ = fold_batch_norm(weight, None, **bn)
    assert folded.strides == weight.strides
    assert_same_bits(folded, fold_batch_norm(weight.copy(order="C"), None, **bn)[0])


def test_no_channels() -> None:
    nothing = {name: np.zeros(0) for name in ("running_mean", "running_var")}
    folded, bias = fold_batch_norm(np.zeros((0, 3), np.float32), None, **nothing)
    assert (folded.shape, bias.shape) == ((0, 3), (0,))
    folded, bias = fold_batch_norm(
        np.zeros((4, 0, 2), np.float16), None, **nothing, channel_axis=1, groups=2
    )
    assert (folded.shape, bias.shape) == ((4, 0, 2), (0,))


LAYERS: dict[str, tuple[str, dict[str, Any]]] = {
    "linear": ("Linear", {}),
    "conv1d": ("Conv1d", {"kernel_size": 3}),
    "conv2d": ("Conv2d", {"kernel_size": (3, 2), "stride": 2, "padding": 1}),
    "conv2d, grouped": ("Conv2d", {"kernel_size": 2, "groups": 2}),
    "conv3d": ("Conv3d", {"kernel_size": 2}),
    "transposed 1d": ("ConvTranspose1d", {"kernel_size": 3}),
    "transposed 2d": ("ConvTranspose2d", {"kernel_size": (3, 2), "stride": 2}),
    "transposed 2d, grouped": ("ConvTranspose2d", {"kernel_size": 3, "groups": 2}),
    "transposed 3d, grouped": ("ConvTranspose3d", {"kernel_size": 2, "groups": 4}),
}


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("with_bias", [False, True], ids=["without bias", "with bias"])
def test_torchs_layer_and_batch_norm_are_the_folded_layer(
    torch: Any, name: str, with_bias: bool, rng: np.random.Generator
) -> None:
    kind, options = LAYERS[name]
    torch.manual_seed(0)
    layer = getattr(torch.nn, kind)(8, 12, bias=with_bias, dtype=torch.float64, **options)
    dims = int(kind[-2]) if kind[-1] == "d" else 0
    norm = torch.nn.BatchNorm2d(12, eps=1e-3, dtype=torch.float64).eval()
    bn = statistics(12, rng)
    names = {"running_mean": "running_mean", "running_var": "running_var"}
    names |= {"bn_weight": "weight", "bn_bias": "bias"}
    norm.load_state_dict(
        {names[key]: torch.from_numpy(value) for key, value in bn.items()}, strict=False
    )
    x = torch.from_numpy(rng.standard_normal((3, 8, *[6] * dims)))
    with torch.no_grad():
        y = layer(x)
        expected = norm(y.reshape(3, 12, -1, 1)).reshape(y.shape).numpy()
        weight, bias = fold_batch_norm(
            layer.weight.detach(),
            layer.bias.detach() if with_bias else None,
            **bn,
            eps=1e-3,
            channel_axis=1 if "Transpose" in kind else 0,
            groups=options.get("groups", 1),
        )
        layer.weight.copy_(torch.from_numpy(weight))
        layer.bias = torch.nn.Parameter(torch.from_numpy(bias))
        np.testing.assert_allclose(layer(x).numpy(), expected, rtol=1e-11, atol=1e-11)


def test_a_bfloat16_tensor_is_folded(torch: Any, rng: np.random.Generator) -> None:
    weight, bn = rng.standard_normal((6, 4)).astype(BFLOAT16), statistics(6, rng)
    tensor = torch.from_numpy(weight.astype(np.float32)).to(torch.bfloat16)
    folded, bias = fold_batch_norm(tensor, None, **bn)
    expected, expected_bias = fold_batch_norm(weight, None, **bn)
    assert_same_bits(folded, expected)
    assert_same_bits(bias, expected_bias)
    with pytest.raises(TypeError, match=r"^fold_batch_norm: weight .*detach"):
        fold_batch_norm(tensor.requires_grad_(), None, **bn)


FOLD: dict[str, Any] = {
    "weight": np.ones((4, 3, 2), np.float32),
    "bias": np.ones(4),
    "running_mean": np.ones(4),
    "running_var": np.ones(4),
    "bn_weight": np.ones(4),
    "bn_bias": np.ones(4),
}


@pytest.mark.parametrize(
    ("error", "message", "changes"),
    [
        *(
            (ValueError, rf"{name} has shape \(3,\), expected \(4,\)", {name: np.ones(3)})
            for name in FOLD
            if name != "weight"
        ),
        *((TypeError, f"{name} is int64", {name: np.ones(4, np.int64)}) for name in FOLD),
        *((TypeError, f"{name} must be a NumPy array", {name: [1.0]}) for name in FOLD),
        (TypeError, "running_mean must be a NumPy array", {"running_mean": None}),
        (TypeError, "running_var must be a NumPy array", {"running_var": None}),
        (ValueError, r"running_mean has shape \(4, 1\)", {"running_mean": np.ones((4, 1))}),
        (ValueError, r"weight has shape \(4,\), expected at least 2", {"weight": np.ones(4)}),
        (ValueError, "channel_axis is 3, out of range for 3", {"channel_axis": 3}),
        (ValueError, "channel_axis is -4, out of range", {"channel_axis": -4}),
        (TypeError, "channel_axis must be an int, got float", {"channel_axis": 1.0}),
        (ValueError, "groups is 3, expected a divisor of the 4", {"groups": 3}),
        (ValueError, "groups is 3, exp.* divisor", {"groups": 3, "channel_axis": 1}),
        (ValueError, "groups is 0", {"groups": 0}),
        (ValueError, "groups is -1", {"groups": -1}),
        (ValueError, "groups is 2 and channel_axis 2", {"groups": 2, "channel_axis": 2}),
        (TypeError, "groups must be an int, got bool", {"groups": True}),
        (ValueError, r".*has shape \(4,\), expected \(3,\)", {"channel_axis": 1}),
        (ValueError, r".*has shape \(4,\), exp.*\(6,\)", {"channel_axis": 1, "groups": 2}),
        (ValueError, "eps is -1", {"eps": -1}),
        (ValueError, "eps is nan", {"eps": np.nan}),
        (TypeError, "eps must be a number", {"eps": None}),
        (TypeError, "bias is a masked array", {"bias": np.ma.array(np.ones(4))}),
    ],
)
def test_a_wrong_argument_of_fold_batch_norm_is_named(
    error: type[Exception], message: str, changes: dict[str, Any]
) -> None:
    with pytest.raises(error, match=f"^fold_batch_norm: {message}") as raised:
        fold_batch_norm(**{**FOLD, **changes})
    assert raised.type is error
    assert len(str(raised.value)) < 200
