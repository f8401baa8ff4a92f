"""What all networks here share: their input, their top, and where their weights come from.

It knows no network. Contract: Keras' rules for include_top, weights, input_tensor, input_shape, pooling and classes;
`weights` is None (drawn anew) or the path of a file that `model.save_weights` or `model.save` wrote.
"""

from __future__ import annotations

import math
import os
from contextlib import nullcontext

from fastconv import config
from fastconv.graph import Node, sources
from fastconv.layers import Dense, GlobalAveragePooling2D, GlobalMaxPooling2D, Input
from fastconv.layers.holder import uninitialized_weights
from fastconv.models import Model
from fastconv.symbolic import KerasTensor


def network(
    draw, name, include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, *,
    size=224, least=32, any_size=False, top=None, pool_names=("avg_pool", "max_pool"),
):  # fmt: skip
    """The Model that `draw(x)`, features of pictures, makes with a top on it.

    `size` and `least` are the pictures' default and smallest sizes; `any_size`: with the top on, they may be open.
    `top(x, classes, activation)` is by default a mean over places and a Dense, "predictions". `pool_names` are those of
    the layers for `pooling`, None for automatic ones.
    """
    if pooling not in (None, "avg", "max"):
        raise ValueError(f"{name}: pooling must be None, 'avg' or 'max'; got {pooling!r}.")
    with drawn(weights, name):
        x = _input(name, input_tensor, input_shape, include_top and not any_size, size, least)
        features = draw(x)
        if include_top:
            features = (top or predictions)(features, classes, classifier_activation)
        elif pooling:
            layer, number = (GlobalAveragePooling2D, 0) if pooling == "avg" else (GlobalMaxPooling2D, 1)
            features = layer(name=pool_names[number])(features)
        return finished(x, features, name, weights)


def predictions(x, classes, activation):
    """The usual top: the mean over all places, then one output a class."""
    return Dense(classes, activation=activation, name="predictions")(GlobalAveragePooling2D(name="avg_pool")(x))


def drawn(weights, name):
    """The context to draw a network in whose weights come from here: nothing is drawn at random if they come from a
    file. ValueError unless `weights` is None or the path of a file, and the layout channels last."""
    if config.image_data_format() != "channels_last":
        raise ValueError(
            f"{name} is drawn channels last: call fastconv.config.set_image_data_format('channels_last') before, and give "
            "it pictures of (height, width, channels)."
        )
    if weights is None:
        return nullcontext()
    if isinstance(weights, (str, os.PathLike)) and os.path.exists(weights):
        return uninitialized_weights(math.inf)
    hint = ""
    if weights == "imagenet":
        hint = " fastconv downloads no weights: train the network, or convert weights you have, and save them once."
    raise ValueError(
        f"{name}: weights must be None, for weights drawn at random, or the path of a file that model.save_weights "
        f"wrote; got {weights!r}.{hint}"
    )


def finished(x, outputs, name, weights) -> Model:
    """The model from the inputs that x was made from, with the weights of the file, if there is one."""
    model = Model(_origin(x), outputs, name=name)
    if weights is not None:
        model.load_weights(weights)
    return model


def _input(name, tensor, shape, fixed, size, least):
    """The tensor of pictures to start from."""
    if tensor is not None:
        if not isinstance(tensor, KerasTensor):
            kind = type(tensor).__name__
            raise TypeError(f"{name}: input_tensor must be what fastconv.Input or a layer gave; got {kind}.")
        given = tensor.shape[1:]
        if shape is not None and tuple(shape) != given:
            raise ValueError(f"{name}: input_tensor is of shape {given}, and input_shape is {tuple(shape)}: give one.")
    else:
        given = tuple(shape) if shape is not None else ((size, size, 3) if fixed else (None, None, 3))
    if len(given) != 3 or given[2] is None:
        raise ValueError(f"{name}: input_shape must be (height, width, channels); got {given}.")
    if fixed and None in given:
        raise ValueError(f"{name}: include_top=True needs known sizes; got the input shape {given}.")
    if any(n is not None and n < least for n in given[:2]):
        raise ValueError(f"{name}: pictures must be at least {least}x{least}; got the input shape {given}.")
    return Input(given) if tensor is None else tensor


def _origin(tensor):
    """The input tensors that a tensor was made from: one, or a list."""
    found, seen, stack = [], set(), [tensor]
    while stack:
        tensor = stack.pop()
        if id(tensor) in seen:
            continue
        seen.add(id(tensor))
        before = [] if tensor.source is None else _before(tensor.source)
        found += [] if before else [tensor]
        stack += before
    return found[0] if len(found) == 1 else found


def _before(node):
    return node.inputs if isinstance(node, Node) else sources(node)


def rounded(filters, divisor=8) -> int:
    """`filters` as a multiple of `divisor`, at most a tenth below it: how the MobileNets and EfficientNets count."""
    whole = max(divisor, int(filters + divisor / 2) // divisor * divisor)
    return whole + divisor if whole < 0.9 * filters else whole


def strided_padding(x, kernel_size):
    """What ZeroPadding2D takes before a "valid" window of stride 2, so that its places are those of "same"; where x's
    height is open, as for even sizes."""
    half = kernel_size // 2
    odd = (0, 0) if x.shape[1] is None else [size % 2 for size in x.shape[1:3]]
    return tuple((half - 1 + one, half) for one in odd)
