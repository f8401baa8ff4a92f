"""EinsumDense: a dense layer whose product is an einsum, such as "abc,cd->abd", of the input and its kernel.

Contract: arguments, weights and their shapes are Keras'; the product runs on the kernels of ops.einsum.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from typing import Any

from fastconv import activations, ops
from fastconv.layers.annotations import ActivationLike, ConstraintLike, InitializerLike, RegularizerLike
from fastconv.layers.base import Layer
from fastconv.ops.linear import dense_over
from fastconv.symbolic import NoValues, is_tracing

_EQUATION = re.compile(r"(?:\.\.\.)?[a-zA-Z]+(?:\.\.\.)?,[a-zA-Z]+->(?:\.\.\.)?[a-zA-Z]+(?:\.\.\.)?")


@functools.lru_cache(maxsize=64)
def _summed(equation):
    """How many axes are summed over, where they are the last of the input and the first of the kernel, in one order, and
    the output has the others as they stand, as a dense layer's; 0 for other equations."""
    left, output = equation.split("->")
    inputs, kernel = left.split(",")
    count = sum(letter in inputs for letter in kernel)
    named = inputs.removeprefix("...") + kernel[count:]
    plain = count and inputs[-count:] == kernel[:count] and output == inputs[:-count] + kernel[count:]
    return count if plain and len(set(named)) == len(named) else 0


class EinsumDense(Layer):
    """`activation(einsum(equation, x, kernel) + bias)`.

    `equation` names the axes of input, kernel and output, the batch included; "..." stands for axes that stay, on the
    same side of input and output. `output_shape` is that of one sample without these, None where a size is the input's.
    `bias_axes` are the axes of the output along which there is a bias, none by default. Weights: kernel, bias.
    """

    one_tensor = True

    made = ("output_shape", "lora_rank", "lora_alpha", "gptq_unpacked_column_size", "quantization_config")

    def __init__(
        self, equation: str, output_shape: int | Sequence[int | None], activation: ActivationLike | None = None,
        bias_axes: str | None = None, kernel_initializer: InitializerLike | None = "glorot_uniform",
        bias_initializer: InitializerLike | None = "zeros", kernel_regularizer: RegularizerLike | None = None,
        bias_regularizer: RegularizerLike | None = None, kernel_constraint: ConstraintLike | None = None,
        bias_constraint: ConstraintLike | None = None, lora_rank: int | None = None, lora_alpha: float | None = None,
        gptq_unpacked_column_size: int | None = None, quantization_config: Any = None, **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(lora_rank=lora_rank, lora_alpha=lora_alpha, quantization_config=quantization_config, **kwargs)
        self.equation = equation.replace(" ", "") if isinstance(equation, str) else equation
        if not isinstance(equation, str) or not _EQUATION.fullmatch(self.equation):
            raise ValueError(
                f"EinsumDense: equation must be like 'ab,bc->ac' or '...b,bc->...c'; got {equation!r}. The kernel has "
                "no '...', and input and output have theirs in front or at the end."
            )
        self.output_sizes = (output_shape,) if isinstance(output_shape, int) else tuple(output_shape)
        self.activation = activations.get(activation)
        self.bias_axes = bias_axes
        self._keep_rules(
            kernel_initializer=kernel_initializer, bias_initializer=bias_initializer,
            kernel_regularizer=kernel_regularizer, bias_regularizer=bias_regularizer,
            kernel_constraint=kernel_constraint, bias_constraint=bias_constraint,
        )  # fmt: skip
        self.kernel = self.bias = None

    def get_config(self) -> dict:
        return super().get_config() | {"output_shape": list(self.output_sizes)}

    def _parts(self):
        """The names of the axes of input, kernel and output, and whether "..." stands "before", "after" or not at
        all."""
        given, output = self.equation.split("->")
        inputs, kernel = given.split(",")
        sides = [("before" if part.startswith("...") else "after" if part.endswith("...") else None)
                 for part in (inputs, output)]  # fmt: skip
        if sides[0] != sides[1]:
            raise ValueError(
                f"EinsumDense: '...' must stand on the same side of input and output; got {self.equation!r}."
            )
        return inputs.replace(".", ""), kernel, output.replace(".", ""), sides[0]

    def _sizes(self, shape):
        """The size of each named axis, and the output's shape, for an input of this shape."""
        inputs, kernel, output, side = self._parts()
        spare = len(shape) - len(inputs)
        if spare < 0 or (spare and side is None):
            raise ValueError(f"{self._title()}: {self.equation!r} does not fit the input shape {tuple(shape)}.")
        start = spare if side == "before" else 0
        sizes = dict(zip(inputs, shape[start : start + len(inputs)]))
        own = output if side == "before" else output[1:]  # the batch is the first axis named, or among those not named
        given = self.output_sizes[-len(own) :] if own else ()
        if len(given) < len(own):
            raise ValueError(
                f"{self._title()}: output_shape must have a size for each of the axes {own!r} of {self.equation!r}; "
                f"got {self.output_sizes}."
            )
        for letter, size in zip(own, given):
            if size is not None and sizes.get(letter) not in (None, size):
                raise ValueError(
                    f"{self._title()}: output_shape {self.output_sizes} has {size} for the axis {letter!r}, of "
                    f"{sizes[letter]} cells in the input shape {tuple(shape)}."
                )
            sizes[letter] = sizes.get(letter) if size is None else size
        unknown = [letter for letter in kernel if sizes.get(letter) is None]
        if unknown:
            raise ValueError(
                f"{self._title()}: the kernel needs a known size of the axis {unknown[0]!r} of {self.equation!r}; got "
                f"the input shape {tuple(shape)} and output_shape {self.output_sizes}."
            )
        kept = shape[:spare] if side == "before" else shape[len(shape) - spare :] if spare else ()
        named = tuple(sizes[letter] for letter in output)
        return sizes, (*kept, *named) if side == "before" else (*named, *kept), spare

    def check_input(self, shape: Any) -> None:
        sizes, _, _ = self._sizes(shape)
        if self.built and tuple(sizes[letter] for letter in self._parts()[1]) != self.kernel.shape:
            raise ValueError(f"{self._title()} was built for the input shape {self._build_shape}; got {tuple(shape)}.")

    def build(self, input_shape: Any) -> None:
        sizes, _, spare = self._sizes(input_shape)
        _, kernel, output, side = self._parts()
        self.kernel = self._add_ruled("kernel", tuple(sizes[letter] for letter in kernel))
        if self.bias_axes is not None:
            missing = [letter for letter in self.bias_axes if letter not in output]
            if missing:
                raise ValueError(
                    f"{self._title()}: bias_axes must be axes of the output, {output!r}; got {self.bias_axes!r}."
                )
            first = min(map(output.index, self.bias_axes))
            shape = [sizes[letter] if letter in self.bias_axes else 1 for letter in output[first:]]
            self.bias = self._add_ruled("bias", (*shape, *(1,) * (spare if side == "after" else 0)))

    def call(self, inputs: Any) -> Any:
        if inputs.symbolic and not is_tracing() and inputs.shape.count(None) > 1:
            raise NoValues("A product of several open sizes is drawn where they are known.")
        summed = _summed(self.equation)
        if summed and (self.bias is None or self.bias.shape == self.kernel.shape[summed:]):
            y = dense_over(inputs, self.kernel, self.bias, summed)
        else:
            y = ops.einsum(self.equation, inputs, self.kernel)
            y = y if self.bias is None else ops.add(y, self.bias)
        return self.activation(y)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return tuple(self._sizes(tuple(input_shape))[1])
