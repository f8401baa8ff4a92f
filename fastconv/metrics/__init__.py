"""Metrics: what is reported beside the loss, under Keras' names, and how they are found by name.

The classes stand in base.py, accuracy.py, means.py, confusion.py, curves.py and overlap.py. Contract: `get` builds
nothing but the classes of this table, those in `custom_objects`, and wrappers of the caller's own functions.
"""

from __future__ import annotations

from typing import Any

from fastconv import registry
from fastconv.absent import explain as _explain
from fastconv.losses import (
    binary_crossentropy,
    binary_focal_crossentropy,
    categorical_crossentropy,
    categorical_focal_crossentropy,
    categorical_hinge,
    hinge,
    huber,
    kl_divergence,
    log_cosh,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
    poisson,
    sparse_categorical_crossentropy,
    squared_hinge,
)
from fastconv.registry import Registry

from .accuracy import (
    Accuracy,
    BinaryAccuracy,
    CategoricalAccuracy,
    SparseCategoricalAccuracy,
    SparseTopKCategoricalAccuracy,
    TopKCategoricalAccuracy,
    binary_accuracy,
    categorical_accuracy,
    sparse_categorical_accuracy,
    sparse_top_k_categorical_accuracy,
    top_k_categorical_accuracy,
)
from .accuracy import AutoAccuracy as _AutoAccuracy
from .base import Mean, MeanMetricWrapper, Metric, Sum
from .confusion import FalseNegatives, FalsePositives, Precision, Recall, TrueNegatives, TruePositives
from .curves import AUC, PrecisionAtRecall, RecallAtPrecision, SensitivityAtSpecificity, SpecificityAtSensitivity
from .means import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    CategoricalHinge,
    ConcordanceCorrelation,
    CosineSimilarity,
    Hinge,
    KLDivergence,
    LogCoshError,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    PearsonCorrelation,
    Poisson,
    R2Score,
    RootMeanSquaredError,
    SparseCategoricalCrossentropy,
    SquaredHinge,
    concordance_correlation,
    pearson_correlation,
)
from .overlap import BinaryIoU, ConfusionMatrix, F1Score, FBetaScore, IoU, MeanIoU, OneHotIoU, OneHotMeanIoU

_CLASSES = (
    AUC, Accuracy, BinaryAccuracy, BinaryCrossentropy, BinaryIoU, CategoricalAccuracy, CategoricalCrossentropy,
    CategoricalHinge, ConcordanceCorrelation, ConfusionMatrix, CosineSimilarity, F1Score, FBetaScore, FalseNegatives,
    FalsePositives, Hinge, IoU, KLDivergence, LogCoshError, Mean, MeanAbsoluteError, MeanAbsolutePercentageError,
    MeanIoU, MeanSquaredError, MeanSquaredLogarithmicError, OneHotIoU, OneHotMeanIoU, PearsonCorrelation, Poisson,
    Precision, PrecisionAtRecall, R2Score, Recall, RecallAtPrecision, RootMeanSquaredError, SensitivityAtSpecificity,
    SparseCategoricalAccuracy, SparseCategoricalCrossentropy, SparseTopKCategoricalAccuracy, SpecificityAtSensitivity,
    SquaredHinge, Sum, TopKCategoricalAccuracy, TrueNegatives, TruePositives,
)  # fmt: skip
_FUNCTIONS = (
    binary_accuracy, binary_crossentropy, binary_focal_crossentropy, categorical_accuracy, categorical_crossentropy,
    categorical_focal_crossentropy, categorical_hinge, concordance_correlation, hinge, huber, kl_divergence, log_cosh,
    mean_absolute_error, mean_absolute_percentage_error, mean_squared_error, mean_squared_logarithmic_error,
    pearson_correlation, poisson, sparse_categorical_accuracy, sparse_categorical_crossentropy,
    sparse_top_k_categorical_accuracy, squared_hinge, top_k_categorical_accuracy,
)  # fmt: skip
_NAMES = {  # by which they are asked for beside those of the classes
    "acc": _AutoAccuracy, "accuracy": _AutoAccuracy, "mse": MeanSquaredError, "mae": MeanAbsoluteError,
    "mape": MeanAbsolutePercentageError, "msle": MeanSquaredLogarithmicError, "rmse": RootMeanSquaredError,
    "bce": BinaryCrossentropy, "kld": KLDivergence, "log_cosh": LogCoshError, "AutoAccuracy": _AutoAccuracy,
}  # fmt: skip
_REGISTRY = Registry("metric", _CLASSES, _NAMES, MeanMetricWrapper)

