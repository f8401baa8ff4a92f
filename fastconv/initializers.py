"""First values of weights, under Keras' names.

An initializer draws from `fastconv.rng` unless it has a seed of its own. It owns no array and knows no layer.
Contract: `initializer(shape, dtype)` returns a new array; `get_config()` holds JSON values only, and
`get({"class_name": ..., "config": ...})` gives back an equal object. A `seed` is an int, for the same values at every
call; a SeedGenerator, whose next values are drawn; or None for the stream that everything shares.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fastconv import rng, serialization
from fastconv.registry import Configurable, Registry, checked_number
from fastconv.registry import serialize as _serialize
from fastconv.rng import SeedGenerator
from fastconv.tensor import Tensor

__all__ = [
    "Constant", "GlorotNormal", "GlorotUniform", "HeNormal", "HeUniform", "Identity", "IdentityInitializer",
    "Initializer", "LecunNormal", "LecunUniform", "Ones", "Orthogonal", "OrthogonalInitializer", "RandomNormal",
    "RandomUniform", "STFT", "STFTInitializer", "TruncatedNormal", "VarianceScaling", "Zeros", "constant",
    "deserialize", "get", "glorot_normal", "glorot_uniform", "he_normal", "he_uniform", "identity", "lecun_normal",
    "lecun_uniform", "ones", "orthogonal", "random_normal", "random_uniform", "serialize", "stft", "truncated_normal",
    "variance_scaling", "zeros",
]  # fmt: skip

Seed = int | SeedGenerator | dict | None


class Initializer(Configurable):
    """Base class: subclasses define `__call__(shape, dtype)` and keep their arguments as attributes."""

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> np.ndarray:
        """A new array of this shape; `dtype` None is float32."""
        raise NotImplementedError(f"{type(self).__name__} must define __call__(shape, dtype).")

    def get_config(self) -> dict:
        return dict(vars(self))

    def clone(self) -> Initializer:
        """An equal initializer."""
        return self.from_config(self.get_config())


class Constant(Initializer):
    """Every value is `value` (default 0), a number, or an array that broadcasts to the shape."""

    def __init__(self, value: Any = 0.0) -> None:
        value = serialization.deserialize(value) if isinstance(value, dict) else value
        whole = isinstance(value, np.ndarray) and value.ndim and value.dtype.kind in "biuf"
        self.value = value if whole else _number(self, "value", value)

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> np.ndarray:
        try:
            return np.full(shape, self.value, dtype or "float32")
        except ValueError:
            raise ValueError(
                f"Constant: the values of shape {np.shape(self.value)} do not broadcast to the shape {tuple(shape)}."
            ) from None

    def get_config(self) -> dict[str, Any]:
        return {"value": serialization.serialize(self.value)}


class Zeros(Initializer):
    """All zero: Keras' default for biases."""

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> np.ndarray:
        return np.zeros(shape, dtype or "float32")


class Ones(Initializer):
    """All one."""

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> np.ndarray:
        return np.ones(shape, dtype or "float32")


class Identity(Initializer):
    """`gain` times the identity matrix; for shapes of two axes."""

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = _number(self, "gain", gain)

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> np.ndarray:
        if len(shape) != 2:
            raise ValueError(f"Identity makes matrices, such as Dense's kernel; got the shape {tuple(shape)}.")
        return self.gain * np.eye(*shape, dtype=dtype or "float32")


class _Random(Initializer):
    def _set_seed(self, seed):
        if isinstance(seed, dict):  # what get_config made of a SeedGenerator
            seed = SeedGenerator(**seed["config"])
        if seed is not None and not isinstance(seed, SeedGenerator):
            rng.source(seed)  # it raises for what is no seed
        self.seed = seed

    def get_config(self) -> dict:
        config = super().get_config()
        if isinstance(self.seed, SeedGenerator):
            config["seed"] = {"class_name": "SeedGenerator", "config": {"seed": self.seed.seed}}
        return config

    def _draw(self, dtype, values):
        """`values(generator)` in `dtype`."""
        dtype = np.dtype(dtype or "float32")
        if dtype.kind != "f":
            raise TypeError(f"{type(self).__name__} draws floats; got dtype {dtype}.")
        if isinstance(self.seed, SeedGenerator):
            generator = rng.drawn(self.seed)
        else:
            generator = rng.generator() if self.seed is None else rng.seeded(self.seed)
        return values(generator).astype(dtype)


class RandomUniform(_Random):
    """Uniform between `minval` and `maxval`."""

    def __init__(self, minval: float = -0.05, maxval: float = 0.05, seed: Seed = None) -> None:
        self.minval, self.maxval = _number(self, "minval", minval), _number(self, "maxval", maxval)
        self._set_seed(seed)

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> np.ndarray:
        return self._draw(dtype, lambda generator: generator.uniform(self.minval, self.maxval, shape))


