"""ConvLSTM1D, 2D and 3D: LSTMs whose products are convolutions, along the steps of (batch, steps, *spatial, channels).

ConvLSTM is the one definition; the rank is in the names. The loop is rnn.py's. Contract: the input's convolutions of
all steps are one; arguments, weights and their order are Keras'; channels last.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastconv import activations, ops
from fastconv.kernels.geometry import per_axis
from fastconv.layers.annotations import ActivationLike, ConstraintLike, InitializerLike, RegularizerLike
from fastconv.layers.cells import LongShortTerm, constant
from fastconv.layers.recurrent import OwnCell
from fastconv.layers.spatial import check_data_format, positive
from fastconv.ops.conv import conv_shape
from fastconv.tensor import Tensor, wrap


class ConvLSTMCell(LongShortTerm):
    """One step of a ConvLSTM on (batch, *spatial, channels); the states are (batch, *output, filters).

    Weights: kernel `(*kernel_size, channels, 4 * filters)`, recurrent_kernel `(*kernel_size, filters, 4 * filters)`,
    bias `(4 * filters,)`. The state's convolution is padded to its own size. Arguments as in Keras."""

    def __init__(
        self, rank: int, filters: int, kernel_size: int | Sequence[int], strides: int | Sequence[int] = 1,
        padding: str = "valid", data_format: str | None = None, dilation_rate: int | Sequence[int] = 1,
        activation: ActivationLike | None = "tanh", recurrent_activation: ActivationLike | None = "sigmoid",
        use_bias: bool = True, kernel_initializer: InitializerLike | None = "glorot_uniform",
        recurrent_initializer: InitializerLike | None = "orthogonal",
        bias_initializer: InitializerLike | None = "zeros", unit_forget_bias: bool = True,
        kernel_regularizer: RegularizerLike | None = None, recurrent_regularizer: RegularizerLike | None = None,
        bias_regularizer: RegularizerLike | None = None, kernel_constraint: ConstraintLike | None = None,
        recurrent_constraint: ConstraintLike | None = None, bias_constraint: ConstraintLike | None = None,
        dropout: float = 0.0, recurrent_dropout: float = 0.0, seed: int | None = None, **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(**kwargs)
        check_data_format(data_format, self)
        self.rank, self.data_format = rank, data_format
        self.filters = positive(filters, "filters", self)
        self.kernel_size = per_axis("kernel_size", kernel_size, rank)
        self.strides = per_axis("strides", strides, rank)
        self.dilation_rate = per_axis("dilation_rate", dilation_rate, rank)
        self.padding = padding.lower() if isinstance(padding, str) else padding
        if self.padding not in ("valid", "same"):
            raise ValueError(f"ConvLSTM: padding must be 'valid' or 'same'; got {padding!r}.")
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
    def units(self) -> int:
        """The filters, as the size of each state's last axis."""
        return self.filters

    @property
    def state_size(self) -> list:
        """The sizes of the last axes of h and c."""
        return [self.filters, self.filters]

    def check_input(self, shape: Any) -> None:
        if len(shape) != self.rank + 2 or not shape[-1]:
            raise ValueError(
                f"{self._title()} takes steps of shape (batch, {self.rank} spatial axes, channels); got {tuple(shape)}."
            )
        if self.built and shape[-1] != self.kernel.shape[-2]:
            raise ValueError(
                f"{self._title()} was built for {self.kernel.shape[-2]} channels; got {shape[-1]} in the input shape "
                f"{tuple(shape)}."
            )

    def build(self, input_shape: Any) -> None:
        self.check_input(input_shape)
        inputs, states = (*self.kernel_size, input_shape[-1]), (*self.kernel_size, self.filters)
        self._add_weights(inputs, states, self.filters)

    def state_shape(self, shape: Any) -> tuple:
        """The shape of a state, and of the output, for steps of this shape."""
        kernel = (*self.kernel_size, shape[-1], 4 * self.filters)
        output = conv_shape(
            shape, kernel, None, strides=self.strides, padding=self.padding, dilation_rate=self.dilation_rate
        )
        return (*output, self.filters)

    def compute_output_shape(self, input_shape: Any, states_shape: Any = None) -> Any:
        self.check_input(input_shape)
        shape = self.state_shape(tuple(input_shape))
        return shape, [shape, shape]

    def project(self, x: Any) -> Tensor:
        lead = x.shape[: x.ndim - self.rank - 1]
        x = ops.reshape(x, (-1, *x.shape[len(lead) :]))
        y = ops.conv(x, self.kernel, self.strides, self.padding, "channels_last", self.dilation_rate, bias=self.bias)
        return y if len(lead) == 1 else ops.reshape(y, (*lead, *y.shape[1:]))

    def recur(self, h: Tensor) -> Tensor:
        return ops.conv(h, self.recurrent_kernel, 1, "same", "channels_last")


class ConvLSTM(OwnCell):
    """Convolutional LSTM of (batch, steps, *spatial, channels) with `rank` spatial axes.

    The output is (batch, *output, filters), or (batch, steps, *output, filters) with `return_sequences`. Arguments as
    in Keras; padding is "valid" or "same"."""

    rank = None

    def __init__(
        self, filters: int, kernel_size: int | Sequence[int], strides: int | Sequence[int] = 1, padding: str = "valid",
        data_format: str | None = None, dilation_rate: int | Sequence[int] = 1,
        activation: ActivationLike | None = "tanh", recurrent_activation: ActivationLike | None = "sigmoid",
        use_bias: bool = True, kernel_initializer: InitializerLike | None = "glorot_uniform",
        recurrent_initializer: InitializerLike | None = "orthogonal",
        bias_initializer: InitializerLike | None = "zeros", unit_forget_bias: bool = True,
        kernel_regularizer: RegularizerLike | None = None, recurrent_regularizer: RegularizerLike | None = None,
        bias_regularizer: RegularizerLike | None = None, activity_regularizer: RegularizerLike | None = None,
        kernel_constraint: ConstraintLike | None = None, recurrent_constraint: ConstraintLike | None = None,
        bias_constraint: ConstraintLike | None = None, dropout: float = 0.0, recurrent_dropout: float = 0.0,
        seed: int | None = None, return_sequences: bool = False, return_state: bool = False,
        go_backwards: bool = False, stateful: bool = False, **kwargs: Any,
    ) -> None:  # fmt: skip
        cell = ConvLSTMCell(
            self.rank, filters, kernel_size, strides, padding, data_format, dilation_rate, activation,
            recurrent_activation, use_bias, kernel_initializer, recurrent_initializer, bias_initializer,
            unit_forget_bias, kernel_regularizer, recurrent_regularizer, bias_regularizer, kernel_constraint,
            recurrent_constraint, bias_constraint, dropout, recurrent_dropout, seed, dtype=kwargs.get("dtype"),
            name="conv_lstm_cell",
        )  # fmt: skip
        super().__init__(
            cell, return_sequences, return_state, go_backwards, stateful, activity_regularizer=activity_regularizer,
            **kwargs,
        )  # fmt: skip

    def check_input(self, shape: Any) -> None:
        if len(shape) != self.rank + 3:
            raise ValueError(
                f"{self._title()} takes (batch, steps, {self.rank} spatial axes, channels); got {tuple(shape)}."
            )
        super().check_input(shape)

    def _output_shape(self, shape):
        state = self.cell.state_shape((shape[0], *shape[2:]))
        return state, [state, state]

    def _start(self, shape):
        state = self.cell.state_shape((shape[0], *shape[2:]))
        return [wrap(constant(0.0, state, self._dtype)) for _ in range(2)]


class ConvLSTM1D(ConvLSTM):
    """ConvLSTM of (batch, steps, rows, channels)."""

    rank = 1


class ConvLSTM2D(ConvLSTM):
    """ConvLSTM of (batch, steps, height, width, channels), such as films."""

    rank = 2


class ConvLSTM3D(ConvLSTM):
    """ConvLSTM of (batch, steps, depth, height, width, channels)."""

    rank = 3
