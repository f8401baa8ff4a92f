"""
Which way does it move? Convolution over time
=============================================

A film is a volume: rows, columns, and frames as the third axis. A 3D convolution sees several frames at once and so
can see movement, which no single frame shows. Digits move through noise in one of eight directions, and the network
tells which, not which digit it is. The films are made here, of the real digits that ship with fastconv.
"""

import numpy as np
from common import QUICK, digits, save
from matplotlib.figure import Figure

import fastconv
from fastconv import layers, plotting

# %%
# The films
# ---------
# Each film has 8 frames of 28 by 28 pixels. A digit begins anywhere and moves on by one to three pixels a frame; what
# leaves at one side comes in at the other, so that the place says nothing. Noise lies over all.

WAYS = ["right", "down right", "down", "down left", "left", "up left", "up", "up right"]
STEPS = np.array([(0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1), (-1, 0), (-1, 1)])


def films(images, seed):
    rng = np.random.default_rng(seed)
    small = images.reshape(-1, 14, 2, 14, 2).mean(axis=(2, 4))
    ways, speeds = rng.integers(0, 8, len(small)), rng.integers(1, 4, len(small))
    x = 0.35 * rng.standard_normal((len(small), 8, 28, 28)).astype("float32")
    for film, digit, way, speed in zip(x, np.pad(small, ((0, 0), (0, 14), (0, 14))), ways, speeds):
        start = rng.integers(0, 28, 2)
        for n, frame in enumerate(film):
            frame += np.roll(digit, start + n * speed * STEPS[way], axis=(0, 1))
    return x[..., None], ways


(train, _), (test, _) = digits()
x_train, y_train = films(train[: len(train) // 2], seed=0)
x_test, y_test = films(test[:500], seed=1)
print(f"{len(x_train)} films to train on, {len(x_test)} to test on, each of {x_train.shape[1:]}")

figure = Figure(figsize=(9, 4), layout="constrained")
figure.suptitle("Films: eight frames each, from left to right")
for row, film, way in zip(figure.subplots(3, 8), x_train, y_train):
    for ax, frame in zip(row, film):
        ax.imshow(frame[..., 0], cmap="gray", vmin=-0.5, vmax=1.2)
        ax.set(xticks=[], yticks=[])
    row[0].set_ylabel(WAYS[way])
save(figure, "moving_digits_films.png")

# %%
# Two networks that differ in one number
# --------------------------------------
# A kernel of (3, 3, 3) looks at three frames, three rows and three columns; one of (1, 3, 3) at one frame at a time.
# Strides of (1, 2, 2) halve the pictures and keep every frame; the mean over all places and frames comes last.


def network(frames):
    fastconv.utils.set_random_seed(1)
    kernel = (frames, 3, 3)
    model = fastconv.Sequential(
        [
            fastconv.Input(x_train.shape[1:]),
            layers.Conv3D(8, kernel, strides=(1, 2, 2), padding="same", activation="relu"),
            layers.Conv3D(16, kernel, strides=(1, 2, 2), padding="same", activation="relu"),
            layers.MaxPooling3D(2),
            layers.Conv3D(32, kernel, padding="same", activation="relu"),
            layers.GlobalAveragePooling3D(),
            layers.Dense(8, activation="softmax"),
        ],
        name=f"frames_{frames}",
    )
    model.compile(fastconv.optimizers.Adam(3e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x_train, y_train, epochs=3 if QUICK else 16, batch_size=32, verbose=0)
    return model, model.evaluate(x_test, y_test, verbose=0, return_dict=True)["accuracy"]


_, alone = network(frames=1)
model, together = network(frames=3)

# %%
# What is easy for whom?
# ----------------------
# Who knows how the films were made can try all 24 movements and take that by which each frame fits the next one best.
# That is no learning, and it is hard to beat. The network was told nothing but 2,000 examples.

fits = np.stack(
    [
        (np.roll(x_test[:, :-1], speed * step, axis=(2, 3)) * x_test[:, 1:]).sum(axis=(1, 2, 3, 4))
        for step in STEPS
        for speed in (1, 2, 3)
    ],
    axis=1,
)
known = np.mean(fits.argmax(axis=1) // 3 == y_test)
print(f"guessing                            {1 / 8:.1%}")
print(f"network that sees frame by frame    {alone:.1%}")
print(f"network that sees three frames      {together:.1%}")
print(f"all 24 movements tried              {known:.1%}")
save(plotting.confusion_matrix(y_test, model.predict(x_test, verbose=0), classes=WAYS), "moving_digits_confusion.png")

# %%
# Filters that look for movement
# ------------------------------
# Each filter of the first layer in its three slices: what it wants to see in the frame before, now, and in the frame
# after. One whose slices are alike answers to what stands still; one that is dark in the first slice and bright in the
# last, or the other way round, to what comes or goes, and by its slope to one direction more than to others.

save(plotting.filters(model), "moving_digits_filters.png")
