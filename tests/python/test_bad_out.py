"""Nothing is written where it should not be: to a wrong, read-only or overlapping array."""

from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray
from refusals import (
    BUFFERS,
    CHANNELS,
    PARAMETERS,
    STATISTICS,
    WITH_BUFFERS,
    WITH_OUT,
    WITH_RESIDUAL,
    both,
    check,
    each_not_array,
    good,
    the_array,
)

import normfast as nf

Array = NDArray[Any]


@pytest.mark.parametrize("operation", WITH_OUT)
@pytest.mark.parametrize(
    "shape", [(), (4, 6), (4, 6, 6), (1, 6, 5), (6, 4, 5), (4, 6, 5, 1), (0, 6, 5)]
)
def test_out_must_have_the_shape_of_x(operation: str, shape: tuple[int, ...]) -> None:
    check(ValueError, operation, "out", out=np.zeros(shape, np.float32))


@pytest.mark.parametrize("operation", WITH_OUT)
@pytest.mark.parametrize("dtype", ["float64", "int32", "float16", "object", ">f4", "complex64"])
def test_out_must_have_the_dtype_of_x(operation: str, dtype: str) -> None:
    check(TypeError, operation, "out", out=np.zeros((4, 6, 5), dtype))


@pytest.mark.parametrize("operation", WITH_OUT)
def test_out_must_have_the_dtype_that_is_asked_for(operation: str) -> None:
    for dtype in ("float64", "float16", ml_dtypes.bfloat16):
        check(TypeError, operation, "out", dtype=dtype)
        half = np.zeros((4, 6, 5), dtype)
        check(TypeError, operation, "out", **{the_array(operation): half})
        check(TypeError, operation, "out", dtype="float32", out=half)


def test_out_of_integers_is_never_right() -> None:
    for integer in ("uint8", "int16", "int32"):
        x = np.zeros((4, 6, 5), integer)
        check(TypeError, "standardize", "out", x=x, out=x)
        check(TypeError, "standardize", "out", x=x, out=np.zeros((4, 6, 5), np.float16))
    check(TypeError, "standardize", "float64", x=np.zeros((4, 6, 5), "int32"))


@each_not_array
@pytest.mark.parametrize("operation", WITH_OUT)
def test_out_must_be_an_array(operation: str, thing: Any) -> None:
    check(TypeError, operation, "out", out=thing)


@pytest.mark.parametrize("operation", WITH_OUT)
def test_out_may_not_be_read_only(operation: str) -> None:
    out = np.zeros((4, 6, 5), np.float32)
    out.flags.writeable = False
    check(ValueError, operation, "out", out=out)


@pytest.mark.parametrize("operation", WITH_OUT)
def test_in_place_needs_a_writable_array(operation: str) -> None:
    name = the_array(operation)
    x = good(operation)[name]
    x.flags.writeable = False
    check(ValueError, operation, "out", **{name: x}, out=x)


@pytest.mark.parametrize("name", ["running_mean", "running_var", "num_batches_tracked"])
def test_buffers_may_not_be_read_only_in_training(name: str) -> None:
    buffer = good("batch_norm")[name]
    buffer.flags.writeable = False
    check(ValueError, "batch_norm", name, **{name: buffer})
    if name != "num_batches_tracked":
        check(ValueError, "instance_norm", name, **{name: buffer})


def test_buffers_may_be_read_only_in_evaluation() -> None:
    arguments = good("batch_norm") | {"training": False}
    for name in ("running_mean", "running_var"):
        arguments[name].flags.writeable = False
    nf.batch_norm(**arguments)


# Views of one buffer of 1000 floats, as (x, out): they share an element.
OVERLAPS: dict[str, Callable[[Array], tuple[Array, Array]]] = {
    "shifted by one": lambda b: (b[:120].reshape(4, 6, 5), b[1:121].reshape(4, 6, 5)),
    "the last element": lambda b: (b[:120].reshape(4, 6, 5), b[119:239].reshape(4, 6, 5)),
    "backwards": lambda b: (b[:120].reshape(4, 6, 5), b[:120].reshape(4, 6, 5)[::-1]),
    "another order": lambda b: (
        b[:120].reshape(4, 6, 5),
        b[:120].reshape(6, 5, 4).transpose(2, 0, 1),
    ),
    "another step": lambda b: (b[:240:2].reshape(4, 6, 5), b[:120].reshape(4, 6, 5)),
    "interleaved that meet": lambda b: (b[:240:2].reshape(4, 6, 5), b[1:361:3].reshape(4, 6, 5)),
    "by a byte": lambda b: (
        b[:120].reshape(4, 6, 5),
        b.view(np.uint8)[477 : 477 + 480].view(np.float32).reshape(4, 6, 5),
    ),
    "one repeated row": lambda b: (
        as_strided(b[:5], (4, 6, 5), (0, 0, 4)),
        b[:120].reshape(4, 6, 5),
    ),
}


@pytest.mark.parametrize("overlap", OVERLAPS)
@pytest.mark.parametrize("operation", WITH_OUT)
def test_out_may_not_overlap_the_input(operation: str, overlap: str) -> None:
    x, out = OVERLAPS[overlap](np.arange(1000, dtype=np.float32))
    check(ValueError, operation, "out", **{the_array(operation): x}, out=out)


