"""What CIFAR-10 and CIFAR-100 share: how their publisher's files become arrays.

Not the tables of where they are: cifar10.py and cifar100.py. Contract: images are (n, 32, 32, 3), whatever form they come
in: records of bytes, which are what is downloaded, or the pickles that other libraries download, which _pickles.py reads.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fastconv.datasets import _files, _formats, _pickles

PIXELS = 3 * 32 * 32
SHAPES = {"x_train": (50000, 32, 32, 3), "y_train": (50000, 1), "x_test": (10000, 32, 32, 3), "y_test": (10000, 1)}
_ROOM = 8 << 20  # what a pickle takes beyond its images: file names and labels


class Form(NamedTuple):
    """How a set lies in files: an archive, the folder in it, and the files in that, those for test last."""

    archive: str
    folder: str
    files: tuple[str, ...]

    @property
    def paths(self) -> tuple[str, ...]:
        return tuple(f"{self.folder}/{name}" for name in self.files)


def dataset(
    name: str, classes: int, records: Form, pickles: Form, sha256: str, label: tuple[int, int, bytes]
) -> _files.Dataset:
    """The table of a set. label: bytes of labels in a record, which of them counts, and its name in the pickles."""

    def read(dataset, files):
        form = pickles if any(part in files[0].name for part in (pickles.archive, pickles.folder)) else records
        arrays = {key: np.empty(shape, np.uint8) for key, shape in dataset.shapes.items()}
        train, test = dataset.shapes["x_train"][0] // (len(form.files) - 1), dataset.shapes["x_test"][0]
        limit = max(train, test) * (PIXELS + label[0]) + _ROOM
        for number, (file_name, content) in _contents(form, files, limit):
            last = number == len(form.files) - 1
            part, first, count = ("test", 0, test) if last else ("train", number * train, train)
            try:
                x, y = (_from_pickle if form is pickles else _from_records)(content, count, label)
            except ValueError as error:
                raise ValueError(f"{file_name} is not {name}'s: {error}. Replace it.") from error
            arrays[f"x_{part}"][first : first + count] = x.reshape(count, 3, 32, 32).transpose(0, 2, 3, 1)
            arrays[f"y_{part}"][first : first + count, 0] = y
        return arrays

    hosts = ("https://www.cs.toronto.edu/~kriz/", "https://cave.cs.toronto.edu/kriz/")
    return _files.Dataset(
        name, SHAPES, classes, tuple((_files.Source(host + records.archive, sha256),) for host in hosts), read,
        by_hand=(records.paths, (pickles.archive,), pickles.paths), folders=(name.replace("cifar", "cifar-"),),
    )  # fmt: skip


def _contents(form, files, limit):
    """(number of a file in the form, (its name, its bytes)) of each."""
    if len(files) == len(form.files) > 1:
        for number, file in enumerate(files):
            yield number, (file.name, file.content.read(limit + 1))
        return
    archive = files[0]
    wanted = dict.fromkeys(form.paths, limit)
    for path, content in _formats.tar_members(archive.content, wanted, len(form.files) * limit, archive.name):
        yield form.paths.index(path), (f"{archive.name}: {path}", content)


def _from_records(content, count, label):
    size, which, _ = label
    if len(content) != count * (size + PIXELS):
        raise ValueError(f"it must have {count * (size + PIXELS):,} bytes; it has {len(content):,}")
    records = np.frombuffer(content, np.uint8).reshape(count, size + PIXELS)
    return records[:, size:], records[:, which]


def _from_pickle(content, count, label):
    found = _pickles.read(content)
    x, y = found.get(b"data"), found.get(label[2])
    if not isinstance(x, np.ndarray) or x.shape != (count, PIXELS):
        raise ValueError(f"its data must be {count:,} rows of {PIXELS:,} bytes")
    if not isinstance(y, list) or len(y) != count or not all(type(value) is int and 0 <= value < 256 for value in y):
        raise ValueError(f"its {label[2].decode()} must be {count:,} whole numbers from 0 on")
    return x, y
