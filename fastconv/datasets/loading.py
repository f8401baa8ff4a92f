"""load: any data set, by its name or as a folder, in one form for the command line and for programs that take a name.

Not a reader: the modules beside this one read. Contract: images have an axis of channels, labels are whole numbers from 0
in one axis (or a row of zeros and ones a sample, where several can hold), and there is a name for each class.
"""

from __future__ import annotations

import difflib
import importlib
import os
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

Pair = tuple[np.ndarray, np.ndarray]


class Entry(NamedTuple):
    """Where a named data set comes from: a module beside this one, what its load_data is given, its classes' names."""

    module: str
    arguments: tuple = ()
    classes: tuple[str, ...] = tuple("0123456789")


TABLE = {
    "mnist-mini": Entry("mnist_mini"),
    "mnist": Entry("mnist"),
}


def names() -> list[str]:
    """The names that `load` knows."""
    return list(TABLE)


def load(
    name_or_folder: str | os.PathLike[str],
    image_size: tuple[int, int] | None = None,
    color_mode: str | None = None,
) -> tuple[Pair, Pair, list[str]]:
    """`(x_train, y_train), (x_test, y_test), class_names` of a data set.

    name_or_folder: one of `names()` ("-" and "_" are the same), or a folder of images: one folder a class, or these in
    the folders `train` and `test`; without a `test`, every fifth image of each class is one of it. image_size (rows,
    columns) and color_mode ("grayscale", "rgb", "rgba") are for folders; None takes the first image's, and all must then
    have that size.

    x: (samples, ..., channels), uint8 images or float32 series. y: (samples,) class numbers from 0.

    Raises ValueError for an unknown name and for files that are wrong, OSError for a set that is not to be had.
    """
    name = os.fspath(name_or_folder)
    if os.path.isdir(name):
        from fastconv.datasets.folders import load_folder

        return load_folder(name, image_size, color_mode)
    entry = TABLE.get(name.replace("_", "-").lower())
    if entry is None:
        raise ValueError(unknown("name_or_folder", name, names(), "or the path of a folder of images"))
    if image_size is not None or color_mode is not None:
        raise ValueError(f"image_size and color_mode are for folders of images; {name!r} has a size of its own.")
    train, *_, test = importlib.import_module(f"fastconv.datasets.{entry.module}").load_data(*entry.arguments)
    return _uniform(*train), _uniform(*test), list(entry.classes)


def unknown(argument: str, value: Any, known: Iterable[str], more: str = "") -> str:
    """What is said of a name that is none of the known ones."""
    known = list(known)
    near = difflib.get_close_matches(value, known, 3)
    hint = f"Did you mean {' or '.join(map(repr, near))}? " if near else ""
    return f"{argument} {value!r} is unknown. {hint}It must be one of {', '.join(known)}{more and ', '}{more}."


def _uniform(x, y):
    grey = x.dtype == np.uint8 and (x.ndim == 3 or x.ndim == 4 and x.shape[1] == x.shape[2] == x.shape[3])
    return x[..., None] if grey else x, y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
