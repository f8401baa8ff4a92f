"""What estimators take from scikit-learn, or classes in its place that say how to install it.

The one file that imports it. Contract: without scikit-learn the estimators' modules can still be imported and read;
making an estimator is an ImportError that names the extra.
"""

from typing import Any

try:
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, TransformerMixin
    from sklearn.model_selection import train_test_split
    from sklearn.utils import check_random_state, column_or_1d
    from sklearn.utils.class_weight import compute_sample_weight
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import _check_sample_weight as check_sample_weight
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError as error:  # there is none, or one older than 1.6, which has no validate_data
    _reason = str(error)

    class BaseEstimator:  # type: ignore[no-redef]
        def __new__(cls, *args: Any, **kwargs: Any) -> Any:
            raise ImportError(
                f"{cls.__name__} needs scikit-learn 1.6 or newer: pip install 'fastconv[sklearn]' ({_reason})."
            )

    class ClassifierMixin:  # type: ignore[no-redef]
        pass

    class RegressorMixin:  # type: ignore[no-redef]
        pass

    class TransformerMixin:  # type: ignore[no-redef]
        pass


__all__ = [
    "BaseEstimator", "ClassifierMixin", "RegressorMixin", "TransformerMixin", "check_classification_targets",
    "check_is_fitted", "check_random_state", "check_sample_weight", "column_or_1d", "compute_sample_weight",
    "train_test_split", "validate_data",
]  # fmt: skip
