"""Every bad argument is a ValueError or TypeError of a line or two that names it; none writes."""

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from refusals import (
    BUFFERS,
    CHANNELS,
    NOT_ARRAYS,
    OPERATIONS,
    PARAMETERS,
    STATISTICS,
    WITH_BUFFERS,
    WITH_INTEGERS,
    WITH_OUT,
    WITH_RESIDUAL,
    WITH_SAMPLE_WEIGHT,
    WITH_WHERE,
    both,
    check,
    each_not_array,
    good,
    the_array,
)

import normfast as nf


@pytest.mark.parametrize("operation", OPERATIONS)
def test_the_good_arguments_are_good(operation: str) -> None:
    getattr(nf, operation)(**good(operation))


# --- what is no array, or not of floats

INTEGERS = ["uint8", "int8", "int16", "uint16", "int32"]
WRONG_DTYPES = ["int64", "uint32", "uint64", "bool", "complex64", "complex128", "U3", "S3"]
WRONG_DTYPES += ["object", "datetime64[s]", "V2", "V4", ">f2", ">f4", ">f8", ">u2", "f4,f4"]
WRONG_DTYPES += [ml_dtypes.float8_e4m3fn, ml_dtypes.int4]
if np.dtype("longdouble") != np.dtype("float64"):
    WRONG_DTYPES.append("longdouble")
each_wrong_dtype = pytest.mark.parametrize("wrong", WRONG_DTYPES, ids=str)
each_no_float = pytest.mark.parametrize("wrong", [*WRONG_DTYPES, *INTEGERS], ids=str)


@pytest.mark.parametrize("thing", [*NOT_ARRAYS.values(), None], ids=[*NOT_ARRAYS, "None"])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_x_must_be_an_array(operation: str, thing: Any) -> None:
    name = the_array(operation)
    check(TypeError, operation, name, **{name: thing})


def check_dtype(operation: str, name: str, array: Any, **more: Any) -> None:
    """The message says which dtype it is, and which are accepted."""
    words = ["float32", "float64", "float16", "bfloat16"] if array.dtype.isnative else ["native"]
    for word in (name, str(array.dtype), *words):
        check(TypeError, operation, word, **more | {name: array})


@each_wrong_dtype
@pytest.mark.parametrize("operation", OPERATIONS)
def test_x_of_another_dtype_is_refused(operation: str, wrong: Any) -> None:
    check_dtype(operation, the_array(operation), np.zeros((4, 6, 5), wrong))


@pytest.mark.parametrize("integer", INTEGERS)
@pytest.mark.parametrize("operation", [op for op in OPERATIONS if op not in WITH_INTEGERS])
def test_integers_are_refused_where_they_make_no_sense(operation: str, integer: str) -> None:
    more = {"out": None} if operation in WITH_OUT else {}
    check_dtype(operation, the_array(operation), np.zeros((4, 6, 5), integer), **more)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_masked_array_is_pointed_to_where(operation: str) -> None:
    name = the_array(operation)
    check(TypeError, operation, "where=", **{name: np.ma.ones((4, 6, 5), np.float32)})


@each_no_float
@pytest.mark.parametrize(("operation", "name"), PARAMETERS + BUFFERS + STATISTICS)
def test_parameters_must_be_floats_in_native_order(operation: str, name: str, wrong: Any) -> None:
    shape = (good(operation) | both(operation))[name].shape
    check_dtype(operation, name, np.zeros(shape, wrong), **both(operation))


@each_not_array
@pytest.mark.parametrize(("operation", "name"), PARAMETERS + BUFFERS + STATISTICS)
def test_parameters_must_be_arrays(operation: str, name: str, thing: Any) -> None:
    check(TypeError, operation, name, **both(operation) | {name: thing})


@pytest.mark.parametrize(("operation", "name"), PARAMETERS + BUFFERS)
def test_parameters_may_not_be_masked(operation: str, name: str) -> None:
    check(TypeError, operation, name, **{name: np.ma.ones(good(operation)[name].shape)})


