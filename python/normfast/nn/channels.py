"""Modules with a weight and a bias for each channel."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Unpack

import numpy as np
from numpy.typing import DTypeLike

from normfast.functional import batch_norm, group_norm, instance_norm
from normfast.nn.module import Array, Module, Options, either, ints, shape_of

if TYPE_CHECKING:
    from normfast.functional import _Array

MOST_AXES = 64  # NumPy's limit


class ChannelOptions(Options, total=False):
    """What a call passes on to batch_norm, instance_norm or group_norm."""

    add: _Array | None
    out: _Array | None


class ChannelNorm(Module):
    """Channels on an axis, each with its weight and bias."""

    eps: float
    affine: bool
    channel_axis: int | tuple[int, ...]
    weight: Array | None
    bias: Array | None

    _sizes: tuple[int, ...]
    # How many axes x may have.
    _ndims: ClassVar[range] = range(2, MOST_AXES + 1)

    def __init__(
        self,
        channels: int | tuple[int, ...],
        eps: float,
        affine: bool,
        bias: bool,
        dtype: DTypeLike,
        channel_axis: int | tuple[int, ...],
    ) -> None:
        self._sizes = ints(channels)
        self.eps = eps
        self.affine = affine
        self.channel_axis = channel_axis
        self.weight = self._constant(self._sizes, 1, dtype) if affine else None
        self.bias = self._constant(self._sizes, 0, dtype) if affine and bias else None

    def _check(self, x: _Array) -> tuple[int, ...]:
        """The shape of x, which is one that this class takes but for the channels."""
        shape = shape_of(x)
        if len(shape) not in self._ndims:
            many = self._ndims.stop > MOST_AXES
            expected = f"{self._ndims.start} or more" if many else either(self._ndims)
            raise ValueError(f"{self._title}: x has shape {shape}, expected {expected} axes")
        return shape


class RunningNorm(ChannelNorm):
    """Statistics of what passed in training, for evaluation."""

    num_features: int | tuple[int, ...]
    momentum: float | None
    track_running_stats: bool
    running_mean: Array | None = None
    running_var: Array | None = None
    num_batches_tracked: Array | None = None

    _names = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    # PyTorch before 0.4.1 did not count.
    _optional = ("num_batches_tracked",)

    def __init__(
        self,
        num_features: int | tuple[int, ...],
        eps: float,
        momentum: float | None,
        affine: bool,
        track_running_stats: bool,
        bias: bool,
        dtype: DTypeLike,
        channel_axis: int | tuple[int, ...],
    ) -> None:
        super().__init__(num_features, eps, affine, bias, dtype, channel_axis)
        self.num_features = num_features
        self.momentum = momentum
        self.track_running_stats = track_running_stats
        if track_running_stats:
            self.running_mean = self._constant(self._sizes, 0, dtype)
            self.running_var = self._constant(self._sizes, 1, dtype)
            self.num_batches_tracked = np.zeros((), np.int64)

    def reset_running_stats(self) -> None:
        """Forget every batch: mean 0, variance 1 and a count of 0."""
        for name, value in (("running_mean", 0), ("running_var", 1), ("num_batches_tracked", 0)):
            array = getattr(self, name)
            if array is not None:
                array[...] = value

    @property
    def _updating(self) -> bool:
        return self.training and self.track_running_stats

    def _normalize(
        self,
        function: Callable[..., Any],
        x: _Array,
        momentum: float | None,
        channel_axis: int | tuple[int, ...],
        **options: Any,
    ) -> Any:
        """Call batch_norm or instance_norm, which take the same state in the same order."""
        running = (self.running_mean, self.running_var)
        if self.training and not self.track_running_stats:
            running = (None, None)
        return function(
            x,
            *running,
            self.weight,
            self.bias,
            self.training or self.running_mean is None,
            momentum,
            self.eps,
            channel_axis=channel_axis,
            **options,
        )


class BatchNorm(RunningNorm):
    """Batch normalisation with running statistics; of arrays with any number of axes from 2.

    ``y = (x - mean) / sqrt(var + eps) * weight + bias``, by the batch's statistics in training
    and by the running ones in evaluation: :func:`normfast.batch_norm` with state.

    Parameters
    ----------
    num_features : int or tuple of ints
        C, the number of channels; with several channel axes their sizes.
    eps : float
        Added to the variance.
    momentum : float, optional
        The share of a new batch in the running statistics. None: the average of all batches.
    affine : bool
        Whether there are weight and bias.
    track_running_stats : bool
        Whether there are running statistics; without, evaluation is as training.
    bias : bool
        False: a weight alone.
    dtype : float dtype
        Of parameters and running statistics, whatever x is.
    channel_axis : int or tuple of ints
        The axis of the channels: -1 for (N, ..., C).
    running_var_correction : float
        1: running_var is the unbiased variance, as in PyTorch; 0: the population's, as in Keras.

    Attributes
    ----------
    weight, bias : ndarray or None
        Of shape (C,); 1 and 0 at the start.
    running_mean, running_var : ndarray or None
        Of shape (C,); 0 and 1 at the start.
    num_batches_tracked : ndarray of int64 or None
        Of shape ().

    Examples
    --------
    >>> norm = nn.BatchNorm(2, momentum=1.0, eps=0.0, dtype=np.float64)
    >>> norm(np.array([[1.0, 10.0], [3.0, 30.0]]))
    array([[-1., -1.],
           [ 1.,  1.]])
    >>> norm.running_mean, norm.running_var
    (array([ 2., 20.]), array([  2., 200.]))
    >>> norm.eval()(np.array([[2.0, 20.0]]))
    array([[0., 0.]])
    """

    running_var_correction: float

    def __init__(
        self,
        num_features: int | tuple[int, ...],
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        bias: bool = True,
        dtype: DTypeLike = np.float32,
        channel_axis: int | tuple[int, ...] = 1,
        running_var_correction: float = 1,
    ) -> None:
        super().__init__(
            num_features, eps, momentum, affine, track_running_stats, bias, dtype, channel_axis
        )
        self.running_var_correction = running_var_correction

    def __call__(self, x: _Array, **options: Unpack[ChannelOptions]) -> Any:
        """Normalise x; in training, update the running statistics.

        Parameters
        ----------
        x : array of floats
        **options
            Those of :func:`normfast.batch_norm`: where, sample_weight, add, activation, dtype,
            out, return_stats, num_threads.
        """
        self._check_sizes(self._check(x), self.channel_axis, self._sizes)
        return self._normalize(
            batch_norm,
            x,
            self.momentum,
            self.channel_axis,
            running_var_correction=self.running_var_correction,
            num_batches_tracked=self.num_batches_tracked if self._updating else None,
            **options,
        )


class BatchNorm1d(BatchNorm):
    """:class:`BatchNorm` of (N, C) or (N, C, L)."""

    _ndims = range(2, 4)


class BatchNorm2d(BatchNorm):
    """:class:`BatchNorm` of (N, C, H, W)."""

    _ndims = range(4, 5)


class BatchNorm3d(BatchNorm):
    """:class:`BatchNorm` of (N, C, D, H, W)."""

    _ndims = range(5, 6)


class InstanceNorm(RunningNorm):
    """Instance normalisation, where asked for with running statistics; of (N, C, ...).

    ``y = (x - mean) / sqrt(var + eps) * weight + bias``, by the statistics of each channel of each
    sample; in evaluation by the running ones, if they are tracked: :func:`normfast.instance_norm`
    with state.

    Parameters
    ----------
    num_features : int
        C, the number of channels.
    eps : float
        Added to the variance.
    momentum : float, optional
        The share of a new batch in the running statistics. None: the average of all batches.
    affine : bool
        Whether there are weight and bias.
    track_running_stats : bool
        Whether there are running statistics; without, evaluation is as training.
    bias : bool
        False: a weight alone.
    dtype : float dtype
        Of parameters and running statistics, whatever x is.
    channel_axis : int
        The axis of the channels: -1 for (N, ..., C).

    Attributes
    ----------
    weight, bias : ndarray or None
        Of shape (C,); 1 and 0 at the start.
    running_mean, running_var : ndarray or None
        Of shape (C,); 0 and 1 at the start.
    num_batches_tracked : ndarray of int64 or None
        Of shape ().

    Notes
    -----
    num_batches_tracked counts, and momentum=None averages all batches. PyTorch's InstanceNorm
    leaves that count at 0, and with momentum=None never updates its running statistics.

    Examples
    --------
    >>> norm = nn.InstanceNorm(2, eps=0.0)
    >>> norm(np.array([[[1.0, 3.0], [10.0, 30.0]]]))
    array([[[-1.,  1.],
            [-1.,  1.]]])
    """

    channel_axis: int

    # How many axes one sample without a batch has; None: there is always a batch.
    _sample_ndim: ClassVar[int | None] = None

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        *,
        bias: bool = True,
        dtype: DTypeLike = np.float32,
        channel_axis: int = 1,
    ) -> None:
        super().__init__(
            num_features, eps, momentum, affine, track_running_stats, bias, dtype, channel_axis
        )

    def __call__(self, x: _Array, **options: Unpack[ChannelOptions]) -> Any:
        """Normalise x; in training, update the running statistics.

        Parameters
        ----------
        x : array of floats
        **options
            Those of :func:`normfast.instance_norm`: where, sample_weight, add, activation, dtype,
            out, return_stats, num_threads.
        """
        shape = self._check(x)
        function: Callable[..., Any] = instance_norm
        channel_axis = self.channel_axis
        if len(shape) == self._sample_ndim:
            # One sample's channels over all other axes: what batch_norm does with a batch.
            function = batch_norm
            if channel_axis > 0:
                channel_axis -= 1
        self._check_sizes(shape, channel_axis, self._sizes)
        count = self.num_batches_tracked if self._updating else None
        momentum = self.momentum
        if momentum is None:
            momentum = 1 / (1 + int(count)) if count is not None else 0.0
        y = self._normalize(function, x, momentum, channel_axis, **options)
        if count is not None and 0 not in shape:
            count += 1
        return y


class InstanceNorm1d(InstanceNorm):
    """:class:`InstanceNorm` of (N, C, L), or of one sample: (C, L)."""

    _sample_ndim = 2
    _ndims = range(2, 4)


class InstanceNorm2d(InstanceNorm):
    """:class:`InstanceNorm` of (N, C, H, W), or of one sample: (C, H, W)."""

    _sample_ndim = 3
    _ndims = range(3, 5)


class InstanceNorm3d(InstanceNorm):
    """:class:`InstanceNorm` of (N, C, D, H, W), or of one sample: (C, D, H, W)."""

    _sample_ndim = 4
    _ndims = range(4, 6)


class GroupNorm(ChannelNorm):
    """Group normalisation of (N, C, ...): :func:`normfast.group_norm` with state.

    Parameters
    ----------
    num_groups : int
        Must divide num_channels.
    num_channels : int
        C, the number of channels.
    eps : float
        Added to the variance.
    affine : bool
        Whether there are weight and bias.
    bias : bool
        False: a weight alone.
    dtype : float dtype
        Of the parameters, whatever x is.
    channel_axis : int
        The axis of the channels: -1 for (N, ..., C).

    Attributes
    ----------
    weight, bias : ndarray or None
        Of shape (C,); 1 and 0 at the start.

    Examples
    --------
    >>> norm = nn.GroupNorm(2, 4, eps=0.0)
    >>> norm(np.array([[1.0, 3.0, 10.0, 30.0]]))
    array([[-1.,  1., -1.,  1.]])
    """

    num_groups: int
    num_channels: int
    channel_axis: int

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        *,
        bias: bool = True,
        dtype: DTypeLike = np.float32,
        channel_axis: int = 1,
    ) -> None:
        if num_groups < 1 or num_channels % num_groups:
            raise ValueError(
                f"GroupNorm: num_groups is {num_groups}, which does not divide the "
                f"{num_channels} channels"
            )
        super().__init__(num_channels, eps, affine, bias, dtype, channel_axis)
        self.num_groups = num_groups
        self.num_channels = num_channels

    def __call__(self, x: _Array, **options: Unpack[ChannelOptions]) -> Any:
        """Normalise x.

        Parameters
        ----------
        x : array of floats
        **options
            Those of :func:`normfast.group_norm`: where, sample_weight, add, activation, dtype,
            out, return_stats, num_threads.
        """
        self._check_sizes(self._check(x), self.channel_axis, self._sizes)
        return group_norm(
            x,
            self.num_groups,
            self.weight,
            self.bias,
            self.eps,
            channel_axis=self.channel_axis,
            **options,
        )
