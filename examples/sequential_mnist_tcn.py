"""
A digit, pixel by pixel: dilated causal convolution
===================================================

Sequential MNIST is a classic test of memory: an image is read line by line, one pixel a step, and only after the last
pixel the network has to say which digit it was. Not a good way to read digits (a 2D convolution is): it is a series of
which the start still matters at the end. A temporal convolutional network (TCN; Bai, Kolter and Koltun 2018) does it
without recurrence. The digits are the 4,000 that ship with fastconv, halved in size: 196 steps instead of 784.
"""

import numpy as np
from common import QUICK, digits, save

import fastconv
from fastconv import layers, plotting

# %%
# Images become series
# --------------------
# Four neighbouring pixels are averaged, and the 14 lines are laid one behind the other: (samples, steps, channels).


def series(images):
    small = images.reshape(-1, 14, 2, 14, 2).mean(axis=(2, 4))
    return small.reshape(len(images), 196, 1)


(x_train, y_train), (x_test, y_test) = digits()
x_train, x_test = series(x_train), series(x_test)
print(f"{len(x_train)} series of {x_train.shape[1]} steps to train on, {len(x_test)} to test on")

# %%
# Causal and dilated
# ------------------
# *Causal* means that a step sees itself and what came before, never what comes after: padding="causal" puts all zeros
# before the start. *Dilated* means that the three weights of a filter look at pixels that lie 1, 2, 4, ... steps
# apart, so that a few layers see far. Two convolutions and a way around them (the skip) make a block.


def block(x, rate, filters=24):
    z = x
    for _ in range(2):
        z = layers.Conv1D(filters, 3, padding="causal", dilation_rate=rate, use_bias=False)(z)
        z = layers.BatchNormalization(momentum=0.9)(z)
        z = layers.SpatialDropout1D(0.05)(layers.ReLU()(z))
    skip = x if x.shape[-1] == filters else layers.Conv1D(filters, 1)(x)
    return layers.ReLU()(layers.Add()([z, skip]))


def network(rates, name):
    inputs = z = fastconv.Input((196, 1))
    for rate in rates:
        z = block(z, rate)
    every_step = layers.Dense(10, activation="softmax", name="answer")(z)
    return fastconv.Model(inputs, every_step[:, -1], name=name), fastconv.Model(inputs, every_step)


# %%
# What the last step sees
# -----------------------
# The same six blocks twice: with dilation, the last step sees 253 steps back, which is more than there are; without,
# only 25, less than the last two lines of the image. Both have the same number of weights.

fastconv.utils.set_random_seed(1)
far, far_every_step = network((1, 2, 4, 8, 16, 32), "dilated")
near, _ = network((1, 1, 1, 1, 1, 1), "not_dilated")
for model in (far, near):
    save(plotting.receptive_field(model, layer="answer", position=[195]), f"sequential_mnist_{model.name}.png")

# %%
# Training
# --------

epochs = 1 if QUICK else 10
results = {}
for model in (far, near):
    rate = fastconv.optimizers.schedules.CosineDecay(3e-3, decay_steps=epochs * -(-len(x_train) // 64))
    model.compile(fastconv.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    print(model.name)
    model.fit(x_train, y_train, epochs=epochs, batch_size=64, verbose=2)
    results[model.name] = model.evaluate(x_test, y_test, verbose=0, return_dict=True)["accuracy"]
print(f"one digit for all         {np.bincount(y_test).max() / len(y_test):.1%}")
print(f"TCN without dilation      {results['not_dilated']:.1%}")
print(f"TCN with dilation         {results['dilated']:.1%}")
print("TCN of the paper          99.0%  (60,000 digits, 784 steps, Bai, Kolter and Koltun 2018)")

# %%
# When does it know?
# ------------------
# Since it is causal, the network can be asked at every step, and its answer there depends on nothing that comes later.
# The dashed line is the probability that it gives to the true digit, over the pixels (grey) as they come. It becomes
# sure in the last steps, long after the last ink: there it was asked in training, so that it has learned to wait.

answers = far_every_step.predict(x_test[:4], verbose=0)
sure = np.take_along_axis(answers, y_test[:4, None, None], axis=-1)
save(
    plotting.predictions(x_test[:4], sure, title="How sure of the true digit, pixel by pixel"),
    "sequential_mnist_sure.png",
)
half = x_test[:4].copy()
half[:, 98:] = 0
same = np.allclose(far_every_step.predict(half, verbose=0)[:, :98], answers[:, :98])
print("another second half of the image changes the answers to the first half:", "no" if same else "yes")
