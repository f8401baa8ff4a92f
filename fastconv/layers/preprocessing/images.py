"""Images: what layers share that change images, a random change a sample: their inputs, their seeds, and the one Op.

The changes are in the other files: a subclass gives `draw`, the random numbers of a batch, and `change`, what they do to
its array. Contract: what is random is drawn by counting from a SeedGenerator, a sample's numbers by its place in the batch,
so that the threads do not matter. A layer gives its dtype, float32 by default; with dtype="uint8" it takes and gives
bytes. Called by itself it is in training, as in Keras; within a model it does as the model does.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastconv import kernels, ops, rng
from fastconv.kernels.image import BYTE
from fastconv.layers.annotations import DTypeLike, Factor, Seed, Shape
from fastconv.layers.calls import state
from fastconv.layers.preprocessing.scaling import Preprocessing
from fastconv.ops.dropout import key_of
from fastconv.ops.image.batches import is_channels_first
from fastconv.tensor import Op, Tensor, wrap

_PART = 1 << 17  # numbers that are floats at once
Changed = Any  # an array, or (an array, the function from its gradient to the images')


class Draws:
    """Random numbers of a batch, float64, from a SeedGenerator (or what `rng.source` gives)."""

    def __init__(self, source: rng.SeedGenerator | rng.FixedSeed):
        self.key, self.advance = key_of(source)
        if not self.advance:  # an int's numbers: the same at each call, not at each draw
            self.key = self.key.copy()

    def uniform(self, shape: int | Sequence[int], low: float = 0.0, high: float = 1.0) -> np.ndarray:
        """Numbers from low to below high; `low` where they are equal."""
        shape = (shape,) if isinstance(shape, int) else shape
        return kernels.random_uniform(shape, np.float64, self.key, float(low), float(high))

    def normal(self, shape: Sequence[int]) -> np.ndarray:
        """Normal numbers."""
        return kernels.random_normal(shape, np.float64, self.key)

    def chosen(self, count: int, factor: Sequence[float]) -> np.ndarray:
        """Which of `count` samples are changed: each with a probability that is drawn from `factor` (low, high)."""
        return self.uniform(count, *factor) > self.uniform(count)

    def generator(self) -> np.random.Generator:
        """NumPy's generator of a counting stream of its own, for distributions that no kernel has."""
        words = (self.uniform(2) * 2.0**53).astype(np.uint64)
        return np.random.Generator(np.random.Philox(key=words))


class Augment(Op):
    """A layer's change of images in training: random numbers are drawn anew at each run."""

    stateful = True

    def forward(self, x, *, layer, source):
        self.layer = layer
        y = layer.changed(x, layer.draw(x.shape, Draws(source)))
        y, self.gradient = y if isinstance(y, tuple) else (y, None)
        return y

    exact = forward

    def backward(self, dy):
        if self.gradient is None:
            raise ValueError(
                f"{type(self.layer).__name__} has no gradient: put it in front of what is trained, or call it on detach()."
            )
        return self.gradient(dy)

    @staticmethod
    def shape(x, *, layer, **attributes):
        return layer.changed_shape(x)


