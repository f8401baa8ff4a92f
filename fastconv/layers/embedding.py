"""Embedding and Masking: integers as vectors, and which steps of a sequence count.

How masks travel is in masks.py, what they do to steps in ops/masks.py. Contract: a mask is (batch, steps), True where a
step counts.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastconv import ops
from fastconv.layers.annotations import ConstraintLike, InitializerLike, RegularizerLike
from fastconv.layers.base import Layer
from fastconv.layers.spatial import positive
from fastconv.ops.lookup import lookup
from fastconv.ops.masks import as_floats, differs


class Embedding(Layer):
    """Numbers from 0 to `input_dim - 1` as vectors of size `output_dim`, one more axis, which training finds.

    Weights: embeddings `(input_dim, output_dim)`, at the start `weights`, if given. `mask_zero`: 0 is no number but a
    step that does not count, so layers after this one are masked. ValueError for numbers outside the range. Arguments
    as in Keras."""

    one_tensor = True

    rescales = True  # numbers of rows are large
    keeps_integers = True
    made = ("weights", "lora_rank", "lora_alpha", "quantization_config")  # no part of what the layer is

    def __init__(
        self, input_dim: int, output_dim: int, embeddings_initializer: InitializerLike | None = "uniform",
        embeddings_regularizer: RegularizerLike | None = None, embeddings_constraint: ConstraintLike | None = None,
        mask_zero: bool = False, weights: Any = None, lora_rank: int | None = None, lora_alpha: float | None = None,
        quantization_config: Any = None, **kwargs: Any,
    ) -> None:  # fmt: skip
        length = kwargs.pop("input_length", None)  # Keras' older name of the number of steps
        if length is not None:
            kwargs.setdefault("input_shape", (length,))
        super().__init__(lora_rank=lora_rank, lora_alpha=lora_alpha, quantization_config=quantization_config, **kwargs)
        self.input_dim = positive(input_dim, "input_dim", self)
        self.output_dim = positive(output_dim, "output_dim", self)
        if self._dtype == np.float32 and self.input_dim > 1 << 24:
            raise ValueError(
                f"Embedding: input_dim must be at most {1 << 24}, the whole numbers that float32 holds, in which "
                f"inputs come; got {input_dim}. Use dtype='float64'."
            )
        self._keep_rules(
            embeddings_initializer=embeddings_initializer, embeddings_regularizer=embeddings_regularizer,
            embeddings_constraint=embeddings_constraint,
        )  # fmt: skip
        self.mask_zero = bool(mask_zero)
        self.supports_masking = self.mask_zero
        self.embeddings = None
        self._initial_weights = weights

    def build(self, input_shape: Any = None) -> None:
        """Makes the table; the inputs' shape changes nothing."""
        self.embeddings = self._add_ruled("embeddings", (self.input_dim, self.output_dim))
        if self._initial_weights is not None:
            given = self._initial_weights
            self.embeddings.assign(np.asarray(given[0] if isinstance(given, (list, tuple)) else given))

    def call(self, inputs: Any) -> Any:
        return lookup(self.embeddings, inputs)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (*input_shape, self.output_dim)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """Where the inputs are not 0, if `mask_zero`."""
        return differs(inputs, 0) if self.mask_zero else None


class Masking(Layer):
    """Masks the steps of (batch, steps, features) all of whose features are `mask_value`, and makes them 0."""

    one_tensor = True

    def __init__(self, mask_value: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if isinstance(mask_value, bool) or not isinstance(mask_value, (int, float)):
            raise TypeError(f"Masking: mask_value must be a number; got {mask_value!r}.")
        self.mask_value = mask_value

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """Where a step has a feature that is not `mask_value`."""
        return differs(inputs, self.mask_value, any_last=True)

    def call(self, inputs: Any) -> Any:
        mask = self.compute_mask(inputs)
        y = ops.multiply(inputs, ops.expand_dims(as_floats(mask, inputs.dtype), -1))
        y._keras_mask = mask
        return y

    def compute_output_shape(self, input_shape: Any) -> Any:
        return tuple(input_shape)
