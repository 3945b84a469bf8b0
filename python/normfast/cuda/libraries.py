"""The libraries that keep arrays on a GPU: where the memory is, the stream, and new memory."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from normfast.cuda import extension

if TYPE_CHECKING:
    from normfast._cuda import Array

__all__ = ["OTHERS", "Library", "NoMemory", "OnCPU", "Unfit", "library_of"]

CPU_KIND, CUDA_KINDS = 1, (2, 13)  # DLPack's kDLCPU; kDLCUDA, kDLCUDAManaged
DEFAULT_STREAM = 1  # as CUDA, DLPack and __cuda_array_interface__ number the legacy default stream


class Unfit(TypeError):
    """An array that cannot be taken, told as the rest of a sentence: "x is a torch.Tensor"..."""


class OnCPU(Unfit):
    """An array that a function of the CPU takes."""

    def __init__(self) -> None:
        super().__init__("in the CPU's memory, expected a GPU's")


class NoMemory(Unfit):
    """An array whose library gives none that can be written into."""

    def __init__(self) -> None:
        super().__init__(
            "whose library gives no memory to write into: give out=; where statistics or work "
            "space are needed, a view of it as a torch tensor or CuPy array (DLPack makes them)"
        )


class Library(ABC):
    """What a call has to know of the library that its arrays are of."""

    @abstractmethod
    def owns(self, array: Any) -> bool:
        """Whether it is an array of this library."""

    # How to choose the stream, where the library has a current one.
    context: ClassVar[str | None] = None

    @abstractmethod
    def place(self, array: Any) -> tuple[int, int]:
        """The device of an array, and the stream for work on it."""

    @abstractmethod
    def show(self, array: Any, stream: int) -> tuple[Array, int | None]:
        """The array's memory, which is safe to use on the stream, and its device.

        None where it has no elements, and so is on no device.
        """

    @abstractmethod
    def empty(self, like: Any, shape: tuple[int, ...], dtype: str) -> Any:
        """New memory in C order, on the device of another array."""

    @abstractmethod
    def permuted(self, array: Any, axes: Sequence[int]) -> Any:
        """A view with its axes in another order."""


class Torch(Library):
    """PyTorch."""

    context = "with torch.cuda.stream(...):"

    def __init__(self, torch: Any) -> None:
        self.torch = torch
        # A build for tests runs on the CPU, on its arrays.
        self.emulated = extension.info()["emulated"]
        self.kinds: dict[Any, tuple[str, int]] = {}  # the name and size of each dtype met

    def owns(self, array: Any) -> bool:
        return isinstance(array, self.torch.Tensor)

    def place(self, array: Any) -> tuple[int, int]:
        if not array.is_cuda:
            return 0, DEFAULT_STREAM
        device = array.get_device()
        return device, self.torch.cuda.current_stream(device).cuda_stream

    def show(self, array: Any, stream: int) -> tuple[Array, int | None]:
        del stream  # it is torch's current one
        if not (array.is_cpu if self.emulated else array.is_cuda):
            if array.is_cpu:
                raise OnCPU
            raise Unfit(f"on the device {array.device}, expected a GPU's")
        if array.layout is not self.torch.strided:
            raise Unfit(f"of the layout {array.layout}, expected a strided one")
        if array.requires_grad and self.torch.is_grad_enabled():
            raise Unfit(
                "that requires grad, through which no gradient would flow; "
                "pass its .detach(), or call it under torch.no_grad()"
            )
        if array.is_neg():
            raise Unfit("that holds the negative of its memory; pass its .resolve_neg()")
        kind = array.dtype
        if kind not in self.kinds:
            self.kinds[kind] = str(kind).removeprefix("torch."), kind.itemsize
        name, size = self.kinds[kind]
        strides = [step * size for step in array.stride()]
        shown = extension.Array(array, array.data_ptr(), name, array.shape, strides)
        return shown, 0 if self.emulated else array.get_device()

    def empty(self, like: Any, shape: tuple[int, ...], dtype: str) -> Any:
        return self.torch.empty(shape, dtype=getattr(self.torch, dtype), device=like.device)

    def permuted(self, array: Any, axes: Sequence[int]) -> Any:
        return array.permute(axes)


class CuPy(Library):
    """CuPy."""

    context = "with stream:"

    def __init__(self, cupy: Any) -> None:
        self.cupy = cupy

    def owns(self, array: Any) -> bool:
        return isinstance(array, self.cupy.ndarray)

    def place(self, array: Any) -> tuple[int, int]:
        device = array.device.id
        return device, self.cupy.cuda.get_current_stream(device).ptr

    def show(self, array: Any, stream: int) -> tuple[Array, int | None]:
        del stream  # it is CuPy's current one
        pointer, name = array.data.ptr, array.dtype.name
        shown = extension.Array(array, pointer, name, array.shape, array.strides)
        return shown, array.device.id

    def empty(self, like: Any, shape: tuple[int, ...], dtype: str) -> Any:
        with like.device:
            return self.cupy.empty(shape, like.dtype if like.dtype.name == dtype else dtype)

    def permuted(self, array: Any, axes: Sequence[int]) -> Any:
        return array.transpose(axes)


class Others(Library):
    """Any library with DLPack or the CUDA array interface: Numba, JAX, PyCUDA, RAPIDS...

    New memory is its Array API namespace's, if it has one.
    """

    def owns(self, array: Any) -> bool:
        if isinstance(array, type):
            return False
        return hasattr(array, "__dlpack__") or hasattr(array, "__cuda_array_interface__")

    def place(self, array: Any) -> tuple[int, int]:
        interface = getattr(array, "__cuda_array_interface__", {})
        if hasattr(array, "__dlpack__"):
            device = array.__dlpack_device__()[1]
        else:
            device = max(extension.device_of(interface["data"][0]), 0)
        # Where the array's own work is queued: so that it is in order before and after.
        return int(device), interface.get("stream") or DEFAULT_STREAM

    def show(self, array: Any, stream: int) -> tuple[Array, int | None]:
        if hasattr(array, "__dlpack__"):
            return self.show_dlpack(array, stream)
        return self.show_interface(array, array.__cuda_array_interface__, stream)

    def show_dlpack(self, array: Any, stream: int) -> tuple[Array, int | None]:
        """By DLPack, whose producer makes the stream wait for its own."""
        kind, _ = array.__dlpack_device__()
        if kind == CPU_KIND:
            raise OnCPU
        if kind not in CUDA_KINDS:
            raise Unfit(f"on a device of DLPack's type {int(kind)}, expected a GPU's (2)")
        on = stream or DEFAULT_STREAM
        try:
            try:
                capsule = array.__dlpack__(stream=on, max_version=(1, 0))
            except TypeError:  # from before versions
                capsule = array.__dlpack__(stream=on)
        except Exception as error:
            why = str(error).partition("\n")[0]
            raise Unfit(f"that does not show its memory: {why}") from None
        shown, device = extension.from_dlpack(array, capsule)
        return shown, device

    def show_interface(
        self, array: Any, interface: dict[str, Any], stream: int
    ) -> tuple[Array, int | None]:
        """By the CUDA array interface: the stream waits here for that of the array."""
        if interface.get("mask") is not None:
            raise Unfit("with a mask, which would be ignored")
        kind = interface["typestr"]
        if kind.startswith(">"):
            raise Unfit("in another byte order, expected the native one")
        dtype, shape = np.dtype(kind), tuple(interface["shape"])
        pointer, read_only = interface["data"]
        strides = interface.get("strides")
        if strides is None:
            strides = [dtype.itemsize * prod(shape[i + 1 :]) for i in range(len(shape))]
        device = extension.device_of(pointer) if prod(shape) else None
        if device is not None and device < 0:
            raise Unfit("whose memory is on no GPU")
        own = interface.get("stream")
        if device is not None and own is not None and own != stream:
            extension.wait(device, stream, own)
        shown = extension.Array(array, pointer, dtype.name, shape, strides, not read_only)
        return shown, device

    def empty(self, like: Any, shape: tuple[int, ...], dtype: str) -> Any:
        if not hasattr(like, "__array_namespace__"):
            raise NoMemory
        xp = like.__array_namespace__()
        same = getattr(like.dtype, "name", str(like.dtype)) == dtype
        return xp.empty(shape, dtype=like.dtype if same else getattr(xp, dtype), device=like.device)

    def permuted(self, array: Any, axes: Sequence[int]) -> Any:
        return array.__array_namespace__().permute_dims(array, tuple(axes))


OTHERS = Others()
KINDS = {"torch": Torch, "cupy": CuPy}
in_use: dict[str, Library] = {}  # those of KINDS that somebody has imported
by_type: dict[type, Library] = {}  # of the arrays met


def library_of(array: Any) -> Library | None:
    """The library of an array; None where it is no array."""
    kind = type(array)
    if kind not in by_type:
        for name, library in KINDS.items():
            if name not in in_use and (module := sys.modules.get(name)) is not None:
                in_use[name] = library(module)
        found = next((one for one in (*in_use.values(), OTHERS) if one.owns(array)), None)
        if found is None:
            return None
        by_type[kind] = found
    return by_type[kind]
