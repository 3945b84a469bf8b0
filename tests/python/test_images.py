"""normalize_image: (image * scale - mean) / std, rounded once, from any dtype and layout to any."""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import layouts
import ml_dtypes
import numpy as np
import pytest
from helpers import assert_same_bits, computing
from numpy.typing import NDArray

import normfast as nf
from normfast import _core

Array = NDArray[Any]
Dtype = np.dtype[Any]

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
SOURCES = [np.dtype(d) for d in ("uint8", "uint16", "int16", "float32", "float64", "float16")]
RESULTS = [*(np.dtype(d) for d in ("float32", "float64", "float16")), BFLOAT16]
MEAN = np.array([0.485, 0.456, 0.406, 0.5, 0.25])
STD = np.array([0.229, 0.224, 0.225, 0.25, 0.125])

each_source = pytest.mark.parametrize("source", SOURCES, ids=lambda d: f"from {d}")
each_result = pytest.mark.parametrize("result", RESULTS, ids=lambda d: f"to {d}")


@pytest.fixture(params=_core.info()["isas_available"])
def isa(request: pytest.FixtureRequest) -> Iterator[str]:
    """Each instruction set of this CPU in turn, in use."""
    previous = _core.use_isa(request.param)
    yield request.param
    _core.use_isa(previous)


def make(shape: tuple[int, ...], dtype: Any) -> Array:
    """Integers of their whole range, floats from 0 to 1."""
    rng, dtype = np.random.default_rng(sum(shape)), np.dtype(dtype)
    if dtype.kind not in "iu":
        return rng.random(shape).astype(dtype)
    limits = np.iinfo(dtype)
    return rng.integers(limits.min, limits.max, shape, dtype, endpoint=True)


def exact(
    image: Array,
    mean: Any,
    std: Any,
    *,
    scale: float | None = None,
    channel_axis: int = -1,
    out_channel_axis: int = -3,
    swap_rb: bool = False,
) -> Array:
    """In extended precision."""
    if scale is None:
        scale = np.longdouble(1) / 255 if image.dtype.kind in "iu" else 1
    last = np.moveaxis(image.astype(np.float64).astype(np.longdouble), channel_axis, -1)
    if swap_rb:
        last = last[..., [2, 1, 0, *range(3, last.shape[-1])]]
    mean, std = (np.asarray(p).astype(np.float64) for p in (mean, std))
    return np.moveaxis((last * scale - mean) / std, -1, out_channel_axis)


def assert_rounded_once(y: Array, expected: Array, source: Dtype) -> None:
    """Within 3e-7 * max(1, |y|) (from float64: 1e-13), and then rounded if y is narrower."""
    c = computing(source)
    tolerance = (3e-7 if c == np.float32 else 1e-13) * np.maximum(1, np.abs(expected))
    if y.dtype.itemsize < c.itemsize:
        tolerance += np.spacing(np.abs(expected).astype(y.dtype)).astype(float) / 2
    assert y.shape == expected.shape
    error = np.abs(y.astype(np.float64) - expected)
    assert np.all(error <= tolerance), f"off by {np.max(error - tolerance)} more than allowed"


def assert_image(y: Array, image: Array, *statistics: Any, **how: Any) -> None:
    assert_rounded_once(y, exact(image, *statistics, **how), image.dtype)


# --- dtypes, channels and axes


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5])
@each_result
@each_source
def test_any_dtype_to_any_from_and_to_any_channel_axis(
    source: Dtype, result: Dtype, channels: int
) -> None:
    mean, std = MEAN[:channels], STD[:channels]
    for axis, out_axis in itertools.product((-1, 0, 1), (-3, -1, 1)):
        image = np.moveaxis(make((7, 9, channels), source), -1, axis).copy()
        how: dict[str, Any] = {"channel_axis": axis, "out_channel_axis": out_axis}
        y = nf.normalize_image(image, mean, std, dtype=result, **how)
        assert y.dtype == result
        assert_image(y, image, mean, std, **how)
        if channels in (3, 4):
            y = nf.normalize_image(image, mean, std, dtype=result, swap_rb=True, **how)
            assert_image(y, image, mean, std, swap_rb=True, **how)


