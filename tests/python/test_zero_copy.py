"""Arrays of any library on the CPU are read and written where they lie, and let go afterwards."""

import array
import contextlib
import ctypes
import gc
import sys
import weakref
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from helpers import LARGEST_SIZE, STATUS, assert_all_same_bits, assert_same_bits, run_python
from numpy.typing import NDArray

import normfast as nf

Array = NDArray[Any]

VALUES = np.random.default_rng(0).standard_normal((6, 4, 10))
WEIGHT = np.linspace(0.5, 2, 10, dtype=np.float32)


class OnlyDLPack:
    """An array of a library that speaks DLPack alone, as of 2024: with versions and keywords."""

    def __init__(self, wrapped: Any) -> None:
        self.wrapped = wrapped

    def __dlpack__(self, **keywords: Any) -> Any:
        return self.wrapped.__dlpack__(**keywords)

    def __dlpack_device__(self) -> Any:
        return self.wrapped.__dlpack_device__()


class OnlyOldDLPack(OnlyDLPack):
    """As of 2021: it does not know the keyword that asks for a version."""

    def __dlpack__(self, stream: Any = None) -> Any:  # type: ignore[override]
        assert stream is None
        return self.wrapped.__dlpack__()


# --- DLPack by hand: what no library here exports


class _DLTensor(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    )


_Deleter = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


class _DLManagedTensor(ctypes.Structure):
    _fields_ = (("tensor", _DLTensor), ("context", ctypes.c_void_p), ("deleter", _Deleter))


_capsules = ctypes.pythonapi
_capsules.PyCapsule_New.restype = ctypes.py_object
_capsules.PyCapsule_New.argtypes = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)
_capsules.PyCapsule_GetName.restype = ctypes.c_char_p
_capsules.PyCapsule_GetName.argtypes = (ctypes.py_object,)
_capsules.PyCapsule_SetName.argtypes = (ctypes.py_object, ctypes.c_char_p)


