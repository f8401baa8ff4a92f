"""Cells: one step of a recurrent layer, with its weights: SimpleRNNCell, LSTMCell, GRUCell, and StackedRNNCells.

Not here: the loop over the steps (rnn.py). Contract: `cell(x, states)` gives (output, list of new states) for x
(batch, features) and states (batch, units) each; `state_size`, `output_size` and `get_initial_state` are Keras', for
cells of a user's own too. A cell of this file also says what it can compute for all steps at once: `parts`. Dropout
draws one mask for all steps and gates of a sequence. What kernels.recurrence knows runs all steps `at_once`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fastconv import activations, ops, rng
from fastconv.kernels import ACTIVATIONS
from fastconv.layers.annotations import ActivationLike, ConstraintLike, InitializerLike, RegularizerLike
from fastconv.layers.base import Layer
from fastconv.layers.spatial import positive
from fastconv.nest import flatten
from fastconv.ops.recurrence import recurrence
from fastconv.registry import checked_number
from fastconv.symbolic import NoValues
from fastconv.tensor import Tensor, wrap


@functools.lru_cache(maxsize=64)
def constant(value: float, shape: tuple, dtype) -> np.ndarray:
    """An array of one value, the same object at each call, by which programs know that they compute the same again."""
    array = np.full(shape, value, dtype)
    array.flags.writeable = False
    return array


class RecurrentCell(Layer):
    """Base class: an input product for all steps, and a step that adds the state's.

    A subclass gives `gates` (how many times `units` its kernels are wide), `project(x)` and `stepper(drop)`: a function
    of a projected x and the states, where `drop(h)` is dropout of a state.
    """

    gates = 1
    _kind = None  # of kernels.recurrence

    def _set_cell(self, activation, use_bias, dropout, recurrent_dropout, seed, **rules):
        self.activation = activations.get(activation)
        self.use_bias = bool(use_bias)
        self._keep_rules(**rules)
        self.dropout = checked_number(self, "dropout", dropout, 1)
        self.recurrent_dropout = checked_number(self, "recurrent_dropout", recurrent_dropout, 1)
        self.seed = seed
        self._generator = None if seed is None else rng.SeedGenerator(seed)
        self.kernel = self.recurrent_kernel = self.bias = None

    @property
    def state_size(self) -> int | list:
        """The size of the last axis of each state: one number, or a list."""
        return self.units

    @property
    def output_size(self) -> int:
        """The size of the output's last axis."""
        return self.units

    def get_initial_state(self, batch_size: int | None = None) -> list[Tensor]:
        """States of zeros for a batch of this size."""
        sizes = self.state_size if isinstance(self.state_size, list) else [self.state_size]
        return [wrap(constant(0.0, (batch_size, size), self._dtype)) for size in sizes]

    def check_input(self, shape: Any) -> None:
        if len(shape) != 2 or not shape[-1]:
            raise ValueError(f"{self._title()} takes one step of shape (batch, features); got {tuple(shape)}.")
        if self.built and shape[-1] != self.kernel.shape[-2]:
            raise ValueError(
                f"{self._title()} was built for {self.kernel.shape[-2]} features; got {shape[-1]} in the input shape "
                f"{tuple(shape)}."
            )

    def build(self, input_shape: Any) -> None:
        self.check_input(input_shape)
        self._add_weights((input_shape[-1],), (self.units,), self.units)

    def _add_weights(self, inputs, states, width, bias=None):
        """Kernels (*inputs, gates * width) and (*states, gates * width), and a bias of this shape, one row by
        default."""
        self.kernel = self._add_ruled("kernel", (*inputs, self.gates * width))
        self.recurrent_kernel = self._add_ruled("recurrent_kernel", (*states, self.gates * width), "recurrent")
        if self.use_bias:
            self.bias = self._add_ruled("bias", bias or (self.gates * width,))

    def call(self, inputs: Any, states: Any, training: bool = False) -> Any:
        project, step = self.parts(inputs.shape, states, training)
        return step(project(inputs), list(flatten(states)))

    def parts(self, shape: Any, states: Any, training: bool) -> tuple[Callable[..., Any], Callable[..., Any]]:
        """(project, step): `step(project(x), states)` is the cell's call, where x may be all steps of a sequence,
        (steps, batch, ...), if the steps have the `shape` (batch, ...)."""
        drop_x = self._dropped(self.dropout, shape, training)
        step = self.stepper(self._dropped(self.recurrent_dropout, flatten(states)[0].shape, training))
        return lambda x: self.project(drop_x(x)), step

    def _dropped(self, rate, shape, training):
        """Dropout by one mask of this shape."""
        if not training or not 0 < rate < 1:
            return lambda x: x
        if None in shape:
            raise NoValues("Dropout draws its mask where the batch is known.")
        mask = ops.dropout(wrap(constant(1.0, tuple(shape), self._dtype)), rate, None, self._generator)
        return lambda x: ops.multiply(x, mask)

    def project(self, x: Any) -> Tensor:
        return ops.dense(x, self.kernel, self.bias)

    def stepper(self, drop: Any) -> Callable[..., Any]:
        raise NotImplementedError

    def _functions(self, training):
        """The names of the functions as kernels.recurrence knows them; None where only a scan can run the steps: with
        another function, dropout of states, or a subclass' own `call`."""
        given = self.activation, getattr(self, "recurrent_activation", self.activation)
        names = [next((n for n in ACTIVATIONS if getattr(activations, n) is f), None) for f in given]
        drops = training and 0 < self.recurrent_dropout < 1
        known = self._kind is not None and type(self).call is RecurrentCell.call and None not in names
        return names if known and not drops else None

    def runs_at_once(self, training: bool) -> bool:
        """Whether `at_once` can run the steps of a sequence."""
        return self._functions(training) is not None

    def at_once(self, x: Any, states: list, mask: Any, training: bool, **options: Any) -> tuple[Tensor, list[Tensor]]:
        """(output, last states) of all steps of x (batch, steps, features); `options` as of ops.recurrence."""
        x = self._dropped(self.dropout, (x.shape[0], 1, x.shape[2]), training)(x)
        activation, recurrent = self._functions(training)
        return recurrence(
            self.project(x), self.recurrent_kernel, self._state_bias(), mask, states, kind=self._kind,
            activation=activation, recurrent=recurrent, **options,
        )  # fmt: skip

    def _state_bias(self):
        """What is added to the state's product, if anything is."""
        return None

    def compute_output_shape(self, input_shape: Any, states_shape: Any = None) -> Any:
        self.check_input(input_shape)
        sizes = self.state_size if isinstance(self.state_size, list) else [self.state_size]
        return (input_shape[0], self.units), [(input_shape[0], size) for size in sizes]


