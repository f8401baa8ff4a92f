"""Find, download and check the files of a data set.

Not the data sets themselves: each module beside this one describes its own as a `Dataset` for `load`.
Contract: a file in FASTCONV_DATA_DIR is used when its structure is right and is a ValueError otherwise; a
cached or downloaded file is used only when its SHA-256 is right. Nothing unchecked is ever written to the
cache, files appear there whole, and no file makes fastconv read, fetch or unpack more than the set's size.
"""

import io
import math
import os
import time
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fastconv.files import cache_dir, write_whole

ATTEMPTS = 3  # per file; an answer that will not change (403, wrong content) is not asked for again
RETRY_DELAY = 1.0  # seconds before the second attempt, doubled before the third
STALL_TIMEOUT = 15.0  # seconds without a byte
TOTAL_TIMEOUT = 600.0  # seconds per file, for a server that drips
HEADERS = 1 << 20  # bytes that a file may have beyond its arrays


class Source(NamedTuple):
    """One file on a mirror. `sha256` is that of an .npz file, or of the uncompressed bytes of an IDX file."""

    url: str
    sha256: str

    @property
    def name(self):
        return self.url.rpartition("/")[2]


class Dataset(NamedTuple):
    """What a data set looks like and where it is to be had.

    `shapes` maps x_train, y_train, x_test, y_test to their shapes (all uint8), labels lie in [0, classes).
    Each mirror is complete: one .npz file, or one IDX file for each array in the order of `shapes`.
    """

    name: str
    shapes: dict
    classes: int
    mirrors: tuple

    @property
    def size_limit(self):
        return sum(map(math.prod, self.shapes.values())) + HEADERS


def load(dataset):
    """Return `(x_train, y_train), (x_test, y_test)` from FASTCONV_DATA_DIR, the cache or a mirror.

    Raises ValueError for a wrong file in FASTCONV_DATA_DIR, OSError when the data is not to be had.
    """
    tried = []
    found = _from_data_dir(dataset, tried)
    if found is None:
        found = _from_cache_or_mirror(dataset, tried)
    files, contents = found
    if len(files) == 1:
        arrays = read_npz(contents[0], dataset.shapes, files[0])
    else:
        arrays = {
            key: read_idx(content, shape, file)
            for content, file, (key, shape) in zip(contents, files, dataset.shapes.items())
        }
    return pairs(arrays, dataset.classes, files)


def pairs(arrays, classes, files):
    """Keras' order of the four arrays, once their labels are known to lie in [0, classes).

    `files` names the one file of all arrays, or one file for each.
    """
    for (key, array), file in zip(arrays.items(), files * len(arrays)):
        if key.startswith("y_") and array.max() >= classes:
            raise ValueError(f"{file}: {key} must hold labels from 0 to {classes - 1}; got {array.max()}.")
    return (arrays["x_train"], arrays["y_train"]), (arrays["x_test"], arrays["y_test"])


# Where files are


def _from_data_dir(dataset, tried):
    """`(paths, contents)` of a complete set in FASTCONV_DATA_DIR, or None when it holds none of its files."""
    setting = os.environ.get("FASTCONV_DATA_DIR")
    if not setting:
        tried.append("FASTCONV_DATA_DIR is not set")
        return None
    root = Path(setting)
    if not root.is_dir():
        raise ValueError(f"FASTCONV_DATA_DIR must name a folder; {setting!r} is none. Correct or unset it.")
    folder = root / dataset.name
    for mirror in dataset.mirrors:
        # Only an archive may lie in the root itself: several data sets name their IDX files alike.
        candidates = [
            (folder / source.name, root / source.name)
            if source.name.endswith(".npz")
            else (folder / source.name, folder / source.name.removesuffix(".gz"))
            for source in mirror
        ]
        paths = [next((path for path in options if path.is_file()), None) for options in candidates]
        if None not in paths:
            return paths, [_read(path, dataset.size_limit) for path in paths]
        if any(paths):
            missing = candidates[paths.index(None)][0]
            raise ValueError(f"FASTCONV_DATA_DIR holds only a part of {dataset.name}: {missing} is missing.")
    tried.append(f"FASTCONV_DATA_DIR ({root}) holds no {dataset.name} files")
    return None


