"""Whole networks as data: each is a list of layers that every adapter builds in its framework's own way.

No framework and no arrays here. Contract: a Layer names its inputs and says its output's shape, channels last without
the batch; the last layer gives logits, one row of CLASSES a sample or, with `dense_labels`, a cell. Padding is one
(low, high) pair an axis, the same in every framework; kernels are (*taps, channels / groups, filters). Names of
networks and of layers within one are unique.
"""

import math
from typing import NamedTuple

CLASSES = 10
EPSILON, MOMENTUM = 1e-5, 0.9  # of batch normalization; PyTorch calls the latter 0.1
INFERENCE_BATCHES = (1, 32)
STEPS = 2  # whose losses are compared: the second one's shows the gradients of the first


class Layer(NamedTuple):
    kind: str  # a method of Drawing
    name: str
    inputs: tuple[str, ...]
    shape: tuple[int, ...]
    options: dict

    def weights(self, before):
        """{role: shape} in Keras' order; `before` is the Layer that feeds this one."""
        channels = before.shape[-1]
        if self.kind == "norm":
            return dict.fromkeys(("gamma", "beta", "mean", "variance"), (channels,))
        if self.kind == "conv":
            kernel = (*self.options["kernel_size"], channels // self.options["groups"], self.shape[-1])
        elif self.kind == "dense":
            kernel = (channels, self.shape[-1])
        else:
            return {}
        return {"kernel": kernel} | ({"bias": kernel[-1:]} if self.options["bias"] else {})

    def multiply_adds(self, before):
        kernel = self.weights(before).get("kernel", (0,))
        return math.prod(self.shape) * math.prod(kernel[:-1])


class Network(NamedTuple):
    name: str
    batch: int  # of a training step
    learning_rate: float  # moves the loss in one step by far more than checks.NETWORK_LOSS_TOLERANCE
    losses: tuple[float, ...]  # of the first steps in float64: `python -m benchmarks.network_reference` prints them
    layers: dict[str, Layer]  # by name, in the order in which they can run
    dense_labels: bool = False
    large: bool = False  # left out by --quick

    @property
    def input(self):
        return next(iter(self.layers.values()))

    @property
    def output(self):
        return list(self.layers.values())[-1]

    @property
    def rank(self):
        return len(self.input.shape) - 1

    @property
    def labels_shape(self):
        """Of one sample's labels."""
        return self.output.shape[:-1] if self.dense_labels else ()

    def before(self, layer):
        """The layers that feed `layer`."""
        return [self.layers[name] for name in layer.inputs]

    def used_once(self, layer):
        return sum(other.inputs.count(layer.name) for other in self.layers.values()) == 1

    def flops(self, what):
        """Of a training step ("step") or of inference ("batch N"), computed directly; a step counts as three passes."""
        computing = (layer for layer in self.layers.values() if layer.inputs)
        forward = 2 * sum(layer.multiply_adds(self.before(layer)[0]) for layer in computing)
        return 3 * self.batch * forward if what == "step" else int(what.split()[-1]) * forward


class Drawing:
    """Draws one network: every method adds a layer and returns it."""

    def __init__(self, *shape):
        self.layers = {}
        self.rank = len(shape) - 1
        self.input = self._add("input", (), shape)

    def conv(self, x, filters, size, strides=1, dilation=1, groups=1, bias=False, causal=False):
        taps = (size,) * self.rank
        reach = dilation * (size - 1)
        pair = (reach, 0) if causal else (reach // 2, reach - reach // 2)
        options = {"kernel_size": taps, "strides": strides, "padding": (pair,) * self.rank, "dilation": dilation,
                   "groups": groups, "bias": bias}  # fmt: skip
        spatial = [(cells + reach - reach - 1) // strides + 1 for cells in x.shape[:-1]]
        return self._add("conv", (x,), (*spatial, filters), **options)

    def norm(self, x):
        return self._add("norm", (x,), x.shape)

    def relu(self, x, limit=None):
        return self._add("relu", (x,), x.shape, limit=limit)

    def max_pool(self, x, size=2, strides=2, padding=0):
        """Padding must follow a ReLU, as zeros stand for it in frameworks whose pooling takes none."""
        return self._pool("max_pool", x, size, strides, padding)

    def average_pool(self, x, size=2, strides=2):
        return self._pool("average_pool", x, size, strides, 0)

    def global_average_pool(self, x):
        return self._add("global_average_pool", (x,), x.shape[-1:])

    def upsample(self, x):
        """Each cell twice along every axis."""
        return self._add("upsample", (x,), (*(2 * cells for cells in x.shape[:-1]), x.shape[-1]))

    def add(self, x, shortcut):
        return self._add("add", (x, shortcut), x.shape)

    def concat(self, *inputs):
        return self._add("concat", inputs, (*inputs[0].shape[:-1], sum(x.shape[-1] for x in inputs)))

    def flatten(self, x):
        return self._add("flatten", (x,), (math.prod(x.shape),))

    def dense(self, x, units=CLASSES):
        return self._add("dense", (x,), (units,), bias=True)

    def conv_norm_relu(self, x, *arguments, limit=None, **options):
        return self.relu(self.norm(self.conv(x, *arguments, **options)), limit)

    def _pool(self, kind, x, size, strides, padding):
        spatial = [(cells + 2 * padding - size) // strides + 1 for cells in x.shape[:-1]]
        pairs = ((padding, padding),) * self.rank
        return self._add(kind, (x,), (*spatial, x.shape[-1]), size=size, strides=strides, padding=pairs)

    def _add(self, kind, inputs, shape, **options):
        name = f"{kind}_{len(self.layers)}"
        self.layers[name] = Layer(kind, name, tuple(x.name for x in inputs), tuple(shape), options)
        return self.layers[name]


def lenet5():
    d = Drawing(28, 28, 1)
    x = d.max_pool(d.relu(d.conv(d.input, 6, 5, bias=True)))
    x = d.max_pool(d.relu(d.conv(x, 16, 5, bias=True)))
    x = d.relu(d.dense(d.flatten(x), 120))
    d.dense(d.relu(d.dense(x, 84)))
    return d.layers


def alexnet():
    """AlexNet's layers for 128x128, with dense layers of 1024."""
    d = Drawing(128, 128, 3)
    x = d.max_pool(d.relu(d.conv(d.input, 64, 11, strides=4, bias=True)), 3)
    x = d.max_pool(d.relu(d.conv(x, 192, 5, bias=True)), 3)
    for filters in (384, 256, 256):
        x = d.relu(d.conv(x, filters, 3, bias=True))
    x = d.flatten(d.max_pool(x, 3))
    for _ in range(2):
        x = d.relu(d.dense(x, 1024))
    d.dense(x)
    return d.layers


def vgg16():
    d = Drawing(32, 32, 3)
    x = d.input
    for filters, count in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(count):
            x = d.relu(d.conv(x, filters, 3, bias=True))
        x = d.max_pool(x)
    d.dense(d.relu(d.dense(d.flatten(x), 512)))
    return d.layers


def resnet18(size):
    d = Drawing(size, size, 3)
    if size > 64:
        x = d.max_pool(d.conv_norm_relu(d.input, 64, 7, strides=2), 3, 2, padding=1)
    else:
        x = d.conv_norm_relu(d.input, 64, 3)
    for filters, first in ((64, 1), (128, 2), (256, 2), (512, 2)):
        for strides in (first, 1):
            y = d.conv_norm_relu(x, filters, 3, strides=strides)
            y = d.norm(d.conv(y, filters, 3))
            if x.shape != y.shape:
                x = d.norm(d.conv(x, filters, 1, strides=strides))
            x = d.relu(d.add(y, x))
    d.dense(d.global_average_pool(x))
    return d.layers


def mobilenetv2():
    d = Drawing(96, 96, 3)
    x = d.conv_norm_relu(d.input, 32, 3, strides=2, limit=6)
    for expansion, filters, count, first in (
        (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1),
    ):  # fmt: skip
        for strides in (first, *[1] * (count - 1)):
            wide = expansion * x.shape[-1]
            y = d.conv_norm_relu(x, wide, 1, limit=6) if expansion > 1 else x
            y = d.conv_norm_relu(y, wide, 3, strides=strides, groups=wide, limit=6)
            y = d.norm(d.conv(y, filters, 1))
            x = d.add(y, x) if x.shape == y.shape else y
    d.dense(d.global_average_pool(d.conv_norm_relu(x, 1280, 1, limit=6)))
    return d.layers


def densenet_bc40(growth=12):
    """Three blocks of six bottleneck layers, compression 0.5."""
    d = Drawing(32, 32, 3)
    x = d.conv(d.input, 2 * growth, 3)
    for block in range(3):
        for _ in range(6):
            y = d.conv(d.relu(d.norm(x)), 4 * growth, 1)
            y = d.conv(d.relu(d.norm(y)), growth, 3)
            x = d.concat(x, y)
        if block < 2:
            x = d.average_pool(d.conv(d.relu(d.norm(x)), x.shape[-1] // 2, 1))
    d.dense(d.global_average_pool(d.relu(d.norm(x))))
    return d.layers


def unet(size, rank, filters, channels, levels=3):
    d = Drawing(*(size,) * rank, channels)
    x, skips = d.input, []
    for level in range(levels + 1):
        for _ in range(2):
            x = d.conv_norm_relu(x, filters << level, 3)
        if level < levels:
            skips.append(x)
            x = d.max_pool(x)
    for level in reversed(range(levels)):
        x = d.concat(d.upsample(x), skips[level])
        for _ in range(2):
            x = d.conv_norm_relu(x, filters << level, 3)
    d.conv(x, CLASSES, 1, bias=True)
    return d.layers


def tcn(filters=64):
    """Residual blocks of two causal convolutions each, dilated by 1, 2, ... 32."""
    d = Drawing(1024, 4)
    x = d.input
    for dilation in (1, 2, 4, 8, 16, 32):
        y = x
        for _ in range(2):
            y = d.relu(d.conv(y, filters, 3, dilation=dilation, bias=True, causal=True))
        if x.shape != y.shape:
            x = d.conv(x, filters, 1, bias=True)
        x = d.relu(d.add(y, x))
    d.dense(d.global_average_pool(x))
    return d.layers


def resnet1d():
    """The residual network of Wang, Yan and Oates for time series, with odd kernels."""
    d = Drawing(1000, 1)
    x = d.input
    for filters in (64, 128, 128):
        y = d.conv_norm_relu(x, filters, 7)
        y = d.conv_norm_relu(y, filters, 5)
        y = d.norm(d.conv(y, filters, 3))
        if x.shape != y.shape:
            x = d.norm(d.conv(x, filters, 1))
        x = d.relu(d.add(y, x))
    d.dense(d.global_average_pool(x))
    return d.layers


NETWORKS = {network.name: network for network in (
    Network("lenet5", 32, 0.01, (3.61569545, 2.80041426), lenet5()),
    Network("alexnet-128", 32, 0.0005, (7.19790292, 7.09346046), alexnet()),
    Network("vgg16-32", 32, 0.01, (2.49264045, 2.89824991), vgg16()),
    Network("resnet18-32", 32, 0.01, (2.34859411, 2.58999941), resnet18(32)),
    Network("resnet18-224", 8, 0.01, (2.92832847, 1.99835797), resnet18(224), large=True),
    Network("mobilenetv2-96", 32, 0.004, (2.39774119, 2.62431666), mobilenetv2()),
    Network("densenet-bc-40", 32, 0.05, (2.39915297, 2.38270428), densenet_bc40()),
    Network("unet2d-128", 8, 0.1, (2.77943471, 2.74521532), unet(128, 2, 16, 1), dense_labels=True),
    Network("unet3d-32", 4, 0.1, (2.68910657, 2.66049647), unet(32, 3, 8, 1), dense_labels=True),
    Network("tcn-1024", 32, 0.001, (21.86221032, 10.98604910), tcn()),
    Network("resnet1d-1000", 32, 0.01, (3.49293147, 3.28501627), resnet1d()),
)}  # fmt: skip
