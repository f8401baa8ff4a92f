"""Spatial: what convolution and pooling layers share, namely their rank, window arguments and shape checks.

It owns no weights and computes nothing. Contract: a subclass sets `rank`, and `kernel_size` or `pool_size` before it
calls `_set_window`; inputs are `(batch, *spatial, channels)`.
"""

from __future__ import annotations

from fastconv.kernels.geometry import Window, per_axis
from fastconv.layers.annotations import Shape
from fastconv.layers.base import Layer

_AXES = {1: ("steps",), 2: ("height", "width"), 3: ("depth", "height", "width")}
_OPEN = 1 << 20  # stands for a size of None while a Window is made


class Spatial(Layer):
    """Base class of layers over `(batch, *spatial, channels)` with `rank` spatial axes."""

    rank = None
    dilation_rate = 1

    def check_input(self, shape: Shape) -> None:
        if len(shape) == self.rank + 2:
            return
        expected = ", ".join(("batch", *_AXES[self.rank], "channels"))
        hint = ""
        if len(shape) == self.rank + 1:
            kind = "Grey images need" if self.rank == 2 else "Data of one channel needs"
            hint = f" {kind} a channel axis: x = x[..., None]. One sample needs a batch axis: x = x[None]."
            if shape[0] is None or shape[0] > 512:  # surely a batch
                hint = f" {kind} a channel axis: x = x[..., None]."
        raise ValueError(f"{type(self).__name__} expects ({expected}); got {tuple(shape)}.{hint}")

    def _set_window(self, strides, padding, data_format):
        check_data_format(data_format, self)
        self.data_format = data_format
        self.strides = per_axis("strides", strides, self.rank)
        if isinstance(padding, str):
            padding = padding.lower()
        elif hasattr(padding, "__len__"):  # pairs, which may come from JSON or an array
            padding = tuple(tuple(map(int, pair)) if hasattr(pair, "__len__") else pair for pair in padding)
        self.padding = padding
        self._sizes((_OPEN,) * self.rank)  # wrong arguments fail here, not at the first input

    def _sizes(self, sizes) -> tuple:
        """The output's sizes for known sizes of the input."""
        size = getattr(self, "kernel_size", None) or self.pool_size
        return Window.of(sizes, size, self.strides, self.padding, self.dilation_rate).output

    def _output_sizes(self, shape) -> tuple:
        """Spatial output sizes of an input's shape; None where the input's is None."""
        spatial = shape[1:-1]
        try:
            output = self._sizes(tuple(_OPEN if size is None else size for size in spatial))
        except ValueError as error:
            raise ValueError(
                f"Layer {self.name!r} ({type(self).__name__}) cannot take the input shape {tuple(shape)}: {error}"
            ) from None
        return tuple(None if size is None else out for size, out in zip(spatial, output))


def check_data_format(data_format, layer) -> None:
    """Raises ValueError for a layout other than channels last."""
    if data_format not in (None, "channels_last"):
        raise ValueError(
            f"{type(layer).__name__}: data_format must be None or 'channels_last'; got {data_format!r}. "
            "Move the channels to the last axis: x = np.moveaxis(x, 1, -1)."
        )


def positive(value, name: str, layer) -> int:
    """`value` as a positive int; the error names the layer's class and the argument."""
    try:
        return per_axis(name, value, 1)[0]
    except (TypeError, ValueError):
        kind = TypeError if isinstance(value, (bool, str, float)) or value is None else ValueError
        raise kind(f"{type(layer).__name__}: {name} must be a positive integer; got {value!r}.") from None
