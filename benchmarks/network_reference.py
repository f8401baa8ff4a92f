"""The right answers for whole networks: a float64 walk through a networks.Network, forwards and backwards, in NumPy.

Runs in the driving process only, needs no fastconv, and is slow. Contract: `outputs` gives the logits of inference,
`losses` the losses of the first steps of plain SGD; weights are {layer: {role: array}} as data.network_weights gives
them. `python -m benchmarks.network_reference [NAME...]` prints the losses that networks.py holds, as they take minutes.
"""

import itertools
import sys

import numpy as np

from . import data, networks


def outputs(network, weights, x):
    """Logits (N, *labels_shape, CLASSES) in inference."""
    return _forward(network, _wide(weights), x, training=False)[network.output.name][0]


def losses(network, weights, batches):
    """The losses of the first len(batches) steps; `batches` holds (x, labels)."""
    weights, found = _wide(weights), []
    for i, (x, labels) in enumerate(batches):
        values = _forward(network, weights, x, training=True)
        loss, dy = _crossentropy(values[network.output.name][0], labels)
        found.append(loss)
        if i + 1 < len(batches):
            _step(network, weights, values, dy)
    return np.array(found)


def _wide(weights):
    return {name: {role: array.astype(np.float64) for role, array in own.items()} for name, own in weights.items()}


def _forward(network, weights, x, training):
    """{layer: (y, what its backward pass needs)}."""
    values = {}
    for layer in network.layers.values():
        inputs = [values[name][0] for name in layer.inputs]
        own = weights.get(layer.name, {})
        if layer.kind == "input":
            values[layer.name] = x.astype(np.float64), None
        elif layer.kind == "norm":
            values[layer.name] = _norm(inputs[0], own, training)
        else:
            values[layer.name] = FORWARD[layer.kind](layer, own, *inputs)
    return values


def _step(network, weights, values, dy):
    """One step of SGD in place."""
    gradients = {network.output.name: dy}
    for layer in reversed(network.layers.values()):
        dy = gradients.pop(layer.name)
        if not layer.inputs:
            break
        inputs = [values[name][0] for name in layer.inputs]
        own = weights.get(layer.name, {})
        dx, dweights = BACKWARD[layer.kind](layer, own, dy, values[layer.name][1], *inputs)
        for role, gradient in dweights.items():
            own[role] -= network.learning_rate * gradient
        for name, gradient in zip(layer.inputs, dx):
            gradients[name] = gradients[name] + gradient if name in gradients else gradient