class ImageLayer(Preprocessing):
    """Base class of layers on images, one (height, width, channels) or a batch.

    `data_format`: None for `config.image_data_format()`; "channels_first" is turned around, at the price of two copies.
    `dtype`: "float32", "float64", or "uint8" for bytes in and out. A dict's "images" are changed, and its "labels" with
    them where the layer mixes samples. Bounding boxes and masks are refused.
    """

    random = True  # whether it changes images in training only

    def __init__(
        self,
        factor: Factor | None = None,
        bounding_box_format: str | None = None,
        data_format: str | None = None,
        dtype: DTypeLike | None = None,
        **kwargs: Any,
    ) -> None:
        as_bytes = dtype is not None and getattr(dtype, "__name__", str(dtype)) == "uint8"
        super().__init__(dtype=None if as_bytes else dtype, **kwargs)
        if as_bytes:
            self._dtype = BYTE
        if bounding_box_format is not None:
            raise ValueError(f"{type(self).__name__} changes no bounding boxes: bounding_box_format must be None.")
        self.bounding_box_format, self.data_format = None, data_format
        is_channels_first(data_format)
        if not hasattr(self, "factor"):
            if factor is not None:
                raise ValueError(f"{type(self).__name__} takes no factor; got {factor!r}.")
            self.factor = None

    def _set_seed(self, seed):
        self.seed = seed
        self.generator = None if seed is None else rng.SeedGenerator(seed)

    seed = None
    generator = None

    @property
    def _source(self):
        return rng.seed_generator() if self.generator is None else self.generator

    # Inputs

    def prepare(self, inputs: Any) -> Any:
        if not isinstance(inputs, dict):
            return super().prepare(inputs)
        unknown = inputs.keys() - {"images", "labels"}
        if unknown or "images" not in inputs:
            raise ValueError(
                f"{self._title()} takes images, or a dict of 'images' and 'labels'; got the keys {sorted(inputs)}."
            )
        return {**inputs, "images": super().prepare(inputs["images"])}

    def _convert(self, inputs):
        if self._dtype != BYTE or isinstance(inputs, Tensor) and inputs.symbolic:
            return super()._convert(inputs)
        array = inputs.data if isinstance(inputs, Tensor) else np.asarray(inputs)
        if array.dtype != BYTE:
            raise TypeError(
                f"{self._title()} has dtype='uint8' and takes bytes; got {array.dtype}. Convert them, x.astype('uint8'), or "
                "leave out the dtype."
            )
        return wrap(array)

    def check_input(self, shape: Shape) -> None:
        if isinstance(shape, tuple) and len(shape) not in (3, 4):
            raise ValueError(
                f"{self._title()} expects images (batch, height, width, channels), or one without a batch; got {shape}."
            )

    def run(self, x: np.ndarray, training: bool | None = None, *args: Any, **kwargs: Any) -> Any:
        if training is None and not state.running:
            training = True
        return super().run(x, training, *args, **kwargs)

    def call(self, inputs: Any, training: bool | None = True) -> Tensor:
        if not isinstance(inputs, dict):
            return self._on_batch(inputs, training)
        images = inputs["images"]
        if images.symbolic or not (training or not self.random) or "labels" not in inputs:
            return {**inputs, "images": self._on_batch(images, training)}
        single = images.ndim == 3
        shape = (1, *images.shape) if single else images.shape
        how = self.draw(self._last_shape(shape), Draws(self._source))
        changed = self._on_batch(images, True, how)
        labels = self.changed_labels(inputs["labels"], how, single)
        return {**inputs, "images": changed, "labels": labels}

    def _on_batch(self, images, training, how=None):
        """What `call` gives for a Tensor of one image or several, in the layer's layout; of bytes too."""
        if not training and self.random:
            return self._unchanged(images)
        single, first = images.ndim == 3, is_channels_first(self.data_format)
        x = ops.moveaxis(images, -3, -1) if first else images
        x = ops.expand_dims(x, 0) if single else x
        if how is None:
            y = Augment.apply(x, layer=self, source=self._source)
        else:
            y = self.changed(x.data, how)
            y = wrap(y[0] if isinstance(y, tuple) else y)
        y = ops.squeeze(y, 0) if single else y
        return ops.moveaxis(y, -1, -3) if first else y

    def _unchanged(self, images):
        return images

    def _last_shape(self, shape):
        """A batch's shape with the channels last."""
        return (shape[0], *shape[2:], shape[1]) if is_channels_first(self.data_format) else tuple(shape)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        if isinstance(input_shape, dict):
            return {**input_shape, "images": self.compute_output_shape(input_shape["images"])}
        self.check_input(tuple(input_shape))
        single = len(input_shape) == 3
        shape = self.changed_shape(self._last_shape((None, *input_shape) if single else tuple(input_shape)))
        shape = (shape[0], shape[3], *shape[1:3]) if is_channels_first(self.data_format) else shape
        return shape[1:] if single else shape

    # What subclasses define

    def draw(self, shape: tuple, random: Draws) -> Any:
        """The random numbers for a batch of this shape (N, H, W, C)."""

    def changed(self, x: np.ndarray, how: Any) -> Changed:
        """The batch x (N, H, W, C), floats or bytes, changed by what was drawn; with its gradient, where it has one."""
        raise NotImplementedError(f"{type(self).__name__} must define changed(self, x, how).")

    def changed_shape(self, shape: tuple) -> tuple:
        """The result's shape for a batch's."""
        return tuple(shape)

    def changed_labels(self, labels: Any, how: Any, single: bool) -> Any:
        """The labels that go with the changed images: the same, where a sample stays itself."""
        return labels

    # Keras' three steps

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Any:
        """What would be drawn for these images (or a dict of them), for `transform_images`; None outside training."""
        shape = np.shape(data["images"] if isinstance(data, dict) else data)
        if not training:
            return None
        shape = (1, *shape) if len(shape) == 3 else shape
        return self.draw(self._last_shape(shape), Draws(self._source if seed is None else rng.source(seed)))

    def transform_images(self, images: Any, transformation: Any, training: bool = True) -> Any:
        """Images changed by what `get_random_transformation` gave."""
        images = self.prepare(images)
        return self._on_batch(images, training, transformation) if training else images

    def transform_labels(self, labels: Any, transformation: Any, training: bool = True) -> Any:
        """Labels changed by what `get_random_transformation` gave."""
        return self.changed_labels(labels, transformation, False) if training else labels


