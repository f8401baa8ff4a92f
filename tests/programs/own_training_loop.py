"""A training loop of one's own: gradients, clipping, an optimizer, metrics and a moving average. Score: accuracy."""

import numpy as np
from made import digits

import fastconv
from fastconv import layers, ops


def main():
    x, y = digits(640)
    model = fastconv.Sequential(
        [
            fastconv.Input((24, 24, 1)),
            layers.Conv2D(12, 3, strides=2, activation="relu"),
            layers.BatchNormalization(momentum=0.9),
            layers.Conv2D(24, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(10, kernel_regularizer="l2"),
        ]
    )
    optimizer = fastconv.optimizers.Adam(3e-3, use_ema=True, ema_momentum=0.95)
    loss_of = fastconv.losses.SparseCategoricalCrossentropy(from_logits=True)
    seen, right = fastconv.metrics.Mean(name="loss"), fastconv.metrics.SparseCategoricalAccuracy()
    order = np.random.default_rng(0)
    for _ in range(20):
        seen.reset_state()
        right.reset_state()
        for batch in order.permutation(len(x)).reshape(-1, 32):
            logits = model(x[batch], training=True)
            loss = loss_of(y[batch], logits) + 0.01 * sum(model.losses)
            model.zero_grad()
            loss.backward()
            gradients = [ops.clip(weight.grad, -1.0, 1.0) for weight in model.trainable_variables]
            optimizer.apply(gradients, model.trainable_variables)
            seen.update_state(loss)
            right.update_state(y[batch], logits)
    assert float(seen.result()) < 1 and float(right.result()) > 0.8
    optimizer.finalize_variable_values(model.trainable_variables)
    x, y = digits(160, seed=1)
    return float(np.mean(np.argmax(model.predict(x, verbose=0), axis=-1) == y))


if __name__ == "__main__":
    print(main())
