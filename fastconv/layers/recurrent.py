"""SimpleRNN, LSTM and GRU: an RNN with a cell of its own, made out of the layer's arguments.

Not here: the steps (cells.py) and the loop (rnn.py). Contract: arguments, weights and their order are Keras'; sequences
are (batch, steps, features), the output (batch, units), or (batch, steps, units) with `return_sequences`.
"""

from __future__ import annotations

from typing import Any

from fastconv.layers import configs
from fastconv.layers.annotations import ActivationLike, ConstraintLike, InitializerLike, RegularizerLike
from fastconv.layers.cells import GRUCell, LSTMCell, SimpleRNNCell
from fastconv.layers.rnn import RNN


class OwnCell(RNN):
    """Base class: the cell's arguments are attributes of the layer too."""

    made = ("cell",)

    def __init__(self, cell: Any, *args: Any, **kwargs: Any) -> None:
        kwargs.pop("implementation", None)  # of Keras' older versions, of which all give the same
        super().__init__(cell, *args, **kwargs)

    def __getattr__(self, name):
        cell = vars(self).get("cell")
        if cell is not None and name in configs.arguments(type(cell)):
            return getattr(cell, name)
        return super().__getattr__(name)


class SimpleRNN(OwnCell):
    """`h = activation(x @ kernel + h @ recurrent_kernel + bias)` along the steps; arguments as SimpleRNNCell and
    RNN."""

    def __init__(
        self, units: int, activation: ActivationLike | None = "tanh", use_bias: bool = True,
        kernel_initializer: InitializerLike | None = "glorot_uniform",
        recurrent_initializer: InitializerLike | None = "orthogonal",
        bias_initializer: InitializerLike | None = "zeros", kernel_regularizer: RegularizerLike | None = None,
        recurrent_regularizer: RegularizerLike | None = None, bias_regularizer: RegularizerLike | None = None,
        activity_regularizer: RegularizerLike | None = None, kernel_constraint: ConstraintLike | None = None,
        recurrent_constraint: ConstraintLike | None = None, bias_constraint: ConstraintLike | None = None,
        dropout: float = 0.0, recurrent_dropout: float = 0.0, return_sequences: bool = False,
        return_state: bool = False, go_backwards: bool = False, stateful: bool = False, unroll: bool = False,
        seed: int | None = None, **kwargs: Any,
    ) -> None:  # fmt: skip
        cell = SimpleRNNCell(
            units, activation, use_bias, kernel_initializer, recurrent_initializer, bias_initializer,
            kernel_regularizer, recurrent_regularizer, bias_regularizer, kernel_constraint, recurrent_constraint,
            bias_constraint, dropout, recurrent_dropout, seed, dtype=kwargs.get("dtype"), name="simple_rnn_cell",
        )  # fmt: skip
        super().__init__(
            cell, return_sequences, return_state, go_backwards, stateful, unroll,
            activity_regularizer=activity_regularizer, **kwargs,
        )  # fmt: skip


class LSTM(OwnCell):
    """Long short-term memory along the steps; arguments as LSTMCell and RNN. `use_cudnn` changes nothing."""

    def __init__(
        self, units: int, activation: ActivationLike | None = "tanh",
        recurrent_activation: ActivationLike | None = "sigmoid", use_bias: bool = True,
        kernel_initializer: InitializerLike | None = "glorot_uniform",
        recurrent_initializer: InitializerLike | None = "orthogonal",
        bias_initializer: InitializerLike | None = "zeros", unit_forget_bias: bool = True,
        kernel_regularizer: RegularizerLike | None = None, recurrent_regularizer: RegularizerLike | None = None,
        bias_regularizer: RegularizerLike | None = None, activity_regularizer: RegularizerLike | None = None,
        kernel_constraint: ConstraintLike | None = None, recurrent_constraint: ConstraintLike | None = None,
        bias_constraint: ConstraintLike | None = None, dropout: float = 0.0, recurrent_dropout: float = 0.0,
        seed: int | None = None, return_sequences: bool = False, return_state: bool = False,
        go_backwards: bool = False, stateful: bool = False, unroll: bool = False, use_cudnn: bool | str = "auto",
        **kwargs: Any,
    ) -> None:  # fmt: skip
        cell = LSTMCell(
            units, activation, recurrent_activation, use_bias, kernel_initializer, recurrent_initializer,
            bias_initializer, unit_forget_bias, kernel_regularizer, recurrent_regularizer, bias_regularizer,
            kernel_constraint, recurrent_constraint, bias_constraint, dropout, recurrent_dropout, seed,
            dtype=kwargs.get("dtype"), name="lstm_cell",
        )  # fmt: skip
        super().__init__(
            cell, return_sequences, return_state, go_backwards, stateful, unroll,
            activity_regularizer=activity_regularizer, **kwargs,
        )  # fmt: skip
        self.use_cudnn = use_cudnn


class GRU(OwnCell):
    """Gated recurrent unit along the steps; arguments as GRUCell and RNN. `use_cudnn` changes nothing."""

    def __init__(
        self, units: int, activation: ActivationLike | None = "tanh",
        recurrent_activation: ActivationLike | None = "sigmoid", use_bias: bool = True,
        kernel_initializer: InitializerLike | None = "glorot_uniform",
        recurrent_initializer: InitializerLike | None = "orthogonal",
        bias_initializer: InitializerLike | None = "zeros", kernel_regularizer: RegularizerLike | None = None,
        recurrent_regularizer: RegularizerLike | None = None, bias_regularizer: RegularizerLike | None = None,
        activity_regularizer: RegularizerLike | None = None, kernel_constraint: ConstraintLike | None = None,
        recurrent_constraint: ConstraintLike | None = None, bias_constraint: ConstraintLike | None = None,
        dropout: float = 0.0, recurrent_dropout: float = 0.0, seed: int | None = None, return_sequences: bool = False,
        return_state: bool = False, go_backwards: bool = False, stateful: bool = False, unroll: bool = False,
        reset_after: bool = True, use_cudnn: bool | str = "auto", **kwargs: Any,
    ) -> None:  # fmt: skip
        cell = GRUCell(
            units, activation, recurrent_activation, use_bias, kernel_initializer, recurrent_initializer,
            bias_initializer, kernel_regularizer, recurrent_regularizer, bias_regularizer, kernel_constraint,
            recurrent_constraint, bias_constraint, dropout, recurrent_dropout, reset_after, seed,
            dtype=kwargs.get("dtype"), name="gru_cell",
        )  # fmt: skip
        super().__init__(
            cell, return_sequences, return_state, go_backwards, stateful, unroll,
            activity_regularizer=activity_regularizer, **kwargs,
        )  # fmt: skip
        self.use_cudnn = use_cudnn
