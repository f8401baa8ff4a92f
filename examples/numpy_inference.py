"""
A saved model, run by NumPy alone
=================================

Where a trained network is to be used, fastconv need not be installed: `model.save` writes a safetensors file, which
holds the weights as plain arrays and the network as JSON, and no code. Here some forty lines of NumPy read such a file
and run it. They also say exactly what convolution, pooling and a dense layer compute.
"""

import json

import numpy as np
from common import OUT, QUICK, digits, save
from matplotlib.figure import Figure

from fastconv import Sequential, layers
from fastconv.utils import set_random_seed

set_random_seed(0)
(x, y), (x_test, y_test) = digits()
model = Sequential([
    layers.Input((28, 28, 1)), layers.Conv2D(16, 3, activation="relu"), layers.MaxPooling2D(2),
    layers.Conv2D(32, 3, activation="relu"), layers.MaxPooling2D(2), layers.Flatten(),
    layers.Dense(10, activation="softmax"),
])  # fmt: skip
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(x, y, epochs=2 if QUICK else 8, verbose=0)
OUT.mkdir(parents=True, exist_ok=True)
path = OUT / "digits.safetensors"
model.save(path)
print(f"saved: {path.stat().st_size:,} bytes, accuracy {model.evaluate(x_test, y_test, verbose=0)[1]:.3f}")

# %%
# **The file**: eight bytes give the length of a header in JSON, which says of each array its type, its shape, and where
# it lies in the rest. Beside the arrays the header holds texts; `model` is the network, layer by layer.


def read(path):
    """(list of layers' configs, dict of arrays by name)."""
    content = path.read_bytes()
    length = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:length])
    network = json.loads(header.pop("__metadata__")["model"])
    arrays = {}
    for name, entry in header.items():
        start, end = entry["data_offsets"]
        arrays[name] = np.frombuffer(content[length + start : length + end], "<f4").reshape(entry["shape"])
    return network["config"]["layers"], arrays


# %%
# **The layers.** A convolution looks through a window at each place: `sliding_window_view` gives all windows at once,
# as (images, rows, columns, channels, window rows, window columns), and a sum of products over the last three axes does
# the rest. Max-pooling takes the largest of each window; a dense layer is a matrix product. What this reader does not
# know it refuses: a wrong answer would be worse than none.


def windows(x, size, step):
    return np.lib.stride_tricks.sliding_window_view(x, size, axis=(1, 2))[:, :: step[0], :: step[1]]


def softmax(x):
    powers = np.exp(x - x.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


ACTIVATIONS = {"linear": lambda x: x, "relu": lambda x: np.maximum(x, 0), "softmax": softmax}
KNOWN = {"padding": "valid", "groups": 1, "dilation_rate": [1, 1], "data_format": "channels_last", "use_bias": True}


def run(path, x):
    network, arrays = read(path)
    for layer in network:
        kind, config = layer["class_name"], layer["config"]
        if any(config.get(name, value) != value for name, value in KNOWN.items()):
            raise ValueError(f"This reader knows layers with {KNOWN} only; {config['name']} is another.")
        kernel, bias = (arrays.get(f"{config['name']}/{part}") for part in ("kernel", "bias"))
        if kind == "Conv2D":
            seen = windows(x, config["kernel_size"], config["strides"])
            x = np.einsum("nhwcij,ijck->nhwk", seen, kernel, optimize=True) + bias
        elif kind == "MaxPooling2D":
            x = windows(x, config["pool_size"], config["strides"]).max(axis=(-2, -1))
        elif kind == "Flatten":
            x = x.reshape(len(x), -1)
        elif kind == "Dense":
            x = x @ kernel + bias
        elif kind != "InputLayer":
            raise ValueError(f"This reader does not know {kind}.")
        x = ACTIVATIONS[config.get("activation", "linear")](x)
    return x


# %%
# **The same?** Up to the last bits of float32: sums are taken in another order.

ours, theirs = run(path, x_test), model.predict(x_test, verbose=0)
print(f"{len(x_test)} digits: largest difference of a probability {np.abs(ours - theirs).max():.1e}, "
      f"{(ours.argmax(axis=1) != theirs.argmax(axis=1)).sum()} other answers")  # fmt: skip
assert np.allclose(ours, theirs, atol=1e-5)

figure = Figure(figsize=(10, 3.6), layout="constrained")
axes = figure.subplots(2, 6)
for place, (above, below) in zip(np.argsort(theirs.max(axis=1))[:6], axes.T):
    above.imshow(x_test[place], cmap="gray")
    above.set(xticks=[], yticks=[])
    below.bar(range(10), ours[place], color="#0072b2", label="NumPy")
    below.plot(range(10), theirs[place], "x", color="#d55e00", label="fastconv")
    below.set(xticks=range(10), ylim=(0, 1))
axes[1, 0].set_ylabel("probability")
axes[1, 0].legend()
figure.suptitle("The six digits that the network is least sure of, by NumPy and by fastconv")
save(figure, "numpy_inference.png")
