"""Arrays of any library, streams, graphs, and what is said of arguments that do not fit."""

import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import reference as ref
from devices import CUDA, Device, Foreign, WithDLPack, WithInterface, WithNamespace, drawn
from helpers import assert_promised, assert_same_bits, run_python
from numpy.typing import NDArray
from operations import CALLS, Call, sample

import normfast as nf
from normfast import cuda

Array = NDArray[Any]

X = drawn((7, 777), np.float32)
FIRST = {call.name.split()[0]: call for call in reversed(CALLS)}  # a call an operation
each_operation = pytest.mark.parametrize("call", FIRST.values(), ids=FIRST)


# --- arrays


@each_operation
def test_tensors_give_tensors(call: Call, device: Device) -> None:
    x = device.put(sample(call, np.float32))
    results = call.run(cuda, x, *device.put_all(*call.draw()), return_stats=True)
    for result in results:
        assert isinstance(result, device.torch.Tensor)
        assert result.device == x.device


def test_a_channels_last_tensor_keeps_its_layout(device: Device) -> None:
    x = drawn((3, 12, 7, 9), np.float32)
    t = device.put(x).to(memory_format=device.torch.channels_last)
    y = cuda.group_norm(t, 4)
    assert y.stride() == t.stride()
    assert_promised(device.get(y), ref.group_norm(x, 4))


def test_out_is_written_and_returned(device: Device) -> None:
    x, out = device.put(X), device.put(np.full_like(X, np.nan))
    assert cuda.layer_norm(x, out=out) is out
    assert_same_bits(device.get(out), device.get(cuda.layer_norm(x)))


@each_operation
def test_out_may_be_x(call: Call, device: Device) -> None:
    x, parameters = device.put(sample(call, np.float32)), device.put_all(*call.draw())
    expected = call.run(cuda, x, *parameters)
    assert call.run(cuda, x, *parameters, out=x) is x
    assert_same_bits(device.get(x), device.get(expected))


def test_the_sum_may_be_written_over_the_residual(device: Device) -> None:
    x, residual = device.put_all(X, X[::-1].copy())
    y, total = cuda.layer_norm(x, residual=residual)
    out = cuda.layer_norm(x, residual=residual, out=(None, residual))
    assert out[1] is residual
    assert_same_bits(device.get(out[0]), device.get(y))
    assert_same_bits(device.get(residual), device.get(total))


@pytest.mark.small
@each_operation
def test_any_address_gives_the_same_bits(call: Call, dtype: np.dtype, device: Device) -> None:
    x, parameters = device.put(sample(call, dtype)), device.put_all(*call.draw())
    expected = call.run(cuda, x, *parameters)
    moved = [device.at_odd_address(one) for one in (x, *parameters)]
    out = device.at_odd_address(device.torch.zeros_like(x))
    call.run(cuda, *moved, out=out)
    assert_same_bits(device.get(out), device.get(expected))
    assert_same_bits(device.get(call.run(cuda, moved[0], *parameters)), device.get(expected))


def test_a_strided_array_is_right_or_refused(device: Device) -> None:
    x = device.put(np.repeat(X, 2, axis=1))[:, ::2]
    try:
        y = device.get(cuda.layer_norm(x))
    except ValueError:
        with pytest.raises(ValueError, match=r"^layer_norm: x .*contiguous"):
            cuda.layer_norm(x)
    else:
        assert_promised(y, ref.layer_norm(X))


# --- other libraries


WRAPPERS: dict[str, Callable[[Any], Foreign]] = {
    "array interface": WithInterface,
    "DLPack": WithDLPack,
    "DLPack of before versions": lambda tensor: WithDLPack(tensor, versions=False),
}


