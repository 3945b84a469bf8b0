"""normfast.onnx: each operator as the text of ONNX has it, alone and in onnx's evaluator."""

import doctest
import inspect
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from helpers import assert_all_same_bits, assert_same_bits, assert_within, run_python
from numpy.typing import NDArray

import normfast as nf
from normfast import onnx as nfo

Array = NDArray[Any]
Wide = np.longdouble

FLOAT32, FLOAT64, FLOAT16, BFLOAT16 = (
    np.dtype(d) for d in ("float32", "float64", "float16", ml_dtypes.bfloat16)
)
HALVES = [FLOAT16, BFLOAT16]
FLOATS = [FLOAT32, FLOAT64, *HALVES]
NUMBER = {FLOAT32: 1, FLOAT16: 10, FLOAT64: 11, BFLOAT16: 16}  # TensorProto.DataType
EPS = {d: float(ml_dtypes.finfo(d).eps) for d in FLOATS}
each_float = pytest.mark.parametrize("dtype", FLOATS, ids=str)
each_half = pytest.mark.parametrize("half", HALVES, ids=str)

OPERATORS = [name for name in nfo.__all__ if name != "reference_ops"]


@pytest.fixture
def onnx() -> Any:
    pytest.importorskip("onnx.reference", reason="onnx is not installed")
    return import_module("onnx")


# --- the documentation


@pytest.mark.parametrize("name", ["the module", *nfo.__all__])
def test_examples_hold(name: str) -> None:
    documented = getattr(nfo, name, nfo)
    if name == "reference_ops":
        pytest.importorskip("onnx.reference", reason="onnx is not installed")
    finder = doctest.DocTestFinder(recurse=False)
    (example,) = finder.find(documented, globs={"np": np, "nf": nf, "nfo": nfo})
    report: list[str] = []
    assert doctest.DocTestRunner().run(example, out=report.append).attempted
    assert not report, "".join(report)


@pytest.mark.parametrize("name", OPERATORS)
def test_every_input_and_attribute_is_documented(name: str) -> None:
    function = getattr(nfo, name)
    parameters = inspect.getdoc(function).partition("Parameters\n")[2].partition("Returns\n")[0]
    documented = re.findall(r"^([\w, ]+) :", parameters, re.MULTILINE)
    assert ", ".join(documented).split(", ") == list(inspect.signature(function).parameters)


def test_onnx_is_imported_by_reference_ops_alone() -> None:
    script = """
import sys, numpy as np, normfast.onnx
normfast.onnx.LpNormalization(np.ones(3))
print(any(name.partition(".")[0] == "onnx" for name in sys.modules))
"""
    assert run_python(script) == "False"


@pytest.mark.parametrize("name", OPERATORS)
def test_inputs_attributes_and_defaults_are_those_of_the_schema(onnx: Any, name: str) -> None:
    operator, _, version = name.partition("_")
    schema = onnx.defs.get_schema(operator, int(version or 23))
    parameters = inspect.signature(getattr(nfo, name)).parameters.values()
    inputs = [p.name for p in parameters if p.kind is not p.KEYWORD_ONLY]
    assert inputs == [i.name for i in schema.inputs]
    attributes = {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}
    assert set(attributes) == set(schema.attributes)
    for attribute, default in attributes.items():
        if schema.attributes[attribute].required:
            assert default is inspect.Parameter.empty
        else:
            value = onnx.helper.get_attribute_value(schema.attributes[attribute].default_value)
            assert np.float32(default).tolist() == np.float32(value).tolist()


# --- an independent reference, in long double


def moments(x: Array, axes: tuple[int, ...]) -> tuple[Array, Array]:
    wide = x.astype(Wide)
    mean = wide.mean(axes, keepdims=True)
    return mean, ((wide - mean) ** 2).mean(axes, keepdims=True)


def standardised(x: Array, axes: tuple[int, ...], epsilon: float = 1e-5) -> Array:
    mean, var = moments(x, axes)
    return (x.astype(Wide) - mean) / np.sqrt(var + Wide(np.float32(epsilon)))


def wide(array: Array) -> Array:
    return array.astype(Wide)


def assert_close(y: Array, expected: Array, dtype: np.dtype, roundings: float = 1) -> None:
    """Of this dtype; within what it and the computing type can tell, near the largest values."""
    assert y.dtype == dtype
    computed = 1e-15 if dtype == FLOAT64 else 1e-6
    largest = np.maximum(np.abs(expected), 1)
    assert_within(y, expected, (5 * computed + roundings * EPS[dtype]) * largest)


def values(shape: Any, dtype: np.dtype, rng: np.random.Generator) -> Array:
    return (1 + 2 * rng.standard_normal(shape)).astype(dtype)


def per_channel(array: Array, ndim: int) -> Array:
    return wide(array).reshape(-1, *[1] * (ndim - 2))


SHAPES = [(3, 4), (3, 4, 5), (2, 4, 3, 5), (2, 4, 2, 3, 2)]
each_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)


@each_float
@each_shape
def test_batch_normalization_with_given_statistics(
    shape: tuple[int, ...], dtype: np.dtype, rng: np.random.Generator
) -> None:
    x = values(shape, dtype, rng)
    scale, bias, mean = (values(4, dtype, rng) for _ in range(3))
    var = rng.uniform(0.2, 3, 4).astype(dtype)
    (y,) = nfo.BatchNormalization(x, scale, bias, mean, var, epsilon=1e-2)
    s, b, m, v = (per_channel(a, x.ndim) for a in (scale, bias, mean, var))
    expected = (wide(x) - m) / np.sqrt(v + Wide(np.float32(1e-2))) * s + b
    assert_close(y, expected, dtype, roundings=0.51)


@each_float
@each_shape
def test_batch_normalization_in_training(
    shape: tuple[int, ...], dtype: np.dtype, rng: np.random.Generator
) -> None:
    x = values(shape, dtype, rng)
    scale, bias, mean = (values(4, dtype, rng) for _ in range(3))
    var = rng.uniform(0.2, 3, 4).astype(dtype)
    y, running_mean, running_var = nfo.BatchNormalization(
        x, scale, bias, mean, var, momentum=0.7, training_mode=1
    )
    axes = tuple(a for a in range(x.ndim) if a != 1)
    normed = standardised(x, axes)
    expected = normed * per_channel(scale, x.ndim) + per_channel(bias, x.ndim)
    assert_close(y, expected, dtype, roundings=0.51)
    kept = Wide(np.float32(0.7))
    for running, old, new in zip(
        (running_mean, running_var), (mean, var), moments(x, axes), strict=True
    ):
        assert running.dtype == dtype
        expected = wide(old) * kept + new.ravel() * (1 - kept)
        assert_within(running, expected, (1e-6 + EPS[dtype]) * np.maximum(1, np.abs(expected)))


