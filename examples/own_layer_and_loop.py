"""
A layer of your own, and a training loop of your own
====================================================

A layer is a class with weights and a `call` of ops; gradients come by themselves, from the tape that every op goes on.
A training loop is: call, loss, `backward`, a step of the optimizer. And `explain` tells how a model runs: a layer of
your own goes into the recorded step of `fit` like any other.
"""

import numpy as np
from common import QUICK, digits, save
from matplotlib.figure import Figure

from fastconv import Layer, Sequential, layers, losses, metrics, ops, optimizers, plotting
from fastconv.testing import gradcheck
from fastconv.utils import set_random_seed

set_random_seed(0)
(x, y), (x_test, y_test) = digits()

# %%
# **The layer.** "Squeeze and excitation": each channel is multiplied by a number from 0 to 1, which two small matrices
# make of the means of all channels. `build` makes the weights when the input's shape is known, `call` computes, and
# `get_config` says what `__init__` was given, so that the layer can be saved.


class Excite(Layer):
    """(batch, height, width, channels) -> the same, channels scaled by what all channels hold."""

    def __init__(self, hidden=4, **options):
        super().__init__(**options)
        self.hidden = hidden

    def build(self, input_shape):
        channels = input_shape[-1]
        self.squeeze = self.add_weight(shape=(channels, self.hidden), initializer="glorot_uniform", name="squeeze")
        self.excite = self.add_weight(shape=(self.hidden, channels), initializer="glorot_uniform", name="excite")

    def call(self, x):
        means = ops.mean(x, axis=(1, 2))
        scale = ops.sigmoid(ops.matmul(ops.relu(ops.matmul(means, self.squeeze)), self.excite))
        return x * ops.reshape(scale, (-1, 1, 1, x.shape[-1]))

    def get_config(self):
        return {**super().get_config(), "hidden": self.hidden}


model = Sequential([
    layers.Input((28, 28, 1)), layers.Conv2D(16, 3, activation="relu"), Excite(), layers.MaxPooling2D(2),
    layers.Conv2D(32, 3, activation="relu"), Excite(8), layers.MaxPooling2D(2), layers.Flatten(), layers.Dense(10),
])  # fmt: skip
model.summary()

# %%
# **Is it right?** `gradcheck` compares the tape's gradients with differences, in float64. It raises where they differ.

probe = Excite(dtype="float64")
probe.build((None, 5, 5, 6))
print("gradients as the differences say:", gradcheck(probe, np.random.default_rng(0).standard_normal((2, 5, 5, 6))))

# %%
# **The loop.** Each op goes on the tape by itself; `backward` walks it and leaves a gradient in each weight's `grad`.
# Here you may do with it what you like, as limiting its size over all weights.

optimizer = optimizers.Adam(2e-3)
loss_of = losses.SparseCategoricalCrossentropy(from_logits=True)
loss_seen, accuracy = metrics.Mean(), metrics.SparseCategoricalAccuracy()
history = {"loss": [], "accuracy": [], "gradient": []}
rng = np.random.default_rng(0)
for epoch in range(2 if QUICK else 8):
    loss_seen.reset_state()
    accuracy.reset_state()
    for batch in rng.permutation(len(x)).reshape(-1, 50):
        logits = model(x[batch], training=True)
        loss = loss_of(y[batch], logits)
        model.zero_grad()
        loss.backward()
        gradients = [weight.grad for weight in model.trainable_variables]
        size = float(np.sqrt(sum(np.sum(np.square(gradient)) for gradient in gradients)))
        optimizer.apply([gradient / max(size, 1.0) for gradient in gradients], model.trainable_variables)
        loss_seen.update_state(loss)
        accuracy.update_state(y[batch], logits)
        history["gradient"].append(size)
    history["loss"].append(float(loss_seen.result()))
    history["accuracy"].append(float(accuracy.result()))
    print(f"epoch {epoch + 1}: loss {history['loss'][-1]:.4f}, accuracy {history['accuracy'][-1]:.4f}")
print(f"accuracy on unseen digits: {np.mean(model.predict(x_test, verbose=0).argmax(axis=-1) == y_test):.3f}")

# %%
# **How it runs.** Your loop goes op by op. `fit` and `predict` record what they run, once for each shape, and repeat it
# in C from then on; your layer is made of ops that can be recorded, so no step in Python is left.

model.compile(optimizer, loss_of)
model.fit(x[:200], y[:200], batch_size=50, verbose=0)
print(model.explain())

save(plotting.history({name: history[name] for name in ("loss", "accuracy")}, "My own loop"), "own_loop_history.png")
figure = Figure(figsize=(6.4, 3.2), layout="constrained")
ax = figure.subplots()
ax.semilogy(history["gradient"], color="#0072b2", linewidth=1)
ax.axhline(1, color="#d55e00", linestyle="--", label="limit")
ax.set(title="The gradient's size over all weights, step by step", xlabel="step", ylabel="size")
ax.legend()
save(figure, "own_loop_gradient.png")
