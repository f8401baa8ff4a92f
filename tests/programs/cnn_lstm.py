"""Films by their movement: a convnet at each frame, recurrence over the frames, masks for short films. Score: accuracy."""

from made import moving

import fastconv
from fastconv import layers


def short(films, lengths):
    films = films.copy()
    for film, length in zip(films, lengths):
        film[length:] = 0
    return films


def main():
    films, ways = moving(320, frames=6)
    films = short(films, 4 + ways % 3)
    eye = fastconv.Sequential(
        [
            fastconv.Input(films.shape[2:]),
            layers.Conv2D(12, 3, activation="relu", padding="same"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(24),
        ]
    )
    inputs = fastconv.Input(films.shape[1:])
    z = layers.TimeDistributed(eye)(inputs)
    z = layers.Bidirectional(layers.LSTM(16, return_sequences=True))(z)
    z = layers.GRU(24, dropout=0.05)(z)
    model = fastconv.Model(inputs, layers.Dense(4, activation="softmax")(z))
    model.compile(
        optimizer=fastconv.optimizers.Adam(5e-3, global_clipnorm=1.0), loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )  # fmt: skip
    model.fit(films, ways, batch_size=32, epochs=15, verbose=0)
    films, ways = moving(100, frames=6, seed=1)
    return model.evaluate(short(films, 4 + ways % 3), ways, verbose=0)[1]


if __name__ == "__main__":
    print(main())
