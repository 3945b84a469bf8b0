"""The examples run, and come to the right result."""

import importlib.util
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_digits():
    pytest.importorskip("sklearn", reason="the digits come with scikit-learn")
    spec = importlib.util.spec_from_file_location("digits", EXAMPLES / "digits" / "digits.py")
    digits = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(digits)
    result = digits.main()
    assert result["accuracy"] > 0.97
    assert "scikit-learn and float64 NumPy" in result["same"]
    assert set(result["same"].values()) == {result["digits"]}
