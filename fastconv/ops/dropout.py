"""Dropout: the only op that draws random numbers.

Contract: one uniform float32 number an element, drawn in C order from fastconv's generator unless a seed is given; the
kernels' threads have no part in it.
"""

from __future__ import annotations

import numpy as np

from ..rng import generator
from ..tensor import Op
from .common import elementwise


class Dropout(Op):
    def forward(self, x, *, rate, random):
        kept = random.random(x.shape, np.float32) >= rate
        self.scale = elementwise(np.multiply, kept.astype(x.dtype), np.asarray(1 / (1 - rate), x.dtype))
        return elementwise(np.multiply, x, self.scale)

    def backward(self, dy):
        return elementwise(np.multiply, dy, self.scale)


def dropout(inputs, rate, seed=None):
    """Each element is 0 with probability `rate` (0 <= rate < 1), else it is divided by 1 - rate.

    `seed`: an int, a `numpy.random.Generator`, or None for the stream that `set_random_seed` starts.
    """
    if not 0 <= rate < 1:
        raise ValueError(f"rate must be at least 0 and less than 1; got {rate!r}.")
    random = generator() if seed is None else np.random.default_rng(seed)
    return Dropout.apply(inputs, rate=float(rate), random=random)
