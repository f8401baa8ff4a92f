"""A convolutional autoencoder that denoises, its encoder taken out as a model of its own. Score: 1 - error / variance."""

import numpy as np
from made import shapes

import fastconv
from fastconv import layers


def main():
    x, _, _ = shapes(320, noise=0.02)
    noisy = x + 0.2 * np.random.default_rng(1).standard_normal(x.shape).astype("float32")
    inputs = layers.Input(shape=(24, 24, 1))
    z = layers.Conv2D(16, (3, 3), activation="relu", padding="same")(inputs)
    z = layers.MaxPooling2D((2, 2), padding="same")(z)
    z = layers.Conv2D(8, (3, 3), activation="relu", padding="same")(z)
    code = layers.MaxPooling2D((2, 2), padding="same", name="code")(z)
    z = layers.Conv2DTranspose(16, (3, 3), strides=2, activation="relu", padding="same")(code)
    z = layers.UpSampling2D((2, 2), interpolation="bilinear")(z)
    outputs = layers.Conv2D(1, (3, 3), activation="linear", padding="same")(z)
    model = fastconv.models.Model(inputs, outputs)
    model.compile(optimizer=fastconv.optimizers.RMSprop(3e-3), loss="mean_absolute_error", metrics=["mse"])
    model.fit(x=noisy, y=x, epochs=12, batch_size=32, shuffle=True, validation_data=(noisy[:32], x[:32]), verbose=0)
    encoder = fastconv.Model(model.input, model.get_layer("code").output)
    assert encoder.predict(noisy[:3], verbose=0).shape == (3, 6, 6, 8)
    return float(1 - np.mean((model.predict(noisy, verbose=0) - x) ** 2) / x.var())


if __name__ == "__main__":
    print(main())
