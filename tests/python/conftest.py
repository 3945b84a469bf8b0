"""Fixtures of the whole suite."""

import os
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import settings

from normfast import _core

pytest.register_assert_rewrite("helpers", "refusals")

# The same examples on every run; `HYPOTHESIS_PROFILE=explore` searches for new ones.
settings.register_profile("fixed", derandomize=True, deadline=None, max_examples=100)
settings.register_profile("explore", deadline=None, max_examples=3000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fixed"))


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20240607)


@pytest.fixture(params=["float32", "float64"])
def dtype(request: pytest.FixtureRequest) -> np.dtype:
    return np.dtype(request.param)


@pytest.fixture(params=["avx2", "avx512", "avx512_bf16", "neon"])
def vector_isa(request: pytest.FixtureRequest) -> Iterator[str]:
    """Each vector instruction set in turn, in use; one that this CPU lacks is skipped."""
    if request.param not in _core.info()["isas_available"]:
        pytest.skip(f"this CPU has no {request.param}")
    previous = _core.use_isa(request.param)
    yield request.param
    _core.use_isa(previous)
