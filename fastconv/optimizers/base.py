"""Optimizer: the base of how gradients move weights: state, learning rate, clipping, decay, averages, accumulation.

No formula stands here; kinds.py has those. The arithmetic of a step over all weights is one kernel call, in place.
Contract: `apply` moves the given Parameters, applies their constraints and bumps their version; state is kept by
Parameter object; what a model file holds of an optimizer is its config, its number of calls and its slots.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from fastconv import config, constraints, initializers, kernels, schedules
from fastconv.registry import Configurable, checked_number, checked_whole, serialize
from fastconv.tensor import Parameter, Tensor, no_grad

from .settings import Count, LearningRate, Number, as_number


class Optimizer(Configurable):
    """Base class: a subclass defines `update_step(gradient, variable, learning_rate)`, with state from `add_variable`
    and its kin made in `build(variables)`, and changes by `assign`, `assign_add` and `assign_sub`.

    `weight_decay`: each weight loses that share times the learning rate before a step. `clipnorm`, `global_clipnorm`,
    `clipvalue`, of which one can be set: the most that a gradient's norm, the norm of all, or an element may be.
    `use_ema` keeps running averages of the weights, of which `ema_momentum` stays at each step; every
    `ema_overwrite_frequency` steps, or at the end of `fit`, the weights become those. With
    `gradient_accumulation_steps` the weights move once in so many calls, by the mean of their gradients.
    """

    slots: tuple[str, ...] = ()  # the names of the state arrays that each weight has
    _apart: tuple[str, ...] = ()  # those of them that Keras keeps behind the others, one after another
    _shown: dict[str, str] = {"accumulated_gradient": "gradient_accumulator"}  # Keras' names, where they are others
    holds_averages = False  # whether weights and averages have changed places
    done_with_gradients = False  # whether `apply` keeps none of the arrays that it is given

    def __init__(
        self, learning_rate: Any, weight_decay: float | None = None, clipnorm: float | None = None,
        clipvalue: float | None = None, global_clipnorm: float | None = None, use_ema: bool = False,
        ema_momentum: float = 0.99, ema_overwrite_frequency: int | None = None,
        loss_scale_factor: float | None = None, gradient_accumulation_steps: int | None = None,
        name: str | None = None,
    ) -> None:  # fmt: skip
        self.name = name or type(self).__name__.lower()
        self.learning_rate = learning_rate
        self._number("weight_decay", weight_decay)
        clips = {"clipnorm": clipnorm, "clipvalue": clipvalue, "global_clipnorm": global_clipnorm}
        for argument, value in clips.items():
            self._number(argument, value)
        if sum(value is not None for value in clips.values()) > 1:
            raise ValueError(
                f"{type(self).__name__}: only one of clipnorm, clipvalue and global_clipnorm can be set; got {clips}."
            )
        self.use_ema = bool(use_ema)
        self.ema_momentum = checked_number(self, "ema_momentum", ema_momentum, 1)
        self.ema_overwrite_frequency = self._count("ema_overwrite_frequency", ema_overwrite_frequency, 1)
        self.gradient_accumulation_steps = self._count("gradient_accumulation_steps", gradient_accumulation_steps, 2)
        if loss_scale_factor is not None:
            raise ValueError(
                f"{type(self).__name__}: loss_scale_factor is for float16, whose gradients vanish; fastconv computes "
                "in float32 or float64: leave it out."
            )
        self.loss_scale_factor = None
        self.built = False
        self._calls = 0
        self._state: dict[Parameter, tuple] = {}  # names of slots, variables, their arrays
        self._trainable_variables: list[Parameter] = []
        self._own_variables: list[Parameter] = []
        self._excluded: set[int] = set()
        self._excluded_names = None

    def _number(self, argument, value):
        setattr(self, argument, None if value is None else checked_number(self, argument, value))

    def _count(self, argument, value, least):
        return None if value is None else checked_whole(self, argument, value, least)

    # Settings

    @property
    def learning_rate(self) -> LearningRate:
        """The next step's size. It may be set at any time: to a number of at least 0, to a schedule, which is asked at
        each step with the number of calls of `apply` before, or to a function without arguments."""
        rate = LearningRate(self._rate())
        rate._optimizer = self
        return rate

    @learning_rate.setter
    def learning_rate(self, value):
        if isinstance(value, (dict, schedules.LearningRateSchedule)):
            self._learning_rate = schedules.get(value)
        elif callable(value):
            self._learning_rate = value
        else:
            self._learning_rate = checked_number(self, "learning_rate", as_number(value))

    def _rate(self):
        rate = self._learning_rate
        if type(rate) is float:
            return rate
        if isinstance(rate, schedules.LearningRateSchedule):
            return checked_number(self, "the schedule's rate", as_number(rate(self._calls)))
        return checked_number(self, "the learning rate function's value", as_number(rate()))

    @property
    def iterations(self) -> Count:
        """The number of steps taken, in which weights moved; it may be set, to a whole number of at least 0."""
        count = Count(self._taken)
        count._optimizer = self
        return count

    @iterations.setter
    def iterations(self, value):
        self.calls = value * (self.gradient_accumulation_steps or 1)

    @property
    def _taken(self):
        return self._calls // (self.gradient_accumulation_steps or 1)

    @property
    def calls(self) -> int:
        """The number of calls of `apply`: with gradient accumulation, more than `iterations`."""
        return self._calls

    @calls.setter
    def calls(self, value):
        checked_number(self, "iterations", value, 2**63 - 1)
        if value != int(value):
            raise ValueError(f"{type(self).__name__}: iterations must be a whole number; got {value!r}.")
        self._calls = int(value)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        if "learning_rate" in config:
            rate = self._learning_rate
            if type(rate) is not float and not isinstance(rate, schedules.LearningRateSchedule):
                raise ValueError(f"{type(self).__name__} has a learning rate function, which a model file cannot hold.")
            config["learning_rate"] = rate if type(rate) is float else serialize(rate)
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Optimizer:
        """The optimizer that `get_config` described; `custom_objects` maps names to schedules of one's own."""
        if isinstance(config.get("learning_rate"), dict):
            config = config | {"learning_rate": schedules.get(config["learning_rate"], custom_objects)}
        return cls(**config)

    def exclude_from_weight_decay(self, var_list: Any = None, var_names: Any = None) -> None:
        """Keeps these Parameters, and those whose name holds one of the patterns `var_names`, out of weight decay."""
        if self._state:
            raise ValueError("exclude_from_weight_decay comes before the first step, and before build().")
        self._excluded = {id(variable) for variable in var_list or ()}
        self._excluded_names = re.compile("|".join(var_names)) if var_names else None

    @property
    def _decays(self):
        """Whether some weight decays."""
        return bool(self.weight_decay)

    def _decay(self, parameter):
        """The weight decay of one weight."""
        return 0.0 if self._is_excluded(parameter) else self.weight_decay

    def _is_excluded(self, parameter):
        names = self._excluded_names
        return id(parameter) in self._excluded or (names is not None and names.search(parameter.name or "") is not None)

    # State

    @property
    def all_slots(self) -> tuple[str, ...]:
        """`slots` and those of the average and of accumulated gradients, where there are such."""
        averages = ("average",) if self.use_ema else ()
        return (*self.slots, *averages, *(("accumulated_gradient",) if self.gradient_accumulation_steps else ()))

    def slot_arrays(self, parameter: Any) -> tuple[np.ndarray, ...]:
        """The state of one weight, in the order of `all_slots`; the arrays themselves."""
        return self._entry(parameter, self.all_slots)[2]

    def _entry(self, parameter, names):
        """(names, variables, their arrays) of the state of one weight."""
        found = self._state.get(parameter)
        if found is None or found[0] != names:
            variables = [
                Parameter(
                    self._start(slot, parameter), name=_name_of(parameter, self._shown.get(slot, slot)), trainable=False
                )
                for slot in names
            ]
            found = self._state[parameter] = (names, variables, tuple([variable.array for variable in variables]))
        return found

    def _start(self, slot, parameter):
        """What a slot holds at first."""
        return parameter.data if slot == "average" else np.zeros_like(parameter.data)

    def state_order(self, weights: Any) -> Iterator[tuple[str, Parameter]]:
        """(slot, weight) of all the state that Keras keeps for these weights, in its order."""
        for slot in self.all_slots[len(self.slots) :]:
            yield from ((slot, weight) for weight in weights)
        together = [slot for slot in self.slots if slot not in self._apart]
        for slots in (together, *([slot] for slot in self.slots if slot in self._apart)):
            yield from ((slot, weight) for weight in weights for slot in slots if self._uses(slot, weight))

    def _uses(self, slot, weight):
        """Whether the steps of a weight read this slot."""
        return True

    def build(self, variables: Any) -> None:
        """Makes the state for these Parameters; `apply` without variables moves them."""
        self.built = True
        self._trainable_variables = list(variables)
        for variable in self._trainable_variables:
            self._entry(variable, self.all_slots)

    def _get_variable_index(self, variable: Any) -> int:
        """The place of a weight among those that `build` was given, by which Keras' optimizers keep their state."""
        places = [i for i, one in enumerate(self._trainable_variables) if one is variable]
        if not places:
            raise ValueError(
                f"{type(self).__name__} was built without the weight {variable.name!r}: compile the model again after "
                "layers were made trainable, so that a new optimizer knows them."
            )
        return places[0]

    def add_variable(
        self, shape: Any, initializer: Any = "zeros", dtype: str | None = None, aggregation: str = "none",
        layout: Any = None, name: str | None = None,
    ) -> Parameter:  # fmt: skip
        """State of an optimizer of one's own. `aggregation` and `layout`, over devices, are of no use here."""
        values = np.asarray(initializers.get(initializer)(tuple(shape)))
        variable = Parameter(values, name=name, trainable=False, dtype=dtype or config.floatx())
        self._own_variables.append(variable)
        return variable

    def add_variable_from_reference(
        self, reference_variable: Any, name: str | None = None, initializer: Any = "zeros"
    ) -> Parameter:
        """As add_variable, of the shape and dtype of a weight, whose path stands before the name."""
        name = _name_of(reference_variable, name or "var")
        return self.add_variable(reference_variable.shape, initializer, reference_variable.dtype, name=name)

    def add_optimizer_variables(self, trainable_variables: Any, name: Any, initializer: Any = "zeros") -> Any:
        """A list with a variable for each weight; for several names a tuple of lists, with one initializer for all of
        them or one for each."""
        alone = isinstance(name, str)
        names = [name] if alone else list(name)
        several = isinstance(initializer, (list, tuple))
        starts = list(initializer) if several else [initializer] * len(names)
        if len(starts) != len(names):
            raise ValueError(
                f"{type(self).__name__}: {len(names)} names need as many initializers; got {initializer!r}."
            )
        made: tuple[list, ...] = tuple([] for _ in names)
        for weight in trainable_variables:
            for kept, one, start in zip(made, names, starts):
                kept.append(self.add_variable_from_reference(weight, one, start))
        return made[0] if alone else made

    @property
    def variables(self) -> list[Parameter]:
        """The number of calls and the learning rate, then the state of each weight in Keras' order, and what was added;
        all may be assigned to."""
        return [*self._numbers_kept(), *self._slot_variables(), *self._own_variables]

    def _numbers_kept(self):
        """The numbers that stand first."""
        found = [Number("iteration", lambda: np.int64(self._calls), lambda value: setattr(self, "calls", value))]
        if type(self._learning_rate) is float:
            found.append(
                Number("learning_rate", lambda: self._rate(), lambda value: setattr(self, "learning_rate", value))
            )
        return found

    def _slot_variables(self):
        """The state of the weights, those of `build` first."""
        weights = [*self._trainable_variables, *(w for w in self._state if w not in set(self._trainable_variables))]
        names = self.all_slots
        return [self._entry(weight, names)[1][names.index(slot)] for slot, weight in self.state_order(weights)]

    def set_weights(self, weights: Any) -> None:
        """Takes arrays for `variables`, in their order; ValueError for a wrong number or shape, before any is taken."""
        weights, variables = list(weights), self.variables
        if len(weights) != len(variables):
            raise ValueError(f"{type(self).__name__} has {len(variables)} variables; got {len(weights)} arrays.")
        for variable, value in zip(variables, weights):
            if np.shape(value) != variable.shape:
                raise ValueError(
                    f"{type(self).__name__}: {variable.name!r} has shape {variable.shape}; got {np.shape(value)}."
                )
        for variable, value in zip(variables, weights):
            variable.assign(value)

    def save_own_variables(self, store: Any) -> None:
        """Puts the arrays of `variables` into a mapping, under "0", "1" and so on."""
        for number, variable in enumerate(self.variables):
            store[str(number)] = variable.numpy()

    def load_own_variables(self, store: Any) -> None:
        """Takes what `save_own_variables` stored; ValueError where the numbers differ."""
        self.set_weights([store[str(number)] for number in range(len(store))])

    def assign(self, variable: Any, value: Any) -> None:
        """variable = value."""
        variable.assign(value)

    def assign_add(self, variable: Any, value: Any) -> None:
        """variable += value."""
        variable.assign_add(value)

    def assign_sub(self, variable: Any, value: Any) -> None:
        """variable -= value."""
        variable.assign_sub(value)

    def scale_loss(self, loss: Any) -> Any:
        """The loss itself: nothing is scaled in float32."""
        return loss

    # Steps

    def apply(self, grads: Any, trainable_variables: Any = None) -> None:
        """One step: moves each Parameter by its gradient, an array of its shape, in its dtype; None leaves it alone.

        Without `trainable_variables`, those of `build`, which the first call with some does by itself. ValueError where
        no weight has a gradient; nothing happens where there are no weights.
        """
        gradients = list(grads)
        parameters = self._trainable_variables if trainable_variables is None else list(trainable_variables)
        if trainable_variables is None and not self.built:
            raise ValueError("apply() needs the weights that the gradients are of: pass them, or call build(weights).")
        if len(gradients) != len(parameters):
            raise ValueError(f"apply() needs one gradient a weight; got {len(gradients)} for {len(parameters)}.")
        if not gradients:
            return
        if not self.built:
            self.build(parameters)
            self.built = True
        pairs = [(p, _array(g, p.dtype)) for p, g in zip(parameters, gradients) if g is not None]
        if not pairs:
            raise ValueError("apply() got no gradient for any weight: the loss does not depend on them.")
        for parameter, gradient in pairs:
            if gradient.shape != parameter.data.shape:
                raise ValueError(
                    f"The gradient of {parameter.name!r} must have shape {parameter.shape}; got {gradient.shape}."
                )
        parameters = [parameter for parameter, _ in pairs]
        self._move(parameters, [gradient for _, gradient in pairs])
        self._calls += 1
        for parameter in parameters:
            parameter.version += 1
        constraints.apply(parameters)

    def apply_gradients(self, grads_and_vars: Any) -> int:
        """`apply` for pairs `(gradient, Parameter)`; the number of such calls so far."""
        pairs = list(grads_and_vars)
        self.apply([gradient for gradient, _ in pairs], [parameter for _, parameter in pairs])
        return self._calls

    def _move(self, parameters, gradients):
        """The step, and what goes around it."""
        names = self.all_slots
        slots = dict(zip(names, map(list, zip(*[self._entry(parameter, names)[2] for parameter in parameters]))))
        arrays, averages = [parameter.array for parameter in parameters], slots.get("average")
        keep = self.ema_momentum if self._taken else 0.0
        share = 1.0
        if self.gradient_accumulation_steps:
            for total, gradient in zip(slots["accumulated_gradient"], gradients):
                kernels.add_into(total, gradient)
            gradients, share = slots["accumulated_gradient"], 1 / self.gradient_accumulation_steps
        if not self.gradient_accumulation_steps or (self._calls + 1) % self.gradient_accumulation_steps == 0:
            around = self._around(parameters, gradients, share)
            if averages:
                around |= {"averages": averages, "keep": keep}
            self._step(parameters, arrays, gradients, slots, around)
            for total in slots.get("accumulated_gradient", ()):
                total.fill(0)
        elif averages:
            kernels.update_step("none", arrays, arrays, (), averages=averages, keep=keep)
        if averages:
            self._follow(parameters, keep)

    def _follow(self, parameters, keep):
        """Averages of weights that got no gradient, which follow them all the same; and what becomes of averages."""
        moved = {id(parameter) for parameter in parameters}
        rest = [weight for weight in self._trainable_variables if id(weight) not in moved]
        if rest:
            arrays, averages = [weight.array for weight in rest], [self._average(weight) for weight in rest]
            kernels.update_step("none", arrays, arrays, (), averages=averages, keep=keep)
        if self.ema_overwrite_frequency and (self._taken + 1) % self.ema_overwrite_frequency == 0:
            for weight in (*parameters, *rest):
                np.copyto(weight.array, self._average(weight))
            for weight in rest:  # `apply` counts the others' change
                weight.version += 1

    def _around(self, parameters, gradients, share) -> dict:
        """The arguments of kernels.update_step that clip gradients and let weights decay, where there is something."""
        around = {}
        if self.clipnorm:
            norms = [_norm(gradient) * share for gradient in gradients]
            around["scales"] = [share * self.clipnorm / max(norm, self.clipnorm) for norm in norms]
        elif self.global_clipnorm:
            norm = math.sqrt(math.fsum([_norm(gradient) ** 2 for gradient in gradients])) * share
            scale = share * self.global_clipnorm / max(norm, self.global_clipnorm)
            around["scales"] = [scale if math.isfinite(norm) else math.nan] * len(gradients)
        elif share != 1.0:
            around["scales"] = [share] * len(gradients)
        if self.clipvalue:
            around["limit"] = self.clipvalue
        if self._decays:
            rate = self._rate()
            around["decays"] = [self._decay(parameter) * rate for parameter in parameters]
        return around

    def _step(self, parameters, arrays, gradients, slots, around):
        """Moves all weights by `update_step` of a class of one's own."""
        prepared = [gradient * around["scales"][i] if "scales" in around else gradient.copy()
                    for i, gradient in enumerate(gradients)]  # fmt: skip
        if "limit" in around:
            prepared = [np.clip(gradient, -around["limit"], around["limit"]) for gradient in prepared]
        if "decays" in around:
            kernels.update_step("none", arrays, arrays, (), decays=around["decays"])
        rate = self._rate()
        with no_grad():
            for parameter, gradient in zip(parameters, prepared):
                self.update_step(Tensor(gradient), parameter, rate)
        if "averages" in around:
            kernels.update_step("none", arrays, arrays, (), averages=around["averages"], keep=around["keep"])

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Moves one weight by one gradient, a Tensor; a subclass of one's own defines it."""
        raise NotImplementedError(
            f"{type(self).__name__} must define update_step(self, gradient, variable, learning_rate)."
        )

    def finalize_variable_values(self, var_list: Any) -> None:
        """With `use_ema`, the weights become their averages, as at the end of `fit`."""
        if self.use_ema and not self.holds_averages:
            for variable in var_list:
                if variable in self._state:
                    variable.assign(self._average(variable))

    def swap_averages(self, var_list: Any) -> None:
        """With `use_ema`, the weights and their averages change places; `holds_averages` says which way they are."""
        for variable in var_list:
            if variable in self._state:
                average = self._average(variable)
                kept = variable.numpy()
                variable.assign(average)
                np.copyto(average, kept)
        self.holds_averages = not self.holds_averages

    def _average(self, variable):
        return self.slot_arrays(variable)[self.all_slots.index("average")]


def _name_of(parameter, kind):
    """The name of state: the weight's path, and what it is."""
    return f"{(parameter.path or parameter.name).replace('/', '_')}_{kind}"


def _array(value, dtype):
    array = value.data if isinstance(value, Tensor) else np.asarray(value)
    return array if array.dtype == dtype or array.dtype.kind != "f" else array.astype(dtype)


def _norm(array):
    """The Euclidean norm, added up in a fixed order."""
    if not array.size:
        return 0.0
    array = np.ascontiguousarray(array)
    return math.sqrt(kernels.reduce_products(array, array, tuple(range(array.ndim))).item())