@each_source
def test_batches_keep_their_leading_axes(source: Dtype) -> None:
    for lead in [(4,), (2, 3)]:
        for axis, out_axis in itertools.product((-1, -2, -3, 0), (-3, -2, -1, 1)):
            image = np.moveaxis(make((*lead, 7, 5, 3), source), -1, axis).copy()
            how: dict[str, Any] = {"channel_axis": axis, "out_channel_axis": out_axis}
            y = nf.normalize_image(image, MEAN[:3], STD[:3], **how)
            assert_image(y, image, MEAN[:3], STD[:3], **how)


def test_by_default_an_image_of_bytes_comes_out_as_a_network_takes_it() -> None:
    """The documented formula on values that need no rounding: 255 is 1, and channels come first."""
    image = np.full((2, 4, 3), [0, 51, 255], np.uint8)
    y = nf.normalize_image(image, mean=np.full(3, 0.5), std=np.full(3, 0.25))
    assert y.dtype == np.float32
    assert y.flags.c_contiguous
    expected = np.broadcast_to(np.array([-2, -1.2, 2], np.float32)[:, None, None], (3, 2, 4))
    assert_same_bits(y, expected)


def test_a_batch_in_nhwc_comes_out_in_nchw() -> None:
    images = make((5, 8, 6, 3), np.uint8)
    y = nf.normalize_image(images, MEAN[:3], STD[:3])
    assert y.shape == (5, 3, 8, 6)
    assert y.flags.c_contiguous
    for i, image in enumerate(images):
        assert_same_bits(y[i], nf.normalize_image(image, MEAN[:3], STD[:3]))


@pytest.mark.parametrize("axes", [(-1, -1), (-3, -3), (0, 0), (1, 1)], ids=str)
def test_channels_may_stay_where_they_are(axes: tuple[int, int]) -> None:
    image = np.moveaxis(make((6, 7, 3), np.uint8), -1, axes[0]).copy()
    how: dict[str, Any] = {"channel_axis": axes[0], "out_channel_axis": axes[1]}
    y = nf.normalize_image(image, MEAN[:3], STD[:3], **how)
    assert y.shape == image.shape
    assert_image(y, image, MEAN[:3], STD[:3], **how)


def test_swapping_takes_mean_and_std_in_the_order_of_the_result() -> None:
    """One colour, whose red channel is 1 and whose mean is given for blue, green, red."""
    rgb = np.full((2, 2, 3), [255, 0, 0], np.uint8)
    bgr = nf.normalize_image(rgb, np.array([0.0, 0.0, 1.0]), np.ones(3), swap_rb=True)
    assert np.all(bgr == 0)
    rgba = np.full((2, 2, 4), [10, 20, 30, 40], np.uint8)
    y = nf.normalize_image(rgba, np.zeros(4), np.ones(4), scale=1.0, swap_rb=True)
    assert y[:, 0, 0].tolist() == [30, 20, 10, 40]


@each_source
def test_swapping_is_reversing_the_image_first(source: Dtype) -> None:
    image = make((11, 13, 3), source)
    swapped = nf.normalize_image(image, MEAN[:3], STD[:3], swap_rb=True)
    assert_same_bits(swapped, nf.normalize_image(image[..., ::-1], MEAN[:3], STD[:3]))


def test_one_number_serves_every_channel() -> None:
    image = make((6, 7, 3), np.uint8)
    expected = nf.normalize_image(image, np.full(3, 0.5), np.full(3, 0.25))
    for mean, std in [(0.5, 0.25), (np.array(0.5), np.array(0.25)), (0.5, np.full(3, 0.25))]:
        assert_same_bits(nf.normalize_image(image, mean, std), expected)