@pytest.mark.parametrize(
    "shape", [(), (1,), (7,), (0,), (5, 6), (2, 3), (1, 1, 1, 1), (4, 6, 5, 1)]
)
@pytest.mark.parametrize(("operation", "name"), PARAMETERS + BUFFERS + STATISTICS)
def test_parameters_must_have_the_right_shape(
    operation: str, name: str, shape: tuple[int, ...]
) -> None:
    check(ValueError, operation, name, **both(operation) | {name: np.ones(shape)})


@pytest.mark.parametrize(("operation", "name"), PARAMETERS)
def test_a_wrong_shape_is_shown_with_the_expected_one(operation: str, name: str) -> None:
    expected = str(good(operation)[name].shape)
    check(ValueError, operation, "(3,)", **{name: np.ones(3)})
    check(ValueError, operation, expected, **{name: np.ones(3)})


def test_a_weight_of_all_axes_must_broadcast() -> None:
    for shape in [(4, 6, 2), (2, 6, 5), (4, 0, 5)]:
        check(ValueError, "layer_norm", "weight", weight=np.ones(shape))
        check(ValueError, "rms_norm", "weight", weight=np.ones(shape))


# --- what is added, what is selected

ADDED = [(op, "residual") for op in WITH_RESIDUAL] + [(op, "add") for op in CHANNELS]


@pytest.mark.parametrize(("operation", "name"), ADDED)
def test_what_is_added_must_have_the_shape_of_x(operation: str, name: str) -> None:
    for shape in [(), (5,), (6, 5), (4, 6), (1, 6, 5), (4, 6, 1), (4, 5, 6), (4, 6, 5, 1)]:
        check(ValueError, operation, name, **{name: np.ones(shape, np.float32)})
        check(ValueError, operation, "(4, 6, 5)", **{name: np.ones(shape, np.float32)})


@pytest.mark.parametrize(("operation", "name"), ADDED)
def test_what_is_added_must_be_an_array_of_floats(operation: str, name: str) -> None:
    for wrong in (*WRONG_DTYPES, *INTEGERS):
        check_dtype(operation, name, np.zeros((4, 6, 5), wrong))
    for thing in NOT_ARRAYS.values():
        check(TypeError, operation, name, **{name: thing})
    check(TypeError, operation, name, **{name: np.ma.ones((4, 6, 5))})


@pytest.mark.parametrize("operation", WITH_WHERE)
def test_where_must_be_an_array_of_bools(operation: str) -> None:
    for wrong in ("uint8", "int64", "float32", "object", "complex64", "U3"):
        check(TypeError, operation, "where", where=np.zeros((4, 6, 5), wrong))
    for thing in (*NOT_ARRAYS.values(), [True, False]):
        check(TypeError, operation, "where", where=thing)


@pytest.mark.parametrize("operation", WITH_SAMPLE_WEIGHT)
def test_sample_weights_must_be_an_array_of_numbers(operation: str) -> None:
    for wrong in ("bool", "object", "complex64", "U3", ">f4"):
        check(TypeError, operation, "sample_weight", sample_weight=np.ones((4, 6, 5), wrong))
    for thing in NOT_ARRAYS.values():
        check(TypeError, operation, "sample_weight", sample_weight=thing)


@pytest.mark.parametrize(
    "shape", [(2,), (7,), (0,), (5, 6), (6, 4), (2, 6, 5), (4, 6, 2), (1, 4, 6, 5), (2, 4, 6, 5)]
)
def test_masks_and_weights_must_broadcast_to_x(shape: tuple[int, ...]) -> None:
    for operation in WITH_WHERE:
        check(ValueError, operation, "where", where=np.ones(shape, bool))
    for operation in WITH_SAMPLE_WEIGHT:
        check(ValueError, operation, "sample_weight", sample_weight=np.ones(shape))


