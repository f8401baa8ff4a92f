"""Volumes: a ball or a shell in noisy tissue, one of them rare and weighed, by a 3D convnet. Score: accuracy."""

import numpy as np

import fastconv
from fastconv import layers


def tissue(count, size=14, seed=0, balls=0.5):
    rng = np.random.default_rng(seed)
    labels = (rng.random(count) >= balls).astype(int)
    grid = np.stack(np.mgrid[:size, :size, :size])
    x = 0.3 * rng.standard_normal((count, size, size, size, 1))
    for volume, label in zip(x, labels):
        centre = rng.integers(5, size - 5, 3).reshape(3, 1, 1, 1)
        far = np.sqrt(((grid - centre) ** 2).sum(axis=0))
        volume[(far <= 4) & (far >= 2.5 * label), 0] += 1
    return x.astype("float32"), labels.astype("float32")


def main():
    x, y = tissue(200, balls=0.25)
    inputs = fastconv.Input((14, 14, 14, 1))
    z = layers.Conv3D(filters=8, kernel_size=3, activation="relu")(inputs)
    z = layers.MaxPool3D(pool_size=2)(z)
    z = layers.BatchNormalization()(z)
    z = layers.Conv3D(filters=16, kernel_size=3, activation="relu")(z)
    z = layers.GlobalMaxPooling3D()(z)
    z = layers.Dense(units=32, activation="relu")(z)
    z = layers.Dropout(0.3)(z)
    model = fastconv.Model(inputs, layers.Dense(units=1, activation="sigmoid")(z), name="volumes")
    rate = fastconv.optimizers.schedules.PolynomialDecay(0.01, decay_steps=150, end_learning_rate=0.001)
    model.compile(
        loss="binary_crossentropy", optimizer=fastconv.optimizers.SGD(rate, momentum=0.9, nesterov=True),
        metrics=["acc", fastconv.metrics.Precision(), fastconv.metrics.Recall()],
    )  # fmt: skip
    model.fit(
        x, y, validation_data=tissue(40, seed=2), epochs=10, batch_size=10, class_weight={0: 3.0, 1: 1.0}, verbose=0
    )
    return model.evaluate(*tissue(80, seed=1), verbose=0, return_dict=True)["acc"]


if __name__ == "__main__":
    print(main())
