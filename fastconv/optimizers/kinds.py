"""The optimizers, one class a formula, under Keras' names: settings in, the numbers of one kernel call out.

What goes around a formula (clipping, decay, averages) is base.py's, the arithmetic csrc/elements/update_kinds.c's.
Contract: formulas and defaults are Keras'; a step is one call over all weights, with the same bits at any number of
threads.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastconv import kernels
from fastconv.registry import checked_number
from fastconv.tensor import Tensor

from .base import Optimizer
from .settings import Number


class _Kind(Optimizer):
    """An optimizer whose step is a kind of kernels.update_step."""

    kind = ""
    states: tuple[str | None, ...] = ()  # the slot at each place of the kind's states; None for one that is not used

    @property
    def slots(self) -> tuple[str, ...]:
        return tuple([slot for slot in self.states if slot])

    def _numbers(self) -> tuple[float, tuple]:
        """(the rate, the numbers) of this step."""
        raise NotImplementedError

    def _start(self, slot, parameter):
        if slot == "accumulator":
            return np.full_like(parameter.data, self.initial_accumulator_value)
        return super()._start(slot, parameter)

    def _shares(self, *arguments):
        """Checks numbers from 0 up to but not including 1, which are attributes."""
        for argument in arguments:
            if checked_number(self, argument, getattr(self, argument), 1) == 1:
                raise ValueError(f"{type(self).__name__}: {argument} must be below 1; got {getattr(self, argument)!r}.")

    def _step(self, parameters, arrays, gradients, slots, around):
        if type(self).update_step is not _Kind.update_step:
            return super()._step(parameters, arrays, gradients, slots, around)
        rate, numbers = self._numbers()
        states = [slots[slot] if slot else None for slot in self.states]
        kernels.update_step(
            self.kind, arrays, gradients, states, rate, numbers, getattr(self, "nesterov", False), **around
        )

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Moves one weight by one gradient, an array or Tensor, at the optimizer's own learning rate."""
        gradient = gradient.data if isinstance(gradient, Tensor) else np.asarray(gradient)
        slots = dict(zip(self.all_slots, [[array] for array in self.slot_arrays(variable)]))
        self._step([variable], [variable.array], [gradient], slots, {})
        variable.version += 1


class SGD(_Kind):
    """Gradient descent: `w -= learning_rate * g`; with `momentum` (0 to 1) `v = momentum * v - learning_rate * g` and
    `w += v`, or with `nesterov` `w += momentum * v - learning_rate * g`."""

    kind = "sgd"
    _shown = {**Optimizer._shown, "velocity": "momentum"}
    done_with_gradients = True

    def __init__(
        self, learning_rate: Any = 0.01, momentum: float = 0.0, nesterov: bool = False,
        weight_decay: float | None = None, clipnorm: float | None = None, clipvalue: float | None = None,
        global_clipnorm: float | None = None, use_ema: bool = False, ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None, loss_scale_factor: float | None = None,
        gradient_accumulation_steps: int | None = None, name: str | None = None,
    ) -> None:  # fmt: skip
        super().__init__(
            learning_rate, weight_decay, clipnorm, clipvalue, global_clipnorm, use_ema, ema_momentum,
            ema_overwrite_frequency, loss_scale_factor, gradient_accumulation_steps, name,
        )  # fmt: skip
        self.momentum = checked_number(self, "momentum", momentum, 1)
        self.nesterov = bool(nesterov)

    @property
    def states(self) -> Any:
        return ("velocity" if self.momentum else None,)

    def _numbers(self):
        return self._rate(), (self.momentum,)

    def _step(self, parameters, arrays, gradients, slots, around):
        if around or type(self) is not SGD:
            return super()._step(parameters, arrays, gradients, slots, around)
        kernels.sgd_step(arrays, gradients, slots.get("velocity"), self._rate(), self.momentum, self.nesterov)


