"""The inputs of every workload, drawn from a seed: the same arrays in every process, without sending them.

Contract: float32, channels last, NumPy only. Each workload has a ring of RING different inputs, so that a repetition
never sees the input of the one before. Digits are the 5,000 real ones that the project carries.
"""

import math

import numpy as np

from . import ROOT, networks, shapes

RING = 3  # inputs of a kernel
DIGITS = ROOT / "fastconv" / "datasets" / "mnist_mini.npz"


def conv(shape, i):
    """(x, kernel, dy) number i of a shapes.Conv."""
    generator = _generator(shape.name, i)
    return tuple(_uniform(generator, size) for size in (shape.x_shape, shape.kernel_shape, shape.y_shape))


def dense(shape, i):
    """(x, kernel, dy) number i of a shapes.Dense."""
    return conv(shape, i)


def pool(shape, i):
    """(x, dy) number i of a shapes.Pool."""
    generator = _generator(shape.name, i)
    return _uniform(generator, shape.x_shape), _uniform(generator, shape.y_shape)


def layer(row, i):
    """(inputs, dy) number i of a layers.Row; dy in the shape of the layer's output, which fastconv's layer says."""
    from fastconv import layers

    generator = _generator(row.name, i)
    if row.below:
        inputs = [generator.integers(row.below, size=shape) for shape in row.shapes]
    else:
        inputs = [_uniform(generator, shape) for shape in row.shapes]
    made = getattr(layers, row.kind)(**row.options)
    return inputs, _uniform(generator, made.compute_output_shape(row.shapes if len(row.shapes) > 1 else row.shapes[0]))


def layer_weights(row):
    """The weights of a layers.Row in Keras' order: small kernels, variances above 0."""
    from fastconv import layers

    made = getattr(layers, row.kind)(**row.options)
    made.build(list(row.shapes) if len(row.shapes) > 1 else row.shapes[0])
    arrays = []
    for weight in made.weights:
        array = _uniform(_generator(f"{row.name} {weight.name}", 0), weight.shape)
        array *= np.float32(math.sqrt(3 / max(1, math.prod(weight.shape[:-1]))) if weight.data.ndim > 1 else 0.1)
        arrays.append(array + np.float32(weight.name.endswith(("gamma", "variance"))))
    return arrays


def weights():
    """{name: array} of the tutorial's network: Glorot uniform kernels, zero biases."""
    generator = _generator("weights", 0)
    arrays = {}
    for name, shape in shapes.WEIGHTS.items():
        if name.endswith("bias"):
            arrays[name] = np.zeros(shape, np.float32)
        else:
            taps = math.prod(shape[:-2])
            limit = math.sqrt(6 / (taps * (shape[-2] + shape[-1])))
            arrays[name] = limit * _uniform(generator, shape)
    return arrays


def dense_kernel_channels_first(kernel):
    """The dense kernel with its rows in the order of a channels-first flatten, for peers that flatten that way."""
    return rows_channels_first(kernel, shapes.FEATURES)


def batches(size):
    """A ring of (images (size, 28, 28, 1) in 0..1, labels (size,) int64): the digits in order."""
    images, labels = digits()
    count = min(len(images) // size, 100)
    cuts = [slice(i * size, (i + 1) * size) for i in range(count)]
    return [(images[cut], labels[cut]) for cut in cuts]


def digits():
    """4,000 images (28, 28, 1) in 0..1 and their labels."""
    with np.load(DIGITS) as file:
        images, labels = file["x_train"], file["y_train"]
    return images[..., None].astype(np.float32) / np.float32(255), labels.astype(np.int64)


def full_size_digits():
    """As many images and labels as MNIST's training set has (188 MB), made of the 4,000 over and over."""
    images, labels = digits()
    count = shapes.EPOCH_STEPS * shapes.BATCH
    many = np.empty((count, *shapes.IMAGE), np.float32)
    for start in range(0, count, len(images)):
        many[start : start + len(images)] = images[: count - start]
    return many, np.resize(labels, count)


def network_batch(network, size, i):
    """Batch number i of a networks.Network: (x (size, *input) in [-1, 1), labels (size, *labels_shape) int64)."""
    generator = _generator(network.name, i)
    x = _uniform(generator, (size, *network.input.shape))
    return x, generator.integers(networks.CLASSES, size=(size, *network.labels_shape))


def network_weights(network):
    """{layer: {role: array}} of a networks.Network, in Keras' order: He uniform kernels, the rest near its default."""
    arrays = {}
    for layer in network.layers.values():
        shapes_of = layer.weights(network.before(layer)[0]) if layer.inputs else {}
        for role, shape in shapes_of.items():
            array = _uniform(_generator(f"{network.name} {layer.name} {role}", 0), shape)
            array *= np.float32(math.sqrt(6 / math.prod(shape[:-1])) if role == "kernel" else 0.1)
            array += np.float32(role in ("gamma", "variance"))
            arrays.setdefault(layer.name, {})[role] = array
    return arrays


def rows_channels_first(kernel, features):
    """A dense kernel (features, units) with its rows in the order of a channels-first flatten of `features`
    (*spatial, channels)."""
    return np.moveaxis(kernel.reshape(*features, -1), -2, 0).reshape(kernel.shape)


def ends(batch):
    """The first and the last sample, which are what is compared."""
    return batch[:: max(len(batch) - 1, 1)]


def kernel_channels_first(network, layer, kernel):
    """(*taps, C / groups, K) -> (K, C / groups, *taps), for peers that have channels first; of a dense kernel the rows
    are in the order in which they flatten."""
    before = network.before(layer)[0]
    if before.kind == "flatten":
        kernel = rows_channels_first(kernel, network.before(before)[0].shape)
    return np.ascontiguousarray(np.moveaxis(kernel, (-1, -2), (0, 1)))


def one_hot(labels):
    return np.eye(shapes.CLASSES, dtype=np.float32)[labels]


def _generator(name, i):
    return np.random.default_rng([i, *name.encode()])


def _uniform(generator, shape):
    """Uniform in [-1, 1)."""
    array = generator.random(shape, dtype=np.float32)
    array *= 2
    array -= 1
    return array
