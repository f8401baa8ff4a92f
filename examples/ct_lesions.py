"""
Lesions in a CT volume, found by a 3D U-Net
===========================================

In computed tomography a lesion may be as bright as a vessel, and in one slice both are bright discs. In the volume
they differ: a vessel goes on through the slices, a lesion ends. A threshold cannot know that; a 3D U-Net can. The
volumes are made here, in Hounsfield units as a scanner's (air -1000, fat -100, tissue 40, bone 500), and are no
patients: what works on them need not work in a clinic.
"""

import numpy as np
from common import QUICK, save

import fastconv
from fastconv import layers, ops, plotting

# %%
# The volumes
# -----------
# A body in air: a skin of fat, tissue, a spine; three vessels cross it and two to four lesions lie in it. Vessels and
# lesions are brighter than the tissue by the same 60 units. Noise has a deviation of 20 units. Lesions are numbered
# from 1 in the mask, so that it can be counted how many are found.

SHAPE = (24, 32, 32)
GRID = np.stack(np.mgrid[tuple(slice(0, size) for size in SHAPE)], axis=-1).astype("float32")


def scan(rng):
    z, y, x = np.moveaxis(GRID, -1, 0)
    far = np.hypot((y - 15.5) / 13, (x - 15.5) / 15)  # 1 at the skin
    volume = np.select([far < 0.88, far < 1], [40.0, -100.0], -1000.0)
    volume[np.hypot(y - 24, x - 15.5) < 2.5] = 500
    organ = (far < 0.75) & (y < 20)
    bright, mask = np.zeros(SHAPE, bool), np.zeros(SHAPE, int)
    for _ in range(3):
        along, at = rng.standard_normal(3), rng.uniform([6, 8, 8], [18, 18, 24])
        along /= np.linalg.norm(along)
        beside = np.linalg.norm(np.cross(GRID - at, along), axis=-1)
        bright |= organ & (beside < rng.uniform(1.2, 2.2))
    for number in range(1, rng.integers(3, 6)):
        at, radii = rng.uniform([4, 9, 9], [20, 17, 23]), rng.uniform(2, 3.4, 3)
        mask[organ & ~bright & ((((GRID - at) / radii) ** 2).sum(axis=-1) < 1)] = number
    volume[bright | (mask > 0)] += 60
    return volume + 20 * rng.standard_normal(SHAPE), mask


def scans(count, seed):
    rng = np.random.default_rng(seed)
    volumes, masks = (np.stack(part) for part in zip(*(scan(rng) for _ in range(count))))
    return volumes.astype("float32")[..., None], masks


x_train, y_train = scans(24 if QUICK else 160, seed=0)
x_test, y_test = scans(8 if QUICK else 40, seed=1)
print(f"{len(x_train)} volumes to train on, {len(x_test)} to test on; lesions fill {np.mean(y_test > 0):.1%} of them")


def report(name, found):
    same = dice(found, y_test > 0)
    hits = [np.mean(a[mask == n]) > 0.5 for a, mask in zip(found, y_test) for n in range(1, mask.max() + 1)]
    print(f"{name:22}Dice {same:.3f}   IoU {same / (2 - same):.3f}   {sum(hits)} of {len(hits)} lesions found")


# %%
# What is easy?
# -------------
# Take the mean over the 27 voxels around each, and call a lesion what lies between two brightnesses: bone is brighter,
# tissue darker. The two that overlap best with the training lesions are taken; vessels pass, too.


def smooth(x):
    for axis in (1, 2, 3):
        x = sum(np.roll(x, step, axis) for step in (-1, 0, 1)) / 3
    return x[..., 0]


def dice(found, true):
    return 2 * (found & true).sum() / (found.sum() + true.sum())


means, true = smooth(x_train), y_train > 0
pairs = [(low, high) for low in range(40, 100, 10) for high in range(100, 240, 20)]
low, high = max(pairs, key=lambda pair: dice((means > pair[0]) & (means < pair[1]), true))
report(f"between {low} and {high} HU", (smooth(x_test) > low) & (smooth(x_test) < high))

# %%
# The network
# -----------
# A U-Net: down twice by pooling to see far, up again, and at each size a way around (the skip) that brings back what
# is fine. What is below -150 or above 250 units is all the same to it, as in a radiologist's window. So few voxels are
# lesions that "none" is nearly always right: the loss counts overlap (Dice), and the output begins at "rare".


def convolve(x, filters):
    for _ in range(2):
        x = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(layers.Conv3D(filters, 3, padding="same")(x)))
    return x


fastconv.utils.set_random_seed(1)
inputs = fastconv.Input((*SHAPE, 1))
skips, z = [], ops.clip((inputs - 50) / 200, -1, 1)
for filters in (8, 16):
    skips.append(convolve(z, filters))
    z = layers.MaxPooling3D(2)(skips[-1])
z = convolve(z, 32)
for filters, skip in ((16, skips[1]), (8, skips[0])):
    z = layers.Conv3DTranspose(filters, 2, strides=2)(z)
    z = convolve(layers.Concatenate()([z, skip]), filters)
rare = fastconv.initializers.Constant(-4)  # sigmoid(-4) is 0.02
model = fastconv.Model(inputs, layers.Conv3D(1, 1, activation="sigmoid", bias_initializer=rare)(z), name="u_net")
epochs = 1 if QUICK else 12
rate = fastconv.optimizers.schedules.CosineDecay(5e-3, decay_steps=epochs * -(-len(x_train) // 4))
model.compile(fastconv.optimizers.Adam(rate), fastconv.losses.Dice())
model.fit(x_train, true[..., None].astype("float32"), epochs=epochs, batch_size=4, verbose=2)
answers = model.predict(x_test, batch_size=8, verbose=0)[..., 0]
report("3D U-Net", answers > 0.5)
title = "A slice of each volume, its lesions, and the probability that the U-Net gives them"
save(plotting.predictions(np.clip(x_test[:4], -150, 250), answers[:4], y_test[:4] > 0, title=title), "ct_lesions.png")
