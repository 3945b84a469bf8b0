"""A small network with batch norm on scikit-learn's digits, trained and run in NumPy with normfast.

    python examples/digits/digits.py

standardize -> conv 3x3, 16 -> batch norm -> relu -> dense 64 -> batch norm -> relu -> dense 10.
Then the same network is run by other hands (scikit-learn and float64 NumPy; torch, where it is
installed), and every prediction must be theirs.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

import normfast as nf

Array = np.ndarray[Any, np.dtype[Any]]
Parameters = dict[str, Array]
# Parameters, a layer's name, its input -> its output, and what the gradient needs (or None).
BatchNorm = Callable[[Parameters, str, Array], tuple[Array, Any]]

CHANNELS, HIDDEN, CLASSES = 16, 64, 10
EPOCHS, BATCH, RATE, DECAY = 15, 32, 0.05, 5e-4


def initial(rng: np.random.Generator) -> Parameters:
    p = {"out_bias": np.zeros(CLASSES)}
    for name, inputs, width in (
        ("conv", 9, CHANNELS),
        ("dense", 64 * CHANNELS, HIDDEN),
        ("out", HIDDEN, CLASSES),
    ):
        p[name] = rng.standard_normal((inputs, width)) * np.sqrt(2 / inputs)
    for name, width in (("conv", CHANNELS), ("dense", HIDDEN)):
        p |= {f"{name}_gamma": np.ones(width), f"{name}_beta": np.zeros(width)}
        p |= {f"{name}_mean": np.zeros(width), f"{name}_var": np.ones(width)}  # running
    return {name: value.astype(np.float32) for name, value in p.items()}


def patches(x: Array) -> Array:
    """The 3x3 neighbourhood of each of the 8x8 pixels: (N, 64) -> (N, 8, 8, 9)."""
    padded = np.pad(x.reshape(-1, 8, 8), ((0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
    return windows.reshape(-1, 8, 8, 9)


def running_and_affine(p: Parameters, name: str) -> list[Array]:
    return [p[f"{name}_{part}"] for part in ("mean", "var", "gamma", "beta")]


def training_batch_norm(p: Parameters, name: str, z: Array) -> tuple[Array, Any]:
    """Normalises by the batch, whose statistics come back, and moves the running ones in place."""
    y, mean, rstd = nf.batch_norm(
        z, *running_and_affine(p, name), training=True, channel_axis=-1, return_stats=True
    )
    return y, (((z - mean) * rstd).astype(z.dtype), rstd)


def normfast_batch_norm(p: Parameters, name: str, z: Array) -> tuple[Array, Any]:
    return nf.batch_norm(z, *running_and_affine(p, name), channel_axis=-1, out=z), None


def float64_batch_norm(p: Parameters, name: str, z: Array) -> tuple[Array, Any]:
    mean, var, gamma, beta = running_and_affine(p, name)
    return (z - mean) / np.sqrt(var + 1e-5) * gamma + beta, None


def forward(p: Parameters, x: Array, batch_norm: BatchNorm) -> tuple[Array, tuple[Any, ...]]:
    """Logits, and the values that `backward` needs."""
    window = patches(x)
    z1, s1 = batch_norm(p, "conv", window @ p["conv"])  # (N, 8, 8, C): the channels come last
    a1 = np.maximum(z1, 0).reshape(len(x), -1)
    z2, s2 = batch_norm(p, "dense", a1 @ p["dense"])
    a2 = np.maximum(z2, 0)
    return a2 @ p["out"] + p["out_bias"], (window, a1, s1, a2, s2)


def backward(p: Parameters, kept: tuple[Any, ...], grad: Array) -> Parameters:
    window, a1, s1, a2, s2 = kept
    g: Parameters = {"out": a2.T @ grad, "out_bias": grad.sum(0)}
    grad = batch_norm_backward(p, g, "dense", grad @ p["out"].T * (a2 > 0), s2)
    g["dense"] = a1.T @ grad
    grad = ((grad @ p["dense"].T) * (a1 > 0)).reshape(*window.shape[:3], CHANNELS)
    grad = batch_norm_backward(p, g, "conv", grad, s1)
    g["conv"] = window.reshape(-1, 9).T @ grad.reshape(-1, CHANNELS)
    return g


def batch_norm_backward(
    p: Parameters, g: Parameters, name: str, grad: Array, kept: tuple[Array, Array]
) -> Array:
    """Gradients of gamma and beta go into g; returned is that of the layer's input."""
    normalised, rstd = kept
    axes = tuple(range(grad.ndim - 1))
    g[f"{name}_gamma"], g[f"{name}_beta"] = (grad * normalised).sum(axes), grad.sum(axes)
    n = np.float32(grad.size // grad.shape[-1])
    centred = grad - g[f"{name}_beta"] / n - normalised * (g[f"{name}_gamma"] / n)
    return centred * (p[f"{name}_gamma"] * rstd).astype(np.float32)


def train(x: Array, labels: Array, seed: int = 0) -> Parameters:
    """Stochastic gradient descent with momentum, the rate falling to zero along a cosine."""
    rng = np.random.default_rng(seed)
    p = initial(rng)
    velocity = {name: np.zeros_like(v) for name, v in p.items()}
    for epoch in range(EPOCHS):
        rate = RATE * (1 + np.cos(np.pi * epoch / EPOCHS)) / 2
        order = rng.permutation(len(x))
        for batch in np.array_split(order, len(x) // BATCH):
            logits, kept = forward(p, x[batch], training_batch_norm)
            grad = np.exp(logits - logits.max(1, keepdims=True))
            grad /= grad.sum(1, keepdims=True)
            grad[np.arange(len(batch)), labels[batch]] -= 1  # softmax and cross-entropy together
            for name, g in backward(p, kept, grad / np.float32(len(batch))).items():
                velocity[name] = 0.9 * velocity[name] + g + DECAY * p[name]
                p[name] = (p[name] - rate * velocity[name]).astype(np.float32)
    return p


def torch_predictions(p: Parameters, x: Array) -> Array | None:
    """The same network in torch's own layers, channels first; None where torch is not installed."""
    try:
        import torch
        import torch.nn.functional as f
    except ImportError:
        return None
    t = {name: torch.from_numpy(v) for name, v in p.items()}

    def normalised(z: Any, name: str) -> Any:
        mean, var, gamma, beta = (t[f"{name}_{part}"] for part in ("mean", "var", "gamma", "beta"))
        return f.relu(f.batch_norm(z, mean, var, gamma, beta))

    image = torch.from_numpy(x.astype(np.float32)).reshape(-1, 1, 8, 8)
    kernel = t["conv"].T.reshape(CHANNELS, 1, 3, 3)
    z = normalised(f.conv2d(image, kernel, padding=1), "conv")
    z = normalised(z.permute(0, 2, 3, 1).flatten(1) @ t["dense"], "dense")
    return np.asarray((z @ t["out"] + t["out_bias"]).argmax(1))


def main() -> dict[str, Any]:
    pixels, labels = load_digits(return_X_y=True)
    split = train_test_split(
        pixels.astype(np.float32), labels, test_size=0.25, random_state=0, stratify=labels
    )
    train_pixels, test_pixels, train_labels, test_labels = split

    # Standardised by the statistics of the training set, which go back in for the test set.
    train_x, mean, std = nf.standardize(train_pixels, return_stats=True)
    test_x = nf.standardize(test_pixels, mean=mean, std=std)

    p = train(train_x, train_labels)
    predictions = forward(p, test_x, normfast_batch_norm)[0].argmax(1)

    # The same again by other hands, from the pixels on.
    scaler = StandardScaler().fit(train_pixels.astype(np.float64))
    x64 = scaler.transform(test_pixels.astype(np.float64))
    p64 = {name: value.astype(np.float64) for name, value in p.items()}
    references = {
        "scikit-learn and float64 NumPy": forward(p64, x64, float64_batch_norm)[0].argmax(1),
        "scikit-learn and torch": torch_predictions(p, x64),
    }
    same = {name: int((predictions == r).sum()) for name, r in references.items() if r is not None}

    accuracy = float((predictions == test_labels).mean())
    print(f"{len(test_x)} digits never seen in training, {accuracy:.1%} right")
    for name, count in same.items():
        print(f"{count} of {len(test_x)} predictions are those of {name}")
    return {"digits": len(test_x), "accuracy": accuracy, "same": same}


if __name__ == "__main__":
    result = main()
    sys.exit(any(count != result["digits"] for count in result["same"].values()))
