"""What the files of data sets hold: arrays in IDX, .npz and archives, read from open files.

It knows no data set: shapes are given. Contract: a file that is not as it should be is a ValueError that names it; none
makes fastconv run what it reads, write a file, or take more memory than the arrays that were asked for and HEADERS.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import BinaryIO

import numpy as np

HEADERS = 1 << 20  # bytes that a file may have beyond its arrays
PART = 1 << 20


class Bounded:
    """The first `limit` bytes of a stream, read once; ValueError where it goes on. For readers that set no bound."""

    def __init__(self, stream: BinaryIO, limit: int):
        self._stream, self._left, self._limit = stream, limit, limit

    def read(self, size: int = -1) -> bytes:
        content = self._stream.read(min(size, self._left + 1) if size >= 0 else self._left + 1)
        self._left -= len(content)
        if self._left < 0:
            raise ValueError(f"it unpacks to more than {self._limit:,} bytes")
        return content


def damage() -> tuple[type[Exception], ...]:
    """What gzip raises for data that are damaged."""
    import gzip
    import zlib

    return gzip.BadGzipFile, EOFError, zlib.error


def opened(file: BinaryIO) -> BinaryIO:
    """A file that may be gzipped, as a stream of its content."""
    import gzip

    start = file.read(2)
    file.seek(0)
    return gzip.GzipFile(fileobj=file) if start == b"\x1f\x8b" else file


def gunzipped(file: BinaryIO, limit: int) -> bytes:
    """The content of a file that may be gzipped, up to limit + 1 bytes. ValueError for damaged data."""
    try:
        return opened(file).read(limit + 1)
    except damage() as error:
        raise ValueError(f"damaged gzip data ({error})") from error


def fill(array: np.ndarray, stream: BinaryIO) -> int:
    """Reads into a contiguous array until it is full or the stream ends; how many bytes were read."""
    view, at = memoryview(array.reshape(-1).view(np.uint8)), 0
    while at < len(view):
        got = stream.readinto(view[at : at + PART])
        if not got:
            break
        at += got
    return at


def read_idx(file: BinaryIO, shape: tuple[int, ...], name: str) -> np.ndarray:
    """The uint8 array of this shape in an IDX file, gzipped or not."""
    header = bytes((0, 0, 8, len(shape))) + b"".join(size.to_bytes(4, "big") for size in shape)
    length = len(header) + math.prod(shape)
    try:
        stream = opened(file)
        start = stream.read(len(header))
        if start != header:
            raise ValueError(
                f"{name} must be an IDX file of uint8 {shape}, which begins with {header.hex()}; it begins with "
                f"{start.hex() or 'nothing'}. Replace it."
            )
        array = np.empty(shape, np.uint8)
        found = len(header) + fill(array, stream)
        longer = stream.read(1)
    except damage() as error:
        raise ValueError(f"{name}: damaged gzip data ({error}). Replace it.") from error
    if found != length or longer:
        problem = "is longer" if longer else f"has {found:,}"
        raise ValueError(f"{name} must have {length:,} bytes (uncompressed); it {problem}. Replace it.")
    return array


# .npz and .zip


def read_npz(
    file: BinaryIO, shapes: dict[str, tuple[int, ...]], name: str, labels: Iterable[str] = ()
) -> dict[str, np.ndarray]:
    """The uint8 arrays of these names and shapes in an .npz file; those in `labels` may be other whole numbers that fit."""
    import zipfile
    import zlib

    try:
        with zipfile.ZipFile(file) as archive:
            _check_compression(archive)
            return {key: _read_npy(archive, key, shape, key in labels) for key, shape in shapes.items()}
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError) as error:
        raise ValueError(
            f"{name} must be an .npz file of the arrays {', '.join(shapes)}: {error}. Replace it."
        ) from error


def _check_compression(archive):
    import zipfile

    if any(entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for entry in archive.infolist()):
        raise ValueError("its compression is none that NumPy writes")


def _read_npy(archive, key, shape, any_integers):
    if f"{key}.npy" not in archive.namelist():
        raise ValueError(f"{key} is missing")
    with archive.open(f"{key}.npy") as member:
        dtype, fortran_order = _npy_header(member, key, shape, any_integers)
        array = np.empty(shape[::-1] if fortran_order else shape, dtype)
        found, longer = fill(array, member), member.read(1)
    if found != array.nbytes or longer:
        holds = f"more than {found:,}" if longer else f"{found:,}"
        raise ValueError(f"{key} must hold {array.nbytes:,} bytes; it holds {holds}")
    array = np.ascontiguousarray(array.T) if fortran_order else array
    if dtype == np.uint8:
        return array
    if array.size and not 0 <= array.min() <= array.max() < 256:
        raise ValueError(f"{key} must lie from 0 to 255; it goes from {array.min()} to {array.max()}")
    return array.astype(np.uint8)


def _npy_header(member, key, shape, any_integers):
    """(dtype, whether in Fortran's order) of an array of this shape, from its first bytes."""
    import io

    start = member.read(10)
    version = start[6:8]
    if start[:6] != b"\x93NUMPY" or version != b"\x01\x00":
        raise ValueError(f"{key} is not written in .npy format 1.0")
    header = io.BytesIO(start[8:] + member.read(int.from_bytes(start[8:10], "little")))
    try:
        got_shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(header)
    except Exception as error:  # NumPy parses Python's syntax here, and says nowhere how that may fail
        raise ValueError(f"{key} has a header that cannot be read ({type(error).__name__})") from error
    if got_shape != shape or not (dtype == np.uint8 or any_integers and dtype.kind in "iu"):
        raise ValueError(f"{key} must be uint8 {shape}; it is {dtype} {got_shape}")
    return dtype, fortran_order


# .tar


def tar_members(file: BinaryIO, wanted: dict[str, int], limit: int, name: str) -> Iterator[tuple[str, bytes]]:
    """The paths and contents of those files of a tar archive, gzipped or not, that are in `wanted`, {path: its largest
    size}, in the archive's order; ValueError where one is missing.

    Nothing is unpacked onto the disk, so that links, devices and paths elsewhere lead nowhere. The archive may unpack to
    `limit` bytes.
    """
    import tarfile

    missing = dict(wanted)
    try:
        with tarfile.open(fileobj=Bounded(opened(file), limit), mode="r|", bufsize=PART) as archive:
            for member in archive:
                path = member.name.removeprefix("./")
                if path not in missing or not member.isreg():
                    continue
                if member.size > missing.pop(path):
                    raise ValueError(f"{path} must have at most {wanted[path]:,} bytes; it has {member.size:,}")
                yield path, archive.extractfile(member).read()
                if not missing:
                    return
    except (tarfile.TarError, *damage(), ValueError, RecursionError) as error:
        raise ValueError(f"{name} cannot be read as a tar archive: {error or 'it ends early'}. Replace it.") from error
    raise ValueError(f"{name} must hold {', '.join(wanted)}; {next(iter(missing))} is missing. Replace it.")
