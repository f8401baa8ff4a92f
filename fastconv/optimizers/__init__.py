"""Optimizers: how gradients move weights, under Keras' names, and how they are found by name.

The formulas stand in kinds.py and muon.py, what they share in base.py; `schedules` is fastconv.schedules under Keras'
path. Contract: `get` builds nothing but the classes of this table and those in `custom_objects`.
"""

from __future__ import annotations

import sys
from typing import Any

from fastconv import registry, schedules
from fastconv.absent import explain as _explain
from fastconv.registry import Registry

from .base import Optimizer
from .kinds import SGD, Adadelta, Adagrad, Adam, Adamax, AdamW, Ftrl, Lion, Nadam, RMSprop
from .muon import Muon

sys.modules[__name__ + ".schedules"] = schedules  # Keras' path: `from fastconv.optimizers.schedules import ...`

_CLASSES = (Adadelta, Adagrad, Adam, AdamW, Adamax, Ftrl, Lion, Muon, Nadam, RMSprop, SGD)
_REGISTRY = Registry("optimizer", _CLASSES)

__all__ = [
    "Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "Ftrl", "Lion", "Muon", "Nadam", "Optimizer", "RMSprop", "SGD",
    "deserialize", "get", "schedules", "serialize",
]  # fmt: skip


def get(identifier: Any, custom_objects: Any = None) -> Optimizer | None:
    """An Optimizer from a name ("sgd", "adam"), a config, a class or an object, None for None; ValueError with near
    matches for an unknown name."""
    if identifier is None:
        return None
    config = identifier.get("config") if isinstance(identifier, dict) else None
    if custom_objects and isinstance(config, dict) and isinstance(config.get("learning_rate"), dict):
        schedule = schedules.get(config["learning_rate"], custom_objects)
        identifier = identifier | {"config": config | {"learning_rate": schedule}}
    return _REGISTRY.get(identifier, Optimizer, custom_objects)


def serialize(optimizer: Optimizer) -> dict:
    """`{"class_name": ..., "config": ...}` of an Optimizer."""
    return registry.serialize(optimizer)


def deserialize(config: Any, custom_objects: Any = None) -> Optimizer:
    """The Optimizer that `serialize` described."""
    return get(config, custom_objects)


_explain(__name__, __all__)


def __dir__() -> list[str]:
    return sorted(__all__)
