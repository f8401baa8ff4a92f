"""FastConvClassifier and FastConvRegressor: what targets and answers mean; base.py trains.

Contract: classes are any labels that scikit-learn takes, in the order of `classes_`; probabilities and predicted numbers
are float64; targets are given to the loss in the form that it takes.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from fastconv import losses
from fastconv.sklearn import networks, scikit
from fastconv.sklearn.base import Estimator, parameters_checked

__all__ = ["FastConvClassifier", "FastConvRegressor"]

WEIGHTED = "mean_with_sample_weight"  # a sample of weight 2 counts as two


class FastConvClassifier(scikit.ClassifierMixin, Estimator):
    """A network that tells classes, as a scikit-learn classifier.

    `model`: a function `(input_shape, n_classes)`, channels last, that returns a Model or a list of layers; a Model, of
    which each fit trains a clone with fresh weights; or None for a small network by the samples' rank. `model__...` are
    further arguments of the function. The last layer has an output for each class, or one for two classes.
    `optimizer`, `loss`, `metrics`: as `compile` takes them; None is what the model was compiled with, else Adam, the
    crossentropy that goes with the outputs, and no metrics. `optimizer__...` (`optimizer__learning_rate`) are arguments of
    the optimizer. The loss is given class numbers if it is the sparse one, 0 and 1 for one output, else one-hot rows.
    `epochs`, `batch_size`, `verbose`: as `Model.fit` takes them. `validation_split`: the share of the samples that is held
    out, drawn alike from all classes. `callbacks`: each fit gets copies of them. `class_weight`: a dict by label, or
    "balanced". `warm_start=True`: fit goes on with the weights of the last one. `random_state`: one int gives the same
    weights every time, at any number of threads.

    After fit: `classes_`, `n_features_in_`, `model_` (the Model), `history_` (losses and metrics by epoch). Samples are rows
    of features, or arrays such as images; they become float32.
    """

    @parameters_checked
    def __init__(
        self, model: Any = None, optimizer: Any = None, loss: Any = None, metrics: Any = None, epochs: int = 30,
        batch_size: int = 32, validation_split: float = 0.0, callbacks: Any = None, class_weight: Any = None,
        warm_start: bool = False, random_state: Any = None, verbose: int | str = 0,
    ) -> None:  # fmt: skip
        super().__init__(
            model, optimizer, loss, metrics, epochs, batch_size, validation_split, callbacks, warm_start, random_state,
            verbose,
        )  # fmt: skip
        self.class_weight = class_weight

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> FastConvClassifier:
        """Trains on samples X and one label for each; `sample_weight`: one number for each. ValueError for fewer than two
        classes, for sparse or ragged X, and for NaN."""
        fresh = not (self.warm_start and hasattr(self, "models_"))
        return self._fit(X, y, sample_weight, None, fresh, self.epochs, self.validation_split)

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> FastConvClassifier:
        """One epoch on these samples; the first call names all `classes`."""
        fresh = not hasattr(self, "models_")
        if fresh and classes is None:
            raise ValueError("The first call of partial_fit needs classes: all labels that there will be.")
        return self._fit(X, y, sample_weight, classes, fresh, 1, 0.0)

    def _fit(self, X, y, sample_weight, classes, fresh, epochs, share):
        shape = getattr(y, "shape", ())
        if len(shape) > 1 and shape[1] > 1:
            raise ValueError(
                f"y must be one label a sample; got shape {shape}. Of one-hot rows, give y.argmax(axis=1)."
            )
        X, y = self._checked(X, reset=fresh, y=y)
        scikit.check_classification_targets(y)
        if fresh:
            self.classes_ = np.unique(y if classes is None else classes)
        count = len(self.classes_)
        if count < 2:
            raise ValueError(f"A classifier needs two classes; y holds one class: {self.classes_.tolist()[0]!r}.")
        strange = np.setdiff1d(y, self.classes_).tolist()
        if strange:
            known = self.classes_.tolist()
            raise ValueError(f"y holds {strange[0]!r}, which is none of the classes {known} of the first call.")
        weights = None if sample_weight is None else scikit.check_sample_weight(sample_weight, X, dtype=X.dtype)
        if self.class_weight is not None:
            by_class = scikit.compute_sample_weight(self.class_weight, y)
            weights = by_class if weights is None else weights * by_class
        numbers = np.searchsorted(self.classes_, y)
        return self._learn(X, numbers, weights, count, fresh, epochs, share, numbers)

    def predict_proba(self, X: Any) -> np.ndarray:
        """The probability of each class: (samples, classes), rows of which the sum is 1. ValueError where the model's
        outputs are none and its loss does not say that they are logits."""
        outputs = self._answers(X)
        logits = _from_logits(self.model_.loss)
        if outputs.shape[1] == 1:
            outputs = 1 / (1 + np.exp(-outputs)) if logits else outputs
            outputs = np.hstack([1 - outputs, outputs])
        elif logits:
            outputs = np.exp(outputs - outputs.max(axis=1, keepdims=True))
        if outputs.min(initial=0) < 0:
            raise ValueError(
                "The model's outputs are no probabilities: end it with softmax (sigmoid for one output), or give a loss "
                "with from_logits=True."
            )
        return outputs / outputs.sum(axis=1, keepdims=True)

    def predict(self, X: Any) -> np.ndarray:
        """The likeliest label of each sample."""
        outputs = self._answers(X)
        if outputs.shape[1] > 1:
            return self.classes_[outputs.argmax(axis=1)]
        return self.classes_[(outputs[:, 0] > (0 if _from_logits(self.model_.loss) else 0.5)).astype(int)]

    def _answers(self, X):
        scikit.check_is_fitted(self)
        return self._outputs(self._checked(X, reset=False)).astype(np.float64)

    def _check_width(self, width, outputs):
        if width != outputs and (width, outputs) != (1, 2):
            raise ValueError(f"The model has {width} outputs, and y holds {outputs} classes; it needs one for each.")

    def _usual_loss(self, model):
        one = model.output_shape[-1] == 1
        return (losses.BinaryCrossentropy if one else losses.SparseCategoricalCrossentropy)(reduction=WEIGHTED)

    def _encoded(self, model, numbers):
        if model.output_shape[-1] == 1:
            return numbers[:, None].astype(model.dtype)
        if losses.get(model.loss) is losses.sparse_categorical_crossentropy or isinstance(
            losses.get(model.loss), losses.SparseCategoricalCrossentropy
        ):
            return numbers
        return np.eye(model.output_shape[-1], dtype=model.dtype)[numbers]


class FastConvRegressor(scikit.RegressorMixin, Estimator):
    """A network that tells numbers, as a scikit-learn regressor; y holds one a sample, or a row of them.

    Parameters are those of FastConvClassifier, without `class_weight`: `model` is given the number of targets as its second
    argument, the usual loss is the mean squared error, and `validation_split` draws at random. Targets are learned best
    where they are of size 1: see scikit-learn's TransformedTargetRegressor.
    """

    @parameters_checked
    def __init__(
        self, model: Any = None, optimizer: Any = None, loss: Any = None, metrics: Any = None, epochs: int = 30,
        batch_size: int = 32, validation_split: float = 0.0, callbacks: Any = None, warm_start: bool = False,
        random_state: Any = None, verbose: int | str = 0,
    ) -> None:  # fmt: skip
        super().__init__(
            model, optimizer, loss, metrics, epochs, batch_size, validation_split, callbacks, warm_start, random_state,
            verbose,
        )  # fmt: skip

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> FastConvRegressor:
        """Trains on samples X and their targets, (samples,) or (samples, targets); `sample_weight`: one number for each
        sample."""
        fresh = not (self.warm_start and hasattr(self, "models_"))
        return self._fit(X, y, sample_weight, fresh, self.epochs, self.validation_split)

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> FastConvRegressor:
        """One epoch on these samples."""
        return self._fit(X, y, sample_weight, not hasattr(self, "models_"), 1, 0.0)

    def _fit(self, X, y, sample_weight, fresh, epochs, share):
        X, y = self._checked(X, reset=fresh, y=y, multi_output=True, y_numeric=True)
        if fresh:
            self._target_shape = y.shape[1:]
        elif y.shape[1:] != self._target_shape:
            raise ValueError(f"y has targets of shape {y.shape[1:]}; those of the first fit have {self._target_shape}.")
        weights = None if sample_weight is None else scikit.check_sample_weight(sample_weight, X, dtype=X.dtype)
        targets = y.reshape(len(y), -1).astype(X.dtype)
        return self._learn(X, targets, weights, targets.shape[1], fresh, epochs, share)

    def predict(self, X: Any) -> np.ndarray:
        """The numbers of each sample, in the shape that y had."""
        scikit.check_is_fitted(self)
        outputs = self._outputs(self._checked(X, reset=False)).astype(np.float64)
        return outputs.reshape(len(outputs), *self._target_shape)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def _network(self):
        return functools.partial(networks.small, softmax=False) if self.model is None else self.model

    def _check_width(self, width, outputs):
        if width != outputs:
            raise ValueError(f"The model has {width} outputs, and y holds {outputs} targets; it needs one for each.")

    def _usual_loss(self, model):
        return losses.MeanSquaredError(reduction=WEIGHTED)

    def _encoded(self, model, targets):
        return targets


def _from_logits(loss):
    return bool(getattr(losses.get(loss), "from_logits", False))