class SimpleRNNCell(RecurrentCell):
    """`h = activation(x @ kernel + h @ recurrent_kernel + bias)`, which is output and state.

    Weights: kernel `(features, units)`, recurrent_kernel `(units, units)`, bias `(units,)`. Arguments as in Keras.
    """

    _kind = "simple"

    def __init__(
        self, units: int, activation: ActivationLike | None = "tanh", use_bias: bool = True,
        kernel_initializer: InitializerLike | None = "glorot_uniform",
        recurrent_initializer: InitializerLike | None = "orthogonal",
        bias_initializer: InitializerLike | None = "zeros", kernel_regularizer: RegularizerLike | None = None,
        recurrent_regularizer: RegularizerLike | None = None, bias_regularizer: RegularizerLike | None = None,
        kernel_constraint: ConstraintLike | None = None, recurrent_constraint: ConstraintLike | None = None,
        bias_constraint: ConstraintLike | None = None, dropout: float = 0.0, recurrent_dropout: float = 0.0,
        seed: int | None = None, **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(**kwargs)
        self.units = positive(units, "units", self)
        self._set_cell(
            activation, use_bias, dropout, recurrent_dropout, seed, kernel_initializer=kernel_initializer,
            recurrent_initializer=recurrent_initializer, bias_initializer=bias_initializer,
            kernel_regularizer=kernel_regularizer, recurrent_regularizer=recurrent_regularizer,
            bias_regularizer=bias_regularizer, kernel_constraint=kernel_constraint,
            recurrent_constraint=recurrent_constraint, bias_constraint=bias_constraint,
        )  # fmt: skip

    def stepper(self, drop: Any) -> Callable[..., Any]:
        def step(x, states):
            h = self.activation(ops.add(x, ops.dense(drop(states[0]), self.recurrent_kernel)))
            return h, [h]

        return step


class LongShortTerm(RecurrentCell):
    """Base class of LSTM cells: the states h and c, and the gates i, f, c and o, which stand in this order in the
    kernels.

    A subclass says what the products are: `project(x)` and `recur(h)`.
    """

    gates = 4

    def _add_weights(self, inputs, states, width, bias=None):
        super()._add_weights(inputs, states, width, bias)
        if self.use_bias and self.unit_forget_bias:
            with self.bias.writable() as values:
                values[width : 2 * width] = 1

    def recur(self, h: Tensor) -> Tensor:
        """The product of a state and the recurrent kernel."""
        return ops.dense(h, self.recurrent_kernel)

    def stepper(self, drop: Any) -> Callable[..., Any]:
        def step(x, states):
            h, c = states
            i, f, new, o = ops.split(ops.add(x, self.recur(drop(h))), 4, axis=-1)
            kept = ops.multiply(self.recurrent_activation(f), c)
            c = ops.add(kept, ops.multiply(self.recurrent_activation(i), self.activation(new)))
            h = ops.multiply(self.recurrent_activation(o), self.activation(c))
            return h, [h, c]

        return step


class LSTMCell(LongShortTerm):
    """Long short-term memory: the states h and c; the gates i, f, c, o stand in this order in the kernels.

    Weights: kernel `(features, 4 * units)`, recurrent_kernel `(units, 4 * units)`, bias `(4 * units,)`, which starts
    at 1 for f if `unit_forget_bias`. Arguments as in Keras.
    """

    _kind = "lstm"

    def __init__(
        self, units: int, activation: ActivationLike | None = "tanh",
        recurrent_activation: ActivationLike | None = "sigmoid", use_bias: bool = True,
        kernel_initializer: InitializerLike | None = "glorot_uniform",
        recurrent_initializer: InitializerLike | None = "orthogonal",
        bias_initializer: InitializerLike | None = "zeros", unit_forget_bias: bool = True,
        kernel_regularizer: RegularizerLike | None = None, recurrent_regularizer: RegularizerLike | None = None,
        bias_regularizer: RegularizerLike | None = None, kernel_constraint: ConstraintLike | None = None,
        recurrent_constraint: ConstraintLike | None = None, bias_constraint: ConstraintLike | None = None,
        dropout: float = 0.0, recurrent_dropout: float = 0.0, seed: int | None = None, **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(**kwargs)
        self.units = positive(units, "units", self)
        self.recurrent_activation = activations.get(recurrent_activation)
        self.unit_forget_bias = bool(unit_forget_bias)
        self._set_cell(
            activation, use_bias, dropout, recurrent_dropout, seed, kernel_initializer=kernel_initializer,
            recurrent_initializer=recurrent_initializer, bias_initializer=bias_initializer,
            kernel_regularizer=kernel_regularizer, recurrent_regularizer=recurrent_regularizer,
            bias_regularizer=bias_regularizer, kernel_constraint=kernel_constraint,
            recurrent_constraint=recurrent_constraint, bias_constraint=bias_constraint,
        )  # fmt: skip

    @property
    def state_size(self) -> list:
        """The sizes of h and c."""
        return [self.units, self.units]


class GRUCell(RecurrentCell):
    """Gated recurrent unit: the gates z, r, h stand in this order in the kernels; r acts on the state's product for h
    (`reset_after`), or on the state before it.

    Weights: kernel `(features, 3 * units)`, recurrent_kernel `(units, 3 * units)`, bias `(2, 3 * units)`, one row for
    each of them, or `(3 * units,)` without `reset_after`. Arguments as in Keras.
    """

    gates = 3

    @property
    def _kind(self):
        return "gru" if self.reset_after else "gru_before"

    def _state_bias(self):
        return self.bias[1] if self.use_bias and self.reset_after else None

    def __init__(
        self, units: int, activation: ActivationLike | None = "tanh",
        recurrent_activation: ActivationLike | None = "sigmoid", use_bias: bool = True,
        kernel_initializer: InitializerLike | None = "glorot_uniform",
        recurrent_initializer: InitializerLike | None = "orthogonal",
        bias_initializer: InitializerLike | None = "zeros", kernel_regularizer: RegularizerLike | None = None,
        recurrent_regularizer: RegularizerLike | None = None, bias_regularizer: RegularizerLike | None = None,
        kernel_constraint: ConstraintLike | None = None, recurrent_constraint: ConstraintLike | None = None,
        bias_constraint: ConstraintLike | None = None, dropout: float = 0.0, recurrent_dropout: float = 0.0,
        reset_after: bool = True, seed: int | None = None, **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(**kwargs)
        self.units = positive(units, "units", self)
        self.recurrent_activation = activations.get(recurrent_activation)
        self.reset_after = bool(reset_after)
        self._set_cell(
            activation, use_bias, dropout, recurrent_dropout, seed, kernel_initializer=kernel_initializer,
            recurrent_initializer=recurrent_initializer, bias_initializer=bias_initializer,
            kernel_regularizer=kernel_regularizer, recurrent_regularizer=recurrent_regularizer,
            bias_regularizer=bias_regularizer, kernel_constraint=kernel_constraint,
            recurrent_constraint=recurrent_constraint, bias_constraint=bias_constraint,
        )  # fmt: skip

    def _add_weights(self, inputs, states, width, bias=None):
        super()._add_weights(inputs, states, width, (2, 3 * width) if self.reset_after else None)

    def project(self, x: Any) -> Tensor:
        bias = self.bias[0] if self.use_bias and self.reset_after else self.bias
        return ops.dense(x, self.kernel, bias)

    def stepper(self, drop: Any) -> Callable[..., Any]:
        units, kernel, bias = self.units, self.recurrent_kernel, self._state_bias()
        if not self.reset_after:
            kernel, last = self.recurrent_kernel[:, : 2 * units], self.recurrent_kernel[:, 2 * units :]

        def step(x, states):
            h = drop(states[0])
            products = ops.split(ops.dense(h, kernel, bias), 3 if self.reset_after else 2, axis=-1)
            z, r, new = ops.split(x, 3, axis=-1)
            z = self.recurrent_activation(ops.add(z, products[0]))
            r = self.recurrent_activation(ops.add(r, products[1]))
            gated = ops.multiply(r, products[2]) if self.reset_after else ops.dense(ops.multiply(r, h), last)
            new = self.activation(ops.add(new, gated))
            h = ops.add(ops.multiply(z, states[0]), ops.multiply(ops.subtract(1.0, z), new))
            return h, [h]

        return step


def parts_of(cell, shape, states, training):
    """(project, step) of any cell: see RecurrentCell.parts. What a class has a `call` of its own for is done by
    that."""
    if type(cell).call in (RecurrentCell.call, StackedRNNCells.call):
        return cell.parts(shape, states, training)

    def step(x, states):
        output, new = cell(x, states, training=training) if isinstance(cell, Layer) else cell(x, states)
        return output, flatten(new)

    return (lambda x: x), step


class StackedRNNCells(Layer):
    """Cells one upon the other, each on the output of the one below: the states are those of all, in their order."""

    def __init__(self, cells: Sequence[Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.cells = list(cells)
        for cell in self.cells:
            check_cell(cell)
        if not self.cells:
            raise ValueError("StackedRNNCells needs a cell at least.")

    @property
    def state_size(self) -> list:
        """The state sizes of each cell."""
        return [cell.state_size for cell in self.cells]

    @property
    def output_size(self) -> int:
        """That of the last cell."""
        return output_size(self.cells[-1])

    def get_initial_state(self, batch_size: int | None = None) -> list:
        """States of zeros, those of each cell in a list."""
        return [initial_state(cell, batch_size) for cell in self.cells]

    def build(self, input_shape: Any) -> None:
        for cell in self.cells:
            if isinstance(cell, Layer) and not cell.built:
                cell.build(input_shape)
            input_shape = (input_shape[0], output_size(cell))

    def call(self, inputs: Any, states: Any, training: bool = False) -> Any:
        project, step = self.parts(inputs.shape, flatten(states), training)
        output, new = step(project(inputs), flatten(states))
        return output, self._nested(new)

    def parts(self, shape: Any, states: Any, training: bool) -> tuple[Callable[..., Any], Callable[..., Any]]:
        """As RecurrentCell.parts: the first cell's input product is that of all steps."""
        rows = []
        for cell, own in zip(self.cells, self._nested(flatten(states))):
            rows.append((*parts_of(cell, shape, own, training), len(own)))
            shape = (shape[0], output_size(cell))

        def step(x, states):
            found, place = [], 0
            for number, (project, one, count) in enumerate(rows):
                x, new = one(project(x) if number else x, states[place : place + count])
                found += new
                place += count
            return x, found

        return rows[0][0], step

    def runs_at_once(self, training: bool) -> bool:
        """Whether `at_once` can run the steps: all cells can."""
        runs = [getattr(cell, "runs_at_once", None) for cell in self.cells]
        return type(self).call is StackedRNNCells.call and all(run is not None and run(training) for run in runs)

    def at_once(
        self, x: Any, states: list, mask: Any, training: bool, *, sequences: bool, backwards: bool, **options: Any
    ) -> tuple[Tensor, list[Tensor]]:
        """As RecurrentCell.at_once: each cell goes through all steps before the next one does."""
        found = []
        for number, (cell, own) in enumerate(zip(self.cells, self._nested(states)), 1):
            x, new = cell.at_once(
                x, own, mask, training, sequences=sequences or number < len(self.cells), backwards=backwards, **options
            )
            found += new
            if backwards and mask is not None and number == 1:  # outputs are in the order of the steps
                mask = ops.flip(mask, 1)
            backwards = False
        return x, found

    def _nested(self, states):
        """The list of all states as a list for each cell."""
        states = iter(states)
        return [[next(states) for _ in flatten(cell.state_size)] for cell in self.cells]

    def compute_output_shape(self, input_shape: Any, states_shape: Any = None) -> Any:
        batch = input_shape[0]
        states = [[(batch, size) for size in flatten(cell.state_size)] for cell in self.cells]
        return (batch, self.output_size), states


def check_cell(cell) -> None:
    """TypeError unless an RNN can run this cell."""
    if not callable(getattr(cell, "call", None)) or not hasattr(cell, "state_size"):
        raise TypeError(
            f"A cell needs call(inputs, states), which gives (output, new states), and state_size; got {cell!r}. "
            "LSTM(units) is a layer: its cell is LSTMCell(units)."
        )


def output_size(cell) -> int:
    """The size of the last axis of what a cell gives."""
    known = getattr(cell, "output_size", None)
    return flatten(cell.state_size)[0] if known is None else known


def initial_state(cell, batch_size) -> list:
    """The states of zeros at which a sequence starts."""
    if hasattr(cell, "get_initial_state"):
        states = cell.get_initial_state(batch_size=batch_size)
        return list(states) if isinstance(states, (list, tuple)) else [states]
    dtype = np.dtype(getattr(cell, "dtype", "float32"))
    return [wrap(constant(0.0, (batch_size, size), dtype)) for size in flatten(cell.state_size)]
