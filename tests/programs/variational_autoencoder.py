"""A variational autoencoder whose sampling layer adds its own loss. Score: 1 - error / variance of what is decoded."""

import numpy as np
from made import shapes

import fastconv
from fastconv import layers, ops


class Sampling(layers.Layer):
    """Draws from N(mean, exp(log_variance)), and adds the divergence from N(0, 1) to the loss."""

    def __init__(self, weight=1e-3, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.weight = weight
        self.seed_generator = fastconv.random.SeedGenerator(seed)

    def call(self, inputs):
        mean, log_variance = inputs
        divergence = -0.5 * ops.sum(1 + log_variance - ops.square(mean) - ops.exp(log_variance), axis=-1)
        self.add_loss(self.weight * ops.mean(divergence))
        noise = fastconv.random.normal(ops.shape(mean), seed=self.seed_generator)
        return mean + ops.exp(0.5 * log_variance) * noise


def main():
    x, _, _ = shapes(320, noise=0.02)
    inputs = fastconv.Input((24, 24, 1))
    z = layers.Conv2D(16, 3, strides=2, padding="same", activation="relu")(inputs)
    z = layers.Conv2D(32, 3, strides=2, padding="same", activation="relu")(z)
    z = layers.Dense(64, activation="relu")(layers.Flatten()(z))
    mean, log_variance = layers.Dense(8, name="mean")(z), layers.Dense(8, name="log_variance")(z)
    encoder = fastconv.Model(inputs, [mean, log_variance, Sampling(seed=1)([mean, log_variance])], name="encoder")
    code = fastconv.Input((8,))
    z = layers.Reshape((6, 6, 32))(layers.Dense(6 * 6 * 32, activation="relu")(code))
    z = layers.Conv2DTranspose(16, 3, strides=2, padding="same", activation="relu")(z)
    z = layers.Conv2DTranspose(1, 3, strides=2, padding="same")(z)
    decoder = fastconv.Model(code, z, name="decoder")

    model = fastconv.Model(inputs, decoder(encoder(inputs)[2]))
    model.compile(optimizer=fastconv.optimizers.Adam(5e-3), loss="mse")
    history = model.fit(x, x, epochs=25, batch_size=32, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
    made = decoder.predict(np.random.default_rng(0).standard_normal((4, 8)).astype("float32"), verbose=0)
    assert made.shape == (4, 24, 24, 1)
    return float(1 - np.mean((decoder.predict(encoder.predict(x, verbose=0)[0], verbose=0) - x) ** 2) / x.var())


if __name__ == "__main__":
    print(main())
