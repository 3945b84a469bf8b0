"""Modules that normalise a layer's weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike

from normfast.functional import weight_norm
from normfast.linear import cosine_linear
from normfast.nn.module import Array, Module, ints

if TYPE_CHECKING:
    from normfast.functional import _Array


class WeightNorm(Module):
    """A layer's weights from their direction and length: :func:`normfast.weight_norm` with state.

    Parameters
    ----------
    shape : int or tuple of ints
        The shape of the weights: (C, ...) by default.
    channel_axis : int or tuple of ints, optional
        The axis that keeps its own lengths. None: one length of all weights.
    name : str
        The layer's name for its weights, of which the names in state_dict are made.
    dtype : float dtype
        Of direction and length.

    Attributes
    ----------
    weight : ndarray
        The weights, computed when read. Assign weights, and their direction and length are kept.
    weight_v : ndarray
        The direction, of any length; 1 at the start.
    weight_g : ndarray
        The length: the axes of weight_v, of size 1 in all but the channel's; with
        channel_axis=None of shape (). At the start such that all weights are 1.

    Notes
    -----
    state_dict has the names of torch.nn.utils.parametrizations.weight_norm,
    "parametrizations.weight.original0" (weight_g) and "original1" (weight_v). load_state_dict also
    takes "weight_g" and "weight_v", those of torch.nn.utils.weight_norm. The layer's other
    parameters, such as its bias, may stand beside them.

    Examples
    --------
    >>> norm = nn.WeightNorm((2, 2))
    >>> norm.weight = [[6.0, 8.0], [0.0, 1.0]]
    >>> norm.weight_g
    array([[10.],
           [ 1.]], dtype=float32)
    >>> norm.weight_g *= 0.5
    >>> norm()
    array([[3. , 4. ],
           [0. , 0.5]], dtype=float32)
    """

    shape: tuple[int, ...]
    channel_axis: int | tuple[int, ...] | None
    name: str
    weight_g: Array
    weight_v: Array

    def __init__(
        self,
        shape: int | tuple[int, ...],
        channel_axis: int | tuple[int, ...] | None = 0,
        *,
        name: str = "weight",
        dtype: DTypeLike = np.float32,
    ) -> None:
        self.shape = ints(shape)
        self.channel_axis = channel_axis
        self.name = name
        self.weight_v = self._constant(self.shape, 1, dtype)
        self.weight_g = self._length(self.weight_v)

    def __call__(
        self,
        *,
        dtype: DTypeLike | None = None,
        out: _Array | None = None,
        return_stats: bool = False,
        num_threads: int | None = None,
    ) -> Any:
        """Compute the weights; the options are those of :func:`normfast.weight_norm`."""
        return weight_norm(
            self.weight_v,
            self.weight_g,
            self.channel_axis,
            dtype=dtype,
            out=out,
            return_stats=return_stats,
            num_threads=num_threads,
        )

    @property
    def weight(self) -> Array:
        """The weights; to assign them keeps their direction and length."""
        weight: Array = self()
        return weight

    @weight.setter
    def weight(self, value: Any) -> None:
        value = np.asarray(value, self.weight_v.dtype)
        if value.shape != self.shape:
            raise ValueError(f"WeightNorm: weight has shape {value.shape}, expected {self.shape}")
        self.weight_g[...] = self._length(value)
        self.weight_v[...] = value

    def _length(self, v: Array) -> Array:
        """The norms of v, of the shape of weight_g."""
        axes = self.channel_axis
        if axes is None:
            shape: tuple[int, ...] = ()
        else:
            kept = {a % max(v.ndim, 1) for a in ints(axes)}
            shape = tuple(n if i in kept else 1 for i, n in enumerate(v.shape))
        _, norm = weight_norm(v, np.ones(shape), axes, return_stats=True)
        return norm.reshape(shape).astype(v.dtype)

    def _state(self) -> dict[str, Array]:
        return {
            f"parametrizations.{self.name}.original0": self.weight_g,
            f"parametrizations.{self.name}.original1": self.weight_v,
        }

    def _name_of(self, stored: str) -> str | None:
        if stored in (f"{self.name}_g", f"{self.name}_v"):
            return f"parametrizations.{self.name}.original{'gv'.index(stored[-1])}"
        return stored if stored.startswith(f"parametrizations.{self.name}.") else None


class CosineLinear(Module):
    """Cosines between x and each row of a weight: :func:`normfast.cosine_linear` with state.

    Parameters
    ----------
    in_features : int
        The size of the last axis of x.
    out_features : int
        The number of rows.
    bias : bool
        Whether there is a bias.
    scale : float
        What the cosines are multiplied by, before the bias is added.
    eps : float
        The smallest length to divide by.
    dtype : float dtype
        Of the parameters.
    rng : numpy.random.Generator, optional
        Draws the weight.

    Attributes
    ----------
    weight : ndarray
        Of shape (out_features, in_features); at the start uniform between -1 and 1 divided by
        sqrt(in_features), as in torch.nn.Linear.
    bias : ndarray or None
        Of shape (out_features,); 0 at the start.

    Examples
    --------
    >>> head = nn.CosineLinear(2, 3, dtype=np.float64)
    >>> head.weight = np.array([[1.0, 0.0], [0.0, 2.0], [-3.0, 0.0]])
    >>> head(np.array([[3.0, 4.0]]))
    array([[ 0.6,  0.8, -0.6]])
    """

    in_features: int
    out_features: int
    scale: float
    eps: float
    weight: Array
    bias: Array | None

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = False,
        scale: float = 1.0,
        eps: float = 1e-12,
        *,
        dtype: DTypeLike = np.float32,
        rng: np.random.Generator | None = None,
    ) -> None:
        self.in_features = in_features
        self.out_features = out_features
        self.scale = scale
        self.eps = eps
        self.weight = self._constant((out_features, in_features), 0, dtype)
        bound = 1 / np.sqrt(max(in_features, 1))
        rng = np.random.default_rng() if rng is None else rng
        self.weight[...] = rng.uniform(-bound, bound, self.weight.shape)
        self.bias = self._constant(out_features, 0, dtype) if bias else None

    def __call__(self, x: _Array, *, num_threads: int | None = None) -> Any:
        """Cosines times scale, plus the bias, of shape (..., out_features)."""
        return cosine_linear(
            x, self.weight, self.bias, scale=self.scale, eps=self.eps, num_threads=num_threads
        )
