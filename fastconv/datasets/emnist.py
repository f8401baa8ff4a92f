"""EMNIST: handwritten letters and digits of NIST's Special Database 19, 28x28 (Cohen, Afshar, Tapson, van Schaik).

Not the images themselves: a table of splits and of where they are; `_files` finds them. Contract: `load_data(split)`
returns exactly the publisher's split, upright, or raises. The sum is that which TensorFlow Datasets recorded of NIST's
archive (torchvision has its MD5: 58c8d27c78d21e728a6bc7b3cc06412e); it was never fetched where fastconv is developed.
Keras has no such data set.
"""

from __future__ import annotations

import string
from typing import NamedTuple

import numpy as np

from fastconv.datasets import _files, _formats

_MERGED = string.digits + string.ascii_uppercase + "abdefghnqrt"  # the other small letters look like large ones


class Split(NamedTuple):
    """How many images of each part, and the classes' names."""

    train: int
    test: int
    classes: tuple[str, ...]
    first_label: int = 0  # in the files


SPLITS = {
    "letters": Split(124800, 20800, tuple(string.ascii_lowercase), first_label=1),
    "digits": Split(240000, 40000, tuple(string.digits)),
    "balanced": Split(112800, 18800, tuple(_MERGED)),
    "mnist": Split(60000, 10000, tuple(string.digits)),
    "bymerge": Split(697932, 116323, tuple(_MERGED)),
    "byclass": Split(697932, 116323, tuple(string.digits + string.ascii_uppercase + string.ascii_lowercase)),
}
_ARCHIVE = _files.Source(
    "https://biometrics.nist.gov/cs_links/EMNIST/gzip.zip",
    "fb9bb67e33772a9cc0b895e4ecf36d2cf35be8b709693c3564cea2a019fcda8e",
    size=561753746,
)
_MIRRORS = (_ARCHIVE,), (_ARCHIVE._replace(url="https://www.itl.nist.gov/iaui/vip/cs_links/EMNIST/gzip.zip"),)


def load_data(split: str = "letters") -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Return `(x_train, y_train), (x_test, y_test)` of a split, in the form of `mnist.load_data()`.

    split: "letters" (124,800 and 20,800 images of 26 classes, large and small alike), "digits" (240,000 and 40,000),
    "balanced" (112,800 and 18,800 of 47 classes), "mnist", "bymerge" or "byclass". Images are (n, 28, 28), uint8 grey
    levels, upright (the files hold them transposed); labels are (n,), uint8 from 0, and `SPLITS[split].classes` their
    names. The publisher's letters count from 1; here "a" is 0. The arrays are yours to change.

    Looks in the folder named by FASTCONV_DATA_DIR (`gzip.zip` in `emnist/`, `emnist.zip` there or in the folder itself, or
    the split's four IDX files, gzipped or plain, in `emnist/`, `emnist/gzip/` or `EMNIST/raw/`), then in the user's
    cache, then downloads 562 MB over https into the cache. FASTCONV_OFFLINE=1 forbids the download.

    Raises ValueError for an unknown split and when a file in FASTCONV_DATA_DIR is not the set's (it names the file),
    OSError when the set is nowhere to be had (it says what was tried and what to do).
    """
    train, test = _files.load(dataset(split))
    return train, test


def dataset(split: str) -> _files.Dataset:
    """The table of a split. ValueError for an unknown one."""
    if split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}; got {split!r}.")
    row = SPLITS[split]
    names = [f"emnist-{split}-{part}-{kind}-ubyte.gz" for part in ("train", "test")
             for kind in ("images-idx3", "labels-idx1")]  # fmt: skip

    def read(dataset, files):
        import zipfile

        arrays = {}
        try:
            for key, (name, stream) in zip(dataset.shapes, _streams(files, names)):
                array = arrays[key] = _formats.read_idx(stream, dataset.shapes[key], name)
                if key[0] == "x":
                    arrays[key] = np.ascontiguousarray(array.transpose(0, 2, 1))
                elif array.min() < row.first_label:
                    raise ValueError(f"{name} must hold labels from {row.first_label} on; got {array.min()}.")
                else:
                    array -= row.first_label
        except (zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
            raise ValueError(f"{files[0].name} cannot be read as a zip archive: {error}. Replace it.") from error
        return arrays

    shapes = {
        "x_train": (row.train, 28, 28),
        "y_train": (row.train,),
        "x_test": (row.test, 28, 28),
        "y_test": (row.test,),
    }
    return _files.Dataset(
        "emnist", shapes, len(row.classes), _MIRRORS, read,
        by_hand=(("emnist.zip",), ("emnist-gzip.zip",), tuple(names)), folders=("emnist/gzip", "EMNIST/raw"),
    )  # fmt: skip


def _streams(files, names):
    """(name, stream) of each of the four files: those that were found, or those in the one archive."""
    if len(files) > 1:
        yield from files
        return
    import zipfile

    (archive,) = files
    with zipfile.ZipFile(archive.content) as unzipped:
        entries = {entry.filename.rpartition("/")[2]: entry for entry in unzipped.infolist()}
        for name in names:
            if name not in entries:
                raise ValueError(f"{archive.name} must hold {', '.join(names)}; {name} is missing. Replace it.")
            with unzipped.open(entries[name]) as stream:
                yield f"{archive.name}: {name}", stream
