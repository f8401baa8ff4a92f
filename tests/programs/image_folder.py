"""A folder of pictures, one class a folder, augmented as they train, the best epoch kept on disk. Score: accuracy.

Needs Pillow."""

import os
import tempfile

import numpy as np
from made import shapes

import fastconv
from fastconv import layers


def fill(folder):
    """Two classes of pictures of different sizes."""
    x, labels, _ = shapes(240, channels=3)
    for number, (picture, label) in enumerate(zip(x, labels)):
        if label < 2:
            place = os.path.join(folder, ("disc", "square")[label])
            os.makedirs(place, exist_ok=True)
            picture = 255 * np.clip(picture[: 20 + number % 5], 0, 1)
            fastconv.utils.save_img(os.path.join(place, f"{number}.png"), picture, scale=False)


def main():
    with tempfile.TemporaryDirectory() as folder:
        fill(os.path.join(folder, "data"))
        train, validation = fastconv.utils.image_dataset_from_directory(
            os.path.join(folder, "data"), label_mode="binary", image_size=(24, 24), batch_size=16, seed=3,
            validation_split=0.25, subset="both", verbose=False,
        )  # fmt: skip
        assert train.class_names == ["disc", "square"]
        inputs = fastconv.Input((24, 24, 3))
        z = layers.RandomFlip("horizontal")(inputs)
        z = layers.RandomTranslation(0.05, 0.05, fill_mode="nearest")(z)
        z = layers.Rescaling(1 / 255)(z)
        for filters in (8, 16, 32):
            z = layers.Conv2D(filters, 3, padding="same", use_bias=False)(z)
            z = layers.MaxPooling2D(2)(layers.ReLU()(layers.BatchNormalization(momentum=0.9)(z)))
        z = layers.Dropout(0.3)(layers.Flatten()(z))
        model = fastconv.Model(inputs, layers.Dense(1, activation="sigmoid")(z))
        model.compile(fastconv.optimizers.Adam(3e-3), "binary_crossentropy", metrics=["accuracy"])
        path = os.path.join(folder, "best.keras" if fastconv.__name__ == "keras" else "best.safetensors")
        keep = fastconv.callbacks.ModelCheckpoint(path, monitor="val_accuracy", save_best_only=True)
        history = model.fit(train, validation_data=validation, epochs=10, callbacks=[keep], verbose=0).history
        best = fastconv.models.load_model(path)
        score = best.evaluate(validation, verbose=0, return_dict=True)["accuracy"]
    assert abs(score - max(history["val_accuracy"])) < 1e-6
    return score


if __name__ == "__main__":
    print(main())
