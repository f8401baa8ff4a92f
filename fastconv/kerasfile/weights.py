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

STEMS = {"Model": "functional", "GroupQueryAttention": "grouped_query_attention"}
PRIVATE = {  # attributes that Keras keeps under a private name alone
    "GroupQueryAttention": ("query_dense", "key_dense", "value_dense", "gate_dense", "output_dense"),
    "MultiHeadAttention": ("gate_dense",),
}  # fmt: skip


def places(
    model: Layer, prefix: str = "", seen: set[int] | None = None
) -> Iterator[tuple[str, Layer, list[Parameter]]]:
    """(the path of its `vars` group, the layer, its own weights) of a model and all layers in it, each once."""
    seen = set() if seen is None else seen
    if id(model) in seen:
        return
    seen.add(id(model))
    yield f"{prefix}vars", model, _own(model)
    here = set()  # Keras asks attributes in their order, and a model's list of layers among them: the first one counts
    for name, value in _children(model):
        path = f"{prefix}{name}/"
        for layer, place in [(value, path)] if isinstance(value, Layer) else _numbered(value, path):
            if layer not in here:
                here.add(layer)
                yield from places(layer, place)


def _children(model):
    """(Keras' name, a layer or a container of some) for what a layer holds, in Keras' order."""
    ours = type(model).__module__.partition(".")[0] == __name__.partition(".")[0]
    drawn = hasattr(model, "_stack") or getattr(model, "graph", None) is not None
    if drawn:  # its layers come before what attributes of a class of the user's hold
        yield "layers", model.layers
        if ours:
            return
    private = PRIVATE.get(type(model).__name__, ())
    found = {"layers": model.layers} if hasattr(model, "layers") and not drawn else {}
    for name, value in vars(model).items():
        if name != "_holders" and isinstance(value, (Layer, list, tuple, dict)):
            found[f"_{name}" if name in private else name.lstrip("_") if ours else name] = value
    yield from sorted(found.items(), key=lambda item: (item[0].startswith("_"), item[0]))


def _numbered(container, prefix):
    """(layer, its path) for the layers in a list, tuple or dict, named by class and order of appearance."""
    counts: dict[str, int] = {}
    for part in container.values() if isinstance(container, dict) else container:
        if not isinstance(part, (Layer, list, tuple, dict)):
            continue
        stem = _stem(part) if isinstance(part, Layer) else "container"
        count = counts[stem] = counts.get(stem, -1) + 1
        path = f"{prefix}{stem}_{count}/" if count else f"{prefix}{stem}/"
        yield from [(part, path)] if isinstance(part, Layer) else _numbered(part, path)


def _stem(layer):
    kind = type(layer).__name__
    return STEMS.get(kind) or snake_case(kind)


def _own(layer):
    if type(layer).__name__ == "SpectralNormalization":
        return [layer._kernel(), *layer._fixed_weights]  # the inner layer's kernel, too
    return [*layer._weights, *layer._fixed_weights]


def read(file: Any, group: str, layer: Layer, weights: list[Parameter]) -> list[np.ndarray]:
    """The arrays of a layer's own weights; ValueError where the file does not hold exactly them."""
    found = child(file, group) if weights or child(file, group, missing=True) is not None else None
    names = [] if found is None else sorted(found.keys(), key=lambda name: (len(name), name))
    if len(names) != len(weights):
        raise ValueError(
            f"{group} of layer {layer.name!r} holds {len(names)} arrays; the layer has {len(weights)} weights."
        )
    return [array(found, f"{group}/{name}", name, weight.shape, weight.data.dtype, weight.name)
            for name, weight in zip(names, weights)]  # fmt: skip


def child(group: Any, path: str, missing: bool = False) -> Any:
    """The group at `path`, of this file and reached by no link; ValueError where there is none, or None if it may be
    missing."""
    import h5py

    for part in path.split("/"):
        link = group.get(part, getlink=True)
        if link is None and missing:
            return None
        if not isinstance(link, h5py.HardLink) or not isinstance(group[part], h5py.Group):
            raise ValueError(f"it has no group {path}")
        group = group[part]
    return group


def array(group: Any, path: str, name: str, shape: tuple, dtype: Any, what: str | None) -> np.ndarray:
    """The array at `path`, `name` in a group, for `what` of this shape, as `dtype`; ValueError where it is none."""
    import h5py

    if not isinstance(group.get(name, getlink=True), h5py.HardLink) or not isinstance(group[name], h5py.Dataset):
        raise ValueError(f"{path} is no array of this file")
    data = group[name]
    if data.is_virtual or data.external:
        raise ValueError(f"{path} lies outside of this file")
    if data.shape != shape:
        raise ValueError(f"{path} has the shape {data.shape}; {what} needs {shape}")
    if data.dtype.kind not in "fiu" or data.dtype.itemsize > 8:
        raise ValueError(f"{path} holds {data.dtype}; numbers of at most 8 bytes are needed")
    if data.id.get_storage_size() == 0 and data.size:
        raise ValueError(f"{path} declares {data.size} numbers and holds none")
    return np.asarray(data[()], dtype)


def keeps_itself(layer: Layer) -> bool:
    """Whether the layer's class says by `save_own_variables` and `load_own_variables` what a file holds of it."""
    return type(layer).save_own_variables is not Layer.save_own_variables


def read_own(file: Any, group: str, layer: Layer) -> dict[str, np.ndarray]:
    """All arrays of a layer's group, for its own `load_own_variables`."""
    found = child(file, group)
    for name in found:
        link = found.get(name, getlink=True)
        if getattr(found.get(name), "nbytes", 0) != _stored(found, name, link):
            raise ValueError(f"{group}/{name} of layer {layer.name!r} does not hold as many bytes as it declares")
    return {name: array(found, f"{group}/{name}", name, found[name].shape, found[name].dtype, None) for name in found}


def _stored(group, name, link):
    import h5py

    if not isinstance(link, h5py.HardLink) or not isinstance(group[name], h5py.Dataset):
        return 0
    return group[name].id.get_storage_size()


def write(file: Any, model: Any) -> None:
    """Puts all weights of a model into an open HDF5 file, and what its layers' `save_own_variables` say."""
    for group, layer, weights in places(model):
        made = file.create_group(group)
        made.attrs["name"] = layer.name
        store = {str(i): weight.data for i, weight in enumerate(weights)}
        if keeps_itself(layer):
            store = {}
            layer.save_own_variables(store)
        for name, values in store.items():
            made.create_dataset(name, data=np.asarray(values))
