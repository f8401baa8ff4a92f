"""
Bodies of voxels: 3D shapes told apart
======================================

A ball, a cube, a ring, a rod, a cone and a cross, turned any way, of any size, in heavy noise: a 3D convolutional
network tells which one is in a volume of 24 by 24 by 24 voxels. The volumes are made here. What is learned is as in
images, with one axis more: edges become surfaces, and a kernel of 3 x 3 x 3 has 27 weights for each channel.
"""

import numpy as np
from common import QUICK, nearest, save

import fastconv
from fastconv import layers, plotting

# %%
# The bodies
# ----------
# Each body is a rule: which points are inside, in coordinates of its own. Moving, turning and scaling a body is
# moving, turning and scaling the grid before the rule is asked.

NAMES = ["ball", "cube", "ring", "rod", "cone", "cross"]
GRID = np.stack(np.mgrid[:24, :24, :24], axis=-1) - 11.5


def inside(kind, points):
    x, y, z = np.abs(np.moveaxis(points, -1, 0))
    round_z = np.hypot(x, y)
    beams = [np.maximum(x, y), np.maximum(y, z), np.maximum(x, z)]
    return [
        round_z**2 + z**2 < 0.72,
        np.maximum(beams[0], z) < 0.75,
        (round_z - 0.72) ** 2 + z**2 < 0.08,
        (round_z < 0.55) & (z < 0.9),
        (round_z < 0.5 * (0.9 - points[..., 2])) & (z < 0.9),
        (np.min(beams, axis=0) < 0.28) & (np.maximum(beams[0], z) < 1),
    ][kind]


def bodies(count, seed):
    rng = np.random.default_rng(seed)
    kinds, x = rng.integers(0, len(NAMES), count), np.empty((count, 24, 24, 24), "float32")
    for volume, kind in zip(x, kinds):
        turn, _ = np.linalg.qr(rng.standard_normal((3, 3)))
        points = (GRID - rng.uniform(-2.5, 2.5, 3)) @ turn / rng.uniform(5.5, 8.5)
        volume[:] = inside(kind, points) + 0.5 * rng.standard_normal(GRID.shape[:3])
    return x[..., None], kinds


x_train, y_train = bodies(300 if QUICK else 1500, seed=0)
x_test, y_test = bodies(100 if QUICK else 300, seed=1)
print(f"{len(x_train)} volumes to train on, {len(x_test)} to test on, each of {x_train.shape[1:]}")

# %%
# What is easy?
# -------------
# Bodies differ in size, so the mean brightness of a volume says something; the training volume that is nearest
# (squared differences of voxels, summed) says more. Both are asked for comparison.

by_brightness = np.mean(nearest(x_train.mean(axis=(1, 2, 3)), y_train, x_test.mean(axis=(1, 2, 3))) == y_test)
by_voxels = np.mean(nearest(x_train, y_train, x_test) == y_test)

# %%
# The network
# -----------
# Three times: convolve, normalize, cut off what is negative, and keep the largest of 2 x 2 x 2 voxels. The mean over
# what is left does not mind where the body lies.

fastconv.utils.set_random_seed(1)
model = fastconv.Sequential([fastconv.Input(x_train.shape[1:])], name="voxels")
for filters in (12, 24, 48):
    model.add(layers.Conv3D(filters, 3, padding="same", use_bias=False))
    model.add(layers.BatchNormalization(momentum=0.9))
    model.add(layers.ReLU())
    model.add(layers.MaxPooling3D(2))
model.add(layers.GlobalAveragePooling3D())
model.add(layers.Dropout(0.3))
model.add(layers.Dense(len(NAMES), activation="softmax"))

epochs = 2 if QUICK else 12
rate = fastconv.optimizers.schedules.CosineDecay(4e-3, decay_steps=epochs * -(-len(x_train) // 24))
model.compile(fastconv.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(x_train, y_train, epochs=epochs, batch_size=24, verbose=2)
accuracy = model.evaluate(x_test, y_test, verbose=0, return_dict=True)["accuracy"]
print(f"guessing                    {1 / len(NAMES):.1%}")
print(f"by mean brightness          {by_brightness:.1%}")
print(f"the nearest training volume {by_voxels:.1%}")
print(f"this network                {accuracy:.1%}")

# %%
# What it sees
# ------------
# The matrix tells which bodies are taken for which. In the maps of one sample, drawn in their middle slices, the first
# layer still shows the body, and later ones show where in it something was found that they look for.

save(plotting.confusion_matrix(y_test, model.predict(x_test, verbose=0), classes=NAMES), "voxel_shapes_confusion.png")
sample = x_test[y_test == NAMES.index("ring")][0]
convolutions = [layer for layer in model.layers if isinstance(layer, layers.Conv3D)]
save(plotting.activation_maps(model, sample, layers=convolutions), "voxel_shapes_maps.png")
