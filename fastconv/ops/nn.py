"""keras.ops.nn: activations, convolution, pooling, normalization, cross-entropies, and fastconv's own beside them.

A namespace: nothing is defined here.
"""

# ruff: noqa: F403, F405

from __future__ import annotations

from .activations import *
from .attention import *
from .blocks import *
from .conv import *
from .conv_pool import *
from .copying import upsample
from .creation import multi_hot, one_hot
from .dropout import *
from .gates import *
from .linear import dense
from .losses import *
from .normalization import *
from .pooling import *

# fmt: off
__all__ = [
    "adaptive_average_pool", "adaptive_max_pool", "average_pool", "batch_norm", "batch_normalization",
    "binary_crossentropy", "categorical_crossentropy", "celu", "clipped_relu", "conv", "conv_pool",
    "conv_transpose", "dense", "depth_to_space", "depthwise_conv", "dot_product_attention", "dropout", "elu", "fold", "gelu",
    "global_average_pool", "global_max_pool", "glu", "group_norm", "hard_shrink", "hard_sigmoid", "hard_silu",
    "hard_swish", "hard_tanh", "layer_norm", "layer_normalization", "leaky_relu", "log_sigmoid", "log_softmax",
    "max_pool", "mish", "moments", "multi_hot", "normalize", "one_hot", "psnr", "relu", "relu6",
    "rms_normalization", "selu", "separable_conv", "sigmoid", "silu", "soft_shrink", "softmax", "softplus",
    "softsign", "space_to_depth", "sparse_categorical_crossentropy", "sparse_plus", "sparse_sigmoid", "sparsemax",
    "squareplus", "swish", "tanh", "tanh_shrink", "threshold", "unfold", "upsample",
]


def __dir__() -> list[str]:
    return __all__