__all__ = [
    "AUC", "Accuracy", "BinaryAccuracy", "BinaryCrossentropy", "BinaryIoU", "CategoricalAccuracy",
    "CategoricalCrossentropy", "CategoricalHinge", "ConcordanceCorrelation", "ConfusionMatrix", "CosineSimilarity",
    "F1Score", "FBetaScore", "FalseNegatives", "FalsePositives", "Hinge", "IoU", "KLDivergence", "LogCoshError",
    "Mean", "MeanAbsoluteError", "MeanAbsolutePercentageError", "MeanIoU", "MeanMetricWrapper", "MeanSquaredError",
    "MeanSquaredLogarithmicError", "Metric", "OneHotIoU", "OneHotMeanIoU", "PearsonCorrelation", "Poisson",
    "Precision", "PrecisionAtRecall", "R2Score", "Recall", "RecallAtPrecision", "RootMeanSquaredError",
    "SensitivityAtSpecificity", "SparseCategoricalAccuracy", "SparseCategoricalCrossentropy",
    "SparseTopKCategoricalAccuracy", "SpecificityAtSensitivity", "SquaredHinge", "Sum", "TopKCategoricalAccuracy",
    "TrueNegatives", "TruePositives", "binary_accuracy", "binary_crossentropy", "binary_focal_crossentropy",
    "categorical_accuracy", "categorical_crossentropy", "categorical_focal_crossentropy", "categorical_hinge",
    "concordance_correlation", "deserialize", "get", "hinge", "huber", "kl_divergence", "log_cosh",
    "mean_absolute_error", "mean_absolute_percentage_error", "mean_squared_error", "mean_squared_logarithmic_error",
    "pearson_correlation", "poisson", "serialize", "sparse_categorical_accuracy", "sparse_categorical_crossentropy",
    "sparse_top_k_categorical_accuracy", "squared_hinge", "top_k_categorical_accuracy",
]  # fmt: skip


def get(identifier: Any, custom_objects: Any = None) -> Metric | None:
    """A Metric from a name ("accuracy", "acc", "mse", ...), a config, a class, an object, or any
    `function(y_true, y_pred)` of arrays with one value a sample; ValueError with near matches for an unknown name, None
    for None."""
    if identifier is None:
        return None
    if callable(identifier) and not isinstance(identifier, (type, Metric)):
        return MeanMetricWrapper(identifier)
    if isinstance(identifier, dict) and identifier.get("class_name") == "Accuracy":
        if "dtype" not in identifier.get("config", {}):  # of fastconv 0.1.0, where the class meant what the name means
            identifier = identifier | {"class_name": "AutoAccuracy"}
    metric = _REGISTRY.get(identifier, Metric, custom_objects)
    if isinstance(identifier, str):
        metric.name, metric.is_named = identifier, True  # "acc" is reported as "acc"
    return metric


def serialize(metric: Metric) -> dict:
    """`{"class_name": ..., "config": ...}` of a Metric."""
    return registry.serialize(get(metric))


def deserialize(config: Any, custom_objects: Any = None) -> Metric:
    """The Metric of a name or of what `serialize` gave."""
    return get(config, custom_objects)


_explain(__name__, __all__)


def __dir__() -> list[str]:
    return sorted(__all__)
