"""One call: its arrays as the extension takes them, on one device and one stream."""

from __future__ import annotations

from operator import index
from typing import TYPE_CHECKING, Any

import numpy as np

from normfast.cuda import extension
from normfast.cuda.libraries import OTHERS, Library, NoMemory, OnCPU, Unfit, library_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from normfast._cuda import Array


class Call:
    """A function is called with x, named so in its messages; its results are of x's library.

    ``launch`` and ``x`` are what the extension's functions take first.
    """

    def __init__(self, function: str, x: Any, stream: Any, name: str = "x") -> None:
        self.function, self.name, self.like = function, name, x
        library = library_of(x)
        if library is None:
            raise TypeError(self.no_array(name, x))
        self.origin = library
        self.device, self.stream = library.place(x)
        if stream is not None:
            self.stream = self.handle(stream)
        self.x = self.show(library, name, x)[0]
        self.launch = extension.Launch(self.device, self.stream, self.empty)

    def handle(self, stream: Any) -> int:
        """A stream that is given, as CUDA's handle."""
        if self.origin.context is not None:
            raise TypeError(
                f"{self.function}: stream is given, but {type_name(self.like)} has a current one; "
                f"expected the call under `{self.origin.context}`"
            )
        if hasattr(stream, "__cuda_stream__"):  # CUDA Python's protocol: a version and the handle
            stream = stream.__cuda_stream__()[1]
        try:
            return index(stream)
        except TypeError:
            raise TypeError(
                f"{self.function}: stream must be an int (a cudaStream_t) or have "
                f"__cuda_stream__, got {type_name(stream)}"
            ) from None

    def optional(self, name: str, given: Any) -> Array | None:
        """An argument that may be None."""
        return None if given is None else self.array(name, given)

    def array(self, name: str, given: Any) -> Array:
        """Another argument."""
        library = self.origin if self.origin.owns(given) else OTHERS
        if not library.owns(given):
            raise TypeError(self.no_array(name, given))
        shown, device = self.show(library, name, given)
        if device is not None and device != self.device:
            raise ValueError(
                f"{self.function}: {name} is on GPU {device}, {self.name} on GPU {self.device}"
            )
        return shown

    def show(self, library: Library, name: str, array: Any) -> tuple[Array, int | None]:
        """Its memory and its device; what does not fit ends a sentence that names it."""
        try:
            return library.show(array, self.stream)
        except Unfit as error:
            raise TypeError(self.unfit(name, array, error)) from None
        except (TypeError, ValueError) as error:  # of the extension
            raise type(error)(f"{self.function}: {name} is {error}") from None

    def out(self, given: Any) -> Any:
        """Where to write: an array, or with a residual also a pair of them."""
        if isinstance(given, tuple):
            return tuple(self.optional("out", one) for one in given)
        return self.optional("out", given)

    def dtype(self, given: Any) -> str | None:
        """The name of a dtype of any library."""
        if given is None:
            return None
        if isinstance(given, str):
            return given
        if type(given).__module__ == "torch":
            return str(given).removeprefix("torch.")
        try:
            return str(np.dtype(given).name)
        except TypeError:
            raise TypeError(
                f"{self.function}: dtype must be a dtype, got {type_name(given)}"
            ) from None

    def empty(self, shape: tuple[int, ...], strides: Sequence[int], dtype: str) -> Array:
        """New memory of x's library, its axes in the order of the strides."""
        order = sorted(range(len(shape)), key=strides.__getitem__, reverse=True)
        sizes = tuple(shape[axis] for axis in order)
        try:
            array = self.origin.empty(self.like, sizes, dtype)
            if order != sorted(order):
                array = self.origin.permuted(array, [order.index(axis) for axis in sorted(order)])
            shown, _ = self.origin.show(array, self.stream)
            if not shown.writable:
                raise NoMemory
        except Unfit as error:
            raise TypeError(self.unfit(self.name, self.like, error)) from None
        return shown

    def unfit(self, name: str, array: Any, why: Unfit) -> str:
        """The sentence of an array that cannot be taken."""
        sentence = f"{self.function}: {name} is a {type_name(array)} {why}"
        own = isinstance(why, OnCPU) and array is self.like
        return f"{sentence}; normfast.{self.function} takes it" if own else sentence

    def no_array(self, name: str, thing: Any) -> str:
        """That of what is no array at all."""
        return (
            f"{self.function}: {name} must be an array on a GPU: of torch or CuPy, "
            f"or with DLPack or the CUDA array interface; got {type_name(thing)}"
        )


def type_name(thing: Any) -> str:
    """The type of an object, short: "list", "torch.Tensor"."""
    kind = type(thing)
    module = kind.__module__
    return kind.__qualname__ if module == "builtins" else f"{module}.{kind.__qualname__}"