@pytest.mark.parametrize("name", WRAPPERS)
def test_arrays_of_others_are_read_and_written_in_place(name: str, device: Device) -> None:
    wrap = WRAPPERS[name]
    x, weight, out = device.put_all(X, drawn((777,), np.float32), np.zeros_like(X))
    expected = cuda.layer_norm(x, weight=weight)
    result = wrap(out)
    if "before" in name:  # which does not say whether its memory may be written
        with pytest.raises(ValueError, match=r"^layer_norm: out .*read-only"):
            cuda.layer_norm(x, out=result)
        result = WithInterface(out)
    assert cuda.layer_norm(wrap(x), weight=wrap(weight), out=result) is result
    assert_same_bits(device.get(out), device.get(expected))


def test_an_array_with_a_namespace_gives_its_like(device: Device) -> None:
    x = drawn((3, 12, 7, 9), np.float32)
    t = device.put(x).to(memory_format=device.torch.channels_last)
    y, mean, _ = cuda.group_norm(WithNamespace(t), 4, return_stats=True)
    assert isinstance(y, WithNamespace)
    assert isinstance(mean, WithNamespace)
    assert y.tensor.stride() == t.stride()
    assert_promised(device.get(y.tensor), ref.group_norm(x, 4))


def test_an_array_that_cannot_give_memory_needs_out(device: Device) -> None:
    with pytest.raises(TypeError, match=r"^layer_norm: x is a .*WithInterface .*out="):
        cuda.layer_norm(WithInterface(device.put(X)))
    with pytest.raises(TypeError, match=r"^weight_norm: v is a .*WithInterface .*out="):
        cuda.weight_norm(WithInterface(device.put(X)), WithInterface(device.put(X[:, 0].copy())))


def test_parameters_of_another_library_are_taken(device: Device) -> None:
    x, weight = device.put_all(X, drawn((777,), np.float32))
    expected = cuda.layer_norm(x, weight=weight)
    for wrap in WRAPPERS.values():
        assert_same_bits(device.get(cuda.layer_norm(x, weight=wrap(weight))), device.get(expected))


def test_a_masked_array_and_another_byte_order_are_refused(device: Device) -> None:
    x = device.put(X)
    with pytest.raises(TypeError, match=r"^layer_norm: x .*mask"):
        cuda.layer_norm(WithInterface(x, mask=x))
    with pytest.raises(TypeError, match=r"^layer_norm: x .*byte order"):
        cuda.layer_norm(WithInterface(x, typestr=">f4"))


def test_read_only_memory_is_not_written(device: Device) -> None:
    x = device.put(X)
    thing = WithInterface(x, data=(x.data_ptr(), True))
    with pytest.raises(ValueError, match=r"^layer_norm: out .*read-only"):
        cuda.layer_norm(x, out=thing)
    assert_same_bits(device.get(x), X)


# --- streams


def test_the_producer_is_told_the_stream(device: Device) -> None:
    thing = WithDLPack(device.put(X))
    out = WithInterface(device.put(np.zeros_like(X)))
    other = 2 if device.emulated else device.torch.cuda.Stream().cuda_stream
    cuda.layer_norm(thing, out=out)
    cuda.layer_norm(thing, out=out, stream=other)
    assert thing.streams == [1, other]


