"""Tensor files: named float arrays and a few texts ("facts") in one safetensors file, under one checksum.

It knows no models; saving.py does. The safetensors package writes; reading is done here, because what is declared has
to be compared with what is wanted before memory is taken for it. Contract: `opened` reads a header and checks it
against the file's length, `read` fills arrays that the caller has made, and neither takes memory for tensors; a file
that is damaged, foreign or no file raises ValueError naming it, one that is not there or may not be read OSError.
"""

from __future__ import annotations

import json
import math
import os
import zlib
from contextlib import contextmanager
from typing import BinaryIO, NamedTuple

import numpy as np

from fastconv.files import check_regular, write_whole

FORMAT_VERSION = "1"
_HEADER = 100_000_000  # bytes, as much as safetensors itself reads
_BLOCK = 1 << 20  # bytes read at once
_DTYPES = {"F32": np.dtype("<f4"), "F64": np.dtype("<f8")}


def write(path, tensors, facts) -> None:
    """Puts a file with these arrays (name to float32 or float64) and facts (name to text) at `path`, whole."""
    from safetensors.numpy import save

    from fastconv import __version__

    facts = {"format": "fastconv", "format_version": FORMAT_VERSION, "fastconv_version": __version__} | facts
    facts["checksum"] = checksum(tensors, facts)
    content = save(tensors, metadata=facts)
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])
    header["__metadata__"] = facts  # which safetensors puts in another order each time
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # so that tensors lie at multiples of 8, as there
    write_whole(path, [len(text).to_bytes(8, "little") + text, memoryview(content)[end:]])


@contextmanager
def opened(path):
    """The file at `path` as an Opened, in a `with` statement."""
    path = os.fsdecode(path)
    check_regular(path, "model file")
    with open(path, "rb") as file:
        try:
            header = _header(file)
            facts = header.pop("__metadata__", {})
            _check_facts(facts)
        except (ValueError, RecursionError, MemoryError) as error:
            raise _unreadable(path, error) from error
        if facts.get("format") != "fastconv":
            raise ValueError(f"{path} is a safetensors file, but not one of fastconv's.")
        if facts.get("format_version") != FORMAT_VERSION:
            raise ValueError(
                f"{path} has format version {facts.get('format_version')!r}; this fastconv reads {FORMAT_VERSION!r}. "
                f"It was written by fastconv {facts.get('fastconv_version')}."
            )
        try:
            tensors = _layout(header, os.fstat(file.fileno()).st_size - file.tell())
        except ValueError as error:
            raise _unreadable(path, error) from error
        yield Opened(path, file, file.tell(), facts, tensors)


class Stored(NamedTuple):
    """A tensor in a file: `begin` and `end` are in bytes from the end of the header on."""

    dtype: np.dtype
    shape: tuple
    begin: int
    end: int


class Opened(NamedTuple):
    """A file whose header is in order: its facts, and where its tensors lie."""

    path: str
    file: BinaryIO
    start: int  # where the header ends
    facts: dict
    tensors: dict  # name to Stored

    @property
    def size(self) -> int:
        """Bytes of all tensors."""
        return max((tensor.end for tensor in self.tensors.values()), default=0)

    def read(self, arrays) -> None:
        """Fills `arrays` (name to a contiguous array of the tensor's shape and dtype) and passes over other tensors.
        ValueError if the file is damaged; the arrays then hold anything."""
        total, spare = _checksum_of(self.facts), bytearray(_BLOCK)
        for name in sorted(self.tensors):
            total = zlib.crc32(name.encode(), total)
            left = self.tensors[name].end - self.tensors[name].begin
            self.file.seek(self.start + self.tensors[name].begin)
            values = memoryview(arrays[name].reshape(-1).view(np.uint8)) if name in arrays else None
            while left:
                block = memoryview(spare)[:left] if values is None else values[-left:][:_BLOCK]
                count = self.file.readinto(block)
                if not count:
                    raise ValueError(f"{self.path} became shorter while it was read.")
                total = zlib.crc32(block[:count], total)
                left -= count
        if self.facts.get("checksum") != f"{total:08x}":
            raise ValueError(f"{self.path} is damaged: its checksum does not fit its content.")


def checksum(tensors, facts) -> str:
    """CRC-32 of the facts and the arrays, in the order of their names."""
    total = _checksum_of(facts)
    for name in sorted(tensors):
        total = zlib.crc32(np.ascontiguousarray(tensors[name]), zlib.crc32(name.encode(), total))
    return f"{total:08x}"


def _checksum_of(facts) -> int:
    total = 0
    for key in sorted(facts.keys() - {"checksum"}):
        total = zlib.crc32(f"{key}={facts[key]}\n".encode(), total)
    return total


# Headers


def _header(file) -> dict:
    """The JSON object before the tensors; the file stands behind it."""
    size, length = os.fstat(file.fileno()).st_size, int.from_bytes(file.read(8), "little")
    if not 2 <= length <= min(size - 8, _HEADER):
        if length > _HEADER:
            raise ValueError("it does not begin with the length of a header")
        raise ValueError(f"a header of {length:,} bytes is not in its {size:,} bytes")
    header = json.loads(file.read(length).decode(), object_pairs_hook=_unique)
    if not isinstance(header, dict):
        raise ValueError("its header is no JSON object")
    return header


def _unique(pairs) -> dict:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name stands twice in its header")
    for name in found:
        name.encode()  # UnicodeEncodeError, a ValueError, for half a surrogate pair
    return found


def _check_facts(facts):
    if not isinstance(facts, dict) or not all(isinstance(text, str) for text in facts.values()):
        raise ValueError("its metadata do not map names to texts")
    for text in facts.values():
        text.encode()


def _layout(header, size) -> dict:
    """Name to Stored; ValueError unless the tensors fill `size` bytes one after another, each as its shape says."""
    tensors, position = {name: _stored(name, entry) for name, entry in header.items()}, 0
    for name, tensor in sorted(tensors.items(), key=lambda item: item[1][2:]):
        if tensor.begin != position or tensor.end - position != math.prod(tensor.shape) * tensor.dtype.itemsize:
            raise ValueError(f"{name!r}, {tensor.dtype} {tensor.shape}, cannot lie at {tensor.begin} to {tensor.end}")
        position = tensor.end
    if position != size:
        raise ValueError(f"its tensors take {position:,} bytes, and it holds {size:,}")
    return tensors


def _stored(name, entry) -> Stored:
    if isinstance(entry, dict) and entry.keys() == {"dtype", "shape", "data_offsets"}:
        dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
        known = isinstance(dtype, str) and dtype in _DTYPES
        if known and _are_sizes(shape) and _are_sizes(offsets) and len(offsets) == 2:
            return Stored(_DTYPES[dtype], tuple(shape), *offsets)
    raise ValueError(f"{name!r} must be a tensor of {' or '.join(_DTYPES)}; its entry is {repr(entry)[:200]}")


def _are_sizes(values) -> bool:
    """Whether this is a list of a few sizes that a file can have: others could take long to multiply."""
    return isinstance(values, list) and len(values) <= 32 and all(type(v) is int and 0 <= v < 2**63 for v in values)


def _unreadable(path, error) -> ValueError:
    reason = error if isinstance(error, ValueError) else type(error).__name__
    return ValueError(f"{path} is no safetensors file, or is damaged: {reason}")
