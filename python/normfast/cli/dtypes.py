"""Types of elements by name, bfloat16 among them, which NumPy does not have."""

from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

_BFLOAT16 = "bfloat16"


def named(name: str) -> np.dtype[Any]:
    """The dtype of that name; ModuleNotFoundError where bfloat16 needs ml_dtypes."""
    if name == _BFLOAT16:
        import_module("ml_dtypes")  # tells NumPy the name
    try:
        return np.dtype(name)
    except TypeError:
        raise ValueError(f"dtype is {name!r}, expected a name as float32 or bfloat16") from None


def loaded(array: NDArray[Any]) -> NDArray[Any]:
    """An array as ``np.load`` gives it, with its type: a .npy file keeps of bfloat16 two bytes."""
    return array.view(named(_BFLOAT16)) if array.dtype == np.dtype("V2") else array
