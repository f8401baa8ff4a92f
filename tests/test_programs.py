"""Whole programs, as users of Keras write them: each trains on a little data, learns, and runs as it should.

`check_recorded` is what "runs as it should" means: the training step is repeated in C, without a step in Python.
"""

import re

import numpy as np
import pytest

import fastconv
from fastconv import Input, Model, Sequential, layers, ops
from fastconv.datasets import mnist_mini
from fastconv.utils import set_random_seed, to_categorical


@pytest.fixture(autouse=True)
def seeded():
    set_random_seed(1)


def check_recorded(model, kind="A training step"):
    """The newest recording of this kind has no step in Python."""
    found = re.findall(rf"{kind}.*recorded: (\d+) kernel runs, (\d+) steps in Python", model.explain())
    assert found and int(found[-1][0]) > 0 and found[-1][1] == "0", model.explain()


def losses(model, x, y, epochs=4, **options):
    """The losses of a few epochs, which must have fallen."""
    history = model.fit(x, y, epochs=epochs, verbose=0, **{"batch_size": 32, **options}).history
    assert np.isfinite(history["loss"]).all() and history["loss"][-1] < history["loss"][0]
    return history


def patches(count, size=(16, 16), channels=1, seed=0):
    """Noisy images in which a bright block stands left (label 0) or right (label 1); the block's mask."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, count)
    masks = np.zeros((count, *size), "int64")
    half = size[-1] // 2
    for mask, label in zip(masks, labels):
        corner = [rng.integers(0, n // 2) for n in size[:-1]] + [label * half + rng.integers(0, half // 2)]
        mask[tuple(slice(c, c + n // 2) for c, n in zip(corner, (*size[:-1], half)))] = 1
    images = masks[..., None] + 0.3 * rng.standard_normal((count, *size, channels))
    return images.astype("float32"), labels, masks


def test_digits():
    (x, y), (x_test, y_test) = mnist_mini.load_data()
    x, x_test = x[:1500, ..., None].astype("float32") / 255, x_test[:500, ..., None].astype("float32") / 255
    model = Sequential([
        Input((28, 28, 1)), layers.Conv2D(32, 3, activation="relu"), layers.MaxPooling2D(2),
        layers.Conv2D(64, 3, activation="relu"), layers.MaxPooling2D(2), layers.Flatten(), layers.Dropout(0.5),
        layers.Dense(10, activation="softmax"),
    ])  # fmt: skip
    model.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
    history = losses(model, x, to_categorical(y[:1500], 10), 3, validation_split=0.1)
    assert history["val_accuracy"][-1] > 0.8
    assert model.evaluate(x_test, to_categorical(y_test[:500], 10), verbose=0, return_dict=True)["accuracy"] > 0.8
    assert model.predict(x_test[:40]).argmax(axis=-1).shape == (40,)
    check_recorded(model)


def test_separable_residual_network():
    """In the manner of Keras' image classification from scratch: a small Xception."""
    x, y, _ = patches(192, (24, 24), 3)
    inputs = Input((24, 24, 3))
    z = layers.Activation("relu")(layers.BatchNormalization()(layers.Conv2D(8, 3, strides=2, padding="same")(inputs)))
    for filters in (12, 16):
        before = layers.Conv2D(filters, 1, strides=2, padding="same")(z)
        for _ in range(2):
            z = layers.SeparableConv2D(filters, 3, padding="same")(layers.Activation("relu")(z))
            z = layers.BatchNormalization()(z)
        z = layers.add([layers.MaxPooling2D(3, strides=2, padding="same")(z), before])
    z = layers.Dropout(0.25)(layers.Flatten()(z))
    model = Model(inputs, layers.Dense(1)(z))
    model.compile("adam", fastconv.losses.BinaryCrossentropy(from_logits=True))
    losses(model, x, y.astype("float32")[:, None], 8, batch_size=16)
    scores = model.predict(x)[:, 0]
    assert ((scores > 0) == y).mean() > 0.9
    check_recorded(model)


def test_time_series():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 256)
    time = np.linspace(0, 6, 64)
    x = np.sin(time * (3 + 2 * y[:, None]) + rng.uniform(0, 6, (256, 1))) + 0.3 * rng.standard_normal((256, 64))
    inputs = Input((64, 1))
    z = inputs
    for _ in range(3):
        z = layers.Conv1D(16, 3, padding="same")(z)
        z = layers.BatchNormalization()(z)
        z = layers.ReLU()(z)
    outputs = layers.Dense(2, activation="softmax")(layers.GlobalAveragePooling1D()(z))
    model = Model(inputs, outputs)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["sparse_categorical_accuracy"])
    history = losses(model, x.astype("float32")[..., None], y, 12)
    assert history["sparse_categorical_accuracy"][-1] > 0.9
    check_recorded(model)


