"""Normalisation of NumPy arrays on any axes: at the speed of memory, exact, always the same bits.

>>> import numpy as np
>>> import normfast as nf
>>> x = np.array([[1.0, 3.0], [10.0, 30.0]], dtype=np.float32)
>>> nf.layer_norm(x, eps=0.0)
array([[-1.,  1.],
       [-1.,  1.]], dtype=float32)

=============  ==================================================  ===============================
function       what shares a mean and a variance                   arguments
=============  ==================================================  ===============================
layer_norm     the last axis, or any axes                          ``axis=`` or normalized_shape
rms_norm       as layer_norm; no mean is subtracted                ``axis=`` or normalized_shape
batch_norm     all but the channel axis; keeps running averages    ``channel_axis=``
instance_norm  one channel of one sample                           ``channel_axis=``
group_norm     a group of channels of one sample                   num_groups, ``channel_axis=``
standardize    a column (z-score), or any axes                     axis
normalize      a vector, scaled to unit length                     axis
weight_norm    one output channel's weights, scaled to length g    channel_axis
mean_var       any axes: only the mean and the variance            axis
=============  ==================================================  ===============================

Every function

- takes float32 or float64 arrays of any strides, without copying them, and returns an array of the
  same dtype, in the memory order of its input;
- computes statistics to float64 accuracy whatever the input's dtype; ``return_stats=True`` shows
  them, float64, with the reduced axes kept as size 1;
- writes to ``out=`` if given: ``x`` itself, or memory that overlaps no argument;
- gives the same bits for any ``num_threads=`` (default: ``OMP_NUM_THREADS``, else the CPUs this
  process may use), any alignment, any batch around a row, in place or not, on any instruction set;
- checks its arguments before it writes anything: a ValueError or TypeError names the argument, what
  it was and what was expected.

``weight``, ``bias`` and running statistics are float32 or float64, whatever ``x`` is.
"""

from normfast._core import __version__
from normfast.functional import (
    batch_norm,
    group_norm,
    instance_norm,
    layer_norm,
    mean_var,
    normalize,
    rms_norm,
    standardize,
    weight_norm,
)

__all__ = [
    "__version__",
    "batch_norm",
    "group_norm",
    "instance_norm",
    "layer_norm",
    "mean_var",
    "normalize",
    "rms_norm",
    "standardize",
    "weight_norm",
]
