"""Pictures and numbers in, a class and a number out: names, weights of losses, a metric each. Score: accuracy."""

import numpy as np
from made import shapes

import fastconv
from fastconv import layers


def data(count, seed=0):
    x, y, masks = shapes(count, seed=seed)
    facts = np.random.default_rng(seed).uniform(-1, 1, (count, 3)).astype("float32")
    size = masks.sum(axis=(1, 2)) / 100 + facts[:, 0]
    return {"picture": x, "facts": facts}, {"kind": y, "size": size.astype("float32")[:, None]}


def main():
    picture = fastconv.Input((24, 24, 1), name="picture")
    facts = fastconv.Input((3,), name="facts")
    z = layers.Conv2D(12, 5, strides=2, activation="relu")(picture)
    z = layers.Conv2D(24, 3, activation=layers.PReLU(shared_axes=[1, 2]))(z)
    z = layers.concatenate([layers.GlobalMaxPooling2D()(z), layers.GlobalAveragePooling2D()(z)])
    z = layers.Concatenate()([z, layers.Dense(12, activation="tanh")(facts)])
    kind = layers.Dense(3, activation="softmax", name="kind")(z)
    size = layers.Dense(1, name="size")(z)
    model = fastconv.Model(inputs=[picture, facts], outputs={"kind": kind, "size": size})
    model.compile(
        optimizer=fastconv.optimizers.Adam(5e-3),
        loss={"kind": "sparse_categorical_crossentropy", "size": fastconv.losses.LogCosh()},
        loss_weights={"kind": 1.0, "size": 0.5},
        metrics={"kind": ["accuracy"], "size": ["mean_absolute_error"]},
    )
    x, y = data(480)
    model.fit(x, y, epochs=12, batch_size=32, validation_data=data(60, 2), verbose=0)
    x, y = data(150, 1)
    scores = model.evaluate(x, y, verbose=0, return_dict=True)
    assert scores["size_mean_absolute_error"] < 0.5
    assert set(model.predict(x, verbose=0)) == {"kind", "size"}
    return scores["kind_accuracy"]


if __name__ == "__main__":
    print(main())
