"""Six sensors' series, a slower rate where the validation stands still, statistics of the data. Score: macro F1."""

import numpy as np
from made import waves

import fastconv
from fastconv import layers


def main():
    x, y = waves(420, steps=96, channels=6, noise=1.0)
    x = 5 + 3 * x
    normalize = layers.Normalization(axis=-1)
    normalize.adapt(x)
    model = fastconv.Sequential([fastconv.Input((96, 6)), normalize, layers.GaussianNoise(0.1)])
    for filters in (16, 24):
        model.add(layers.Conv1D(filters, 5, padding="same", kernel_constraint=fastconv.constraints.MaxNorm(3)))
        model.add(layers.BatchNormalization())
        model.add(layers.ELU())
        model.add(layers.MaxPooling1D(2))
        model.add(layers.SpatialDropout1D(0.1))
    model.add(layers.GlobalAveragePooling1D())
    model.add(layers.Dense(16, activation="swish", activity_regularizer=fastconv.regularizers.L1(1e-5)))
    model.add(layers.Dense(3, activation="softmax"))
    f1 = fastconv.metrics.F1Score(average="macro", name="f1")
    model.compile(loss="categorical_crossentropy", optimizer=fastconv.optimizers.Adamax(0.01), metrics=["acc", f1])
    slower = fastconv.callbacks.ReduceLROnPlateau(monitor="val_loss", factor=0.3, patience=2, min_lr=1e-4)
    target = fastconv.utils.to_categorical(y, num_classes=3)
    history = model.fit(
        x, target, epochs=12, batch_size=32, validation_split=0.2, class_weight={0: 1.0, 1: 1.5, 2: 1.0}, callbacks=[slower],
        verbose=0,
    )  # fmt: skip
    rates = history.history["learning_rate"]
    assert len(rates) == 12 and all(later <= before for before, later in zip(rates, rates[1:]))
    x, y = waves(150, steps=96, channels=6, noise=1.0, seed=1)
    scores = model.evaluate(5 + 3 * x, fastconv.utils.to_categorical(y, 3), verbose=0, return_dict=True)
    assert np.isfinite(scores["loss"])
    return float(scores["f1"])


if __name__ == "__main__":
    print(main())
