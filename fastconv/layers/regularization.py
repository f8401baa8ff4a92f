"""Layers that disturb training with random numbers: dropout and noise.

Outside training they give what they are given. Contract: an integer `seed` gives a layer a random stream of its own;
without one it draws from the common stream (`fastconv.utils.set_random_seed`). A share `rate` is from 0 to 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from fastconv import ops, random, rng
from fastconv.layers.annotations import Seed, Shape
from fastconv.layers.base import Layer
from fastconv.layers.spatial import Spatial, check_data_format
from fastconv.ops.dropout import alpha_dropout
from fastconv.registry import checked_number
from fastconv.symbolic import NoValues, is_tracing
from fastconv.tensor import Tensor


class Random(Layer):
    """Base class: `disturb(inputs)` is what happens in training."""

    supports_masking = True

    def _set_seed(self, seed):
        self.seed = seed
        self._generator = None if seed is None else rng.SeedGenerator(seed)

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        return self.disturb(inputs) if training else inputs

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        self.check_input(input_shape)
        return tuple(input_shape)

    def _normal(self, inputs, mean, stddev):
        if inputs.symbolic and not is_tracing():
            raise NoValues("Noise is drawn where the batch is known.")
        return random.normal(inputs.shape, mean, stddev, inputs.dtype, self._generator)


class Dropout(Random):
    """Zeroes a share `rate` of the values and scales the others by `1 / (1 - rate)`.

    `noise_shape` has 1 on the axes whose places share their fate, None or the size on the others, the batch included.
    """

    def __init__(
        self, rate: float, noise_shape: Sequence[int | None] | None = None, seed: Seed | None = None, **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(**kwargs)
        self.rate = checked_number(self, "rate", rate, 1)
        self.noise_shape = _noise_shape(self, noise_shape)
        self._set_seed(seed)

    def disturb(self, inputs: Tensor) -> Tensor:
        return _dropped(inputs, self.rate, self.noise_shape, self._generator)


def _noise_shape(layer, shape):
    if shape is None:
        return None
    if isinstance(shape, str) or not all(size is None or (isinstance(size, int) and size > 0) for size in shape):
        raise ValueError(f"{type(layer).__name__}: noise_shape must hold positive ints or None; got {shape!r}.")
    return tuple(shape)


def _dropped(inputs, rate, noise_shape, generator):
    if not rate:
        return inputs
    return ops.multiply(inputs, 0.0) if rate == 1 else ops.dropout(inputs, rate, noise_shape, generator)


class SpatialDropout(Random, Spatial):
    """Dropout of whole channels: of a sample's channel either all places are kept or none."""

    def __init__(self, rate: float, seed: Seed | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rate = checked_number(self, "rate", rate, 1)
        self._set_seed(seed)

    def disturb(self, inputs: Tensor) -> Tensor:
        return _dropped(inputs, self.rate, (None, *(1,) * self.rank, None), self._generator)


class SpatialDropout1D(SpatialDropout):
    """Dropout of channels of `(batch, steps, channels)`."""

    rank = 1


class SpatialDropout2D(SpatialDropout):
    """Dropout of channels of `(batch, height, width, channels)`."""

    rank = 2

    def __init__(self, rate: float, data_format: str | None = None, seed: Seed | None = None, **kwargs: Any) -> None:
        super().__init__(rate, seed, **kwargs)
        self.data_format = check_data_format(data_format, self)


class SpatialDropout3D(SpatialDropout):
    """Dropout of channels of `(batch, depth, height, width, channels)`."""

    rank = 3

    def __init__(self, rate: float, data_format: str | None = None, seed: Seed | None = None, **kwargs: Any) -> None:
        super().__init__(rate, seed, **kwargs)
        self.data_format = check_data_format(data_format, self)


class GaussianNoise(Random):
    """Adds normal numbers of mean 0 and standard deviation `stddev`."""

    def __init__(self, stddev: float, seed: Seed | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.stddev = checked_number(self, "stddev", stddev)
        self._set_seed(seed)

    def disturb(self, inputs: Tensor) -> Tensor:
        return ops.add(inputs, self._normal(inputs, 0.0, self.stddev)) if self.stddev else inputs


class GaussianDropout(Random):
    """Multiplies by normal numbers of mean 1 and standard deviation `sqrt(rate / (1 - rate))`; rate is below 1."""

    def __init__(self, rate: float, seed: Seed | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rate = _below_1(self, rate)
        self._set_seed(seed)

    def disturb(self, inputs: Tensor) -> Tensor:
        if not self.rate:
            return inputs
        return ops.multiply(inputs, self._normal(inputs, 1.0, math.sqrt(self.rate / (1 - self.rate))))


class AlphaDropout(Random):
    """Dropout for networks of `selu`: what it drops gets selu's least value, and mean and variance stay; rate is below
    1, `noise_shape` as Dropout's."""

    def __init__(
        self, rate: float, noise_shape: Sequence[int | None] | None = None, seed: Seed | None = None, **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(**kwargs)
        self.rate = _below_1(self, rate)
        self.noise_shape = _noise_shape(self, noise_shape)
        self._set_seed(seed)

    def disturb(self, inputs: Tensor) -> Tensor:
        return alpha_dropout(inputs, self.rate, self.noise_shape, self._generator) if self.rate else inputs


def _below_1(layer, rate):
    rate = checked_number(layer, "rate", rate)
    if rate >= 1:
        raise ValueError(f"{type(layer).__name__}: rate must be at least 0 and less than 1; got {rate!r}.")
    return rate
