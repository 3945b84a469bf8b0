"""Normalisation of NumPy arrays on any axes: at the speed of memory, exact, always the same bits.

>>> import numpy as np
>>> import normfast as nf
>>> x = np.array([[1.0, 3.0], [10.0, 30.0]], dtype=np.float32)
>>> nf.layer_norm(x, eps=0.0)
array([[-1.,  1.],
       [-1.,  1.]], dtype=float32)

===============  ================================================  ===============================
function         what shares a mean and a variance                 arguments
===============  ================================================  ===============================
layer_norm       the last axis, or any axes                        ``axis=`` or normalized_shape
rms_norm         as layer_norm; no mean is subtracted              ``axis=`` or normalized_shape
batch_norm       all but the channel axis; running averages        ``channel_axis=``
instance_norm    one channel of one sample                         ``channel_axis=``
group_norm       a group of channels of one sample                 num_groups, ``channel_axis=``
standardize      a column (z-score), or any axes                   axis
normalize        a vector, scaled to unit length                   axis
weight_norm      one output channel's weights, scaled to length g  channel_axis
mean_var         any axes: only the mean and the variance          axis
normalize_image  nothing: mean and std are given                   mean, std, ``scale=``
cosine_linear    a vector, scaled to unit length; then a product   x, weight, ``scale=``
fold_batch_norm  nothing: a layer takes over the batch norm after  weight, bias, its statistics
===============  ================================================  ===============================

Every function

- takes arrays of float32, float64, float16 or bfloat16 (ml_dtypes) of any strides, of NumPy or of
  any library on the CPU with DLPack or the buffer protocol, without copying them; parameters
  (``weight``, ``residual``, ...) of any of these dtypes, whatever that of ``x`` is;
- returns a NumPy array of the dtype and in the memory order of ``x``; ``dtype=`` asks for another
  dtype. Half types are widened, computed in float32, and rounded once, to nearest even;
- computes statistics to float64 accuracy whatever the input's dtype; ``return_stats=True`` shows
  them, float64, with the reduced axes kept as size 1;
- writes to ``out=`` if given: ``x`` itself, or memory that overlaps no argument;
- gives the same bits for any ``num_threads=`` (default: ``OMP_NUM_THREADS``, else the CPUs this
  process may use), any alignment, any batch around a row, in place or not, on any instruction set
  (but for the product in cosine_linear, which is NumPy's);
- checks its arguments before it writes anything: a ValueError or TypeError names the argument, what
  it was and what was expected.

Where they make sense, ``where=`` selects the elements that count in the statistics, and
``sample_weight=`` weighs them; ``residual=`` is added to ``x`` before its statistics are taken
(layer_norm, rms_norm), ``add=`` to the result (batch_norm, instance_norm, group_norm); and
``activation=`` is applied last:

===========  ===========================================================================
activation   of z
===========  ===========================================================================
"relu"       max(z, 0)
"gelu"       z * Phi(z) = z / 2 * (1 + erf(z / sqrt(2))) [1]_
"gelu_tanh"  z / 2 * (1 + tanh(sqrt(2 / pi) * (z + 0.044715 * z**3))) [1]_
"silu"       z / (1 + exp(-z)) [2]_
===========  ===========================================================================

.. [1] Hendrycks, Gimpel, "Gaussian error linear units (GELUs)", arXiv:1606.08415.
.. [2] Elfwing, Uchibe, Doya, "Sigmoid-weighted linear units for neural network function
   approximation in reinforcement learning", arXiv:1702.03118.
"""

from normfast._core import __version__
from normfast.functional import (
    batch_norm,
    group_norm,
    instance_norm,
    layer_norm,
    mean_var,
    normalize,
    normalize_image,
    rms_norm,
    standardize,
    weight_norm,
)
from normfast.linear import cosine_linear, fold_batch_norm
from normfast.memory import keep_buffers
from normfast.paths import get_include

__all__ = [
    "__version__",
    "batch_norm",
    "cosine_linear",
    "fold_batch_norm",
    "get_include",
    "group_norm",
    "instance_norm",
    "keep_buffers",
    "layer_norm",
    "mean_var",
    "normalize",
    "normalize_image",
    "rms_norm",
    "standardize",
    "weight_norm",
]
