"""Optimizers: how gradients move weights, under Keras' names.

The arithmetic is one kernel call over all weights, in place; here are the settings and the state. Contract: `apply`
moves the given Parameters and bumps their version; state is kept by Parameter object and starts at zero.
"""

from __future__ import annotations

import math
import numbers

import numpy as np

from fastconv import kernels
from fastconv.registry import Configurable, Registry, reject_arguments

_NOT_BUILT = (
    "weight_decay", "clipnorm", "clipvalue", "global_clipnorm", "use_ema", "ema_momentum", "amsgrad",
    "ema_overwrite_frequency", "loss_scale_factor", "gradient_accumulation_steps",
)  # fmt: skip


class Optimizer(Configurable):
    """Base class: a subclass names its `slots` (state arrays a weight) and defines `_step`."""

    slots: tuple[str, ...] = ()
    _arguments: tuple[str, ...] = ("learning_rate", "name")

    def __init__(self, learning_rate, name=None, **unknown):
        reject_arguments(type(self).__name__, unknown, self._arguments, _NOT_BUILT)
        self.name = name or type(self).__name__.lower()
        self.learning_rate = learning_rate
        self.iterations = 0
        self._state = {}  # Parameter -> one array a slot

    @property
    def learning_rate(self) -> float:
        """The step size, at least 0; may be set at any time."""
        return self._learning_rate

    @learning_rate.setter
    def learning_rate(self, value):
        self._learning_rate = _number(self, "learning_rate", value, math.inf)

    def apply(self, gradients, trainable_variables) -> None:
        """One step: moves each Parameter by its gradient, an array of its shape and dtype; None leaves it alone."""
        gradients, parameters = list(gradients), list(trainable_variables)
        if len(gradients) != len(parameters):
            raise ValueError(f"apply() needs one gradient a weight; got {len(gradients)} for {len(parameters)}.")
        pairs = [(p, g) for p, g in zip(parameters, gradients) if g is not None]
        for parameter, gradient in pairs:
            if gradient.shape != parameter.data.shape:
                raise ValueError(
                    f"The gradient of {parameter.name!r} must have shape {parameter.shape}; got {gradient.shape}."
                )
        parameters = [parameter for parameter, _ in pairs]
        slots = [self.slot_arrays(parameter) for parameter in parameters]
        self.iterations += 1
        if pairs:
            self._step([p.data for p in parameters], [g for _, g in pairs], *map(list, zip(*slots)))
        for parameter in parameters:
            parameter.version += 1

    def apply_gradients(self, grads_and_vars) -> None:
        """`apply` for pairs `(gradient, Parameter)`, as in Keras."""
        pairs = list(grads_and_vars)
        self.apply([gradient for gradient, _ in pairs], [parameter for _, parameter in pairs])

    def slot_arrays(self, parameter) -> tuple[np.ndarray, ...]:
        """The state of one weight, in the order of `slots`; the arrays themselves, zeros at first."""
        arrays = self._state.get(parameter)
        if arrays is None or len(arrays) != len(self.slots):
            arrays = self._state[parameter] = tuple(np.zeros_like(parameter.data) for _ in self.slots)
        return arrays


class SGD(Optimizer):
    """Gradient descent: `w -= learning_rate * g`; with `momentum` (0 to 1) `v = momentum * v - learning_rate * g` and
    `w += v`, or with `nesterov` `w += momentum * v - learning_rate * g`."""

    _arguments = ("learning_rate", "momentum", "nesterov", "name")

    def __init__(self, learning_rate=0.01, momentum=0.0, nesterov=False, name=None, **unknown):
        super().__init__(learning_rate, name, **unknown)
        self.momentum = _number(self, "momentum", momentum, 1)
        self.nesterov = bool(nesterov)

    @property
    def slots(self):
        return ("velocity",) if self.momentum else ()

    def _step(self, weights, gradients, velocities=None):
        kernels.sgd_step(weights, gradients, velocities, self.learning_rate, self.momentum, self.nesterov)


class Adam(Optimizer):
    """Adam by Keras' formula, with running means m of g and v of g * g:
    `w -= learning_rate * sqrt(1 - beta_2**t) / (1 - beta_1**t) * m / (sqrt(v) + epsilon)`."""

    slots = ("momentum", "velocity")
    _arguments = ("learning_rate", "beta_1", "beta_2", "epsilon", "name")

    def __init__(self, learning_rate=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-7, name=None, **unknown):
        super().__init__(learning_rate, name, **unknown)
        self.beta_1 = _number(self, "beta_1", beta_1, 1)
        self.beta_2 = _number(self, "beta_2", beta_2, 1)
        self.epsilon = _number(self, "epsilon", epsilon, math.inf)
        if 1 in (self.beta_1, self.beta_2):
            raise ValueError(f"Adam: beta_1 and beta_2 must be below 1; got {beta_1} and {beta_2}.")

    def _step(self, weights, gradients, *moments):
        settings = (self.iterations, self.learning_rate, self.beta_1, self.beta_2, self.epsilon)
        kernels.adam_step(weights, gradients, *moments, *settings)


def _number(optimizer, name, value, most) -> float:
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{type(optimizer).__name__}: {name} must be a number; got {value!r}.")
    if not 0 <= value <= most or value == math.inf:
        limit = "finite and at least 0" if most == math.inf else f"between 0 and {most}"
        raise ValueError(f"{type(optimizer).__name__}: {name} must be {limit}; got {value!r}.")
    return float(value)


_REGISTRY = Registry("optimizer", (SGD, Adam))


def get(identifier, custom_objects=None) -> Optimizer:
    """An Optimizer from a name ("sgd", "adam"), a config, a class or an object; ValueError with near matches for an
    unknown name."""
    return _REGISTRY.get(identifier, Optimizer, custom_objects)
