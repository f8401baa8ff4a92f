"""Time series in the files of the UCR and UEA archives: `.ts` (aeon, sktime) and `.tsv`, read as arrays.

Not a download: the archives print no checksums, so that nothing that came over the network could be checked; what you
fetched yourself is found in FASTCONV_DATA_DIR. Contract: a file that is not as it says is a ValueError that names file and
line; missing values and unequal lengths are refused unless a value for them is given. Timestamps are not supported.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple, TextIO

import numpy as np

from fastconv.datasets import _files

Pair = tuple[np.ndarray, np.ndarray]
WHERE = "https://www.timeseriesclassification.com"
_NAME = re.compile(r"[A-Za-z0-9_-]+")
_MISSING = {"?", "nan"}


class Series(NamedTuple):
    """What a file holds. x: float32 (series, steps, channels). y: int64 (series,) numbers of `classes`; or float32 targets,
    where `classes` is None."""

    x: np.ndarray
    y: np.ndarray
    classes: list[str] | None


def load_ts(path: str | os.PathLike[str], pad_value: float | None = None, missing_value: float | None = None) -> Series:
    """The series of a `.ts` or `.tsv` file as `(x, y, classes)`, see `Series`.

    pad_value: fills series up at their end to the longest one's length. missing_value: stands for values that the file
    says are missing ("?" or "NaN"); NaN keeps them. Without them, files with such series are refused. In a `.tsv`, where
    every line has equally many columns, NaN at a line's end means a shorter series. Classes are in the order of the
    file's `@classLabel`, or sorted.

    ValueError, with the line's number, for a file that holds something else, and for timestamps.
    """
    with open(path, encoding="utf-8", errors="replace") as file:
        read = _read(file, os.fspath(path))
    return _arrays([read], pad_value, missing_value)[0]


def load_data(name: str, pad_value: float | None = None, missing_value: float | None = None) -> tuple[Pair, Pair]:
    """Return `(x_train, y_train), (x_test, y_test)` of a set of the archives, such as "GunPoint", as `load_ts` reads them.

    Looks in the folder named by FASTCONV_DATA_DIR for `GunPoint_TRAIN.ts` and `GunPoint_TEST.ts`, or the two `.tsv`: in
    `GunPoint/`, in that of `ucr/`, `Univariate_ts/`, `Multivariate_ts/` or `UCRArchive_2018/`, or in `GunPoint.zip` as it is
    downloaded. Nothing is downloaded here, since there is no checksum to check it with.

    Raises ValueError for files that are wrong, OSError that says what to do where there are none.
    """
    train, test = load(name, pad_value, missing_value)
    return (train.x, train.y), (test.x, test.y)


def load(
    name: str, pad_value: float | None = None, missing_value: float | None = None, folder: Path | None = None
) -> tuple[Series, Series]:
    """As `load_data`, as two Series; `folder`: the one in which the files are, instead of looking for it."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"name must be that of a set in the archives, such as 'GunPoint'; got {name!r}.")
    with ExitStack() as stack:
        for places in [folder] if folder else _places(name):
            opened = _pair(places, name, stack)
            if opened is not None:
                return tuple(_arrays([_read(file, path) for path, file in opened], pad_value, missing_value))
    root = _files.data_dir()
    raise OSError(
        f"{name} is not available. FASTCONV_DATA_DIR ({root or 'not set'}) holds no {name}_TRAIN.ts and {name}_TEST.ts, and "
        f"there is no checksum to download it by.\nWhat to do: get {name}.zip from {WHERE} and set FASTCONV_DATA_DIR to "
        "the folder that holds it."
    )


def _places(name):
    root = _files.data_dir()
    archives = ("", "ucr", "Univariate_ts", "Multivariate_ts", "UCRArchive_2018") if root else ()
    for archive in archives:
        yield from (root / archive / name, root / archive, root / archive / f"{name}.zip")


