"""The GPU, or a build that emulates one; without either, every test is skipped and says why."""

import warnings
from importlib import import_module
from importlib.util import find_spec

import numpy as np
import pytest
from devices import Device


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "small: few enough launches for compute-sanitizer")


LIBRARIES = ("torch", "cupy")


def find() -> Device | str:
    """The device, or why there is none."""
    try:
        from normfast import _cuda
    except ImportError:
        return "normfast was built without CUDA"
    info = _cuda.info()
    if not info["devices"]:
        return f"no GPU: {info['why']}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what others warn of when they are imported
        torch, cupy = (import_module(name) if find_spec(name) else None for name in LIBRARIES)
    if torch is None:
        return "torch is not installed, which makes the arrays"
    if not (info["emulated"] or torch.cuda.is_available()):
        return "this build of torch has no CUDA"
    return Device(torch, None if info["emulated"] else cupy, info["emulated"])


FOUND = find()


@pytest.fixture
def device() -> Device:
    if isinstance(FOUND, str):
        pytest.skip(FOUND)
    return FOUND


@pytest.fixture
def gpu(device: Device) -> Device:
    """A device with streams and graphs."""
    if device.emulated:
        pytest.skip("an emulation has no streams")
    return device


@pytest.fixture(params=["float32", "float16", "bfloat16"])
def dtype(request: pytest.FixtureRequest) -> np.dtype:
    return np.dtype(request.param)
