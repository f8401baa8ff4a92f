"""
A face or not, from 100 pictures
================================

Two hundred grey pictures of 25 by 25 pixels: one hundred faces, one hundred cuttings from the background of the same
photographs. A small convolutional network learns from half of them to tell them apart, and then looks for a face in a
whole photograph. It does not know whose face it is. The pictures are a part of Labeled Faces in the Wild (Huang et
al.) that scikit-image carries inside itself: nothing is downloaded.
"""

import numpy as np
from common import QUICK, need, save

import fastconv
from fastconv import layers, plotting

# %%
# The data
# --------
# The pictures come sorted, so that they are shuffled before they are cut into halves. With a hundred pictures to test
# on, one picture is a whole percent, and chance decides much: the scores below are means over several cuts.

data = need("skimage.data", "scikit-image")
x = data.lfw_subset()[..., None].astype("float32")
y = np.repeat([1, 0], 100)
names = ["no face", "face"]
print(f"{len(x)} pictures of {x.shape[1]} x {x.shape[2]} pixels, half of them faces")

# %%
# What is easy?
# -------------
# Guessing gets half of them right. The nearest training picture (squared differences of pixels, summed) gets many
# right, since faces resemble each other more than anything else does.


def nearest_picture(train, test):
    distances = ((x[test][:, None] - x[train][None]) ** 2).sum(axis=(2, 3, 4))
    return np.mean(y[train][distances.argmin(axis=1)] == y[test])


# %%
# The network
# -----------
# Two convolutions with max-pooling. A face seen in a mirror is a face, and so is one a little to the side: RandomFlip
# and RandomTranslation make such pictures of those that there are, anew in each epoch, and only in training.
# LayerNormalization gives each picture the mean 0 and the deviation 1, so that light and contrast do not matter.


def train_network(pictures, labels, seed, epochs):
    fastconv.utils.set_random_seed(seed)
    model = fastconv.Sequential([fastconv.Input((25, 25, 1))], name="faces")
    model.add(layers.RandomFlip("horizontal"))
    model.add(layers.RandomTranslation(0.1, 0.1))
    model.add(layers.LayerNormalization(axis=(1, 2, 3), center=False, scale=False))
    for filters in (16, 32):
        model.add(layers.Conv2D(filters, 3, padding="same", activation="relu"))
        model.add(layers.MaxPooling2D(2))
    model.add(layers.Flatten())
    model.add(layers.Dropout(0.3))
    model.add(layers.Dense(2, activation="softmax"))
    model.compile(fastconv.optimizers.Adam(1e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(pictures, labels, epochs=epochs, batch_size=16, verbose=0)
    return model


nearest, accuracy = [], []
for seed in range(2 if QUICK else 10):
    train, test = np.split(np.random.default_rng(seed).permutation(200), 2)
    model = train_network(x[train], y[train], seed, epochs=10 if QUICK else 60)
    nearest.append(nearest_picture(train, test))
    accuracy.append(model.evaluate(x[test], y[test], verbose=0, return_dict=True)["accuracy"])
print("guessing                      50.0%")
print(f"the nearest training picture  {np.mean(nearest):.1%} +- {np.std(nearest):.1%}")
print(f"this network                  {np.mean(accuracy):.1%} +- {np.std(accuracy):.1%}  (of {len(accuracy)} cuts)")
save(plotting.mistakes(x[test], y[test], model, classes=names), "faces_mistakes.png")

# %%
# Where is the face?
# ------------------
# A photograph of the astronaut Eileen Collins (NASA), made smaller by four, so that her face is about as large as
# those above. The network is asked about each window of 25 by 25 pixels, its answer drawn at the middle.


def grey_windows(photo, factor):
    grey = photo.mean(axis=2) / 255 if photo.ndim == 3 else photo / 255
    rows, columns = grey.shape[0] // factor, grey.shape[1] // factor
    grey = grey[: rows * factor, : columns * factor].reshape(rows, factor, columns, factor).mean(axis=(1, 3))
    return grey, np.lib.stride_tricks.sliding_window_view(grey.astype("float32"), (25, 25))[..., None]


def face_map(model):
    answers = model.predict(windows.reshape(-1, 25, 25, 1), batch_size=512, verbose=0)[:, 1].reshape(windows.shape[:2])
    print(f"{np.mean(answers > 0.5):.1%} of the windows are called a face")
    return np.pad(answers, 12)


photo, windows = grey_windows(data.astronaut(), 4)
before = face_map(model)

# %%
# What it never saw
# -----------------
# The first row below is a surprise after so few mistakes: the network saw no rocket, no flag and no space suit, and
# calls most of them a face. A few dozen cuttings were little to learn from what is *not* a face. So more than a
# thousand others are cut from photographs without a face, near and far. Then the face stands out, and a round badge.

rng, cuttings = np.random.default_rng(0), []
for other in (data.brick, data.grass, data.gravel, data.coffee, data.text, data.page, data.hubble_deep_field):
    for factor in (1, 2, 4):
        some = grey_windows(other(), factor)[1]
        cuttings.append(some[tuple(rng.integers(0, size, 60) for size in some.shape[:2])])
more = np.concatenate([x, x, x, *cuttings])
labels = np.concatenate([y, y, y, np.zeros(len(more) - 3 * len(x), int)])
after = face_map(train_network(more, labels, seed=0, epochs=2 if QUICK else 20))
title = "Probability of a face around each pixel: above by 100 pictures, below with 1,260 more without a face"
save(plotting.predictions(np.stack([photo, photo]), np.stack([before, after]), title=title), "faces_where.png")
