"""Estimator: what classifiers and regressors share: their parameters, making a network, training and asking it.

Not here: what targets mean (estimators.py) and the networks (networks.py). Contract: `fit` never changes what it was
given: models are cloned, optimizers and callbacks copied; the random streams of the process are as they were afterwards,
and fits on threads take turns, since they share these streams.
"""

from __future__ import annotations

import copy
import functools
import inspect
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from fastconv import config, optimizers, registry, rng
from fastconv.layers import Layer
from fastconv.models import Model, Sequential, clone_model
from fastconv.sklearn import networks, scikit
from fastconv.sources import positive

__all__ = ["Estimator", "parameters_checked"]

NESTED = ("model", "optimizer")  # whose own arguments are parameters too: optimizer__learning_rate
_turn = threading.RLock()


def parameters_checked(init: Callable[..., None]) -> Callable[..., None]:
    """A constructor that takes `optimizer__...` and `model__...` too, which its signature cannot tell scikit-learn, and
    says of an unknown parameter what is near it."""
    names = [*inspect.signature(init).parameters][1:]

    @functools.wraps(init)
    def wrapper(self, *args, **kwargs):
        nested = {name: kwargs.pop(name) for name in [*kwargs] if _is_nested(name)}
        registry.reject_arguments(type(self).__name__, [name for name in kwargs if name not in names], names)
        init(self, *args, **kwargs)
        vars(self).update(nested)

    return wrapper


