"""The right answers, in float64, from fastconv's slow NumPy twins: what every contestant's results are compared with.

Runs in the driving process only. Contract: each function writes one .npz whose keys are "<pass>.<number>", results in
the order in which adapters return them, for input 0 of the ring (for training: the losses of the first steps).
"""

import numpy as np

from . import data, layers, network_reference, networks, shapes
from .checks import TRAINING_STEPS


def write(path, suite, task):
    """The reference of one task as the file `path`; returns the names of its passes."""
    results = FUNCTIONS[suite](task)
    keyed = {f"{what}.{i}": array for what, arrays in results.items() for i, array in enumerate(arrays)}
    np.savez(path, **keyed)
    return list(results)


def _conv(task):
    from fastconv.kernels import reference

    shape = shapes.CONVS[task]
    x, kernel, dy = data.conv(shape, 0)
    geometry = {"strides": shape.stride, "padding": shape.padding, "dilation_rate": shape.dilation}
    y = reference.conv_forward(x, kernel, **geometry)
    gradients = [reference.conv_backward_kernel(dy, x, kernel.shape, **geometry)]
    if shape.input_gradient:
        gradients.insert(0, reference.conv_backward_input(dy, kernel, x.shape, **geometry))
    return {"forward": [y], "backward": gradients, "both": [y, *gradients]}


def _pool(task):
    from fastconv.kernels import reference

    shape = shapes.POOLS[task]
    x, dy = data.pool(shape, 0)
    if shape.kind == "max":
        y, index = reference.max_pool_forward(x, 2)
        dx = reference.max_pool_backward(dy, index, x.shape, 2)
    else:
        y, dx = reference.average_pool_forward(x, 2), reference.average_pool_backward(dy, x.shape, 2)
    return {"forward": [y], "backward": [dx], "both": [y, dx]}


def _dense(task):
    from fastconv.kernels import reference

    x, kernel, dy = data.dense(shapes.DENSES[task], 0)
    return {
        "forward": [reference.dense_forward(x, kernel)],
        "input": [reference.dense_backward_input(dy, kernel)],
        "kernel": [reference.dense_backward_kernel(dy, x)],
    }


def _layer(task):
    """By fastconv's own layer in float64, which its tests hold against its slow twins."""
    import fastconv

    row = layers.LAYERS[task]
    inputs, dy = data.layer(row, 0)
    made = getattr(fastconv.layers, row.kind)(**row.options, dtype="float64")
    made.build(list(row.shapes) if len(row.shapes) > 1 else row.shapes[0])
    made.set_weights(data.layer_weights(row))
    wide = [x if row.below else fastconv.Tensor(x.astype("float64"), requires_grad=True) for x in inputs]
    x = wide if len(wide) > 1 else wide[0]
    with fastconv.no_grad():
        calm = made(x).numpy()
    y = made(x, training=True)
    y.backward(dy.astype("float64"))
    slopes = [part.grad for part in wide if not row.below] + [weight.grad for weight in made.trainable_weights]
    return {"inference": [calm], "training": [y.numpy(), *map(np.asarray, slopes)]}


def _train(task):
    weights = _wide(data.weights())
    ring = data.batches(shapes.BATCH)
    return {"step": [np.array([_step(weights, *ring[i]) for i in range(TRAINING_STEPS)])]}


def _infer(task):
    images, _ = data.batches(shapes.INFERENCE_BATCHES[task])[0]
    _, _, probabilities = _network(_wide(data.weights()), images.astype(np.float64))
    return {"call": [probabilities], "predict": [probabilities]}


def _wide(weights):
    return {name: array.astype(np.float64) for name, array in weights.items()}


def _network(weights, x):
    """The tutorial's network: (blocks, flat, probabilities); a block is (x, map, pooled map, index)."""
    from fastconv.kernels import reference

    blocks = []
    for name in ("conv1", "conv2"):
        y = reference.relu_forward(reference.conv_forward(x, weights[f"{name}.kernel"], weights[f"{name}.bias"]))
        pooled, index = reference.max_pool_forward(y, 2)
        blocks.append((name, x, y, index))
        x = pooled
    flat = x.reshape(len(x), -1)
    logits = reference.dense_forward(flat, weights["dense.kernel"], weights["dense.bias"])
    return blocks, flat, reference.softmax_forward(logits)


def _step(weights, images, labels):
    """One SGD step in place; the loss before it."""
    from fastconv.kernels import reference

    blocks, flat, probabilities = _network(weights, images.astype(np.float64))
    target = data.one_hot(labels)
    loss = -np.mean(np.log((probabilities * target).sum(axis=1)))
    dy = (probabilities - target) / len(images)
    gradients = {
        "dense.kernel": reference.dense_backward_kernel(dy, flat),
        "dense.bias": reference.bias_backward(dy),
    }
    dy = reference.dense_backward_input(dy, weights["dense.kernel"]).reshape(-1, *shapes.FEATURES)
    for name, x, y, index in reversed(blocks):
        dy = reference.relu_backward(reference.max_pool_backward(dy, index, y.shape, 2), y)
        gradients[f"{name}.kernel"] = reference.conv_backward_kernel(dy, x, weights[f"{name}.kernel"].shape)
        gradients[f"{name}.bias"] = reference.bias_backward(dy)
        dy = reference.conv_backward_input(dy, weights[f"{name}.kernel"], x.shape)
    for name, gradient in gradients.items():
        weights[name] -= shapes.LEARNING_RATE * gradient
    return loss


def _network_training(task):
    return {"step": [np.array(networks.NETWORKS[task].losses)]}


def _network_inference(task):
    """Of the first and the last sample only: the walk is slow, and samples do not meet in inference. A smaller batch
    begins with the same samples."""
    network, largest = networks.NETWORKS[task], max(networks.INFERENCE_BATCHES)
    x, _ = data.network_batch(network, largest, 0)
    picks = sorted({0, *(size - 1 for size in networks.INFERENCE_BATCHES)})
    logits = network_reference.outputs(network, data.network_weights(network), x[picks])
    ends = {size: data.ends(np.arange(size)) for size in networks.INFERENCE_BATCHES}
    return {f"batch {size}": [logits[[picks.index(k) for k in chosen]]] for size, chosen in ends.items()}


FUNCTIONS = {
    "conv": _conv, "pool": _pool, "dense": _dense, "layers": _layer, "train": _train, "infer": _infer, "networks-train": _network_training,
    "networks-infer": _network_inference,
}  # fmt: skip