class RandomNormal(_Random):
    """Normal with `mean` and `stddev`."""

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: Seed = None) -> None:
        self.mean, self.stddev = _number(self, "mean", mean), checked_number(self, "stddev", stddev)
        self._set_seed(seed)

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> np.ndarray:
        return self._draw(dtype, lambda generator: generator.normal(self.mean, self.stddev, shape))


class TruncatedNormal(RandomNormal):
    """As RandomNormal, but what is further than two `stddev` from `mean` is drawn again; so the values' own deviation
    is 0.88 of `stddev`."""

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> np.ndarray:
        return self._draw(dtype, lambda generator: self.mean + self.stddev * _truncated(generator, shape))


def _truncated(generator, shape):
    values = np.asarray(generator.standard_normal(shape))
    while (outside := np.abs(values) > 2.0).any():
        values[outside] = generator.standard_normal(np.count_nonzero(outside))
    return values


class Orthogonal(_Random):
    """`gain` times a random matrix with orthonormal columns, or rows where there are more columns; the last axis of the
    shape counts columns, all others together rows."""

    def __init__(self, gain: float = 1.0, seed: Seed = None) -> None:
        self.gain = _number(self, "gain", gain)
        self._set_seed(seed)

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> np.ndarray:
        if len(shape) < 2:
            raise ValueError(f"Orthogonal needs a shape of at least two axes; got {tuple(shape)}.")
        rows, columns = math.prod(shape[:-1]), shape[-1]

        def values(generator):
            tall = generator.standard_normal((max(rows, columns), min(rows, columns)))
            q, r = np.linalg.qr(tall)
            q = q * np.where(np.diag(r) < 0, -1.0, 1.0)  # uniform among all such matrices
            return self.gain * (q if rows >= columns else q.T).reshape(shape)

        return self._draw(dtype, values)


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
        self.mode = _chosen(self, "mode", mode, ("fan_in", "fan_out", "fan_avg"))
        known = ("truncated_normal", "untruncated_normal", "uniform", "normal")
        self.distribution = _chosen(self, "distribution", distribution, known)
        self._set_seed(seed)

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> np.ndarray:
        fan_in, fan_out = fans(shape)
        fan = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[self.mode]
        variance = self.scale / max(fan, 1)
        deviation = math.sqrt(variance)
        if self.distribution == "uniform":
            limit = math.sqrt(3.0 * variance)
            return self._draw(dtype, lambda generator: generator.uniform(-limit, limit, shape))
        if self.distribution == "untruncated_normal":
            return self._draw(dtype, lambda generator: deviation * generator.standard_normal(shape))
        wide = deviation / 0.87962566103423978  # the deviation of what is left of a normal distribution
        return self._draw(dtype, lambda generator: wide * _truncated(generator, shape))


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


_COSINES = {  # a window is a0 - a1 * cos(t) + a2 * cos(2 * t), t from 0 to 2 pi
    "boxcar": (1.0, 0.0, 0.0),
    "hann": (0.5, 0.5, 0.0),
    "hamming": (0.54, 0.46, 0.0),
    "blackman": (0.42, 0.5, 0.08),
}


class STFT(Initializer):
    """Kernels `(length, 1, bins)` of a Conv1D that give a short-time Fourier transform of `2 * (bins - 1)` points: its
    "real" or "imag" `side`.

    `window`: "hann", "hamming", "blackman", "boxcar", `length` numbers, or None; `scaling`: "density" (by the root of
    the window's squared sum), "spectrum" (by its sum) or None; `periodic` windows lack their last, equal point.
    """

    def __init__(
        self,
        side: str = "real",
        window: str | list[float] | None = "hann",
        scaling: str | None = "density",
        periodic: bool = False,
    ) -> None:
        self.side = _chosen(self, "side", side, ("real", "imag"))
        self.window = _chosen(self, "window", window, tuple(_COSINES)) if isinstance(window, str) else window
        if window is not None and not isinstance(window, str):
            self.window = np.asarray(window, float).tolist()
        self.scaling = scaling if scaling is None else _chosen(self, "scaling", scaling, ("density", "spectrum"))
        self.periodic = bool(periodic)

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> np.ndarray:
        if len(shape) != 3 or shape[1] != 1:
            raise ValueError(f"STFT makes kernels of shape (length, 1, bins); got {tuple(shape)}.")
        length, _, bins = shape
        angle = -2 * np.pi * np.arange(length)[:, None, None] * np.arange(bins) / max(2 * (bins - 1), 1)
        kernel = np.cos(angle) if self.side == "real" else np.sin(angle)
        if self.window is not None:
            window = self._window(length)
            if self.scaling is not None:
                window = window / (np.sqrt((window**2).sum()) if self.scaling == "density" else np.abs(window).sum())
            kernel = kernel * window[:, None, None]
        return kernel.astype(dtype or "float32")

    def _window(self, length):
        if isinstance(self.window, str):
            points = 2 * np.pi * np.arange(length) / max(length if self.periodic else length - 1, 1)
            a0, a1, a2 = _COSINES[self.window]
            return a0 - a1 * np.cos(points) + a2 * np.cos(2 * points) if length > 1 else np.ones(1)
        if len(self.window) != length:
            raise ValueError(f"STFT: the window must have {length} numbers, one a step; got {len(self.window)}.")
        return np.asarray(self.window)


