"""Keras' wrappers: a Model as a scikit-learn estimator, with Keras' arguments and meaning (extra `[sklearn]`).

fastconv.sklearn has estimators with more to them: parameters for searches, weights of samples, probabilities. Contract: the
model comes compiled; one that is given is cloned before it is trained, unless `warm_start`; keywords of `fit` go to
`Model.fit` and win over `fit_kwargs`. Samples may be images and series too, where Keras takes rows of features only.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from fastconv import config
from fastconv.absent import explain as _explain
from fastconv.models import Model, clone_model
from fastconv.sklearn import scikit

__all__ = ["SKLearnClassifier", "SKLearnRegressor", "SKLearnTransformer"]


class _Wrapper(scikit.BaseEstimator):
    def __init__(
        self, model: Any, warm_start: bool = False, model_kwargs: dict[str, Any] | None = None,
        fit_kwargs: dict[str, Any] | None = None,
    ) -> None:  # fmt: skip
        self.model = model
        self.warm_start = warm_start
        self.model_kwargs = model_kwargs
        self.fit_kwargs = fit_kwargs

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.non_deterministic = True  # each fit draws its weights
        return tags

    def __sklearn_clone__(self):
        return type(self)(copy.deepcopy(self.model), self.warm_start, self.model_kwargs, self.fit_kwargs)

    def fit(self, X: Any, y: Any, **kwargs: Any) -> Any:
        """Trains a model on samples X and targets y; keywords as `Model.fit` takes them. `model_` is what was trained,
        `history_` its History. ValueError for a model that is not compiled, and for X and y that scikit-learn refuses."""
        numeric = not isinstance(self, scikit.ClassifierMixin)
        X, y = scikit.validate_data(
            self, X, y, allow_nd=True, multi_output=True, y_numeric=numeric, dtype=config.floatx()
        )
        y = self._targets(y)
        model = self._model(X, y)
        self.history_ = model.fit(X, y, **{**(self.fit_kwargs or {}), **kwargs})
        self.model_ = model
        return self

    def _model(self, X, y):
        if self.warm_start and hasattr(self, "model_"):
            return self.model_
        if isinstance(self.model, Model):
            if self.model_kwargs:
                raise ValueError("model_kwargs are for a model that is a function (X, y, ...); this one is a Model.")
            model = self.model if self.warm_start else clone_model(self.model)
        elif callable(self.model):
            model = self.model(X=X, y=y, **(self.model_kwargs or {}))
            if not isinstance(model, Model):
                raise TypeError(f"The function given as model must return a Model; it returned {model!r}.")
        else:
            raise TypeError(f"model must be a Model, or a function (X, y, ...) that returns one; got {self.model!r}.")
        if not model.compiled or not model.loss:
            raise ValueError("The model must be compiled with an optimizer and a loss: model.compile('adam', 'mse').")
        return model

    def _targets(self, y):
        """As the model takes them, rows: a column of one target."""
        self._one_dimensional = y.ndim == 1
        return y.reshape(len(y), -1)

    def _raw(self, X):
        scikit.check_is_fitted(self, "model_")
        X = scikit.validate_data(self, X, reset=False, allow_nd=True, dtype=config.floatx())
        return self.model_.predict(X)


class SKLearnClassifier(scikit.ClassifierMixin, _Wrapper):
    """A compiled Model as a classifier; its targets are one-hot rows, so that its loss is "categorical_crossentropy".

    `model`: the Model, or a function `(X, y, **model_kwargs)` that returns one, where y is one-hot. `warm_start`: the given
    Model itself is trained, and fit goes on with the weights of the last one. `model_kwargs`: for the function.
    `fit_kwargs`: for `Model.fit`. After fit: `model_`, `history_`, `classes_`.
    """

    def _targets(self, y):
        scikit.check_classification_targets(y)
        y = scikit.column_or_1d(y, warn=True)
        self.classes_, numbers = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(f"A classifier needs two classes; y holds one class: {self.classes_.tolist()[0]!r}.")
        return np.eye(len(self.classes_), dtype=config.floatx())[numbers]

    def predict(self, X: Any) -> np.ndarray:
        """The label of each sample's largest output."""
        outputs = self._raw(X)
        return self.classes_[outputs.argmax(axis=1)]

    def decision_function(self, X: Any) -> np.ndarray:
        """The model's outputs: (samples, classes)."""
        return self._raw(X)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.poor_score = True  # how good the model is, its maker knows
        return tags


class SKLearnRegressor(scikit.RegressorMixin, _Wrapper):
    """A compiled Model as a regressor; arguments as SKLearnClassifier's, the targets are (samples, targets)."""

    def predict(self, X: Any) -> np.ndarray:
        """The model's outputs; one number a sample where y was so."""
        outputs = self._raw(X)
        return outputs[:, 0] if self._one_dimensional and outputs.ndim == 2 and outputs.shape[1] == 1 else outputs

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.regressor_tags.poor_score = True
        return tags


class SKLearnTransformer(scikit.TransformerMixin, _Wrapper):
    """A compiled Model as a transformer: a step of a pipeline that gives what the Model gives; arguments as
    SKLearnClassifier's."""

    def transform(self, X: Any) -> np.ndarray:
        """The model's outputs."""
        return self._raw(X)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags


_explain(__name__, __all__)


def __dir__() -> list[str]:
    return __all__