def test_volumes():
    x, y, _ = patches(128, (8, 12, 12))
    model = Sequential([
        Input((8, 12, 12, 1)), layers.Conv3D(8, 3, activation="relu"), layers.BatchNormalization(),
        layers.MaxPooling3D(2), layers.Conv3D(16, 3, padding="same", activation="relu"), layers.Flatten(),
        layers.Dropout(0.3), layers.Dense(1, activation="sigmoid"),
    ])  # fmt: skip
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    history = losses(model, x, y.astype("float32")[:, None], 5, batch_size=16)
    assert history["accuracy"][-1] > 0.9
    check_recorded(model)


def autoencoder_by_upsampling(inputs):
    z = layers.Conv2D(16, 3, activation="relu", padding="same")(inputs)
    z = layers.MaxPooling2D(2, padding="same")(z)
    z = layers.Conv2D(8, 3, activation="relu", padding="same")(z)
    return layers.UpSampling2D(2)(z)


def autoencoder_by_transposed_convolution(inputs):
    z = layers.Conv2D(16, 3, strides=2, activation="relu", padding="same")(inputs)
    return layers.Conv2DTranspose(16, 3, strides=2, activation="relu", padding="same")(z)


@pytest.mark.parametrize("code", [autoencoder_by_upsampling, autoencoder_by_transposed_convolution])
def test_autoencoder(code):
    (x, _), _ = mnist_mini.load_data()
    x = x[:320, ..., None].astype("float32") / 255
    noisy = np.clip(x + 0.3 * np.random.default_rng(0).standard_normal(x.shape).astype("float32"), 0, 1)
    inputs = Input((28, 28, 1))
    model = Model(inputs, layers.Conv2D(1, 3, activation="sigmoid", padding="same")(code(inputs)))
    model.compile(fastconv.optimizers.Adam(0.01), "binary_crossentropy")
    assert losses(model, noisy, x, 3)["loss"][-1] < 0.4
    assert model.predict(noisy[:5]).shape == (5, 28, 28, 1)
    check_recorded(model)


def u_net(classes):
    inputs = Input((16, 16, 1))
    first = layers.Conv2D(8, 3, padding="same", activation="relu")(inputs)
    second = layers.Conv2D(16, 3, padding="same", activation="relu")(layers.MaxPooling2D(2)(first))
    below = layers.Conv2D(32, 3, padding="same", activation="relu")(layers.MaxPooling2D(2)(second))
    z = layers.Concatenate()([layers.UpSampling2D(2)(below), second])
    z = layers.Conv2D(16, 3, padding="same", activation="relu")(z)
    z = layers.concatenate([layers.UpSampling2D(2)(z), first])
    z = layers.Conv2D(8, 3, padding="same", activation="relu")(z)
    return Model(inputs, layers.Conv2D(classes, 1, activation="softmax")(z), name="u_net")


def test_segmentation():
    x, _, masks = patches(160)
    model = u_net(2)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    assert losses(model, x, masks, 8, batch_size=16)["accuracy"][-1] > 0.9
    assert model.predict(x[:3]).shape == (3, 16, 16, 2)
    check_recorded(model)


def two_and_two():
    image, facts = Input((16, 16, 1), name="image"), Input((4,), name="facts")
    z = layers.AveragePooling2D(4)(layers.Conv2D(8, 3, activation="relu")(image))
    z = layers.Concatenate()([layers.Flatten()(z), layers.Dense(8)(facts)])
    side = layers.Dense(2, activation="softmax", name="side")(z)
    total = layers.Dense(1, name="total")(z)
    return Model([image, facts], [side, total])


@pytest.mark.parametrize("by_name", [False, True])
def test_two_inputs_and_two_outputs(by_name):
    images, labels, _ = patches(128)
    facts = np.random.default_rng(1).random((128, 4), dtype="float32")
    x, y = [images, facts], [labels, facts.sum(axis=1, keepdims=True)]
    how = {
        "loss": ["sparse_categorical_crossentropy", "mse"], "loss_weights": [1.0, 0.5], "metrics": [["accuracy"], []],
    }  # fmt: skip
    if by_name:
        x, y = dict(zip(("image", "facts"), x)), dict(zip(("side", "total"), y))
        how = {name: dict(zip(("side", "total"), entry)) for name, entry in how.items()}
    model = two_and_two()
    model.compile("adam", **how)
    history = losses(model, x, y, 15, batch_size=16)
    assert history["side_accuracy"][-1] > 0.9 and history["total_loss"][-1] < 0.2 * history["total_loss"][0]
    result = model.evaluate(x, y, verbose=0, return_dict=True)
    assert result["loss"] == pytest.approx(result["side_loss"] + 0.5 * result["total_loss"], rel=1e-5)
    assert [part.shape for part in model.predict(x)] == [(128, 2), (128, 1)]
    check_recorded(model)