class Adam(_Kind):
    """Adam by Keras' formula, with running means m of g and v of g * g:
    `w -= learning_rate * sqrt(1 - beta_2**t) / (1 - beta_1**t) * m / (sqrt(v) + epsilon)`; with `amsgrad` the largest
    v so far instead of v."""

    kind, _apart = "adam", ("velocity_hat",)
    done_with_gradients = True

    def __init__(
        self, learning_rate: Any = 0.001, beta_1: float = 0.9, beta_2: float = 0.999, epsilon: float = 1e-7,
        amsgrad: bool = False, weight_decay: float | None = None, clipnorm: float | None = None,
        clipvalue: float | None = None, global_clipnorm: float | None = None, use_ema: bool = False,
        ema_momentum: float = 0.99, ema_overwrite_frequency: int | None = None,
        loss_scale_factor: float | None = None, gradient_accumulation_steps: int | None = None,
        name: str | None = None,
    ) -> None:  # fmt: skip
        super().__init__(
            learning_rate, weight_decay, clipnorm, clipvalue, global_clipnorm, use_ema, ema_momentum,
            ema_overwrite_frequency, loss_scale_factor, gradient_accumulation_steps, name,
        )  # fmt: skip
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, checked_number(self, "epsilon", epsilon)
        self._shares("beta_1", "beta_2")
        self.amsgrad = bool(amsgrad)

    @property
    def states(self) -> Any:
        return ("momentum", "velocity", "velocity_hat" if self.amsgrad else None)

    def _numbers(self):
        t = self._taken + 1
        rate = self._rate() * math.sqrt(1 - self.beta_2**t) / (1 - self.beta_1**t)
        return rate, (1 - self.beta_1, 1 - self.beta_2, self.epsilon)

    def _step(self, parameters, arrays, gradients, slots, around):
        if around or self.amsgrad or type(self) is not Adam:
            return super()._step(parameters, arrays, gradients, slots, around)
        settings = (self._taken + 1, self._rate(), self.beta_1, self.beta_2, self.epsilon)
        kernels.adam_step(arrays, gradients, slots["momentum"], slots["velocity"], *settings)


class AdamW(Adam):
    """Adam with weight decay that does not go through the moments: `w -= learning_rate * weight_decay * w` first."""

    done_with_gradients = True

    def __init__(
        self, learning_rate: Any = 0.001, weight_decay: float = 0.004, beta_1: float = 0.9, beta_2: float = 0.999,
        epsilon: float = 1e-7, amsgrad: bool = False, clipnorm: float | None = None, clipvalue: float | None = None,
        global_clipnorm: float | None = None, use_ema: bool = False, ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None, loss_scale_factor: float | None = None,
        gradient_accumulation_steps: int | None = None, name: str | None = None,
    ) -> None:  # fmt: skip
        if weight_decay is None:
            raise ValueError("AdamW: weight_decay must be a number; for none, use Adam.")
        super().__init__(
            learning_rate, beta_1, beta_2, epsilon, amsgrad, weight_decay, clipnorm, clipvalue, global_clipnorm,
            use_ema, ema_momentum, ema_overwrite_frequency, loss_scale_factor, gradient_accumulation_steps, name,
        )  # fmt: skip


class RMSprop(_Kind):
    """`w -= learning_rate * g / sqrt(v + epsilon)` with the running mean v of g * g, of which `rho` stays at each step;
    `centered` takes the square of the mean gradient off v, `momentum` (0 to 1) adds up steps."""

    kind, _apart = "rmsprop", ("velocity", "momentum", "average_gradient")
    done_with_gradients = True

    def __init__(
        self, learning_rate: Any = 0.001, rho: float = 0.9, momentum: float = 0.0, epsilon: float = 1e-7,
        centered: bool = False, weight_decay: float | None = None, clipnorm: float | None = None,
        clipvalue: float | None = None, global_clipnorm: float | None = None, use_ema: bool = False,
        ema_momentum: float = 0.99, ema_overwrite_frequency: int | None = None,
        loss_scale_factor: float | None = None, gradient_accumulation_steps: int | None = None,
        name: str | None = None,
    ) -> None:  # fmt: skip
        super().__init__(
            learning_rate, weight_decay, clipnorm, clipvalue, global_clipnorm, use_ema, ema_momentum,
            ema_overwrite_frequency, loss_scale_factor, gradient_accumulation_steps, name,
        )  # fmt: skip
        self.rho = checked_number(self, "rho", rho, 1)
        self.momentum = checked_number(self, "momentum", momentum, 1)
        self.epsilon, self.centered = checked_number(self, "epsilon", epsilon), bool(centered)

    @property
    def states(self) -> Any:
        return ("velocity", "momentum" if self.momentum else None, "average_gradient" if self.centered else None)

    def _numbers(self):
        return self._rate(), (self.rho, 1 - self.rho, self.epsilon, self.momentum)


