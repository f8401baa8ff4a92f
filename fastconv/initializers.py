"""First values of weights, under Keras' names.

An initializer draws from `fastconv.rng` unless it has its own seed. It owns no array and knows no layer.
Contract: `initializer(shape, dtype)` returns a new array; `get_config()` holds JSON values only, and
`get({"class_name": ..., "config": ...})` gives back an equal object.
"""

from __future__ import annotations

import math

import numpy as np

from fastconv import rng
from fastconv.registry import Configurable, Registry, checked_number


class Initializer(Configurable):
    """Base class: subclasses define `__call__(shape, dtype)` and keep their arguments as attributes."""

    def __call__(self, shape, dtype="float32") -> np.ndarray:
        raise NotImplementedError(f"{type(self).__name__} must define __call__(shape, dtype).")

    def get_config(self) -> dict:
        return dict(vars(self))


class Constant(Initializer):
    """Every value is `value` (default 0)."""

    def __init__(self, value: float = 0.0):
        self.value = float(value)

    def __call__(self, shape, dtype="float32"):
        return np.full(shape, self.value, dtype)


class Zeros(Initializer):
    """All zero: Keras' default for biases."""

    def __call__(self, shape, dtype="float32"):
        return np.zeros(shape, dtype)


class Ones(Initializer):
    """All one."""

    def __call__(self, shape, dtype="float32"):
        return np.ones(shape, dtype)


class _Random(Initializer):
    def _generator(self):
        return rng.generator() if self.seed is None else rng.seeded(self.seed)


class RandomUniform(_Random):
    """Uniform between `minval` and `maxval`. An integer `seed` gives the same values at every call."""

    def __init__(self, minval: float = -0.05, maxval: float = 0.05, seed: int | None = None):
        self.minval, self.maxval, self.seed = float(minval), float(maxval), seed

    def __call__(self, shape, dtype="float32"):
        return self._generator().uniform(self.minval, self.maxval, shape).astype(dtype)


class RandomNormal(_Random):
    """Normal with `mean` and `stddev`. An integer `seed` gives the same values at every call."""

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | None = None):
        self.mean, self.stddev, self.seed = float(mean), float(stddev), seed

    def __call__(self, shape, dtype="float32"):
        return self._generator().normal(self.mean, self.stddev, shape).astype(dtype)


class _Scaled(_Random):
    """Variance `scale / fan`; a normal one is cut at two deviations and widened to keep that variance."""

    def __init__(self, seed: int | None = None):
        self.seed = seed

    def __call__(self, shape, dtype="float32"):
        fan_in, fan_out = fans(shape)
        variance = self._scale(fan_in, fan_out)
        if self._uniform:
            limit = math.sqrt(3.0 * variance)
            return self._generator().uniform(-limit, limit, shape).astype(dtype)
        return (math.sqrt(variance) / 0.87962566103423978 * self._truncated(shape)).astype(dtype)

    def _truncated(self, shape):
        generator = self._generator()
        values = generator.standard_normal(shape)
        while (outside := np.abs(values) > 2.0).any():
            values[outside] = generator.standard_normal(np.count_nonzero(outside))
        return values


class GlorotUniform(_Scaled):
    """Uniform within `sqrt(6 / (fan_in + fan_out))`: Keras' default for kernels."""

    _uniform = True

    @staticmethod
    def _scale(fan_in, fan_out):
        return 2.0 / max(fan_in + fan_out, 1)


class GlorotNormal(GlorotUniform):
    """Truncated normal of variance `2 / (fan_in + fan_out)`."""

    _uniform = False


class HeUniform(_Scaled):
    """Uniform within `sqrt(6 / fan_in)`, for layers followed by a ReLU."""

    _uniform = True

    @staticmethod
    def _scale(fan_in, fan_out):
        return 2.0 / max(fan_in, 1)


class HeNormal(HeUniform):
    """Truncated normal of variance `2 / fan_in`, for layers followed by a ReLU."""

    _uniform = False


class VarianceScaling(_Scaled):
    """Variance `scale / fan`, of the fan that `mode` names ("fan_in", "fan_out", "fan_avg") and the `distribution`
    "truncated_normal", "untruncated_normal" or "uniform"."""

    def __init__(self, scale=1.0, mode="fan_in", distribution="truncated_normal", seed=None):
        super().__init__(seed)
        self.scale, self.mode, self.distribution = checked_number(self, "scale", scale), mode, distribution
        self._choose("mode", ("fan_in", "fan_out", "fan_avg"))
        self._choose("distribution", ("truncated_normal", "untruncated_normal", "uniform", "normal"))

    _uniform = property(lambda self: self.distribution == "uniform")

    def _choose(self, name, allowed):
        value = getattr(self, name)
        if value not in allowed:
            raise ValueError(f"VarianceScaling: {name} must be one of {', '.join(allowed)}; got {value!r}.")

    def _scale(self, fan_in, fan_out):
        fan = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[self.mode]
        return self.scale / max(fan, 1)

    def __call__(self, shape, dtype="float32"):
        if self.distribution != "untruncated_normal":
            return super().__call__(shape, dtype)
        return (math.sqrt(self._scale(*fans(shape))) * self._generator().standard_normal(shape)).astype(dtype)


def fans(shape) -> tuple[int, int]:
    """(inputs, outputs) that one weight of this shape joins; a kernel is `(*window, inputs, outputs)`."""
    if len(shape) < 2:
        size = shape[0] if shape else 1
        return size, size
    window = math.prod(shape[:-2])
    return shape[-2] * window, shape[-1] * window


_REGISTRY = Registry(
    "initializer",
    (
        Zeros,
        Ones,
        Constant,
        RandomUniform,
        RandomNormal,
        GlorotUniform,
        GlorotNormal,
        HeUniform,
        HeNormal,
        VarianceScaling,
    ),
)


class _Function(Initializer):
    def __init__(self, function):
        self.function = function

    def __call__(self, shape, dtype="float32"):
        return np.asarray(self.function(shape, dtype=dtype), dtype)

    def get_config(self):
        raise ValueError(f"The initializer {self.function!r} is a function, which a model file cannot hold.")


def get(identifier) -> Initializer:
    """An Initializer from a name ("glorot_uniform"), a config, a class, an object, or a `f(shape, dtype=...)`."""
    if callable(identifier) and not isinstance(identifier, (type, Initializer)):
        return _Function(identifier)
    return _REGISTRY.get(identifier, Initializer)
