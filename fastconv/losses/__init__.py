"""Losses: what `fit` makes small, under Keras' names, and how they are found by name.

The formulas stand in regression.py and probabilistic.py, the base class in base.py. Contract: `get` builds nothing but
the classes of this table, those in `custom_objects`, and wrappers of the caller's own functions.
"""

from __future__ import annotations

from typing import Any

from fastconv import custom_objects as own
from fastconv import registry, serialization
from fastconv.absent import explain as _explain
from fastconv.registry import Registry

from .base import FunctionLoss as _FunctionLoss
from .base import Loss
from .metric_learning import Circle, circle
from .probabilistic import (
    BinaryCrossentropy,
    BinaryFocalCrossentropy,
    CategoricalCrossentropy,
    CategoricalFocalCrossentropy,
    CategoricalGeneralizedCrossEntropy,
    Dice,
    KLDivergence,
    SparseCategoricalCrossentropy,
    Tversky,
    binary_crossentropy,
    binary_focal_crossentropy,
    categorical_crossentropy,
    categorical_focal_crossentropy,
    categorical_generalized_cross_entropy,
    dice,
    kl_divergence,
    sparse_categorical_crossentropy,
    tversky,
)
from .regression import (
    CategoricalHinge,
    CosineSimilarity,
    Hinge,
    Huber,
    LogCosh,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    Poisson,
    SquaredHinge,
    categorical_hinge,
    cosine_similarity,
    hinge,
    huber,
    log_cosh,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
    poisson,
    squared_hinge,
)

_CLASSES = (
    BinaryCrossentropy, BinaryFocalCrossentropy, CategoricalCrossentropy, CategoricalFocalCrossentropy,
    CategoricalGeneralizedCrossEntropy, CategoricalHinge, Circle, CosineSimilarity, Dice, Hinge, Huber, KLDivergence,
    LogCosh, MeanAbsoluteError, MeanAbsolutePercentageError, MeanSquaredError, MeanSquaredLogarithmicError, Poisson,
    SparseCategoricalCrossentropy, SquaredHinge, Tversky,
)  # fmt: skip
_FUNCTIONS = {cls.formula: cls for cls in _CLASSES}
_ALIASES = {
    "mse": MeanSquaredError, "mae": MeanAbsoluteError, "mape": MeanAbsolutePercentageError,
    "msle": MeanSquaredLogarithmicError, "bce": BinaryCrossentropy, "kld": KLDivergence,
    "kullback_leibler_divergence": KLDivergence,
}  # fmt: skip
_REGISTRY = Registry("loss", _CLASSES, _ALIASES, _FunctionLoss)

_BY_NAME = {function.__name__: function for function in _FUNCTIONS}

serialization.FUNCTIONS["fastconv.losses"] = dict(_BY_NAME)

_BY_NAME |= {name: cls.formula for name, cls in _ALIASES.items()}

__all__ = [
    "BinaryCrossentropy", "BinaryFocalCrossentropy", "CategoricalCrossentropy", "CategoricalFocalCrossentropy",
    "CategoricalGeneralizedCrossEntropy", "CategoricalHinge", "Circle", "CosineSimilarity", "Dice", "Hinge", "Huber",
    "KLDivergence", "LogCosh", "Loss", "MeanAbsoluteError", "MeanAbsolutePercentageError", "MeanSquaredError",
    "MeanSquaredLogarithmicError", "Poisson", "SparseCategoricalCrossentropy", "SquaredHinge", "Tversky",
    "binary_crossentropy", "binary_focal_crossentropy", "categorical_crossentropy", "categorical_focal_crossentropy",
    "categorical_generalized_cross_entropy", "categorical_hinge", "circle", "cosine_similarity", "deserialize",
    "dice", "get", "hinge", "huber", "kl_divergence", "log_cosh", "mean_absolute_error",
    "mean_absolute_percentage_error", "mean_squared_error", "mean_squared_logarithmic_error", "poisson", "serialize",
    "sparse_categorical_crossentropy", "squared_hinge", "tversky",
]  # fmt: skip


def get(identifier: Any, custom_objects: Any = None) -> Any:
    """What is meant by a name, a config, a class or an object, as in Keras: a function by its name ("mse",
    "categorical_crossentropy"), with one value a sample; a Loss by its class's ("MeanSquaredError"); a function or a Loss
    itself; None for None. ValueError with near matches for an unknown name."""
    if identifier is None or (callable(identifier) and not isinstance(identifier, type)):
        return identifier
    if isinstance(identifier, str) and own.find(identifier, custom_objects) is None and identifier in _BY_NAME:
        return _BY_NAME[identifier]
    return loss_of(identifier, custom_objects)


def loss_of(identifier: Any, custom_objects: Any = None) -> Loss:
    """As `get`, but a Loss in any case: what `compile` makes of names and functions."""
    if callable(identifier) and not isinstance(identifier, (type, Loss)):
        return _FUNCTIONS[identifier]() if identifier in _FUNCTIONS else _FunctionLoss(identifier)
    return _REGISTRY.get(identifier, Loss, custom_objects)


def serialize(loss: Loss) -> dict:
    """`{"class_name": ..., "config": ...}` of a Loss."""
    return registry.serialize(loss_of(loss))


def deserialize(name: Any, custom_objects: Any = None) -> Any:
    """The Loss of what `serialize` gave, or what `get` finds by a name."""
    return get(name, custom_objects)


_explain(__name__, __all__)


def __dir__() -> list[str]:
    return sorted(__all__)