class Adagrad(_Kind):
    """`w -= learning_rate * g / sqrt(s + epsilon)` with the sum s of g * g, which starts at
    `initial_accumulator_value`."""

    kind, states = "adagrad", ("accumulator",)
    done_with_gradients = True

    def __init__(
        self, learning_rate: Any = 0.001, initial_accumulator_value: float = 0.1, epsilon: float = 1e-7,
        weight_decay: float | None = None, clipnorm: float | None = None, clipvalue: float | None = None,
        global_clipnorm: float | None = None, use_ema: bool = False, ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None, loss_scale_factor: float | None = None,
        gradient_accumulation_steps: int | None = None, name: str | None = None,
    ) -> None:  # fmt: skip
        super().__init__(
            learning_rate, weight_decay, clipnorm, clipvalue, global_clipnorm, use_ema, ema_momentum,
            ema_overwrite_frequency, loss_scale_factor, gradient_accumulation_steps, name,
        )  # fmt: skip
        self._number("initial_accumulator_value", initial_accumulator_value)
        self.epsilon = checked_number(self, "epsilon", epsilon)

    def _numbers(self):
        return self._rate(), (self.epsilon,)


class Adadelta(_Kind):
    """Steps whose size follows that of earlier steps: `w -= learning_rate * sqrt(d + epsilon) / sqrt(v + epsilon) * g`
    with running means v of g * g and d of squared steps, of which `rho` stays."""

    kind, states = "adadelta", ("accumulated_grad", "accumulated_delta_var")
    done_with_gradients = True

    def __init__(
        self, learning_rate: Any = 0.001, rho: float = 0.95, epsilon: float = 1e-7, weight_decay: float | None = None,
        clipnorm: float | None = None, clipvalue: float | None = None, global_clipnorm: float | None = None,
        use_ema: bool = False, ema_momentum: float = 0.99, ema_overwrite_frequency: int | None = None,
        loss_scale_factor: float | None = None, gradient_accumulation_steps: int | None = None,
        name: str | None = None,
    ) -> None:  # fmt: skip
        super().__init__(
            learning_rate, weight_decay, clipnorm, clipvalue, global_clipnorm, use_ema, ema_momentum,
            ema_overwrite_frequency, loss_scale_factor, gradient_accumulation_steps, name,
        )  # fmt: skip
        self.rho, self.epsilon = checked_number(self, "rho", rho, 1), checked_number(self, "epsilon", epsilon)

    def _numbers(self):
        return self._rate(), (self.rho, 1 - self.rho, self.epsilon)


class _TwoMeans(_Kind):
    """Of Adam's arguments: fading means of the gradient and of its size."""

    done_with_gradients = True

    def __init__(
        self, learning_rate: Any = 0.001, beta_1: float = 0.9, beta_2: float = 0.999, epsilon: float = 1e-7,
        weight_decay: float | None = None, clipnorm: float | None = None, clipvalue: float | None = None,
        global_clipnorm: float | None = None, use_ema: bool = False, ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None, loss_scale_factor: float | None = None,
        gradient_accumulation_steps: int | None = None, name: str | None = None,
    ) -> None:  # fmt: skip
        super().__init__(
            learning_rate, weight_decay, clipnorm, clipvalue, global_clipnorm, use_ema, ema_momentum,
            ema_overwrite_frequency, loss_scale_factor, gradient_accumulation_steps, name,
        )  # fmt: skip
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, checked_number(self, "epsilon", epsilon)
        self._shares("beta_1", "beta_2")


class Adamax(_TwoMeans):
    """Adam with a fading maximum u of |g| for the mean square:
    `w -= learning_rate / (1 - beta_1**t) * m / (u + epsilon)`."""

    kind, states = "adamax", ("momentum", "norm")

    def _numbers(self):
        rate = self._rate() / (1 - self.beta_1 ** (self._taken + 1))
        return rate, (1 - self.beta_1, self.beta_2, self.epsilon)


