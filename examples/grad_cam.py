"""
Where did it look? Grad-CAM
===========================

A network is told which even digit is in a picture, never where it is; an odd digit stands in the picture too, and
noise. To answer, it has to find the even one by itself. Grad-CAM shows where it looked: the maps of a convolution, each
weighed by the gradient of the answer by it, summed up.
"""

import numpy as np
from common import QUICK, digits, save

import fastconv
from fastconv import Model, layers, ops, plotting
from fastconv.utils import set_random_seed

SIZE = 56
(x, y), (x_test, y_test) = digits()

# %%
# The pictures: two places of four are taken, one by an even digit, one by an odd one, each a little off its place.


def pictures(x, y, count, seed):
    """(count, 56, 56, 1) pictures, the half of the even digit as class, and which of the four places it has."""
    rng = np.random.default_rng(seed)
    images = 0.1 * np.abs(rng.standard_normal((count, SIZE, SIZE, 1))).astype("float32")
    even, odd = rng.choice(np.flatnonzero(y % 2 == 0), count), rng.choice(np.flatnonzero(y % 2 == 1), count)
    places = np.array([rng.permutation(4)[:2] for _ in range(count)])
    for image, chosen, pair in zip(images, zip(even, odd), places):
        for which, place in zip(chosen, pair):
            row, column = (np.clip(28 * at + rng.integers(-4, 5), 0, 28) for at in divmod(place, 2))
            image[row : row + 28, column : column + 28] += x[which]
    return np.minimum(images, 1), y[even] // 2, places[:, 0]


x, y, _ = pictures(x, y, 400 if QUICK else 6000, seed=0)
x_test, y_test, place = pictures(x_test, y_test, 100 if QUICK else 500, seed=1)

# %%
# Global pooling before the last layer lets each place of the last maps speak for itself: 14 x 14 of them.

set_random_seed(0)
model = fastconv.Sequential([
    layers.Input((SIZE, SIZE, 1)), layers.Conv2D(16, 5, padding="same", activation="relu"), layers.MaxPooling2D(2),
    layers.Conv2D(32, 5, padding="same", activation="relu"), layers.MaxPooling2D(2),
    layers.Conv2D(48, 5, padding="same", activation="relu", name="last"), layers.GlobalMaxPooling2D(),
    layers.Dense(5, activation="softmax"),
])  # fmt: skip
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(x, y, batch_size=50, epochs=2 if QUICK else 8, verbose=0)
print(f"accuracy on unseen digits: {model.evaluate(x_test, y_test, verbose=0)[1]:.3f} (chance: 0.2)")

# %%
# The picture that `plotting.grad_cam` draws, for three samples; the bright cells lie on the even digit. Saliency, the
# gradient by each pixel, is finer, and tells something else: pixels whose change would change the answer, and some of
# the odd digit's are among them, since a little more ink would make an even one of it.

names = [f"{2 * number}" for number in range(5)]
for number in range(3):
    save(plotting.grad_cam(model, x_test[number], "last", classes=names), f"grad_cam_{number + 1}.png")
save(plotting.saliency(model, x_test[0], classes=names), "grad_cam_saliency.png")

# %%
# A picture of three samples proves little. So the same by hand, for all: a model that gives the last maps beside the
# answer, the gradient of the winning scores by the maps, its mean over each map as that map's weight. Then: in which
# quarter of the picture is the brightest place?

both = Model(model.inputs, [model.get_layer("last").output, model.output])
maps, scores = both(x_test)
slopes = fastconv.gradients(ops.sum(ops.log(ops.max(scores, axis=-1))), maps)
cam = np.maximum((maps.numpy() * slopes.mean(axis=(1, 2), keepdims=True)).sum(axis=-1), 0)
row, column = np.unravel_index(cam.reshape(len(cam), -1).argmax(axis=1), cam.shape[1:])
found = 2 * (row >= 7) + (column >= 7) == place
print(f"the brightest place is in the even digit's quarter in {found.mean():.1%} of the pictures (chance: 25 %)")
