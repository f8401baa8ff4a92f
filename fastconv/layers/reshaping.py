"""Layers that move cells and compute nothing: Flatten, Reshape, padding, cropping, upsampling and their kind.

They have no weights; ops move. Contract: the batch stays the first axis; layers of images take
`(batch, *spatial, channels)`. Where a size is open, so is what follows from it.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

from fastconv import ops
from fastconv.kernels.geometry import per_axis
from fastconv.layers.annotations import Shape, Sizes
from fastconv.layers.base import Layer
from fastconv.layers.spatial import Formatted, Spatial, check_data_format, positive
from fastconv.registry import checked_choice
from fastconv.symbolic import NoValues
from fastconv.tensor import Tensor


class Identity(Layer):
    """What it is given."""

    supports_masking = True

    def call(self, inputs: Tensor) -> Tensor:
        return inputs


class Flatten(Formatted):
    """`(batch, ...)` to `(batch, product of the rest)`."""

    def __init__(self, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_format = check_data_format(data_format, self)

    def call(self, inputs: Tensor) -> Tensor:
        return _reshaped(self, inputs)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        sizes = input_shape[1:]
        return (input_shape[0], None if None in sizes else math.prod(sizes))


class Reshape(Layer):
    """Each sample in the shape `target_shape`, one of whose sizes may be -1 for what remains."""

    one_tensor = True

    def __init__(self, target_shape: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.target_shape = tuple(map(operator.index, target_shape))
        if any(size < -1 or size == 0 for size in self.target_shape) or self.target_shape.count(-1) > 1:
            raise ValueError(f"Reshape: target_shape must hold positive sizes, -1 once at most; got {target_shape!r}.")

    def call(self, inputs: Tensor) -> Tensor:
        return _reshaped(self, inputs)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        sizes, target = input_shape[1:], self.target_shape
        known = math.prod(size for size in target if size != -1)
        if None in sizes:
            return (input_shape[0], *[None if size == -1 else size for size in target])
        rest, over = divmod(math.prod(sizes), known)
        if over or (rest != 1 and -1 not in target):
            raise ValueError(
                f"{self._title()}: samples of shape {tuple(sizes)} have {math.prod(sizes)} values, which do not fit "
                f"target_shape {target}."
            )
        return (input_shape[0], *[rest if size == -1 else size for size in target])


def _reshaped(layer, x):
    """x in the layer's output shape."""
    target = layer.compute_output_shape(x.shape)[1:]
    if None in target:
        raise NoValues("The output's shape follows from sizes that are open.")
    return ops.reshape(x, (-1, *target))


