"""Wrappers: layers that hold another and call it their own way: on each time step, in both directions, normalized.

Contract: the inner layer is `layer`, built when the wrapper is; its weights are the wrapper's; configs hold its config.
"""

from __future__ import annotations

from typing import Any

from fastconv import ops, registry
from fastconv.layers import masks
from fastconv.layers.base import Layer
from fastconv.layers.configs import copied
from fastconv.layers.rnn import RNN
from fastconv.layers.shapes import is_shape
from fastconv.layers.spatial import positive
from fastconv.nest import flatten
from fastconv.ops.recurrence import assign, cells
from fastconv.symbolic import NoValues, is_tracing
from fastconv.tensor import no_grad


class Wrapper(Layer):
    """Base class: it keeps and builds `layer`; a subclass defines `call`."""

    def __init__(self, layer: Layer, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.layer = checked_layer(self, "layer", layer)
        if not self._trainable:
            layer.trainable = False

    def build(self, input_shape: Any = None) -> None:
        """Builds the inner layer for inputs of this shape."""
        if not self.layer.built:
            self.layer.build(input_shape)


def checked_layer(owner, argument, layer):
    """`layer`, if it is one; TypeError naming the owner's class and the argument."""
    if not isinstance(layer, Layer):
        raise TypeError(f"{type(owner).__name__}: {argument} must be a layer, such as Dense(8); got {layer!r}.")
    return layer


class TimeDistributed(Wrapper):
    """The layer on each step of (batch, steps, ...): (batch, steps, *what it gives).

    All steps are one batch for it; a layer whose call changes weights of its own, such as BatchNormalization in
    training, is called step by step, as in Keras."""

    supports_masking = True

    def check_input(self, shape: Any) -> None:
        if not is_shape(shape) or len(shape) < 3:
            raise ValueError(f"{self._title()} takes (batch, steps, ...), 3 axes at least; got {shape}.")
        if self.layer.built:
            self.layer.check_input(_step_shape(shape))

    def build(self, input_shape: Any = None) -> None:
        if input_shape is not None:
            self.check_input(input_shape)
        super().build(_step_shape(input_shape))

    def compute_output_shape(self, input_shape: Any) -> Any:
        batch, *rest = self.layer.compute_output_shape(_step_shape(input_shape))
        return (batch, input_shape[1], *rest)

    def call(self, inputs: Any, training: bool = False, mask: Any = None) -> Any:
        batch, steps = inputs.shape[:2]
        if mask is not None and tuple(mask.shape[:2]) != (batch, steps):
            raise ValueError(
                f"{self._title()}: mask must begin with batch and steps, {(batch, steps)}; got shape {mask.shape}."
            )
        mask = None if mask is None or not masks.takes(self.layer, "mask") else ops.convert_to_tensor(mask)
        if steps is None:
            raise NoValues("The steps are joined with the batch where their number is known.")
        if training and any(layer._fixed_weights for layer in self.layer.flatten_layers()):
            return self._by_steps(inputs, training, mask)
        arguments = {}
        if mask is not None:
            arguments["mask"] = ops.reshape(mask, (-1, *mask.shape[2:]))
        y = self.layer(ops.reshape(inputs, (-1, *inputs.shape[2:])), training=training, **arguments)
        return ops.reshape(y, (-1, steps, *y.shape[1:]))

    def _by_steps(self, inputs, training, mask):
        if inputs.symbolic and not is_tracing():
            raise NoValues("The steps are drawn one by one where the batch is known.")
        xs = cells(ops.swapaxes(inputs, 0, 1))
        arguments = [{} for _ in xs]
        if mask is not None:
            arguments = [{"mask": mask[:, place]} for place in range(len(xs))]
        return ops.stack([self.layer(x, training=training, **more) for x, more in zip(xs, arguments)], axis=1)


def _step_shape(shape):
    return (shape[0], *shape[2:])


_DIRECTED = ("go_backwards", "return_sequences", "return_state", "stateful")
_MERGES = {
    "concat": lambda a, b: ops.concatenate([a, b], axis=-1),
    "sum": ops.add,
    "mul": ops.multiply,
    "ave": lambda a, b: ops.multiply(ops.add(a, b), 0.5),
}


class Bidirectional(Layer):
    """A recurrent layer and a copy of it that goes backwards, whose outputs are merged step by step.

    `merge_mode` is "concat", "sum", "mul", "ave", or None for both outputs. `backward_layer` is taken instead of the
    copy; it must go the other way. `weights` are those to start with. The layer itself is only a model for
    `forward_layer` and `backward_layer`, which have weights of their own.
    """

    made = ("weights",)  # to start with: no part of what the layer is

    def __init__(
        self, layer: Layer, merge_mode: str | None = "concat", weights: Any = None,
        backward_layer: Layer | None = None, **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(**kwargs)
        self.layer = checked_layer(self, "layer", layer)
        missing = [name for name in _DIRECTED if not hasattr(layer, name)]
        if missing:
            raise TypeError(
                f"Bidirectional: layer must be recurrent, such as LSTM(8); {layer.name!r} has no {missing[0]}."
            )
        if merge_mode is not None and merge_mode not in _MERGES:
            raise registry.unknown_name("merge_mode", merge_mode, [*_MERGES, "None"])
        self.merge_mode, self.initial_weights = merge_mode, weights
        self.forward_layer = copied(layer, name=f"forward_{layer.name.removeprefix('forward_')}")
        if backward_layer is None:
            self.backward_layer = copied(
                layer, go_backwards=not layer.go_backwards, name=f"backward_{layer.name.removeprefix('backward_')}"
            )
        else:
            self.backward_layer = checked_layer(self, "backward_layer", backward_layer)
        both = self.forward_layer, self.backward_layer
        if both[0].go_backwards == both[1].go_backwards:
            raise ValueError("Bidirectional: backward_layer must have the other go_backwards than layer.")
        for name in ("stateful", "return_sequences", "return_state"):
            if getattr(both[0], name) != getattr(both[1], name):
                raise ValueError(f"Bidirectional: layer and backward_layer must have the same {name}.")
            setattr(self, name, getattr(layer, name))
        for one in both:
            if isinstance(one, RNN):
                one.zero_output_for_mask = one.return_sequences
            if not self._trainable:
                one.trainable = False

    def _sublayers(self):
        return [self.forward_layer, self.backward_layer]

    def check_input(self, shape: Any) -> None:
        self.forward_layer.check_input(shape)

    def build(self, input_shape: Any = None) -> None:
        for layer in (self.forward_layer, self.backward_layer):
            if not layer.built:
                layer.build(input_shape)
        if self.initial_weights is not None:
            self.set_weights(self.initial_weights)

    def compute_output_shape(self, input_shape: Any, initial_state_shape: Any = None) -> Any:
        shape = self.forward_layer.compute_output_shape(input_shape)
        output, states = (shape[0], shape[1:]) if self.return_state else (shape, ())
        if self.merge_mode == "concat":
            output = (*output[:-1], None if output[-1] is None else 2 * output[-1])
        outputs = (output, output) if self.merge_mode is None else (output,)
        return (*outputs, *states, *states) if self.return_state or self.merge_mode is None else output

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """The mask for sequences of outputs, else None."""
        mask = flatten(mask)[0] if self.return_sequences else None
        masks = [mask, mask] if self.merge_mode is None else [mask]
        states = 2 * len(flatten(self.forward_layer.state_size)) if self.return_state else 0
        return masks + [None] * states

    def call(self, sequences: Any, initial_state: Any = None, mask: Any = None, training: bool = False) -> Any:
        halves = [{}, {}]
        if initial_state is not None:
            given = list(initial_state)
            half = len(given) // 2
            halves = [{"initial_state": given[:half]}, {"initial_state": given[half:]}]
        if mask is not None:
            halves = [{"mask": mask, **more} for more in halves]
        one = self.forward_layer(sequences, training=training, **halves[0])
        other = self.backward_layer(sequences, training=training, **halves[1])
        states = ()
        if self.return_state:
            one, other, states = one[0], other[0], (*one[1:], *other[1:])
        if self.return_sequences:
            other = ops.flip(other, axis=1)
        outputs = (one, other) if self.merge_mode is None else (_MERGES[self.merge_mode](one, other),)
        return (*outputs, *states) if len(outputs) + len(states) > 1 else outputs[0]

    @property
    def states(self) -> list | None:
        """Those of the layer that goes forward, then those of the other; None as long as they have none."""
        states = [state for layer in (self.forward_layer, self.backward_layer) for state in layer.states or ()]
        return states or None

    def reset_state(self) -> None:
        """Sets the states of both layers to zeros."""
        self.forward_layer.reset_state()
        self.backward_layer.reset_state()

    reset_states = reset_state


class SpectralNormalization(Wrapper):
    """The layer with its kernel divided by the kernel's largest singular value, so that it stretches no input.

    `power_iterations` steps of power iteration, from where the last training call ended, estimate that value in each
    training call, which writes the divided kernel into the layer; no gradient flows through the division. Weights
    beside the layer's: vector_u `(1, filters)`."""

    def __init__(self, layer: Layer, power_iterations: int = 1, **kwargs: Any) -> None:
        super().__init__(layer, **kwargs)
        self.power_iterations = positive(power_iterations, "power_iterations", self)
        self.vector_u = None

    def build(self, input_shape: Any) -> None:
        super().build(input_shape)
        kernel = self._kernel()
        self.vector_u = self.add_weight((1, kernel.shape[-1]), "random_normal", trainable=False, name="vector_u")

    @property
    def weights(self) -> list:
        """The layer's kernel, then vector_u and the layer's other weights, as in Keras."""
        found = super().weights
        kernel = [weight for weight in found if self.built and weight is self._kernel()]
        return kernel + [weight for weight in found if not kernel or weight is not kernel[0]]

    def _kernel(self):
        """The layer's kernel, or an Embedding's table; ValueError where it has neither."""
        for name in ("kernel", "embeddings"):
            kernel = vars(self.layer).get(name)
            if kernel is not None:
                return kernel
        raise ValueError(f"{self._title()} needs a layer with a kernel; {self.layer.name!r} has none.")

    def check_input(self, shape: Any) -> None:
        self.layer.check_input(shape)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return self.layer.compute_output_shape(input_shape)

    def call(self, inputs: Any, training: bool = False) -> Any:
        if training and (is_tracing() or not inputs.symbolic):
            self.normalize_weights()
        return self.layer(inputs, training=training)

    def normalize_weights(self) -> None:
        """Divides the kernel by the estimate of its largest singular value, which gets better with each call."""
        kernel, u = self._kernel(), self.vector_u
        with no_grad():
            w = ops.reshape(kernel, (-1, kernel.shape[-1]))
            for _ in range(self.power_iterations):
                v = ops.normalize(ops.matmul(u, ops.transpose(w)))
                u = ops.normalize(ops.matmul(v, w))
            sigma = ops.matmul(ops.matmul(v, w), ops.transpose(u))
            nothing = ops.equal(sigma, 0.0)  # a kernel of zeros stays what it is
            assign(self.vector_u, ops.where(nothing, self.vector_u, u))
            assign(kernel, ops.reshape(ops.divide(w, ops.where(nothing, 1.0, sigma)), kernel.shape))
