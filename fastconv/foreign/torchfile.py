"""Reading the state dicts that `torch.save` writes: a zip of one pickle and of raw arrays, without PyTorch.

The pickle is read by a closed machine: a few opcodes, a few names, and what those names stand for is ours. Contract: no
code of a file runs and none is imported; arrays are stored, not compressed, within their storage, and no larger than it;
all else is a ValueError that names the file.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
import zipfile
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

LIMIT = 64 << 20  # bytes of a pickle
OPCODES = set(
    "PROTO FRAME STOP GLOBAL STACK_GLOBAL MEMOIZE BINPUT LONG_BINPUT BINGET LONG_BINGET MARK EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 "
    "TUPLE3 EMPTY_DICT SETITEM SETITEMS EMPTY_LIST APPEND APPENDS NONE NEWTRUE NEWFALSE BININT BININT1 BININT2 LONG1 BINFLOAT "
    "BINUNICODE SHORT_BINUNICODE BINPERSID REDUCE BUILD".split()
)
STORAGES = {
    "FloatStorage": "<f4", "DoubleStorage": "<f8", "HalfStorage": "<f2", "BFloat16Storage": "bfloat16", "LongStorage": "<i8",
    "IntStorage": "<i4", "ShortStorage": "<i2", "CharStorage": "i1", "ByteStorage": "u1", "BoolStorage": "?",
}  # fmt: skip


class Storage(NamedTuple):
    """Raw numbers in a member of the zip."""

    archive: zipfile.ZipFile
    member: str
    kind: str
    count: int


class Stored:
    """A tensor that is not read yet: a view of a storage."""

    def __init__(self, storage: Any, offset: Any, shape: Any, strides: Any, *more: Any):
        shape, strides = tuple(shape), tuple(strides)
        sizes = [offset, *shape, *strides]
        if not isinstance(storage, Storage) or any(type(n) is not int or not 0 <= n < 2**63 for n in sizes):
            raise ValueError("a tensor in it is described by no sizes")
        if len(shape) != len(strides) or len(shape) > 32:
            raise ValueError(f"a tensor in it has the shape {shape} and the strides {strides}")
        last = offset + sum((n - 1) * step for n, step in zip(shape, strides))
        if math.prod(shape) > storage.count or (math.prod(shape) and last >= storage.count):
            raise ValueError(f"a tensor of shape {shape} does not lie within its storage of {storage.count} numbers")
        self.storage, self.offset, self.shape, self.strides = storage, offset, shape, strides

    @property
    def is_float(self) -> bool:
        """Whether it can be a weight."""
        return self.storage.kind in ("<f4", "<f8", "<f2", "bfloat16")

    def read(self) -> np.ndarray:
        """The values, float32 where they were bfloat16."""
        kind = self.storage.kind
        numbers = np.frombuffer(self.storage.archive.read(self.storage.member), "<u2" if kind == "bfloat16" else kind)
        if kind == "bfloat16":
            numbers = (numbers.astype("<u4") << 16).view("<f4")
        steps = [step * numbers.itemsize for step in self.strides]
        return np.lib.stride_tricks.as_strided(numbers[self.offset :], self.shape, steps, writeable=False).copy()


class _Unpickler(pickle.Unpickler):
    """Knows what a state dict is made of, and nothing else."""

    def __init__(self, content, archive, root):
        super().__init__(io.BytesIO(content))
        self._archive, self._root = archive, root

    def find_class(self, module: str, name: str) -> Any:
        known = {
            ("collections", "OrderedDict"): OrderedDict, ("torch._utils", "_rebuild_tensor_v2"): Stored,
            ("torch._utils", "_rebuild_parameter"): lambda data, *more: data,
        }  # fmt: skip
        if (module, name) in known:
            return known[module, name]
        if module == "torch" and name in STORAGES:
            return name
        raise ValueError(
            f"it asks for {module}.{name}, which is no part of a state dict: save model.state_dict() alone"
        )

    def persistent_load(self, pid: Any) -> Storage:
        kind, name, key, _, count = pid
        if kind != "storage" or name not in STORAGES or not isinstance(key, str) or type(count) is not int:
            raise ValueError("it refers to something that is no storage")
        found = self._archive.getinfo(f"{self._root}data/{key}")
        size = 2 if STORAGES[name] == "bfloat16" else np.dtype(STORAGES[name]).itemsize
        if found.compress_type != zipfile.ZIP_STORED or found.file_size != count * size:
            raise ValueError(
                f"its storage {key} has {found.file_size:,} bytes, and {count} numbers of {size} bytes are declared"
            )
        return Storage(self._archive, found.filename, STORAGES[name], count)


@contextmanager
def opened(path: Any) -> Iterator[dict[str, Stored]]:
    """The tensors of the one state dict in a file, by name and in their order, in a `with` statement."""
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, RuntimeError) as error:
        raise ValueError(
            f"{path} is damaged, or of a PyTorch before 1.6: save the state dict again. {error}."
        ) from error
    with archive:
        try:
            found = _state_dict(_unpickled(archive))
        except Exception as error:  # a file may hold anything, and lead to any error
            reason = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
            raise ValueError(f"{path}: {reason.rstrip('.')}.") from error
        try:
            yield found
        except (zipfile.BadZipFile, RuntimeError, EOFError, OSError) as error:
            raise ValueError(f"{path} is damaged: {error}.") from error


def _unpickled(archive):
    pickles = [name for name in archive.namelist() if name.rpartition("/")[2] == "data.pkl" and name.count("/") <= 1]
    if len(pickles) != 1:
        raise ValueError("it is no file of torch.save, or a TorchScript: save model.state_dict()")
    root = pickles[0].removesuffix("data.pkl")
    if f"{root}byteorder" in archive.namelist() and archive.getinfo(f"{root}byteorder").file_size < 16:
        if archive.read(f"{root}byteorder") != b"little":
            raise ValueError("its numbers are big-endian")
    with archive.open(pickles[0]) as part:
        content = part.read(LIMIT + 1)
    if len(content) > LIMIT:
        raise ValueError(f"its pickle is longer than {LIMIT:,} bytes")
    for opcode, argument, _ in pickletools.genops(content):
        if opcode.name not in OPCODES or (opcode.name == "LONG_BINPUT" and argument > len(content)):
            raise ValueError(f"its pickle does {opcode.name}, which no state dict needs")
    return _Unpickler(content, archive, root).load()


def _state_dict(value):
    """The one dict of tensors that this is, or holds under one of its keys."""
    if not isinstance(value, dict):
        raise ValueError(f"it holds a {type(value).__name__}, not a state dict: save model.state_dict()")
    named = [("", value), *((key, part) for key, part in dict.items(value) if isinstance(part, dict))]
    found = {key: {name: part for name, part in dict.items(parts) if isinstance(part, Stored)} for key, parts in named}
    found = {key: tensors for key, tensors in found.items() if tensors}
    if len(found) > 1:
        found = {key: tensors for key, tensors in found.items() if "state_dict" in str(key) or key == "model"} or found
    if len(found) != 1:
        raise ValueError(f"it holds {len(found)} state dicts ({', '.join(map(str, found))}): save one alone")
    (tensors,) = found.values()
    if not all(isinstance(name, str) for name in tensors):
        raise ValueError("its tensors have names that are no texts")
    return tensors
