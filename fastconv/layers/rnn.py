"""RNN: a cell run along the steps of a sequence; the layers with a cell of their own are in recurrent.py and
conv_lstm.py.

Not here: what a step computes (cells.py), and the loop itself (ops/recurrence.py). Contract: sequences are (batch,
steps, ...); masks are (batch, steps), and a step that does not count leaves the states as they are. Cells that a kernel
can take through all steps go there; of others, what they can compute for all steps at once, their input's product, is
one product, and the rest a scan.
"""

from __future__ import annotations

from typing import Any

from fastconv import ops
from fastconv.layers.base import Layer, building, is_shape
from fastconv.layers.cells import RecurrentCell, StackedRNNCells, check_cell, initial_state, output_size, parts_of
from fastconv.nest import flatten, pack
from fastconv.ops.masks import as_floats
from fastconv.ops.recurrence import assign, scan
from fastconv.symbolic import NoValues, is_tracing
from fastconv.tensor import Parameter


class RNN(Layer):
    """A cell along the steps of (batch, steps, ...): its last output, or all of them with `return_sequences`.

    `cell` is one, or a list of them, one upon the other. `return_state` gives (output, *last states); `go_backwards`
    starts at the end, and gives outputs in that order; `stateful` starts each batch at the states of the one before,
    until `reset_state()`, and needs a fixed batch size; `unroll` changes nothing. A masked step repeats the output
    before it, or gives zeros with `zero_output_for_mask`. Call it with `initial_state=[...]` to start elsewhere.
    """

    def __init__(
        self, cell: Any, return_sequences: bool = False, return_state: bool = False, go_backwards: bool = False,
        stateful: bool = False, unroll: bool = False, zero_output_for_mask: bool = False, **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(**kwargs)
        if isinstance(cell, (list, tuple)):
            cell = StackedRNNCells(cell, dtype=kwargs.get("dtype"))
        if isinstance(cell, RNN):
            raise TypeError(f"RNN takes a cell, such as LSTMCell(8), not a layer that has one; got {cell!r}.")
        check_cell(cell)
        self.cell = cell
        self.return_sequences, self.return_state = bool(return_sequences), bool(return_state)
        self.go_backwards, self.stateful, self.unroll = bool(go_backwards), bool(stateful), bool(unroll)
        self.zero_output_for_mask = bool(zero_output_for_mask)
        if not self._trainable and isinstance(cell, Layer):
            cell.trainable = False

    @property
    def state_size(self) -> list:
        """The size of each state's last axis."""
        size = self.cell.state_size
        return list(size) if isinstance(size, (list, tuple)) else [size]

    # Shapes

    def check_input(self, shape: Any) -> None:
        if not is_shape(shape) or len(shape) < 3:
            raise ValueError(
                f"{self._title()} takes sequences of shape (batch, steps, features); got {shape}. A single feature "
                "needs an axis: x = x[..., None]. A recurrent layer below gives sequences with return_sequences=True."
            )
        if shape[1] == 0:
            raise ValueError(f"{self._title()} needs a step at least; got the input shape {tuple(shape)}.")
        if self.built and isinstance(self.cell, Layer):
            self.cell.check_input(tuple(shape[:1]) + tuple(shape[2:]))

    def build(self, input_shape: Any) -> None:
        self.check_input(input_shape)
        if isinstance(self.cell, Layer) and not self.cell.built:
            self.cell.build((input_shape[0], *input_shape[2:]))
        if input_shape[0] is not None:
            self._make_states(input_shape)

    def ensure_built(self, shape: Any) -> None:
        super().ensure_built(shape)
        self._make_states(shape)

    def _make_states(self, shape):
        """The Parameters that hold the states of a stateful layer, for batches of this one's size."""
        if not self.stateful or self._rnn_states is not None:
            return
        if shape[0] is None:
            raise ValueError(f"{self._title()} is stateful, so it needs a batch size: Input(..., batch_size=n).")
        with building:
            if self._rnn_states is None:
                start = self._start(shape)
                states = [self.add_weight(s.shape, "zeros", trainable=False, name="rnn_state") for s in start]
                del self._fixed_weights[-len(states) :]  # get_weights of a stateful layer fits one that is not
                for state, values in zip(states, start):
                    state.assign(values)
                self._rnn_states = states

    def _output_shape(self, shape):
        """The shape of a step's output, and the nest of those of the states."""
        states = [_sized(shape[0], size) for size in self.state_size]
        return (shape[0], output_size(self.cell)), states

    def compute_output_shape(self, input_shape: Any, initial_state_shape: Any = None) -> Any:
        self.check_input(input_shape)
        (batch, *rest), states = self._output_shape(tuple(input_shape))
        output = (batch, input_shape[1], *rest) if self.return_sequences else (batch, *rest)
        return (output, *states) if self.return_state else output

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """The mask for sequences of outputs, else None."""
        mask = flatten(mask)[0] if self.return_sequences else None
        return [mask, *[None for _ in flatten(self.state_size)]] if self.return_state else mask

    # States

    @property
    def states(self) -> list[Parameter] | None:
        """What a stateful layer remembers, a Parameter for each state; None before it knows its batch size."""
        return self._rnn_states

    def get_initial_state(self, batch_size: int | None) -> list:
        """The states at which a batch of this size starts, zeros unless the cell says otherwise."""
        return initial_state(self.cell, batch_size)

    def reset_state(self) -> None:
        """Sets the states of a stateful layer to zeros."""
        for state in self._rnn_states or ():
            with state.writable() as values:
                values[...] = 0

    reset_states = reset_state

    def _start(self, shape):
        """The list of states at which sequences of this shape start."""
        return flatten(self.get_initial_state(shape[0]))

    def _states_for(self, sequences, initial_state):
        if initial_state is not None:
            given, wanted = flatten(initial_state), len(flatten(self.state_size))
            if len(given) != wanted:
                raise ValueError(f"{self._title()}: initial_state must hold {wanted} states; got {len(given)}.")
            return [ops.convert_to_tensor(state, self._dtype) for state in given]
        if self._rnn_states is not None:  # copies: the states change when the sequence is over
            size = self._rnn_states[0].shape[0]
            if sequences.shape[0] != size:
                raise ValueError(
                    f"{self._title()} is stateful for batches of {size} samples; got {sequences.shape[0]}."
                )
            return [ops.multiply(state, 1.0) for state in self._rnn_states]
        return self._start(sequences.shape)

    # Computing

    def call(self, sequences: Any, initial_state: Any = None, mask: Any = None, training: bool = False) -> Any:
        if sequences.symbolic and not is_tracing():
            raise NoValues("The steps are drawn where their number is known.")
        self._make_states(sequences.shape)
        states = self._states_for(sequences, initial_state)
        if mask is not None:
            mask = self._checked_mask(flatten(mask)[0], sequences.shape)
        if isinstance(self.cell, (RecurrentCell, StackedRNNCells)) and self.cell.runs_at_once(training):
            output, states = self.cell.at_once(
                sequences, states, mask, training, sequences=self.return_sequences, backwards=self.go_backwards,
                zero_masked=self.zero_output_for_mask, last=self.return_state or self.stateful,
            )  # fmt: skip
        else:
            output, states = self._scanned(sequences, states, mask, training)
        if self.stateful:
            for state, value in zip(self._rnn_states, states):
                assign(state, value)
        if not self.return_state:
            return output
        return (output, *pack(self.state_size, states))

    def _scanned(self, sequences, states, mask, training):
        """(output, last states), one step after another."""
        x, mask = ops.swapaxes(sequences, 0, 1), None if mask is None else ops.swapaxes(mask, 0, 1)
        project, step = parts_of(self.cell, x.shape[1:], states, training)
        outputs, states = scan(step, project(x), states, mask, self.go_backwards, self.zero_output_for_mask)
        return ops.stack(outputs, axis=1) if self.return_sequences else outputs[-1], states

    def _checked_mask(self, mask, shape):
        """(batch, steps), floats of 0 and 1."""
        mask = as_floats(mask, self._dtype)
        if mask.shape == (*shape[:2], 1):
            mask = ops.reshape(mask, shape[:2])
        if mask.shape != tuple(shape[:2]):
            raise ValueError(
                f"{self._title()}: mask must have one entry a step, {tuple(shape[:2])}; got shape {mask.shape}."
            )
        return mask


def _sized(batch, size):
    """(batch, size), or a list of such for the sizes of several states."""
    return [_sized(batch, one) for one in size] if isinstance(size, (list, tuple)) else (batch, size)
