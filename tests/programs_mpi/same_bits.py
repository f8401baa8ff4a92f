"""Trains networks on all processes, and tells the weights' SHA-256 and the results of each process."""

import hashlib

import numpy as np
from telling import tell

import fastconv
from fastconv import distribution, layers, losses, models
from fastconv.data import Dataset
from fastconv.datasets import mnist_mini
from fastconv.utils import set_random_seed, to_categorical

distribution.initialize()
fastconv.set_num_threads(1)
distribution.set_distribution(distribution.DataParallel(shards=8))
rank, size = distribution.rank(), distribution.size()
(x, y), (x_test, y_test) = mnist_mini.load_data()
x, x_test = x[..., None] / np.float32(255), x_test[..., None] / np.float32(255)


def tutorial():
    """README's program, on fewer digits."""
    set_random_seed(1)
    model = models.Sequential()
    model.add(layers.Conv2D(32, (5, 5), activation="relu", input_shape=(28, 28, 1)))
    model.add(layers.MaxPooling2D((2, 2)))
    model.add(layers.Conv2D(64, (5, 5), activation="relu"))
    model.add(layers.MaxPooling2D((2, 2)))
    model.add(layers.Flatten())
    model.add(layers.Dense(10, activation="softmax"))
    model.compile(loss="categorical_crossentropy", optimizer="sgd", metrics=["accuracy"])
    history = model.fit(x[:550], to_categorical(y[:550], 10), batch_size=100, epochs=2).history
    return model, [history, model.evaluate(x_test[:90], to_categorical(y_test[:90], 10), verbose=0)]


def normalized():
    """BatchNormalization and dropout, other seeds in every process, and last batches of 7 samples."""
    set_random_seed(100 if size == 1 else 100 + rank)
    model = models.Sequential([
        layers.Input((28, 28, 1)), layers.RandomTranslation(0.1, 0.1), layers.Conv2D(4, 3, strides=2, use_bias=False), layers.BatchNormalization(),
        layers.ReLU(), layers.SpatialDropout2D(0.1, seed=3), layers.Flatten(), layers.Dropout(0.3),
        layers.Dense(10, activation="softmax", kernel_regularizer="l2"),
    ])  # fmt: skip
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(
        x[:135], y[:135], batch_size=32, epochs=3, verbose=0, validation_split=0.1,
        sample_weight=np.linspace(0.1, 1, 135), callbacks=[fastconv.callbacks.EarlyStopping("val_loss", patience=5)],
    ).history  # fmt: skip
    return model, history


def synchronized():
    """Statistics of whole batches, of which the last has 4 samples: some shards, and processes, have none."""
    set_random_seed(9)
    model = models.Sequential([
        layers.Input((28, 28, 1)), layers.Conv2D(4, 3, strides=2, use_bias=False), layers.BatchNormalization(synchronized=True),
        layers.ReLU(), layers.Dropout(0.2), layers.Flatten(), layers.Dense(10), layers.BatchNormalization(synchronized=True),
        layers.Softmax(),
    ])  # fmt: skip
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model, model.fit(x[:68], y[:68], batch_size=32, epochs=2, verbose=0).history


def streamed():
    """A Dataset that draws, in batches of which the last one has 4 samples: fewer than shards."""
    set_random_seed(5)

    def noisy(x, y, random):
        return x + random.normal(0, 0.1, x.shape).astype("float32"), y

    batches = Dataset.from_arrays((x[:68], y[:68])).shuffle(seed=2).map(noisy, seed=3).batch(32).prefetch(1)
    model = models.Sequential([layers.Input((28, 28, 1)), layers.Flatten(), layers.Dense(10, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model, model.fit(batches, epochs=2, verbose=0, validation_data=batches).history


by_weights = losses.SparseCategoricalCrossentropy(reduction="mean_with_sample_weight")
weights = np.where(np.arange(128) % 5 == 0, 10.0 ** (np.arange(128) % 7 - 3), 0)  # most shards have none


def weighed():
    """A mean by uneven weights; the last batch has 4 samples: some shards, and processes, have none."""
    set_random_seed(2)
    if rank:
        layers.Dense(1)  # layers' names may differ
    model = models.Sequential([layers.Input((28, 28, 1)), layers.Flatten(), layers.Dense(10, activation="softmax")])
    model.compile("adam", by_weights, weighted_metrics=["accuracy"])
    held_out = x[68:79], y[68:79], weights[68:79]
    return model, model.fit(
        x[:68], y[:68], batch_size=32, epochs=2, verbose=0, sample_weight=weights[:68], validation_data=held_out
    ).history


def own_parts():
    """Each process has its half of every batch, or one process both halves of them."""
    set_random_seed(7)
    parts = [
        array[:128].reshape(2, 64, *array.shape[1:]) for array in (x, y, weights)
    ]  # of process 0, and of process 1
    if size == 2:
        data = [part[rank] for part in parts]
    else:  # in batches of 32 as two processes see them: 16 samples of each
        order = np.concatenate([np.r_[start : start + 16, 64 + start : 80 + start] for start in range(0, 64, 16)])
        data = [array[:128][order] for array in (x, y, weights)]
    distribution.set_distribution(distribution.DataParallel(shards=8, auto_shard_dataset=size != 2))
    model = models.Sequential([layers.Input((28, 28, 1)), layers.Flatten(), layers.Dense(10, activation="softmax")])
    model.compile("adam", by_weights, metrics=["accuracy"])
    return model, model.fit(*data[:2], sample_weight=data[2], batch_size=32, epochs=2, shuffle=False, verbose=0).history


found = {}
for train in (tutorial, normalized, synchronized, streamed, weighed, own_parts):
    model, results = train()
    digest = hashlib.sha256(b"".join(weight.tobytes() for weight in model.get_weights())).hexdigest()
    found[train.__name__] = [digest, results]
found["reduced"] = [a if a is None else a.tolist() for a in distribution.reduce([np.full(3, rank + 1.0), None])]
tell(found)
