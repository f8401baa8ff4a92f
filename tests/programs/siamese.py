"""Are two pictures of one kind? Twins that share their weights, and a contrastive loss. Score: accuracy of pairs."""

import numpy as np
from made import shapes

import fastconv
from fastconv import layers, ops


def pairs(count, seed=0):
    x, y, _ = shapes(2 * count, seed=seed)
    return [x[:count], x[count:]], (y[:count] != y[count:]).astype("float32")


def distance(vectors):
    a, b = vectors
    return ops.sqrt(ops.maximum(ops.sum(ops.square(a - b), axis=1, keepdims=True), 1e-7))


def contrastive(y_true, y_pred, margin=1.0):
    near = ops.square(y_pred)
    apart = ops.square(ops.maximum(margin - y_pred, 0))
    return ops.mean((1 - y_true) * near + y_true * apart)


def main():
    x, y = pairs(480)
    image = fastconv.Input((24, 24, 1))
    z = layers.BatchNormalization()(image)
    z = layers.MaxPooling2D(2)(layers.Conv2D(12, 5, activation="tanh", padding="same")(z))
    z = layers.MaxPooling2D(2)(layers.Conv2D(24, 3, activation="relu", padding="same")(z))
    twin = fastconv.Model(image, layers.Dense(12)(layers.GlobalMaxPooling2D()(z)), name="twin")
    first, second = fastconv.Input((24, 24, 1)), fastconv.Input((24, 24, 1))
    apart = layers.Lambda(distance, output_shape=(1,))([twin(first), twin(second)])
    model = fastconv.Model(inputs=[first, second], outputs=apart)
    model.compile(loss=contrastive, optimizer=fastconv.optimizers.Adam(3e-3))
    model.fit(x, y, batch_size=16, epochs=20, verbose=0)
    x, y = pairs(150, seed=1)
    return float(np.mean((model.predict(x, verbose=0)[:, 0] > 0.5) == y))


if __name__ == "__main__":
    print(main())
