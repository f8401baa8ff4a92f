"""Forecasting by a temporal convolutional network: causal, dilated, residual. Score: 1 - error / error of "as before"."""

import numpy as np

import fastconv
from fastconv import layers


def series(count, steps=64, seed=0):
    rng = np.random.default_rng(seed)
    time = np.arange(steps + 4)
    slow, fast = rng.uniform(0.1, 0.2, (count, 1)), rng.uniform(0.5, 0.7, (count, 1))
    whole = np.sin(time * slow + rng.uniform(0, 6, (count, 1))) + 0.5 * np.sin(time * fast)
    return whole[:, :steps, None].astype("float32"), whole[:, steps:].astype("float32")


def block(x, filters, rate):
    z = layers.Conv1D(filters, 3, padding="causal", dilation_rate=rate, activation="gelu")(x)
    z = layers.LayerNormalization()(z)
    z = layers.Conv1D(filters, 3, padding="causal", dilation_rate=rate, activation="gelu")(z)
    if x.shape[-1] != filters:
        x = layers.Conv1D(filters, 1)(x)
    return layers.Add()([x, layers.Dropout(0.05)(z)])


def main():
    x, y = series(400)
    inputs = z = fastconv.Input((64, 1))
    for rate in (1, 2, 4, 8):
        z = block(z, 16, rate)
    z = layers.Lambda(lambda t: t[:, -1, :], output_shape=(16,))(z)
    model = fastconv.Model(inputs, layers.Dense(4)(z))
    rate = fastconv.optimizers.schedules.ExponentialDecay(5e-3, decay_steps=50, decay_rate=0.9)
    model.compile(
        optimizer=fastconv.optimizers.Adam(rate, amsgrad=True), loss="mse",
        metrics=["mae", fastconv.metrics.RootMeanSquaredError(), fastconv.metrics.R2Score()],
    )  # fmt: skip
    model.fit(x, y, epochs=12, batch_size=32, verbose=0)
    x, y = series(100, seed=1)
    error = model.evaluate(x, y, verbose=0, return_dict=True)["loss"]
    return float(1 - error / np.mean((x[:, -1] - y) ** 2))


if __name__ == "__main__":
    print(main())
