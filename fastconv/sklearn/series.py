"""Classifiers of time series, with the networks and the training that were published for them.

Series are channels first, as aeon has them: (cases, channels, steps), or (cases, steps) for one channel; networks.py has
the networks. Not aeon's classes: aeon is not needed. Contract: all series of a fit have one length, and predict takes that
length.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastconv.callbacks import EarlyStopping, ReduceLROnPlateau
from fastconv.layers import BatchNormalization
from fastconv.sklearn import networks
from fastconv.sklearn.base import parameters_checked
from fastconv.sklearn.estimators import FastConvClassifier
from fastconv.sources import positive
from fastconv.tensor import no_grad

__all__ = ["FCNClassifier", "InceptionTimeClassifier", "LITETimeClassifier", "ResNetClassifier"]


class SeriesClassifier(FastConvClassifier):
    """What they share: parameters as FastConvClassifier's, without `model`; `model__...` are arguments of the network's
    function, such as `model__filters`."""

    _made_by: Callable[..., Any]

    @parameters_checked
    def __init__(
        self, epochs: int = 1500, batch_size: int = 64, optimizer: Any = None, loss: Any = None, metrics: Any = None,
        validation_split: float = 0.0, callbacks: Any = None, class_weight: Any = None, warm_start: bool = False,
        random_state: Any = None, verbose: int | str = 0,
    ) -> None:  # fmt: skip
        super().__init__(
            None, optimizer, loss, metrics, epochs, batch_size, validation_split, callbacks, class_weight, warm_start,
            random_state, verbose,
        )  # fmt: skip
        del self.model  # which the class says

    def _network(self):
        return type(self)._made_by

    def _callbacks(self):
        if self.callbacks is not None:
            return self.callbacks
        epochs = positive("epochs", self.epochs)
        return [
            ReduceLROnPlateau("loss", factor=0.5, patience=50, min_lr=1e-4),
            EarlyStopping("loss", patience=epochs, restore_best_weights=True, start_from_epoch=epochs // 2),
        ]

    def _finish(self, model, x):
        """Sets what normalization takes for mean and variance to those of the samples: moving averages are behind where
        steps are few. After 150 epochs of GunPoint's 50 series, 98 in 100 were right in training, and 55 in 100 with them.
        """
        normalized = [layer for layer in model.layers if isinstance(layer, BatchNormalization)]
        momenta = [layer.momentum for layer in normalized]
        with no_grad():
            for number, start in enumerate(range(0, len(x), self.batch_size)):
                for layer in normalized:
                    layer.momentum = number / (number + 1)  # so that it becomes the mean over the batches
                model(x[start : start + self.batch_size], training=True)
        for layer, momentum in zip(normalized, momenta):
            layer.momentum = momentum

    def _checked(self, X, reset, **targets):
        if isinstance(X, (list, tuple)):
            lengths = {np.shape(series)[-1:] for series in X}
            if len(lengths) > 1:
                steps = sorted(length[0] if length else 1 for length in lengths)
                raise ValueError(
                    f"X holds series of {len(lengths)} lengths, {steps[0]} to {steps[-1]}: bring them to one, by zeros at "
                    "the end or by aeon's Padder."
                )
            X = np.asarray(X)
        if len(getattr(X, "shape", ())) == 3 and X.shape[1] == 1:
            X = X[:, 0]  # one channel is told alike in both forms
        return super()._checked(X, reset, **targets)

    def _learn(self, X, *args, **kwargs):
        return super()._learn(_channels_last(X), *args, **kwargs)

    def _outputs(self, X):
        return super()._outputs(_channels_last(X))


class FCNClassifier(SeriesClassifier):
    """The fully convolutional network of Wang, Yan and Oates (2017) on series (cases, channels, steps); labels of any kind.

    Parameters: as FastConvClassifier's, without `model`; `model__filters` and `model__kernel_size` change the network.
    Without `callbacks`, the published rule: the learning rate halves where the loss stays for 50 epochs, down to 0.0001, and
    the weights of the lowest loss are kept. Two things are done unlike there, so that far fewer epochs do: the lowest loss
    is looked for in the last half of the epochs, and normalization ends with the statistics of all samples, not with moving
    averages.
    """

    _made_by = staticmethod(networks.fcn)

    @parameters_checked
    def __init__(
        self, epochs: int = 2000, batch_size: int = 16, optimizer: Any = None, loss: Any = None, metrics: Any = None,
        validation_split: float = 0.0, callbacks: Any = None, class_weight: Any = None, warm_start: bool = False,
        random_state: Any = None, verbose: int | str = 0,
    ) -> None:  # fmt: skip
        super().__init__(
            epochs, batch_size, optimizer, loss, metrics, validation_split, callbacks, class_weight, warm_start,
            random_state, verbose,
        )  # fmt: skip


class ResNetClassifier(SeriesClassifier):
    """The residual network of Wang, Yan and Oates (2017) on series (cases, channels, steps); as FCNClassifier otherwise."""

    _made_by = staticmethod(networks.resnet)


class _Ensemble(SeriesClassifier):
    @parameters_checked
    def __init__(
        self, n_classifiers: int = 5, epochs: int = 1500, batch_size: int = 64, optimizer: Any = None, loss: Any = None,
        metrics: Any = None, validation_split: float = 0.0, callbacks: Any = None, class_weight: Any = None,
        warm_start: bool = False, random_state: Any = None, verbose: int | str = 0,
    ) -> None:  # fmt: skip
        super().__init__(
            epochs, batch_size, optimizer, loss, metrics, validation_split, callbacks, class_weight, warm_start,
            random_state, verbose,
        )  # fmt: skip
        self.n_classifiers = n_classifiers


class InceptionTimeClassifier(_Ensemble):
    """InceptionTime (Ismail Fawaz and others, 2020) on series (cases, channels, steps): the mean of `n_classifiers`
    networks, each with weights of its own, in `models_`.

    Other parameters as FCNClassifier's; the network has `model__filters`, `model__kernel_size` (the longest of three),
    `model__depth` and `model__bottleneck`.
    """

    _made_by = staticmethod(networks.inception)


class LITETimeClassifier(_Ensemble):
    """LITETime (Ismail-Fawaz and others, 2023) on series (cases, channels, steps): as InceptionTimeClassifier, of networks
    with two per cent of its weights, with `model__filters` and `model__kernel_size`."""

    _made_by = staticmethod(networks.lite)


def _channels_last(X):
    return X[..., None] if X.ndim == 2 else np.ascontiguousarray(X.transpose(0, 2, 1))
