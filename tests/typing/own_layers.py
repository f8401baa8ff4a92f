"""Layers, a loss and a training step of one's own, for type checkers."""

from typing import Any

import numpy as np

import fastconv
from fastconv import Layer, Tensor, layers, losses, ops, optimizers, saving


@saving.register_keras_serializable(package="typing")
class Scale(Layer):
    def __init__(self, factor: float = 2.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.factor = factor

    def build(self, input_shape: Any) -> None:
        self.offset = self.add_weight((input_shape[-1],), "zeros", name="offset")

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        y = inputs * self.factor + self.offset
        return ops.relu(y) if training else y.reshape(-1, y.shape[-1])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "factor": self.factor}


class Gap(losses.Loss):
    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return ops.mean(ops.square(y_true - y_pred), axis=-1)


def saliency(model: fastconv.Model, images: np.ndarray, label: int) -> np.ndarray:
    x = Tensor(images, requires_grad=True)
    slopes = fastconv.gradients(ops.sum(model(x)[:, label]), x)
    return np.asarray(np.abs(slopes).max(axis=-1))


def steps(x: np.ndarray, y: np.ndarray) -> list[float]:
    model = fastconv.Sequential([layers.Input((4,)), Scale(), layers.Dense(1)])
    optimizer = optimizers.SGD(0.01)
    loss = Gap()

    def objective(weights: list[fastconv.Variable]) -> Tensor:
        return loss(y, model(x, training=True))

    found: list[float] = []
    for _ in range(3):
        value, slopes = fastconv.value_and_grad(objective)(model.trainable_weights)
        optimizer.apply(slopes, model.trainable_weights)
        found.append(float(value))
    with fastconv.no_grad():
        print((model(x) - y).max(), model.get_layer(index=0).get_config())
    return found


def run(path: str) -> None:
    x = np.random.default_rng(0).random((8, 4), dtype="float32")
    print(steps(x, x.sum(axis=1, keepdims=True)))
    model = fastconv.Sequential([layers.Input((6, 6, 1)), layers.Conv2D(2, 3), layers.Flatten(), layers.Dense(3)])
    print(saliency(model, np.ones((2, 6, 6, 1), "float32"), 1).shape)