class Estimator(scikit.BaseEstimator):
    """The parameters of FastConvClassifier, and the training that they describe."""

    def __init__(
        self, model: Any = None, optimizer: Any = None, loss: Any = None, metrics: Any = None, epochs: int = 30,
        batch_size: int = 32, validation_split: float = 0.0, callbacks: Any = None, warm_start: bool = False,
        random_state: Any = None, verbose: int | str = 0,
    ) -> None:  # fmt: skip
        self.model = model
        self.optimizer = optimizer
        self.loss = loss
        self.metrics = metrics
        self.epochs = epochs
        self.batch_size = batch_size
        self.validation_split = validation_split
        self.callbacks = callbacks
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose

    # Parameters

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The parameters by name, with those arguments of `model` and `optimizer` that were set."""
        return {**super().get_params(deep), **{name: vars(self)[name] for name in vars(self) if _is_nested(name)}}

    def set_params(self, **params: Any) -> Estimator:
        """Sets parameters by name, `optimizer__...` and `model__...` among them; ValueError for an unknown one."""
        known = self._get_param_names()
        for name in params:
            if not _is_nested(name) and name not in known:
                raise registry.unknown_name(f"parameter of {type(self).__name__}:", name, [*known, "optimizer__..."])
        for name, value in params.items():
            setattr(self, name, value)
        return self

    def _nested(self, prefix):
        start = f"{prefix}__"
        return {name.removeprefix(start): value for name, value in vars(self).items() if name.startswith(start)}

    # Data

    def _checked(self, X, reset, **targets):
        """X as floats, or (X, y), in a form that scikit-learn vouches for; `targets`: y, and how it is looked at."""
        given = getattr(X, "shape", ())[1:]
        if not reset and given and max(len(given), len(self.input_shape_)) > 1:
            self._check_shape(given)  # of rows scikit-learn says it itself, by the number of features
        with np.errstate(over="ignore", invalid="ignore"):  # what becomes infinite is refused
            found = scikit.validate_data(self, X, reset=reset, dtype=config.floatx(), allow_nd=True, **targets)
        shape = (found[0] if "y" in targets else found).shape[1:]
        if reset:
            self.input_shape_ = shape
        else:
            self._check_shape(shape)
        return found

    def _check_shape(self, shape):
        if shape != self.input_shape_:
            raise ValueError(
                f"X has samples of shape {shape}, but {type(self).__name__} was fitted to samples of shape "
                f"{self.input_shape_}."
            )

    # Training

    def _learn(self, X, targets, weights, outputs, fresh, epochs, share=0.0, classes=None):
        """Trains new networks of so many outputs, or those that there are unless `fresh`, and keeps them. `share` of the
        samples is held out for validation, of each of `classes` (a number a sample) alike."""
        if not 0 <= share < 1:
            raise ValueError(f"validation_split must be at least 0 and below 1; got {share!r}.")
        seed = int(scikit.check_random_state(self.random_state).randint(2**31 - 1))
        if not fresh:  # else every call would draw the same orders
            seed = (seed + int(self.model_.optimizer.iterations)) % 2**32
        models = []
        with _streams(seed):
            parts, held_out = _split(X, targets, weights, share, classes, seed)
            for number in range(positive("n_classifiers", getattr(self, "n_classifiers", 1))):
                known = not fresh and number < len(self.models_)
                model = self.models_[number] if known else self._made(X.shape[1:], outputs)
                x, y, weight = parts[0], self._encoded(model, parts[1]), parts[2]
                model.fit(
                    x, y, batch_size=self.batch_size, epochs=epochs, verbose=self.verbose, sample_weight=weight,
                    callbacks=copy.deepcopy(self._callbacks()),
                    validation_data=held_out and (held_out[0], self._encoded(model, held_out[1]), held_out[2]),
                )  # fmt: skip
                self._finish(model, x)
                models.append(model)
        self.models_ = models
        return self

    def _made(self, input_shape, outputs):
        """A compiled network with fresh weights."""
        given, options = self._network(), self._nested("model")
        if isinstance(given, Model):
            if options:
                raise ValueError(
                    f"model__{next(iter(options))} is for a model that is a function; it is {given!r}, which has no arguments."
                )
            model = clone_model(given)
        elif callable(given) and not isinstance(given, Layer):
            parameters = inspect.signature(given).parameters
            if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
                unknown = [name for name in options if name not in parameters]
                registry.reject_arguments("The function given as model", unknown, parameters)
            made = given(input_shape, outputs, **options)
            if not isinstance(made, (Model, list, tuple)):
                raise TypeError(f"model must return a Model, or a list of layers; it returned {made!r}.")
            model = made if isinstance(made, Model) else Sequential(list(made))
        else:
            raise TypeError(
                f"model must be None, a Model or a function (input_shape, outputs) that returns one, or layers; got {given!r}."
            )
        if not model.built:
            model.build((None, *input_shape))
        if not isinstance(model.output_shape, tuple) or len(model.output_shape) != 2:
            raise ValueError(
                f"model must have one output of shape (None, {outputs}); it has {model.output_shape}. Flatten() or "
                "GlobalAveragePooling come before the last Dense."
            )
        self._check_width(model.output_shape[-1], outputs)
        self._compile(model)
        return model

    def _compile(self, model):
        """By the parameters; what they leave open, as the model was compiled, else with Adam and the usual loss."""
        options = self._nested("optimizer")
        if model.compiled and not options and self.optimizer is None and self.loss is None and self.metrics is None:
            return
        given = next(choice for choice in (self.optimizer, model.optimizer, "adam") if choice is not None)
        optimizer = optimizers.get(given)
        known = optimizer.get_config()
        registry.reject_arguments(type(optimizer).__name__, [name for name in options if name not in known], known)
        loss = next(choice for choice in (self.loss, model.loss, self._usual_loss(model)) if choice is not None)
        metrics = (model.metrics if model.compiled else None) if self.metrics is None else self.metrics
        model.compile(type(optimizer).from_config({**known, **options}), loss, metrics=copy.deepcopy(metrics))

    def _network(self):
        return networks.small if self.model is None else self.model

    def _callbacks(self):
        return self.callbacks

    @property
    def model_(self) -> Model:
        """The trained network, the first where there are several in `models_`; AttributeError before `fit`."""
        return self.models_[0]

    @property
    def history_(self) -> dict[str, list[float]]:
        """What the last training of `model_` reported, by name and epoch."""
        return self.model_.history.history

    def _finish(self, model, x):
        """What is done with a trained network and the samples that it was trained on: nothing."""

    def _outputs(self, X):
        """What the networks give for checked samples; the mean, where there are several."""
        found = [model.predict(X, batch_size=self.batch_size) for model in self.models_]
        return found[0] if len(found) == 1 else np.mean(found, axis=0)


def _is_nested(name):
    return any(name.startswith(f"{prefix}__") for prefix in NESTED)


@contextmanager
def _streams(seed: int) -> Iterator[None]:
    """The random streams of the process at `seed`, for this thread alone, and then where they were."""
    with _turn:
        before = rng.get_state()
        rng.set_random_seed(seed)
        try:
            yield
        finally:
            rng.set_state(before)


def _split(X, targets, weights, share, classes, seed):
    """((X, targets, weights) to train on, those to validate with or None)."""
    if not share:
        return (X, targets, weights), None
    given = [part for part in (X, targets, weights) if part is not None]
    try:
        halves = scikit.train_test_split(*given, test_size=share, stratify=classes, random_state=seed)
    except ValueError as error:  # more classes than samples, on one side
        raise ValueError(f"validation_split={share!r} of {len(X)} samples cannot be held out: {error}") from error
    return (*halves[::2], None)[:3], (*halves[1::2], None)[:3]
