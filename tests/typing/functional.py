"""A typical program, for type checkers: functional model, compile, fit, predict, files."""

from typing import Any

import numpy as np

import fastconv
from fastconv import Model, callbacks, layers, models, regularizers, utils


def residual(x: fastconv.KerasTensor, filters: int) -> Any:
    y = layers.Conv2D(filters, 3, padding="same", kernel_regularizer=regularizers.L2(1e-4))(x)
    y = layers.BatchNormalization()(y)
    y = layers.Activation("relu")(y)
    return layers.Add()([y, layers.Conv2D(filters, 1)(x)])


def network(classes: int) -> Model:
    start = fastconv.Input((28, 28, 1))
    x = residual(start, 8)
    x = layers.GlobalAveragePooling2D()(layers.MaxPooling2D()(x))
    return Model(start, layers.Dense(classes, activation="softmax")(x))


def run(path: str) -> float:
    utils.set_random_seed(1)
    images = np.random.default_rng(0).random((64, 28, 28, 1))
    labels = utils.to_categorical(np.arange(64) % 10, 10)
    model = network(10)
    model.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
    stopping = callbacks.EarlyStopping(monitor="val_loss", patience=2)
    history = model.fit(images, labels, epochs=2, validation_split=0.25, callbacks=[stopping], verbose=0)
    losses: list[float] = history.history["loss"]
    model.save(path)
    again = models.load_model(path)
    scores = again.predict(images[:4])
    print(scores.argmax(axis=-1), again.count_params(), again.layers[0].name)
    return losses[-1]
