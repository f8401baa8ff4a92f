"""Whole networks as a torch.nn.Module that walks a networks.Network.

Contract: Walk(network, weights) maps (N, C, *spatial) to logits (N, CLASSES, ...), with the given weights. It is what
torchvision's models do for the same layers: ReLU, and the residual sum after a normalization, work in place.
"""

import torch
import torch.nn.functional as F

from .. import data, networks

nn = torch.nn


class Walk(nn.Module):
    def __init__(self, network, weights):
        super().__init__()
        self.parts = nn.ModuleList()
        self.steps = []  # (places of its inputs, places that nobody needs after it), one a part
        places = {name: place for place, name in enumerate(network.layers)}
        last = {places[name]: places[layer.name] for layer in network.layers.values() for name in layer.inputs}
        for layer in list(network.layers.values())[1:]:
            part = _part(network, layer)
            _fill(part, network, layer, weights.get(layer.name, {}))
            self.parts.append(part)
            inputs = tuple(places[name] for name in layer.inputs)
            self.steps.append((inputs, tuple(place for place in set(inputs) if last[place] == places[layer.name])))

    def forward(self, x):
        values = {0: x}
        for place, (part, (inputs, done)) in enumerate(zip(self.parts, self.steps), 1):
            values[place] = part(*[values[k] for k in inputs])
            for k in done:  # as a local variable that is assigned anew
                del values[k]
        return values[place]


class Add(nn.Module):
    def __init__(self, inplace):
        super().__init__()
        self.inplace = inplace

    def forward(self, x, shortcut):
        return x.add_(shortcut) if self.inplace else x + shortcut


class Concat(nn.Module):
    def forward(self, *inputs):
        return torch.cat(inputs, 1)


class GlobalAverage(nn.Module):
    def forward(self, x):
        return x.mean(dim=tuple(range(2, x.ndim)))


class Causal(nn.Module):
    """A 1D convolution after zeros on the left."""

    def __init__(self, conv, left):
        super().__init__()
        self.conv, self.left = conv, left

    def forward(self, x):
        return self.conv(F.pad(x, (self.left, 0)))


def _part(network, layer):
    options, rank = layer.options, network.rank
    before = network.before(layer)[0]
    channels = before.shape[-1]
    if layer.kind == "conv":
        low, high = options["padding"][0]
        conv = getattr(nn, f"Conv{rank}d")(
            channels, layer.shape[-1], options["kernel_size"], options["strides"], low if low == high else 0,
            options["dilation"], options["groups"], options["bias"],
        )  # fmt: skip
        return conv if low == high else Causal(conv, low)
    if layer.kind == "norm":
        return getattr(nn, f"BatchNorm{rank}d")(channels, networks.EPSILON, 1 - networks.MOMENTUM)
    if layer.kind == "relu":
        inplace = network.used_once(before) and before.kind != "input"
        return nn.ReLU6(inplace) if options["limit"] else nn.ReLU(inplace)
    if layer.kind == "max_pool":
        return getattr(nn, f"MaxPool{rank}d")(options["size"], options["strides"], options["padding"][0][0])
    if layer.kind == "average_pool":
        return getattr(nn, f"AvgPool{rank}d")(options["size"], options["strides"])
    if layer.kind == "add":
        return Add(before.kind == "norm" and network.used_once(before))
    if layer.kind == "dense":
        return nn.Linear(channels, layer.shape[-1])
    if layer.kind == "upsample":
        return nn.Upsample(scale_factor=2)
    return {"concat": Concat, "flatten": nn.Flatten, "global_average_pool": GlobalAverage}[layer.kind]()


@torch.no_grad()
def _fill(part, network, layer, own):
    """The weights, in PyTorch's order of axes."""
    if layer.kind == "norm":
        for tensor, array in zip((part.weight, part.bias, part.running_mean, part.running_var), own.values()):
            tensor.copy_(torch.from_numpy(array))
    elif own:
        conv = getattr(part, "conv", part)
        conv.weight.copy_(torch.from_numpy(data.kernel_channels_first(network, layer, own["kernel"])))
        if "bias" in own:
            conv.bias.copy_(torch.from_numpy(own["bias"]))
