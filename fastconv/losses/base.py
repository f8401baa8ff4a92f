"""Loss: the base of what `fit` makes small, and how targets, weights and reductions are treated in all of them.

No formula stands here. Contract: `loss(y_true, y_pred, sample_weight)` is a scalar Tensor (one value a sample with
reduction "none"), `loss.call` one value a sample; y_true may have any numeric dtype, y_pred keeps its own. What cannot
be said of tensors without data, such as which labels there are, is done to arrays in `target_array` before.
"""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np

from fastconv import kernels, ops
from fastconv.edge import refuse_masked
from fastconv.ops.masks import as_floats
from fastconv.registry import Configurable, checked_choice, snake_case
from fastconv.tensor import Tensor

REDUCTIONS = ("sum_over_batch_size", "sum", "mean", "mean_with_sample_weight", "none", None)


class Loss(Configurable):
    """Base class: a subclass defines `call(y_true, y_pred)` with one value a sample (or more).

    `reduction`: "sum_over_batch_size" or "mean" (the sum of the weighted values, divided by their number), "sum",
    "mean_with_sample_weight" (divided by the sum of the weights) or "none" (the values). `dtype` is what y_pred is
    converted to; by default it keeps its own.
    """

    def __init__(
        self, name: str | None = None, reduction: str | None = "sum_over_batch_size", dtype: str | None = None
    ) -> None:
        self.name = name or snake_case(type(self).__name__)
        self.reduction = checked_choice(self, "reduction", reduction, REDUCTIONS)
        self._dtype = None if dtype is None else np.dtype(getattr(dtype, "name", dtype))

    @property
    def dtype(self) -> str:
        """What y_pred is converted to where that was asked for, else fastconv's default, "float32"."""
        return "float32" if self._dtype is None else self._dtype.name

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        if self._dtype is None:
            config.pop("dtype", None)
        return config

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Tensor:
        """The reduced values of `call`; ValueError on an empty batch, and for weights that fit no values.

        `sample_weight` has one number a sample, or one a value: its shape is the start of the values'. Where y_pred has
        a mask (layers.Masking, layers.Embedding), only the steps that it names count.
        """
        counted = getattr(y_pred, "_keras_mask", None)
        y_pred = as_float(y_pred, self._dtype)
        if 0 in y_pred.shape:
            raise ValueError(f"{self.name} has no mean over an empty batch; y_pred has shape {y_pred.shape}.")
        y_true = self._target(y_true, y_pred)
        values = ops.convert_to_tensor(self.call(y_true, y_pred))
        mask = self.mask(y_true, values)
        if counted is not None:
            mask = _both(self.name, as_floats(counted, values.dtype), mask, values)
        return reduced(self.name, values, sample_weight, mask, self.reduction)

    def call(self, y_true: Any, y_pred: Any) -> Tensor:
        """One value a sample, or more; y_true is in y_pred's dtype."""
        raise NotImplementedError(f"{type(self).__name__} must define call(y_true, y_pred).")

    def mask(self, y_true: Any, values: Any) -> Tensor | None:
        """1 where a value counts and 0 where it does not, of the values' shape; None where all do."""

    def _target(self, y_true, y_pred):
        """y_true in the form that `call` takes."""
        if isinstance(y_true, Tensor):
            made_by_a_network = y_true.requires_grad and type(self).target_array is Loss.target_array
            if y_true.symbolic or made_by_a_network:  # a program's: target_array made what it stands for
                return y_true if y_true.dtype == y_pred.dtype else ops.cast(y_true, y_pred.dtype)
            y_true = y_true.data
        return Tensor(self.target_array(y_true, y_pred.dtype))

    def target_array(self, y_true: Any, dtype: Any) -> np.ndarray:
        """Targets as an array in the form that `call` takes, for outputs of `dtype`."""
        return numbers("y_true", y_true).astype(dtype, copy=False)

    def doubt(self, target: Any, output: np.ndarray) -> str | None:
        """A sentence on why this loss says little of such targets and outputs, arrays of a batch; None by default."""

    def check_values(self, target: Any, output_shape: Any) -> None:
        """Raises ValueError where the values of such an array do not fit outputs of this shape."""

    def __setattr__(self, name, value):
        object.__setattr__(self, name, value)
        kernels.note_change()  # programs hold what a loss does