@each_float
@pytest.mark.parametrize("axis", [-1, 0, 1, 2, -2])
@pytest.mark.parametrize("with_bias", [False, True], ids=["without B", "with B"])
def test_layer_normalization(
    axis: int, with_bias: bool, dtype: np.dtype, rng: np.random.Generator
) -> None:
    x = values((3, 4, 5), dtype, rng)
    axes = tuple(range(axis % 3, 3))
    scale, bias = values((2, *x.shape[axis % 3 :]), dtype, rng)
    inputs = (x, scale, bias) if with_bias else (x, scale)
    y, mean, inverse = nfo.LayerNormalization(*inputs, axis=axis, epsilon=1e-3)
    expected = standardised(x, axes, 1e-3) * wide(scale) + (wide(bias) if with_bias else 0)
    if dtype == FLOAT64:  # normalised in float32
        assert_within(y, expected, 1e-6 * np.maximum(np.abs(wide(scale)), 1) * 4)
    else:
        assert_close(y, expected, dtype, roundings=4)
    assert mean.dtype == inverse.dtype == np.float32
    exact_mean, exact_var = moments(x, axes)
    exact_inverse = 1 / np.sqrt(exact_var + Wide(np.float32(1e-3)))
    for one, exact in ((mean, exact_mean), (inverse, exact_inverse)):
        assert_within(one, exact, 3e-7 * np.maximum(1, np.abs(exact)))


@each_float
@pytest.mark.parametrize("axis", [-1, 0, 1])
def test_rms_normalization(axis: int, dtype: np.dtype, rng: np.random.Generator) -> None:
    x = values((3, 4, 5), dtype, rng)
    axes = tuple(range(axis % 3, 3))
    scale = values(x.shape[axis % 3 :], dtype, rng)
    (y,) = nfo.RMSNormalization(x, scale, axis=axis, epsilon=1e-3)
    square = (wide(x) ** 2).mean(axes, keepdims=True)
    expected = wide(x) / np.sqrt(square + Wide(np.float32(1e-3))) * wide(scale)
    if dtype == FLOAT64:
        assert_within(y, expected, 1e-6 * np.maximum(np.abs(expected), 1))
    else:
        assert_close(y, expected, dtype, roundings=2)


def grouped(x: Array, groups: int) -> Array:
    split = x.reshape(len(x), groups, -1)
    return standardised(split, (2,)).reshape(x.shape)


@each_float
@each_shape
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_group_normalization_with_a_scale_for_each_channel(
    shape: tuple[int, ...], groups: int, dtype: np.dtype, rng: np.random.Generator
) -> None:
    x = values(shape, dtype, rng)
    scale, bias = values((2, 4), dtype, rng)
    (y,) = nfo.GroupNormalization(x, scale, bias, num_groups=groups, stash_type=11)
    expected = grouped(x, groups) * per_channel(scale, x.ndim) + per_channel(bias, x.ndim)
    assert_close(y, expected, dtype, roundings=4)