def fans(shape) -> tuple[int, int]:
    """(inputs, outputs) that one weight of this shape joins; a kernel is `(*window, inputs, outputs)`."""
    if len(shape) < 2:
        size = shape[0] if shape else 1
        return size, size
    window = math.prod(shape[:-2])
    return shape[-2] * window, shape[-1] * window


def _number(owner, argument, value):
    """`value` as a finite float."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not math.isfinite(value):
        raise TypeError(f"{type(owner).__name__}: {argument} must be a finite number; got {value!r}.")
    return float(value)


def _chosen(owner, argument, value, allowed):
    if value not in allowed:
        names = ", ".join(map(repr, allowed))
        raise ValueError(f"{type(owner).__name__}: {argument} must be one of {names}; got {value!r}.")
    return value


class _Function(Initializer):
    """A function `f(shape, dtype=...)`."""

    def __init__(self, function):
        self.function = function

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> np.ndarray:
        return np.asarray(self.function(shape, dtype=dtype), dtype)

    def get_config(self) -> dict:
        raise ValueError(f"The initializer {self.function!r} is a function, which a model file cannot hold.")

    def __repr__(self):
        return repr(self.function)


class _Values(Initializer):
    """The values themselves."""

    def __init__(self, values):
        self.values = np.asarray(values)

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> np.ndarray:
        if tuple(shape) != self.values.shape:
            raise ValueError(
                f"The initializer holds values of shape {self.values.shape}; got the shape {tuple(shape)}."
            )
        return self.values.astype(dtype or self.values.dtype)

    def get_config(self) -> dict:
        raise ValueError(
            f"The initializer is an array of shape {self.values.shape}, which a config cannot hold: use set_weights."
        )

    def __repr__(self):
        return f"<values of shape {self.values.shape}>"


IdentityInitializer, OrthogonalInitializer, STFTInitializer = Identity, Orthogonal, STFT
constant, zeros, ones, identity, stft = Constant, Zeros, Ones, Identity, STFT
random_uniform, random_normal, truncated_normal = RandomUniform, RandomNormal, TruncatedNormal
variance_scaling, orthogonal = VarianceScaling, Orthogonal
glorot_uniform, glorot_normal, he_uniform, he_normal = GlorotUniform, GlorotNormal, HeUniform, HeNormal
lecun_uniform, lecun_normal = LecunUniform, LecunNormal

_CLASSES = (
    Zeros, Ones, Constant, Identity, RandomUniform, RandomNormal, TruncatedNormal, Orthogonal, VarianceScaling,
    GlorotUniform, GlorotNormal, HeUniform, HeNormal, LecunUniform, LecunNormal, STFT,
)  # fmt: skip
_REGISTRY = Registry(
    "initializer",
    _CLASSES,
    {
        "IdentityInitializer": Identity, "OrthogonalInitializer": Orthogonal, "STFTInitializer": STFT, "zero": Zeros,
        "one": Ones, "uniform": RandomUniform, "normal": RandomNormal,
    },
    _Function,
)  # fmt: skip


def get(identifier: str | dict | Callable | np.ndarray | Tensor | None) -> Initializer | None:
    """An Initializer from a name ("glorot_uniform"), a config, a class, an object, a function `f(shape, dtype=...)`, or
    an array of the very values; None gives None."""
    if identifier is None:
        return None
    if isinstance(identifier, (np.ndarray, np.generic, Tensor)):
        return _Values(identifier)
    if isinstance(identifier, type) and not issubclass(identifier, Initializer):
        identifier = identifier()
    if callable(identifier) and not isinstance(identifier, (type, Initializer)):
        return _Function(identifier)
    return _REGISTRY.get(identifier, Initializer)


def serialize(initializer: Initializer) -> dict:
    """`{"class_name": ..., "config": ...}`, which `deserialize` and `get` take; ValueError for functions and arrays."""
    return _serialize(get(initializer))


def deserialize(config: dict, custom_objects: dict | None = None) -> Initializer:
    """The Initializer that `serialize` described; `custom_objects` maps names to classes of your own."""
    return _REGISTRY.get(config, Initializer, custom_objects)