class FormulaLoss(Loss):
    """A Loss whose `call` is `formula(y_true, y_pred, **settings)`, the function of the same name in Keras."""

    formula = None  # a staticmethod

    def __init__(self, name: str | None, reduction: str | None, dtype: str | None, **settings: Any) -> None:
        super().__init__(name, reduction, dtype)
        self._settings = tuple(settings)
        for setting, value in settings.items():
            setattr(self, setting, value)

    def call(self, y_true: Any, y_pred: Any) -> Tensor:
        return self.formula(y_true, y_pred, **{setting: getattr(self, setting) for setting in self._settings})


class FunctionLoss(Loss):
    """A function `(y_true, y_pred)` of the user's as a Loss."""

    def __init__(self, function):
        super().__init__(name=getattr(function, "__name__", type(function).__name__))
        self.function = function

    def call(self, y_true: Any, y_pred: Any) -> Tensor:
        return ops.convert_to_tensor(self.function(*_same_rank(y_true, ops.convert_to_tensor(y_pred))))

    def get_config(self):
        raise ValueError(f"The loss {self.name!r} is a function of yours, which a model file cannot hold.")


def _both(name, counted, mask, values):
    """The output's mask, of values' shape or the start of it, and a loss's own."""
    counted = ops.reshape(counted, fitted_weight(name, counted.shape, values.shape))
    return ops.multiply(counted, np.ones(values.shape, values.dtype) if mask is None else mask)


def _same_rank(y_true, y_pred):
    """Targets and outputs with equally many axes where one of them lacks a last axis of 1, as Keras gives them to the
    user's functions: else (batch,) and (batch, 1) would broadcast."""
    if len(y_pred.shape) == len(y_true.shape) + 1 and y_pred.shape[-1] == 1:
        if len(y_true.shape) == 1:
            return ops.expand_dims(y_true, -1), y_pred
        return y_true, ops.squeeze(y_pred, -1)
    if len(y_true.shape) == len(y_pred.shape) + 1 and y_true.shape[-1] == 1:
        return ops.squeeze(y_true, -1), y_pred
    return y_true, y_pred


# What formulas share


def as_float(values, dtype=None) -> Tensor:
    """`values` as a Tensor of floats, in `dtype` if that is given: numbers that are no floats become float32."""
    if not isinstance(values, Tensor):
        values = numbers("y_pred", values)
        if values.dtype not in (np.float32, np.float64):
            values = values.astype(np.float32)
    return ops.convert_to_tensor(values, dtype)


def numbers(name: str, values: Any) -> np.ndarray:
    """`values`, no Tensor, as an array of real numbers or bools; TypeError naming `name` otherwise."""
    refuse_masked(values)
    values = np.asarray(values)
    if values.dtype.kind not in "biuf":
        raise TypeError(f"{name} must hold real numbers; got {values.dtype} data.")
    return values


def pair(name: str, y_true: Any, y_pred: Any) -> tuple[Tensor, Tensor]:
    """Targets and outputs as Tensors of one float dtype and one shape.

    A last axis of 1 may be missing in one of them; nothing else is broadcast: ValueError.
    """
    y_true, y_pred = typed(y_true, y_pred)
    shape, wanted = y_true.shape, y_pred.shape
    if shape == wanted:
        return y_true, y_pred
    if shape == (*wanted, 1) and len(wanted) == 1:
        return y_true, ops.reshape(y_pred, shape)  # (batch,) is one value a sample, not one sample
    if (*shape, 1) != wanted and shape != (*wanted, 1):
        raise ValueError(f"{name} expects targets of the output's shape {wanted}; got {shape}.{remedy(shape, wanted)}")
    return ops.reshape(y_true, wanted), y_pred


