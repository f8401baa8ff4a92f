"""First values of weights, under Keras' names; and the Registry by which names and configs become objects.

An initializer draws from `fastconv.rng` unless it has its own seed. It owns no array and knows no layer.
Contract: `initializer(shape, dtype)` returns a new array; `get_config()` holds JSON values only, and
`get({"class_name": ..., "config": ...})` gives back an equal object.
"""

from __future__ import annotations

import difflib
import math

import numpy as np

from fastconv import rng


def unknown_name(kind: str, name, known) -> ValueError:
    """The error for a name that is not in a table: near matches first, then all that there is."""
    spelled = {_fold(entry): entry for entry in known}
    near = [spelled[match] for match in difflib.get_close_matches(_fold(str(name)), spelled, n=3, cutoff=0.6)]
    hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
    return ValueError(f"Unknown {kind} {name!r}.{hint} Known: {', '.join(sorted(known))}.")


def reject_arguments(owner: str, given, accepted, not_built=()) -> None:
    """Raises TypeError for the first name in `given`, if any: `owner` does not take it.

    `accepted` are the names it takes (near matches are offered), `not_built` Keras' names that are still to come.
    """
    for name in given:
        if name in not_built:
            raise TypeError(f"{owner} does not support Keras' argument {name!r} yet; leave it out.")
        near = "learning_rate" if name == "lr" else next(iter(difflib.get_close_matches(name, accepted)), None)
        hint = f" Did you mean {near!r}?" if near in accepted else ""
        raise TypeError(f"{owner} has no argument {name!r}.{hint} It takes: {', '.join(accepted)}.")


def _fold(name: str) -> str:
    return name.lower().replace("_", "")


class Registry:
    """A closed table of classes of one kind, found by name; case and underscores do not matter.

    `classes` stand under their own names, `aliases` map further names to them. Nothing outside the table is ever
    imported or called, so a config from a file can build these classes and no others.
    """

    def __init__(self, kind: str, classes, aliases=None):
        self.kind = kind
        self._names = {cls.__name__: cls for cls in classes} | (aliases or {})
        self._folded = {_fold(name): cls for name, cls in self._names.items()}

    def find(self, name: str, custom_objects=None) -> type:
        """The class of this name, from `custom_objects` first; ValueError with near matches if there is none."""
        cls = (custom_objects or {}).get(name) or self._folded.get(_fold(name))
        if cls is None:
            raise unknown_name(self.kind, name, [*self._names, *(custom_objects or {})])
        return cls

    def get(self, identifier, base: type, custom_objects=None):
        """An object of class `base` from a name, a config, a class, or the object itself."""
        if isinstance(identifier, base):
            return identifier
        if isinstance(identifier, str):
            return self.find(identifier, custom_objects)()
        if isinstance(identifier, type) and issubclass(identifier, base):
            return identifier()
        if isinstance(identifier, dict) and isinstance(identifier.get("class_name"), str):
            return self.find(identifier["class_name"], custom_objects).from_config(identifier.get("config", {}))
        raise TypeError(f"Expected a name, a config or an object for the {self.kind}; got {identifier!r}.")


def serialize(thing) -> dict:
    """`{"class_name": ..., "config": ...}` of an initializer, loss, metric, optimizer or layer."""
    return {"class_name": type(thing).__name__, "config": thing.get_config()}


class Initializer:
    """Base class: subclasses define `__call__(shape, dtype)` and keep their arguments as attributes."""

    def __call__(self, shape, dtype="float32") -> np.ndarray:
        raise NotImplementedError(f"{type(self).__name__} must define __call__(shape, dtype).")

    def get_config(self) -> dict:
        return dict(vars(self))

    @classmethod
    def from_config(cls, config: dict):
        return cls(**config)

    def __repr__(self):
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.get_config().items())})"


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


def fans(shape) -> tuple[int, int]:
    """(inputs, outputs) that one weight of this shape joins; a kernel is `(*window, inputs, outputs)`."""
    if len(shape) < 2:
        size = shape[0] if shape else 1
        return size, size
    window = math.prod(shape[:-2])
    return shape[-2] * window, shape[-1] * window


_REGISTRY = Registry(
    "initializer",
    (Zeros, Ones, Constant, RandomUniform, RandomNormal, GlorotUniform, GlorotNormal, HeUniform, HeNormal),
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
