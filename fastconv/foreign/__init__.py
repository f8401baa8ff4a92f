"""Weights that other libraries stored: PyTorch's state dicts (`.pt`, `.pth`), and safetensors files not of our making.

torchfile.py reads the files of PyTorch, names.py says which of a file's arrays is which weight. Not Keras' files, which
are kerasfile/'s. Contract: nothing that stands in a file is run, an array is read when its shape is known to fit, and a
file that does not fit leaves the model as it was.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping
from typing import Any

from fastconv.files import check_regular
from fastconv.foreign import names
from fastconv.tensor import Parameter

Path = str | os.PathLike[str]
MARKS = {"format_version", "fastconv_version", "checksum"}  # of our files; one alone, in a damaged one, tells

__all__ = ["is_foreign", "is_torch", "load_weights"]


def is_torch(path: Path) -> bool:
    """Whether this is the name of a file of PyTorch's."""
    return os.fsdecode(path).endswith((".pt", ".pth"))


def is_foreign(path: Path) -> bool:
    """Whether this is PyTorch's, by its name, or a whole safetensors file without our mark."""
    if is_torch(path):
        return True
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return False
        with _safetensors(path) as file:
            return not MARKS & (file.metadata() or {}).keys()
    except Exception:  # noqa: BLE001 (whoever reads the file says what is wrong with it)
        return False


def load_weights(
    model: Any, weights: Mapping[str, Parameter], path: Path,
    name_map: Mapping[str, Any] | Callable[[str], Any] | None = None, skip_mismatch: bool = False,
) -> None:  # fmt: skip
    """Puts a file's arrays into a built model's `weights`, by name, turned into our layouts; all of them, or none.
    Other arguments as in Model.load_weights."""
    check_regular(path, "file of weights")
    if is_torch(path):
        from fastconv.foreign import torchfile

        with torchfile.opened(path) as arrays:
            found = names.matched(model, weights, arrays, name_map, skip_mismatch, path, True, True)
    else:
        with _safetensors(path) as file:
            arrays = {name: _Slice(file, name) for name in file.offset_keys()}
            torch = any(name.rpartition(".")[2] in ("weight", "running_mean") for name in arrays)
            found = names.matched(model, weights, arrays, name_map, skip_mismatch, path, torch, False)
    for weight, array in found:
        weight.assign(array)


def _safetensors(path):
    from safetensors import safe_open

    return safe_open(os.fsdecode(path), framework="np")


class _Slice:
    """An array of a safetensors file that is not read yet."""

    def __init__(self, file, name):
        self._file, self._name = file, name
        part = file.get_slice(name)
        self.shape, self.dtype = tuple(part.get_shape()), part.get_dtype()
        self.is_float = self.dtype in ("F16", "F32", "F64")

    def read(self):
        return self._file.get_tensor(self._name)
