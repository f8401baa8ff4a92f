"""The digits of MNIST that come with fastconv, with a validation set and a log as a table. Score: accuracy on the test."""

import csv
import os
import tempfile

import fastconv
from fastconv import layers


def prepared(x, y):
    return x[..., None].astype("float32") / 255, fastconv.utils.to_categorical(y, 10)


def main():
    (x, y), test = fastconv.datasets.mnist_mini.load_data()
    validation = prepared(x[1200:1500], y[1200:1500])
    model = fastconv.Sequential([
        fastconv.Input((28, 28, 1)), layers.Conv2D(16, 3, activation="relu"), layers.MaxPooling2D(2),
        layers.Conv2D(32, 3, activation="relu"), layers.MaxPooling2D(2), layers.Flatten(), layers.Dropout(0.4),
        layers.Dense(10, activation="softmax"),
    ])  # fmt: skip
    model.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "log.csv")
        history = model.fit(
            *prepared(x[:1200], y[:1200]), batch_size=32, epochs=4, validation_data=validation,
            callbacks=[fastconv.callbacks.CSVLogger(path)], verbose=0,
        ).history  # fmt: skip
        with open(path, newline="") as file:
            rows = list(csv.DictReader(file))
    assert [float(row["val_accuracy"]) for row in rows] == history["val_accuracy"]
    return model.evaluate(*prepared(*test), verbose=0, return_dict=True)["accuracy"]


if __name__ == "__main__":
    print(main())
