"""Formatted: layers with a `data_format`. Spatial: what convolution and pooling layers share of rank, window and
checks.

They own no weights and compute nothing. Contract: every layer computes channels last, `(batch, *spatial, channels)`;
for `data_format="channels_first"` Formatted turns what comes in and goes out around, here and nowhere else, so that
`build`, `call`, `check_input` and `compute_output_shape` of its subclasses see channels last; weights are the same for
both. A subclass of Spatial sets `rank`, and `kernel_size` or `pool_size` before it calls `_set_window`.
"""

from __future__ import annotations

import functools
import operator
import threading
import warnings
from typing import Any

from fastconv import config, ops
from fastconv.kernels.geometry import Window, per_axis
from fastconv.layers.annotations import Shape
from fastconv.layers.base import Layer
from fastconv.layers.shapes import is_shape

_AXES = {1: ("steps",), 2: ("height", "width"), 3: ("depth", "height", "width")}
_OPEN = 1 << 20  # stands for a size of None while a Window is made


class _Inside(threading.local):
    layer = None  # that is in one of its methods now, which sees channels last


_inside = _Inside()
_warned = False


class Formatted(Layer):
    """Base class of layers that take `data_format`: "channels_last", "channels_first", or None for
    `config.image_data_format()`."""

    one_tensor = True

    data_format = "channels_last"

    def __init_subclass__(cls, **kwargs: Any) -> None:
        for name in ("build", "call", "check_input", "compute_output_shape"):
            method = getattr(cls, name)
            if method is not getattr(Layer, name) and not hasattr(method, "turned"):
                setattr(cls, name, _turned(method))
        super().__init_subclass__(**kwargs)

    def _last_shape(self):
        """The shape that the layer was built for, with the channels last."""
        return _last(self._build_shape) if self.data_format == "channels_first" else self._build_shape


def _turned(method):
    """The method of a Formatted layer, whose first argument and result are turned around if it is channels first."""

    @functools.wraps(method)
    def wrapper(self, given, *args, **kwargs):
        if self.data_format != "channels_first" or _inside.layer is self:
            return method(self, given, *args, **kwargs)
        outer, _inside.layer = _inside.layer, self
        try:
            return _first(method(self, _last(given), *args, **kwargs))
        except ValueError as error:
            raise ValueError(
                f"{error} (data_format='channels_first': shapes in this message are channels last.)"
            ) from None
        finally:
            _inside.layer = outer

    wrapper.turned = True
    return wrapper


def _last(given):
    """A shape or a Tensor of channels first with the channels last."""
    if is_shape(given):
        return (given[0], *given[2:], given[1]) if len(given) > 2 else given
    return ops.moveaxis(given, 1, -1) if given.ndim > 2 else given


def _first(given):
    """The inverse of `_last`; None stays."""
    if given is None:
        return None
    if is_shape(given):
        return (given[0], given[-1], *given[1:-1]) if len(given) > 2 else given
    return ops.moveaxis(given, -1, 1) if given.ndim > 2 else given


class Spatial(Formatted):
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
        elif len(shape) == 2:
            hint = " If the samples were flattened before: Flatten goes behind the last layer that needs their axes."
        elif len(shape) == self.rank + 3 and shape[1] is None:
            hint = f" Input takes the shape of one sample, without the batch: Input({tuple(shape[2:])})."
        raise ValueError(f"{type(self).__name__} expects ({expected}); got {tuple(shape)}.{hint}")

    def _set_window(self, strides, padding, data_format):
        self.data_format = check_data_format(data_format, self)
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


def check_data_format(data_format, layer) -> str:
    """The layout that `data_format` names, None being `config.image_data_format()`; ValueError for any other, and for
    channels first where the layer is not Formatted. The first layer of channels first warns what it costs."""
    global _warned
    chosen = config.image_data_format() if data_format is None else data_format
    if chosen == "channels_first" and isinstance(layer, Formatted):
        if not _warned:
            _warned = True
            warnings.warn(
                "data_format='channels_first' runs, but the layers compute channels last and transpose what they get "
                "and give. Models leave out the transpositions of two such layers in a row; all others are a copy "
                "each. Channels last needs none: x = np.moveaxis(x, 1, -1).", stacklevel=4,
            )  # fmt: skip
    elif chosen != "channels_last":
        also = " or 'channels_first'" if isinstance(layer, Formatted) else ""
        raise ValueError(
            f"{type(layer).__name__}: data_format must be None or 'channels_last'{also}; got {chosen!r}. "
            "Move the channels to the last axis: x = np.moveaxis(x, 1, -1)."
        )
    return chosen


def positive(value, name: str, layer) -> int:
    """`value` as a positive int; the error names the layer's class and the argument."""
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or number < 1 or isinstance(value, bool):
        kind = TypeError if number is None or isinstance(value, bool) else ValueError
        raise kind(f"{type(layer).__name__}: {name} must be a positive integer; got {value!r}.")
    return number