def remedy(target: tuple, output: tuple) -> str:
    """What may be wrong where targets of one shape meet outputs of another: a sentence with a space before it, or ""."""
    if len(output) > 2 and len(target) <= 2 and (len(target) < 2 or target[-1] in (1, output[-1])):
        return (
            f" The output has {len(output)} axes, and so one answer for each of many places: put layers.Flatten() or "
            "a layer of global pooling before the last Dense."
        )
    if target[:-1] == output:
        return " These targets were made one-hot twice, or have an axis too many."
    if target[:-1] == output[:-1] == output[:1] and output[-1] == 1:
        return (
            f" The model gives one value a sample: a last layer of {target[-1]} units fits these targets; for two "
            "classes, one column does too: y = y[:, 1]."
        )
    if target[:-1] == output[:-1] and len(output) > 1 and len(target) == len(output):
        return (
            f" The model's last layer gives {output[-1]} values, and the targets have {target[-1]}: make it "
            f"{target[-1]} units, or the targets {output[-1]} classes."
        )
    if len(output) == 2 and target in (output[:1], (*output[:1], 1)):
        return (
            f" For class labels use loss='sparse_categorical_crossentropy'; for one number a sample, a last layer of 1 "
            f"unit instead of {output[-1]}."
        )
    return ""


def typed(y_true: Any, y_pred: Any) -> tuple[Tensor, Tensor]:
    """Targets and outputs as Tensors of the outputs' float dtype."""
    y_pred = as_float(y_pred)
    if not isinstance(y_true, Tensor):
        y_true = numbers("y_true", y_true).astype(y_pred.dtype, copy=False)
    elif y_true.dtype != y_pred.dtype:
        y_true = ops.cast(y_true, y_pred.dtype)
    return ops.convert_to_tensor(y_true), y_pred


def smoothed(y_true: Any, label_smoothing, classes):
    """Targets moved by the share `label_smoothing` towards 1 / classes."""
    if not label_smoothing:
        return y_true
    return ops.add(ops.multiply(y_true, 1.0 - label_smoothing), label_smoothing / classes)


def check_smoothing(owner, value) -> float:
    """`label_smoothing` as a float from 0 to 1."""
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 <= value <= 1:
        raise ValueError(f"{type(owner).__name__}: label_smoothing must be a number from 0 to 1; got {value!r}.")
    return float(value)


def fitted_weight(name: str, weight, shape):
    """The shape in which weights of shape `weight` broadcast against values of `shape`; ValueError where none does."""
    if not shape:
        return weight
    fitted = weight
    while len(fitted) > len(shape) and fitted[-1] == 1:
        fitted = fitted[:-1]
    fitted = fitted + (1,) * (len(shape) - len(fitted))
    if len(fitted) > len(shape) or any(a not in (1, b) for a, b in zip(fitted, shape)):
        raise ValueError(
            f"{name}: sample_weight of shape {weight} does not fit values of shape {shape}: give one weight a sample, "
            f"shape {shape[:1]}, or one a value."
        )
    return fitted


def reduced(name: str, values, weight, mask, reduction) -> Tensor:
    """`values`, weighted and masked, as the reduction has it; where nothing counts, 0."""
    if weight is not None:
        weight = typed(weight, values)[0]
        given = weight.shape
        weight = ops.reshape(weight, fitted_weight(name, weight.shape, values.shape))
        values = ops.multiply(values, weight)
    if mask is not None:
        values = ops.multiply(values, mask)
    if reduction in (None, "none") or not values.shape:
        column = weight is not None and len(given) == 2 and given[1] == 1 and len(values.shape) == 1
        return ops.expand_dims(values, -1) if column else values  # as Keras, whose values follow a column of weights
    if reduction == "sum":
        return ops.sum(values)
    if reduction == "mean_with_sample_weight" and weight is not None:
        counted = weight if mask is None else ops.multiply(weight, mask)
        counted = ops.multiply(counted, np.ones(values.shape, values.dtype))
        return ops.divide_no_nan(ops.sum(values), ops.sum(counted))
    if mask is not None:
        return ops.divide(ops.sum(values), ops.maximum(ops.sum(mask), 1.0))
    return ops.mean(values)