def _crossentropy(logits, labels):
    """(mean loss, its gradient) of logits (..., CLASSES) and labels (...)."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    exponentials = np.exp(shifted)
    sums = exponentials.sum(axis=-1, keepdims=True)
    target = np.eye(networks.CLASSES)[labels]
    loss = -np.mean(((shifted - np.log(sums)) * target).sum(axis=-1))
    return loss, (exponentials / sums - target) / labels.size


def _taps(layer, sizes, dilation=1):
    """(tap, slices of the padded input that it reads) for every tap of a window."""
    size = layer.options.get("kernel_size") or (layer.options["size"],) * len(sizes)
    strides = layer.options["strides"]
    for tap in itertools.product(*map(range, size)):
        reads = (slice(t * dilation, t * dilation + (n - 1) * strides + 1, strides) for t, n in zip(tap, sizes))
        yield tap, (slice(None), *reads)


def _padded(layer, x, value=0.0):
    return np.pad(x, ((0, 0), *layer.options["padding"], (0, 0)), constant_values=value)


def _unpadded(layer, dx, shape):
    cuts = (slice(low, low + size) for (low, _), size in zip(layer.options["padding"], shape[1:-1]))
    return dx[(slice(None), *cuts)]


def _is_depthwise(layer):
    return layer.options["groups"] > 1


def _conv(layer, own, x):
    padded, kernel = _padded(layer, x), own["kernel"]
    y = np.zeros((len(x), *layer.shape))
    for tap, read in _taps(layer, layer.shape[:-1], layer.options["dilation"]):
        part = padded[read]
        if _is_depthwise(layer):
            y += part * kernel[tap][0]
        else:
            y += (_rows(part) @ kernel[tap]).reshape(y.shape)
    return y + own.get("bias", 0.0), padded


def _conv_backward(layer, own, dy, padded, x):
    kernel = own["kernel"]
    dkernel, dpadded, rows = np.zeros_like(kernel), np.zeros_like(padded), _rows(dy)
    for tap, read in _taps(layer, layer.shape[:-1], layer.options["dilation"]):
        if _is_depthwise(layer):
            dkernel[tap][0] = _rows(padded[read] * dy).sum(axis=0)
            dpadded[read] += dy * kernel[tap][0]
        else:
            dkernel[tap] = _rows(padded[read]).T @ rows
            dpadded[read] += (rows @ kernel[tap].T).reshape(*dy.shape[:-1], -1)
    gradients = {"kernel": dkernel} | ({"bias": rows.sum(axis=0)} if "bias" in own else {})
    return [_unpadded(layer, dpadded, x.shape)], gradients


def _dense(layer, own, x):
    return x @ own["kernel"] + own["bias"], None


def _dense_backward(layer, own, dy, _, x):
    return [dy @ own["kernel"].T], {"kernel": x.T @ dy, "bias": dy.sum(axis=0)}


def _norm(x, own, training):
    axes = tuple(range(x.ndim - 1))
    mean, variance = (x.mean(axis=axes), x.var(axis=axes)) if training else (own["mean"], own["variance"])
    scale = 1 / np.sqrt(variance + networks.EPSILON)
    normal = (x - mean) * scale
    return normal * own["gamma"] + own["beta"], (normal, scale)


def _norm_backward(layer, own, dy, saved, x):
    normal, scale = saved
    gamma, beta = _rows(dy * normal).sum(axis=0), _rows(dy).sum(axis=0)
    count = dy.size // dy.shape[-1]
    dx = own["gamma"] * scale * (dy - beta / count - normal * gamma / count)
    return [dx], {"gamma": gamma, "beta": beta}


def _relu(layer, own, x):
    return np.clip(x, 0, layer.options["limit"]), None


def _relu_backward(layer, own, dy, _, x):
    return [dy * ((x > 0) & (x < (layer.options["limit"] or np.inf)))], {}


def _max_pool(layer, own, x):
    padded = _padded(layer, x, -np.inf)
    y = np.max([padded[read] for _, read in _taps(layer, layer.shape[:-1])], axis=0)
    return y, (padded, y)


def _max_pool_backward(layer, own, dy, saved, x):
    padded, y = saved
    dx, free = np.zeros_like(padded), np.ones(y.shape, bool)
    for _, read in _taps(layer, layer.shape[:-1]):
        wins = free & (padded[read] == y)
        dx[read] += dy * wins
        free &= ~wins
    return [_unpadded(layer, dx, x.shape)], {}


def _average_pool(layer, own, x):
    return np.mean([x[read] for _, read in _taps(layer, layer.shape[:-1])], axis=0), None


def _average_pool_backward(layer, own, dy, _, x):
    dx = np.zeros_like(x)
    for _, read in _taps(layer, layer.shape[:-1]):
        dx[read] += dy / layer.options["size"] ** (x.ndim - 2)
    return [dx], {}


def _global_average_pool(layer, own, x):
    return x.mean(axis=tuple(range(1, x.ndim - 1))), None


def _global_average_pool_backward(layer, own, dy, _, x):
    positions = x[0, ..., 0].size
    spread = dy.reshape(len(x), *(1,) * (x.ndim - 2), -1) / positions
    return [np.broadcast_to(spread, x.shape)], {}


def _upsample(layer, own, x):
    for axis in range(1, x.ndim - 1):
        x = x.repeat(2, axis=axis)
    return x, None


def _upsample_backward(layer, own, dy, _, x):
    pairs = dy.reshape(len(x), *itertools.chain(*((size, 2) for size in x.shape[1:-1])), -1)
    return [pairs.sum(axis=tuple(range(2, pairs.ndim - 1, 2)))], {}


def _concat_backward(layer, own, dy, _, *inputs):
    return np.split(dy, np.cumsum([x.shape[-1] for x in inputs])[:-1], axis=-1), {}


def _rows(x):
    return x.reshape(-1, x.shape[-1])


FORWARD = {
    "conv": _conv, "dense": _dense, "relu": _relu, "max_pool": _max_pool, "average_pool": _average_pool,
    "global_average_pool": _global_average_pool, "upsample": _upsample,
    "add": lambda layer, own, a, b: (a + b, None),
    "concat": lambda layer, own, *inputs: (np.concatenate(inputs, axis=-1), None),
    "flatten": lambda layer, own, x: (x.reshape(len(x), -1), None),
}  # fmt: skip
BACKWARD = {
    "conv": _conv_backward, "dense": _dense_backward, "norm": _norm_backward, "relu": _relu_backward,
    "max_pool": _max_pool_backward, "average_pool": _average_pool_backward,
    "global_average_pool": _global_average_pool_backward, "upsample": _upsample_backward, "concat": _concat_backward,
    "add": lambda layer, own, dy, _, a, b: ([dy, dy], {}),
    "flatten": lambda layer, own, dy, _, x: ([dy.reshape(x.shape)], {}),
}  # fmt: skip


def main(names):
    for name in names or networks.NETWORKS:
        network = networks.NETWORKS[name]
        batches = [data.network_batch(network, network.batch, i) for i in range(networks.STEPS)]
        found = losses(network, data.network_weights(network), batches)
        print(f"{name}: ({', '.join(f'{loss:.8f}' for loss in found)})", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
