"""Metric learning: vectors of length one, near for a kind, apart for others. Score: accuracy of the nearest neighbour."""

import numpy as np
from made import shapes

import fastconv
from fastconv import layers, ops


@fastconv.saving.register_keras_serializable(package="programs")
class SimilarityLoss(fastconv.losses.Loss):
    """Cross-entropy of who among the batch is of the same kind, by cosine similarity."""

    def __init__(self, temperature=0.2, name="similarity", **kwargs):
        super().__init__(name=name, **kwargs)
        self.temperature = temperature

    def call(self, y_true, y_pred):
        labels = ops.reshape(y_true, (-1, 1))
        same = ops.cast(ops.equal(labels, ops.transpose(labels)), "float32")
        others = 1.0 - ops.eye(same.shape[0])
        logits = ops.matmul(y_pred, ops.transpose(y_pred)) / self.temperature - 1e9 * (1.0 - others)
        log_share = logits - ops.logsumexp(logits, axis=1, keepdims=True)
        same = same * others
        return -ops.sum(same * log_share, axis=1) / ops.maximum(ops.sum(same, axis=1), 1.0)

    def get_config(self):
        return {**super().get_config(), "temperature": self.temperature}


def main():
    x, y, _ = shapes(384)
    inputs = fastconv.Input((24, 24, 1))
    z = layers.Conv2D(16, 3, strides=2, activation="relu")(inputs)
    z = layers.GroupNormalization(groups=4)(z)
    z = layers.DepthwiseConv2D(3, depth_multiplier=2, activation="relu")(z)
    z = layers.Conv2D(24, 1, activation="hard_swish")(z)
    z = layers.Dense(8)(layers.concatenate([layers.GlobalMaxPooling2D()(z), layers.GlobalAveragePooling2D()(z)]))
    model = fastconv.Model(inputs, layers.UnitNormalization()(z))
    model.compile(fastconv.optimizers.Lion(1e-3), SimilarityLoss())
    model.fit(x, y, batch_size=32, epochs=15, verbose=0)
    a, b = model.predict(x[:256], verbose=0), model.predict(x[256:], verbose=0)
    nearest = np.argmax(b @ a.T, axis=1)
    return float(np.mean(y[:256][nearest] == y[256:]))


if __name__ == "__main__":
    print(main())