def test_transfer_learning():
    x, y, masks = patches(128)
    base = Sequential([
        Input((16, 16, 1)), layers.Conv2D(8, 3, activation="relu"), layers.BatchNormalization(), layers.MaxPooling2D(2),
    ], name="base")  # fmt: skip
    whole = Sequential([base, layers.Flatten(), layers.Dense(1)])
    whole.compile("adam", "mse")
    losses(whole, x, masks.mean(axis=(1, 2))[:, None], 2)

    base.trainable = False
    before = base.get_weights()
    inputs = Input((16, 16, 1))
    z = layers.Flatten()(base(inputs, training=False))
    model = Model(inputs, layers.Dense(2, activation="softmax")(z))
    assert len(model.trainable_weights) == 2
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    history = losses(model, x, y, 10)
    for weight, same in zip(base.get_weights(), before):
        np.testing.assert_array_equal(weight, same)
    check_recorded(model)

    base.trainable = True
    model.compile(fastconv.optimizers.Adam(1e-4), "sparse_categorical_crossentropy", metrics=["accuracy"])
    tuned = losses(model, x, y, 3)
    assert tuned["loss"][0] < history["loss"][0] and tuned["accuracy"][-1] > 0.9
    assert not np.array_equal(base.get_weights()[0], before[0])
    np.testing.assert_array_equal(base.get_weights()[-1], before[-1])  # called with training=False, statistics stay
    check_recorded(model)


class Residual(Model):
    def __init__(self, filters=8):
        super().__init__()
        self.first = layers.Conv2D(filters, 3, padding="same", activation="relu")
        self.blocks = [layers.Conv2D(filters, 3, padding="same", activation="relu") for _ in range(2)]
        self.norm = layers.BatchNormalization()
        self.pool, self.drop = layers.MaxPooling2D(4), layers.Dropout(0.2)
        self.head = layers.Dense(2, activation="softmax")

    def call(self, inputs, training=False):
        z = self.first(inputs)
        for block in self.blocks:
            z = z + block(z)
        z = self.drop(self.pool(self.norm(z, training=training)), training=training)
        return self.head(ops.reshape(z, (-1, 16 * z.shape[-1])))


def test_subclassed_model(tmp_path):
    x, y, _ = patches(160)
    model = Residual()
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    assert losses(model, x, y, 6)["accuracy"][-1] > 0.9
    check_recorded(model)
    model.save_weights(tmp_path / "weights.safetensors")
    twin = Residual()
    twin.build((None, 16, 16, 1))
    twin.load_weights(tmp_path / "weights.safetensors")
    np.testing.assert_array_equal(twin.predict(x), model.predict(x))


class Gate(layers.Layer):
    """A squeeze-and-excitation gate, of ops and weights of its own."""

    def __init__(self, ratio=2, **kwargs):
        super().__init__(**kwargs)
        self.ratio = ratio

    def build(self, input_shape):
        channels = input_shape[-1]
        self.down = self.add_weight((channels, channels // self.ratio), "glorot_uniform", name="down")
        self.up = self.add_weight((channels // self.ratio, channels), "glorot_uniform", name="up")

    def call(self, inputs):
        z = ops.relu(ops.matmul(ops.mean(inputs, axis=(1, 2)), self.down))
        z = ops.sigmoid(ops.matmul(z, self.up))
        return inputs * ops.expand_dims(ops.expand_dims(z, 1), 1)


def test_own_layer_of_ops(tmp_path):
    x, y, _ = patches(160)
    model = Sequential([
        Input((16, 16, 1)), layers.Conv2D(8, 3, activation="relu"), Gate(), layers.MaxPooling2D(2), layers.Flatten(),
        layers.Dense(2, activation="softmax"),
    ])  # fmt: skip
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    assert losses(model, x, y, 5)["accuracy"][-1] > 0.9
    check_recorded(model)
    model.save(tmp_path / "model.safetensors")
    again = fastconv.models.load_model(tmp_path / "model.safetensors", custom_objects={"Gate": Gate})
    np.testing.assert_array_equal(again.predict(x), model.predict(x))
    model.predict(x)
    check_recorded(model, "A call")


class Smoothed(Model):
    """Its own step of training: a loss of two views of each sample."""

    def train_step(self, data):
        x, y = data
        for weight in self.trainable_weights:
            weight.grad = None
        straight, flipped = self(x, training=True), self(x[:, ::-1], training=True)
        loss = self.compute_loss(x, y, straight) + ops.mean(ops.square(straight - flipped))
        loss.backward()
        self.optimizer.apply([weight.grad for weight in self.trainable_weights], self.trainable_weights)
        return {"loss": loss.item(), "gap": ops.mean(ops.abs(straight - flipped)).item()}


def test_own_train_step():
    x, y, _ = patches(128)
    inputs = Input((16, 16, 1))
    z = layers.Flatten()(layers.MaxPooling2D(4)(layers.Conv2D(8, 3, activation="relu")(inputs)))
    model = Smoothed(inputs, layers.Dense(2, activation="softmax")(z))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    history = losses(model, x, y, 8)
    assert set(history) == {"loss", "gap"}
    assert model.evaluate(x, y, verbose=0, return_dict=True)["accuracy"] > 0.9
