"""Which of a file's arrays is which weight of a model, and how its layout becomes ours.

PyTorch keeps kernels (out, in, *taps), ours are (*taps, in, out); its Linear is (out, in); behind a Flatten its features
go (C, *S), ours (*S, C). It reads no file. Contract: `matched` gives an array for every weight, or for none: names come
from the caller's map, else from equal names, else from the order (which a safetensors file does not keep), else from the
modules' shapes, where those occur once or the names differ in numbers alone; where none of these tells, a ValueError shows
both lists side by side.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from fastconv import registry
from fastconv.graph import Node, sources
from fastconv.layers import Dense, Embedding, Flatten, InputLayer, Reshape
from fastconv.progress import warn_user
from fastconv.tensor import Parameter

MEANS = {"kernel": "weight", "gamma": "weight", "embeddings": "weight", "alpha": "weight", "beta": "bias",
         "moving_mean": "running_mean", "moving_variance": "running_var"}  # fmt: skip
DROPPED = ("num_batches_tracked",)  # what PyTorch counts and nobody needs
PARTS = {"weight": None, "bias": "bias beta", "running_mean": "moving_mean", "running_var": "moving_variance"}
ROWS = 40  # of the two lists


class Target(NamedTuple):
    """A weight of the model, the shape that it has in the file, and how that becomes ours."""

    weight: Parameter
    shape: tuple
    turned: Callable[[np.ndarray], np.ndarray]


def matched(
    model: Any, weights: Mapping[str, Parameter], arrays: Mapping[str, Any], name_map: Any, skip_mismatch: bool, path: Any,
    torch: bool, ordered: bool,
) -> list[tuple[Parameter, np.ndarray]]:  # fmt: skip
    """(weight, its values) for the model's `weights`, by name; `arrays` have a shape, is_float and read(). `torch` says
    whose layouts they have, `ordered` whether their order is the model's that was saved."""
    targets = _targets(model, weights, torch)
    arrays = {name: array for name, array in arrays.items() if name.rpartition(".")[2] not in DROPPED}
    if name_map is not None:
        pairs = _mapped(arrays, targets, name_map, skip_mismatch, path)
    elif targets.keys() <= arrays.keys():
        pairs = {name: name for name in targets}
    else:
        pairs = (_in_order(arrays, targets) if ordered else None) or _by_module(arrays, targets)
    if pairs is None:
        raise ValueError(
            f"{path}: neither names nor order nor shapes tell which array is which weight of {model.name!r}. Say it: "
            f"load_weights(..., name_map={{the file's name: the model's}}).\n{_side_by_side(arrays, targets)}"
        )
    fit = {ours: theirs for ours, theirs in pairs.items() if _fits(arrays[theirs], targets[ours])}
    left = [name for name in targets if name not in fit]
    if left and not skip_mismatch:
        raise ValueError(
            f"{path} does not fit the model {model.name!r}: it has no array of the right shape for {', '.join(left[:5])}.\n"
            + _side_by_side(
                {pairs[name]: arrays[pairs[name]] for name in left if name in pairs}, {n: targets[n] for n in left}
            )
        )
    if left:
        warn_user(f"{path} does not fit {', '.join(left[:5])}: these weights stay as they are.")
    return [(targets[ours].weight, targets[ours].turned(arrays[theirs].read())) for ours, theirs in fit.items()]


def _fits(array, target):
    return array.is_float and tuple(array.shape) == target.shape


# Names


def _in_order(arrays, targets):
    """The file's name for each of ours, one after the other; None where these do not fit."""
    if len(arrays) != len(targets):
        return None
    fit = all(_fits(array, target) for array, target in zip(arrays.values(), targets.values()))
    return dict(zip(targets, arrays)) if fit else None


def _by_module(arrays, targets):
    """As `_in_order`, by what each module holds; None unless modules that hold the same differ in numbers alone."""
    theirs = _modules({name: tuple(array.shape) for name, array in arrays.items()}, {})
    ours = _modules({name: target.shape for name, target in targets.items()}, MEANS)
    if {held: len(found) for held, found in theirs.items()} != {held: len(found) for held, found in ours.items()}:
        return None
    pairs = {}
    for held, found in theirs.items():
        if len({re.sub(r"\d+", "#", module) for module in found}) > 1:
            return None
        found = dict(sorted(found.items(), key=lambda item: [int(number) for number in re.findall(r"\d+", item[0])]))
        for own, parts in zip(ours[held].values(), found.values()):
            pairs |= {own[part]: parts[part] for part in own}
    return pairs


def _modules(shapes, means):
    """{what a module holds, as part and shape: {module: {part: name}}} of the shapes by name."""
    modules: dict[str, dict] = {}
    for name in shapes:
        module, part = re.fullmatch(r"(?:(.*)[./])?(.*)", name).groups()
        modules.setdefault(module or "", {})[means.get(part, part)] = name
    found: dict[frozenset, dict] = {}
    for module, parts in modules.items():
        held = frozenset((part, shapes[name]) for part, name in parts.items())
        found.setdefault(held, {})[module] = parts
    return found


