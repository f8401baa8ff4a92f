"""What is measured, as tables: convolution, pooling and dense shapes, and the tutorial's network.

No code runs here but what draws shapes from a seed. Contract: names are unique within a table and appear in the output as they stand; shapes are
channels last without the batch (spatial axes, then channels); flops count a fused multiply-add as two and treat
padding as data.
"""

import math
import random
from typing import NamedTuple


class Conv(NamedTuple):
    """One convolution without bias; stride, padding (zeros on each side) and dilation are equal on all axes."""

    name: str
    batch: int
    spatial: tuple[int, ...]
    in_channels: int
    filters: int
    kernel_size: tuple[int, ...]
    stride: int
    padding: int
    dilation: int
    groups: int

    @property
    def x_shape(self):
        return (self.batch, *self.spatial, self.in_channels)

    @property
    def kernel_shape(self):
        return (*self.kernel_size, self.in_channels // self.groups, self.filters)

    @property
    def y_shape(self):
        output = [
            (size + 2 * self.padding - self.dilation * (taps - 1) - 1) // self.stride + 1
            for size, taps in zip(self.spatial, self.kernel_size)
        ]
        return (self.batch, *output, self.filters)

    @property
    def input_gradient(self):
        """False for a first layer of one channel: its input is data, so only the kernel's gradient is wanted."""
        return self.in_channels > 1

    def flops(self, what):
        """Of "forward", "backward" or "both", computed directly, whatever the algorithm does."""
        forward = 2 * math.prod(self.y_shape) * math.prod(self.kernel_shape[:-1])
        gradients = 1 + self.input_gradient
        return forward * {"forward": 1, "backward": gradients, "both": 1 + gradients}[what]


class Pool(NamedTuple):
    """One non-overlapping pooling with window 2 on each axis; kind is "max" or "average"."""

    name: str
    kind: str
    batch: int
    spatial: tuple[int, ...]
    channels: int

    @property
    def x_shape(self):
        return (self.batch, *self.spatial, self.channels)

    @property
    def y_shape(self):
        return (self.batch, *(size // 2 for size in self.spatial), self.channels)

    def flops(self, what):
        return 0


class Dense(NamedTuple):
    """One dense layer without bias: rows of channels to rows of filters."""

    name: str
    rows: int
    channels: int
    filters: int

    x_shape = property(lambda self: (self.rows, self.channels))
    kernel_shape = property(lambda self: (self.channels, self.filters))
    y_shape = property(lambda self: (self.rows, self.filters))

    @property
    def repeats(self):
        """Calls that are timed as one: a clock is not read in no time."""
        return max(1, min(100, 20_000_000 // self.flops("forward")))

    def flops(self, what):
        return 2 * self.rows * self.channels * self.filters


CONVS = {row[0]: Conv(*row) for row in (
    # name, batch, spatial, in_channels, filters, kernel_size, stride, padding, dilation, groups
    ("mnist.conv1", 100, (28, 28), 1, 32, (5, 5), 1, 0, 1, 1),
    ("mnist.conv2", 100, (12, 12), 32, 64, (5, 5), 1, 0, 1, 1),
    ("lenet.3x3", 64, (28, 28), 16, 32, (3, 3), 1, 1, 1, 1),
    ("cifar.3x3.64", 32, (32, 32), 64, 64, (3, 3), 1, 1, 1, 1),
    ("resnet.stem", 8, (224, 224), 3, 64, (7, 7), 2, 3, 1, 1),
    ("resnet.l1", 8, (56, 56), 64, 64, (3, 3), 1, 1, 1, 1),
    ("resnet.l3", 8, (14, 14), 256, 256, (3, 3), 1, 1, 1, 1),
    ("resnet.l4", 8, (7, 7), 512, 512, (3, 3), 1, 1, 1, 1),
    ("resnet.down", 8, (56, 56), 64, 128, (3, 3), 2, 1, 1, 1),
    ("resnet.1x1", 8, (56, 56), 64, 256, (1, 1), 1, 0, 1, 1),
    ("vgg.c2", 2, (224, 224), 64, 64, (3, 3), 1, 1, 1, 1),
    ("mobilenet.dw", 8, (56, 56), 128, 128, (3, 3), 1, 1, 1, 128),
    ("mobilenet.dw2", 8, (112, 112), 64, 64, (3, 3), 2, 1, 1, 64),
    ("resnext.g32", 8, (28, 28), 128, 128, (3, 3), 1, 1, 1, 32),
    ("dilated.2d", 4, (64, 64), 64, 64, (3, 3), 1, 2, 2, 1),
    ("ecg.1d.first", 32, (1000,), 1, 32, (7,), 1, 3, 1, 1),
    ("ecg.1d", 32, (1000,), 64, 64, (5,), 1, 2, 1, 1),
    ("wav.1d.long", 4, (16000,), 1, 64, (80,), 4, 0, 1, 1),
    ("tcn.1d.dil8", 16, (1024,), 64, 64, (3,), 1, 8, 8, 1),
    ("wavenet.1d", 8, (4096,), 128, 128, (2,), 1, 0, 16, 1),
    ("mri.3d.first", 1, (64, 64, 64), 1, 32, (3, 3, 3), 1, 1, 1, 1),
    ("unet.3d.a", 1, (64, 64, 64), 32, 32, (3, 3, 3), 1, 1, 1, 1),
    ("unet.3d.b", 1, (32, 32, 32), 64, 64, (3, 3, 3), 1, 1, 1, 1),
    ("c3d.3d", 2, (8, 28, 28), 64, 128, (3, 3, 3), 1, 1, 1, 1),
    ("med.3d.28", 16, (28, 28, 28), 1, 16, (3, 3, 3), 1, 1, 1, 1),
    ("down.3d", 2, (32, 32, 32), 32, 64, (3, 3, 3), 2, 1, 1, 1),
)}  # fmt: skip

POOLS = {row[0]: Pool(*row) for row in (
    # name, kind, batch, spatial, channels
    ("max.tutorial.1", "max", 100, (24, 24), 32),
    ("max.tutorial.2", "max", 100, (8, 8), 64),
    ("max.vgg", "max", 8, (112, 112), 64),
    ("max.3d", "max", 2, (32, 32, 32), 32),
    ("average.tutorial.1", "average", 100, (24, 24), 32),
    ("average.vgg", "average", 8, (112, 112), 64),
    ("average.3d", "average", 2, (32, 32, 32), 32),
)}  # fmt: skip


def _drawn(count, most):
    """Shapes with sizes from 1 to 4096, all orders of magnitude alike, and at most this many products."""
    draw, rows = random.Random(14), []
    while len(rows) < count:
        sizes = [round(2 ** draw.uniform(0, 12)) for _ in range(3)]
        if math.prod(sizes) <= most:
            rows.append(("x".join(map(str, sizes)), *sizes))
    return rows


DENSES = {row[0]: Dense(*row) for row in (
    # name, rows, channels, filters
    ("vgg16.fc1", 1, 25088, 4096),
    ("vgg16.fc2", 1, 4096, 4096),
    ("vgg16.fc3", 1, 4096, 1000),
    *_drawn(60, 2**30),
)}  # fmt: skip

PASSES = ("forward", "backward", "both")  # of convolution and pooling
DENSE_PASSES = ("forward", "input", "kernel")

# The tutorial's network: conv 5x5 + ReLU, max-pool 2, conv 5x5 + ReLU, max-pool 2, flatten, dense + softmax.
IMAGE = (28, 28, 1)
CLASSES = 10
WEIGHTS = {  # name: shape; kernels are (*taps, inputs, outputs)
    "conv1.kernel": (5, 5, 1, 32),
    "conv1.bias": (32,),
    "conv2.kernel": (5, 5, 32, 64),
    "conv2.bias": (64,),
    "dense.kernel": (4 * 4 * 64, CLASSES),
    "dense.bias": (CLASSES,),
}
FEATURES = (4, 4, 64)  # what is flattened, channels last: the dense kernel's rows are in this order
BATCH = 100
EPOCH_STEPS = 600  # batches of 100 in MNIST's 60,000 training digits
LEARNING_RATE = 0.01
INFERENCE_BATCHES = {"batch 1": 1, "batch 100": 100}
