"""The operations that torch has give what torch gives, in float64 to nearly all digits."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import normfast as nf

torch = pytest.importorskip("torch", reason="torch is not installed")
F = torch.nn.functional
Array = NDArray[Any]

X = np.random.default_rng(3).standard_normal((4, 6, 5, 7)) * 2 + 3
W, B = np.random.default_rng(4).uniform(0.5, 2, (2, 6))
W7, B7 = np.random.default_rng(5).uniform(0.5, 2, (2, 5, 7))


def t(a: Array) -> Any:
    return torch.from_numpy(a)


PAIRS: dict[str, tuple[Callable[[], Array], Callable[[], Any]]] = {
    "layer_norm": (
        lambda: nf.layer_norm(X, (5, 7), W7, B7, 1e-3),
        lambda: F.layer_norm(t(X), (5, 7), t(W7), t(B7), 1e-3),
    ),
    "rms_norm": (lambda: nf.rms_norm(X, (5, 7), W7), lambda: F.rms_norm(t(X), (5, 7), t(W7))),
    "batch_norm": (
        lambda: nf.batch_norm(X, None, None, W, B, True),
        lambda: F.batch_norm(t(X), None, None, t(W), t(B), True),
    ),
    "batch_norm evaluation": (
        lambda: nf.batch_norm(X, B, W, W, B),
        lambda: F.batch_norm(t(X), t(B), t(W), t(W), t(B)),
    ),
    "instance_norm": (
        lambda: nf.instance_norm(X, weight=W, bias=B),
        lambda: F.instance_norm(t(X), weight=t(W), bias=t(B)),
    ),
    "group_norm": (lambda: nf.group_norm(X, 3, W, B), lambda: F.group_norm(t(X), 3, t(W), t(B))),
    "normalize": (lambda: nf.normalize(X), lambda: F.normalize(t(X))),
    "normalize p=1": (lambda: nf.normalize(X, 1, -1), lambda: F.normalize(t(X), 1, -1)),
    "normalize p=inf": (
        lambda: nf.normalize(X, np.inf, 0),
        lambda: F.normalize(t(X), float("inf"), 0),
    ),
    "weight_norm": (
        lambda: nf.weight_norm(X, np.arange(4.0)),
        lambda: torch._weight_norm(t(X), t(np.arange(4.0).reshape(4, 1, 1, 1))),
    ),
}


@pytest.mark.parametrize("name", PAIRS)
def test_same_call_same_result(name: str) -> None:
    ours, theirs = PAIRS[name]
    np.testing.assert_allclose(ours(), theirs().numpy(), rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("momentum", [0.1, 0.7, None])
def test_running_statistics_follow_a_torch_module(momentum: float | None) -> None:
    module = torch.nn.BatchNorm2d(6, momentum=momentum, dtype=torch.float64)
    mean, var, batches = np.zeros(6), np.ones(6), np.array(0)
    for i in range(3):
        x = X + i * np.arange(6)[:, None, None]
        module(t(x))
        nf.batch_norm(x, mean, var, training=True, momentum=momentum, num_batches_tracked=batches)
    np.testing.assert_allclose(mean, module.running_mean.numpy(), rtol=1e-13)
    np.testing.assert_allclose(var, module.running_var.numpy(), rtol=1e-13)
    assert batches == module.num_batches_tracked.item()


def test_running_statistics_follow_torchs_instance_norm() -> None:
    mean, var = np.zeros(6), np.ones(6)
    their_mean, their_var = torch.zeros(6, dtype=torch.float64), torch.ones(6, dtype=torch.float64)
    nf.instance_norm(X, mean, var, momentum=0.3)
    F.instance_norm(t(X), their_mean, their_var, momentum=0.3)
    np.testing.assert_allclose(mean, their_mean.numpy(), rtol=1e-13)
    np.testing.assert_allclose(var, their_var.numpy(), rtol=1e-13)