def test_mean_and_std_may_be_written_as_they_are_published() -> None:
    image = make((6, 7, 3), np.uint8)
    expected = nf.normalize_image(image, MEAN[:3], STD[:3])
    for sequence in (tuple, list):
        y = nf.normalize_image(image, sequence(MEAN[:3].tolist()), sequence(STD[:3].tolist()))
        assert_same_bits(y, expected)
    assert_same_bits(
        nf.normalize_image(image, (0, 0, 0), (1, 1, 1)), nf.normalize_image(image, 0, 1)
    )


@pytest.mark.parametrize("dtype", RESULTS, ids=str)
def test_mean_and_std_of_any_float_dtype(dtype: Dtype) -> None:
    image, mean, std = make((6, 7, 3), np.uint8), MEAN[:3].astype(dtype), STD[:3].astype(dtype)
    y = nf.normalize_image(image, mean, std)
    assert_image(y, image, mean, std)
    wide = mean.astype(np.float64), std.astype(np.float64)
    assert_same_bits(y, nf.normalize_image(image, *wide))


@pytest.mark.parametrize("scale", [1.0, 1 / 255, 1 / 127.5, 2, -1.5, 1 / 65535])
@each_source
def test_any_scale(source: Dtype, scale: float) -> None:
    image = make((9, 11, 3), source)
    top = float(np.abs(exact(image, 0, 1, scale=scale)).max())
    mean, std = MEAN[:3] * top, STD[:3] * top
    y = nf.normalize_image(image, mean, std, scale=scale)
    assert_image(y, image, mean, std, scale=scale)


@each_result
def test_an_image_beyond_the_caches_is_written_whole(result: Dtype) -> None:
    """Results of so many bytes leave another way; its bits are those of small images."""
    image = make((1501, 2999, 3), np.uint8)
    y = nf.normalize_image(image, MEAN[:3], STD[:3], dtype=result)
    for first in range(0, len(image), 50):
        rows = slice(first, first + 50)
        some = nf.normalize_image(image[rows], MEAN[:3], STD[:3], dtype=result)
        assert_same_bits(y[:, rows], some)


@each_result
def test_every_byte_is_within_the_promise(result: Dtype) -> None:
    """For the usual statistics and for awkward ones, where scale, mean and std nearly cancel."""
    for byte in (np.uint8, np.int8):
        image = np.arange(256, dtype=np.uint8).view(byte).reshape(16, 16, 1)
        levels = image.ravel() / 255
        for mean in [*MEAN, 0, 1, *levels[1::17]]:
            for std in (0.229, 1.0, 1 / 255, 12.3):
                y = nf.normalize_image(image, np.array([mean]), np.array([std]), dtype=result)
                assert_image(y, image, np.array([mean]), np.array([std]))


@pytest.mark.parametrize("source", ["int8", "int32", BFLOAT16], ids=str)
def test_the_other_dtypes_of_images(source: Any) -> None:
    image = make((9, 11, 3), source)
    y = nf.normalize_image(image, MEAN[:3], STD[:3])
    assert y.dtype == np.float32
    assert_image(y, image, MEAN[:3], STD[:3])


def test_an_image_that_is_nan_somewhere_is_nan_there() -> None:
    image = make((9, 11, 3), np.float32)
    image[3, 4, 1], image[5, 6, 2] = np.nan, np.inf
    y = nf.normalize_image(image, MEAN[:3], STD[:3])
    assert np.isnan(y[1, 3, 4])
    assert y[2, 5, 6] == np.inf
    assert np.count_nonzero(np.isfinite(y)) == y.size - 2


# --- places in memory

