"""The operations as objects with state, for NumPy: PyTorch's names, attributes and state_dict.

>>> import numpy as np
>>> from normfast import nn
>>> norm = nn.BatchNorm2d(16)
>>> norm
BatchNorm2d(16, eps=1e-05, momentum=0.1, affine=True, track_running_stats=True)
>>> images = np.ones((8, 16, 32, 32), dtype=np.float32)
>>> y = norm(images)  # in training: by the batch's statistics; the running ones move
>>> y = norm.eval()(images, activation="relu")  # by the running ones
>>> list(norm.state_dict())
['weight', 'bias', 'running_mean', 'running_var', 'num_batches_tracked']

=====================  ===========================  ==============================================
class                  function                     state
=====================  ===========================  ==============================================
BatchNorm, 1d, 2d, 3d  batch_norm                   weight, bias, running statistics
InstanceNorm, 1d ...   instance_norm                none; where asked for, that of BatchNorm
GroupNorm              group_norm                   weight, bias
LayerNorm              layer_norm                   weight, bias
RMSNorm                rms_norm                     weight
WeightNorm             weight_norm                  weight_g, weight_v
CosineLinear           cosine_linear                weight, bias
=====================  ===========================  ==============================================

Every object

- is built with PyTorch's arguments; by keyword also ``dtype=`` of its parameters, and
  ``channel_axis=`` or ``axis=`` where its function has it;
- takes, when called, x and the keywords of its function: ``where=``, ``sample_weight=``,
  ``residual=`` or ``add=``, ``activation=``, ``out=``, ``return_stats=``, ``num_threads=``;
- has ``train()``, ``eval()`` and ``training``;
- has ``state_dict()`` and ``load_state_dict(state, strict=True, prefix="")``, which reads its part
  of a whole model's parameters, as PyTorch or anyone else wrote them to an .npz or .safetensors
  file.
"""

from normfast.nn.axes import LayerNorm, RMSNorm
from normfast.nn.channels import (
    BatchNorm,
    BatchNorm1d,
    BatchNorm2d,
    BatchNorm3d,
    GroupNorm,
    InstanceNorm,
    InstanceNorm1d,
    InstanceNorm2d,
    InstanceNorm3d,
)
from normfast.nn.module import IncompatibleKeys, Module
from normfast.nn.weights import CosineLinear, WeightNorm

__all__ = [
    "BatchNorm",
    "BatchNorm1d",
    "BatchNorm2d",
    "BatchNorm3d",
    "CosineLinear",
    "GroupNorm",
    "IncompatibleKeys",
    "InstanceNorm",
    "InstanceNorm1d",
    "InstanceNorm2d",
    "InstanceNorm3d",
    "LayerNorm",
    "Module",
    "RMSNorm",
    "WeightNorm",
]