def _pair(place, name, stack):
    """[(path, open text), ...] of a set's two files in a folder or zip archive; None where they are not there."""
    import zipfile

    for ending in (".ts", ".tsv"):
        names = [f"{name}_{part}{ending}" for part in ("TRAIN", "TEST")]
        if place.suffix == ".zip" and place.is_file():
            try:
                archive = stack.enter_context(zipfile.ZipFile(place))
                entries = {entry.filename.rpartition("/")[2]: entry for entry in archive.infolist()}
                if all(one in entries for one in names):
                    return [(f"{place}: {one}", io.TextIOWrapper(archive.open(entries[one]), "utf-8", "replace"))
                            for one in names]  # fmt: skip
            except (zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
                raise ValueError(f"{place} cannot be read as a zip archive: {error}. Replace it.") from error
        elif all((place / one).is_file() for one in names):
            return [
                (str(place / one), stack.enter_context(open(place / one, encoding="utf-8", errors="replace")))
                for one in names
            ]
    return None


# One file


class _Read(NamedTuple):
    """A file as it was read: series of (steps, channels), a label each as written, classes if it names them."""

    path: str
    series: list[np.ndarray]
    labels: list[str]
    classes: list[str] | None
    targets: bool  # whether labels are numbers to predict, not classes
    padded: bool  # whether NaN at the end is no value


def _read(file: TextIO, path: str) -> _Read:
    import zipfile
    import zlib

    read = _read_tsv if path.endswith(".tsv") else _read_ts
    try:
        found = read(file, path)
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise ValueError(f"{path} is damaged: {error}. Replace it.") from error
    if not found.series:
        raise ValueError(f"{path} holds no series.")
    return found


def _read_tsv(file, path):
    series, labels = [], []
    for number, line in enumerate(file, 1):
        if not line.strip():
            continue
        label, *values = line.strip().split("\t")
        labels.append(label)
        series.append(_values(values, f"{path}, line {number}")[:, None])
    return _Read(path, series, labels, None, False, True)


def _read_ts(file, path):
    lines = enumerate(file, 1)
    header = _header(lines, path)
    classes = header.get("@classlabel", ["false"])
    targets = header.get("@targetlabel", ["false"])[0].lower() == "true"
    labelled = targets or classes[0].lower() == "true"
    if header.get("@timestamps", ["false"])[0].lower() == "true":
        raise ValueError(f"{path} has timestamps, which are not supported: give the values alone.")
    if not labelled:
        raise ValueError(f"{path} has neither @classLabel nor @targetLabel, so that there is nothing to learn.")
    series, labels = [], []
    for number, line in lines:
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        *channels, label = line.split(":")
        where = f"{path}, line {number}"
        rows = [_values(channel.split(","), where) for channel in channels]
        if not rows or len(rows) != (series[0].shape[1] if series else len(rows)):
            raise ValueError(
                f"{where} has {len(rows)} channels; the first series has {series[0].shape[1] if series else 0}."
            )
        if len({len(row) for row in rows}) > 1:
            raise ValueError(
                f"{where}: the channels of a series must be equally long; got {[len(row) for row in rows]}."
            )
        series.append(np.stack(rows, axis=1))
        labels.append(label.strip())
    return _Read(path, series, labels, None if targets else classes[1:], targets, False)


def _header(lines, path):
    """{tag in small letters: its words} up to @data."""
    header = {}
    for number, line in lines:
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        tag, *words = line.split()
        if tag.lower() == "@data":
            return header
        if not tag.startswith("@"):
            raise ValueError(
                f"{path}, line {number}: a .ts file begins with lines of @ and then @data; got {line[:40]!r}."
            )
        header[tag.lower()] = words or ["true"]
    raise ValueError(f"{path} has no @data: it is no .ts file, or ends early.")


def _values(words: Iterable[str], where: str) -> np.ndarray:
    """One channel as float32; NaN for what is missing."""
    words = [word.strip() for word in words]
    try:
        values = np.array([np.nan if word.lower() in _MISSING else float(word) for word in words], np.float64)
    except ValueError:
        bad = next(word for word in words if not _is_number(word))
        hint = "; (time, value) pairs are timestamps, which are not supported" if bad.startswith("(") else ""
        raise ValueError(f"{where}: {bad[:40]!r} is no number{hint}.") from None
    if np.isinf(values.astype(np.float32)).any():
        raise ValueError(f"{where} holds a number too large for float32.")
    return values.astype(np.float32)


def _is_number(word):
    try:
        return word.lower() in _MISSING or np.isfinite(float(word))
    except ValueError:
        return False


# Arrays of one or two files


def _arrays(reads, pad_value, missing_value):
    """A Series of each file, of one length and one set of classes."""
    classes, longest = _classes(reads), 0
    for read in reads:
        if read.padded:
            read.series[:] = [_stripped(values) for values in read.series]
        longest = max(longest, *map(len, read.series))
    channels = {read.series[0].shape[1] for read in reads}
    if len(channels) > 1:
        raise ValueError(f"{reads[-1].path} has {reads[-1].series[0].shape[1]} channels; {reads[0].path} has other.")
    found = []
    for read in reads:
        shortest = min(map(len, read.series))
        if shortest < longest and pad_value is None:
            raise ValueError(
                f"{read.path} has series of {shortest} steps, others have {longest}: give pad_value (0.0, say) to fill them "
                "up at their end."
            )
        missing = sum(int(np.isnan(values).sum()) for values in read.series)
        if missing and missing_value is None:
            raise ValueError(
                f"{read.path} has {missing:,} missing values: give missing_value, a number that stands for them."
            )
        x = np.full((len(read.series), longest, *channels), 0 if pad_value is None else pad_value, np.float32)
        for row, values in zip(x, read.series):
            row[: len(values)] = np.where(np.isnan(values), missing_value, values) if missing else values
        found.append(Series(x, _labels(read, classes), classes))
    return found


def _stripped(values):
    """Without the NaN at its end."""
    there = np.flatnonzero(~np.isnan(values[:, 0]))
    return values[: there[-1] + 1 if len(there) else 0]


def _classes(reads):
    first = reads[0]
    if first.targets:
        return None
    if first.classes:
        return first.classes
    labels = {label for read in reads for label in read.labels}
    return sorted(labels, key=lambda label: (0, float(label), label) if _is_number(label) else (1, 0.0, label))


def _labels(read, classes):
    if classes is None:
        y = _values(read.labels, read.path)
        if np.isnan(y).any():
            raise ValueError(f"{read.path}: the target of series {int(np.isnan(y).argmax()) + 1} is missing.")
        return y
    numbers = {label: number for number, label in enumerate(classes)}
    if unknown := [label for label in read.labels if label not in numbers]:
        raise ValueError(f"{read.path} has the label {unknown[0]!r}, which is none of {', '.join(classes)}.")
    return np.array([numbers[label] for label in read.labels], np.int64)