VIEWS: dict[str, Callable[[Array], Array]] = {
    "flipped": lambda a: a[::-1],
    "mirrored": lambda a: a[:, ::-1],
    "turned": lambda a: a[::-1, ::-1],
    "channels reversed": lambda a: a[..., ::-1],
    "a crop": lambda a: a[2:-3, 5:-1],
    "half the size": lambda a: a[::2, ::2],
    "a row": lambda a: a[3:4],
    "a column": lambda a: a[:, 3:4],
    "some channels": lambda a: a[..., 1:],
    "transposed": lambda a: a.swapaxes(0, 1),
    "grey, repeated": lambda a: np.broadcast_to(a[..., :1], a.shape),
    "one row, repeated": lambda a: np.broadcast_to(a[:1], a.shape),
    "Fortran order": layouts.fortran,
    "from an odd byte": layouts.byte_offset,
    "read only": layouts.read_only,
}


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
@each_source
def test_a_view_gives_the_bits_of_its_copy(source: Dtype, view: Callable[[Array], Array]) -> None:
    image = view(make((37, 41, 4), source))
    channels = image.shape[-1]
    mean, std = MEAN[:channels], STD[:channels]
    for out_axis in (-3, -1):
        y = nf.normalize_image(image, mean, std, out_channel_axis=out_axis)
        assert_image(y, image, mean, std, out_channel_axis=out_axis)
        copy = np.array(image, order="C")
        same = nf.normalize_image(copy, mean, std, out_channel_axis=out_axis)
        assert_same_bits(y, same)


@pytest.mark.parametrize(
    "size",
    [(1, 1), (1, 2), (1, 17), (17, 1), (3, 5), (7, 7), (15, 16), (33, 31), (63, 65), (1, 513)],
)
@each_source
def test_images_of_every_size(source: Dtype, size: tuple[int, int]) -> None:
    for channels in (1, 3, 4):
        image = make((*size, channels), source)
        mean, std = MEAN[:channels], STD[:channels]
        for result in RESULTS:
            y = nf.normalize_image(image, mean, std, dtype=result)
            assert_image(y, image, mean, std)


@pytest.mark.parametrize("shape", [(0, 5, 3), (5, 0, 3), (0, 0, 3), (0, 4, 5, 3), (4, 5, 0)])
def test_an_empty_image_gives_an_empty_result(shape: tuple[int, ...]) -> None:
    channels = shape[-1]
    y = nf.normalize_image(np.empty(shape, np.uint8), MEAN[:channels], STD[:channels])
    assert y.shape == np.moveaxis(np.empty(shape), -1, -3).shape
    assert y.dtype == np.float32


OUTS: dict[str, Callable[[Array], Array]] = {
    "contiguous": layouts.contiguous,
    "channels last": lambda a: np.moveaxis(np.array(np.moveaxis(a, 0, -1), order="C"), -1, 0),
    "Fortran order": layouts.fortran,
    "inside a larger array": layouts.padded,
    "every other element": layouts.every_other_inner,
    "backwards": layouts.backwards,
    "from an odd byte": layouts.byte_offset,
}


@pytest.mark.parametrize("place", OUTS.values(), ids=OUTS)
@each_result
def test_out_of_any_strides_is_written_and_returned(
    result: Dtype, place: Callable[[Array], Array]
) -> None:
    for source in SOURCES:
        image = make((19, 23, 3), source)
        expected = nf.normalize_image(image, MEAN[:3], STD[:3], dtype=result)
        out = place(np.zeros((3, 19, 23), result))
        same = nf.normalize_image(image, MEAN[:3], STD[:3], dtype=result, out=out)
        assert same is out
        assert_same_bits(out, expected)


def test_nothing_beside_out_is_written() -> None:
    batch = np.full((4, 3, 19, 25), 7, np.float32)
    image = make((19, 23, 3), np.uint8)
    nf.normalize_image(image, MEAN[:3], STD[:3], out=batch[2, :, :, 1:-1])
    assert_same_bits(batch[2, :, :, 1:-1], nf.normalize_image(image, MEAN[:3], STD[:3]))
    batch[2, :, :, 1:-1] = 7
    assert np.all(batch == 7)


