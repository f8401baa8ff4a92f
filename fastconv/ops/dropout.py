"""Dropout, and the ops that draw random numbers: kernels count them out of a SeedGenerator's state, which they advance.

Not here: the functions of `fastconv.random` that need more than one kernel (random.py). Contract: the attribute `source`
is a SeedGenerator, or a FixedSeed, which gives the same numbers at every call.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import kernels, rng
from ..tensor import Op, Tensor, TensorLike
from .elementwise import multiply

__all__ = ["dropout"]


class Dropout(Op):
    kernels = stateful = True

    def forward(self, x, *, rate, noise_shape, source):
        self.rate = rate
        noise_shape = noise_shape and _noise_shape(noise_shape, x.shape)
        key, advance = key_of(source)
        y, self.mask = kernels.dropout_forward(x, rate, key, noise_shape, advance)
        return y

    def backward(self, dy):
        return kernels.dropout_backward(dy, self.mask, self.rate)

    @staticmethod
    def shape(x, *, rate, noise_shape, source):
        if noise_shape:
            _noise_shape(noise_shape, x)
        return x


class AlphaDropout(Dropout):
    """a * x + b where a random number is `rate` or more, a * least + b elsewhere: mean 0 and variance 1 stay."""

    kernels = False
    least = -1.7580993408473766  # of selu

    def forward(self, x, *, rate, noise_shape, source):
        key, advance = key_of(source)
        shape = _noise_shape(noise_shape, x.shape) if noise_shape else x.shape
        self.kept = kernels.random_uniform(shape, x.dtype, key, advance=advance) >= rate
        a = ((1 - rate) * (1 + rate * self.least**2)) ** -0.5
        self.slope, dropped = x.dtype.type(a), x.dtype.type(a * self.least * (1 - rate))
        return np.where(self.kept, x * self.slope + x.dtype.type(-a * self.least * rate), dropped)

    def backward(self, dy):
        return np.where(self.kept, dy * self.slope, np.zeros_like(dy))


class RandomUniform(Op):
    kernels = stateful = True

    def forward(self, *, shape, dtype, low, high, source):
        key, advance = key_of(source)
        return kernels.random_uniform(shape, dtype, key, low, high, advance)

    @staticmethod
    def shape(*, shape, **attributes):
        return shape


class RandomNormal(Op):
    kernels = stateful = True

    def forward(self, *, shape, dtype, mean, stddev, source):
        key, advance = key_of(source)
        return kernels.random_normal(shape, dtype, key, mean, stddev, advance)

    @staticmethod
    def shape(*, shape, **attributes):
        return shape


def key_of(source):
    """(state, whether it advances) of a SeedGenerator or a FixedSeed."""
    return rng.state_of(source), isinstance(source, rng.SeedGenerator)


def _noise_shape(noise_shape, shape):
    """One entry an axis of `shape`: 1, or the axis' size."""
    noise_shape = (1,) * (len(shape) - len(noise_shape)) + tuple(noise_shape)
    sizes = tuple(size if entry is None else entry for entry, size in zip(noise_shape, shape))
    if len(noise_shape) != len(shape) or any(n not in (1, size) and size is not None for n, size in zip(sizes, shape)):
        raise ValueError(
            f"noise_shape must have 1, None or the input's size on every axis, {shape}; got {noise_shape}."
        )
    return sizes


def dropout(inputs: TensorLike, rate: float, noise_shape: Sequence[int] | None = None, seed: Any = None) -> Tensor:
    """Each element is 0 with probability `rate` (from 0 to 1), else it is divided by 1 - rate.

    `noise_shape` has 1 on the axes whose cells share their fate, such as (None, 1, 1, None) to drop whole channels; None
    is the input's size. `seed`: a SeedGenerator, whose next numbers are drawn; an int, for the same numbers at every call;
    None for the common SeedGenerator (`set_random_seed`).
    """
    if not 0 <= rate <= 1:
        raise ValueError(f"rate must be from 0 to 1; got {rate!r}.")
    if rate == 1:
        return multiply(inputs, 0.0)
    noise_shape = None if noise_shape is None else tuple(noise_shape)
    return Dropout.apply(inputs, rate=float(rate), noise_shape=noise_shape, source=rng.source(seed))


def alpha_dropout(
    inputs: TensorLike, rate: float, noise_shape: Sequence[int] | None = None, seed: Any = None
) -> Tensor:
    """As `dropout`, for what `selu` gave: what is dropped gets its least value; mean 0 and variance 1 stay."""
    if not 0 <= rate < 1:
        raise ValueError(f"rate must be at least 0 and less than 1; got {rate!r}.")
    noise_shape = None if noise_shape is None else tuple(noise_shape)
    return AlphaDropout.apply(inputs, rate=float(rate), noise_shape=noise_shape, source=rng.source(seed))
