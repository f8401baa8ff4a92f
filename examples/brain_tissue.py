"""
Grey or white? Tissue in a noisy brain
======================================

Each voxel of a brain is to be named: grey matter, white matter, or something else. The brain is real, the mean of 152
people (MNI ICBM152, Fonov et al. 2009), which the package nilearn carries inside itself; the noise is ours, so strong
that a voxel alone says little and the network has to use its neighbourhood. Not a tool for medicine: one brain, and no
scanner's noise. Only nilearn's files are read: `pip install nibabel` and `pip install --no-deps nilearn` are enough.
"""

from pathlib import Path

import numpy as np
from common import QUICK, need, save

import fastconv
from fastconv import layers, plotting

# %%
# A real volume
# -------------
# Three volumes in voxels of 1 mm: the brightness in a magnetic resonance scan (T1), and the shares of grey and of
# white matter. Means of 2 x 2 x 2 voxels make them smaller; the axes are height, front to back, and side to side.

nibabel = need("nibabel", "nilearn")
folder = Path(need("nilearn", "nilearn").__file__).parent / "datasets" / "data"


def volume(kind):
    whole = np.asarray(nibabel.load(folder / f"mni_icbm152_{kind}_tal_nlin_sym_09a_converted.nii.gz").dataobj)
    whole = whole.transpose(2, 1, 0)[:184, 232:0:-1, :192].astype("float32") / 255
    return whole.reshape(92, 2, 116, 2, 96, 2).mean(axis=(1, 3, 5))


t1, grey, white = volume("t1"), volume("gm"), volume("wm")
brain = t1 > 0.05
tissue = np.where(brain, np.argmax([1 - grey - white, grey, white], axis=0), 0)
NOISE, NAMES = 0.3, ["other", "grey", "white"]
noisy = t1 + NOISE * np.random.default_rng(0).standard_normal(t1.shape).astype("float32")

# %%
# Front and back
# --------------
# The halves of a brain mirror each other, left and right. Who trains on one and tests on the other tests on what was
# seen. So the front is for training, the back for the test, with a gap between them.

front, back = np.s_[:, :56], np.s_[:, 60:]
inside, true = brain[back], tissue[back]
print(f"{brain[front].sum():,} voxels of brain to train on, {inside.sum():,} to test on")


def report(name, answer):
    right = inside & (answer == true)
    sizes = np.bincount(answer[inside], minlength=3) + np.bincount(true[inside])
    dice = 2 * np.bincount(true[right], minlength=3) / sizes
    print(f"{name:26}{right.sum() / inside.sum():.1%} right   Dice: grey {dice[1]:.3f}, white {dice[2]:.3f}")
    return answer


# %%
# What is easy?
# -------------
# Call all of it grey; or look up which tissue was most frequent at a voxel's brightness; or the same after a mean over
# the 27 voxels around, which takes out noise and the borders with it.


def by_brightness(values):
    steps = np.linspace(values.min(), values.max(), 100)
    seen, labels = np.digitize(values[front][brain[front]], steps), tissue[front][brain[front]]
    counts = [np.bincount(seen[labels == number], minlength=101) for number in range(3)]
    return np.argmax(counts, axis=0)[np.digitize(values[back], steps)]


smooth = noisy
for axis in range(3):
    smooth = sum(np.roll(smooth, step, axis) for step in (-1, 0, 1)) / 3
report("all of it grey", np.ones_like(true))
report("by a voxel's brightness", by_brightness(noisy))
best = report("by the mean of 27 voxels", by_brightness(smooth))

# %%
# A small U-Net
# -------------
# It looks at cubes of 24 voxels from the front, mirrored at random and each time under new noise. Pooling lets it see
# far, the way around keeps what is fine. Voxels outside the brain have the weight 0. Since it holds convolutions only,
# it takes volumes of any size (multiples of two): the back goes in whole.


def cubes(rng, size=24):
    while True:
        batch = []
        while len(batch) < 8:
            cut = tuple(slice(at, at + size) for at in rng.integers(0, np.array(t1[front].shape) - size + 1))
            flip = tuple(slice(None, None, step) for step in rng.choice([-1, 1], 3))
            if brain[front][cut].mean() > 0.4:
                batch.append([part[front][cut][flip] for part in (t1, tissue, brain)])
        x, y, weights = (np.array(part) for part in zip(*batch))
        x = x + NOISE * rng.standard_normal(x.shape)
        yield x[..., None].astype("float32"), y, weights.astype("float32")


def convolve(x, filters):
    return layers.ReLU()(layers.BatchNormalization(momentum=0.9)(layers.Conv3D(filters, 3, padding="same")(x)))


fastconv.utils.set_random_seed(1)
inputs = fastconv.Input((None, None, None, 1))
fine = convolve(convolve(inputs, 8), 8)
coarse = convolve(convolve(layers.MaxPooling3D(2)(fine), 16), 16)
both = convolve(layers.Concatenate()([layers.UpSampling3D(2)(coarse), fine]), 8)
model = fastconv.Model(inputs, layers.Conv3D(3, 1, activation="softmax")(both), name="tissue")
steps = 4 if QUICK else 300
rate = fastconv.optimizers.schedules.CosineDecay(5e-3, decay_steps=steps)
model.compile(fastconv.optimizers.Adam(rate), "sparse_categorical_crossentropy")
model.fit(cubes(np.random.default_rng(1)), steps_per_epoch=steps, epochs=1, verbose=0)
answer = report("U-Net", model.predict(noisy[back][None, ..., None], verbose=0)[0].argmax(axis=-1))
title = "The back of the brain from above: by the mean of 27 voxels, and below by the U-Net"
shown, volumes = np.stack([best, answer]) * inside, [noisy[back][..., None]] * 2
save(plotting.predictions(volumes, shown, [true, true], classes=NAMES, title=title), "brain_tissue.png")
