"""Calls that must be refused: what works, changed, and what the error has to be like."""

import re
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import normfast as nf

Array = NDArray[Any]
OPERATIONS = [
    "mean_var",
    "layer_norm",
    "rms_norm",
    "batch_norm",
    "instance_norm",
    "group_norm",
    "normalize",
    "weight_norm",
    "standardize",
]
WITH_OUT = OPERATIONS[1:]
WITH_BUFFERS = ["batch_norm", "instance_norm"]
CHANNELS = ["batch_norm", "instance_norm", "group_norm"]
WITH_RESIDUAL = ["layer_norm", "rms_norm"]
WITH_INTEGERS = ["mean_var", "standardize"]
WITH_WHERE = [op for op in OPERATIONS if op != "weight_norm"]
WITH_SAMPLE_WEIGHT = [op for op in WITH_WHERE if op != "normalize"]


def good(operation: str) -> dict[str, Any]:
    """Arguments that work, with every array that the operation could write to."""
    x = np.random.default_rng(0).standard_normal((4, 6, 5)).astype(np.float32)
    name = "v" if operation == "weight_norm" else "x"
    arguments: dict[str, Any] = {name: x}
    if operation in WITH_OUT:
        arguments["out"] = np.full_like(x, 7)
    if operation in WITH_RESIDUAL:
        arguments["weight"] = np.full(5, 2.0)
    if operation == "layer_norm":
        arguments["bias"] = np.full(5, 3.0)
    if operation in CHANNELS:
        arguments |= {"weight": np.full(6, 2.0), "bias": np.full(6, 3.0)}
    if operation in WITH_BUFFERS:
        arguments |= {"running_mean": np.zeros(6), "running_var": np.ones(6)}
    if operation == "batch_norm":
        arguments |= {"training": True, "num_batches_tracked": np.array(3)}
    if operation == "group_norm":
        arguments["num_groups"] = 3
    if operation == "weight_norm":
        arguments["g"] = np.full(4, 2.0)
    return arguments


def check(error: type[Exception], operation: str, names: str, **changes: Any) -> None:
    """So changed, the call raises, in a message with the word `names`, and writes nothing."""
    arguments = good(operation) | changes
    arrays = {k: a for k, a in arguments.items() if isinstance(a, np.ndarray)}
    before = {k: a.tobytes() for k, a in arrays.items()}
    with pytest.raises(error) as raised:
        getattr(nf, operation)(**arguments)
    message = str(raised.value)
    assert raised.type is error
    assert message.startswith(f"{operation}: ")
    assert re.search(rf"(?<!\w){re.escape(names)}(?!\w)", message), message
    assert len(message.splitlines()) <= 2
    assert len(message) < 300
    assert {k: a.tobytes() for k, a in arrays.items()} == before


def the_array(operation: str) -> str:
    return "v" if operation == "weight_norm" else "x"


PARAMETERS = [(op, k) for op in OPERATIONS for k in good(op) if k in ("weight", "bias", "g")]
BUFFERS = [(op, k) for op in WITH_BUFFERS for k in ("running_mean", "running_var")]
STATISTICS = [("standardize", "mean"), ("standardize", "std")]


def both(operation: str) -> dict[str, Array]:
    """Statistics to standardize with; nothing for the others."""
    stats = {"mean": np.zeros((1, 6, 5)), "std": np.ones((1, 6, 5))}
    return stats if operation == "standardize" else {}


NOT_ARRAYS = {
    "list": [[1.0, 2.0], [3.0, 4.0]],
    "float": 1.0,
    "string": "abc",
    "dict": {},
    "array class": np.ndarray,
}
each_not_array = pytest.mark.parametrize("thing", NOT_ARRAYS.values(), ids=NOT_ARRAYS)
