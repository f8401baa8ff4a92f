"""The next frame of a film, by convolutional LSTMs. Score: average overlap of what is bright."""

import numpy as np
from made import moving

import fastconv
from fastconv import layers


def main():
    films, _ = moving(320, frames=6)
    x, y = films[:, :-1], films[:, 1:]
    inputs = layers.Input(shape=(None, *x.shape[2:]))
    z = layers.ConvLSTM2D(filters=12, kernel_size=(3, 3), padding="same", return_sequences=True, activation="tanh")(
        inputs
    )
    z = layers.BatchNormalization()(z)
    z = layers.ConvLSTM2D(filters=8, kernel_size=(3, 3), padding="same", return_sequences=True)(z)
    outputs = layers.Conv3D(filters=1, kernel_size=(1, 3, 3), activation="sigmoid", padding="same")(z)
    model = fastconv.models.Model(inputs, outputs)
    model.compile(loss=fastconv.losses.binary_crossentropy, optimizer=fastconv.optimizers.Adam(0.01))
    model.fit(x, y, batch_size=16, epochs=24, verbose=0)
    films, _ = moving(40, frames=6, seed=1)
    seen = model.predict(films[:, :-1], verbose=0)[:, -1] > 0.5
    true = films[:, -1] > 0.5
    return float(np.mean(np.sum(seen & true, axis=(1, 2, 3)) / np.sum(seen | true, axis=(1, 2, 3))))


if __name__ == "__main__":
    print(main())
