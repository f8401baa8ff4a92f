"""
Letters and digits by hand
==========================

EMNIST is MNIST with letters: 47 classes of handwriting in its split "balanced". Some cannot be told by their form
alone: O is 0, I and L are 1. The confusion matrix shows which. EMNIST has 562 MB and does not come with fastconv; where
its files are not on this computer, the program says how to get them, and goes on with the ten digits that ship.
"""

import os

import numpy as np
from common import QUICK, digits, save

from fastconv import Sequential, layers, plotting
from fastconv.datasets import emnist
from fastconv.utils import set_random_seed

rng = np.random.default_rng(0)
set_random_seed(0)

# %%
# **The data.** Of EMNIST's 112,800 samples 30,000 are used, so that two minutes do.

os.environ["FASTCONV_OFFLINE"] = "1"  # look for the files, fetch nothing
try:
    (x, y), (x_test, y_test) = emnist.load_data("balanced")
except OSError:
    print("EMNIST is not on this computer: only digits are read. To have letters too, download 562 MB once, by")
    print("    python -c \"from fastconv.datasets import emnist; emnist.load_data('balanced')\"")
    print("or put EMNIST's gzip.zip into the folder emnist/ of the folder that FASTCONV_DATA_DIR names.")
    (x, y), (x_test, y_test) = digits()
    classes = list("0123456789")
else:
    train, test = rng.permutation(len(x))[:30000], rng.permutation(len(x_test))[:5000]
    x, x_test = (part[..., None].astype("float32") / 255 for part in (x[train], x_test[test]))
    y, y_test = y[train].astype("int64"), y_test[test].astype("int64")
    classes = list(emnist.SPLITS["balanced"].classes)
print(f"{len(x):,} samples of {len(classes)} classes: {''.join(classes)}")

# %%
# **The network.** Handwriting varies, so the samples are augmented; batch normalization lets three convolutions learn
# quickly.

model = Sequential([layers.Input((28, 28, 1)), layers.RandomRotation(0.03), layers.RandomTranslation(0.06, 0.06)])
for filters in (16, 32, 64):
    model.add(layers.Conv2D(filters, 3, padding="same", use_bias=False))
    model.add(layers.BatchNormalization())
    model.add(layers.ReLU())
    model.add(layers.MaxPooling2D(2))
model.add(layers.Flatten())
model.add(layers.Dropout(0.3))
model.add(layers.Dense(len(classes), activation="softmax"))
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
epochs = 3 if QUICK else 8 if len(classes) > 10 else 25
model.fit(x, y, batch_size=50, epochs=epochs, verbose=0, validation_data=(x_test, y_test))
save(plotting.history(model, f"Handwriting: {len(classes)} classes"), "letters_history.png")

# %%
# **What is taken for what?** The accuracy of the first guess, of three guesses, and the pairs that are confused most.
# With letters, a reader uses the context: a 0 in a postcode is no O.

chances = model.predict(x_test, verbose=0)
ranks = np.argsort(-chances, axis=1)
right = ranks[:, :3] == y_test[:, None]
print(f"accuracy: first guess {right[:, 0].mean():.3f}, one of three {right.any(axis=1).mean():.3f}")
pairs = np.zeros((len(classes), len(classes)), int)
np.add.at(pairs, (y_test, ranks[:, 0]), 1)
np.fill_diagonal(pairs, 0)
for place in np.argsort(-pairs, axis=None)[:5]:
    true, said = np.unravel_index(place, pairs.shape)
    print(f"  {classes[true]} was taken for {classes[said]}: {pairs[true, said]} of {np.sum(y_test == true)}")
save(plotting.confusion_matrix(y_test, chances, classes), "letters_confusion.png")
save(plotting.mistakes(x_test, y_test, chances, classes, 12), "letters_mistakes.png")