def test_an_image_of_floats_may_be_normalised_in_place() -> None:
    image = make((19, 23, 3), np.float32)
    expected = nf.normalize_image(image, MEAN[:3], STD[:3], out_channel_axis=-1)
    y = nf.normalize_image(image, MEAN[:3], STD[:3], out_channel_axis=-1, out=image)
    assert y is image
    assert_same_bits(image, expected)


@pytest.mark.parametrize(
    "shape", [(7, 9, 3), (241, 239, 3), (5, 67, 71, 3), (480, 640, 4)], ids=str
)
@each_source
@pytest.mark.usefixtures("isa")
def test_the_same_bits_on_every_instruction_set_and_number_of_threads(
    source: Dtype, shape: tuple[int, ...]
) -> None:
    image = make(shape, source)
    mean, std = MEAN[: shape[-1]], STD[: shape[-1]]
    swap_rb = shape[0] == 7
    for result in (np.float32, np.float16):
        y = nf.normalize_image(image, mean, std, dtype=result, swap_rb=swap_rb)
        for threads in (1, 3):
            call = {"dtype": result, "swap_rb": swap_rb, "num_threads": threads}
            assert_same_bits(nf.normalize_image(image, mean, std, **call), y)
        previous = _core.use_isa("scalar")
        scalar = nf.normalize_image(image, mean, std, dtype=result, swap_rb=swap_rb)
        _core.use_isa(previous)
        assert_same_bits(scalar, y)


@each_source
def test_a_pixel_has_the_same_bits_in_any_image(source: Dtype) -> None:
    image = make((67, 71, 3), source)
    whole = nf.normalize_image(image, MEAN[:3], STD[:3])
    for rows, columns in [(slice(0, 1), slice(70, 71)), (slice(5, 30), slice(3, 64))]:
        part = nf.normalize_image(image[rows, columns], MEAN[:3], STD[:3])
        assert_same_bits(part, whole[:, rows, columns])


# --- what is refused


def refuse(error: type[Exception], name: str, **changes: Any) -> None:
    """A message of a line or two that names the argument; nothing is written."""
    out = np.full((3, 4, 5), 7, np.float32)
    arguments: dict[str, Any] = {
        "image": make((4, 5, 3), np.uint8),
        "mean": MEAN[:3],
        "std": STD[:3],
        "out": out,
    } | changes
    written = arguments["out"]
    before = written.tobytes() if isinstance(written, np.ndarray) else b""
    with pytest.raises(error) as raised:
        nf.normalize_image(**arguments)
    message = str(raised.value)
    assert raised.type is error
    assert message.startswith("normalize_image: ")
    assert name in message
    assert len(message.splitlines()) <= 2
    assert len(message) < 300
    assert not before or written.tobytes() == before


@pytest.mark.parametrize("name", ["mean", "std"])
def test_mean_and_std_must_fit_the_channels(name: str) -> None:
    for shape in [(2,), (4,), (0,), (3, 1), (1, 3), (4, 5, 3), (3, 4, 5)]:
        refuse(ValueError, name, **{name: np.ones(shape)})


@pytest.mark.parametrize("name", ["mean", "std"])
def test_mean_and_std_must_be_numbers(name: str) -> None:
    for wrong in (
        None,
        "0.5",
        ["0.5"] * 3,
        [None] * 3,
        1j,
        np.ones(3, complex),
        [[1.0], [1.0, 2.0]],
    ):
        refuse(TypeError, name, **{name: wrong})


def test_a_standard_deviation_of_zero_is_refused() -> None:
    """It is a mistake in a constant, not a property of the data."""
    refuse(ValueError, "std", std=np.array([0.2, 0.0, 0.2]))
    refuse(ValueError, "std", std=np.array([0.2, -0.0, 0.2]))
    refuse(ValueError, "std", std=0)


@pytest.mark.parametrize("name", ["mean", "std"])
def test_mean_and_std_must_be_finite(name: str) -> None:
    for value in (float("nan"), float("inf"), float("-inf")):
        refuse(ValueError, name, **{name: np.array([0.5, value, 0.5])})


