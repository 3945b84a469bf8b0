"""The operations for arrays that are on a GPU: PyTorch, CuPy, and all others that share memory.

The functions have the names, the arguments and the defaults of :mod:`normfast`'s, without
``where``, ``sample_weight`` and ``num_threads``, and with ``stream=``. They

- take torch CUDA tensors, CuPy arrays, and any array with DLPack or ``__cuda_array_interface__``;
  all arrays of a call on one GPU; float32, float16 and bfloat16, each argument of its own dtype;
- return arrays of x's library, in x's memory order, and write to ``out=`` where it is given;
- queue their work on the current stream of torch or CuPy, else on ``stream=``, else on that of x
  (``__cuda_array_interface__``), else on the default stream; they never wait for it;
- take all memory from x's library, before the first kernel: a CUDA graph can capture them;
- compute in float32, as exactly as the CPU's: within 1e-6 of float64, also far from zero; without
  atomic additions, and shared out by the sizes of a statistic and the dtype alone: the same bits
  in every run, in any batch and at any address;
- check their arguments before anything is written, with the messages of the CPU's functions.

An import needs neither a GPU nor a driver; the first call of a build without CUDA is an ImportError
that says how to get one.
"""

from normfast.cuda.functions import (
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
