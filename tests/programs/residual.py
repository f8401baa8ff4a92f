"""A residual network with pre-activation blocks, weight decay and a cosine schedule. Score: accuracy."""

from made import digits

import fastconv
from fastconv import layers


def block(x, filters, strides=1):
    z = layers.BatchNormalization()(x)
    z = layers.Activation("relu")(z)
    shortcut = layers.Conv2D(filters, 1, strides=strides, use_bias=False)(z)
    z = layers.Conv2D(filters, 3, strides=strides, padding="same", use_bias=False, kernel_initializer="he_normal")(z)
    z = layers.ReLU()(layers.BatchNormalization()(z))
    z = layers.Conv2D(filters, 3, padding="same", use_bias=False, kernel_initializer="he_normal")(z)
    return layers.Add()([z, shortcut])


def main():
    x, y = digits(640, channels=3)
    inputs = fastconv.Input((24, 24, 3))
    z = layers.Conv2D(12, 3, padding="same", use_bias=False)(inputs)
    for filters, strides in ((16, 2), (32, 2)):
        z = block(z, filters, strides)
        z = block(z, filters)
    z = layers.GlobalMaxPooling2D()(layers.ReLU()(layers.BatchNormalization()(z)))
    model = fastconv.Model(inputs, layers.Dense(10)(z), name="residual")
    epochs, batch_size = 12, 32
    rate = fastconv.optimizers.schedules.CosineDecay(3e-3, decay_steps=epochs * len(x) // batch_size)
    model.compile(
        optimizer=fastconv.optimizers.AdamW(rate, weight_decay=1e-3, clipnorm=5.0),
        loss=fastconv.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=[fastconv.metrics.SparseCategoricalAccuracy("accuracy")],
    )
    model.fit(x, y, batch_size=batch_size, epochs=epochs, verbose=0)
    return model.evaluate(*digits(160, channels=3, seed=1), verbose=0)[1]


if __name__ == "__main__":
    print(main())
