"""Where did it look? Grad-CAM of a convnet's last maps. Score: share of pictures whose brightest cell lies on the shape."""

import numpy as np
from made import shapes

import fastconv
from fastconv import layers, ops


def main():
    x, y, _ = shapes(360)
    inputs = fastconv.Input((24, 24, 1))
    z = layers.MaxPooling2D(2)(layers.Conv2D(12, 5, padding="same", activation="relu")(inputs))
    z = layers.Conv2D(24, 3, padding="same", activation="relu", name="last")(z)
    z = layers.GlobalMaxPooling2D()(z)
    model = fastconv.Model(inputs, layers.Dense(3)(z))
    model.compile("adam", fastconv.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(x, y, batch_size=24, epochs=12, verbose=0)

    x, y, masks = shapes(60, seed=1)
    both = fastconv.Model(model.inputs, [model.get_layer("last").output, model.output])
    maps, scores = both(x)
    chosen = ops.sum(ops.max(scores, axis=-1))
    slopes = fastconv.gradients(chosen, maps)
    weights = ops.mean(slopes, axis=(1, 2), keepdims=True)
    cam = ops.relu(ops.sum(maps * weights, axis=-1))
    cam = np.asarray(ops.image.resize(cam[..., None], (24, 24), interpolation="bilinear"))[..., 0]
    row, column = np.unravel_index(cam.reshape(60, -1).argmax(axis=1), (24, 24))
    near = np.stack([np.roll(masks, (i, j), (1, 2)) for i in (-2, 0, 2) for j in (-2, 0, 2)]).max(axis=0)
    return float(np.mean(near[np.arange(60), row, column]))


if __name__ == "__main__":
    print(main())
