"""load: any data set, by its name or as a folder, in one form for the command line and for programs that take a name.

Not a reader: the modules beside this one read. Contract: images have an axis of channels, labels are whole numbers from 0
in one axis (or a row of zeros and ones a sample, where several can hold), and there is a name for each class.
"""

from __future__ import annotations

import os
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import numpy as np

from fastconv.datasets import _files, cifar10, cifar100, emnist, fashion_mnist, kmnist, medmnist, mnist, mnist_mini, ucr

Pair = tuple[np.ndarray, np.ndarray]


class Entry(NamedTuple):
    """Where a named data set comes from: a module, what its load_data is given, its classes' names, whether it is grey."""

    module: ModuleType
    arguments: tuple = ()
    classes: tuple[str, ...] = tuple("0123456789")
    grey: bool = True


TABLE = {
    "mnist-mini": Entry(mnist_mini),
    "mnist": Entry(mnist),
    "fashion-mnist": Entry(fashion_mnist, (), fashion_mnist.CLASSES),
    "kmnist": Entry(kmnist, (), kmnist.CLASSES),
    **{f"emnist-{split}": Entry(emnist, (split,), row.classes) for split, row in emnist.SPLITS.items()},
    "cifar10": Entry(cifar10, (), cifar10.CLASSES, grey=False),
    "cifar100": Entry(cifar100, (), cifar100.CLASSES, grey=False),
    **{
        name if size == medmnist.SIZES[0] else f"{name}-{size}": Entry(
            medmnist, (name, size), row.classes, row.channels == 1
        )
        for name, row in medmnist.INFO.items()
        for size, _ in zip(medmnist.SIZES, row.md5)
    },
}


def names() -> list[str]:
    """The names that `load` knows, but for the time series' ("ucr/GunPoint")."""
    return list(TABLE)


def load(
    name_or_folder: str | os.PathLike[str],
    image_size: tuple[int, int] | None = None,
    color_mode: str | None = None,
) -> tuple[Pair, Pair, list[str]]:
    """`(x_train, y_train), (x_test, y_test), class_names` of a data set.

    name_or_folder: one of `names()` ("-" and "_" are the same); "ucr/" and the name of a set of time series; or a folder, as
    "./mnist" where it is called like a set.
    In a folder are images, one folder a class, or these in the folders `train` and `test`; without a `test`, every fifth
    image of each class is one of it. Or it holds time series, `NAME_TRAIN.ts` and `NAME_TEST.ts` (`.tsv`). image_size
    (rows, columns) and color_mode ("grayscale", "rgb", "rgba") are for folders of images; None takes the first image's,
    and all must then be alike.

    x: (samples, ..., channels), uint8 images or float32 series. y: (samples,) class numbers from 0; chestmnist's are
    (samples, 14), a 0 or 1 for each class. MedMNIST's part for validation comes from `medmnist.load_data` alone.

    Raises ValueError for an unknown name and for files that are wrong, OSError for a set that is not to be had.
    """
    name = os.fspath(name_or_folder)
    entry = TABLE.get(name.replace("_", "-").lower())
    if entry is None and os.path.isdir(name):
        series = {path.name.rpartition("_")[0] for path in Path(name).glob("*_TRAIN.ts*")}
        if len(series) == 1:
            return _series(*ucr.load(series.pop(), folder=Path(name)))
        from fastconv.datasets.folders import load_folder

        return load_folder(name, image_size, color_mode)
    if image_size is not None or color_mode is not None:
        raise ValueError(f"image_size and color_mode are for folders of images; {name!r} is none.")
    if name.startswith("ucr/"):
        return _series(*ucr.load(name[4:]))
    if entry is None:
        raise ValueError(
            f"name_or_folder {name!r} is neither a folder nor a data set. {_files.near(name.lower(), names())}There are mnist-mini, "
            "mnist, fashion-mnist, kmnist, emnist-letters, cifar10, cifar100, MedMNIST's such as pathmnist or "
            "organmnist3d-64, and ucr/NAME; fastconv.datasets.names() lists all."
        )
    train, *_, test = entry.module.load_data(*entry.arguments)
    return _uniform(entry, *train), _uniform(entry, *test), list(entry.classes)


def _uniform(entry, x, y):
    return x[..., None] if entry.grey else x, y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y


def _series(train, test):
    if train.classes is None:
        raise ValueError("The time series have targets to predict, not classes: read them with fastconv.datasets.ucr.")
    return (train.x, train.y), (test.x, test.y), train.classes