@pytest.mark.parametrize(
    "wrong",
    ["int64", "uint32", "uint64", "bool", "complex64", "object", ">u2", ">f4", "longdouble", "U3"],
)
def test_an_image_of_another_dtype_is_refused_with_what_is_accepted(wrong: str) -> None:
    image = np.zeros((4, 5, 3), wrong)
    for word in ("image", str(image.dtype), "float32" if image.dtype.isnative else "native"):
        refuse(TypeError, word, image=image)


def test_what_is_no_array_is_refused() -> None:
    for thing in ([[[1, 2, 3]]], 1.0, "image.png", None, {}):
        refuse(TypeError, "image", image=thing)
        refuse(TypeError, "out", out=thing) if thing is not None else None
    refuse(TypeError, "masked", image=np.ma.zeros((4, 5, 3), np.uint8))


@pytest.mark.parametrize("name", ["channel_axis", "out_channel_axis"])
def test_channel_axes_must_be_axes(name: str) -> None:
    for axis in (3, -4, 2**40):
        refuse(ValueError, name, **{name: axis})
    for axis in (1.0, "1", (0,), None):
        refuse(TypeError, name, **{name: axis})


def test_a_grey_image_without_channels_is_refused_where_there_is_no_place_for_them() -> None:
    refuse(ValueError, "out_channel_axis", image=np.zeros((4, 3), np.uint8), out=None)
    refuse(ValueError, "", image=np.array(1, np.uint8), out=None)


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_swapping_needs_three_or_four_channels(channels: int) -> None:
    image = make((4, 5, channels), np.uint8)
    arguments = {"image": image, "mean": MEAN[:channels], "std": STD[:channels]}
    refuse(ValueError, "swap_rb", **arguments, out=None, swap_rb=True)
    refuse(TypeError, "swap_rb", swap_rb="yes")


@pytest.mark.parametrize("dtype", ["uint8", "int32", "bool", "complex64", "object", ">f4"])
def test_the_result_must_be_of_floats(dtype: str) -> None:
    refuse(TypeError, "dtype", dtype=dtype, out=None)


def test_a_dtype_that_is_none_at_all_is_refused() -> None:
    refuse(TypeError, "dtype", dtype="no dtype", out=None)


def test_the_scale_is_a_number_that_keeps_the_image() -> None:
    for scale in ("1", [1.0], 1j, np.ones(3)):
        refuse(TypeError, "scale", scale=scale)
    for scale in (0.0, float("nan"), float("inf")):
        refuse(ValueError, "scale", scale=scale)


def test_out_must_have_the_shape_of_the_result() -> None:
    for shape in [(4, 5, 3), (3, 5, 4), (3, 4), (1, 3, 4, 5), (3, 4, 6)]:
        refuse(ValueError, "out", out=np.full(shape, 7, np.float32))


def test_out_must_have_the_dtype_asked_for() -> None:
    for dtype in ("float64", "float16", "uint8", ">f4", "object"):
        refuse(TypeError, "out", out=np.full((3, 4, 5), 7, dtype))
    refuse(TypeError, "out", dtype=np.float16)


def test_out_may_not_be_read_only_or_overlap() -> None:
    out = np.full((3, 4, 5), 7, np.float32)
    out.flags.writeable = False
    refuse(ValueError, "out", out=out)
    memory = np.full(240, 7, np.uint8)
    bytes_in_out = memory[60:120].reshape(4, 5, 3)
    refuse(ValueError, "out", image=bytes_in_out, out=memory.view(np.float32).reshape(3, 4, 5))
    floats = np.full(60, 7, np.float32)
    refuse(ValueError, "out", image=floats.reshape(4, 5, 3), out=floats.reshape(3, 4, 5))
    wide = np.full(60, 7.0)
    refuse(ValueError, "std", std=wide[:3], dtype=np.float64, out=wide.reshape(3, 4, 5))
