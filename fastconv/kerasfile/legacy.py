"""Weights in the HDF5 files of Keras 2 and earlier (`.h5`, `.hdf5`), which are read and not written.

Such a file lists its layers in the attribute layer_names and each layer's arrays in weight_names, trained ones first; a
whole model's file has that in the group model_weights, and its architecture beside it, which is not looked at. Contract:
as in __init__.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastconv.kerasfile import weights
from fastconv.tensor import Parameter

NAMES = 100_000  # layers or weights that a file may list


def read(file: Any, model: Any) -> list[tuple[Parameter, np.ndarray]]:
    """(weight, its values) for all weights of a model, layer by layer in their order."""
    root = file if weights.child(file, "model_weights", missing=True) is None else weights.child(file, "model_weights")
    groups = [(name, weights.child(root, name)) for name in _listed(root, "layer_names")]
    stored = [(name, group, names) for name, group in groups if (names := _listed(group, "weight_names"))]
    layers = [layer for layer in model.layers if layer.weights]
    if len(stored) != len(layers):
        raise ValueError(
            f"it holds weights of {len(stored)} layers ({', '.join(name for name, *_ in stored[:5])}, ...); the model has "
            f"{len(layers)} with weights"
        )
    found = []
    for (name, group, names), layer in zip(stored, layers):
        own = [*layer.trainable_weights, *layer.non_trainable_weights]
        if len(names) != len(own):
            raise ValueError(f"its layer {name} has {len(names)} arrays; {layer.name!r} has {len(own)} weights")
        for weight, path in zip(own, names):
            *folders, last = path.split("/")
            place = weights.child(group, "/".join(folders)) if folders else group
            found.append(
                (weight, weights.array(place, f"{name}/{path}", last, weight.shape, weight.data.dtype, weight.name))
            )
    return found


def _listed(group, attribute):
    """The texts of an attribute, which long lists are cut into numbered ones of."""
    pieces = [attribute] if attribute in group.attrs else []
    while f"{attribute}{len(pieces)}" in group.attrs:
        pieces.append(f"{attribute}{len(pieces)}")
    found = []
    for piece in pieces:
        if group.attrs.get_id(piece).get_space().get_simple_extent_npoints() > NAMES:
            raise ValueError(f"it lists more than {NAMES:,} names in {attribute}")
        values = np.asarray(group.attrs[piece]).reshape(-1)
        found += [value.decode() if isinstance(value, bytes) else str(value) for value in values]
    return found