@each_float
@each_shape
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_group_normalization_with_a_scale_for_each_group(
    shape: tuple[int, ...], groups: int, dtype: np.dtype, rng: np.random.Generator
) -> None:
    x = values(shape, dtype, rng)
    scale, bias = values((2, groups), dtype, rng)
    (y,) = nfo.GroupNormalization_18(x, scale, bias, num_groups=groups)
    s, b = (
        per_channel(np.array([a[channel // (4 // groups)] for channel in range(4)]), x.ndim)
        for a in (scale, bias)
    )
    assert_close(y, grouped(x, groups) * s + b, dtype, roundings=0.51)


@each_float
@each_shape
def test_instance_normalization(
    shape: tuple[int, ...], dtype: np.dtype, rng: np.random.Generator
) -> None:
    x = values(shape, dtype, rng)
    scale, bias = values((2, 4), dtype, rng)
    (y,) = nfo.InstanceNormalization(x, scale, bias)
    if x.ndim == 2:
        expected = np.broadcast_to(wide(bias), x.shape)
    else:
        normed = standardised(x, tuple(range(2, x.ndim)))
        expected = normed * per_channel(scale, x.ndim) + per_channel(bias, x.ndim)
    assert_close(y, expected, dtype, roundings=0.51)


@each_float
@pytest.mark.parametrize("axes", [None, (0, 2, 3), [1], (-1, 0), [0, 1, 2, 3]], ids=str)
def test_mean_variance_normalization(
    axes: Sequence[int] | None, dtype: np.dtype, rng: np.random.Generator
) -> None:
    x = values((2, 4, 3, 5), dtype, rng)
    (y,) = nfo.MeanVarianceNormalization(x, **({} if axes is None else {"axes": axes}))
    mean, var = moments(x, (0, 2, 3) if axes is None else tuple(axes))
    expected = (wide(x) - mean) / (np.sqrt(var) + Wide(np.float32(1e-9)))
    assert_close(y, expected, dtype, roundings=0.51)


@each_float
@pytest.mark.parametrize("axis", [-1, 0, 1])
@pytest.mark.parametrize("p", [1, 2])
def test_lp_normalization(p: int, axis: int, dtype: np.dtype, rng: np.random.Generator) -> None:
    x = values((3, 4, 5), dtype, rng)
    (y,) = nfo.LpNormalization(x, axis=axis, p=p)
    norm = (np.abs(wide(x)) ** p).sum(axis, keepdims=True) ** (Wide(1) / p)
    assert_close(y, wide(x) / norm, dtype, roundings=0.51)


# --- answers that are known


def test_the_defaults_are_those_of_onnx() -> None:
    """axis -1, epsilon 1e-5, p 2, momentum 0.9, axes 0, 2, 3: tiny variances tell them apart."""
    x = np.array([[0.0, 2e-3], [1.0, 1.0]])
    y, *_ = nfo.LayerNormalization(x, np.ones(2), stash_type=11)
    expected = 1e-3 / np.sqrt(1e-6 + 1e-5)
    np.testing.assert_allclose(y, [[-expected, expected], [0, 0]], rtol=1e-6)
    (y,) = nfo.InstanceNormalization(x[:, None], np.ones(1), np.zeros(1))
    np.testing.assert_allclose(y[0, 0], [-expected, expected], rtol=1e-6)
    (y,) = nfo.RMSNormalization(x[:1], np.ones(2), stash_type=11)
    np.testing.assert_allclose(y, [[0, 2e-3 / np.sqrt(2e-6 + 1e-5)]], rtol=1e-6)
    _, mean, var = nfo.BatchNormalization(
        np.array([[1.0], [3.0]]), np.ones(1), np.zeros(1), np.zeros(1), np.zeros(1), training_mode=1
    )
    np.testing.assert_allclose([mean, var], [[0.2], [0.1]], rtol=1e-6)
    np.testing.assert_allclose(nfo.LpNormalization(np.array([3.0, 4.0]))[0], [0.6, 0.8], rtol=1e-15)
    x = np.arange(4.0).reshape(2, 1, 2, 1)
    (y,) = nfo.MeanVarianceNormalization(x)
    np.testing.assert_allclose(y, (x - 1.5) / np.sqrt(1.25), rtol=1e-8)


def test_attributes_are_float32_as_in_a_model() -> None:
    """0.1 is not 0.1."""
    x = np.zeros((1, 1, 2))
    x[0, 0] = 1, -1
    epsilon = float(np.float32(0.1))
    (y,) = nfo.InstanceNormalization(x, np.ones(1), np.zeros(1), epsilon=0.1)
    np.testing.assert_allclose(y[0, 0, 0], 1 / np.sqrt(1 + epsilon), rtol=1e-15)
    _, mean, _ = nfo.BatchNormalization(
        x, np.ones(1), np.zeros(1), np.ones(1), np.ones(1), momentum=0.1, training_mode=1
    )
    assert mean == epsilon


def test_momentum_is_the_share_that_is_kept_and_the_variance_the_populations() -> None:
    x, one, zero = np.array([[1.0], [3.0]]), np.ones(1), np.zeros(1)
    for momentum, expected in ((0.0, (2, 1)), (0.25, (1.5 + 2.5, 0.75 + 3)), (1.0, (10, 12))):
        _, mean, var = nfo.BatchNormalization(
            x, one, zero, 10 * one, 12 * one, momentum=momentum, training_mode=1
        )
        np.testing.assert_array_equal([mean[0], var[0]], expected)


@each_float
def test_one_value_for_each_channel_is_the_bias_in_training(dtype: np.dtype) -> None:
    """torch refuses; ONNX's population variance is 0."""
    scale, bias, mean, var = np.array([[2, 2], [5, 6], [1, 1], [4, 4]], dtype)
    for shape in ((1, 2), (1, 2, 1), (1, 2, 1, 1)):
        x = np.array([3, 7], dtype).reshape(shape)
        y, running_mean, running_var = nfo.BatchNormalization(
            x, scale, bias, mean, var, momentum=0.5, training_mode=1
        )
        assert_same_bits(y, bias.reshape(shape))
        assert_same_bits(running_mean, np.array([2, 4], dtype))
        assert_same_bits(running_var, np.array([2, 2], dtype))


def test_a_single_axis_is_one_channel() -> None:
    x, scale, bias = np.array([1.0, 3.0, 5.0]), np.array([2.0]), np.array([1.0])
    mean, var = np.array([3.0]), np.array([4.0])
    (y,) = nfo.BatchNormalization(x, scale, bias, mean, var, epsilon=0.0)
    np.testing.assert_array_equal(y, [-1, 1, 3])
    y, mean, var = nfo.BatchNormalization(
        x, scale, bias, mean, var, epsilon=0.0, momentum=0.0, training_mode=1
    )
    np.testing.assert_allclose(y, 1 + 2 * np.array([-1, 0, 1]) * np.sqrt(1.5), rtol=1e-15)
    np.testing.assert_allclose([mean, var], [[3], [8 / 3]], rtol=1e-15)


def test_a_batch_of_nothing_changes_no_running_statistics() -> None:
    one = np.ones(2)
    y, mean, var = nfo.BatchNormalization(
        np.ones((0, 2, 3)), one, one, 5 * one, 6 * one, training_mode=1
    )
    assert y.shape == (0, 2, 3)
    assert_all_same_bits((mean, var), (5 * one, 6 * one))


@each_float
def test_the_three_types_of_batch_normalization_are_independent(
    dtype: np.dtype, rng: np.random.Generator
) -> None:
    """T of X and Y, T1 of scale and B, T2 of the statistics."""
    x = values((3, 4, 5), dtype, rng)
    for affine in FLOATS:
        for statistics in FLOATS:
            scale, bias = values((2, 4), affine, rng)
            mean, var = rng.uniform(0.5, 2, (2, 4)).astype(statistics)
            (y,) = nfo.BatchNormalization(x, scale, bias, mean, var)
            s, b, m, v = (per_channel(a, 3) for a in (scale, bias, mean, var))
            expected = (wide(x) - m) / np.sqrt(v + Wide(np.float32(1e-5))) * s + b
            assert_close(y, expected, dtype, roundings=0.51)
            _, *running = nfo.BatchNormalization(x, scale, bias, mean, var, training_mode=1)
            assert [a.dtype for a in running] == [statistics] * 2


@each_float
def test_inputs_are_not_written_to(dtype: np.dtype, rng: np.random.Generator) -> None:
    x = values((2, 4, 3, 5), dtype, rng)
    a, b, c = values((3, 4), dtype, rng)
    var = rng.uniform(0.5, 2, 4).astype(dtype)
    calls: dict[str, tuple[tuple[Array, ...], dict[str, Any]]] = {
        "BatchNormalization": ((x, a, b, c, var), {"training_mode": 1}),
        "LayerNormalization": ((x, values(5, dtype, rng), values(5, dtype, rng)), {}),
        "RMSNormalization": ((x, values(5, dtype, rng)), {}),
        "GroupNormalization": ((x, a, b), {"num_groups": 2}),
        "GroupNormalization_18": ((x, a, b), {"num_groups": 4}),
        "InstanceNormalization": ((x, a, b), {}),
        "MeanVarianceNormalization": ((x,), {}),
        "LpNormalization": ((x,), {}),
    }
    assert set(calls) == set(OPERATORS)
    for name, (inputs, attributes) in calls.items():
        before = tuple(array.copy() for array in inputs)
        for array in inputs:
            array.flags.writeable = False
        outputs = getattr(nfo, name)(*inputs, **attributes)
        assert type(outputs) is tuple
        assert all(type(output) is np.ndarray for output in outputs)
        assert_all_same_bits(inputs, before)
        assert not any(np.shares_memory(o, i) for o in outputs for i in inputs)


def test_a_single_value_of_an_instance_is_the_bias() -> None:
    bias = np.array([3.0, -1.0])
    for shape in ((2, 2), (2, 2, 1), (1, 2, 1, 1)):
        (y,) = nfo.InstanceNormalization(np.full(shape, 7.0), np.ones(2), bias)
        np.testing.assert_array_equal(y.reshape(-1, 2), [bias] * shape[0])


def test_no_elements_give_no_elements() -> None:
    one, none = np.ones(4, np.float16), np.ones(0)
    x = np.ones((0, 4, 3, 2), np.float16)
    for y in (
        *nfo.BatchNormalization(x, one, one, one, one),
        nfo.LayerNormalization(x, one[:2])[0],
        *nfo.RMSNormalization(x, one[:2]),
        *nfo.GroupNormalization(x, one, one, num_groups=2),
        *nfo.GroupNormalization_18(x, one, one, num_groups=4),
        *nfo.InstanceNormalization(x, one, one),
        *nfo.MeanVarianceNormalization(x),
        *nfo.LpNormalization(x),
    ):
        assert (y.shape, y.dtype) == (x.shape, x.dtype)
    assert nfo.InstanceNormalization(np.ones((2, 0, 3)), none, none)[0].shape == (2, 0, 3)


def test_a_constant_is_zero_after_mean_variance_normalization() -> None:
    (y,) = nfo.MeanVarianceNormalization(np.full((2, 3, 4, 5), 0.1, np.float32))
    np.testing.assert_array_equal(y, 0)


@pytest.mark.parametrize("dtype", [FLOAT32, FLOAT64], ids=str)
def test_mean_variance_normalization_adds_1e_9_to_the_standard_deviation(dtype: np.dtype) -> None:
    """Outside of the root: values 2e-9 apart are halved."""
    x = np.array([[0, 2e-9], [0, 2e-3], [0, 2e-30], [5, 5]], dtype)
    (y,) = nfo.MeanVarianceNormalization(x, axes=[1])
    expected = np.array([[0.5], [1], [1e-21], [0]]) * [-1, 1]
    np.testing.assert_allclose(y, expected, rtol=2e-6)


def test_mean_variance_normalization_keeps_its_digits_far_from_zero() -> None:
    """The function of ONNX subtracts squares: it has no digit left here."""
    x = np.array([[1e6 + 1, 1e6 - 1, 1e6 + 2, 1e6 - 2]], np.float32)
    (y,) = nfo.MeanVarianceNormalization(x, axes=[1])
    np.testing.assert_allclose(y, np.array([[1, -1, 2, -2]]) / np.sqrt(2.5), rtol=1e-6)
    (y,) = nfo.MeanVarianceNormalization(np.array([[1e200, -1e200]]), axes=[1])
    np.testing.assert_array_equal(y, [[1, -1]])


def test_no_axes_are_all_axes() -> None:
    """As in ONNX's reductions."""
    x = np.arange(4.0).reshape(2, 2)
    assert_all_same_bits(
        nfo.MeanVarianceNormalization(x, axes=[]), nfo.MeanVarianceNormalization(x, axes=[0, 1])
    )


@each_float
def test_a_zero_vector_stays_zero(dtype: np.dtype) -> None:
    x = np.array([[0, 0], [-3, 4], [0, -2]], dtype)
    (y,) = nfo.LpNormalization(x)
    np.testing.assert_allclose(y.astype(float), [[0, 0], [-0.6, 0.8], [0, -1]], rtol=EPS[dtype])
    (y,) = nfo.LpNormalization(x, p=1)
    np.testing.assert_allclose(y.astype(float), [[0, 0], [-3 / 7, 4 / 7], [0, -1]], rtol=EPS[dtype])


def test_scale_and_bias_broadcast_to_x(rng: np.random.Generator) -> None:
    x = values((3, 4, 5), FLOAT32, rng)
    normed, *_ = nfo.LayerNormalization(x, np.ones((), np.float32), axis=1)
    for shape in ((), (1,), (5,), (4, 1), (4, 5), (1, 4, 5), (3, 1, 1), (3, 4, 5)):
        scale, bias = (values((1, *shape), FLOAT32, rng)[0, ...] for _ in range(2))
        for dtype in (FLOAT32, FLOAT16):
            inputs = [a.astype(dtype) for a in (x, scale, bias)]
            y, *_ = nfo.LayerNormalization(*inputs, axis=1)
            assert_close(y, wide(normed) * scale + bias, dtype, roundings=4)
            (y,) = nfo.RMSNormalization(*inputs[:2], axis=1)
            (one,) = nfo.RMSNormalization(inputs[0], np.ones(1, dtype), axis=1)
            assert_close(y, wide(one) * wide(inputs[1]), dtype, roundings=1)


def test_a_missing_bias_is_none(rng: np.random.Generator) -> None:
    x, scale = values((3, 5), FLOAT32, rng), values(5, FLOAT32, rng)
    assert_all_same_bits(
        nfo.LayerNormalization(x, scale), nfo.LayerNormalization(x, scale, None, axis=1)
    )


def test_where_onnx_divides_zero_by_zero_the_result_is_the_bias() -> None:
    x, one, bias = np.full((2, 2, 3), 7, np.float32), np.ones(2, np.float32), np.float32([3, 4])
    for y in (
        *nfo.InstanceNormalization(x, one, bias, epsilon=0.0),
        *nfo.GroupNormalization(x, one, bias, num_groups=1, epsilon=0.0),
    ):
        np.testing.assert_array_equal(y, np.broadcast_to(bias[:, None], x.shape))


# --- rounding


@each_half
def test_the_normalised_value_is_rounded_to_a_half_before_scale_and_bias(
    half: np.dtype, rng: np.random.Generator
) -> None:
    """Cast, Mul, Add as ONNX writes them; only a tie of the first may fall to either side."""
    x = values((64, 96), half, rng)
    scale, bias = values((2, 96), half, rng)
    normed = standardised(x, (1,)).astype(np.float32).astype(half)
    y, *_ = nfo.LayerNormalization(x, scale, bias)
    assert np.mean(y == normed * scale + bias) > 0.999
    (y,) = nfo.GroupNormalization(x, scale, bias, num_groups=1)
    assert np.mean(y == normed * scale + bias) > 0.999
    rms = np.sqrt((wide(x) ** 2).mean(1, keepdims=True) + Wide(np.float32(1e-5)))
    (y,) = nfo.RMSNormalization(x, scale)
    assert np.mean(y == (wide(x) / rms).astype(np.float32).astype(half) * scale) > 0.999


def test_two_stages_are_not_one() -> None:
    """sqrt(1.5) is 1.224609375 in float16; a hundred times that is not near 100 * sqrt(1.5)."""
    x, scale = np.array([[1, 2, 3]], np.float16), np.full(3, 100, np.float16)
    y, *_ = nfo.LayerNormalization(x, scale, epsilon=0.0)
    np.testing.assert_array_equal(y, [[-122.4375, 0, 122.4375]])
    (y,) = nfo.GroupNormalization(x, scale, 0 * scale, num_groups=1, epsilon=0.0)
    np.testing.assert_array_equal(y, [[-122.4375, 0, 122.4375]])
    (y,) = nfo.GroupNormalization_18(x, scale[:1], 0 * scale[:1], num_groups=1, epsilon=0.0)
    np.testing.assert_array_equal(y, [[-122.5, 0, 122.5]])
    np.testing.assert_array_equal(nf.layer_norm(x, weight=scale, eps=0.0), [[-122.5, 0, 122.5]])
    # sqrt(1 / 2) is 0.70703125, sqrt(2) is 1.4140625
    x, scale = np.array([[1, 1, 2]], np.float16), np.full(3, 370, np.float16)
    (y,) = nfo.RMSNormalization(x, scale, epsilon=0.0)
    np.testing.assert_array_equal(y, [[261.5, 261.5, 523]])


def test_float64_is_normalised_in_float32_unless_stash_type_says_otherwise(
    rng: np.random.Generator,
) -> None:
    x, scale, bias = (values(s, FLOAT64, rng) for s in ((4, 50), 50, 50))
    narrow, one = x.astype(np.float32), np.ones(1, np.float32)
    normed, mean, inverse = nfo.LayerNormalization(narrow, one)
    y, *statistics = nfo.LayerNormalization(x, scale, bias)
    assert_same_bits(y, normed.astype(np.float64) * scale + bias)
    assert_all_same_bits(tuple(statistics), (mean, inverse))
    y, *statistics = nfo.LayerNormalization(x, scale, bias, stash_type=11)
    assert_close(y, standardised(x, (1,)) * scale + bias, FLOAT64)
    assert [a.dtype for a in statistics] == [np.float64] * 2

    (normed,) = nfo.RMSNormalization(narrow, one)
    assert_same_bits(nfo.RMSNormalization(x, scale)[0], normed.astype(np.float64) * scale)
    (normed,) = nfo.GroupNormalization(narrow, *np.float32([[1] * 50, [0] * 50]), num_groups=5)
    (y,) = nfo.GroupNormalization(x, scale, bias, num_groups=5)
    assert_same_bits(y, normed.astype(np.float64) * scale + bias)


def test_what_float32_cannot_hold_is_lost_under_stash_type_1() -> None:
    x, one = np.array([[1e200, -1e200]]), np.ones(2)
    assert np.isnan(nfo.LayerNormalization(x, one)[0]).all()
    np.testing.assert_array_equal(nfo.LayerNormalization(x, one, stash_type=11)[0], [[1, -1]])


@each_float
@pytest.mark.parametrize("stash", FLOATS, ids=str)
def test_any_stash_type(stash: np.dtype, dtype: np.dtype, rng: np.random.Generator) -> None:
    """Inputs cast to it, the first stage and the statistics rounded to it."""
    x, scale, bias = (values(s, dtype, rng) for s in ((4, 50), 50, 50))
    normed = standardised(x.astype(stash), (1,))
    coarse = EPS[max(stash, dtype, key=EPS.__getitem__)]
    tolerance = (3 * coarse + 2e-6) * np.maximum(1, np.abs(normed))
    y, mean, inverse = nfo.LayerNormalization(x, scale, bias, stash_type=NUMBER[stash])
    assert y.dtype == dtype
    assert mean.dtype == inverse.dtype == stash
    gain = np.maximum(np.abs(wide(scale)), 1) + np.abs(wide(bias))
    assert_within(y, normed * wide(scale) + wide(bias), tolerance * gain)
    y, *_ = nfo.LayerNormalization(x, np.ones(1, dtype), stash_type=NUMBER[stash])
    assert_same_bits(y, y.astype(stash).astype(dtype) if stash.itemsize < 4 else y)
    (y,) = nfo.GroupNormalization(x, scale, bias, num_groups=1, stash_type=NUMBER[stash])
    assert_within(y, normed * wide(scale) + wide(bias), tolerance * gain)
    (y,) = nfo.RMSNormalization(x, scale, stash_type=NUMBER[stash])
    rms = np.sqrt((wide(x.astype(stash)) ** 2).mean(1, keepdims=True) + Wide(1e-5))
    assert_within(y, wide(x.astype(stash)) / rms * wide(scale), tolerance * gain)


@each_float
def test_the_result_of_rms_normalization_is_of_the_type_of_scale(
    dtype: np.dtype, rng: np.random.Generator
) -> None:
    x = values((4, 50), dtype, rng)
    rms = np.sqrt((wide(x) ** 2).mean(1, keepdims=True) + Wide(np.float32(1e-5)))
    for other in FLOATS:
        scale = values(50, other, rng)
        (y,) = nfo.RMSNormalization(x, scale, stash_type=11)
        assert y.dtype == other
        expected = wide(x) / rms * wide(scale)
        coarse = EPS[max(other, dtype, key=EPS.__getitem__)]
        assert_within(y, expected, (2e-15 + 2 * coarse) * np.maximum(1, np.abs(expected)))


def test_bfloat16_statistics_need_no_bfloat16_input() -> None:
    script = """
import sys, numpy as np
from normfast import onnx as nfo
_, mean, _ = nfo.LayerNormalization(np.ones((1, 4)), np.ones(4), stash_type=16)
print(mean.dtype)
"""
    assert run_python(script) == "bfloat16"


# --- onnx's evaluator


def evaluate(
    onnx: Any,
    operator: str,
    opset: int,
    inputs: Sequence[Array | None],
    outputs: int,
    *,
    new_ops: Any = None,
    **attributes: Any,
) -> tuple[Array, ...]:
    """One node, of onnx's own implementation or of that in new_ops; a None has no name."""
    feeds = {f"x{i}": array for i, array in enumerate(inputs) if array is not None}
    names = ["" if array is None else f"x{i}" for i, array in enumerate(inputs)]
    results = [f"y{i}" for i in range(outputs)]
    helper = onnx.helper
    graph = helper.make_graph(
        [helper.make_node(operator, names, results, **attributes)],
        "graph",
        [
            helper.make_tensor_value_info(
                name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape
            )
            for name, array in feeds.items()
        ],
        [helper.make_value_info(name, onnx.TypeProto()) for name in results],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    session = onnx.reference.ReferenceEvaluator(model, new_ops=new_ops)
    return tuple(session.run(None, feeds))


# An operator, its opset, the shapes of its inputs (None: missing), the number of its outputs, and
# its attributes.
Case = tuple[str, int, list[tuple[int, ...] | None], int, dict[str, Any]]
X3, X4 = (3, 4, 5), (2, 4, 3, 5)
NODES: list[Case] = [
    ("BatchNormalization", 15, [X3, (4,), (4,), (4,), (4,)], 1, {}),
    ("BatchNormalization", 15, [(3, 4), (4,), (4,), (4,), (4,)], 1, {"epsilon": 0.1}),
    ("BatchNormalization", 15, [X4, (4,), (4,), (4,), (4,)], 3, {"training_mode": 1}),
    (
        "BatchNormalization",
        15,
        [X4, (4,), (4,), (4,), (4,)],
        3,
        {"training_mode": 1, "momentum": 0.3, "epsilon": 0.1},
    ),
    ("LayerNormalization", 17, [X3, (5,), (5,)], 3, {}),
    ("LayerNormalization", 17, [X3, (5,), None], 1, {"epsilon": 0.1}),
    ("LayerNormalization", 17, [X3, (5,)], 2, {"axis": 2, "stash_type": 1}),
    ("LayerNormalization", 17, [X3, (4, 5), (4, 5)], 3, {"axis": 1}),
    ("LayerNormalization", 17, [X3, X3, X3], 3, {"axis": 0}),
    ("LayerNormalization", 17, [X4, (3, 5), (3, 5)], 3, {"axis": -2}),
    ("LayerNormalization", 17, [X3, (4, 1), (1,)], 3, {"axis": 1}),
    ("RMSNormalization", 23, [X3, (5,)], 1, {}),
    ("RMSNormalization", 23, [X3, (4, 5)], 1, {"axis": 1, "epsilon": 0.1, "stash_type": 1}),
    ("RMSNormalization", 23, [X3, (1,)], 1, {"axis": -3}),
    ("GroupNormalization", 18, [X4, (2,), (2,)], 1, {"num_groups": 2}),
    ("GroupNormalization", 18, [X3, (4,), (4,)], 1, {"num_groups": 4, "epsilon": 0.1}),
    ("GroupNormalization", 20, [X3, (1,), (1,)], 1, {"num_groups": 1}),
    ("GroupNormalization", 21, [X4, (4,), (4,)], 1, {"num_groups": 2}),
    ("GroupNormalization", 21, [X3, (4,), (4,)], 1, {"num_groups": 1, "epsilon": 0.1}),
    ("GroupNormalization", 21, [X3, (4,), (4,)], 1, {"num_groups": 4, "stash_type": 1}),
    ("InstanceNormalization", 6, [X3, (4,), (4,)], 1, {}),
    ("InstanceNormalization", 22, [X4, (4,), (4,)], 1, {"epsilon": 0.1}),
    ("MeanVarianceNormalization", 13, [X4], 1, {}),
    ("MeanVarianceNormalization", 13, [X3], 1, {"axes": [1]}),
    ("MeanVarianceNormalization", 13, [X3], 1, {"axes": [0, -1]}),
    ("LpNormalization", 22, [X3], 1, {}),
    ("LpNormalization", 22, [X3], 1, {"axis": 1, "p": 2}),
    ("LpNormalization", 1, [X3], 1, {"axis": -2, "p": 1}),
]


def named(case: Case) -> str:
    operator, opset, shapes, outputs, attributes = case
    return f"{operator}-{opset}-{shapes[1:]}-{outputs}-{attributes}"


def inputs_of(case: Case, dtype: np.dtype, rng: np.random.Generator) -> list[Array | None]:
    """Of what onnx's evaluator is good at.

    Its functions subtract squares, which is exact near mean 0; and of LpNormalization it forgets
    the magnitude where p is 1.
    """
    operator, _, shapes, *_ = case
    x = rng.standard_normal(shapes[0])
    others = [None if shape is None else rng.uniform(0.5, 2, shape) for shape in shapes[1:]]
    arrays = [np.abs(x) if operator == "LpNormalization" else x, *others]
    return [None if array is None else array.astype(dtype) for array in arrays]


def function_of(case: Case) -> Callable[..., tuple[Array, ...]]:
    operator, opset, *_ = case
    old = operator == "GroupNormalization" and opset < 21
    function: Callable[..., tuple[Array, ...]] = getattr(nfo, operator + "_18" * old)
    return function


@pytest.mark.parametrize(
    ("case", "dtype"),
    [
        pytest.param(case, dtype, id=f"{named(case)}-{dtype}")
        for case in NODES
        for dtype in FLOATS
        if case[0] != "MeanVarianceNormalization" or dtype == FLOAT32  # onnx's has no other
    ],
)
def test_onnxs_own_implementation_agrees(
    onnx: Any, case: Case, dtype: np.dtype, rng: np.random.Generator
) -> None:
    """As far as it is exact: it computes halves in halves, and float64 in float64.

    normfast obeys stash_type, and normalises float64 in float32.
    """
    operator, opset, _, outputs, attributes = case
    inputs = inputs_of(case, dtype, rng)
    with np.errstate(all="ignore"):
        expected = evaluate(onnx, operator, opset, inputs, outputs, **attributes)
    actual = function_of(case)(*inputs, **attributes)
    staged = "stash_type" in inspect.signature(function_of(case)).parameters
    tolerance = 1e-13 if dtype == FLOAT64 and not staged else max(5e-6, 16 * EPS[dtype])
    for y, reference in zip(actual[:outputs], expected, strict=True):
        assert y.shape == reference.shape
        magnitude = np.maximum(1, np.abs(wide(reference)))
        assert_within(y, wide(reference), tolerance * magnitude)


@each_half
def test_onnxs_function_of_group_normalization_has_the_same_bits_in_half(
    onnx: Any, half: np.dtype, rng: np.random.Generator
) -> None:
    """It writes the two stages out as Cast, Mul and Add. Ties of the Cast apart."""
    x = values((4, 8, 50), half, rng)
    scale, bias = values((2, 8), half, rng)
    (expected,) = evaluate(onnx, "GroupNormalization", 21, [x, scale, bias], 1, num_groups=2)
    (y,) = nfo.GroupNormalization(x, scale, bias, num_groups=2)
    assert np.mean(y == expected) > 0.998


@each_float
@pytest.mark.parametrize("case", NODES, ids=named)
def test_in_onnxs_evaluator_the_outputs_are_those_of_the_function(
    onnx: Any, case: Case, dtype: np.dtype, rng: np.random.Generator
) -> None:
    operator, opset, _, outputs, attributes = case
    inputs = inputs_of(case, dtype, rng)
    ours = {"new_ops": nfo.reference_ops()}
    evaluated = evaluate(onnx, operator, opset, inputs, outputs, **ours, **attributes)
    assert_all_same_bits(evaluated, function_of(case)(*inputs, **attributes)[:outputs])


@each_float
@pytest.mark.parametrize("case", NODES, ids=named)
def test_shapes_and_dtypes_are_those_that_onnx_infers(
    onnx: Any, case: Case, dtype: np.dtype, rng: np.random.Generator
) -> None:
    operator, opset, _, outputs, attributes = case
    helper = onnx.helper
    inputs = inputs_of(case, dtype, rng)
    number = helper.np_dtype_to_tensor_dtype(dtype)
    graph = helper.make_graph(
        [
            helper.make_node(
                operator,
                ["" if a is None else f"x{i}" for i, a in enumerate(inputs)],
                [f"y{i}" for i in range(outputs)],
                **attributes,
            )
        ],
        "graph",
        [
            helper.make_tensor_value_info(f"x{i}", number, a.shape)
            for i, a in enumerate(inputs)
            if a is not None
        ],
        [helper.make_value_info(f"y{i}", onnx.TypeProto()) for i in range(outputs)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    inferred = onnx.shape_inference.infer_shapes(model).graph.output
    actual = function_of(case)(*inputs, **attributes)[:outputs]
    for y, info in zip(actual, inferred, strict=True):
        tensor = info.type.tensor_type
        if tensor.elem_type:
            assert helper.tensor_dtype_to_np_dtype(tensor.elem_type) == y.dtype
        if tensor.HasField("shape"):
            assert tuple(d.dim_value for d in tensor.shape.dim) == y.shape


def backend_cases(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """The nodes, inputs and outputs with which ONNX tests a backend."""
    found: list[tuple[Any, ...]] = []

    def expect(node: Any, inputs: Any, outputs: Any, name: str, **_: Any) -> None:
        found.append((node, inputs, outputs, name))

    modules = {
        "batch_normalization": "BatchNormalization",
        "groupnormalization": "GroupNormalization",
        "instance_normalization": "InstanceNormalization",
        "layernormalization": "LayerNormalization",
        "lpnormalization": "LpNormalization",
        "meanvariancenormalization": "MeanVarianceNormalization",
        "rmsnormalization": "RMSNormalization",
    }
    for module_name, operator in modules.items():
        before = len(found)
        with np.errstate(all="ignore"):
            module = import_module(f"onnx.backend.test.case.node.{module_name}")
            monkeypatch.setattr(module, "expect", expect)
            for name, export in inspect.getmembers(getattr(module, operator)):
                if name.startswith("export"):
                    export()
        assert len(found) > before, operator
    return found


def test_onnxs_tests_of_a_backend_pass(onnx: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for node, inputs, outputs, name in backend_cases(monkeypatch):
        session = onnx.reference.ReferenceEvaluator(node, new_ops=nfo.reference_ops())
        results = session.run(None, dict(zip(node.input, inputs, strict=True)))
        for result, expected in zip(results, outputs, strict=True):
            assert (result.shape, result.dtype) == (expected.shape, expected.dtype), name
            np.testing.assert_allclose(result, expected, rtol=1e-3, atol=1e-6, err_msg=name)


def model_of(onnx: Any, text: str) -> Any:
    model = onnx.parser.parse_model(text)
    onnx.checker.check_model(model, full_check=True)
    return model


def test_a_model_runs_with_these_operators_and_with_onnxs(
    onnx: Any, rng: np.random.Generator
) -> None:
    model = model_of(
        onnx,
        """
        <ir_version: 10, opset_import: ["": 23]>
        network (float[N, 4, 5] x, float[4] a, float[4] b, float[4] m, float[4] v, float[5] s)
            => (float[N, 4, 5] y, float[N, 4, 1] mean)
        {
            h = BatchNormalization <epsilon = 1e-3> (x, a, b, m, v)
            r = Relu (h)
            g = GroupNormalization <num_groups = 2> (r, a, b)
            n, mean = LayerNormalization <axis = -1> (g, s)
            q = RMSNormalization (n, s)
            y = LpNormalization <axis = 1> (q)
        }
        """,
    )
    feeds = {"x": values((3, 4, 5), FLOAT32, rng), "s": values(5, FLOAT32, rng)}
    feeds |= {name: rng.uniform(0.5, 2, 4).astype(np.float32) for name in "abmv"}
    evaluator = onnx.reference.ReferenceEvaluator
    actual = evaluator(model, new_ops=nfo.reference_ops()).run(None, feeds)
    for one, expected in zip(actual, evaluator(model).run(None, feeds), strict=True):
        np.testing.assert_allclose(one, expected, rtol=1e-4, atol=1e-5)


def test_attributes_may_be_those_of_a_function(onnx: Any, rng: np.random.Generator) -> None:
    node = onnx.helper.make_node("LpNormalization", ["x"], ["y"], axis=0)
    node.attribute.add(name="p", type=onnx.AttributeProto.INT, ref_attr_name="order")
    opset = [onnx.helper.make_opsetid("", 22)]
    function = onnx.helper.make_function("own", "Unit", ["x"], ["y"], [node], opset, ["order"])
    session = onnx.reference.ReferenceEvaluator(function, new_ops=nfo.reference_ops())
    x = values((3, 4), FLOAT32, rng)
    for p in (1, 2):
        (y,) = session.run(None, {"x": x}, attributes={"order": p})
        assert_same_bits(y, nfo.LpNormalization(x, axis=0, p=p)[0])


def test_the_classes_evaluate_alone(onnx: Any) -> None:
    del onnx
    ops = {op.__name__: op for op in nfo.reference_ops()}
    assert set(ops) == {name.partition("_")[0] for name in OPERATORS}
    y = ops["LpNormalization"].eval(np.array([3.0, 4.0]))
    np.testing.assert_allclose(y, [0.6, 0.8], rtol=1e-15)


def test_evaluation_of_batch_normalization_is_older_than_its_training_mode(
    onnx: Any, rng: np.random.Generator
) -> None:
    """Since opset 9; onnx's evaluator trains there."""
    x, rest = values((3, 4, 5), FLOAT32, rng), rng.uniform(0.5, 2, (4, 4)).astype(np.float32)
    ours = {"new_ops": nfo.reference_ops()}
    for opset in (9, 13, 14):
        outputs = evaluate(onnx, "BatchNormalization", opset, [x, *rest], 1, **ours)
        assert_all_same_bits(outputs, nfo.BatchNormalization(x, *rest))


def test_an_opset_with_another_meaning_is_refused(onnx: Any) -> None:
    x, one = np.ones((2, 3, 4), np.float32), np.ones(3, np.float32)
    ours = {"new_ops": nfo.reference_ops()}
    with pytest.raises(NotImplementedError, match=r"^BatchNormalization: .*opset is 7, expected 9"):
        evaluate(onnx, "BatchNormalization", 7, [x, one, one, one, one], 1, **ours)


def test_outputs_of_training_without_training_are_refused(onnx: Any) -> None:
    x, one = np.ones((2, 3, 4), np.float32), np.ones(3, np.float32)
    ours = {"new_ops": nfo.reference_ops()}
    with pytest.raises(ValueError, match=r"^BatchNormalization: .*3 outputs, expected 1"):
        evaluate(onnx, "BatchNormalization", 15, [x, one, one, one, one], 3, **ours)


def test_without_onnx_reference_ops_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    monkeypatch.delitem(sys.modules, "onnx.reference", raising=False)
    monkeypatch.delitem(sys.modules, "onnx.reference.op_run", raising=False)
    with pytest.raises(ModuleNotFoundError, match="onnx"):
        nfo.reference_ops()


# --- errors


def good(name: str) -> dict[str, Any]:
    """What works, by the name of the input or attribute."""
    x, four = np.ones((2, 4, 3), np.float32), np.ones(4, np.float32)
    return {
        "BatchNormalization": {
            "X": x,
            **dict.fromkeys(("scale", "B", "input_mean", "input_var"), four),
            "training_mode": 1,
        },
        "LayerNormalization": {"X": x, "Scale": x[0, 0], "B": x[0, 0]},
        "RMSNormalization": {"X": x, "scale": x[0, 0]},
        "GroupNormalization": {"X": x, "scale": four, "bias": four, "num_groups": 2},
        "GroupNormalization_18": {"X": x, "scale": four, "bias": four, "num_groups": 4},
        "InstanceNormalization": {"input": x, "scale": four, "B": four},
        "MeanVarianceNormalization": {"X": x, "axes": [0, 2]},
        "LpNormalization": {"input": x},
    }[name]


def check(error: type[Exception], operator: str, message: str, changes: Mapping[str, Any]) -> None:
    arguments = good(operator) | changes
    before = {k: a.tobytes() for k, a in arguments.items() if isinstance(a, np.ndarray)}
    with pytest.raises(error, match=f"^{operator}: {message}") as raised:
        getattr(nfo, operator)(**arguments)
    assert raised.type is error
    assert len(str(raised.value)) < 200
    assert {k: arguments[k].tobytes() for k in before} == before


INPUTS = [(op, name) for op in OPERATORS for name, a in good(op).items() if hasattr(a, "dtype")]
PARAMETERS = [(op, name) for op, name in INPUTS if name not in ("X", "input")]


@pytest.mark.parametrize(("operator", "name"), INPUTS)
def test_an_input_of_another_type_is_named(operator: str, name: str) -> None:
    array = good(operator)[name]
    check(TypeError, operator, f"{name} is int64, expected", {name: array.astype(np.int64)})
    check(TypeError, operator, f"{name} is >f4, expected", {name: array.astype(">f4")})
    check(TypeError, operator, f"{name} must be a NumPy array, got list", {name: [1.0]})
    check(TypeError, operator, f"{name} must be a NumPy array", {name: np.ma.array(array)})


@pytest.mark.parametrize(("operator", "name"), PARAMETERS)
def test_a_parameter_of_another_shape_is_named(operator: str, name: str) -> None:
    for shape in ((2,), (4, 4), (1, 1, 1, 1)):
        check(ValueError, operator, f"{name} has shape ", {name: np.ones(shape, np.float32)})


@pytest.mark.parametrize(
    ("operator", "name"),
    [(op, name) for op, name in PARAMETERS if op not in ("LayerNormalization", "RMSNormalization")],
)
def test_what_is_for_each_channel_is_not_broadcast(operator: str, name: str) -> None:
    check(ValueError, operator, rf"{name} has shape \(1,\)", {name: np.ones(1, np.float32)})


@pytest.mark.parametrize(
    "operator",
    [op for op in OPERATORS if "epsilon" in inspect.signature(getattr(nfo, op)).parameters],
)
def test_a_wrong_epsilon_is_named(operator: str) -> None:
    for epsilon in (-1.0, np.nan, np.inf, 1e300):
        check(ValueError, operator, "epsilon is ", {"epsilon": epsilon})


@pytest.mark.parametrize(
    ("operator", "message", "changes"),
    [
        ("LayerNormalization", "epsilon must be a number, got str", {"epsilon": "1"}),
        ("BatchNormalization", "epsilon must be a number, got NoneType", {"epsilon": None}),
        ("BatchNormalization", "momentum must be a number, got bool", {"momentum": True}),
        ("LayerNormalization", "axis must be an int, got float", {"axis": 1.0}),
        ("RMSNormalization", "axis must be an int, got tuple", {"axis": (0, 1)}),
        ("LpNormalization", "axis must be an int", {"axis": "0"}),
        ("GroupNormalization", "num_groups must be an int, got float", {"num_groups": 2.0}),
        ("GroupNormalization_18", "num_groups must be an int, got str", {"num_groups": "4"}),
    ],
)
def test_an_attribute_of_another_type_is_named(
    operator: str, message: str, changes: dict[str, Any]
) -> None:
    check(TypeError, operator, message, changes)


@pytest.mark.parametrize(
    ("operator", "message", "changes"),
    [
        ("BatchNormalization", "training_mode is 2, expected 0 or 1", {"training_mode": 2}),
        ("BatchNormalization", "momentum is ", {"momentum": np.nan}),
        ("LayerNormalization", "axis is 3, out of range for 3", {"axis": 3}),
        ("LayerNormalization", "axis is -4, out of range", {"axis": -4}),
        ("LayerNormalization", "stash_type is 7, expected", {"stash_type": 7}),
        ("RMSNormalization", "axis is 3, out of range for 3", {"axis": 3}),
        ("RMSNormalization", "stash_type is 0, expected", {"stash_type": 0}),
        ("GroupNormalization", "stash_type is 0, expected", {"stash_type": 0}),
        ("GroupNormalization", "num_groups is 3, expected a divisor", {"num_groups": 3}),
        ("GroupNormalization", "num_groups is 0, expected a divisor", {"num_groups": 0}),
        ("GroupNormalization", "X has shape", {"X": np.ones(4, np.float32)}),
        ("GroupNormalization_18", "num_groups is -4, expected a divisor", {"num_groups": -4}),
        ("InstanceNormalization", "input has shape", {"input": np.ones(4, np.float32)}),
        ("MeanVarianceNormalization", "axes is 3, out of range", {"axes": [0, 2, 3]}),
        ("MeanVarianceNormalization", "axes .*twice", {"axes": [0, 0]}),
        ("LpNormalization", "p is 3, expected 1 or 2", {"p": 3}),
        ("LpNormalization", "p is inf, expected 1 or 2", {"p": np.inf}),
        ("LpNormalization", "axis is 3, out of range", {"axis": 3}),
        ("LpNormalization", "input has no dimensions", {"input": np.ones(())}),
    ],
)
def test_a_wrong_attribute_is_named(operator: str, message: str, changes: dict[str, Any]) -> None:
    check(ValueError, operator, message, changes)
