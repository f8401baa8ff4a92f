"""
A U-Net: what is where
======================

Which class has each pixel? A U-Net answers with a picture of its own: on its way down it learns what is there, on its
way up where, and skips hand the fine detail across. The pictures are made: discs and squares of one grey, under noise
and uneven light, so that no threshold tells them from the ground or from one another.
"""

import numpy as np
from common import QUICK, save
from matplotlib.figure import Figure

from fastconv import Model, layers, metrics, plotting
from fastconv.utils import set_random_seed

SIZE, CLASSES = 48, ["ground", "disc", "square"]

# %%
# A picture and its mask, which has the class of each pixel.


def pictures(count, seed):
    """(count, 48, 48, 1) float32 pictures, and (count, 48, 48) masks of class numbers."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:SIZE, :SIZE]
    masks = np.zeros((count, SIZE, SIZE), "int64")
    for mask in masks:
        for _ in range(rng.integers(2, 5)):
            row, column = rng.integers(6, SIZE - 6, 2)
            radius, kind = rng.integers(4, 9), rng.integers(1, 3)
            down, right = abs(rows - row), abs(columns - column)
            mask[np.hypot(down, right) <= radius if kind == 1 else np.maximum(down, right) <= 0.85 * radius] = kind
    light = rng.uniform(-0.5, 0.5, (count, 1, 1)) * (columns / SIZE) + rng.uniform(-0.5, 0.5, (count, 1, 1)) * (
        rows / SIZE
    )
    images = 0.5 * (masks > 0) + light + 0.25 * rng.standard_normal(masks.shape)
    return images[..., None].astype("float32"), masks


x, y = pictures(100 if QUICK else 600, seed=0)
x_test, y_test = pictures(30 if QUICK else 100, seed=1)

# %%
# The network: two levels down, two up. `Concatenate` puts the maps of the way down beside those of the way up.


def convolved(z, filters):
    for _ in range(2):
        z = layers.Conv2D(filters, 3, padding="same", use_bias=False)(z)
        z = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(z))
    return z


set_random_seed(0)
inputs = layers.Input((SIZE, SIZE, 1))
fine = convolved(inputs, 8)
middle = convolved(layers.MaxPooling2D(2)(fine), 16)
coarse = convolved(layers.MaxPooling2D(2)(middle), 32)
z = layers.Concatenate()([middle, layers.Conv2DTranspose(16, 2, strides=2)(coarse)])
z = layers.Concatenate()([fine, layers.Conv2DTranspose(8, 2, strides=2)(convolved(z, 16))])
model = Model(inputs, layers.Conv2D(len(CLASSES), 1, activation="softmax")(convolved(z, 8)), name="u_net")

# %%
# **Mean IoU**: of each class the cells that are in the answer and in the truth, as a share of those that are in one of
# them; then the mean over the classes. Accuracy would flatter: most of a picture is ground.

iou = metrics.MeanIoU(num_classes=len(CLASSES), sparse_y_pred=False, name="iou")
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy", iou])
model.fit(x, y, batch_size=10, epochs=3 if QUICK else 20, validation_data=(x_test, y_test), verbose=0)
scores = model.evaluate(x_test, y_test, verbose=0, return_dict=True)
save(plotting.history(model), "unet_history.png")

# %%
# Two answers that cost nothing: all is ground; and all that is brighter than a threshold (the best one for these very
# pictures) is a disc.


def score(answer):
    metric = metrics.MeanIoU(num_classes=len(CLASSES))
    metric.update_state(y_test, answer)
    return float(metric.result())


thresholds = {level: score((x_test[..., 0] > level).astype("int64")) for level in np.linspace(-0.5, 1.5, 21)}
print(f"mean IoU: all ground {score(np.zeros_like(y_test)):.3f}, best threshold {max(thresholds.values()):.3f}, "
      f"U-Net {scores['iou']:.3f}")  # fmt: skip
print(f"accuracy: all ground {np.mean(y_test == 0):.3f}, U-Net {scores['accuracy']:.3f}")
save(plotting.predictions(x_test, model.predict(x_test, verbose=0), y_test, classes=CLASSES), "unet_masks.png")

# %%
# How sure it is: the probability of the class that it gave. It doubts along the edges, and where one shape lies on
# another.

figure = Figure(figsize=(9, 2.8), layout="constrained")
for ax, chances in zip(figure.subplots(1, 4), model.predict(x_test[:4], verbose=0)):
    shown = ax.imshow(chances.max(axis=-1), cmap="cividis", vmin=1 / len(CLASSES), vmax=1)
    ax.set(xticks=[], yticks=[])
figure.colorbar(shown, ax=figure.axes, label="probability")
figure.suptitle("How sure the network is of each pixel")
save(figure, "unet_confidence.png")