def _from_cache_or_mirror(dataset, tried):
    """`(names, contents)` of a complete set of checked files, downloading what the cache does not hold."""
    folder = cache_dir() / dataset.name
    found = {}
    for mirror in dataset.mirrors:
        for source in mirror:
            path = folder / source.name
            if not path.is_file():
                continue
            try:
                found[source] = _checked(_read(path, dataset.size_limit), source, dataset)
            except (OSError, ValueError) as error:
                tried.append(f"the cached file {path}: {error}")
        if all(source in found for source in mirror):
            break
    else:
        if not found:
            tried.append(f"the cache ({folder}) holds none of its files")
        mirror = _complete_from_mirror(dataset, folder, found, tried)
    return [source.url for source in mirror], [found[source] for source in mirror]


def _complete_from_mirror(dataset, folder, found, tried):
    """Download the files of the first mirror that gives all it should into `found`; return that mirror."""
    offline = os.environ.get("FASTCONV_OFFLINE", "") not in ("", "0")
    if offline:
        tried.append("FASTCONV_OFFLINE forbids the download")
    for mirror in () if offline else dataset.mirrors:
        try:
            for source in mirror:
                if source not in found:
                    raw = _download(source.url, dataset.size_limit)
                    found[source] = _checked(raw, source, dataset)
                    _store(folder / source.name, raw)
            return mirror
        except (OSError, ValueError) as error:
            tried.append(f"{source.url}: {error}")
    names = " + ".join(source.name for source in dataset.mirrors[0])
    raise OSError(
        f"{dataset.name} is not available. Tried: {'; '.join(tried)}. What to do: get {names} from "
        f"{dataset.mirrors[0][0].url} by other means and set FASTCONV_DATA_DIR to the folder that "
        "holds it, or use fastconv.datasets.mnist_mini, which needs no network."
    )


# What files hold


def _read(path, limit):
    with open(path, "rb") as file:
        raw = file.read(limit + 1)
    if len(raw) > limit:
        raise ValueError(f"{path} must hold at most {limit:,} bytes; it is longer. Replace or remove it.")
    return raw


def _checked(raw, source, dataset):
    """The content of a cached or downloaded file, or a ValueError when it is not what the mirror promised."""
    import hashlib

    content = raw if source.name.endswith(".npz") else _gunzip(raw, dataset.size_limit)
    sha256 = hashlib.sha256(content).hexdigest()
    if sha256 != source.sha256:
        raise ValueError(
            f"wrong content: {len(raw):,} bytes, SHA-256 {sha256[:12]}... instead of {source.sha256[:12]}..."
        )
    return content


def _gunzip(raw, limit):
    """The uncompressed bytes of `raw`, up to limit + 1 of them; `raw` itself when it is not gzipped."""
    import gzip
    import zlib

    if not raw.startswith(b"\x1f\x8b"):
        return raw
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(raw)) as file:
            return file.read(limit + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"damaged gzip data ({error})") from error


def read_idx(raw, shape, file):
    """The uint8 array of this shape in an IDX file's bytes, gzipped or not; ValueError names `file`."""
    header = bytes((0, 0, 8, len(shape))) + b"".join(size.to_bytes(4, "big") for size in shape)
    length = len(header) + math.prod(shape)
    try:
        content = _gunzip(raw, length)
    except ValueError as error:
        raise ValueError(f"{file}: {error}. Replace it.") from error
    if not content.startswith(header):
        raise ValueError(
            f"{file} must be an IDX file of uint8 {shape}, which begins with {header.hex()}; "
            f"it begins with {content[: len(header)].hex() or 'nothing'}. Replace it."
        )
    if len(content) != length:
        problem = "is longer" if len(content) > length else f"has {len(content):,}"
        raise ValueError(f"{file} must have {length:,} bytes (uncompressed); it {problem}. Replace it.")
    return np.frombuffer(content, np.uint8, offset=len(header)).reshape(shape).copy()


