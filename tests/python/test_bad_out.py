"""Nothing is written where it should not be: to a wrong, read-only or overlapping array."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray
from refusals import (
    BUFFERS,
    PARAMETERS,
    STATISTICS,
    WITH_BUFFERS,
    WITH_OUT,
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


@pytest.mark.parametrize("operation", WITH_BUFFERS)
def test_running_statistics_may_not_overlap_the_input_or_each_other(operation: str) -> None:
    x = np.ones((4, 6, 5))
    shared = np.ones(7)
    for name in ("running_mean", "running_var"):
        check(ValueError, operation, name, x=x, out=None, **{name: x.reshape(-1)[:6]})
    check(ValueError, operation, "running_mean", running_mean=shared[:6], running_var=shared[1:])
    check(ValueError, operation, "running_mean", running_mean=shared[:6], running_var=shared[:6])