class HandMade:
    """Exports contiguous float32 values through capsules of its own, and counts their releases."""

    def __init__(
        self, values: Array, device: tuple[int, int] = (1, 0), strided: bool = True, **fields: int
    ) -> None:
        self.device, self.released = device, 0
        self.capsules: list[Any] = []
        offset = fields.get("byte_offset", 0)
        self.memory = np.frombuffer(bytes(offset) + values.tobytes(), np.uint8)
        steps = [s // values.itemsize for s in values.strides]
        self.shape = (ctypes.c_int64 * values.ndim)(*values.shape)
        self.strides = (ctypes.c_int64 * values.ndim)(*steps)
        self.managed = _DLManagedTensor()
        tensor = self.managed.tensor
        tensor.data, tensor.ndim = self.memory.ctypes.data, values.ndim
        tensor.device_type, tensor.device_id = device
        tensor.code, tensor.bits, tensor.lanes = 2, 32, 1
        tensor.shape = self.shape
        tensor.strides = self.strides if strided else None
        for name, value in fields.items():
            setattr(tensor, name, value)
        self.managed.deleter = _Deleter(self._release)

    def _release(self, _: Any) -> None:
        self.released += 1

    def __dlpack__(self, **_: Any) -> Any:
        managed = ctypes.addressof(self.managed)
        self.capsules.append(_capsules.PyCapsule_New(managed, b"dltensor", None))
        return self.capsules[-1]

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.device

    def is_let_go(self) -> bool:
        """What was taken out of a capsule was released once, and nobody else holds a capsule."""
        taken = [_capsules.PyCapsule_GetName(c) == b"used_dltensor" for c in self.capsules]
        return self.released == sum(taken) and all(sys.getrefcount(c) <= 3 for c in self.capsules)


# --- torch


@pytest.fixture(scope="module")
def torch() -> Any:
    return pytest.importorskip("torch", reason="torch is not installed")


TORCH_DTYPES = {
    "float32": np.float32,
    "float64": np.float64,
    "float16": np.float16,
    "bfloat16": ml_dtypes.bfloat16,
}
each_torch_dtype = pytest.mark.parametrize("name", TORCH_DTYPES)

VIEWS: dict[str, Callable[[Any], Any]] = {
    "contiguous": lambda t: t,
    "transposed": lambda t: t.permute(2, 0, 1) if hasattr(t, "permute") else t.transpose(2, 0, 1),
    "sliced": lambda t: t[1::2, :, ::3],
    "one repeated": lambda t: t[:1].expand(6, 4, 10) if hasattr(t, "expand") else t[[0] * 6],
}


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
@each_torch_dtype
def test_a_torch_tensor_gives_the_bits_of_the_same_array(
    torch: Any, name: str, view: Callable[[Any], Any]
) -> None:
    tensor = view(torch.from_numpy(VALUES).to(getattr(torch, name)))
    x = view(VALUES.astype(TORCH_DTYPES[name]))
    y = nf.layer_norm(tensor)
    assert type(y) is np.ndarray
    assert y.dtype == TORCH_DTYPES[name]
    assert_same_bits(y, nf.layer_norm(x))
    assert_same_bits(nf.batch_norm(tensor, None, None, training=True, channel_axis=-1),
                     nf.batch_norm(x, None, None, training=True, channel_axis=-1))  # fmt: skip
    assert_all_same_bits(nf.mean_var(tensor, 1), nf.mean_var(x, 1))


def test_the_result_is_ordered_in_memory_as_the_tensor(torch: Any) -> None:
    images = torch.ones(2, 3, 5, 7).contiguous(memory_format=torch.channels_last)
    assert nf.instance_norm(images).transpose(0, 2, 3, 1).flags.c_contiguous


def test_every_argument_may_be_a_tensor(torch: Any) -> None:
    def same(call: Callable[..., Any], **arrays: Array) -> None:
        tensors = {name: torch.from_numpy(a.copy()) for name, a in arrays.items()}
        actual, expected = call(**tensors), call(**arrays)
        assert_same_bits(actual, expected)
        for name, a in arrays.items():  # running statistics and counters
            assert_same_bits(tensors[name].numpy(), a)

    x = VALUES.astype(np.float32)
    four = np.linspace(1, 2, 4)
    same(nf.layer_norm, x=x, weight=WEIGHT, bias=WEIGHT, where=x > 0, sample_weight=abs(x))
    same(lambda **a: nf.rms_norm(**a, weight_offset=1.0), x=x, weight=WEIGHT)
    same(lambda **a: nf.group_norm(**a, num_groups=2), x=x, weight=four, bias=four, add=x)
    buffers = {"running_mean": np.zeros(4), "running_var": np.ones(4)}
    same(nf.instance_norm, x=x, **{k: b.copy() for k, b in buffers.items()})
    same(
        lambda **a: nf.batch_norm(**a, training=True, momentum=None),
        x=x,
        weight=four,
        bias=four,
        num_batches_tracked=np.array(3),
        **buffers,
    )
    same(nf.weight_norm, v=x, g=np.arange(6.0))
    same(nf.standardize, x=x, mean=np.zeros((4, 10)), std=np.full((4, 10), 3.0))
    image = np.arange(60, dtype=np.uint8).reshape(4, 5, 3)
    same(nf.normalize_image, image=image, mean=np.full(3, 0.5), std=np.full(3, 0.25))


def test_a_module_in_training_has_its_buffers_updated(torch: Any) -> None:
    module, theirs = (torch.nn.BatchNorm1d(4) for _ in range(2))
    x = torch.from_numpy(VALUES.astype(np.float32))
    for _ in range(3):
        nf.batch_norm(
            x,
            module.running_mean,
            module.running_var,
            training=True,
            num_batches_tracked=module.num_batches_tracked,
        )
        theirs(x)
    assert module.num_batches_tracked.item() == 3
    torch.testing.assert_close(module.running_mean, theirs.running_mean)
    torch.testing.assert_close(module.running_var, theirs.running_var)


def test_a_bool_tensor_selects(torch: Any) -> None:
    x = VALUES.astype(np.float32)
    lengths = torch.tensor([1, 10, 7, 4])
    where = torch.arange(10) < lengths[:, None]
    assert_all_same_bits(
        nf.mean_var(torch.from_numpy(x), -1, where=where), nf.mean_var(x, -1, where=where.numpy())
    )


@each_torch_dtype
def test_out_is_written_in_place_and_returned(torch: Any, name: str) -> None:
    x = VALUES.astype(TORCH_DTYPES[name])
    expected = nf.layer_norm(x)
    tensor = torch.from_numpy(VALUES).to(getattr(torch, name))
    place = torch.zeros(6, 20, 10, dtype=tensor.dtype)
    out = place[:, ::5]
    assert nf.layer_norm(tensor, out=out) is out
    assert np.array_equal(out.double().numpy(), expected.astype(float))
    place[:, ::5] = 0
    assert not place.any()
    assert nf.layer_norm(tensor, out=tensor) is tensor
    assert np.array_equal(tensor.double().numpy(), expected.astype(float))


def test_out_may_be_a_tensor_where_x_is_an_array_and_the_other_way_round(torch: Any) -> None:
    x = VALUES.astype(np.float32)
    tensor = torch.from_numpy(x.copy())
    expected = nf.layer_norm(x)
    for source in (x, tensor):
        for out in (np.zeros_like(x), torch.zeros(x.shape)):
            y, mean, _ = nf.layer_norm(source, out=out, return_stats=True)
            assert y is out
            assert isinstance(mean, np.ndarray)
            assert_same_bits(np.asarray(y), expected)


def test_a_pair_of_outs_is_returned_as_it_was_given(torch: Any) -> None:
    x, residual = (torch.from_numpy(VALUES.astype(np.float32)) for _ in range(2))
    y = torch.zeros(x.shape)
    results = nf.layer_norm(x, residual=residual, out=(y, residual))
    assert results[0] is y
    assert results[1] is residual
    torch.testing.assert_close(residual, 2 * x)


def test_a_tensor_that_requires_grad_is_refused_by_its_name(torch: Any) -> None:
    """The result would be outside of autograd."""
    x = torch.ones(4, 10)
    with pytest.raises(TypeError, match=r"^layer_norm: x .*detach"):
        nf.layer_norm(x.clone().requires_grad_())
    with pytest.raises(TypeError, match=r"^layer_norm: weight .*detach"):
        nf.layer_norm(x, weight=torch.nn.Parameter(torch.ones(10)))
    with pytest.raises(TypeError, match=r"^layer_norm: out .*detach"):
        nf.layer_norm(x, out=torch.ones(4, 10, requires_grad=True))
    with pytest.raises(TypeError, match=r"^mean_var: x .*detach"):
        nf.mean_var(x.clone().requires_grad_() * 2)
    assert_same_bits(nf.layer_norm(x.clone().requires_grad_().detach()), nf.layer_norm(x))


def test_tensors_without_plain_memory_are_refused(torch: Any) -> None:
    for tensor in (
        torch.ones(4, 10, device="meta"),
        torch.eye(10).to_sparse(),
        torch.ones(4, 10, dtype=torch.complex64),
    ):
        with pytest.raises((TypeError, ValueError), match=r"^layer_norm: x "):
            nf.layer_norm(tensor)
    with pytest.raises(TypeError, match=r"^layer_norm: x .*int64"):
        nf.layer_norm(torch.ones(4, 10, dtype=torch.int64))


def test_a_tensor_that_holds_the_negative_of_its_memory_is_not_misread(torch: Any) -> None:
    """torch keeps the imaginary part of a conjugate as a view with a flag, which DLPack loses."""
    negated = torch.view_as_complex(torch.ones(3, 2)).conj().imag
    assert negated.tolist() == [-1, -1, -1]
    with contextlib.suppress(TypeError):
        mean, _ = nf.mean_var(negated)
        assert mean == -1


def test_an_empty_tensor_gives_an_empty_result(torch: Any) -> None:
    assert nf.layer_norm(torch.empty(0, 10)).shape == (0, 10)
    out = torch.empty(4, 0)
    assert nf.normalize(torch.empty(4, 0), out=out) is out


@pytest.mark.usefixtures("torch")
def test_bfloat16_needs_ml_dtypes_only_for_a_new_array() -> None:
    """Nobody imported it before; and then it cannot be imported at all."""
    script = """
import sys
import numpy as np
import torch
import normfast as nf
x = torch.tensor([[1.0, 3.0]], dtype=torch.bfloat16)
assert "ml_dtypes" not in sys.modules
sys.modules["ml_dtypes"] = None
assert nf.layer_norm(x, eps=0.0, dtype=np.float32).tolist() == [[-1, 1]]
try:
    nf.layer_norm(x)
except TypeError as error:
    assert "ml_dtypes" in str(error)
else:
    raise AssertionError
assert nf.layer_norm(x, eps=0.0, out=x) is x
assert x.tolist() == [[-1, 1]]
del sys.modules["ml_dtypes"]
print(nf.layer_norm(x).dtype)
"""
    assert run_python(script) == "bfloat16"


# --- jax


@pytest.fixture(scope="module")
def jnp() -> Any:
    return pytest.importorskip("jax.numpy", reason="jax is not installed")


@pytest.mark.parametrize("name", ["float32", "float16", "bfloat16"])
def test_a_jax_array_gives_the_bits_of_the_same_array(jnp: Any, name: str) -> None:
    x = VALUES.astype(TORCH_DTYPES[name])
    y = nf.layer_norm(jnp.asarray(x), weight=jnp.asarray(WEIGHT))
    assert type(y) is np.ndarray
    assert_same_bits(y, nf.layer_norm(x, weight=WEIGHT))


@pytest.mark.parametrize("name", ["float32", "float16", "bfloat16"])
def test_a_jax_array_is_never_written(jnp: Any, name: str) -> None:
    """jax counts on it, and says so only in the buffer protocol, which has no bfloat16."""
    x = jnp.ones((4, 10), name)
    with pytest.raises((TypeError, ValueError), match=r"^layer_norm: out "):
        nf.layer_norm(x, out=x)
    assert np.all(np.asarray(x) == 1)


# --- the buffer protocol and bare DLPack


def test_memory_of_the_standard_library_is_read_and_written() -> None:
    row = np.array([1.0, 3.0, 5.0, 7.0])
    expected = nf.layer_norm(row)
    for dtype in ("f", "d"):
        assert_same_bits(nf.layer_norm(array.array(dtype, row)), nf.layer_norm(row.astype(dtype)))
    view = memoryview(bytearray(row.tobytes())).cast("d")
    assert_same_bits(nf.layer_norm(view), expected)
    out = array.array("d", bytes(32))
    assert nf.layer_norm(row, out=out) is out
    assert_same_bits(np.asarray(out), expected)
    assert nf.layer_norm(view, out=view) is view
    assert_same_bits(np.asarray(view), expected)


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_a_memoryview_of_any_strides_is_read(dtype: str) -> None:
    x = VALUES.astype(dtype)
    for a in (x, x.T, x[::-2, :, 1::3], np.broadcast_to(x[:1], x.shape)):
        assert_same_bits(nf.layer_norm(memoryview(a)), nf.layer_norm(np.array(a, order="C")))


def test_bytes_of_an_image_are_read_where_they_are() -> None:
    image = np.arange(60, dtype=np.uint8).reshape(4, 5, 3)
    statistics = np.full(3, 0.5), np.full(3, 0.25)
    for memory in (bytes(image), bytearray(image)):
        view = memoryview(memory).cast("B", (4, 5, 3))
        y = nf.normalize_image(view, *statistics)
        assert_same_bits(y, nf.normalize_image(image, *statistics))
        assert nf.mean_var(view) == nf.mean_var(image)


@pytest.mark.parametrize("wrapper", [OnlyDLPack, OnlyOldDLPack])
def test_an_object_with_dlpack_alone_is_read_and_written(wrapper: Callable[[Any], Any]) -> None:
    x = VALUES.astype(np.float32)
    expected = nf.layer_norm(x, weight=WEIGHT)
    for a in (x, np.array(x, order="F"), x[::-1, :, ::-1][::-1, :, ::-1]):
        assert_same_bits(nf.layer_norm(wrapper(a), weight=wrapper(WEIGHT)), expected)
    assert_same_bits(nf.layer_norm(wrapper(x[::2, :, ::-2])), nf.layer_norm(x[::2, :, ::-2]))


def test_an_object_with_dlpack_alone_is_written() -> None:
    x = VALUES.astype(np.float32)
    memory = np.zeros_like(x)
    out = OnlyDLPack(memory)
    assert nf.layer_norm(x, out=out) is out
    assert_same_bits(memory, nf.layer_norm(x))


def test_a_capsule_with_an_offset_or_without_strides_is_understood() -> None:
    x = VALUES.astype(np.float32)
    expected = nf.layer_norm(x)
    for thing in (HandMade(x), HandMade(x, byte_offset=12), HandMade(x, strided=False)):
        assert_same_bits(nf.layer_norm(thing), expected)
        assert len(thing.capsules) == 1
        assert thing.is_let_go()


# --- what is refused


def test_read_only_memory_is_read_but_never_written() -> None:
    x = VALUES.astype(np.float32)
    frozen = x.copy()
    frozen.flags.writeable = False
    expected = nf.layer_norm(x)
    for thing in (
        memoryview(x.tobytes()).cast("f", x.shape),
        memoryview(x).toreadonly(),
        OnlyDLPack(frozen),
    ):
        assert_same_bits(nf.layer_norm(thing), expected)
        with pytest.raises(ValueError, match=r"^layer_norm: out .*read-only"):
            nf.layer_norm(x, out=thing)
        with pytest.raises(ValueError, match=r"^layer_norm: out .*read-only"):
            nf.layer_norm(thing, out=thing)
    assert_same_bits(frozen, x)


def test_running_statistics_in_read_only_memory_are_refused() -> None:
    x = VALUES.astype(np.float32)
    mean, var = memoryview(bytes(32)).cast("d"), np.ones(4)
    with pytest.raises(ValueError, match=r"^batch_norm: running_mean .*read-only"):
        nf.batch_norm(x, mean, var, training=True)
    assert np.all(var == 1)
    assert nf.batch_norm(x, mean, var).shape == x.shape


@pytest.mark.parametrize("device", [(2, 0), (10, 1), (8, 0), (99, 0), (-1, 0)], ids=str)
def test_memory_of_another_device_is_refused_and_never_exported(device: tuple[int, int]) -> None:
    """(2, 0) is the first CUDA device."""
    x = VALUES.astype(np.float32)
    thing = HandMade(x, device)
    for arguments in ({"x": thing}, {"x": x, "weight": thing}, {"x": x, "out": thing}):
        with pytest.raises((TypeError, ValueError), match=r"^layer_norm: \w+ .*(device|CPU)"):
            nf.layer_norm(**arguments)
    assert not thing.capsules


def test_an_array_of_a_gpu_is_pointed_to_the_function_that_takes_it() -> None:
    class OnlyInterface:
        __cuda_array_interface__ = None

    x = VALUES.astype(np.float32)
    for thing in (HandMade(x, (2, 0)), HandMade(x, (13, 0)), OnlyInterface()):
        with pytest.raises(TypeError, match=r"^layer_norm: x .* normfast\.cuda\.layer_norm takes"):
            nf.layer_norm(thing)
        with pytest.raises(TypeError, match=r"^mean_var: where .* normfast\.cuda\.mean_var takes"):
            nf.mean_var(x, where=thing)
        with pytest.raises(TypeError, match=r"^normalize_image: image .* expected CPU memory$"):
            nf.normalize_image(thing, 0, 1)


def test_a_capsule_whose_device_contradicts_the_object_is_refused() -> None:
    thing = HandMade(VALUES.astype(np.float32), device_type=2)
    with pytest.raises((TypeError, ValueError), match=r"^layer_norm: x .*(device|CPU)"):
        nf.layer_norm(thing)


@pytest.mark.parametrize(
    "fields",
    [
        {"code": 2, "bits": 8},
        {"code": 2, "bits": 128},
        {"code": 4, "bits": 32},
        {"code": 5, "bits": 64},
        {"code": 10, "bits": 8},
        {"code": 2, "bits": 32, "lanes": 4},
        {"code": 0, "bits": 64},
        {"code": 77, "bits": 32},
    ],
    ids=str,
)
def test_capsules_of_other_dtypes_are_refused_and_let_go(fields: dict[str, int]) -> None:
    thing = HandMade(VALUES.astype(np.float32), **fields)
    with pytest.raises(TypeError, match=r"^layer_norm: x "):
        nf.layer_norm(thing)
    assert thing.is_let_go()


class Broken:
    """Whose export fails, or is not what it should be."""

    def __init__(self, export: Callable[[], Any]) -> None:
        self.export = export

    def __dlpack__(self, **_: Any) -> Any:
        return self.export()

    def __dlpack_device__(self) -> tuple[int, int]:
        return (1, 0)


EXPORTED: list[HandMade] = []  # as long as their capsules


def used_capsule() -> Any:
    thing = HandMade(VALUES.astype(np.float32))
    capsule = thing.__dlpack__()
    _capsules.PyCapsule_SetName(capsule, b"used_dltensor")
    EXPORTED.append(thing)
    return capsule


def raise_buffer_error() -> Any:
    raise BufferError("cannot export today")


@pytest.mark.parametrize(
    "export", [lambda: None, lambda: 5, used_capsule, raise_buffer_error], ids=range(4)
)
def test_an_export_that_fails_is_an_error_that_names_the_argument(
    export: Callable[[], Any],
) -> None:
    with pytest.raises((TypeError, ValueError), match=r"^layer_norm: x "):
        nf.layer_norm(Broken(export))
    with pytest.raises((TypeError, ValueError), match=r"^layer_norm: weight "):
        nf.layer_norm(VALUES, weight=Broken(export))


def test_an_error_inside_the_export_is_not_swallowed() -> None:
    def interrupt() -> Any:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        nf.layer_norm(Broken(interrupt))


def test_buffers_of_other_formats_are_refused() -> None:
    for a in (np.ones(8, ">f4"), np.ones(8, "c8"), np.ones(8, "f4,f4"), np.ones(8, bool)):
        with pytest.raises(TypeError, match=r"^layer_norm: x "):
            nf.layer_norm(memoryview(a))
    with pytest.raises(TypeError, match=r"^layer_norm: x "):
        nf.layer_norm(array.array("i", [1, 2]))
    with pytest.raises(TypeError, match=r"^layer_norm: x "):
        nf.layer_norm(b"abcd")


@pytest.mark.parametrize("wrap", [memoryview, OnlyDLPack, OnlyOldDLPack])
def test_overlap_is_seen_through_other_views(wrap: Callable[[Any], Any]) -> None:
    memory = np.arange(48.0)
    x, out = memory[:40].reshape(4, 10), memory[1:41].reshape(4, 10)
    for arguments in ({"x": wrap(x), "out": out}, {"x": x, "out": wrap(out)}):
        with pytest.raises(ValueError, match=r"^layer_norm: out "):
            nf.layer_norm(**arguments)
    with pytest.raises(ValueError, match="weight"):
        nf.layer_norm(x.copy(), weight=wrap(x[0]), out=x)
    assert_same_bits(memory, np.arange(48.0))
    expected = nf.layer_norm(x.copy())
    nf.layer_norm(wrap(x), out=x)  # the very same memory
    assert_same_bits(x, expected)


# --- lifetimes


def makers(torch: Any) -> list[Callable[[], Any]]:
    return [
        lambda: torch.ones(4, 10),
        lambda: array.array("f", [1, 2, 3]),
        lambda: OnlyDLPack(np.ones((4, 10))),
    ]


def test_nothing_is_held_after_a_call(torch: Any) -> None:
    for make in makers(torch):
        for call in (nf.layer_norm, nf.mean_var, lambda t: nf.layer_norm(t, out=t)):
            thing = make()
            held = sys.getrefcount(thing)
            for _ in range(10):
                call(thing)
            assert sys.getrefcount(thing) == held
            alive = weakref.ref(thing)
            del thing
            assert alive() is None


def test_nothing_is_held_after_an_error(torch: Any) -> None:
    for make in makers(torch):
        thing, weight = make(), make()
        held = sys.getrefcount(thing), sys.getrefcount(weight)
        for _ in range(10):
            with pytest.raises((TypeError, ValueError)):
                nf.layer_norm(thing, weight=weight, axis=5)
            with pytest.raises((TypeError, ValueError)):
                nf.batch_norm(thing, weight, weight, out=5)
        assert (sys.getrefcount(thing), sys.getrefcount(weight)) == held


def test_a_capsule_is_released_exactly_once_even_where_a_later_argument_is_wrong() -> None:
    x = VALUES.astype(np.float32)
    thing, weight = HandMade(x), HandMade(np.ones(3, np.float32))
    for _ in range(5):
        with pytest.raises(ValueError, match="weight"):
            nf.layer_norm(thing, weight=weight)
    assert thing.is_let_go()
    assert weight.is_let_go()


def test_an_exported_bytearray_may_be_resized_afterwards() -> None:
    """While a buffer is held, resizing raises."""
    memory = bytearray(40)
    nf.layer_norm(memoryview(memory).cast("f"))
    with pytest.raises(ValueError, match="out"):
        nf.layer_norm(np.ones(3), out=memoryview(memory).cast("d"))
    gc.collect()
    memory.extend(b"more")


def test_results_outlive_what_they_were_made_from(torch: Any) -> None:
    expected = nf.layer_norm(VALUES, weight=np.full(10, 2.0))
    y = nf.layer_norm(torch.from_numpy(VALUES).clone(), weight=torch.full((10,), 2.0))
    gc.collect()
    torch.zeros(6, 4, 10, dtype=torch.float64)
    assert_same_bits(y, expected)
    assert y.flags.owndata


def test_a_tensor_may_lose_its_last_name_during_the_call(torch: Any) -> None:
    """Large enough that other threads run meanwhile."""
    for _ in range(5):
        y = nf.layer_norm(torch.ones(64, 4096), weight=torch.full((4096,), 2.0))
        assert np.all(y == 0)


@pytest.mark.skipif(not STATUS.exists(), reason="this system does not tell a process's memory")
@pytest.mark.parametrize(
    "source",
    [
        "memoryview(memory).cast('f', (256, 1 << 16))",
        "OnlyDLPack(np.frombuffer(memory, np.float32).reshape(256, 1 << 16))",
        "OnlyDLPack(np.frombuffer(memory, np.float16).reshape(512, 1 << 16))",
        "memoryview(memory).cast('B', (1024, 1 << 16))",
    ],
)
def test_nothing_is_copied(source: str) -> None:
    """64 MB are read, and for floats written in place, with less than 16 MB more."""
    script = f"""
import numpy as np
import normfast as nf
{LARGEST_SIZE}
class OnlyDLPack:
    def __init__(self, a):
        self.a = a
    def __dlpack__(self, **keywords):
        return self.a.__dlpack__(**keywords)
    def __dlpack_device__(self):
        return self.a.__dlpack_device__()
memory = bytearray(1 << 26)
x = {source}
nf.layer_norm(np.ones((2, 1 << 16), np.float32))
before = largest_size()
nf.mean_var(x, 0)
nf.mean_var(x)
if getattr(x, "format", "f") == "f":
    nf.layer_norm(x, out=x)
print(largest_size() - before)
"""
    assert int(run_python(script)) < 16