def read_npz(raw, shapes, file):
    """The uint8 arrays of these names and shapes in an .npz file's bytes; ValueError names `file`."""
    import zipfile
    import zlib

    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            if any(
                entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for entry in archive.infolist()
            ):
                raise ValueError("its compression is none that NumPy writes")
            return {key: _read_npy(archive, key, shape) for key, shape in shapes.items()}
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError) as error:
        raise ValueError(
            f"{file} must be an .npz file of the arrays {', '.join(shapes)}: {error}. Replace it."
        ) from error


def _read_npy(archive, key, shape):
    if f"{key}.npy" not in archive.namelist():
        raise ValueError(f"{key} is missing")
    limit = math.prod(shape) + HEADERS
    with archive.open(f"{key}.npy") as member:
        content = member.read(limit + 1)
    if len(content) > limit:
        raise ValueError(f"{key} is longer than shape {shape} needs")
    stream = io.BytesIO(content)
    version = np.lib.format.read_magic(stream)
    if version != (1, 0):
        raise ValueError(f"{key} is written in .npy format {version} instead of (1, 0)")
    try:
        got_shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(stream)
    except Exception as error:  # NumPy parses Python's syntax here, and says nowhere how that may fail
        raise ValueError(f"{key} has a header that cannot be read ({type(error).__name__})") from error
    if got_shape != shape or dtype != np.uint8:
        raise ValueError(f"{key} must be uint8 {shape}; it is {dtype} {got_shape}")
    if len(content) - stream.tell() != math.prod(shape):
        raise ValueError(f"{key} must hold {math.prod(shape):,} bytes; it holds {len(content) - stream.tell():,}")
    values = np.frombuffer(content, np.uint8, offset=stream.tell())
    return values.reshape(shape, order="F" if fortran_order else "C").copy()


# The network and the cache


def _download(url, limit):
    """The bytes at `url`, at most `limit`; OSError says why there are none."""
    import http.client
    import sys
    from urllib.error import HTTPError

    print(f"fastconv: downloading {url}", file=sys.stderr)
    deadline = time.monotonic() + TOTAL_TIMEOUT
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(RETRY_DELAY * 2 ** (attempt - 1))
        try:
            return _fetch(url, limit, deadline)
        except HTTPError as error:
            error.close()
            reason = f"HTTP {error.code} {error.reason}"
            if error.code < 500 and error.code not in (408, 429):
                break
        except (OSError, http.client.HTTPException) as error:
            reason = str(getattr(error, "reason", error)) or type(error).__name__
            if time.monotonic() > deadline:
                break
    raise OSError(reason)


def _fetch(url, limit, deadline):
    """One attempt. ValueError for an answer that is too long: asking again would not help."""
    from urllib.request import Request, urlopen

    parts, received = [], 0
    with urlopen(Request(url, headers={"User-Agent": "fastconv"}), timeout=STALL_TIMEOUT) as response:
        promised = response.headers.get("Content-Length", "")
        # read1 returns what one recv gave, so that a server that drips meets the deadline.
        while part := response.read1(1 << 16):
            parts.append(part)
            received += len(part)
            if received > limit:
                raise ValueError(f"sends more than {limit:,} bytes")
            if time.monotonic() > deadline:
                raise OSError(f"not complete after {TOTAL_TIMEOUT:g} s; stopped at {received:,} bytes")
    if promised.isdigit() and received != int(promised):
        raise OSError(f"the connection ended after {received:,} of {promised} bytes")
    return b"".join(parts)


def _store(path, raw):
    """Put a checked file into the cache, whole or not at all; failing to is only a warning."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, raw)
    except (OSError, ValueError) as error:
        warnings.warn(f"cannot keep {path} ({error}); it will be downloaded again next time", stacklevel=2)