def test_the_stream_of_an_array_is_waited_for(
    device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    from normfast.cuda import extension

    waits: list[tuple[int, ...]] = []
    monkeypatch.setattr(extension, "wait", lambda *given: waits.append(given))
    x, out = device.put(X), device.put(np.zeros_like(X))
    cuda.layer_norm(WithInterface(x, stream=2), out=WithInterface(out))
    assert waits == []  # the work is queued on that very stream
    cuda.layer_norm(WithInterface(x, stream=2), out=WithInterface(out), stream=1)
    assert waits == [(0, 1, 2)]
    cuda.layer_norm(WithInterface(x, stream=2), out=WithInterface(out, stream=1))
    assert waits == [(0, 1, 2), (0, 2, 1)]


def test_a_stream_is_an_int_or_has_the_protocol(device: Device) -> None:
    class Stream:
        def __cuda_stream__(self) -> tuple[int, int]:
            return 0, 1

    out = device.put(np.zeros_like(X))
    cuda.layer_norm(WithInterface(device.put(X)), out=WithInterface(out), stream=Stream())
    assert_promised(device.get(out), ref.layer_norm(X))
    with pytest.raises(TypeError, match=r"^layer_norm: stream must be an int .* got str$"):
        cuda.layer_norm(WithInterface(device.put(X)), out=out, stream="1")


def test_torch_says_which_stream(device: Device) -> None:
    with pytest.raises(TypeError, match=r"^layer_norm: stream .*torch\.cuda\.stream"):
        cuda.layer_norm(device.put(X), stream=1)


@each_operation
def test_work_is_queued_behind_that_of_the_current_stream(call: Call, gpu: Device) -> None:
    """x is made late, on a stream that nobody waits for."""
    torch = gpu.torch
    x, parameters = gpu.put(sample(call, np.float32)), gpu.put_all(*call.draw())
    expected = call.run(cuda, x, *parameters)
    torch.cuda.synchronize()
    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        late = torch.full_like(x, torch.nan)
        torch.cuda._sleep(50_000_000)
        late.copy_(x)
        y = call.run(cuda, late, *parameters)
        assert not side.query()  # nothing waited
    side.synchronize()
    assert_same_bits(gpu.get(y), gpu.get(expected))


def test_an_array_made_on_another_stream_is_waited_for(gpu: Device) -> None:
    torch = gpu.torch
    x, out = gpu.put(X), gpu.put(np.zeros_like(X))
    late = torch.full_like(x, torch.nan)
    producer, consumer = torch.cuda.Stream(), torch.cuda.Stream()
    torch.cuda.synchronize()
    with torch.cuda.stream(producer):
        torch.cuda._sleep(50_000_000)
        late.copy_(x)
    thing = WithInterface(late, stream=producer.cuda_stream)
    cuda.layer_norm(thing, out=WithInterface(out), stream=consumer.cuda_stream)
    assert not consumer.query()
    consumer.synchronize()
    assert_promised(gpu.get(out), ref.layer_norm(X))


@pytest.mark.parametrize("call", CALLS, ids=str)
def test_a_graph_can_be_captured_and_replayed(call: Call, gpu: Device) -> None:
    torch = gpu.torch
    x, parameters = gpu.put(sample(call, np.float32)), gpu.put_all(*call.draw())
    call.run(cuda, x, *parameters)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        y = call.run(cuda, x, *parameters)
    x.copy_(x.flip(0) * 2 + 1)
    graph.replay()
    torch.cuda.synchronize()
    assert_same_bits(gpu.get(y), gpu.get(call.run(cuda, x, *parameters)))


def test_a_graph_updates_running_statistics_at_each_replay(gpu: Device) -> None:
    torch = gpu.torch
    x = gpu.put(drawn((8, 5, 9), np.float32))
    mean, var, count = torch.zeros(5).cuda(), torch.ones(5).cuda(), torch.zeros(()).long().cuda()

    def step() -> None:
        cuda.batch_norm(x, mean, var, training=True, momentum=None, num_batches_tracked=count)

    step()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    for _ in range(3):
        graph.replay()
    assert int(count) == 4
    expected = drawn((8, 5, 9), np.float32).mean(axis=(0, 2))
    np.testing.assert_allclose(gpu.get(mean), expected, rtol=1e-5)


def test_cupy_arrays_give_cupy_arrays_on_cupys_stream(gpu: Device) -> None:
    if gpu.cupy is None:
        pytest.skip("CuPy is not installed")
    images = drawn((3, 7, 9, 12), np.float32)
    with gpu.cupy.cuda.Stream(non_blocking=True) as stream:
        y, _, rstd = cuda.layer_norm(gpu.cupy.asarray(X), return_stats=True)
        assert isinstance(y, gpu.cupy.ndarray)
        assert rstd.dtype == np.float64
        turned = gpu.cupy.asarray(images).transpose(0, 3, 1, 2)
        z = cuda.group_norm(turned, 4)
        assert z.strides == turned.strides
        stream.synchronize()
    assert_promised(gpu.cupy.asnumpy(y), ref.layer_norm(X))
    assert_promised(gpu.cupy.asnumpy(z), ref.group_norm(images.transpose(0, 3, 1, 2), 4))


# --- what does not fit


def test_arrays_of_the_cpu_are_pointed_to_the_function_that_takes_them(device: Device) -> None:
    with pytest.raises(TypeError, match=r"^layer_norm: x is .*normfast\.layer_norm takes it$"):
        cuda.layer_norm(X)
    with pytest.raises(TypeError, match=r"^layer_norm: weight is a numpy.ndarray in the CPU's"):
        cuda.layer_norm(device.put(X), weight=X[0])


@each_operation
def test_arrays_of_a_gpu_are_pointed_to_the_function_that_takes_them(
    call: Call, device: Device
) -> None:
    name = call.name.split()[0]
    x, parameters = device.put(sample(call, np.float32)), device.put_all(*call.draw())
    tensors = () if device.emulated else (lambda tensor: tensor,)
    for wrap in (WithInterface, WithDLPack, *tensors):
        with pytest.raises(TypeError, match=rf"^{name}: .*normfast\.cuda\.{name}"):
            call.run(nf, wrap(x), *parameters)


@pytest.mark.parametrize("thing", [None, 3, [1.0], "x", np.float32, object()], ids=repr)
def test_what_is_no_array_is_refused(thing: Any, device: Device) -> None:
    with pytest.raises(TypeError, match=r"^layer_norm: x must be an array on a GPU"):
        cuda.layer_norm(thing)
    if thing is not None:
        with pytest.raises(TypeError, match=r"^layer_norm: weight must be an array on a GPU"):
            cuda.layer_norm(device.put(X), weight=thing)


def test_a_tensor_that_requires_grad_is_refused_unless_no_gradient_is_asked_for(
    device: Device,
) -> None:
    x = device.put(X).requires_grad_()
    with pytest.raises(TypeError, match=r"^layer_norm: x .*detach"):
        cuda.layer_norm(x)
    with device.torch.no_grad():
        assert_promised(device.get(cuda.layer_norm(x)), ref.layer_norm(X))


WRONG: dict[str, tuple[str, dict[str, Any]]] = {
    "eps": ("eps", {"eps": -1.0}),
    "axis": ("axis", {"axis": 2}),
    "both shapes": ("normalized_shape", {"normalized_shape": 777, "axis": 1}),
    "normalized_shape": ("normalized_shape", {"normalized_shape": 776}),
    "activation": ("activation", {"activation": "tanh"}),
    "dtype": ("dtype", {"dtype": "int32"}),
    "no dtype": ("dtype", {"dtype": 3.5}),
}


@pytest.mark.parametrize(("word", "given"), WRONG.values(), ids=WRONG)
def test_messages_name_the_function_and_the_argument(
    word: str, given: dict[str, Any], device: Device
) -> None:
    out = device.put(np.full_like(X, 7))
    given = {"out": out} | given
    with pytest.raises((TypeError, ValueError), match=rf"^layer_norm: .*{word}") as refused:
        cuda.layer_norm(device.put(X), **given)
    assert str(refused.value).count("\n") <= 1
    assert (out == 7).all()


def test_shapes_and_dtypes_that_do_not_fit_are_refused(device: Device) -> None:
    x = device.put(X)
    wrong: dict[str, Any] = {
        "weight": device.put(X[0, :-1].copy()),
        "bias": device.put(X),
        "residual": device.put(X[:-1].copy()),
        "out": device.put(X[:, :-1].copy()),
    }
    for name, array in wrong.items():
        if name == "bias":
            continue
        with pytest.raises(ValueError, match=rf"^layer_norm: {name} "):
            cuda.layer_norm(x, **{name: array})
        with pytest.raises(TypeError, match=rf"^layer_norm: {name} .*int64"):
            cuda.layer_norm(x, **{name: array.long()})
    with pytest.raises(TypeError, match=r"^layer_norm: x .*int32"):
        cuda.layer_norm(x.int())


def test_an_out_that_overlaps_an_argument_is_refused(device: Device) -> None:
    memory = device.put(drawn((8, 777), np.float32))
    before = device.get(memory).copy()
    with pytest.raises(ValueError, match=r"^layer_norm: out .*overlap"):
        cuda.layer_norm(memory[1:], out=memory[:-1])
    assert_same_bits(device.get(memory), before)


def test_training_with_one_value_per_channel_is_refused(device: Device) -> None:
    mean, var = device.put_all(np.zeros(777, np.float32), np.ones(777, np.float32))
    with pytest.raises(ValueError, match=r"^batch_norm: "):
        cuda.batch_norm(device.put(X[:1]), mean, var, training=True)
    assert not mean.any()


@pytest.mark.parametrize("shape", [(0, 5), (5, 0), (0,)], ids=str)
def test_an_empty_array_gives_an_empty_result(shape: tuple[int, ...], device: Device) -> None:
    assert cuda.layer_norm(device.put(np.empty(shape, np.float32))).shape == shape


def test_arrays_of_two_gpus_are_refused(gpu: Device) -> None:
    if gpu.torch.cuda.device_count() < 2:
        pytest.skip("there is one GPU")
    x, weight = gpu.put(X).to("cuda:1"), gpu.put(X[0])
    with pytest.raises(ValueError, match=r"^layer_norm: weight is on GPU 0, x on GPU 1$"):
        cuda.layer_norm(x, weight=weight)
    assert_promised(gpu.get(cuda.layer_norm(x)), ref.layer_norm(X))


def test_torch_compile_calls_it_between_two_graphs(device: Device) -> None:
    layer_norm = device.torch.compiler.disable(cuda.layer_norm)

    def between(x: Any) -> Any:
        return layer_norm(x * 2) + 1

    compiled = device.torch.compile(between, backend="eager")
    assert_same_bits(device.get(compiled(device.put(X))), device.get(between(device.put(X))))


def test_a_dlpack_device_that_is_no_gpu_is_refused(device: Device) -> None:
    class Elsewhere(WithDLPack):
        def __dlpack_device__(self) -> tuple[int, int]:
            return 10, 0

    assert CUDA == 2
    with pytest.raises(TypeError, match=r"^layer_norm: x .*DLPack's type 10"):
        cuda.layer_norm(Elsewhere(device.put(X)))


# --- the page


PAGE = Path(__file__).resolve().parents[2] / "docs" / "howto" / "gpu.md"


def test_the_code_of_the_page_runs(device: Device) -> None:
    """All of it on a GPU; in an emulation what comes before streams and graphs."""
    blocks = re.findall(r"^```py\n(.*?)^```$", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    assert len(blocks) > 1
    code = blocks[0].replace('"cuda"', f'"{device.name}"') if device.emulated else "".join(blocks)
    exec(compile(code, str(PAGE), "exec"), {})


# --- without a GPU


@pytest.mark.parametrize("name", cuda.__all__)
def test_the_arguments_are_those_of_the_cpu(name: str) -> None:
    here, there = (inspect.signature(getattr(module, name)).parameters for module in (cuda, nf))
    only_cpu = ("where", "sample_weight", "num_threads")
    expected = {n: (p.kind, p.default) for n, p in there.items() if n not in only_cpu}
    assert {n: (p.kind, p.default) for n, p in here.items() if n != "stream"} == expected
    assert list(here) == [*expected, "stream"]


def test_an_import_needs_neither_extension_nor_driver_nor_torch() -> None:
    run_python(
        "import sys, normfast.cuda; assert not {'torch', 'cupy', 'normfast._cuda'} & {*sys.modules}"
    )
    run_python("import sys, normfast; assert 'normfast.cuda' not in sys.modules")


def test_a_build_without_cuda_says_how_to_get_it() -> None:
    run_python("""
import sys
sys.modules["normfast._cuda"] = None
from normfast import cuda
class Array:
    __cuda_array_interface__ = {"data": (0, False)}
try:
    cuda.layer_norm(Array())
except ImportError as error:
    assert "NORMFAST_CUDA" in str(error)
else:
    raise AssertionError
""")
