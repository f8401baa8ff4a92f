"""Words by their sound: spectrograms made in the model, a 2D convnet over them. Score: accuracy."""

import numpy as np

import fastconv
from fastconv import layers


def sounds(count, rate=2000, seed=0):
    """Half a second of tones that rise (0), fall (1) or stay (2)."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, count)
    time = np.arange(rate // 2) / rate
    base = rng.uniform(200, 400, (count, 1))
    slope = np.choose(labels, [300, -300, 0])[:, None] * rng.uniform(0.8, 1.2, (count, 1))
    start = np.where(labels[:, None] == 1, base + 200, base)
    phase = 2 * np.pi * (start * time + slope * time**2 / 2)
    return (np.sin(phase) + 0.2 * rng.standard_normal(phase.shape)).astype("float32"), labels


def main():
    x, y = sounds(360)
    inputs = fastconv.Input((1000,))
    z = layers.MelSpectrogram(
        fft_length=128, sequence_stride=50, sequence_length=100, sampling_rate=2000, num_mel_bins=24, min_freq=50,
        max_freq=1000,
    )(inputs)  # fmt: skip
    z = layers.Reshape((*z.shape[1:], 1))(z)
    z = layers.LayerNormalization(axis=(1, 2, 3))(z)
    for filters in (8, 16):
        z = layers.Conv2D(filters, 3, padding="same", activation="relu")(z)
        z = layers.MaxPooling2D(2)(z)
    z = layers.Dropout(0.2)(layers.Flatten()(z))
    model = fastconv.Model(inputs, layers.Dense(3, activation="softmax")(z))
    model.compile(fastconv.optimizers.Adam(3e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, y, epochs=12, batch_size=24, verbose=0)
    return model.evaluate(*sounds(120, seed=1), verbose=0)[1]


if __name__ == "__main__":
    print(main())
