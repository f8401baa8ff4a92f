"""What a network makes of one image: its probabilities, each layer's maps, and the pixels that max-pooling kept.

It knows networks and arrays, no browser. Contract: numbers leave as one message of bytes, which page/demo.js takes
apart: the length of a JSON text (4 bytes, least first), the text, then uint8 arrays in the order that it names them.
"""

from __future__ import annotations

import json
import struct
from typing import Any, NamedTuple

import numpy as np

from fastconv import layers
from fastconv.cli.predict import probabilities
from fastconv.plotting import figures
from fastconv.tensor import Tensor, no_grad

SHAPE = (28, 28, 1)
MOST_LAYERS, MOST_MAPS, MOST_PIXELS = 16, 64, 64  # layers, maps of one, pixels a side of these: more are sampled
MOST_NUMBERS = 512  # of a layer without maps


class Shown(NamedTuple):
    """A layer's call that the page shows: its number, the layer, the max-pooling whose input it is, and that one's
    place among those that are shown."""

    call: int
    layer: Any
    pool: Any
    place: int | None


def check(model: Any, title: str) -> None:
    """Raises ValueError unless the model has a graph, takes images of 28 x 28 x 1 and gives one number a class."""
    wanted = model.input_shape if model.built else None
    fits = isinstance(wanted, tuple) and len(wanted) == 4
    if not fits or any(size not in (want, None) and want is not None for want, size in zip(wanted[1:], SHAPE)):
        raise ValueError(f"{title} takes inputs of shape {wanted}; the page draws images of {(None, *SHAPE)}.")
    if not isinstance(model.output_shape, tuple) or len(model.output_shape) != 2:
        raise ValueError(f"{title} gives outputs of shape {model.output_shape}; the page shows (None, classes).")
    figures.check_model(model)


class Viewer:
    """A network, and which of its layers are shown: those that change what they are given, sampled where they are many.

    `look` takes uint8 images (28, 28, 1); one call at a time. Colours span a layer's own range, but what it makes of an
    empty image is held against the last one that was not: it is next to nothing, and is to look so.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        noise = np.random.default_rng(0).integers(0, 256, SHAPE).astype("uint8")  # equal by chance is nothing here
        self._largest: dict[int, float] = {}
        self.shown, self.left_out = _chosen(noise, self._calls(noise)[0])

    def look(self, image: np.ndarray) -> bytes:
        """The message about this image."""
        calls, output = self._calls(image)
        outputs = [calls[shown.call][2].numpy() for shown in self.shown]
        arrays, about = [image[..., 0]], []
        for shown, maps in zip(self.shown, outputs):
            text, pictures = _pictures(shown, maps, *self._range(shown, maps, bool(image.any())))
            about.append(text)
            arrays += pictures
        output = output.numpy()[0]
        found = probabilities(output).tolist() if np.isfinite(output).all() else None
        names = self.model.class_names
        head = {
            "probabilities": found,
            "classes": list(names) if names and found and len(names) == len(found) else None,
            "layers": about,
            "left_out": self.left_out,
        }
        text = json.dumps(head, allow_nan=False).encode()
        return b"".join([struct.pack("<I", len(text)), text, *(array.tobytes() for array in arrays)])

    def filters(self) -> dict[str, Any] | None:
        """The first convolution's kernels as whole numbers, 0 to 255, in which 128 is no weight; None without one."""
        for layer in figures.all_layers(self.model):
            if isinstance(layer, layers.Conv2D) and layer.kernel.shape[2] == 1:
                kernel = layer.kernel.numpy()[:, :, 0]
                break
        else:
            return None
        chosen = figures.sampled(kernel.shape[2], MOST_MAPS)
        kernel = np.nan_to_num(np.moveaxis(kernel[..., chosen], 2, 0))
        bound = float(abs(kernel).max()) or 1.0
        values = np.rint(128 + 127 * (kernel / bound)).astype("uint8")
        return {"rows": values.shape[1], "columns": values.shape[2], "values": values.reshape(len(chosen), -1).tolist()}

    def _range(self, shown, maps, is_drawn):
        low, high = figures.finite_range(maps)
        if is_drawn:
            self._largest[shown.call] = high
        return min(low, 0.0), max(high, self._largest.get(shown.call, high))

    def _calls(self, image):
        x = image[None] if self.model.rescales else image[None] / np.float32(255)
        with no_grad():
            return figures.calls(self.model, x)


def _chosen(image, calls):
    """([Shown], how many layers are left out). What hands on the numbers that it was given (Flatten, Dropout, a model
    inside after its last layer) is not shown again; the last output is the probabilities."""
    found, pools, same = [], {}, {}  # same: the call that a call only repeats
    last = image / np.float32(255)
    for number, (layer, args, output) in enumerate(calls):
        if not isinstance(output, Tensor):
            continue
        values = output.numpy()
        if np.array_equal(values.ravel(), last.ravel()):
            same[number] = found[-1] if found else None
            continue
        given = next((n for n, call in enumerate(calls[:number]) if args and call[2] is args[0]), None)
        if isinstance(layer, layers.MaxPooling2D):
            pools.setdefault(same.get(given, given), layer)
        if values.ndim in (2, 4):
            found.append(number)
            last = values
    del found[-1:]
    kept = [found[n] for n in figures.sampled(len(found), MOST_LAYERS)]
    places = {id(calls[n][0]): place for place, n in enumerate(kept)}
    shown = [Shown(n, calls[n][0], pools.get(n), places.get(id(pools.get(n)))) for n in kept]
    return shown, len(found) - len(kept)


def _pictures(shown, output, low, high):
    """(what the page is told of a layer's output (1, rows, columns, channels) or (1, numbers), [arrays])."""
    maps = output[:, None, :, None] if output.ndim == 2 else output  # numbers are a picture of one row
    step = -(-max(maps.shape[1:3]) // (MOST_NUMBERS if output.ndim == 2 else MOST_PIXELS))
    chosen = figures.sampled(maps.shape[3], MOST_MAPS)
    about = {
        "name": shown.layer.name, "kind": type(shown.layer).__name__, "count": maps.shape[3], "shown": chosen,
        "size": maps.shape[1:3], "step": step, "low": low, "high": high, "broken": figures.not_finite(maps), "pool": None,
    }  # fmt: skip
    scaled = np.nan_to_num((maps - low) / ((high - low) or 1.0), posinf=0, neginf=0)
    arrays = [_first_channels(np.rint(scaled * 255).astype("uint8"), step, chosen)]
    about["rows"], about["columns"] = arrays[0].shape[1:]
    if shown.pool is not None:
        about["pool"] = {"size": shown.pool.pool_size, "strides": shown.pool.strides, "place": shown.place}
        arrays.append(_first_channels(_kept(shown.pool, output), step, chosen))
    return about, arrays


def _first_channels(maps, step, chosen):
    return np.ascontiguousarray(np.moveaxis(maps[0, ::step, ::step][..., chosen], 2, 0))


def _kept(pool, values):
    """1 at each pixel that max-pooling hands on, which is where its gradient goes. A window in which all pixels are
    equal hands on its first one, which says nothing: it has none here."""
    x = Tensor(values, requires_grad=True)
    largest = pool(x)
    with no_grad():
        least = -pool(Tensor(-values)).numpy()
    largest.backward((largest.numpy() > least).astype(values.dtype))
    return (x.grad != 0).astype("uint8")
