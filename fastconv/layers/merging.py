"""Merging layers: several tensors to one, element by element, side by side, or as products.

They have no weights; ops compute. Contract: a layer is called on a list of tensors with equal batches; shapes that do
not merge raise a ValueError that names the layer and both shapes. The functions at the end are the layers, made and
called.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Sequence
from typing import Any

from fastconv import ops
from fastconv.layers.annotations import Shape
from fastconv.layers.base import Layer
from fastconv.layers.shapes import is_shape
from fastconv.ops.common import broadcast_shape
from fastconv.ops.masks import side_by_side
from fastconv.tensor import Tensor


class Merge(Layer):
    """Base class: of a list of tensors that broadcast. One of fewer axes has axes of size 1 put behind its batch."""

    pair = False  # whether it takes two tensors, no more

    def build(self, input_shape: Sequence[Shape]) -> None:
        self.check_input(input_shape)

    def check_input(self, shape: Sequence[Shape]) -> None:
        if is_shape(shape) or isinstance(shape, dict) or not all(map(is_shape, shape)):
            raise ValueError(f"{self._title()} takes a list of tensors, such as [x, y]; got the shape {shape}.")
        if self.pair and len(shape) != 2:
            raise ValueError(f"{self._title()} takes a list of two tensors; got {len(shape)}.")
        if any(len(one) == 0 for one in shape):
            raise ValueError(f"{self._title()} takes batches of samples; got a scalar among the shapes {shape}.")
        for other in shape[1:]:
            if None not in (shape[0][0], other[0]) and shape[0][0] != other[0]:
                raise self._misfit(shape[0], other, "their batches differ")
        self._check_shapes([tuple(one) for one in shape])

    def _check_shapes(self, shapes):
        merged = shapes[0]
        for shape in shapes[1:]:
            rank = max(len(merged), len(shape))
            aligned = [(one[0], *(1,) * (rank - len(one)), *one[1:]) for one in (merged, shape)]
            try:
                merged = broadcast_shape("", *aligned)
            except ValueError:
                raise self._misfit(merged, shape, "sizes must be equal, or 1, on every axis") from None

    def _misfit(self, one, other, why):
        return ValueError(f"{self._title()} cannot merge tensors of shapes {one} and {other}: {why}.")

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """Where any of the inputs' masks is True, if all have one."""
        self._check_masks(inputs, mask)
        if mask is None or any(one is None for one in mask):
            return None
        return functools.reduce(ops.logical_or, mask)

    def _check_masks(self, inputs, mask):
        listed = isinstance(inputs, (list, tuple)) and isinstance(mask, (list, tuple))
        if mask is not None and not (listed and len(inputs) == len(mask)):
            raise ValueError(
                f"{self._title()}: mask must be a list, with one entry for each of the inputs; got {mask!r}."
            )

    def call(self, inputs: Sequence[Tensor]) -> Tensor:
        return functools.reduce(type(self)._op, self._aligned(inputs))

    def _aligned(self, inputs):
        rank = max(x.ndim for x in inputs)
        return [x if x.ndim == rank else ops.expand_dims(x, tuple(range(1, 1 + rank - x.ndim))) for x in inputs]


class MaskedMerge(Merge):
    """Base class: what a mask hides takes no part in the result; where all inputs hide a step, it is the first's."""

    def call(self, inputs: Sequence[Tensor], mask: Any = None) -> Tensor:
        if mask is None or all(one is None for one in mask):
            return super().call(inputs)
        output = seen = None
        for x, one in zip(self._aligned(inputs), mask):
            here = None if one is None else ops.expand_dims(one, tuple(range(one.ndim, x.ndim)))
            if output is None:
                output, seen = x, here
                continue
            merged = self._op(output, x)
            if here is not None:
                merged = ops.where(here, merged, output)
            if seen is not None:
                merged = ops.where(seen, merged, x if here is None else ops.where(here, x, output))
                seen = None if here is None else ops.logical_or(seen, here)
            output = merged
        return output


class Add(Merge):
    """The sum."""

    _op = staticmethod(ops.add)


class Subtract(Merge):
    """The first of two tensors minus the second."""

    pair = True
    _op = staticmethod(ops.subtract)


class Multiply(MaskedMerge):
    """The product, element by element."""

    _op = staticmethod(ops.multiply)


class Average(Add):
    """The mean."""

    def call(self, inputs: Sequence[Tensor]) -> Tensor:
        return ops.divide(super().call(inputs), len(inputs))


class Maximum(MaskedMerge):
    """The greatest, element by element."""

    _op = staticmethod(ops.maximum)


class Minimum(MaskedMerge):
    """The smallest, element by element."""

    _op = staticmethod(ops.minimum)


