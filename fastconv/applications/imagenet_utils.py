"""What pictures become before a network reads them, and what its numbers are called after.

Keras' three ways of scaling pictures, and names for classes. It downloads nothing: names come from a file or a list of
the user's. Contract: no argument is changed; pictures are `(..., 3)`, RGB from 0 to 255.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from fastconv import ops
from fastconv.layers.shapes import numbers
from fastconv.tensor import Tensor

# mode -> (whether RGB becomes BGR, what is subtracted, what it is divided by then)
_MODES = {
    "tf": (False, 127.5, 127.5),
    "torch": (False, 255 * np.array([0.485, 0.456, 0.406]), 255 * np.array([0.229, 0.224, 0.225])),
    "caffe": (True, np.array([103.939, 116.779, 123.68]), 1.0),
}


def preprocess_input(x: Any, data_format: str | None = None, mode: str = "caffe") -> Any:
    """Pictures as networks trained in this mode take them, in x's dtype (float32 for integers); an array for an array,
    a Tensor for a Tensor.

    "tf": from -1 to 1. "torch": scaled to ImageNet's mean and deviation. "caffe": BGR less ImageNet's means.
    `data_format`: None or "channels_last".
    """
    if mode not in _MODES:
        raise ValueError(f"preprocess_input: mode must be one of {', '.join(_MODES)}; got {mode!r}.")
    if data_format not in (None, "channels_last"):
        raise ValueError(f"preprocess_input: data_format must be None or 'channels_last'; got {data_format!r}.")
    if not isinstance(x, Tensor):
        x = numbers(x, "x")
        x = x if x.dtype in (np.float32, np.float64) else x.astype("float32")
    flipped, center, scale = _MODES[mode]
    if mode != "tf" and (not x.ndim or x.shape[-1] != 3):
        raise ValueError(f"preprocess_input: pictures must have 3 channels, last; got the shape {tuple(x.shape)}.")
    x = x[..., ::-1] if flipped else x
    center, scale = (np.asarray(value, x.dtype) for value in (center, scale))
    if isinstance(x, Tensor):
        return ops.divide(ops.subtract(x, center), scale)
    return (x - center) / scale


def decode_predictions(
    preds: Any, top: int = 5, class_index: str | os.PathLike[str] | Mapping[str, Any] | None = None
) -> list[list[tuple[str, str, float]]]:
    """For each row of `preds` (samples, classes), a list of its `top` highest scores: (identifier, name, score).

    `class_index` says what the classes are called: the path of a JSON file in the form of Keras'
    imagenet_class_index.json, `{"0": ["n01440764", "tench"], ...}`, or a list of names. None raises ValueError, since
    fastconv has no such file and downloads none.
    """
    preds = numbers(preds, "preds")
    if preds.ndim != 2:
        raise ValueError(f"decode_predictions: preds must be (samples, classes); got the shape {preds.shape}.")
    names = _names(class_index)
    if len(names) != preds.shape[1]:
        raise ValueError(f"decode_predictions: there are {preds.shape[1]} classes, and class_index names {len(names)}.")
    orders = np.argsort(-preds, axis=1, kind="stable")[:, :top]
    return [[(*names[i], row[i]) for i in order] for row, order in zip(preds, orders)]


def _names(class_index) -> list:
    """(identifier, name) of each class."""
    if class_index is None:
        raise ValueError(
            "decode_predictions needs the names of the classes, and fastconv downloads nothing: give class_index, the "
            "path of Keras' imagenet_class_index.json, or a list of names."
        )
    if isinstance(class_index, (list, tuple)):
        return [(str(i), str(name)) for i, name in enumerate(class_index)]
    try:
        with open(class_index, encoding="utf-8") as file:
            table = json.load(file)
        return [(str(table[str(i)][0]), str(table[str(i)][1])) for i in range(len(table))]
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise ValueError(f'{class_index}: not of the form {{"0": ["n01440764", "tench"], ...}} ({error!r}).') from error


def scaled(mode: str) -> Callable[..., Any]:
    """`preprocess_input(x, data_format=None)` of this mode; None: pictures as they are, for networks that scale."""

    def preprocess(x: Any, data_format: str | None = None) -> Any:
        """Pictures, RGB from 0 to 255, as this network takes them; see imagenet_utils.preprocess_input."""
        return x if mode is None else preprocess_input(x, data_format, mode)

    preprocess.__name__ = preprocess.__qualname__ = "preprocess_input"
    return preprocess
