"""Find, download and check the files of a data set.

Not the data sets themselves: each module beside this one describes its own as a `Dataset` for `load`. Contract: a file
in FASTCONV_DATA_DIR is used when its structure is right and is a ValueError otherwise; a cached or downloaded file is
used only when its checksum is right. Nothing unchecked is ever left in the cache, files appear there whole, and no file
makes fastconv read, fetch or unpack more than the set's size.
"""

from __future__ import annotations

import difflib
import math
import os
import warnings
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from fastconv.datasets import _formats, _network
from fastconv.files import cache_dir, write_whole

Arrays = dict[str, np.ndarray]
Shapes = dict[str, tuple[int, ...]]
Pair = tuple[np.ndarray, np.ndarray]
_COMMON = ("train-", "t10k-", "gzip.zip")  # how names begin that several data sets give their files
_IDX = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
MNIST_SHAPES: Shapes = {"x_train": (60000, 28, 28), "y_train": (60000,), "x_test": (10000, 28, 28), "y_test": (10000,)}


class Source(NamedTuple):
    """One file on a mirror. `checksum`: SHA-256, or MD5 where the publisher prints no other."""

    url: str
    checksum: str
    unpacked: bool = False  # it is the checksum of what gzip unpacks
    size: int = 0  # in bytes, of a file that holds more than the data set

    @property
    def name(self) -> str:
        return self.url.partition("?")[0].rpartition("/")[2]


def idx_mirror(address: str, *checksums: str, unpacked: bool = False) -> tuple[Source, ...]:
    """The four files of a mirror that has MNIST's names for them; sums of training images, their labels, test images..."""
    return tuple(Source(f"{address}{name}-ubyte.gz", sum, unpacked) for name, sum in zip(_IDX, checksums))


class File(NamedTuple):
    """A file that was found: what errors call it, and its content."""

    name: str
    content: BinaryIO


class Dataset(NamedTuple):
    """What a data set looks like and where it is to be had.

    `shapes` maps x_train, y_train, x_test, y_test (and x_val, y_val where there are such) to their shapes (all uint8),
    labels lie in [0, classes). Each of `mirrors` is complete: one .npz file, or one IDX file for each array in the order
    of `shapes`, or whatever `read(dataset, files)` makes arrays of. `by_hand`: files, below its folder or FASTCONV_DATA_DIR
    itself, that will do as well. `folders`: what others call its folder.
    """

    name: str
    shapes: Shapes
    classes: int
    mirrors: tuple[tuple[Source, ...], ...]
    read: Callable[[Any, list[File]], Arrays] | None = None
    by_hand: tuple[tuple[str, ...], ...] = ()
    folders: tuple[str, ...] = ()

    @property
    def size_limit(self) -> int:
        given = [source.size for mirror in self.mirrors for source in mirror]
        return max([*given, sum(map(math.prod, self.shapes.values()))]) + _formats.HEADERS


def load(dataset: Dataset) -> tuple[Pair, ...]:
    """`(x_train, y_train), (x_test, y_test)` from FASTCONV_DATA_DIR, the cache or a mirror.

    Raises ValueError for a wrong file in FASTCONV_DATA_DIR, OSError when the data is not to be had.
    """
    tried: list[str] = []
    with ExitStack() as stack:
        files = _from_data_dir(dataset, tried, stack)
        if files is None:
            files = _from_cache_or_mirror(dataset, tried, stack)
        arrays = (dataset.read or read_mnist_like)(dataset, files)
        return pairs(arrays, dataset.classes, [file.name for file in files])


def pairs(arrays: Arrays, classes: int, names: list[str]) -> tuple[Pair, ...]:
    """Pairs of the arrays in their order, once their labels are known to lie in [0, classes).

    `names`: of one file for each, or of files that hold several each, of which the first stands for all.
    """
    names = names if len(names) == len(arrays) else names[:1]
    for (key, array), name in zip(arrays.items(), names * len(arrays)):
        if key.startswith("y_") and array.size and array.max() >= classes:
            raise ValueError(f"{name}: {key} must hold labels from 0 to {classes - 1}; got {array.max()}.")
    parts = list(arrays.values())
    return tuple(zip(parts[::2], parts[1::2]))


def read_mnist_like(dataset: Dataset, files: list[File]) -> Arrays:
    """The arrays of one .npz file, or of an IDX file each."""
    if len(files) == 1:
        return _formats.read_npz(files[0].content, dataset.shapes, files[0].name)
    return {
        key: _formats.read_idx(file.content, shape, file.name)
        for file, (key, shape) in zip(files, dataset.shapes.items())
    }


def near(value: Any, known: Iterable[str]) -> str:
    """A question for the names that are like an unknown one; empty where there are none."""
    found = difflib.get_close_matches(str(value), list(known), 3)
    return f"Did you mean {' or '.join(map(repr, found))}? " if found else ""


# Where files are


def data_dir() -> Path | None:
    """The folder that FASTCONV_DATA_DIR names, None where it is not set; ValueError where that is no folder."""
    setting = os.environ.get("FASTCONV_DATA_DIR")
    if not setting:
        return None
    if not os.path.isdir(setting):
        raise ValueError(f"FASTCONV_DATA_DIR must name a folder; {setting!r} is none. Correct or unset it.")
    return Path(setting)


