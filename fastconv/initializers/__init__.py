"""First values of weights, under Keras' names.

An initializer draws from `fastconv.rng` unless it has a seed of its own. It owns no array and knows no layer.
Contract: `initializer(shape, dtype)` returns a new array; `get_config()` holds JSON values only, and
`get({"class_name": ..., "config": ...})` gives back an equal object. A `seed` is an int, for the same values at every
call; a SeedGenerator, whose next values are drawn; or None for the stream that everything shares.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fastconv.initializers.base import Function, Initializer, Values
from fastconv.initializers.drawn import (
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    LecunNormal,
    LecunUniform,
    Orthogonal,
    RandomNormal,
    RandomUniform,
    TruncatedNormal,
    VarianceScaling,
)
from fastconv.initializers.fixed import STFT, Constant, Identity, Ones, Zeros
from fastconv.registry import Registry
from fastconv.registry import serialize as _serialize
from fastconv.tensor import Tensor

__all__ = [
    "Constant", "GlorotNormal", "GlorotUniform", "HeNormal", "HeUniform", "Identity", "IdentityInitializer",
    "Initializer", "LecunNormal", "LecunUniform", "Ones", "Orthogonal", "OrthogonalInitializer", "RandomNormal",
    "RandomUniform", "STFT", "STFTInitializer", "TruncatedNormal", "VarianceScaling", "Zeros", "constant",
    "deserialize", "get", "glorot_normal", "glorot_uniform", "he_normal", "he_uniform", "identity", "lecun_normal",
    "lecun_uniform", "ones", "orthogonal", "random_normal", "random_uniform", "serialize", "stft", "truncated_normal",
    "variance_scaling", "zeros",
]  # fmt: skip

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
    Function,
)  # fmt: skip


def get(identifier: str | dict | Callable | np.ndarray | Tensor | None) -> Initializer | None:
    """An Initializer from a name ("glorot_uniform"), a config, a class, an object, a function `f(shape, dtype=...)`, or
    an array of the very values; None gives None."""
    if identifier is None:
        return None
    if isinstance(identifier, (np.ndarray, np.generic, Tensor)):
        return Values(identifier)
    if isinstance(identifier, type) and not issubclass(identifier, Initializer):
        identifier = identifier()
    if callable(identifier) and not isinstance(identifier, (type, Initializer)):
        return Function(identifier)
    return _REGISTRY.get(identifier, Initializer)


def serialize(initializer: Initializer) -> dict:
    """`{"class_name": ..., "config": ...}`, which `deserialize` and `get` take; ValueError for functions and arrays."""
    return _serialize(get(initializer))


def deserialize(config: dict, custom_objects: dict | None = None) -> Initializer:
    """The Initializer that `serialize` described; `custom_objects` maps names to classes of your own."""
    return _REGISTRY.get(config, Initializer, custom_objects)


def __dir__() -> list[str]:
    return sorted(__all__)