class Nadam(_TwoMeans):
    """Adam with Nesterov's look-ahead, whose weight for the mean gradient grows from step to step."""

    kind, states = "nadam", ("momentum", "velocity")
    _product = (0, 1.0)  # steps, and the product of their weights

    def _weight(self, step):
        return self.beta_1 * (1 - 0.5 * 0.96**step)

    def _product_of(self, steps):
        """The product of the weights of so many steps, from the one that was made last where that is earlier."""
        done, product = self._product if self._product[0] <= steps else (0, 1.0)  # after a load it is made anew
        for step in range(done + 1, steps + 1):
            product *= self._weight(step)
        self._product = (steps, product)
        return product

    def _slot_variables(self):
        """Keras keeps the product too; here it follows from the number of steps, and cannot be another one."""
        product = Number("product", lambda: np.float32(self._product_of(self._taken)), lambda value: None)
        found = super()._slot_variables()
        return [*found, product] if found else []

    def _numbers(self):
        t, rate = self._taken + 1, self._rate()
        product = self._product_of(t)
        ahead = self._weight(t + 1)
        mean = rate * ahead / (1 - product * ahead)
        now = rate * (1 - self._weight(t)) / (1 - product)
        square = 1 / (1 - self.beta_2**t)
        return rate, (1 - self.beta_1, 1 - self.beta_2, self.epsilon, mean, now, square)


class Lion(_Kind):
    """Steps of one size, in the direction of the sign of `beta_1 * m + (1 - beta_1) * g`, with the running mean m of g,
    of which `beta_2` stays; a learning rate of a third to a tenth of Adam's fits."""

    kind, states = "lion", ("momentum",)
    done_with_gradients = True

    def __init__(
        self, learning_rate: Any = 0.001, beta_1: float = 0.9, beta_2: float = 0.99, weight_decay: float | None = None,
        clipnorm: float | None = None, clipvalue: float | None = None, global_clipnorm: float | None = None,
        use_ema: bool = False, ema_momentum: float = 0.99, ema_overwrite_frequency: int | None = None,
        loss_scale_factor: float | None = None, gradient_accumulation_steps: int | None = None,
        name: str | None = None,
    ) -> None:  # fmt: skip
        super().__init__(
            learning_rate, weight_decay, clipnorm, clipvalue, global_clipnorm, use_ema, ema_momentum,
            ema_overwrite_frequency, loss_scale_factor, gradient_accumulation_steps, name,
        )  # fmt: skip
        self.beta_1, self.beta_2 = checked_number(self, "beta_1", beta_1, 1), checked_number(self, "beta_2", beta_2, 1)
        if not self.beta_1:
            raise ValueError("Lion: beta_1 must be above 0.")

    def _numbers(self):
        return self._rate(), (self.beta_1, 1 - self.beta_1, self.beta_2, 1 - self.beta_2)


class Ftrl(_Kind):
    """Follow the regularized leader: sparse weights by `l1_regularization_strength`, as for wide linear models."""

    kind, states = "ftrl", ("accumulator", "linear")
    done_with_gradients = True

    def __init__(
        self, learning_rate: Any = 0.001, learning_rate_power: float = -0.5, initial_accumulator_value: float = 0.1,
        l1_regularization_strength: float = 0.0, l2_regularization_strength: float = 0.0,
        l2_shrinkage_regularization_strength: float = 0.0, beta: float = 0.0, weight_decay: float | None = None,
        clipnorm: float | None = None, clipvalue: float | None = None, global_clipnorm: float | None = None,
        use_ema: bool = False, ema_momentum: float = 0.99, ema_overwrite_frequency: int | None = None,
        loss_scale_factor: float | None = None, gradient_accumulation_steps: int | None = None,
        name: str | None = None,
    ) -> None:  # fmt: skip
        super().__init__(
            learning_rate, weight_decay, clipnorm, clipvalue, global_clipnorm, use_ema, ema_momentum,
            ema_overwrite_frequency, loss_scale_factor, gradient_accumulation_steps, name,
        )  # fmt: skip
        if not learning_rate_power <= 0:
            raise ValueError(f"Ftrl: learning_rate_power must be at most 0; got {learning_rate_power!r}.")
        self.learning_rate_power = learning_rate_power
        self._number("initial_accumulator_value", initial_accumulator_value)
        self._number("l1_regularization_strength", l1_regularization_strength)
        self._number("l2_regularization_strength", l2_regularization_strength)
        self._number("l2_shrinkage_regularization_strength", l2_shrinkage_regularization_strength)
        self._number("beta", beta)

    def _numbers(self):
        rate = self._rate()
        l2 = self.l2_regularization_strength + (self.beta / (2 * rate) if self.beta else 0.0)
        shrinkage = 2 * self.l2_shrinkage_regularization_strength
        return rate, (-self.learning_rate_power, l2, self.l1_regularization_strength, shrinkage)
