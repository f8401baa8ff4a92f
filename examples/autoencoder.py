"""
An autoencoder: digits through a bottleneck
===========================================

An encoder makes 16 numbers of a digit's 784 pixels, a decoder makes the digit of them again. No label is needed: the
picture is its own answer. What goes through the bottleneck is what digits have in common; noise does not. So the same
network, taught with noisy pictures and clean answers, cleans pictures.
"""

import numpy as np
from common import QUICK, digits, save
from matplotlib.figure import Figure

from fastconv import Model, layers
from fastconv.utils import set_random_seed

(x, _), (x_test, _) = digits()
EPOCHS = 3 if QUICK else 25

# %%
# The encoder halves the picture twice by convolutions with a stride of 2, the decoder doubles it twice by transposed
# ones. `encoder` and `decoder` are models by themselves, and layers of the whole.


def autoencoder():
    set_random_seed(0)
    picture, code = layers.Input((28, 28, 1)), layers.Input((16,))
    z = layers.Conv2D(16, 3, strides=2, padding="same", activation="relu")(picture)
    z = layers.Conv2D(32, 3, strides=2, padding="same", activation="relu")(z)
    encoder = Model(picture, layers.Dense(16)(layers.Flatten()(z)), name="encoder")
    z = layers.Reshape((7, 7, 32))(layers.Dense(7 * 7 * 32, activation="relu")(code))
    z = layers.Conv2DTranspose(16, 3, strides=2, padding="same", activation="relu")(z)
    z = layers.Conv2DTranspose(1, 3, strides=2, padding="same", activation="sigmoid")(z)
    decoder = Model(code, z, name="decoder")
    model = Model(picture, decoder(encoder(picture)), name="autoencoder")
    model.compile("adam", "binary_crossentropy")
    return model, encoder, decoder


def error(pictures, wanted):
    """The mean squared error of a pixel."""
    return float(np.mean((pictures - wanted) ** 2))


def draw(rows, title, name):
    figure = Figure(figsize=(10, 1.15 * len(rows) + 0.5), layout="constrained")
    axes = figure.subplots(len(rows), 10, squeeze=False)
    for line, (label, pictures) in zip(axes, rows.items()):
        line[0].set_ylabel(label)
        for ax, picture in zip(line, pictures):
            ax.imshow(picture, cmap="gray", vmin=0, vmax=1)
            ax.set(xticks=[], yticks=[])
    figure.suptitle(title)
    save(figure, name)


# %%
# **Through the bottleneck.** What would a guess be worth? The mean of all digits, which is the best picture that knows
# nothing of its digit, has five times the error.

model, encoder, decoder = autoencoder()
model.fit(x, x, batch_size=50, epochs=EPOCHS, verbose=0)
again = model.predict(x_test, verbose=0)
print(
    f"error of a pixel: mean digit {error(x.mean(axis=0), x_test):.4f}, through 16 numbers {error(again, x_test):.4f}"
)
draw(
    {"digit": x_test[::100], "16 numbers": again[::100]},
    "Digits through a bottleneck of 16 numbers",
    "autoencoder.png",
)

# %%
# **From one digit to another.** On the straight line between two codes the decoder draws digits that nobody wrote.

first, last = encoder.predict(x_test[[0, 700]] if not QUICK else x_test[[0, 200]], verbose=0)
steps = np.linspace(0, 1, 10, dtype="float32")[:, None]
between = decoder.predict(first * (1 - steps) + last * steps, verbose=0)
draw({"decoded": between}, "From the code of one digit to that of another", "autoencoder_between.png")

# %%
# **Noise.** The same network, taught to give the clean picture for a noisy one.

rng = np.random.default_rng(0)
noisy, noisy_test = (
    np.clip(part + 0.4 * rng.standard_normal(part.shape), 0, 1).astype("float32") for part in (x, x_test)
)
cleaner, *_ = autoencoder()
cleaner.fit(noisy, x, batch_size=50, epochs=EPOCHS, verbose=0)
clean = cleaner.predict(noisy_test, verbose=0)
print(f"error of a pixel: noisy {error(noisy_test, x_test):.4f}, cleaned {error(clean, x_test):.4f}")
draw(
    {"noisy": noisy_test[::100], "cleaned": clean[::100], "original": x_test[::100]},
    "Noise, taken out",
    "autoencoder_noise.png",
)
