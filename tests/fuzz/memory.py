"""Arrays at any place of a buffer whose every other byte is known, so that no stray write hides."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

# Every byte that belongs to no element: a NaN in each float type, so that a read of it shows too.
FILL = 0xFF


def within(raw: Array, shape: Sequence[int], dtype: Any, start: int, strides: Any) -> Array:
    return np.ndarray(tuple(shape), dtype, raw, start, tuple(strides))


class Memory:
    """A buffer, the arrays in it and what it held before a call."""

    def __init__(self, size: int) -> None:
        self.raw = np.full(size, FILL, np.uint8)
        self.places: list[tuple[Array, int]] = []
        self.before = self.raw

    def array(self, shape: Sequence[int], dtype: Any, start: int, strides: Any) -> Array:
        a = within(self.raw, shape, dtype, start, strides)
        self.places.append((a, start))
        return a

    def remember(self) -> None:
        self.before = self.raw.copy()

    def changed(self, writable: Sequence[Array]) -> bool:
        """Whether anything but these arrays' elements was changed since `remember`."""
        allowed = self.before.copy()
        for a, start in self.places:
            if any(a is w for w in writable):
                within(allowed, a.shape, a.dtype, start, a.strides)[...] = a
        return not np.array_equal(allowed, self.raw)


def draw_strides(
    rng: np.random.Generator, shape: Sequence[int], itemsize: int, plain: bool
) -> tuple[list[int], int, int]:
    """Strides of any order, sign and gaps; the byte of the first element; the bytes they span."""
    order = list(range(len(shape)))[::-1]
    if not plain and rng.random() < 0.5:
        rng.shuffle(order)
    strides, span, first = [0] * len(shape), itemsize, 0
    for axis in order:
        step = 1 if plain else int(rng.choice([1, 1, 1, 1, 1, 2, 3]))
        step = step * span if plain or rng.random() < 0.95 else step * span + 1
        steps = max(shape[axis] - 1, 0)
        backwards = not plain and rng.random() < 0.15
        strides[axis] = -step if backwards else step
        first += steps * step if backwards else 0
        span += steps * step
    return strides, first, span


def place(
    rng: np.random.Generator, values: Array, *, repeats: bool = False, plain: bool | None = None
) -> tuple[Memory, Array]:
    """Put values somewhere; with `repeats` some axes may have a stride of zero."""
    plain = bool(rng.random() < 0.4) if plain is None else plain
    strides, first, span = draw_strides(rng, values.shape, values.itemsize, plain)
    if repeats and not plain and rng.random() < 0.2:
        for axis in range(values.ndim):
            if rng.random() < 0.5:
                first += min(strides[axis], 0) * max(values.shape[axis] - 1, 0)
                strides[axis] = 0
    # No guard at all lets the address sanitizer see a read beyond the end.
    guard = int(rng.choice([0, 64, 64]))
    offset = 0 if plain else int(rng.choice([0, 0, 0, values.itemsize, 4, 1, 3]))
    memory = Memory(guard + offset + span + guard)
    array = memory.array(values.shape, values.dtype, guard + offset + first, strides)
    array[...] = values
    return memory, array


def place_two(
    rng: np.random.Generator, values: Array, out_dtype: Any
) -> tuple[Memory, Array, Array]:
    """Values and an array of the same shape in one buffer, which may or may not share elements."""
    shape = values.shape
    x_strides, x_first, x_span = draw_strides(rng, shape, values.itemsize, rng.random() < 0.5)
    item = np.dtype(out_dtype).itemsize
    if item == values.itemsize and rng.random() < 0.5:  # the same steps, to interleave
        strides, first, span = x_strides, x_first, x_span
    else:
        strides, first, span = draw_strides(rng, shape, item, rng.random() < 0.5)
    shift = int(rng.choice([0, 1, item, item * 2, x_span - 1, x_span, x_span // 2]))
    memory = Memory(64 + max(x_span, shift + span) + 64)
    x = memory.array(shape, values.dtype, 64 + x_first, x_strides)
    out = memory.array(shape, out_dtype, 64 + shift + first, strides)
    x[...] = values
    return memory, x, out
