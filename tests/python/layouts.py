"""The same values at other places in memory."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

Array = NDArray[Any]


def contiguous(a: Array) -> Array:
    return np.array(a, order="C")


def fortran(a: Array) -> Array:
    return np.array(a, order="F")


def first_axis_last(a: Array) -> Array:
    """As NCHW data stored as CHWN."""
    return np.moveaxis(np.array(np.moveaxis(a, 0, -1), order="C"), -1, 0)


def second_axis_last(a: Array) -> Array:
    """As NCHW data stored as NHWC, torch's channels_last."""
    return np.moveaxis(np.array(np.moveaxis(a, 1, -1), order="C"), -1, 1)


def every_other_inner(a: Array) -> Array:
    return _inside(
        a, (*(slice(None),) * (a.ndim - 1), slice(None, None, 2)), (1,) * (a.ndim - 1) + (2,)
    )


def every_third_outer(a: Array) -> Array:
    return _inside(a, (slice(None, None, 3),), (3,) + (1,) * (a.ndim - 1))


def padded(a: Array) -> Array:
    """A window inside a larger array."""
    large = np.full([n + 3 for n in a.shape], np.nan, a.dtype)
    window = large[tuple(slice(1, n + 1) for n in a.shape)]
    window[...] = a
    return window


def backwards(a: Array) -> Array:
    """All strides negative."""
    turn = (slice(None, None, -1),) * a.ndim
    return np.array(a[turn], order="C")[turn]


def backwards_outer(a: Array) -> Array:
    return np.array(a[::-1], order="C")[::-1]


def element_offset(a: Array, elements: int = 1) -> Array:
    return byte_offset(a, elements * a.itemsize)


def byte_offset(a: Array, start: int = 1) -> Array:
    """From any byte: no element need be aligned. The buffer itself starts on a cache line."""
    raw = np.empty(a.nbytes + start + 64, np.uint8)
    start += -raw.ctypes.data % 64
    moved = raw[start : start + a.nbytes].view(a.dtype).reshape(a.shape)
    moved[...] = a
    return moved


def read_only(a: Array) -> Array:
    a = a.copy()
    a.flags.writeable = False
    return a


def _inside(a: Array, window: tuple[slice, ...], steps: tuple[int, ...]) -> Array:
    large = np.full([n * s for n, s in zip(a.shape, steps, strict=True)], np.nan, a.dtype)
    view = large[window]
    view[...] = a
    return view


# Their axes are in order: elements meet in the same order as in a contiguous array.
SAME_ORDER = [
    every_other_inner,
    every_third_outer,
    padded,
    backwards,
    backwards_outer,
    byte_offset,
    read_only,
]
ALL = [contiguous, fortran, first_axis_last, second_axis_last, *SAME_ORDER]
each_layout = pytest.mark.parametrize("layout", ALL)
