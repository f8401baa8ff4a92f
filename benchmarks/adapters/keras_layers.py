"""One layer in any framework with Keras' names: fastconv itself, and Keras on JAX.

Contract: each function gives {pass: (run, arrays)} for a layers.Row and its ring; see adapters/__init__.py.
"""

import numpy as np


def build(keras, row, weights):
    """The layer, built, with these weights."""
    layer = getattr(keras.layers, row.kind)(**row.options)
    layer.build(row.shapes[0] if len(row.shapes) == 1 else list(row.shapes))
    layer.set_weights(weights)
    return layer


def of_fastconv(fastconv, row, weights, ring):
    """Eager calls and the tape, as in a training loop of one's own."""
    layer = build(fastconv, row, weights)
    alone = len(row.shapes) == 1
    ring = [(x[0] if alone else x, dy) for x, dy in ring]

    @fastconv.no_grad()
    def inference(i):
        return (layer(ring[i % len(ring)][0]).numpy(),)

    def training(i):
        x, dy = ring[i % len(ring)]
        if row.differentiable:
            x = fastconv.Tensor(x, requires_grad=True) if alone else [fastconv.Tensor(p, requires_grad=True) for p in x]
        y = layer(x, training=True)
        inputs = ([x] if alone else x) if row.differentiable else []
        return (y.numpy(), *fastconv.gradients(y, [*inputs, *layer.trainable_weights], dy))

    def arrays(result):
        return tuple(np.asarray(part) for part in result)

    return {"inference": (inference, arrays), "training": (training, arrays)}


def of_jax(keras, jax, row, weights, ring):
    """Compiled whole by jax.jit, the gradients by jax.vjp."""
    layer = build(keras, row, weights)
    alone = len(row.shapes) == 1
    trained = [weight.value for weight in layer.trainable_variables]
    fixed = [weight.value for weight in layer.non_trainable_variables]
    ring = [([jax.numpy.asarray(part) for part in x], jax.numpy.asarray(dy)) for x, dy in ring]

    def call(trained, x, training):
        options = {"training": training} if row.kind == "BatchNormalization" else {}
        return layer.stateless_call(trained, fixed, x[0] if alone else list(x), **options)[0]

    @jax.jit
    def forward(trained, x):
        return call(trained, x, False)

    @jax.jit
    def both(trained, x, dy):
        if row.differentiable:
            y, pull = jax.vjp(lambda trained, x: call(trained, x, True), trained, x)
            dtrained, dx = pull(dy)
            return (y, *dx, *dtrained)
        y, pull = jax.vjp(lambda trained: call(trained, x, True), trained)
        return (y, *pull(dy)[0])

    def training(i):
        x, dy = ring[i % len(ring)]
        return both(trained, x, dy)

    def arrays(result):
        return tuple(map(np.asarray, result))

    return {
        "inference": (lambda i: (forward(trained, ring[i % len(ring)][0]),), arrays),
        "training": (training, arrays),
    }
