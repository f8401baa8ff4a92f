"""Super-resolution: three times as many pixels an axis, by channels that become pixels. Score: error of bicubic / ours - 1."""

import numpy as np
from made import shapes

import fastconv
from fastconv import layers, ops


class DepthToSpace(layers.Layer):
    """(rows, columns, scale^2 c) -> (scale rows, scale columns, c)."""

    def __init__(self, scale, **kwargs):
        super().__init__(**kwargs)
        self.scale = scale

    def call(self, x):
        _, rows, columns, channels = x.shape
        s, left = self.scale, channels // self.scale**2
        x = ops.reshape(x, (-1, rows, columns, s, s, left))
        x = ops.transpose(x, (0, 1, 3, 2, 4, 5))
        return ops.reshape(x, (-1, rows * s, columns * s, left))

    def compute_output_shape(self, shape):
        s = self.scale
        return (shape[0], shape[1] * s, shape[2] * s, shape[3] // s**2)

    def get_config(self):
        return {**super().get_config(), "scale": self.scale}


def main():
    fine, _, _ = shapes(400, noise=0)
    coarse = np.asarray(ops.image.resize(fine, (8, 8), interpolation="bilinear", antialias=True))
    inputs = fastconv.Input((8, 8, 1))
    z = layers.Conv2D(24, 5, activation="tanh", padding="same", kernel_initializer="orthogonal")(inputs)
    z = layers.Conv2D(24, 3, activation="relu", padding="same", kernel_initializer="orthogonal")(z)
    z = layers.Conv2D(9, 3, padding="same", kernel_initializer="orthogonal")(z)
    z = DepthToSpace(3)(z)
    outputs = layers.add([z, layers.Resizing(24, 24, interpolation="bicubic")(inputs)])
    model = fastconv.Model(inputs, outputs)
    model.compile(optimizer=fastconv.optimizers.Adam(learning_rate=3e-3), loss=fastconv.losses.MeanSquaredError())
    model.fit(coarse, fine, batch_size=32, epochs=15, verbose=0)
    cubic = np.asarray(ops.image.resize(coarse[:50], (24, 24), interpolation="bicubic"))
    ours = model.predict(coarse[:50], verbose=0)
    return float(np.mean((cubic - fine[:50]) ** 2) / np.mean((ours - fine[:50]) ** 2) - 1)


if __name__ == "__main__":
    print(main())
