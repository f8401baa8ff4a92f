"""Initializers that draw random numbers: from `fastconv.rng`, or from a seed of their own.

Contract: as the package's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastconv import rng
from fastconv.initializers.base import Initializer, chosen, number
from fastconv.registry import checked_number
from fastconv.rng import SeedGenerator

Seed = int | SeedGenerator | dict | None
_PIECE = 1 << 20


class _Random(Initializer):
    def _set_seed(self, seed):
        if isinstance(seed, dict):  # what get_config made of a SeedGenerator
            if not isinstance(seed.get("config"), dict):
                raise ValueError(
                    f"{type(self).__name__}: seed must be a number, a SeedGenerator or its config; got {seed}."
                )
            seed = SeedGenerator(**seed["config"])
        if seed is not None and not isinstance(seed, SeedGenerator):
            rng.source(seed)  # it raises for what is no seed
        self.seed = seed

    def get_config(self) -> dict:
        config = super().get_config()
        if isinstance(self.seed, SeedGenerator):
            config["seed"] = {"class_name": "SeedGenerator", "config": {"seed": self.seed.seed}}
        return config

    def _generator(self, dtype):
        dtype = np.dtype(dtype or "float32")
        if dtype.kind != "f":
            raise TypeError(f"{type(self).__name__} draws floats; got dtype {dtype}.")
        if isinstance(self.seed, SeedGenerator):
            return rng.drawn(self.seed), dtype
        return rng.generator() if self.seed is None else rng.seeded(self.seed), dtype

    def _draw(self, shape, dtype, values):
        """An array of `values(generator, count)`, some at a time: they are float64, and weights may be hundreds of MB."""
        generator, dtype = self._generator(dtype)
        drawn = np.empty(shape, dtype)
        flat = drawn.reshape(-1)
        for start in range(0, flat.size, _PIECE):
            part = flat[start : start + _PIECE]
            part[...] = values(generator, part.size)
        return drawn


class RandomUniform(_Random):
    """Uniform between `minval` and `maxval`."""

    def __init__(self, minval: float = -0.05, maxval: float = 0.05, seed: Seed = None) -> None:
        self.minval, self.maxval = number(self, "minval", minval), number(self, "maxval", maxval)
        self._set_seed(seed)

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> np.ndarray:
        return self._draw(shape, dtype, lambda generator, n: generator.uniform(self.minval, self.maxval, n))


class RandomNormal(_Random):
    """Normal with `mean` and `stddev`."""

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: Seed = None) -> None:
        self.mean, self.stddev = number(self, "mean", mean), checked_number(self, "stddev", stddev)
        self._set_seed(seed)

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> np.ndarray:
        return self._draw(shape, dtype, lambda generator, n: generator.normal(self.mean, self.stddev, n))


class TruncatedNormal(RandomNormal):
    """As RandomNormal, but what is further than two `stddev` from `mean` is drawn again; so the values' own deviation
    is 0.88 of `stddev`."""

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> np.ndarray:
        return self._draw(shape, dtype, lambda generator, n: self.mean + self.stddev * _truncated(generator, n))


def _truncated(generator, count):
    values = generator.standard_normal(count)
    while (outside := np.abs(values) > 2.0).any():
        values[outside] = generator.standard_normal(np.count_nonzero(outside))
    return values


class Orthogonal(_Random):
    """`gain` times a random matrix with orthonormal columns, or rows where there are more columns; the last axis of the
    shape counts columns, all others together rows."""

    def __init__(self, gain: float = 1.0, seed: Seed = None) -> None:
        self.gain = number(self, "gain", gain)
        self._set_seed(seed)

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> np.ndarray:
        if len(shape) < 2:
            raise ValueError(f"Orthogonal needs a shape of at least two axes; got {tuple(shape)}.")
        rows, columns = math.prod(shape[:-1]), shape[-1]

        generator, dtype = self._generator(dtype)
        q, r = np.linalg.qr(generator.standard_normal((max(rows, columns), min(rows, columns))))
        q = q * np.where(np.diag(r) < 0, -1.0, 1.0)  # uniform among all such matrices
        return (self.gain * (q if rows >= columns else q.T).reshape(shape)).astype(dtype)


class VarianceScaling(_Random):
    """Variance `scale / fan`, of the fan that `mode` names: "fan_in", "fan_out" or "fan_avg".

    `distribution` is "uniform", "untruncated_normal" or "truncated_normal": cut at two deviations and widened to keep
    that variance.
    """

    def __init__(
        self,
        scale: float = 1.0,
        mode: str = "fan_in",
        distribution: str = "truncated_normal",
        seed: Seed = None,
    ) -> None:
        self.scale = checked_number(self, "scale", scale)
        if not self.scale:
            raise ValueError(f"{type(self).__name__}: scale must be above 0; got {scale!r}.")
        self.mode = chosen(self, "mode", mode, ("fan_in", "fan_out", "fan_avg"))
        known = ("truncated_normal", "untruncated_normal", "uniform", "normal")
        self.distribution = chosen(self, "distribution", distribution, known)
        self._set_seed(seed)

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> np.ndarray:
        fan_in, fan_out = fans(shape)
        fan = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[self.mode]
        variance = self.scale / max(fan, 1)
        deviation = math.sqrt(variance)
        if self.distribution == "uniform":
            limit = math.sqrt(3.0 * variance)
            return self._draw(shape, dtype, lambda generator, n: generator.uniform(-limit, limit, n))
        if self.distribution == "untruncated_normal":
            return self._draw(shape, dtype, lambda generator, n: deviation * generator.standard_normal(n))
        wide = deviation / 0.87962566103423978  # the deviation of what is left of a normal distribution
        return self._draw(shape, dtype, lambda generator, n: wide * _truncated(generator, n))


class _Named(VarianceScaling):
    """A VarianceScaling whose `_setting`, (scale, mode, distribution), has a name."""

    _setting: tuple

    def __init__(self, seed: Seed = None) -> None:
        super().__init__(*self._setting, seed)

    def get_config(self) -> dict:
        return {"seed": super().get_config()["seed"]}


class GlorotUniform(_Named):
    """Uniform within `sqrt(6 / (fan_in + fan_out))`: Keras' default for kernels."""

    _setting = 1.0, "fan_avg", "uniform"


class GlorotNormal(_Named):
    """Truncated normal of variance `2 / (fan_in + fan_out)`."""

    _setting = 1.0, "fan_avg", "truncated_normal"


class HeUniform(_Named):
    """Uniform within `sqrt(6 / fan_in)`, for layers followed by a ReLU."""

    _setting = 2.0, "fan_in", "uniform"


class HeNormal(_Named):
    """Truncated normal of variance `2 / fan_in`, for layers followed by a ReLU."""

    _setting = 2.0, "fan_in", "truncated_normal"


class LecunUniform(_Named):
    """Uniform within `sqrt(3 / fan_in)`."""

    _setting = 1.0, "fan_in", "uniform"


class LecunNormal(_Named):
    """Truncated normal of variance `1 / fan_in`, for layers followed by a SELU."""

    _setting = 1.0, "fan_in", "truncated_normal"


def fans(shape) -> tuple[int, int]:
    """(inputs, outputs) that one weight of this shape joins; a kernel is `(*window, inputs, outputs)`."""
    if len(shape) < 2:
        size = shape[0] if shape else 1
        return size, size
    window = math.prod(shape[:-2])
    return shape[-2] * window, shape[-1] * window
