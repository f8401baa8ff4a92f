"""
Transfer learning: from the digits 0 to 4 to the digits 5 to 9
==============================================================

A network that has learned some digits has learned strokes, corners and loops, which all digits are made of. Its
convolutions, frozen, help to tell five new digits apart when there are few samples of these. How much is that worth?
Two others are asked the same: the whole network from chance, and frozen convolutions that never learned anything.
"""

import numpy as np
from common import QUICK, digits, save
from matplotlib.figure import Figure

from fastconv import Sequential, layers, plotting
from fastconv.utils import set_random_seed

(x, y), (x_test, y_test) = digits()


def convolutions():
    return Sequential([
        layers.Input((28, 28, 1)), layers.Conv2D(16, 3, activation="relu"), layers.MaxPooling2D(2),
        layers.Conv2D(32, 3, activation="relu"), layers.MaxPooling2D(2), layers.Conv2D(64, 3, activation="relu"),
        layers.Flatten(),
    ])  # fmt: skip


def classifier(base, *before):
    """These layers, the base, and a last layer for five classes; compiled."""
    model = Sequential([layers.Input((28, 28, 1)), *before, base, layers.Dense(5, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


# %%
# **The old task**: 0 to 4, with all samples that there are, augmented, so that the base learns what holds in general.

set_random_seed(0)
base = convolutions()
old, old_test = y < 5, y_test < 5
first = classifier(base, layers.RandomRotation(0.05), layers.RandomTranslation(0.08, 0.08), layers.RandomZoom(0.1))
first.fit(x[old], y[old], epochs=2 if QUICK else 20, verbose=0)
score = first.evaluate(x_test[old_test], y_test[old_test], verbose=0)[1]
print(f"old task, 0 to 4: {old.sum()} samples, accuracy {score:.3f}")

# %%
# **The new task**: 5 to 9, of which there are few. A frozen base stays as it is, bit for bit; only the last layer
# learns, 2,885 weights instead of 26,181. Each result is the mean of three draws of samples. What 0 to 4 taught is
# worth something at each number of samples: an accuracy of 0.77 of 25 where the network from chance has 0.73, 0.94 of
# 100 where that has 0.91. Frozen chance, 0.54 and 0.88, shows what the last layer does alone.

base.trainable = False
kept = base.get_weights()
x_new, y_new = x[y >= 5], y[y >= 5] - 5
x_unseen, y_unseen = x_test[y_test >= 5], y_test[y_test >= 5] - 5
COUNTS, DRAWS = ((10, 25), 1) if QUICK else ((10, 25, 50, 100, 250), 3)


def accuracy(kind, count):
    """On unseen digits, after this many samples."""
    scores = []
    for seed in range(DRAWS):
        set_random_seed(seed)
        few = np.random.default_rng(seed).permutation(len(x_new))[:count]
        used = base if kind == "learned 0 to 4, frozen" else convolutions()
        used.trainable = kind == "from chance"
        model = classifier(used)
        model.fit(x_new[few], y_new[few], batch_size=25, epochs=5 if QUICK else 200, verbose=0)
        scores.append(model.evaluate(x_unseen, y_unseen, verbose=0)[1])
    return np.mean(scores)


figure = Figure(figsize=(6.5, 4), layout="constrained")
ax = figure.subplots()
kinds = {
    "learned 0 to 4, frozen": ("#0072b2", "-o"),
    "from chance": ("#d55e00", "--s"),
    "chance, frozen": ("#6b7280", ":^"),
}
for kind, (color, style) in kinds.items():
    results = [accuracy(kind, count) for count in COUNTS]
    print(f"new task, {kind}: " + ", ".join(f"{result:.3f} of {n} samples" for n, result in zip(COUNTS, results)))
    ax.semilogx(COUNTS, results, style, color=color, label=kind)
assert all((before == after).all() for before, after in zip(kept, base.get_weights()))
ax.set(title="Telling 5 to 9 apart", xlabel="samples to learn from", ylabel="accuracy on unseen digits")
ax.set_xticks(COUNTS, [str(count) for count in COUNTS], minor=False)
ax.minorticks_off()
ax.legend(title="convolutions")
ax.grid(alpha=0.3)
save(figure, "transfer_learning.png")

# %%
# What the frozen base makes of digits that it never learned, in the two directions in which it varies most: 6 and 7 lie
# apart already; 5, 8 and 9 touch.

names = list("56789")
save(plotting.feature_embedding(base, x_unseen, y_unseen, layer="flatten", classes=names), "transfer_embedding.png")
