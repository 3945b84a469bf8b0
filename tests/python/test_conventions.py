"""What users of other libraries trip over, where no other file has it."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from helpers import run_python
from numpy.typing import NDArray

import normfast as nf

Array = NDArray[Any]


def exact(pixels: list[int]) -> tuple[Fraction, Fraction]:
    mean = Fraction(sum(pixels), len(pixels))
    return mean, sum((p - mean) ** 2 for p in pixels) / len(pixels)


@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
def test_the_deviation_of_a_data_set_is_of_its_pixels_not_of_its_images(
    layout: str, rng: np.random.Generator
) -> None:
    """Averaging the deviations of the images leaves out how the images differ."""
    images = rng.integers(0, 256, (7, 9, 11, 3), dtype=np.uint8) // np.array(
        [1, 2, 3, 4, 5, 6, 7], np.uint8
    ).reshape(-1, 1, 1, 1)
    axis = (0, 1, 2)
    x = images
    if layout == "NCHW":
        x, axis = np.ascontiguousarray(images.transpose(0, 3, 1, 2)), (0, 2, 3)
    mean, var = nf.mean_var(x, axis)
    for c in range(3):
        exact_mean, exact_var = exact(images[..., c].ravel().tolist())
        assert mean[c] == pytest.approx(float(exact_mean), rel=1e-15)
        assert var[c] == pytest.approx(float(exact_var), rel=1e-15)
    averaged = images.std(axis=(1, 2)).mean(axis=0)
    assert np.all(np.sqrt(var) > 1.1 * averaged)


def test_images_of_several_sizes_are_one_data_set(rng: np.random.Generator) -> None:
    """Pixels of a larger image weigh no more: padded, and selected by where=."""
    sizes = [(5, 9), (8, 3), (2, 2)]
    images = [rng.integers(0, 256, (h, w), dtype=np.uint8) for h, w in sizes]
    batch = np.full((3, 8, 9), 255, np.uint8)
    where = np.zeros(batch.shape, bool)
    for i, ((h, w), image) in enumerate(zip(sizes, images, strict=True)):
        batch[i, :h, :w], where[i, :h, :w] = image, True
    mean, var = nf.mean_var(batch, where=where)
    exact_mean, exact_var = exact([p for image in images for p in image.ravel().tolist()])
    assert mean == pytest.approx(float(exact_mean), rel=1e-15)
    assert var == pytest.approx(float(exact_var), rel=1e-15)


def test_sequences_in_nlc_order_need_no_transpose(
    dtype: np.dtype, rng: np.random.Generator
) -> None:
    """(N, L, C): the axis of the channels is named, and the result keeps the layout."""
    x = rng.standard_normal((4, 7, 6)).astype(dtype)
    y = nf.batch_norm(x, None, None, training=True, channel_axis=-1)
    turned = nf.batch_norm(np.ascontiguousarray(x.transpose(0, 2, 1)), None, None, training=True)
    np.testing.assert_allclose(y, turned.transpose(0, 2, 1), rtol=0, atol=2e-6)
    assert y.flags.c_contiguous


def test_a_torch_tensor_in_channels_last_keeps_its_layout() -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    x = torch.randn(2, 6, 4, 5).to(memory_format=torch.channels_last)
    y = torch.from_numpy(nf.batch_norm(x, None, None, training=True))
    assert y.is_contiguous(memory_format=torch.channels_last)


def test_a_process_counts_the_processors_it_may_run_on() -> None:
    """Not those of the machine: a container with one of 224 starts one thread."""
    run_python("""
import os
os.environ.pop("OMP_NUM_THREADS", None)
if not hasattr(os, "sched_setaffinity"):
    raise SystemExit
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
from normfast import _core
assert _core.info()["threads"] == 1, _core.info()
""")