class Concatenate(Merge):
    """The tensors side by side along `axis`; on all other axes they have the same sizes."""

    def __init__(self, axis: int = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = operator.index(axis)

    def _check_shapes(self, shapes):
        first, axis = shapes[0], self.axis
        if not -len(first) <= axis < len(first):
            raise ValueError(f"{self._title()}: axis {axis} is none of a tensor of shape {first}.")
        for other in shapes[1:]:
            same = len(other) == len(first) and all(
                a == b or None in (a, b) for i, (a, b) in enumerate(zip(first, other)) if i != axis % len(first)
            )
            if not same:
                raise self._misfit(first, other, f"all sizes but those of axis {axis} must be equal")

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """The inputs' masks side by side; inputs without one are not masked."""
        self._check_masks(inputs, mask)
        if mask is None or all(one is None for one in mask):
            return None
        return side_by_side(mask, inputs, self.axis)

    def call(self, inputs: Sequence[Tensor]) -> Tensor:
        return ops.concatenate(inputs, self.axis)


class Dot(Merge):
    """Of two tensors, for each sample, the sums of products along one axis of each: `axes`, an int or a pair.

    (batch, a, c) and (batch, b, c) with axes=2 give (batch, a, b); vectors give (batch, 1). `normalize=True` first
    gives all vectors along these axes the length 1, so that the result is the cosine of their angle.
    """

    pair = True

    def __init__(self, axes: int | Sequence[int], normalize: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if hasattr(axes, "__len__"):
            if len(axes) != 2:
                raise ValueError(f"Dot: axes must be an int, or one for each of the two tensors; got {axes!r}.")
            self.axes = tuple(map(operator.index, axes))
        else:
            self.axes = operator.index(axes)
        self.normalize = bool(normalize)

    def _places(self, shapes):
        """The axis of each tensor, counted from its batch."""
        axes = self.axes if isinstance(self.axes, tuple) else (self.axes,) * 2
        for axis, shape in zip(axes, shapes):
            if not -len(shape) <= axis < len(shape) or axis % len(shape) == 0:
                raise ValueError(f"{self._title()}: axes={self.axes} names no axis behind the batch of {shape}.")
        return [axis % len(shape) for axis, shape in zip(axes, shapes)]

    def _check_shapes(self, shapes):
        places = self._places(shapes)
        sizes = [shape[place] for shape, place in zip(shapes, places)]
        if None not in sizes and sizes[0] != sizes[1]:
            raise self._misfit(*shapes, f"axes={self.axes} have {sizes[0]} and {sizes[1]} cells")

    def compute_output_shape(self, input_shape: Sequence[Shape]) -> Shape:
        self.check_input(input_shape)
        places = self._places(input_shape)
        first, second = [(*s[1:place], *s[place + 1 :]) for s, place in zip(input_shape, places)]
        return (input_shape[0][0], *((*first, *second) or (1,)))

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """None: products have no steps."""

    def call(self, inputs: Sequence[Tensor]) -> Tensor:
        places = self._places([x.shape for x in inputs])
        if self.normalize:
            inputs = [ops.normalize(x, place) for x, place in zip(inputs, places)]
        output = self.compute_output_shape([x.shape for x in inputs])
        first, second = [self._as_matrices(x, place, last) for x, place, last in zip(inputs, places, (True, False))]
        product = ops.matmul(first, second)
        return product if product.shape[1:] == output[1:] else ops.reshape(product, (-1, *output[1:]))

    def _as_matrices(self, x, place, last):
        """x as (batch, others, cells), or (batch, cells, others) unless `last`, where `place` is the cells' axis."""
        others = [axis for axis in range(1, x.ndim) if axis != place]
        if None in x.shape[1:] and len(others) != 1:
            raise ValueError(f"{self._title()} needs known sizes where there are not 3 axes; got the shape {x.shape}.")
        order = [0, *others, place] if last else [0, place, *others]
        x = x if order == list(range(x.ndim)) else ops.transpose(x, order)
        if len(others) == 1:
            return x
        cells, rest = x.shape[-1 if last else 1], math.prod(x.shape[1:]) // x.shape[-1 if last else 1]
        return ops.reshape(x, (-1, rest, cells) if last else (-1, cells, rest))


def add(inputs: Sequence[Any], **kwargs: Any) -> Tensor:
    """`Add(**kwargs)(inputs)`."""
    return Add(**kwargs)(inputs)


def subtract(inputs: Sequence[Any], **kwargs: Any) -> Tensor:
    """`Subtract(**kwargs)(inputs)`."""
    return Subtract(**kwargs)(inputs)


def multiply(inputs: Sequence[Any], **kwargs: Any) -> Tensor:
    """`Multiply(**kwargs)(inputs)`."""
    return Multiply(**kwargs)(inputs)


def average(inputs: Sequence[Any], **kwargs: Any) -> Tensor:
    """`Average(**kwargs)(inputs)`."""
    return Average(**kwargs)(inputs)


def maximum(inputs: Sequence[Any], **kwargs: Any) -> Tensor:
    """`Maximum(**kwargs)(inputs)`."""
    return Maximum(**kwargs)(inputs)


def minimum(inputs: Sequence[Any], **kwargs: Any) -> Tensor:
    """`Minimum(**kwargs)(inputs)`."""
    return Minimum(**kwargs)(inputs)


def concatenate(inputs: Sequence[Any], axis: int = -1, **kwargs: Any) -> Tensor:
    """`Concatenate(axis, **kwargs)(inputs)`."""
    return Concatenate(axis=axis, **kwargs)(inputs)


def dot(inputs: Sequence[Any], axes: int | Sequence[int] = -1, **kwargs: Any) -> Tensor:
    """`Dot(axes, **kwargs)(inputs)`."""
    return Dot(axes=axes, **kwargs)(inputs)
