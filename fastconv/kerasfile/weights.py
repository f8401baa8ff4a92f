"""Where Keras 3's HDF5 files hold which weight, and how one is read safely.

Keras names places by class and order of appearance within a model ("layers/conv2d_1/vars/0"), by attribute within a
layer ("layers/bidirectional/forward_layer/cell/vars/2"); a layer's own name is only an attribute of its `vars`.
Contract: only plain datasets of the file itself are read, of the shape that is asked for; no link is followed out.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from fastconv.layers.base import Layer, snake_case
from fastconv.tensor import Parameter

MORE = {"Normalization": 1}  # Keras keeps a count of batches beyond our weights


def places(model: Any, prefix: str = "") -> Iterator[tuple[str, Layer, list[Parameter]]]:
    """(the path of its `vars` group, the layer, its own weights) of a model and all layers in it."""
    yield f"{prefix}vars", model, _own(model)
    if hasattr(model, "layers"):
        counts: dict[str, int] = {}
        for layer in model.layers:
            stem = _stem(layer)
            count = counts[stem] = counts.get(stem, -1) + 1
            yield from places(layer, f"{prefix}layers/{stem}_{count}/" if count else f"{prefix}layers/{stem}/")
        return
    for name, value in sorted(vars(model).items()):
        if isinstance(value, Layer):
            yield from places(value, f"{prefix}{name.lstrip('_')}/")
        elif isinstance(value, (list, tuple)) and value and all(isinstance(part, Layer) for part in value):
            counts = {}
            for part in value:
                stem = _stem(part)
                count = counts[stem] = counts.get(stem, -1) + 1
                place = f"{stem}_{count}" if count else stem
                yield from places(part, f"{prefix}{name.lstrip('_')}/{place}/")


def _stem(layer):
    kind = type(layer).__name__
    return "functional" if kind == "Model" else snake_case(kind)


def _own(layer):
    return [] if hasattr(layer, "layers") else [*layer._weights, *layer._fixed_weights]


def read(file: Any, group: str, layer: Layer, weights: list[Parameter]) -> list[np.ndarray]:
    """The arrays of a layer's own weights; ValueError where the file does not hold exactly them."""
    found = _child(file, group) if weights or _child(file, group, missing=True) is not None else None
    names = [] if found is None else sorted(found.keys(), key=lambda name: (len(name), name))
    expected = len(weights)
    if len(names) not in (expected, expected + MORE.get(type(layer).__name__, 0)):
        raise ValueError(
            f"{group} of layer {layer.name!r} holds {len(names)} arrays; the layer has {expected} weights."
        )
    return [_dataset(found, f"{group}/{name}", name, weight) for name, weight in zip(names, weights)]


def _child(group, path, missing=False):
    """The group at `path`, of this file and reached by no link."""
    import h5py

    for part in path.split("/"):
        link = group.get(part, getlink=True)
        if link is None and missing:
            return None
        if not isinstance(link, h5py.HardLink) or not isinstance(group[part], h5py.Group):
            raise ValueError(f"it has no group {path}")
        group = group[part]
    return group


def _dataset(group, path, name, weight):
    import h5py

    if not isinstance(group.get(name, getlink=True), h5py.HardLink) or not isinstance(group[name], h5py.Dataset):
        raise ValueError(f"{path} is no array of this file")
    data = group[name]
    if data.is_virtual or data.external:
        raise ValueError(f"{path} lies outside of this file")
    if data.shape != weight.shape:
        raise ValueError(f"{path} has the shape {data.shape}; {weight.name} needs {weight.shape}")
    if data.dtype.kind not in "fiu" or data.dtype.itemsize > 8:
        raise ValueError(f"{path} holds {data.dtype}; numbers of at most 8 bytes are needed")
    if data.id.get_storage_size() == 0 and data.size:
        raise ValueError(f"{path} declares {data.size} numbers and holds none")
    return np.asarray(data[()], weight.data.dtype)


def write(file: Any, model: Any) -> None:
    """Puts all weights of a model into an open HDF5 file."""
    for group, layer, weights in places(model):
        made = file.create_group(group)
        made.attrs["name"] = layer.name
        for i, weight in enumerate(weights):
            made.create_dataset(str(i), data=weight.data)
        for i in range(MORE.get(type(layer).__name__, 0) if weights else 0):
            made.create_dataset(str(len(weights) + i), data=np.zeros((), "int32"))
