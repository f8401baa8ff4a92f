"""Optimizers: how gradients move weights, under Keras' names.

The arithmetic is one kernel call over all weights, in place; here are the settings and the state. Contract: `apply`
moves the given Parameters, applies their constraints and bumps their version; state is kept by Parameter object and
starts at zero.
"""

from __future__ import annotations

import sys

import numpy as np

from fastconv import constraints, kernels, schedules
from fastconv.registry import Configurable, Registry, checked_number, reject_arguments, serialize

sys.modules[__name__ + ".schedules"] = schedules  # Keras' path: `from fastconv.optimizers.schedules import ...`

_NOT_BUILT = (
    "weight_decay", "clipnorm", "clipvalue", "global_clipnorm", "use_ema", "ema_momentum", "amsgrad",
    "ema_overwrite_frequency", "loss_scale_factor", "gradient_accumulation_steps",
)  # fmt: skip


class Optimizer(Configurable):
    """Base class: a subclass names its `slots` (state arrays a weight) and defines `_step`."""

    slots: tuple[str, ...] = ()
    done_with_gradients = False  # whether `apply` keeps none of the arrays that it is given
    _arguments: tuple[str, ...] = ("learning_rate", "name")

    def __init__(self, learning_rate, name=None, **unknown):
        reject_arguments(type(self).__name__, unknown, self._arguments, _NOT_BUILT)
        self.name = name or type(self).__name__.lower()
        self.learning_rate = learning_rate
        self.iterations = 0
        self._state = {}  # Parameter -> one array a slot

    @property
    def learning_rate(self) -> float:
        """The next step's size. It may be set at any time: to a number of at least 0, or to a schedule, which is asked
        at each step with the number of steps taken before."""
        rate = self._learning_rate
        return rate if isinstance(rate, float) else checked_number(self, "the schedule's rate", rate(self.iterations))

    @learning_rate.setter
    def learning_rate(self, value):
        if isinstance(value, (dict, schedules.LearningRateSchedule)):
            self._learning_rate = schedules.get(value)
        else:
            self._learning_rate = checked_number(self, "learning_rate", value)

    @property
    def iterations(self) -> int:
        """The number of steps taken; it may be set, to a whole number of at least 0."""
        return self._iterations

    @iterations.setter
    def iterations(self, value):
        checked_number(self, "iterations", value, 2**63 - 1)
        if value != int(value):
            raise ValueError(f"{type(self).__name__}: iterations must be a whole number; got {value!r}.")
        self._iterations = int(value)

    def get_config(self) -> dict:
        config = super().get_config()
        if not isinstance(self._learning_rate, float):
            config["learning_rate"] = serialize(self._learning_rate)
        return config

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
        if pairs:
            self._step([p.array for p in parameters], [g for _, g in pairs], *map(list, zip(*slots)))
        self._iterations += 1
        for parameter in parameters:
            parameter.version += 1
        constraints.apply(parameters)

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

    done_with_gradients = True
    _arguments = ("learning_rate", "momentum", "nesterov", "name")

    def __init__(self, learning_rate=0.01, momentum=0.0, nesterov=False, name=None, **unknown):
        super().__init__(learning_rate, name, **unknown)
        self.momentum = checked_number(self, "momentum", momentum, 1)
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
    done_with_gradients = True
    _arguments = ("learning_rate", "beta_1", "beta_2", "epsilon", "name")

    def __init__(self, learning_rate=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-7, name=None, **unknown):
        super().__init__(learning_rate, name, **unknown)
        self.beta_1 = checked_number(self, "beta_1", beta_1, 1)
        self.beta_2 = checked_number(self, "beta_2", beta_2, 1)
        self.epsilon = checked_number(self, "epsilon", epsilon)
        if 1 in (self.beta_1, self.beta_2):
            raise ValueError(f"Adam: beta_1 and beta_2 must be below 1; got {beta_1} and {beta_2}.")

    def _step(self, weights, gradients, *moments):
        settings = (self.iterations + 1, self.learning_rate, self.beta_1, self.beta_2, self.epsilon)
        kernels.adam_step(weights, gradients, *moments, *settings)


_REGISTRY = Registry("optimizer", (SGD, Adam))


def get(identifier, custom_objects=None) -> Optimizer:
    """An Optimizer from a name ("sgd", "adam"), a config, a class or an object; ValueError with near matches for an
    unknown name."""
    config = identifier.get("config") if isinstance(identifier, dict) else None
    if custom_objects and isinstance(config, dict) and isinstance(config.get("learning_rate"), dict):
        schedule = schedules.get(config["learning_rate"], custom_objects)
        identifier = identifier | {"config": config | {"learning_rate": schedule}}
    return _REGISTRY.get(identifier, Optimizer, custom_objects)
