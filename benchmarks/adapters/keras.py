"""Keras on TensorFlow or JAX (KERAS_BACKEND chooses): the tutorial's network and whole ones, as its users write.

Contract: see adapters/__init__.py. The step is train_on_batch (compiled by Keras: tf.function, jax.jit), the epoch is
fit, a call is predict_on_batch, which is Keras' quickest compiled way to one batch.
"""

import importlib
import os

from .. import data, shapes
from . import keras_layers, keras_networks


class Adapter:
    def __init__(self, threads):
        backend = os.environ["KERAS_BACKEND"]
        _limit_threads(backend, threads)
        self.keras = importlib.import_module("keras")
        self.backend = importlib.import_module(backend)

    def versions(self):
        return {"keras": self.keras.__version__, self.backend.__name__: self.backend.__version__}

    def layer(self, row, weights, ring):
        if self.backend.__name__ != "jax":
            raise NotImplementedError("layers are raced with Keras on JAX")
        return keras_layers.of_jax(self.keras, self.backend, row, weights, ring)

    def training(self, weights):
        return Training(self.keras, network(self.keras, weights))

    def inference(self, weights):
        model = network(self.keras, weights)
        return {
            "call": model.predict_on_batch,
            "predict": lambda images: model.predict(images, batch_size=len(images), verbose=0),
        }

    def native(self, x):
        return x

    def network_training(self, network, weights, ring):
        return keras_networks.training(self.keras, network, weights, ring)

    def network_inference(self, network, weights):
        model = keras_networks.build(self.keras, network, weights)
        return model.predict_on_batch, _same

    def read(self, result):
        if isinstance(result, tuple):  # a layer's
            for part in result:
                part.block_until_ready()
            return
        if getattr(result, "ndim", 0) > 2:  # a cell's logits
            result = result[(-1,) * (result.ndim - 2)]
        float(result if isinstance(result, float) else result[-1, -1])


def network(keras, weights):
    """The tutorial's network from any module with Keras' names; fastconv has them too."""
    layers = keras.layers
    model = keras.Sequential([
        layers.Input(shapes.IMAGE),
        layers.Conv2D(32, 5, activation="relu"),
        layers.MaxPooling2D(2),
        layers.Conv2D(64, 5, activation="relu"),
        layers.MaxPooling2D(2),
        layers.Flatten(),
        layers.Dense(shapes.CLASSES, activation="softmax"),
    ])  # fmt: skip
    model.set_weights(list(weights.values()))
    return model


class Training:
    def __init__(self, keras, model):
        self.model = model
        optimizer = keras.optimizers.SGD(learning_rate=shapes.LEARNING_RATE)
        model.compile(optimizer=optimizer, loss="categorical_crossentropy")

    def batch(self, images, labels):
        return images, data.one_hot(labels)

    def step(self, batch):
        return float(self.model.train_on_batch(*batch))

    def epoch(self, images, labels):
        self.model.fit(images, data.one_hot(labels), batch_size=shapes.BATCH, epochs=1, verbose=0)


def _limit_threads(backend, threads):
    """Must run before the backend does; a worker's processor affinity bounds what this does not."""
    if backend == "tensorflow":
        threading = importlib.import_module("tensorflow").config.threading
        threading.set_intra_op_parallelism_threads(threads)
        threading.set_inter_op_parallelism_threads(threads)
    elif threads == 1:
        os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_cpu_multi_thread_eigen=false"


def _same(value):
    return value
