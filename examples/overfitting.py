"""
Overfitting, shown and cured
============================

A network that learns from few samples can learn them by heart: perfect in training, poor on anything new. Here 200
handwritten digits are all there is to learn from. The same network is trained five times: as it is, with an early stop,
with dropout, with augmentation, and with all three. The curves stand side by side, and 1,000 unseen digits decide.
"""

from common import QUICK, digits, save
from matplotlib.figure import Figure

from fastconv import Sequential, callbacks, layers
from fastconv.utils import set_random_seed

(x, y), (x_test, y_test) = digits()
x, y, x_new, y_new = x[:200], y[:200], x[200:500], y[200:500]  # to learn from; to watch the training with
EPOCHS = 4 if QUICK else 200

# %%
# Dropout and augmenting layers work in training only. Dropout sets a random half of its inputs to zero, so that no node
# can lean on one other node alone. Augmentation turns, shifts and zooms each digit a little, each time anew, so that no
# epoch repeats another: it teaches what does not matter to the class. Digits must not be mirrored or turned far: a 6
# would be a 9.


def network(dropout=False, augmentation=False):
    set_random_seed(3)  # the same weights to begin with
    model = Sequential([layers.Input((28, 28, 1))])
    if augmentation:
        model.add(layers.RandomRotation(0.03, fill_mode="constant"))
        model.add(layers.RandomTranslation(0.1, 0.1, fill_mode="constant"))
        model.add(layers.RandomZoom(0.1, fill_mode="constant"))
    for filters in (16, 32):
        model.add(layers.Conv2D(filters, 3, activation="relu"))
        model.add(layers.MaxPooling2D(2))
    model.add(layers.Flatten())
    if dropout:
        model.add(layers.Dropout(0.5))
    model.add(layers.Dense(64, activation="relu"))
    if dropout:
        model.add(layers.Dropout(0.5))
    model.add(layers.Dense(10, activation="softmax"))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


# %%
# An early stop ends the training when the loss on digits that are not trained on has not fallen for 30 epochs, and
# takes back the weights of the best epoch. It watches `validation_data`, never the test: what one has chosen by is no
# test any more.


def stop():
    return callbacks.EarlyStopping("val_loss", patience=30, restore_best_weights=True)


RUNS = {
    "as it is": (network(), []),
    "early stop": (network(), [stop()]),
    "dropout": (network(dropout=True), []),
    "augmentation": (network(augmentation=True), []),
    "all three": (network(dropout=True, augmentation=True), [stop()]),
}
scores = {}
for name, (model, watchers) in RUNS.items():
    model.fit(x, y, batch_size=20, epochs=EPOCHS, validation_data=(x_new, y_new), callbacks=watchers, verbose=0)
    scores[name] = model.evaluate(x_test, y_test, verbose=0)
    print(f"{name}: {len(model.history.epoch)} epochs, training loss {model.history.history['loss'][-1]:.3f}; "
          f"test loss {scores[name][0]:.3f}, test accuracy {scores[name][1]:.3f}")  # fmt: skip

# %%
# The gap between the curves is the overfitting. As it is, training's loss goes to zero while the other one rises: the
# network grows surer of itself where it is wrong. An early stop alone keeps the best of a bad run: the same accuracy,
# but half the loss. Dropout and augmentation each hold the gap smaller, and all three together make 0.94 of 0.85;
# training's loss is then the higher one, because its digits are harder and half the nodes are missing.

figure = Figure(figsize=(12, 3.4), layout="constrained")
axes = figure.subplots(1, len(RUNS), sharey=True)
for ax, (name, (model, _)) in zip(axes, RUNS.items()):
    epochs = range(1, len(model.history.epoch) + 1)
    ax.plot(epochs, model.history.history["loss"], color="#0072b2", label="training")
    ax.plot(epochs, model.history.history["val_loss"], color="#d55e00", linestyle="--", label="validation")
    ax.set(title=f"{name}\ntest accuracy {scores[name][1]:.3f}", xlabel="epoch", xlim=(0, EPOCHS), ylim=(0, 1.5))
    ax.grid(alpha=0.3)
axes[0].set_ylabel("loss")
axes[0].legend()
figure.suptitle("200 digits to learn from")
save(figure, "overfitting_curves.png")

# %%
# What augmentation makes of one digit: the first layers of that network, called as in training.

figure = Figure(figsize=(8, 1.9), layout="constrained")
augment = Sequential([layers.Input((28, 28, 1)), *RUNS["augmentation"][0].layers[:3]])
for place, ax in enumerate(figure.subplots(1, 8)):
    ax.imshow(x[:1][0] if place == 0 else augment(x[:1], training=True).numpy()[0], cmap="gray", vmin=0, vmax=1)
    ax.set(title="as it is" if place == 0 else "", xticks=[], yticks=[])
figure.suptitle("One digit, augmented")
save(figure, "overfitting_augmented.png")
