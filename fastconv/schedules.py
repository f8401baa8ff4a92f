"""Schedules: learning rates that follow the step, under Keras' names where Keras has them.

They hold settings and no state: the optimizer counts the steps. Contract: `schedule(step)` is a float, at least 0, for
any step from 0 on, the same at every call; an optimizer takes a schedule where it takes a learning rate, and a model
file holds it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from fastconv import registry
from fastconv.absent import explain as _explain
from fastconv.registry import Configurable, Registry, checked_number


class LearningRateSchedule(Configurable):
    """Base class: a subclass defines `__call__(step)`, the learning rate of step number `step`, from 0 on.

    A subclass of your own names its constructor's arguments in `_arguments`, or defines `get_config`, if it is to be
    saved.
    """

    def __call__(self, step: int) -> float:
        raise NotImplementedError(f"{type(self).__name__} must define __call__(step).")

    def _steps(self, argument, value) -> float:
        """`value`, a number of steps above 0, whole or not; raises TypeError or ValueError naming `argument`."""
        number = checked_number(self, argument, value)
        if not number:
            raise ValueError(f"{type(self).__name__}: {argument} must be above 0; got {value!r}.")
        return int(number) if number == int(number) else number


class ExponentialDecay(LearningRateSchedule):
    """`initial_learning_rate * decay_rate ** (step / decay_steps)`; `staircase` takes whole quotients only."""

    _arguments = ("initial_learning_rate", "decay_steps", "decay_rate", "staircase", "name")

    def __init__(
        self, initial_learning_rate: float, decay_steps: float, decay_rate: float, staircase: bool = False,
        name: str = "ExponentialDecay",
    ) -> None:  # fmt: skip
        self.initial_learning_rate = checked_number(self, "initial_learning_rate", initial_learning_rate)
        self.decay_steps = self._steps("decay_steps", decay_steps)
        self.decay_rate = checked_number(self, "decay_rate", decay_rate)
        self.staircase, self.name = bool(staircase), name

    def __call__(self, step: int) -> float:
        passed = step // self.decay_steps if self.staircase else step / self.decay_steps
        return self.initial_learning_rate * self.decay_rate**passed


class CosineDecay(LearningRateSchedule):
    """Half a cosine from `initial_learning_rate` down to `alpha` times it, over `decay_steps`; then that value.

    With `warmup_target` the rate first climbs in a straight line from `initial_learning_rate` to `warmup_target` over
    `warmup_steps`, and the cosine starts from there.
    """

    _arguments = ("initial_learning_rate", "decay_steps", "alpha", "name", "warmup_target", "warmup_steps")

    def __init__(
        self, initial_learning_rate: float, decay_steps: float, alpha: float = 0.0, name: str = "CosineDecay",
        warmup_target: float | None = None, warmup_steps: float = 0,
    ) -> None:  # fmt: skip
        self.initial_learning_rate = checked_number(self, "initial_learning_rate", initial_learning_rate)
        self.decay_steps = self._steps("decay_steps", decay_steps)
        self.alpha = checked_number(self, "alpha", alpha)
        self.name = name
        self.warmup_target = None
        if warmup_target is not None:
            self.warmup_target = checked_number(self, "warmup_target", warmup_target)
        self.warmup_steps = self._steps("warmup_steps", warmup_steps) if warmup_steps else 0
        if self.warmup_steps and warmup_target is None:
            raise ValueError(f"CosineDecay: warmup_steps={warmup_steps} needs a warmup_target to climb to.")

    def __call__(self, step: int) -> float:
        peak = self.initial_learning_rate
        if self.warmup_target is not None:
            if step < self.warmup_steps:
                return _line(self.initial_learning_rate, self.warmup_target, step / self.warmup_steps)
            peak, step = self.warmup_target, step - self.warmup_steps
        return _cosine(peak, self.alpha * peak, min(step / self.decay_steps, 1.0))


class CosineDecayRestarts(LearningRateSchedule):
    """Half cosines from `initial_learning_rate` down to `alpha` times it, one after the other: the first takes
    `first_decay_steps`, each next one `t_mul` times as many and starts at `m_mul` times the rate."""

    _arguments = ("initial_learning_rate", "first_decay_steps", "t_mul", "m_mul", "alpha", "name")

    def __init__(
        self, initial_learning_rate: float, first_decay_steps: float, t_mul: float = 2.0, m_mul: float = 1.0,
        alpha: float = 0.0, name: str = "SGDRDecay",
    ) -> None:  # fmt: skip
        self.initial_learning_rate = checked_number(self, "initial_learning_rate", initial_learning_rate)
        self.first_decay_steps = self._steps("first_decay_steps", first_decay_steps)
        self.t_mul, self.m_mul = checked_number(self, "t_mul", t_mul), checked_number(self, "m_mul", m_mul)
        if self.t_mul < 1:
            raise ValueError(f"CosineDecayRestarts: t_mul must be at least 1; got {t_mul!r}.")
        self.alpha, self.name = checked_number(self, "alpha", alpha), name

    def __call__(self, step: int) -> float:
        share = step / self.first_decay_steps  # in first cosines
        if self.t_mul == 1.0:
            restarts = math.floor(share)
            share -= restarts
        else:
            restarts = math.floor(math.log(1 - share * (1 - self.t_mul)) / math.log(self.t_mul))
            share = (share - (1 - self.t_mul**restarts) / (1 - self.t_mul)) / self.t_mul**restarts
        fraction = self.m_mul**restarts * 0.5 * (1 + math.cos(math.pi * share))
        return self.initial_learning_rate * ((1 - self.alpha) * fraction + self.alpha)


class InverseTimeDecay(LearningRateSchedule):
    """`initial_learning_rate / (1 + decay_rate * step / decay_steps)`; `staircase` takes whole quotients only."""

    _arguments = ("initial_learning_rate", "decay_steps", "decay_rate", "staircase", "name")

    def __init__(
        self, initial_learning_rate: float, decay_steps: float, decay_rate: float, staircase: bool = False,
        name: str = "InverseTimeDecay",
    ) -> None:  # fmt: skip
        self.initial_learning_rate = checked_number(self, "initial_learning_rate", initial_learning_rate)
        self.decay_steps = self._steps("decay_steps", decay_steps)
        self.decay_rate = checked_number(self, "decay_rate", decay_rate)
        self.staircase, self.name = bool(staircase), name

    def __call__(self, step: int) -> float:
        passed = step // self.decay_steps if self.staircase else step / self.decay_steps
        return self.initial_learning_rate / (1 + self.decay_rate * passed)


class PolynomialDecay(LearningRateSchedule):
    """From `initial_learning_rate` to `end_learning_rate` over `decay_steps`, by `(1 - step / decay_steps) ** power`.

    With `cycle` the steps become the next multiple of `decay_steps` whenever they are over, and the rate goes up again.
    """

    _arguments = ("initial_learning_rate", "decay_steps", "end_learning_rate", "power", "cycle", "name")

    def __init__(
        self, initial_learning_rate: float, decay_steps: float, end_learning_rate: float = 0.0001, power: float = 1.0,
        cycle: bool = False, name: str = "PolynomialDecay",
    ) -> None:  # fmt: skip
        self.initial_learning_rate = checked_number(self, "initial_learning_rate", initial_learning_rate)
        self.decay_steps = self._steps("decay_steps", decay_steps)
        self.end_learning_rate = checked_number(self, "end_learning_rate", end_learning_rate)
        self.power, self.cycle, self.name = checked_number(self, "power", power), bool(cycle), name

    def __call__(self, step: int) -> float:
        steps = self.decay_steps * (max(1, math.ceil(step / self.decay_steps)) if self.cycle else 1)
        left = 1 - min(step, steps) / steps
        return _line(self.end_learning_rate, self.initial_learning_rate, left**self.power)


class PiecewiseConstantDecay(LearningRateSchedule):
    """`values[0]` up to and including step `boundaries[0]`, then `values[1]`, and so on: one value more than
    boundaries."""

    _arguments = ("boundaries", "values", "name")

    def __init__(self, boundaries: Sequence[float], values: Sequence[float], name: str = "PiecewiseConstant") -> None:
        self.boundaries = [checked_number(self, "boundaries", boundary) for boundary in boundaries]
        self.values = [checked_number(self, "values", value) for value in values]
        self.name = name
        if len(self.values) != len(self.boundaries) + 1:
            raise ValueError(
                "PiecewiseConstantDecay: values must be one more than boundaries; got "
                f"{len(self.values)} values and {len(self.boundaries)} boundaries."
            )
        if any(low >= high for low, high in pairwise(self.boundaries)):
            raise ValueError(f"PiecewiseConstantDecay: boundaries must increase; got {list(boundaries)}.")

    def __call__(self, step: int) -> float:
        return self.values[sum(step > boundary for boundary in self.boundaries)]


class OneCycle(LearningRateSchedule):
    """Up to a high rate and down to 0 within one run of `total_steps`; Keras has no such schedule.

    In a straight line from `start` times `peak_learning_rate` up to it over the first `warmup` share of the steps,
    then in a straight line down to 0. A rate this high would not converge if it lasted; falling to 0 makes up for it,
    and few epochs suffice (L. N. Smith and N. Topin, "Super-convergence", 2018).
    """

    _arguments = ("peak_learning_rate", "total_steps", "warmup", "start", "name")

    def __init__(
        self, peak_learning_rate: float, total_steps: float, warmup: float = 0.2, start: float = 0.1,
        name: str = "OneCycle",
    ) -> None:  # fmt: skip
        self.peak_learning_rate = checked_number(self, "peak_learning_rate", peak_learning_rate)
        self.total_steps = self._steps("total_steps", total_steps)
        self.warmup = checked_number(self, "warmup", warmup, 1)
        self.start = checked_number(self, "start", start, 1)
        self.name = name

    def __call__(self, step: int) -> float:
        peak, climb = self.peak_learning_rate, self.warmup * self.total_steps
        if step < climb:
            return _line(self.start * peak, peak, step / climb)
        if step >= self.total_steps:
            return 0.0
        return _line(peak, 0.0, (step - climb) / (self.total_steps - climb))


def _line(begin, end, share):
    return begin + share * (end - begin)


def _cosine(begin, end, share):
    return end + (begin - end) * 0.5 * (1 + math.cos(math.pi * share))


_CLASSES = (
    CosineDecay, CosineDecayRestarts, ExponentialDecay, InverseTimeDecay, OneCycle, PiecewiseConstantDecay,
    PolynomialDecay,
)  # fmt: skip
_REGISTRY = Registry("schedule", _CLASSES)

__all__ = [
    "CosineDecay", "CosineDecayRestarts", "ExponentialDecay", "InverseTimeDecay", "LearningRateSchedule", "OneCycle", "PiecewiseConstantDecay", "PolynomialDecay", "deserialize", "get", "serialize",
]  # fmt: skip


def get(identifier: Any, custom_objects: Any = None) -> LearningRateSchedule:
    """A LearningRateSchedule from a config or an object; ValueError with near matches for an unknown name."""
    return _REGISTRY.get(identifier, LearningRateSchedule, custom_objects)


def serialize(learning_rate_schedule: LearningRateSchedule) -> dict:
    """`{"class_name": ..., "config": ...}` of a schedule."""
    return registry.serialize(learning_rate_schedule)


def deserialize(config: Any, custom_objects: Any = None) -> LearningRateSchedule:
    """The schedule that `serialize` described."""
    return get(config, custom_objects)


_explain(__name__, __all__)


def __dir__() -> list[str]:
    return sorted(__all__)
