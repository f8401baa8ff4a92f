"""Pooling layers: windowed, adaptive and global, maximum and average; one definition a family, the ranks are names.

They have no weights; ops.max_pool and its siblings compute. Contract: channels last, as in convolutional.py.
"""

from __future__ import annotations

from typing import Any

from fastconv import ops
from fastconv.kernels.geometry import per_axis
from fastconv.layers.annotations import Padding, Shape, Sizes
from fastconv.layers.spatial import Spatial, check_data_format
from fastconv.ops.masks import as_floats, select
from fastconv.tensor import Tensor


class Pooling(Spatial):
    """Arguments, as in Keras: `pool_size` (default 2), `strides` (default: pool_size), `padding` ("valid" or
    "same"), `data_format` (as Conv's). Sizes are an int or one int an axis."""

    def __init__(
        self, pool_size: Sizes = 2, strides: Sizes | None = None, padding: Padding = "valid",
        data_format: str | None = None, **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(**kwargs)
        self.pool_size = per_axis("pool_size", pool_size, self.rank)
        if not isinstance(padding, str) or padding.lower() == "causal":
            raise ValueError(f"{type(self).__name__}: padding must be 'valid' or 'same'; got {padding!r}.")
        self._set_window(self.pool_size if strides is None else strides, padding, data_format)
        self.implied = {"pool_size": None, "strides": self.pool_size}

    def call(self, inputs: Tensor) -> Tensor:
        return type(self)._op(inputs, self.pool_size, self.strides, self.padding, "channels_last")

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        self.check_input(input_shape)
        return (input_shape[0], *self._output_sizes(input_shape), input_shape[-1])


class MaxPooling(Pooling):
    """The largest value of each window."""

    _op = staticmethod(ops.max_pool)


class AveragePooling(Pooling):
    """The mean of each window; padded cells do not count."""

    _op = staticmethod(ops.average_pool)


class AdaptivePooling(Spatial):
    """As many outputs an axis as asked for, whatever the input's size: `output_size`, an int or one an axis, as in
    Keras. Each pools a bin of about `input / output_size` cells; see ops.adaptive_max_pool."""

    def __init__(self, output_size: Sizes, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.output_size = per_axis("output_size", output_size, self.rank)
        self.data_format = check_data_format(data_format, self)

    def call(self, inputs: Tensor) -> Tensor:
        return type(self)._op(inputs, self.output_size, "channels_last")

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        self.check_input(input_shape)
        return (input_shape[0], *self.output_size, input_shape[-1])


class AdaptiveMaxPooling(AdaptivePooling):
    """The largest value of each bin."""

    _op = staticmethod(ops.adaptive_max_pool)


class AdaptiveAveragePooling(AdaptivePooling):
    """The mean of each bin."""

    _op = staticmethod(ops.adaptive_average_pool)


class GlobalPooling(Spatial):
    """One value a channel: `(batch, channels)`, or with `keepdims` `(batch, 1, ..., channels)`."""

    def __init__(self, data_format: str | None = None, keepdims: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_format = check_data_format(data_format, self)
        self.keepdims = bool(keepdims)

    def call(self, inputs: Tensor) -> Tensor:
        y = type(self)._op(inputs)
        return ops.reshape(y, (-1, *self.compute_output_shape(inputs.shape)[1:])) if self.keepdims else y

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        self.check_input(input_shape)
        kept = (1,) * self.rank if self.keepdims else ()
        return (input_shape[0], *kept, input_shape[-1])


class GlobalMaxPooling(GlobalPooling):
    """The largest value of each channel."""

    _op = staticmethod(ops.global_max_pool)


class GlobalAveragePooling(GlobalPooling):
    """The mean of each channel."""

    _op = staticmethod(ops.global_average_pool)


class MaxPooling1D(MaxPooling):
    """Maximum over windows of `(batch, steps, channels)`; arguments as Pooling."""

    rank = 1


class MaxPooling2D(MaxPooling):
    """Maximum over windows of `(batch, height, width, channels)`; arguments as Pooling.

    >>> layers.MaxPooling2D((2, 2))(np.zeros((8, 24, 24, 32))).shape
    (8, 12, 12, 32)
    """

    rank = 2


class MaxPooling3D(MaxPooling):
    """Maximum over windows of `(batch, depth, height, width, channels)`; arguments as Pooling."""

    rank = 3


class AveragePooling1D(AveragePooling):
    """Mean over windows of `(batch, steps, channels)`; arguments as Pooling."""

    rank = 1


class AveragePooling2D(AveragePooling):
    """Mean over windows of `(batch, height, width, channels)`; arguments as Pooling."""

    rank = 2


class AveragePooling3D(AveragePooling):
    """Mean over windows of `(batch, depth, height, width, channels)`; arguments as Pooling."""

    rank = 3


class GlobalMaxPooling1D(GlobalMaxPooling):
    """Maximum over the steps of `(batch, steps, channels)`."""

    rank = 1


class GlobalMaxPooling2D(GlobalMaxPooling):
    """Maximum over the pixels of `(batch, height, width, channels)`."""

    rank = 2


class GlobalMaxPooling3D(GlobalMaxPooling):
    """Maximum over the voxels of `(batch, depth, height, width, channels)`."""

    rank = 3


class GlobalAveragePooling1D(GlobalAveragePooling):
    """Mean over the steps of `(batch, steps, channels)`, those alone that the mask lets count, where there is one."""

    rank = 1

    def call(self, inputs: Any, mask: Any = None) -> Any:
        if mask is None:
            return super().call(inputs)
        mask = ops.expand_dims(as_floats(mask, inputs.dtype), -1)
        total, count = (ops.sum(x, 1, keepdims=self.keepdims) for x in (select(mask, inputs), mask))
        return ops.divide(total, count)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """None: there are no steps any more."""


class GlobalAveragePooling2D(GlobalAveragePooling):
    """Mean over the pixels of `(batch, height, width, channels)`."""

    rank = 2


class GlobalAveragePooling3D(GlobalAveragePooling):
    """Mean over the voxels of `(batch, depth, height, width, channels)`."""

    rank = 3


class AdaptiveMaxPooling1D(AdaptiveMaxPooling):
    """Maximum over bins of `(batch, steps, channels)`; arguments as AdaptivePooling."""

    rank = 1


class AdaptiveMaxPooling2D(AdaptiveMaxPooling):
    """Maximum over bins of `(batch, height, width, channels)`; arguments as AdaptivePooling."""

    rank = 2


class AdaptiveMaxPooling3D(AdaptiveMaxPooling):
    """Maximum over bins of `(batch, depth, height, width, channels)`; arguments as AdaptivePooling."""

    rank = 3


class AdaptiveAveragePooling1D(AdaptiveAveragePooling):
    """Mean over bins of `(batch, steps, channels)`; arguments as AdaptivePooling."""

    rank = 1


class AdaptiveAveragePooling2D(AdaptiveAveragePooling):
    """Mean over bins of `(batch, height, width, channels)`; arguments as AdaptivePooling."""

    rank = 2


class AdaptiveAveragePooling3D(AdaptiveAveragePooling):
    """Mean over bins of `(batch, depth, height, width, channels)`; arguments as AdaptivePooling."""

    rank = 3