class Graded(ImageLayer):
    """Base class of what is done as strongly as `factor` says: two numbers of `least` to `most`, or one, see `limits`;
    `whole` ones."""

    least, most, whole = 0, 1, False

    def __init__(
        self,
        factor: Factor,
        value_range: Sequence[float] = (0, 255),
        data_format: str | None = None,
        seed: Seed | None = None,
        **kwargs: Any,
    ) -> None:
        self.factor = None
        super().__init__(data_format=data_format, **kwargs)
        found = limits(self, "factor", factor, self.least, self.most)
        self.factor = tuple(map(operator.index, found)) if self.whole else found
        self.value_range = range_of(self, value_range)
        self._set_seed(seed)


def range_of(layer, values) -> tuple:
    """(low, high) of what pixels may be."""
    try:
        low, high = sorted(float(value) for value in values)
    except (TypeError, ValueError):
        raise ValueError(f"{type(layer).__name__}: value_range must be two numbers; got {values!r}.") from None
    if not low < high < float("inf") or low == -float("inf"):
        raise ValueError(f"{type(layer).__name__}: value_range must be two different numbers; got {values!r}.")
    return tuple(int(v) if v == int(v) else v for v in (low, high))


def limits(
    layer, name: str, value: Any, least: float, most: float, *, mirrored: bool = True, open_low: bool = False
) -> tuple:
    """(low, high) of a factor: two numbers, or one, which is -value to value (`mirrored`), but `least` at least.

    ValueError unless both lie between `least` (itself not with `open_low`) and `most`.
    """
    pair = value if isinstance(value, (tuple, list)) else None
    numbers = [n.item() if isinstance(n, np.generic) else n for n in ([value] if pair is None else pair)]
    bad = len(numbers) not in ((2,) if pair is not None else (1,)) or any(
        isinstance(n, bool) or not isinstance(n, (int, float)) or not least <= n <= most or open_low and n == least
        for n in numbers
    )
    if bad:
        edge = "above" if open_low else "from"
        raise ValueError(
            f"{type(layer).__name__}: {name} must be a number, or two, {edge} {least} to {most}; got {value!r}."
        )
    if pair is not None:
        return tuple(sorted(numbers))
    size = abs(numbers[0])
    return (max(-size, least) if mirrored else 0, size)


def as_table(x: np.ndarray, function) -> np.ndarray:
    """Bytes x (N, H, W, C) by `function(v)` (N, C, 256) of all bytes v (256,), rounded half up and limited."""
    table = np.clip(np.floor(function(np.arange(256.0)) + 0.5), 0, 255).astype(BYTE)
    shape = (len(x), x.shape[3], 256)
    if table.shape[-2] == 1:
        kept, flipped = table[..., 255:] ^ table[..., :1], table[..., :1]
        if np.array_equal(np.arange(256, dtype=BYTE) & kept ^ flipped, table):
            return _with_bits(x, kept[..., None], flipped[..., None])
    return kernels.color_table(x, np.ascontiguousarray(np.broadcast_to(table, shape)))


def _with_bits(x, kept, flipped):
    """x & kept ^ flipped: a table that does no more, as those of inverting and posterizing, is the slower way."""
    y = kernels.empty(x.shape, BYTE)
    if (kept == 255).all():
        return np.bitwise_xor(x, flipped, out=y)
    np.bitwise_and(x, kept, out=y)
    return y if not flipped.any() else np.bitwise_xor(y, flipped, out=y)


def by_parts(x: np.ndarray, function) -> np.ndarray:
    """`function(n, samples)` of some samples x[n] at a time, n a slice, as floats that stay in a cache; rounded for bytes."""
    y = kernels.empty(x.shape, x.dtype)
    step = max(_PART // max(x[:1].size, 1), 1)
    for start in range(0, len(x), step):
        n = slice(start, start + step)
        part = function(n, x[n].astype(np.float32) if x.dtype == BYTE else x[n])
        y[n] = np.clip(np.floor(part + 0.5), 0, 255) if x.dtype == BYTE else part
    return y


def column(numbers: np.ndarray, x: np.ndarray) -> np.ndarray:
    """A number a sample (N,) in x's dtype, along x's first axis."""
    return np.asarray(numbers, x.dtype).reshape(-1, 1, 1, 1)