@pytest.mark.parametrize("operation", WITH_OUT)
def test_out_may_not_share_memory_with_an_input_of_another_size(operation: str) -> None:
    """From the same first byte, but what is written would be read later."""
    name = the_array(operation)
    out = np.arange(120, dtype=np.float32).reshape(4, 6, 5)
    half = out.reshape(-1).view(np.float16)[:120].reshape(4, 6, 5)
    check(ValueError, operation, "out", **{name: half}, out=out, dtype=np.float32)
    single = np.arange(120, dtype=np.float32).reshape(4, 6, 5)
    half = single.reshape(-1).view(np.float16)[:120].reshape(4, 6, 5)
    check(ValueError, operation, "out", **{name: single}, out=half, dtype=np.float16)


@pytest.mark.parametrize("operation", WITH_OUT)
def test_out_may_not_overlap_itself(operation: str) -> None:
    buffer = np.arange(30, dtype=np.float32)
    out = as_strided(buffer, (4, 6, 5), (0, 20, 4))
    check(ValueError, operation, "out", out=out)
    check(ValueError, operation, "out", **{the_array(operation): out}, out=out)


@pytest.mark.parametrize(("operation", "name"), [*PARAMETERS, *BUFFERS, *STATISTICS])
def test_out_may_not_overlap_a_parameter(operation: str, name: str) -> None:
    buffer = np.ones(120)
    shape = (good(operation) | both(operation))[name].shape
    parameter = buffer[100 : 100 + np.prod(shape, dtype=int)] if shape != (1, 6, 5) else buffer[:30]
    check(
        ValueError,
        operation,
        name,
        **both(operation)
        | {
            the_array(operation): np.ones((4, 6, 5)),
            name: parameter.reshape(shape),
            "out": buffer.reshape(4, 6, 5),
        },
    )


ADDED = [(op, "residual") for op in WITH_RESIDUAL] + [(op, "add") for op in CHANNELS]


@pytest.mark.parametrize("overlap", ["shifted by one", "backwards", "another step"])
@pytest.mark.parametrize(("operation", "name"), ADDED)
def test_out_may_not_overlap_what_is_added(operation: str, name: str, overlap: str) -> None:
    added, out = OVERLAPS[overlap](np.arange(1000, dtype=np.float32))
    check(ValueError, operation, "out", **{name: added}, out=out)


@pytest.mark.parametrize("operation", [*WITH_RESIDUAL, *CHANNELS, "normalize", "standardize"])
def test_out_may_not_overlap_the_mask(operation: str) -> None:
    out = np.ones(120, np.float32)
    mask = out.view(bool)[7:127].reshape(4, 6, 5)
    check(ValueError, operation, "where", where=mask, out=out.reshape(4, 6, 5))


@pytest.mark.parametrize("operation", [*WITH_RESIDUAL, *CHANNELS, "standardize"])
def test_out_may_not_overlap_the_sample_weights(operation: str) -> None:
    out = np.ones((4, 6, 5), np.float32)
    check(ValueError, operation, "sample_weight", sample_weight=out[0], out=out)
    check(ValueError, operation, "sample_weight", sample_weight=out, out=out)


@pytest.mark.parametrize("operation", WITH_RESIDUAL)
def test_the_pair_of_outs_must_fit(operation: str) -> None:
    residual = np.ones((4, 6, 5), np.float32)
    y, total = np.full((2, 4, 6, 5), 7, np.float32)

    def refuse(error: type[Exception], name: str, out: Any, **more: Any) -> None:
        check(error, operation, name, **{"residual": residual, "out": out, **more})
        assert np.all(y == 7)
        assert np.all(total == 7)

    refuse(TypeError, "out", (y, total), residual=None)
    for wrong in [(), (y,), (y, total, total), [y, total]]:
        refuse(TypeError, "out", wrong)
    refuse(TypeError, "sum", (y, 5))
    refuse(ValueError, "sum", (y, total[:3]))
    refuse(TypeError, "sum", (y, total.astype(np.float64)))
    refuse(TypeError, "sum", (y, total), residual=residual.astype(np.float64))
    refuse(TypeError, "out", (y, total), dtype=np.float16)
    refuse(ValueError, "sum", (y, y))
    frozen = total.copy()
    frozen.flags.writeable = False
    refuse(ValueError, "sum", (y, frozen))


@pytest.mark.parametrize("operation", WITH_RESIDUAL)
def test_the_sum_may_not_overlap_anything_but_a_whole_input(operation: str) -> None:
    memory = np.full(300, 7, np.float32)
    whole, shifted = memory[:120].reshape(4, 6, 5), memory[1:121].reshape(4, 6, 5)
    apart = {name: np.full((4, 6, 5), 7, np.float32) for name in ("x", "residual", "out")}
    for name in ("x", "residual"):
        check(ValueError, operation, "sum", **apart | {name: whole, "out": (apart["out"], shifted)})
    check(ValueError, operation, "sum", **apart | {"out": (whole, shifted)})
    weight = memory[3:8]
    check(
        ValueError, operation, "weight", **apart | {"weight": weight, "out": (apart["out"], whole)}
    )
    assert np.all(memory == 7)


@pytest.mark.parametrize("operation", WITH_BUFFERS)
def test_running_statistics_may_not_overlap_the_input_or_each_other(operation: str) -> None:
    x = np.ones((4, 6, 5))
    shared = np.ones(7)
    for name in ("running_mean", "running_var"):
        check(ValueError, operation, name, x=x, out=None, **{name: x.reshape(-1)[:6]})
    check(ValueError, operation, "running_mean", running_mean=shared[:6], running_var=shared[1:])
    check(ValueError, operation, "running_mean", running_mean=shared[:6], running_var=shared[:6])