def offline() -> bool:
    """Whether FASTCONV_OFFLINE forbids downloads."""
    return os.environ.get("FASTCONV_OFFLINE", "") not in ("", "0")


def _from_data_dir(dataset, tried, stack):
    """The files of a complete set in FASTCONV_DATA_DIR, or None when it holds none of them."""
    root = data_dir()
    if root is None:
        tried.append("FASTCONV_DATA_DIR is not set")
        return None
    folders = [root / name for name in (dataset.name, *dataset.folders)]
    missing = None
    for names in (*(tuple(source.name for source in mirror) for mirror in dataset.mirrors), *dataset.by_hand):
        places = [
            [place / name for place in (folders if name.startswith(_COMMON) else [*folders, root])] for name in names
        ]
        paths = [_first_file(options) for options in places]
        if None not in paths:
            return [File(str(path), stack.enter_context(_open(path, dataset.size_limit))) for path in paths]
        if any(paths) and missing is None:
            beside = next(path for path in paths if path)
            missing = beside.parent / Path(names[paths.index(None)]).name
    if missing is not None:
        raise ValueError(f"FASTCONV_DATA_DIR holds only a part of {dataset.name}: {missing} is missing.")
    tried.append(f"FASTCONV_DATA_DIR ({root}) holds no {dataset.name} files")
    return None


def _first_file(options):
    """The first of the paths that is a file, or is one once unpacked."""
    found = (path for option in options for path in (option, option.with_name(option.name.removesuffix(".gz"))))
    return next((path for path in found if path.is_file()), None)


def _open(path, limit):
    file = open(path, "rb")
    if os.fstat(file.fileno()).st_size > limit:
        file.close()
        raise ValueError(f"{path} must hold at most {limit:,} bytes; it is longer. Replace or remove it.")
    return file


def _from_cache_or_mirror(dataset, tried, stack):
    """The files of a complete, checked set, downloading what the cache does not hold."""
    folder = cache_dir() / dataset.name
    found = {}
    for mirror in dataset.mirrors:
        for source in mirror:
            path = folder / source.name
            if source in found or not path.is_file():
                continue
            try:
                file = stack.enter_context(_open(path, dataset.size_limit))
                for _ in _sealed(dataset, source)(iter(lambda: file.read(_formats.PART), b"")):
                    pass
                file.seek(0)
                found[source] = file
            except (OSError, ValueError) as error:
                tried.append(f"the cached file {path}: {error}")
        if all(source in found for source in mirror):
            break
    else:
        if not found:
            tried.append(f"the cache ({folder}) holds none of its files")
        mirror = _complete_from_mirror(dataset, folder, found, tried, stack)
    return [File(source.url, found[source]) for source in mirror]


def _complete_from_mirror(dataset, folder, found, tried, stack):
    """Download the files of the first mirror that gives all it should into `found`; return that mirror."""
    if offline():
        tried.append("FASTCONV_OFFLINE forbids the download")
    for mirror in () if offline() else dataset.mirrors:
        try:
            for source in mirror:
                if source not in found:
                    found[source] = stack.enter_context(_fetched(dataset, source, folder / source.name))
            return mirror
        except (OSError, ValueError) as error:
            tried.append(f"{source.url}: {error}")
    lines = ";\n- ".join(tried)
    raise OSError(f"{dataset.name} is not available. Tried:\n- {lines}.\n{_advice(dataset)}")


def _advice(dataset):
    """What to do where there is no network."""
    first = dataset.mirrors[0]
    names = ", ".join(source.name for source in first)
    address = first[0].url if len(first) == 1 else first[0].url.removesuffix(first[0].name)
    place = "and set FASTCONV_DATA_DIR to the folder that holds it"
    if any(source.name.startswith(_COMMON) for source in first):
        place = f"put it into a folder {dataset.name}, and set FASTCONV_DATA_DIR to the folder that holds that"
    advice = f"What to do: get {names} from {address} by other means, {place}"
    if dataset.name == "mnist":
        advice += (
            ", or use fastconv.datasets.mnist_mini, which needs no network: 4,000 digits to train and 1,000 to test (where "
            "a program says 60000, write len(x_train))"
        )
    return f"{advice}."


def _fetched(dataset, source, path):
    """What the source gives, checked and open: at `path`, or, where nothing can be kept there, in an unnamed file."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _network.download(
            source.url, dataset.size_limit, lambda parts: write_whole(path, parts), _sealed(dataset, source)
        )
        return open(path, "rb")
    except OSError as error:
        if error.errno is None:  # the network's
            raise
        warnings.warn(f"cannot keep {path} ({error}); it will be downloaded again next time", stacklevel=2)
    import tempfile

    file = tempfile.TemporaryFile()
    try:
        _network.download(source.url, dataset.size_limit, lambda parts: _written(file, parts), _sealed(dataset, source))
    except BaseException:
        file.close()
        raise
    file.seek(0)
    return file


def _written(file, parts):
    file.seek(0)
    file.truncate()
    file.writelines(parts)


def _sealed(dataset, source):
    """The check of a source's parts."""
    limit = dataset.size_limit if source.unpacked else None
    return lambda parts: _network.checked(parts, source.checksum, limit)
