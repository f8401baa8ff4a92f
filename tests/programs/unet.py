"""A U-Net for a mask of four classes, with weights for its pixels' classes. Score: mean intersection over union."""

import numpy as np
from made import shapes

import fastconv
from fastconv import layers


def double(x, filters):
    for _ in range(2):
        x = layers.Conv2D(filters, 3, padding="same", kernel_initializer="he_normal", use_bias=False)(x)
        x = layers.Activation("relu")(layers.BatchNormalization(momentum=0.9)(x))
    return x


def main():
    x, labels, masks = shapes(240)
    target = masks * (labels + 1)[:, None, None]
    inputs = fastconv.Input(shape=(24, 24, 1))
    skips, z = [], inputs
    for filters in (8, 16):
        z = double(z, filters)
        skips.append(z)
        z = layers.MaxPooling2D(2)(z)
    z = layers.SpatialDropout2D(0.1)(double(z, 32))
    for filters, skip in ((16, skips[1]), (8, skips[0])):
        z = layers.Conv2DTranspose(filters, 2, strides=2, padding="same")(z)
        z = double(layers.Concatenate(axis=-1)([z, skip]), filters)
    outputs = layers.Conv2D(4, 1, activation="softmax")(z)
    model = fastconv.Model(inputs=inputs, outputs=outputs, name="u_net")
    model.compile(
        optimizer=fastconv.optimizers.Adam(5e-3),
        loss="sparse_categorical_crossentropy",
        metrics=[fastconv.metrics.MeanIoU(num_classes=4, sparse_y_pred=False, name="iou")],
    )
    model.fit(x, target, batch_size=16, epochs=10, sample_weight=np.where(target > 0, 3.0, 1.0), verbose=0)
    x, labels, masks = shapes(60, seed=1)
    return model.evaluate(x, masks * (labels + 1)[:, None, None], verbose=0, return_dict=True)["iou"]


if __name__ == "__main__":
    print(main())
