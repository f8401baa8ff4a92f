"""Images from scratch: augmentation in the model, separable convolutions, a binary answer. Score: accuracy."""

from made import shapes

import fastconv
from fastconv import layers

augmentation = fastconv.Sequential(
    [layers.RandomFlip("horizontal"), layers.RandomRotation(0.05), layers.RandomZoom(0.1), layers.RandomContrast(0.1)],
    name="augmentation",
)


def main():
    x, y, _ = shapes(480, channels=3)
    inputs = fastconv.Input(shape=(24, 24, 3))
    z = augmentation(inputs)
    z = layers.Rescaling(2.0, offset=-1.0)(z)
    z = layers.Conv2D(12, 3, strides=2, padding="same")(z)
    z = layers.Activation("relu")(layers.BatchNormalization()(z))
    before = z
    for size in (16, 24):
        z = layers.Activation("relu")(z)
        z = layers.BatchNormalization()(layers.SeparableConv2D(size, 3, padding="same")(z))
        z = layers.Activation("relu")(z)
        z = layers.BatchNormalization()(layers.SeparableConv2D(size, 3, padding="same")(z))
        z = layers.MaxPooling2D(3, strides=2, padding="same")(z)
        before = layers.Conv2D(size, 1, strides=2, padding="same")(before)
        z = before = layers.add([z, before])
    z = layers.SeparableConv2D(32, 3, padding="same", activation="relu", depthwise_regularizer="l2")(z)
    z = layers.Dropout(0.2)(layers.GlobalAveragePooling2D()(z))
    model = fastconv.Model(inputs, layers.Dense(1, activation=None)(z))
    model.compile(
        optimizer=fastconv.optimizers.Adam(3e-3),
        loss=fastconv.losses.BinaryCrossentropy(from_logits=True),
        metrics=[fastconv.metrics.BinaryAccuracy(name="accuracy", threshold=0), fastconv.metrics.AUC(from_logits=True)],
    )
    target = (y == 2).astype("float32")[:, None]
    model.fit(x, target, batch_size=32, epochs=14, class_weight={0: 1.0, 1: 2.0}, verbose=0)
    x, y, _ = shapes(150, channels=3, seed=1)
    return model.evaluate(x, (y == 2).astype("float32")[:, None], verbose=0, return_dict=True)["accuracy"]


if __name__ == "__main__":
    print(main())
