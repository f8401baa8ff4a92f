"""keras.ops.math: segments, Fourier transforms, special functions, the greatest k.

A namespace: nothing is defined here.
"""

# ruff: noqa: F403, F405

from __future__ import annotations

from .elementwise import erf, rsqrt
from .functions import erfc, erfinv
from .matrices import logdet
from .products import cdist
from .reductions import logsumexp
from .scattering import segment_max, segment_min, segment_prod, segment_sum
from .sorting import in_top_k, top_k
from .spectral import *

# fmt: off
__all__ = [
    "cdist", "erf", "erfc", "erfinv", "extract_sequences", "fft", "fft2", "ifft2", "in_top_k", "irfft", "istft",
    "logdet", "logsumexp", "rfft", "rsqrt", "segment_max", "segment_min", "segment_prod", "segment_sum", "stft",
    "top_k",
]


def __dir__() -> list[str]:
    return __all__
