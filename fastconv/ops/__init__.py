"""Differentiable operations, named after keras.ops; they also give Tensor its operators and methods.

Each family has a file where forward and backward stand side by side; `nn`, `linalg`, `math`, `core` and `numpy` are Keras'
namespaces over them. Contract: ops take Tensors, NumPy arrays, numbers or lists and return Tensors, with Keras' result
dtypes: integers and booleans stay what they are where that has a meaning, else they become floats. float32 and float64
in one call are a TypeError: nothing is converted silently.
"""

# ruff: noqa: F403, I001 (the families' own __all__ say what is public; the namespaces stand on them)

from __future__ import annotations

from ..absent import explain as _explain
from ..tensor import Tensor
from .activations import *
from .attention import *
from .blocks import *
from .casting import *
from .comparisons import *
from .control import *
from .conv import *
from .conv_pool import *
from .copying import *
from .creation import *
from .dropout import *
from .elementwise import *
from .functions import *
from .gates import *
from .indexing import *
from .joining import *
from .linear import *
from .losses import *
from .matrices import *
from .normalization import *
from .pooling import *
from .products import *
from .reductions import *
from .scans import *
from .scattering import *
from .shaping import *
from .shaping import check_labels  # noqa: F401 (for fastconv's losses)
from .sorting import *
from .spectral import *
from . import core, image, linalg, math, methods, nn, numpy

__all__: list[str] = []
__all__ += core.__all__
__all__ += linalg.__all__
__all__ += math.__all__
__all__ += nn.__all__
__all__ += numpy.__all__

_explain(__name__, __all__)


def __dir__() -> list[str]:
    return sorted({*__all__, "core", "image", "linalg", "math", "nn", "numpy"})


methods.attach(Tensor)