class Permute(Layer):
    """The axes of each sample in the order `dims`, which counts them from 1: Permute((2, 1)) exchanges two."""

    one_tensor = True

    def __init__(self, dims: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dims = tuple(map(operator.index, dims))
        if sorted(self.dims) != list(range(1, len(self.dims) + 1)):
            raise ValueError(f"Permute: dims must hold each number from 1 to {len(self.dims)} once; got {dims!r}.")

    def check_input(self, shape: Shape) -> None:
        if len(shape) != len(self.dims) + 1:
            raise ValueError(f"{self._title()}: dims={self.dims} do not fit the input shape {tuple(shape)}.")

    def call(self, inputs: Tensor) -> Tensor:
        return ops.transpose(inputs, (0, *self.dims))


class RepeatVector(Layer):
    """`(batch, features)` to `(batch, n, features)`."""

    one_tensor = True

    def __init__(self, n: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.n = positive(n, "n", self)

    def check_input(self, shape: Shape) -> None:
        if len(shape) != 2:
            raise ValueError(f"{self._title()} expects (batch, features); got {tuple(shape)}.")

    def call(self, inputs: Tensor) -> Tensor:
        return ops.repeat(ops.expand_dims(inputs, 1), self.n, 1)


class ZeroPadding(Spatial):
    """`padding` cells of 0 at the ends of each spatial axis: an int for all ends, or for each axis an int or a
    (low, high) pair; in 1D one such pair."""

    def __init__(self, padding: int | Sequence[Any] = 1, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_format = check_data_format(data_format, self)
        self.padding = _ends(self, "padding", padding)
        self.implied = {"padding": _ends(self, "padding", 1)}

    def call(self, inputs: Tensor) -> Tensor:
        return ops.pad(inputs, _pairs(self, self.padding))


class Cropping(Spatial):
    """Leaves out `cropping` cells at the ends of each spatial axis; an argument as ZeroPadding's."""

    def __init__(self, cropping: int | Sequence[Any], data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_format = check_data_format(data_format, self)
        self.cropping = _ends(self, "cropping", cropping)

    def check_input(self, shape: Shape) -> None:
        super().check_input(shape)
        for size, (low, high) in zip(shape[1:], _pairs(self, self.cropping)[1:]):
            if size is not None and low + high >= size:
                raise ValueError(
                    f"{self._title()}: cropping={self.cropping} leaves nothing of the input shape {tuple(shape)}."
                )

    def call(self, inputs: Tensor) -> Tensor:
        self.check_input(inputs.shape)
        return ops.pad(inputs, [(-low, -high) for low, high in _pairs(self, self.cropping)])


def _ends(layer, name, value):
    """One (low, high) pair a spatial axis, and in 1D that pair itself, as Keras keeps them."""
    rank = layer.rank
    try:
        ends = value if hasattr(value, "__len__") else (value,) * max(rank, 2)
        pairs = [ends] if rank == 1 else [end if hasattr(end, "__len__") else (end, end) for end in ends]
        pairs = tuple(tuple(map(operator.index, pair)) for pair in pairs)
    except TypeError:
        pairs = ()
    if len(pairs) != rank or any(len(pair) != 2 or min(pair) < 0 for pair in pairs):
        several = "a (low, high) pair" if rank == 1 else f"{rank} ints or (low, high) pairs"
        raise ValueError(f"{type(layer).__name__}: {name} must be an int of at least 0, or {several}; got {value!r}.")
    return pairs if rank > 1 else pairs[0]


def _pairs(layer, ends):
    """The pairs of all axes, the batch and the channels included."""
    return [(0, 0), *(ends if layer.rank > 1 else (ends,)), (0, 0)]


class UpSampling(Spatial):
    """Each cell `size` times along each spatial axis, an int or one an axis."""

    interpolation = "nearest"

    def __init__(self, size: Sizes = 2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.size = per_axis("size", size, self.rank)

    def call(self, inputs: Tensor) -> Tensor:
        return ops.upsample(inputs, self.size, "channels_last")


class ZeroPadding1D(ZeroPadding):
    """Zeros around `(batch, steps, channels)`; arguments as ZeroPadding."""

    rank = 1


class ZeroPadding2D(ZeroPadding):
    """Zeros around `(batch, height, width, channels)`; arguments as ZeroPadding."""

    rank = 2


class ZeroPadding3D(ZeroPadding):
    """Zeros around `(batch, depth, height, width, channels)`; arguments as ZeroPadding."""

    rank = 3

    def __init__(
        self, padding: int | Sequence[Any] = ((1, 1), (1, 1), (1, 1)), data_format: str | None = None, **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(padding, data_format, **kwargs)


class Cropping1D(Cropping):
    """Cuts the ends off `(batch, steps, channels)`; by default one step each."""

    rank = 1

    def __init__(self, cropping: int | Sequence[Any] = (1, 1), **kwargs: Any) -> None:
        super().__init__(cropping, **kwargs)


class Cropping2D(Cropping):
    """Cuts the borders off `(batch, height, width, channels)`; by default nothing."""

    rank = 2

    def __init__(
        self, cropping: int | Sequence[Any] = ((0, 0), (0, 0)), data_format: str | None = None, **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(cropping, data_format, **kwargs)


class Cropping3D(Cropping):
    """Cuts the borders off `(batch, depth, height, width, channels)`; by default one cell each."""

    rank = 3

    def __init__(
        self, cropping: int | Sequence[Any] = ((1, 1), (1, 1), (1, 1)), data_format: str | None = None, **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(cropping, data_format, **kwargs)


class UpSampling1D(UpSampling):
    """Repeats the steps of `(batch, steps, channels)`."""

    rank = 1


class UpSampling2D(UpSampling):
    """Enlarges `(batch, height, width, channels)` by `interpolation`, which `ops.image.resize`
    explains: "nearest", "bilinear", "bicubic", "lanczos3" or "lanczos5"."""

    rank = 2

    def __init__(
        self, size: Sizes = 2, data_format: str | None = None, interpolation: str = "nearest", **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(size, **kwargs)
        self.data_format = check_data_format(data_format, self)
        choices = ("nearest", "bilinear", "bicubic", "lanczos3", "lanczos5")
        self.interpolation = checked_choice(self, "interpolation", interpolation, choices)

    def call(self, inputs: Tensor) -> Tensor:
        if self.interpolation == "nearest":
            return super().call(inputs)
        target = self.compute_output_shape(inputs.shape)[1:-1]
        if None in target:
            raise NoValues("The output's shape follows from sizes that are open.")
        return ops.image.resize(inputs, target, self.interpolation, data_format="channels_last")

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        self.check_input(input_shape)
        sizes = [None if size is None else size * factor for size, factor in zip(input_shape[1:-1], self.size)]
        return (input_shape[0], *sizes, input_shape[-1])


class UpSampling3D(UpSampling):
    """Repeats the voxels of `(batch, depth, height, width, channels)`."""

    rank = 3

    def __init__(self, size: Sizes = 2, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(size, **kwargs)
        self.data_format = check_data_format(data_format, self)
