"""A convnet for digits, with batches, a validation split, early stopping, a file and its reload. Score: accuracy."""

import os
import tempfile

import numpy as np
from made import digits

import fastconv
from fastconv import layers


def main():
    x, y = digits(900)
    x_test, y_test = digits(200, seed=1)
    model = fastconv.Sequential(
        [
            fastconv.Input(shape=(24, 24, 1)),
            layers.Conv2D(16, kernel_size=(3, 3), activation="relu", kernel_initializer="he_normal"),
            layers.MaxPooling2D(pool_size=(2, 2)),
            layers.Conv2D(32, kernel_size=(3, 3), activation="relu"),
            layers.MaxPooling2D(pool_size=(2, 2)),
            layers.Flatten(),
            layers.Dropout(0.3),
            layers.Dense(10, activation="softmax", kernel_regularizer=fastconv.regularizers.L2(1e-4)),
        ]
    )
    model.compile(
        loss=fastconv.losses.CategoricalCrossentropy(label_smoothing=0.05),
        optimizer=fastconv.optimizers.Adam(learning_rate=2e-3),
        metrics=["accuracy", fastconv.metrics.TopKCategoricalAccuracy(k=3, name="top_3")],
    )
    stop = fastconv.callbacks.EarlyStopping(monitor="val_loss", patience=3, restore_best_weights=True)
    slower = fastconv.callbacks.ReduceLROnPlateau(monitor="val_loss", factor=0.5, patience=1)
    model.fit(
        x, fastconv.utils.to_categorical(y, 10), batch_size=32, epochs=10, validation_split=0.1,
        callbacks=[stop, slower], verbose=0,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "digits.weights.h5" if fastconv.__name__ == "keras" else "digits.safetensors")
        model.save_weights(path)
        again = fastconv.models.clone_model(model)
        again.load_weights(path)
    np.testing.assert_allclose(again.predict(x_test, verbose=0), model.predict(x_test, verbose=0), rtol=1e-5)
    scores = model.evaluate(x_test, fastconv.utils.to_categorical(y_test, 10), verbose=0, return_dict=True)
    assert scores["top_3"] >= scores["accuracy"]
    return scores["accuracy"]


if __name__ == "__main__":
    print(main())
