"""Arrays on a GPU; on the CPU where the extension emulates one. All memory is torch's."""

import ctypes
import math
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
CUDA = 2  # DLPack's number


@dataclass(frozen=True)
class Device:
    """Where the tests run. ``emulated``: there are no streams and no graphs. CuPy may be None."""

    torch: Any
    cupy: Any
    emulated: bool

    @property
    def name(self) -> str:
        return "cpu" if self.emulated else "cuda"

    def put(self, array: Array) -> Any:
        """A tensor with the values and the order in memory of an array."""
        if array.dtype == ml_dtypes.bfloat16:
            return self.put(array.view(np.int16)).view(self.torch.bfloat16)
        return self.torch.from_numpy(array).to(self.name, copy=True)

    def put_all(self, *arrays: Array) -> list[Any]:
        return [self.put(array) for array in arrays]

    def get(self, tensor: Any) -> Array:
        if tensor.dtype is self.torch.bfloat16:
            return self.get(tensor.view(self.torch.int16)).view(ml_dtypes.bfloat16)
        return tensor.detach().cpu().numpy()

    def get_all(self, tensors: Any) -> list[Array]:
        return [self.get(tensor) for tensor in tensors]

    def at_odd_address(self, tensor: Any) -> Any:
        """The same values, one element past where memory is aligned."""
        memory = self.torch.empty(tensor.numel() + 1, dtype=tensor.dtype, device=self.name)
        return memory[1:].view(tensor.shape).copy_(tensor)


# --- libraries that there could be


class Foreign:
    """An array that is none of torch's."""

    def __init__(self, tensor: Any) -> None:
        self.tensor = tensor


class WithInterface(Foreign):
    """What has the CUDA array interface alone, as Numba's arrays; made on a stream, or on none."""

    def __init__(self, tensor: Any, stream: int | None = None, **more: Any) -> None:
        super().__init__(tensor)
        names = {
            "float32": "<f4",
            "float64": "<f8",
            "float16": "<f2",
            "int64": "<i8",
            "uint8": "|u1",
        }
        strides = tuple(step * tensor.element_size() for step in tensor.stride())
        self.__cuda_array_interface__ = {
            "shape": tuple(tensor.shape),
            "typestr": names[str(tensor.dtype).removeprefix("torch.")],
            "data": (tensor.data_ptr(), False),
            "strides": None if tensor.is_contiguous() else strides,
            "version": 3,
            "stream": stream,
            **more,
        }


class WithNamespace(WithInterface):
    """What can also make arrays like itself."""

    @property
    def dtype(self) -> Any:
        return self.tensor.dtype

    @property
    def device(self) -> Any:
        return self.tensor.device

    def __array_namespace__(self) -> Any:
        return Namespace(self.tensor)


class Namespace:
    """The functions of its library that are needed, and its dtypes."""

    def __init__(self, tensor: Any) -> None:
        self.like = tensor
        self.float32, self.float64 = tensor.float().dtype, tensor.double().dtype
        self.uint8 = tensor.byte().dtype

    def empty(self, shape: tuple[int, ...], *, dtype: Any, device: Any) -> WithNamespace:
        return WithNamespace(self.like.new_empty(shape, dtype=dtype, device=device))

    def permute_dims(self, array: WithNamespace, axes: tuple[int, ...]) -> WithNamespace:
        return WithNamespace(array.tensor.permute(axes))


class WithDLPack(Foreign):
    """What has DLPack alone; in an emulation its memory is called a GPU's."""

    def __init__(self, tensor: Any, *, versions: bool = True) -> None:
        super().__init__(tensor)
        self.versions = versions
        self.streams: list[Any] = []

    def __dlpack_device__(self) -> tuple[int, int]:
        return CUDA, 0

    def __dlpack__(self, *, stream: Any = None, **keywords: Any) -> Any:
        if keywords and not self.versions:
            raise TypeError("unexpected keyword argument")
        self.streams.append(stream)
        if self.tensor.is_cuda:
            return self.tensor.__dlpack__(stream=stream, **keywords)
        capsule = self.tensor.__dlpack__(**keywords)
        call_it_cuda(capsule)
        return capsule


class _Tensor(ctypes.Structure):
    _fields_ = (("data", ctypes.c_void_p), ("device_type", ctypes.c_int32))


class _Versioned(ctypes.Structure):
    _fields_ = (
        ("version", ctypes.c_uint32 * 2),
        ("context", ctypes.c_void_p),
        ("deleter", ctypes.c_void_p),
        ("flags", ctypes.c_uint64),
        ("tensor", _Tensor),
    )


def call_it_cuda(capsule: Any) -> None:
    """Change the device that a DLPack capsule names."""
    api = ctypes.pythonapi
    api.PyCapsule_GetName.restype = ctypes.c_char_p
    api.PyCapsule_GetName.argtypes = (ctypes.py_object,)
    api.PyCapsule_GetPointer.restype = ctypes.c_void_p
    api.PyCapsule_GetPointer.argtypes = (ctypes.py_object, ctypes.c_char_p)
    name = api.PyCapsule_GetName(capsule)
    address = api.PyCapsule_GetPointer(capsule, name)
    versioned = name == b"dltensor_versioned"
    tensor = _Versioned.from_address(address).tensor if versioned else _Tensor.from_address(address)
    tensor.device_type = CUDA


# --- values


def drawn(shape: tuple[int, ...], dtype: Any, mean: float = 3, std: float = 2) -> Array:
    """Normal numbers, the same ones for the same shape."""
    rng = np.random.default_rng(math.prod(shape) + len(shape))
    return (mean + std * rng.standard_normal(shape)).astype(dtype)
