"""Modules with a weight for each element of the normalised axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
from numpy.typing import DTypeLike

from normfast.functional import layer_norm, rms_norm
from normfast.nn.module import Array, Module, Options, ints, shape_of

if TYPE_CHECKING:
    from normfast.functional import _Array


class AxesOptions(Options, total=False):
    """What a call passes on to layer_norm or rms_norm."""

    residual: _Array | None
    out: _Array | tuple[_Array, _Array] | None


class AxesNorm(Module):
    """Some axes of x, each of their elements with its weight."""

    normalized_shape: tuple[int, ...]
    elementwise_affine: bool
    axis: int | tuple[int, ...] | None

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        elementwise_affine: bool,
        axis: int | tuple[int, ...] | None,
    ) -> None:
        self.normalized_shape = ints(normalized_shape)
        self.elementwise_affine = elementwise_affine
        self.axis = axis

    def _axes(self, x: _Array) -> dict[str, Any]:
        """Which axes, in the words of the function: trailing ones by shape, or any by number."""
        if self.axis is None:
            return {"normalized_shape": self.normalized_shape}
        self._check_sizes(shape_of(x), self.axis, self.normalized_shape)
        return {"axis": self.axis}


class LayerNorm(AxesNorm):
    """Layer normalisation: :func:`normfast.layer_norm` with state.

    Parameters
    ----------
    normalized_shape : int or tuple of ints
        The sizes of the normalised axes, in increasing order of axis.
    eps : float
        Added to the variance.
    elementwise_affine : bool
        Whether there are weight and bias.
    bias : bool
        False: a weight alone.
    dtype : float dtype
        Of the parameters, whatever x is.
    axis : int or tuple of ints, optional
        The normalised axes, any of them. None: the trailing ones, as in PyTorch.

    Attributes
    ----------
    weight, bias : ndarray or None
        Of shape normalized_shape; 1 and 0 at the start.

    Examples
    --------
    >>> norm = nn.LayerNorm(2, eps=0.0)
    >>> norm(np.array([[1.0, 3.0], [10.0, 30.0]]))
    array([[-1.,  1.],
           [-1.,  1.]])

    The channels of each pixel of images in NCHW order:

    >>> norm = nn.LayerNorm(3, axis=1)
    >>> norm(np.ones((8, 3, 16, 16))).shape
    (8, 3, 16, 16)
    """

    eps: float
    weight: Array | None
    bias: Array | None

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        *,
        dtype: DTypeLike = np.float32,
        axis: int | tuple[int, ...] | None = None,
    ) -> None:
        super().__init__(normalized_shape, elementwise_affine, axis)
        affine, shape = elementwise_affine, self.normalized_shape
        self.eps = eps
        self.weight = self._constant(shape, 1, dtype) if affine else None
        self.bias = self._constant(shape, 0, dtype) if affine and bias else None

    def __call__(self, x: _Array, **options: Unpack[AxesOptions]) -> Any:
        """Normalise x.

        Parameters
        ----------
        x : array of floats
        **options
            Those of :func:`normfast.layer_norm`: where, sample_weight, residual, activation,
            dtype, out, return_stats, num_threads.
        """
        return layer_norm(
            x, weight=self.weight, bias=self.bias, eps=self.eps, **self._axes(x), **options
        )


class RMSNorm(AxesNorm):
    """Root mean square normalisation: :func:`normfast.rms_norm` with state.

    Parameters
    ----------
    normalized_shape : int or tuple of ints
        The sizes of the normalised axes, in increasing order of axis.
    eps : float, optional
        Added to the mean square. None: the machine epsilon of the computing type.
    elementwise_affine : bool
        Whether there is a weight.
    dtype : float dtype
        Of the weight, whatever x is.
    axis : int or tuple of ints, optional
        The normalised axes, any of them. None: the trailing ones, as in PyTorch.
    weight_offset : float
        Added to the weight: 1 for models that store weight - 1, as Gemma.

    Attributes
    ----------
    weight : ndarray or None
        Of shape normalized_shape; 1 - weight_offset at the start.

    Examples
    --------
    >>> norm = nn.RMSNorm(4, eps=0.0)
    >>> norm(np.array([[1.0, -1.0, 7.0, 7.0]]))
    array([[ 0.2, -0.2,  1.4,  1.4]])
    """

    eps: float | None
    weight_offset: float
    weight: Array | None

    _names = ("weight",)

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
        *,
        dtype: DTypeLike = np.float32,
        axis: int | tuple[int, ...] | None = None,
        weight_offset: float = 0.0,
    ) -> None:
        super().__init__(normalized_shape, elementwise_affine, axis)
        self.eps = eps
        self.weight_offset = weight_offset
        shape = self.normalized_shape
        self.weight = (
            self._constant(shape, 1 - weight_offset, dtype) if elementwise_affine else None
        )

    def __call__(self, x: _Array, **options: Unpack[AxesOptions]) -> Any:
        """Normalise x.

        Parameters
        ----------
        x : array of floats
        **options
            Those of :func:`normfast.rms_norm`: where, sample_weight, residual, activation,
            dtype, out, return_stats, num_threads.
        """
        # Without a weight there is nothing to add an offset to.
        offset = self.weight_offset if self.weight is not None else 0.0
        return rms_norm(
            x,
            weight=self.weight,
            eps=self.eps,
            weight_offset=offset,
            **self._axes(x),
            **options,
        )
