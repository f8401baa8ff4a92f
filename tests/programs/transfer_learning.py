"""Transfer: a base that learned digits is frozen, gets a new head for shapes, then is tuned. Score: accuracy."""

import numpy as np
from made import digits, shapes

import fastconv
from fastconv import layers


def eye():
    model = fastconv.Sequential([fastconv.Input((32, 32, 3))], name="eye")
    for filters in (12, 24, 32):
        model.add(layers.Conv2D(filters, 3, padding="same", use_bias=False))
        model.add(layers.BatchNormalization(momentum=0.9))
        model.add(layers.Activation("relu"))
        model.add(layers.MaxPooling2D(2))
    model.add(layers.GlobalMaxPooling2D())
    return model


def main():
    base = eye()
    inputs = fastconv.Input((24, 24, 3))
    resize = layers.Resizing(32, 32)
    first = fastconv.Model(inputs, layers.Dense(10)(base(resize(inputs))))
    first.compile(fastconv.optimizers.Adam(5e-3), fastconv.losses.SparseCategoricalCrossentropy(from_logits=True))
    first.fit(*digits(640, channels=3), epochs=6, batch_size=32, verbose=0)

    base.trainable = False
    x, y, _ = shapes(256, channels=3)
    z = layers.RandomFlip("horizontal_and_vertical")(inputs)
    z = base(resize(z), training=False)
    z = layers.Dropout(0.1)(layers.BatchNormalization()(z))
    model = fastconv.Model(inputs, layers.Dense(3, activation="softmax")(z))
    assert len(model.trainable_weights) == 4
    kept = base.get_weights()
    model.compile(fastconv.optimizers.Adam(0.02), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, y, epochs=4, batch_size=32, verbose=0)
    for before, after in zip(kept, base.get_weights()):
        np.testing.assert_array_equal(before, after)

    base.trainable = True
    for layer in base.layers[:5]:
        layer.trainable = False
    model.compile(fastconv.optimizers.Adam(1e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, y, epochs=5, batch_size=32, verbose=0)
    return model.evaluate(x, y, verbose=0)[1]


if __name__ == "__main__":
    print(main())