@pytest.mark.parametrize("value", [-1.0, -1e-30, float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("operation", WITH_SAMPLE_WEIGHT)
def test_sample_weights_are_finite_and_not_negative(operation: str, value: float) -> None:
    for shape in [(4, 6, 5), (4, 1, 1), (5,)]:
        for dtype in (np.float32, np.float64):
            weights = np.ones(shape, dtype)
            weights.reshape(-1)[-1] = value
            check(ValueError, operation, "sample_weight", sample_weight=weights)


def test_where_weight_norm_has_no_meaning_it_is_no_argument() -> None:
    for name in ("where", "sample_weight", "activation"):
        with pytest.raises(TypeError, match=name):
            nf.weight_norm(**good("weight_norm"), **{name: None})


@pytest.mark.parametrize("operation", [*WITH_RESIDUAL, *CHANNELS])
def test_an_unknown_activation_is_refused_with_the_known_ones(operation: str) -> None:
    for name in ("swish", "ReLU", "gelu_new", ""):
        for known in ("activation", "relu", "gelu", "gelu_tanh", "silu"):
            check(ValueError, operation, known, activation=name)
    for thing in (1, True, b"relu", ["relu"], np.tanh):
        check(TypeError, operation, "activation", activation=thing)


@pytest.mark.parametrize("operation", WITH_OUT)
def test_the_dtype_of_the_result_must_be_a_float(operation: str) -> None:
    for wrong in ("int32", "uint8", bool, complex, object, ">f4", ">f8", "U3", ml_dtypes.int4):
        for known in ("dtype", "float32", "bfloat16"):
            check(TypeError, operation, known, out=None, dtype=wrong)
    for nonsense in ("no dtype", 5, 1.5, [4], np.ones(3, np.float32)):
        check(TypeError, operation, "dtype", out=None, dtype=nonsense)


def test_mean_var_has_no_dtype_of_its_result() -> None:
    with pytest.raises(TypeError, match="dtype"):
        nf.mean_var(**good("mean_var"), dtype=np.float32)


def test_the_weight_offset_is_a_number() -> None:
    for offset in ("1", None, [1.0], np.ones(5), 1j):
        check(TypeError, "rms_norm", "weight_offset", weight_offset=offset)


# --- None where it may not be


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("missing", ["running_mean", "running_var"])
def test_one_running_statistic_alone_is_refused(missing: str, training: bool) -> None:
    check(ValueError, "batch_norm", missing, training=training, **{missing: None})
    check(ValueError, "instance_norm", missing, use_input_stats=training, **{missing: None})


def test_evaluation_needs_running_statistics() -> None:
    none = {"running_mean": None, "running_var": None}
    check(ValueError, "batch_norm", "running_mean", training=False, **none)
    check(ValueError, "instance_norm", "running_mean", use_input_stats=False, **none)


@pytest.mark.parametrize("missing", ["mean", "std"])
def test_mean_and_std_go_together(missing: str) -> None:
    check(ValueError, "standardize", missing, **both("standardize") | {missing: None})


def test_weight_norm_needs_its_gain() -> None:
    check(TypeError, "weight_norm", "g", g=None)


def test_the_cumulative_average_needs_a_counter() -> None:
    check(ValueError, "batch_norm", "num_batches_tracked", momentum=None, num_batches_tracked=None)


@pytest.mark.parametrize(
    ("error", "counter"),
    [
        (TypeError, 3),
        (ValueError, np.int64(3)),
        (TypeError, [3]),
        (TypeError, np.array(3, np.int32)),
        (TypeError, np.array(3.0)),
        (TypeError, np.array(3, ">i8")),
        (ValueError, np.array([3])),
        (ValueError, np.array([], np.int64)),
    ],
)
def test_the_counter_is_a_0d_array_of_int64(error: type[Exception], counter: Any) -> None:
    check(error, "batch_norm", "num_batches_tracked", num_batches_tracked=counter)


# --- axes


@pytest.mark.parametrize(
    "operation", ["mean_var", "layer_norm", "rms_norm", "normalize", "standardize"]
)
@pytest.mark.parametrize(
    ("error", "axis"),
    [
        (ValueError, 3),
        (ValueError, -4),
        (ValueError, 2**31),
        (ValueError, 2**80),
        (ValueError, (0, 3)),
        (ValueError, (1, 1)),
        (ValueError, (1, -2)),
        (ValueError, tuple(range(100))),
        (TypeError, 1.0),
        (TypeError, "1"),
        (TypeError, (0, 1.5)),
        (TypeError, (0, None)),
        (TypeError, {}),
    ],
)
def test_bad_axes(operation: str, error: type[Exception], axis: Any) -> None:
    check(error, operation, "axis", axis=axis)


@pytest.mark.parametrize("operation", [*CHANNELS, "weight_norm"])
@pytest.mark.parametrize(
    ("error", "axis"),
    [
        (ValueError, 3),
        (ValueError, -4),
        (ValueError, 2**80),
        (TypeError, 1.0),
        (TypeError, "1"),
        (TypeError, (0, 1.5)),
    ],
)
def test_bad_channel_axes(operation: str, error: type[Exception], axis: Any) -> None:
    check(error, operation, "channel_axis", channel_axis=axis)


@pytest.mark.parametrize("axis", [(1, 1), (1, -2), (1, 3)])
def test_bad_tuples_of_channel_axes(axis: tuple[int, ...]) -> None:
    check(ValueError, "batch_norm", "channel_axis", channel_axis=axis)


@pytest.mark.parametrize("operation", CHANNELS)
def test_the_channel_axis_may_not_be_none(operation: str) -> None:
    check(TypeError, operation, "channel_axis", channel_axis=None)


@pytest.mark.parametrize("operation", ["layer_norm", "rms_norm"])
@pytest.mark.parametrize(
    ("error", "shape"),
    [
        (ValueError, 4),
        (ValueError, (6,)),
        (ValueError, (5, 6)),
        (ValueError, (1, 4, 6, 5)),
        (ValueError, ()),
        (ValueError, -5),
        (TypeError, 5.0),
        (TypeError, "5"),
        (TypeError, (6, 5.0)),
    ],
)
def test_bad_normalized_shapes(operation: str, error: type[Exception], shape: Any) -> None:
    check(error, operation, "normalized_shape", normalized_shape=shape)


@pytest.mark.parametrize("operation", ["layer_norm", "rms_norm"])
def test_normalized_shape_and_axis_exclude_each_other(operation: str) -> None:
    check(ValueError, operation, "normalized_shape", normalized_shape=5, axis=-1)
    check(ValueError, operation, "axis", normalized_shape=5, axis=-1)


@pytest.mark.parametrize("operation", ["layer_norm", "rms_norm"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
def test_a_weight_in_the_place_of_normalized_shape_is_recognised(
    operation: str, dtype: Any
) -> None:
    check(TypeError, operation, "did you mean weight=?", normalized_shape=np.ones(5, dtype))


@pytest.mark.parametrize("operation", [op for op in OPERATIONS if op != "mean_var"])
def test_an_array_without_axes_is_refused(operation: str) -> None:
    name = the_array(operation)
    check(ValueError, operation, name, **{name: np.array(1, np.float32)})
    check(ValueError, operation, name, **{name: np.float32(1)})


@pytest.mark.parametrize("operation", CHANNELS)
def test_channels_need_an_axis(operation: str) -> None:
    check(ValueError, operation, "channel_axis", x=np.ones(6, np.float32))


# --- numbers


@pytest.mark.parametrize(
    "operation", [op for op in OPERATIONS if op not in ("mean_var", "weight_norm", "standardize")]
)
@pytest.mark.parametrize(
    ("error", "eps"),
    [
        (ValueError, -1e-5),
        (ValueError, float("nan")),
        (ValueError, float("inf")),
        (TypeError, "1e-5"),
        (TypeError, 1j),
        (TypeError, [1e-5]),
    ],
)
def test_eps_is_a_number_that_is_not_negative(
    operation: str, error: type[Exception], eps: Any
) -> None:
    check(error, operation, "eps", eps=eps)


@pytest.mark.parametrize("operation", ["layer_norm", *CHANNELS, "normalize"])
def test_eps_may_be_none_only_for_rms_norm(operation: str) -> None:
    check(TypeError, operation, "eps", eps=None)


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize(
    ("error", "threads"),
    [(ValueError, 0), (ValueError, -1), (TypeError, 2.0), (TypeError, "2"), (ValueError, 2**80)],
)
def test_num_threads_is_a_positive_integer(
    operation: str, error: type[Exception], threads: Any
) -> None:
    check(error, operation, "num_threads", num_threads=threads)


@pytest.mark.parametrize("operation", ["mean_var", "standardize"])
@pytest.mark.parametrize(
    ("error", "correction"),
    [
        (ValueError, 4),
        (ValueError, 5),
        (ValueError, 1e308),
        (ValueError, float("nan")),
        (TypeError, "1"),
        (TypeError, None),
    ],
)
def test_the_correction_must_leave_something(
    operation: str, error: type[Exception], correction: Any
) -> None:
    check(error, operation, "correction", correction=correction, axis=0)


@pytest.mark.parametrize(
    ("error", "correction"), [(ValueError, 20), (ValueError, 21), (TypeError, "1")]
)
def test_the_running_correction_must_leave_something(
    error: type[Exception], correction: Any
) -> None:
    check(error, "batch_norm", "running_var_correction", running_var_correction=correction)


@pytest.mark.parametrize("operation", WITH_BUFFERS)
@pytest.mark.parametrize(
    ("error", "momentum"), [(ValueError, float("nan")), (TypeError, "0.1"), (TypeError, [0.1])]
)
def test_bad_momentum(operation: str, error: type[Exception], momentum: Any) -> None:
    check(error, operation, "momentum", momentum=momentum)


@pytest.mark.parametrize(
    ("error", "groups"),
    [
        (ValueError, 4),
        (ValueError, 7),
        (ValueError, 0),
        (ValueError, -1),
        (ValueError, 2**80),
        (TypeError, 3.0),
        (TypeError, "3"),
        (TypeError, None),
    ],
)
def test_the_groups_must_divide_the_channels(error: type[Exception], groups: Any) -> None:
    check(error, "group_norm", "num_groups", num_groups=groups)


@pytest.mark.parametrize(
    ("error", "p"),
    [
        (ValueError, 0),
        (ValueError, 3),
        (ValueError, -1),
        (ValueError, float("nan")),
        (TypeError, "2"),
        (TypeError, None),
    ],
)
def test_p_is_1_2_or_inf(error: type[Exception], p: Any) -> None:
    check(error, "normalize", "p", p=p)


# --- too little data


def test_training_needs_more_than_one_value_per_channel() -> None:
    one = {"x": np.ones((1, 6, 1), np.float32), "out": np.full((1, 6, 1), 7, np.float32)}
    check(ValueError, "batch_norm", "one value", **one)
    several = {"x": np.ones((4, 6, 1), np.float32), "out": np.full((4, 6, 1), 7, np.float32)}
    check(ValueError, "instance_norm", "one value", **several)


def test_training_needs_more_than_one_selected_value_per_channel() -> None:
    one = np.zeros((4, 6, 5), bool)
    one[2, 3, 1] = True
    for operation in WITH_BUFFERS:
        check(ValueError, operation, "one value", where=one)
        check(ValueError, operation, "one value", sample_weight=one.astype(np.float64))


def test_nothing_has_no_mean() -> None:
    for shape, axis in [((0,), None), ((0, 3), 0), ((3, 0), 1), ((0, 3), None)]:
        check(ValueError, "mean_var", "x", x=np.empty(shape, np.float32), axis=axis)


# --- what Python itself sees to


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_misspelt_argument_is_refused(operation: str) -> None:
    with pytest.raises(TypeError, match="threads_num"):
        getattr(nf, operation)(**good(operation), threads_num=1)