def _mapped(arrays, targets, name_map, skip_mismatch, path):
    """As `_found`, by a dict or function from the file's names, or those of its modules, to ours."""
    if not (callable(name_map) or isinstance(name_map, Mapping)):
        raise TypeError(f"name_map must be a dict or a function from a file's names to the model's; got {name_map!r}.")
    layers = {name.rpartition("/")[0] for name in targets}
    pairs, left = {}, []
    for name in arrays:
        module, _, part = name.rpartition(".")
        if callable(name_map):
            given = name_map(name)
        else:
            given = name_map[name] if name in name_map else name_map.get(module, left)
        if given is left:
            left.append(name)
        elif given is not None:
            ours = _in_layer(given, part, targets) if given in layers else given
            if ours not in targets:
                raise registry.unknown_name(f"weight or layer for {name!r} in name_map:", ours, [*targets, *layers])
            if ours in pairs:
                raise ValueError(f"name_map gives {ours} two arrays: {pairs[ours]} and {name}.")
            pairs[ours] = name
    if left and not skip_mismatch:
        raise ValueError(f"{path}: name_map says nothing of {', '.join(left[:5])}; map to None what is to be left out.")
    return pairs


def _in_layer(layer, part, targets):
    """The weight of a layer that a module's `weight`, `bias` or other part is."""
    own = [name for name in targets if name.rpartition("/")[0] == layer]
    wanted = PARTS.get(part, part)
    if wanted is None:
        return own[0]
    return next((name for name in own if name.rpartition("/")[2] in wanted.split()), f"{layer}/{part}")


def _side_by_side(arrays, targets):
    ours = [f"{name} {target.shape}" for name, target in targets.items()]
    theirs = [f"{name} {tuple(array.shape)}" for name, array in arrays.items()]
    width = max([len(text) for text in theirs[:ROWS]], default=0)
    count = max(len(ours), len(theirs))
    rows = [
        f"{(theirs[i : i + 1] or [''])[0]:{width}}  {(ours[i : i + 1] or ['-'])[0]}" for i in range(min(count, ROWS))
    ]
    more = [f"and {count - ROWS} more"] if count > ROWS else []
    return "\n".join([f"{'in the file':{width}}  in the model, as the file's layout has it", *rows, *more])


# Layouts


def _targets(model, weights, torch):
    layers = {
        id(weight): layer for layer in model.flatten_layers() for weight in (*layer._weights, *layer._fixed_weights)
    }
    maps = _flattened(model) if torch else {}
    found = {}
    for name, weight in weights.items():
        layer = layers.get(id(weight))
        turned = _torch(weight, layer, maps.get(id(layer))) if torch else (weight.shape, lambda array: array)
        found[name] = Target(weight, *turned)
    return found


def _torch(weight, layer, map_shape):
    """(the shape that PyTorch has, the function that makes it ours) of a layer's weight; `map_shape` is that of what was
    flattened into the layer's input, or None."""
    shape, rank = weight.shape, weight.ndim
    if weight.name == "alpha" and math.prod(shape) == shape[-1]:  # a PReLU's slopes, which places share
        return shape[-1:], lambda a: a.reshape(shape)
    if rank >= 3 and weight.name == "depthwise_kernel" or type(layer).__name__.startswith("Depthwise") and rank >= 3:
        *taps, channels, multiplier = shape
        return (channels * multiplier, 1, *taps), lambda a: np.moveaxis(
            a.reshape(channels, multiplier, *taps), (0, 1), (-2, -1)
        )
    if rank >= 3:
        return (shape[-1], shape[-2], *shape[:-2]), lambda a: np.moveaxis(a, (1, 0), (-2, -1))
    if rank == 2 and not isinstance(layer, Embedding):
        if map_shape is None:
            return shape[::-1], np.transpose
        *sizes, channels = map_shape
        return shape[::-1], lambda a: np.moveaxis(a.reshape(-1, channels, *sizes), (1, 0), (-2, -1)).reshape(shape)
    if rank == 1 and map_shape is not None and not isinstance(layer, Dense) and shape[0] == math.prod(map_shape):
        *sizes, channels = map_shape
        return shape, lambda a: np.moveaxis(a.reshape(channels, *sizes), 0, -1).reshape(-1)
    return shape, lambda a: a


def _flattened(model):
    """The shape (*S, C) of the map that was flattened into the input of a layer, by the layer's id."""
    found: dict[int, tuple] = {}
    for inner in model.flatten_layers():
        if not hasattr(inner, "layers"):
            continue
        if getattr(inner, "graph", None) is None:  # written in Python: its layers are taken to be in their order
            _follow_order(inner.layers, found)
            continue
        for node in inner.graph.nodes:
            if isinstance(node, Node):
                map_shape = _map_before(node)
                if map_shape is not None:
                    found.setdefault(id(node.layer), map_shape)
    return found


def _map_before(node):
    """What was flattened before a call, by layers or ops that keep the features in their order since then."""
    while True:
        tensors = sources(node)
        if len(tensors) != 1:
            return None
        (tensor,) = tensors
        if _flattens(node) and tensor.ndim > 2:
            return None if None in tensor.shape[1:] else tuple(tensor.shape[1:])
        node = tensor.source
        if node is None or tensor.ndim != 2 or (isinstance(node, Node) and _mixes(node.layer)):
            return None


def _flattens(node):
    if isinstance(node, Node):
        return isinstance(node.layer, (Flatten, Reshape)) and node.outputs.ndim == 2
    return node.op.__name__ == "Reshape" and len(node.attributes["shape"]) == 2


def _mixes(layer):
    """Whether a layer's outputs are other features than its inputs."""
    return isinstance(layer, (Dense, InputLayer)) or hasattr(layer, "layers")


def _follow_order(layers, found):
    shape = None
    for layer in layers:
        if isinstance(layer, Flatten):
            built = layer._build_shape
            shape = tuple(built[1:]) if isinstance(built, tuple) and len(built) > 2 and None not in built[1:] else None
        elif shape is not None:
            found[id(layer)] = shape
            shape = None if isinstance(layer, Dense) else shape
