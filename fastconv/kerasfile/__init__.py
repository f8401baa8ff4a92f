"""Keras 3's own files: the archive of `model.save("m.keras")`, and `.weights.h5`; extra `[keras]` (h5py).

archive.py opens, checks and writes the files, weights.py says where which weight lies in them, configs.py reads and
writing.py writes architectures, training.py what compile was given and the optimizer's state, legacy.py reads weights of Keras 2. Contract: nothing that stands in a file is run, no memory is taken before the file's sizes are known to
fit the model, and a file that does not fit leaves the model as it was.
"""

from __future__ import annotations

import os
from typing import Any

Path = str | os.PathLike[str]

__all__ = ["is_archive", "is_legacy", "is_weights", "load_model", "load_weights", "save_model", "save_weights"]


def is_archive(path: Path) -> bool:
    """Whether this is the name of a Keras archive."""
    return os.fsdecode(path).endswith(".keras")


def is_weights(path: Path) -> bool:
    """Whether this is the name of a file of Keras' weights."""
    return os.fsdecode(path).endswith(".weights.h5")


def is_legacy(path: Path) -> bool:
    """Whether this is the name of an HDF5 file as Keras 2 wrote them."""
    return os.fsdecode(path).endswith((".h5", ".hdf5")) and not is_weights(path)


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from fastconv.kerasfile import archive

    return getattr(archive, name)
