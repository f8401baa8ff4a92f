"""Training in shards by one process: the tree of sums, what a step adds up, what is refused, and what goes wrong with
launchers; docs/machines.md, which runs. Several processes are in test_distribution_mpi.py."""

import os
import pathlib
import queue
import re
import sys
import threading
import types

import numpy as np
import pytest
from helpers import python

import fastconv
from fastconv import Input, Sequential, data, distribution, layers, losses, metrics, optimizers
from fastconv.callbacks import BackupAndRestore, Callback
from fastconv.distribution import DataParallel, folding, world
from fastconv.utils import set_random_seed

GUIDE = pathlib.Path(__file__).parent.parent / "docs" / "machines.md"
RANDOM = np.random.default_rng(0)
X = RANDOM.random((50, 6, 6, 1)).astype("float32")
Y = RANDOM.integers(0, 3, 50)


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    for variable in world.LAUNCHERS:
        monkeypatch.delenv(variable, raising=False)
    set_random_seed(1)
    yield
    distribution.set_distribution(None)


# The tree


def tree(vectors):
    """What folding.py promises, said by recursion."""
    if len(vectors) == 1:
        return vectors[0]
    middle = len(vectors) // 2
    return tree(vectors[:middle]) + tree(vectors[middle:])


class Threads:
    """As much of a communicator as folding needs, between threads."""

    def __init__(self, rank, boxes):
        self.rank, self.boxes = rank, boxes

    def Get_rank(self):
        return self.rank

    def Get_size(self):
        return len(self.boxes)

    def Sendrecv(self, sendbuf, dest, recvbuf, source):
        self.boxes[dest][self.rank].put(sendbuf.copy())
        recvbuf[...] = self.boxes[self.rank][source].get(timeout=20)


def summed(shards, processes):
    """The sum of vectors, a run of them on each of so many threads; what each thread has."""
    boxes = [{other: queue.Queue() for other in range(processes)} for _ in range(processes)]
    own, found = len(shards) // processes, [None] * processes

    def work(rank):
        fold = folding.Fold()
        for vector in shards[rank * own : rank * own + own]:
            fold.push(None if vector is None else vector.copy())
        found[rank] = fold.result()
        if found[rank] is None:
            found[rank] = np.zeros_like(shards[0])
        folding.add_up(found[rank], Threads(rank, boxes))

    workers = [threading.Thread(target=work, args=(rank,)) for rank in range(processes)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return found


@pytest.mark.parametrize("size", [1, 7, 1001, 20_001], ids=lambda size: f"{size} numbers")
@pytest.mark.parametrize("processes", [1, 2, 4, 8])
def test_the_tree_has_the_same_bits_on_any_number_of_processes(processes, size):
    shards = [RANDOM.standard_normal(size).astype("float32") * 10.0 ** RANDOM.integers(-6, 6) for _ in range(8)]
    for found in summed(shards, processes):
        assert found.tobytes() == tree(shards).tobytes()


@pytest.mark.parametrize("processes", [1, 2, 4])
def test_shards_without_samples_are_zeros(processes):
    """Also in the sign of a zero."""
    shards = [np.array([-0.0, 1.5, np.nan], "float32"), None, None, None]
    for found in summed(shards, processes):
        assert found.tobytes() == np.array([0.0, 1.5, np.nan], "float32").tobytes()


def test_a_tree_of_three_is_none():
    fold = folding.Fold()
    for _ in range(3):
        fold.push(np.zeros(1))
    with pytest.raises(ValueError, match="power of two"):
        fold.result()


@pytest.mark.parametrize("samples", [1, 7, 8, 9, 50])
@pytest.mark.parametrize("processes", [1, 2, 4, 8])
def test_all_processes_together_have_each_sample_once(processes, samples, monkeypatch):
    monkeypatch.setattr(world, "size", lambda: processes)
    cuts = []
    for rank in range(processes):
        monkeypatch.setattr(world, "rank", lambda rank=rank: rank)
        cuts += DataParallel(shards=8).cuts(samples)
    assert [cut[0] for cut in cuts] + [samples] == [0] + [cut[1] for cut in cuts]
    sizes = [stop - start for start, stop in cuts]
    assert max(sizes) - min(sizes) <= 1


# Steps in shards


def network(*more, **options):
    model = Sequential([Input((6, 6, 1)), layers.Conv2D(4, 3), *more, layers.ReLU(), layers.Flatten(),
                        layers.Dense(3, activation="softmax", kernel_regularizer="l2")])  # fmt: skip
    model.compile(**{"optimizer": optimizers.SGD(0.1, momentum=0.9), "loss": "sparse_categorical_crossentropy",
                     "metrics": ["accuracy"], **options})  # fmt: skip
    return model


def trained(shards, make=network, epochs=2, **options):
    """(history, weights) of a training in so many shards, or without a distribution."""
    set_random_seed(1)
    model = make()
    distribution.set_distribution(None if shards is None else DataParallel(shards=shards))
    history = model.fit(**{"x": X, "y": Y, "batch_size": 16, "epochs": epochs, "verbose": 0, **options}).history
    return history, model.get_weights()


def check_close(one, other):
    assert one[0].keys() == other[0].keys()
    for name in one[0]:
        np.testing.assert_allclose(one[0][name], other[0][name], rtol=1e-4, atol=1e-5)
    for a, b in zip(one[1], other[1]):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)


def sum_of_losses(**options):
    return network(
        loss=losses.SparseCategoricalCrossentropy(reduction="sum"), optimizer=optimizers.SGD(0.003),
        weighted_metrics=["accuracy"], **options,
    )  # fmt: skip


def mean_by_weights(**options):
    return network(loss=losses.SparseCategoricalCrossentropy(reduction="mean_with_sample_weight"), **options)


class OwnLoss(Sequential):
    def compute_loss(self, *args, **kwargs):
        return super().compute_loss(*args, **kwargs) * 2


def own_loss(reduction="sum_over_batch_size"):
    model = OwnLoss([Input((6, 6, 1)), layers.Flatten(), layers.Dense(3)])
    model.compile("sgd", losses.SparseCategoricalCrossentropy(from_logits=True, reduction=reduction))
    return model


WEIGHTS = RANDOM.random(50)
UNEVEN = np.where(
    RANDOM.random(50) < 0.8, 0, 10 ** RANDOM.uniform(-3, 3, 50)
)  # shards of two samples, many without weight
UNEVEN[-2:] = 0  # all of the last batch
CASES = {  # 50 samples in batches of 16: the last batch has two, in eight shards
    "regularized once, an uneven last batch": {},
    "weights of samples": {"sample_weight": WEIGHTS, "make": lambda: network(weighted_metrics=["accuracy"])},
    "weights of classes": {"class_weight": {0: 0.2, 1: 3.0}},
    "validation": {"validation_data": (X[:21], Y[:21])},
    "a validation of fewer samples than shards": {"validation_data": (X[:3], Y[:3]), "validation_batch_size": 2},
    "a Dataset": {"x": data.Dataset.from_arrays((X, Y)).batch(16), "y": None, "batch_size": None},
    "clipped": {"make": lambda: network(optimizer=optimizers.Adam(0.01, global_clipnorm=0.1))},
    "accumulated": {"make": lambda: network(optimizer=optimizers.Adam(0.01, gradient_accumulation_steps=2))},
    "step by step": {"make": lambda: network(run_eagerly=True)},
    "a sum": {"make": sum_of_losses, "validation_data": (X[:21], Y[:21])},
    "a sum, step by step, with weights": {"make": lambda: sum_of_losses(run_eagerly=True), "sample_weight": WEIGHTS},
    "a mean by weights": {"make": mean_by_weights, "sample_weight": UNEVEN, "shuffle": False,
                          "validation_data": (X[:21], Y[:21], UNEVEN[:21])},
    "a mean by weights, shuffled, step by step": {"make": lambda: mean_by_weights(run_eagerly=True), "sample_weight": UNEVEN},
    "a mean by weights, without any": {"make": mean_by_weights},
    "a mean by weights of classes": {"make": mean_by_weights, "class_weight": {0: 0.0, 1: 3.0}},
    "a loss of its own": {"make": own_loss, "sample_weight": WEIGHTS},
    "a metric of all outputs": {"make": lambda: network(metrics=[metrics.SparseTopKCategoricalAccuracy(2)])},
}  # fmt: skip


@pytest.mark.parametrize("options", CASES.values(), ids=CASES)
def test_shards_train_as_the_whole_batch_does(options):
    check_close(trained(8, **options), trained(None, **options))


def two_outputs(reduction="sum_over_batch_size"):
    inputs = Input((6, 6, 1))
    flat = layers.Flatten()(inputs)
    model = fastconv.Model(inputs, [layers.Dense(2, name="a")(flat), layers.Dense(1, name="b")(flat)])
    model.compile(
        "sgd",
        ["mse", losses.MeanAbsoluteError(reduction)],
        loss_weights=[1.0, 0.5],
        metrics={"b": ["mae", metrics.R2Score()]},
    )
    return model


@pytest.mark.parametrize("weights", [None, [WEIGHTS, UNEVEN]], ids=["", "weights"])
@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "sum", "mean_with_sample_weight"])
def test_several_outputs_and_metrics_that_know_their_shape_late(reduction, weights):
    y = [RANDOM.random((50, 2)), RANDOM.random((50, 1))]
    one, other = (trained(shards, lambda: two_outputs(reduction), y=y, sample_weight=weights) for shards in (4, None))
    check_close(one, other)


def test_means_by_weights_of_steps():
    """Weights that say which steps of a series count: none of most shards'."""

    def make():
        model = Sequential([Input((6, 4)), layers.Conv1D(3, 3, padding="same")])
        model.compile("sgd", losses.MeanSquaredError("mean_with_sample_weight"))
        return model

    options = {"x": MASKED, "y": RANDOM.random((50, 6, 3)), "sample_weight": RANDOM.random((50, 6)) < 0.05}
    check_close(trained(8, make, **options), trained(None, make, **options))


def test_a_step_in_shards_is_another_program_than_one_of_a_whole_batch():
    """Of equal shapes: four samples, and four shards of four, of one model."""
    models = [mean_by_weights(optimizer=optimizers.SGD(0.1)) for _ in range(2)]
    models[1].set_weights(models[0].get_weights())
    for number in range(6):
        for model, shards in zip(models, (4, None)):
            distribution.set_distribution(None if shards is None or number % 2 else DataParallel(shards=shards))
            part = slice(4) if number % 2 else slice(16)
            model.train_on_batch(X[part], Y[part], sample_weight=WEIGHTS[part])
    for one, other in zip(*(model.get_weights() for model in models)):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def test_the_same_run_has_the_same_bits_and_shards_are_part_of_it():
    def make():
        return network(layers.BatchNormalization(), layers.Dropout(0.3))

    first, again, other = (trained(shards, make) for shards in (8, 8, 4))
    assert first[0] == again[0] and all(a.tobytes() == b.tobytes() for a, b in zip(first[1], again[1]))
    assert first[0] != other[0]


def test_moving_statistics_are_the_mean_of_the_shards():
    model = Sequential([Input((1,)), layers.BatchNormalization(momentum=0.0)])
    model.compile(optimizers.SGD(0.0), "mse")
    distribution.set_distribution(DataParallel(shards=2))
    x = np.array([[0.0], [2.0], [10.0], [20.0], [30.0]], "float32")  # shards of 2 and 3: means 1 and 20
    model.fit(x, x, batch_size=5, epochs=1, shuffle=False, verbose=0)
    mean, variance = model.get_weights()[2:]
    np.testing.assert_allclose(mean, [(2 * 1 + 3 * 20) / 5], rtol=1e-6)
    np.testing.assert_allclose(variance, [(2 * 1 + 3 * 200 / 3) / 5], rtol=1e-6)


def synchronized(*more, **options):
    """A network whose last batch of two samples leaves six of eight shards empty, and one value a channel to each."""
    model = Sequential([
        Input((6, 6, 1)), layers.BatchNormalization(synchronized=True), layers.Conv2D(5, 3), *more, layers.ReLU(),
        layers.BatchNormalization(axis=1, synchronized=True), layers.Flatten(), layers.Dense(5),
        layers.BatchNormalization(synchronized=True), layers.Dense(3, activation="softmax", kernel_regularizer="l2"),
    ])  # fmt: skip
    model.compile(**{"optimizer": optimizers.SGD(0.1), "loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"],
                     **options})  # fmt: skip
    return model


def masked():
    model = Sequential([
        Input((6, 4)), layers.Masking(), layers.BatchNormalization(synchronized=True),
        layers.GlobalAveragePooling1D(), layers.Dense(3),
    ])  # fmt: skip
    model.compile("sgd", "mse")
    return model


def nested():
    inner = Sequential(
        [Input((6, 6, 1)), layers.BatchNormalization(synchronized=True), layers.ActivityRegularization(0.1)]
    )
    model = Sequential([Input((6, 6, 1)), inner, layers.Flatten(), layers.Dense(3, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


MASKED = np.where(RANDOM.random((50, 6, 1)) < 0.7, RANDOM.random((50, 6, 4)), 0).astype("float32")
SYNCHRONIZED = {
    "three layers, the last batch of two samples": (synchronized, {}),
    "validation": (synchronized, {"validation_data": (X[:21], Y[:21])}),
    "weights of samples": (synchronized, {"sample_weight": WEIGHTS}),
    "masked": (masked, {"x": MASKED, "y": RANDOM.random((50, 3))}),
    "in a model of a model, with a loss of a layer's": (nested, {"x": X[:48], "y": Y[:48]}),
}  # fmt: skip


@pytest.mark.parametrize("make,options", SYNCHRONIZED.values(), ids=SYNCHRONIZED)
def test_synchronized_statistics_are_those_of_the_whole_batch(make, options):
    before = threading.active_count()
    whole, *cut = [trained(shards, make, **options) for shards in (None, 1, 4, 8)]
    for one in cut:
        check_close(one, whole)
    assert threading.active_count() == before


def test_synchronized_shards_draw_what_they_draw_by_themselves():
    """Streams and moving weights are a shard's own while others are in the middle of a step."""

    def make(shared):
        return lambda: network(layers.Dropout(0.3), layers.BatchNormalization(momentum=0.5), layers.Dropout(0.3, seed=1),
                               *shared)  # fmt: skip

    alone = trained(4, make(()))
    waiting = layers.BatchNormalization(synchronized=True, epsilon=0.0, center=False, scale=False, trainable=False)
    found = trained(4, make((waiting,)))
    check_close((found[0], [*found[1][:6], *found[1][-2:]]), alone)


def test_a_shard_that_fails_among_waiting_ones_moves_nothing():
    class Odd(layers.Layer):
        def call(self, inputs, training=False):
            if training and float(inputs.numpy().max()) > 1:
                raise ValueError("above 1")
            return inputs

    model = synchronized(Odd())
    x = X[:16].copy()
    x[9] = 500.0
    distribution.set_distribution(DataParallel(shards=8))
    before, running = model.get_weights(), threading.active_count()
    with pytest.raises(ValueError, match="above 1") as caught:
        model.train_on_batch(x, Y[:16])
    if hasattr(caught.value, "__notes__"):
        assert "In shard 5 of 8, which has 2 of the batch's samples." in caught.value.__notes__
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights()))
    assert threading.active_count() == running


def test_layers_that_some_shards_skip_cannot_be_synchronized():
    class Sometimes(layers.Layer):
        def __init__(self):
            super().__init__()
            self.norm = layers.BatchNormalization(synchronized=True)

        def call(self, inputs, training=False):
            if training and float(inputs.numpy()[0, 0]) < 1:
                return inputs
            return self.norm(inputs, training=training)

    model = Sequential([Input((2,)), Sometimes(), layers.Dense(1)])
    model.compile("sgd", "mse")
    distribution.set_distribution(DataParallel(shards=2))
    with pytest.raises(ValueError, match="called equally often"):
        model.train_on_batch(np.arange(8, dtype="float32").reshape(4, 2), np.zeros((4, 1)))


def test_frozen_layers_are_not_moved():
    model = network(layers.BatchNormalization(), layers.Dropout(0.3))
    model.layers[0].trainable = model.layers[1].trainable = False
    model.compile("sgd", "sparse_categorical_crossentropy")
    before = [w for layer in model.layers[:2] for w in layer.get_weights()]
    distribution.set_distribution(DataParallel(shards=4))
    model.fit(X, Y, batch_size=16, verbose=0)
    after = [w for layer in model.layers[:2] for w in layer.get_weights()]
    assert all(a.tobytes() == b.tobytes() for a, b in zip(before, after))


def test_shards_draw_different_numbers():
    """Two shards of equal samples differ by dropout alone."""
    model = Sequential([Input((400,)), layers.Dropout(0.5)])
    model.compile("sgd", "mse", metrics=["mse"])
    distribution.set_distribution(DataParallel(shards=2))
    seen = []

    class Seen(metrics.Metric):
        def __init__(self):
            super().__init__(name="seen")
            self.count = self.add_weight()

        def update_state(self, y_true, y_pred, sample_weight=None):
            seen.append(np.asarray(y_pred).copy())
            self.count.assign(1)

        def result(self):
            return float(self.count.numpy())

    model.compile("sgd", "mse", metrics=[Seen()])
    x = np.ones((2, 400), "float32")
    history = model.fit(x, x, batch_size=2, epochs=2, verbose=0).history
    assert len({array.tobytes() for array in seen}) == 4
    assert history["seen"] == [2.0, 2.0]  # variables are added up


def test_steps_are_recorded():
    model = network(layers.BatchNormalization(), layers.Dropout(0.3))
    distribution.set_distribution(DataParallel(shards=4))
    model.fit(X[:48], Y[:48], batch_size=16, verbose=0)
    assert "recorded" in model.explain()


def test_batches_and_evaluations_go_by_shards_too():
    model, other = network(), network()
    other.set_weights(model.get_weights())
    results = []
    for one, shards in ((model, 4), (other, None)):
        distribution.set_distribution(None if shards is None else DataParallel(shards=shards))
        results.append(
            [*one.train_on_batch(X, Y), *one.evaluate(X, Y, batch_size=7, verbose=0), *one.test_on_batch(X, Y)]
        )
    np.testing.assert_allclose(*results, rtol=1e-5)


def test_a_step_that_fails_moves_nothing():
    """The last batch has two samples in four shards, and one value a channel has no variance."""
    model = Sequential([Input((4,)), layers.BatchNormalization(), layers.Dense(1)])
    model.compile("sgd", "mse")
    x = RANDOM.random((2, 4)).astype("float32")
    distribution.set_distribution(DataParallel(shards=2))
    before = [*model.get_weights(), *model.metrics]
    with pytest.raises(ValueError, match="one value a channel") as caught:
        model.train_on_batch(x, x[:, :1])
    if hasattr(caught.value, "__notes__"):  # from Python 3.11 on
        assert "In shard 1 of 2, which has 1 of the batch's samples." in caught.value.__notes__
    assert all(np.array_equal(a, b) for a, b in zip(before, [*model.get_weights(), *model.metrics]))


# Backups


class Stop(Exception):
    """The run ends here."""


class StopAfter(Callback):
    def __init__(self, batches):
        self.left = batches

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if not self.left:
            raise Stop


def test_a_run_goes_on_with_the_same_bits_and_only_with_its_shards(tmp_path):
    def make():
        return network(layers.BatchNormalization(), layers.Dropout(0.3))

    whole = trained(4, make, epochs=3)
    with pytest.raises(Stop):
        trained(4, make, epochs=3, callbacks=[BackupAndRestore(tmp_path, save_freq=2), StopAfter(7)])
    kept = (tmp_path / "latest.safetensors").read_bytes()
    for shards in (8, None):
        with pytest.raises(ValueError, match=r"DataParallel\(shards=4\)"):
            trained(shards, make, epochs=3, callbacks=[BackupAndRestore(tmp_path)])
    assert (tmp_path / "latest.safetensors").read_bytes() == kept
    resumed = trained(4, make, epochs=3, callbacks=[BackupAndRestore(tmp_path)])
    assert resumed[0] == whole[0] and all(a.tobytes() == b.tobytes() for a, b in zip(resumed[1], whole[1]))


# What is refused


class OwnStep(fastconv.Model):
    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(3)

    def call(self, x):
        return self.dense(layers.Flatten()(x))

    def train_step(self, data):
        return {}


class Counter(metrics.Metric):
    """Keeps what it knows where nobody sees it."""

    def update_state(self, y_true, y_pred, sample_weight=None):
        pass

    def result(self):
        return 0.0


def own_step():
    model = OwnStep()
    model.compile("sgd", "mse")
    return model


REFUSED = {
    "a step of its own": (own_step, {}, "reduce"),
    "a sum, and a loss of its own": (lambda: own_loss("sum"), {}, "sum_over_batch_size"),
    "a metric without variables": (lambda: network(metrics=[Counter()]), {}, "add_weight"),
    "small batches": (network, {"batch_size": 4}, r"4 samples.*DataParallel\(shards=4\)"),
    "few samples": (network, {"x": X[:3], "y": Y[:3]}, r"3 samples.*DataParallel\(shards=2\)"),
}  # fmt: skip


@pytest.mark.parametrize("make,options,message", REFUSED.values(), ids=REFUSED)
def test_what_shards_cannot_do_is_refused(make, options, message, tmp_path):
    """Before a file is touched."""
    with pytest.raises(ValueError, match=message):
        trained(8, make, callbacks=[BackupAndRestore(tmp_path / "backup")], **options)
    assert not list(tmp_path.iterdir())


def test_a_stream_whose_first_batch_is_too_small():
    with pytest.raises(ValueError, match=r"5 samples.*DataParallel\(shards=4\)"):
        trained(8, x=iter([(X[:5], Y[:5])]), y=None, batch_size=None)


ARGUMENTS = {
    "a mesh": (lambda: DataParallel(device_mesh=[1]), ValueError, "device_mesh"),
    "devices": (lambda: DataParallel(devices=["cpu:0", "cpu:1"]), ValueError, "devices"),
    "three": (lambda: DataParallel(shards=3), ValueError, "power of two"),
    "true": (lambda: DataParallel(shards=True), ValueError, "power of two"),
    "zero": (lambda: DataParallel(shards=0), ValueError, "power of two"),
    "no distribution": (lambda: distribution.set_distribution("mpi"), TypeError, "DataParallel"),
    "addresses": (lambda: distribution.initialize("10.0.0.1:1234"), ValueError, "job_addresses"),
    "half a process": (lambda: distribution.initialize(num_processes=0.5), ValueError, "num_processes"),
    "another process": (lambda: distribution.initialize(process_id=1), ValueError, "process 0 of 1"),
    "one array": (lambda: distribution.reduce(np.zeros(3)), TypeError, r"reduce\(\[array\]\)"),
    "texts": (lambda: distribution.reduce([np.array(["a"])]), TypeError, "numbers"),
    "a device": (lambda: distribution.get_device_count(3), TypeError, "device_type"),
}  # fmt: skip


@pytest.mark.parametrize("call,kind,message", ARGUMENTS.values(), ids=ARGUMENTS)
def test_arguments(call, kind, message):
    with pytest.raises(kind, match=message):
        call()


@pytest.mark.parametrize(
    "processes,message", [(3, "Start 2 or 4"), (6, "Start 4 or 8"), (16, r"DataParallel\(shards=16\)")]
)
def test_numbers_of_processes_that_no_tree_has(processes, message, monkeypatch):
    monkeypatch.setattr(world, "size", lambda: processes)
    with pytest.raises(ValueError, match=message):
        distribution.set_distribution(DataParallel(shards=8))
    assert distribution.distribution() is None


def test_one_process_alone():
    distribution.initialize()
    assert (distribution.rank(), distribution.size(), distribution.list_devices()) == (0, 1, ["cpu:0"])
    assert distribution.list_devices("gpu") == [] and distribution.get_device_count("CPU") == 1
    assert distribution.distribution() is None
    array = np.ones(3, "float32")
    (found, none) = distribution.reduce([array, None])
    assert none is None and found is not array and found.tolist() == [1, 1, 1]


# Launchers


def fake_mpi(monkeypatch, size=1, library="Some MPI v1, built by nobody"):
    """An mpi4py whose world has so many processes, of which this is the first."""
    comm = types.SimpleNamespace(Get_size=lambda: size, Get_rank=lambda: 0)
    MPI = types.SimpleNamespace(
        COMM_WORLD=comm,
        Get_library_version=lambda: library,
        Is_initialized=lambda: False,
        Init_thread=lambda: None,
        Query_thread=lambda: 0,
        THREAD_MULTIPLE=3,
    )
    monkeypatch.setitem(sys.modules, "mpi4py", types.SimpleNamespace(MPI=MPI, rc=lambda **settings: None))
    monkeypatch.setattr(world, "_comm", None)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)


@pytest.mark.parametrize("variable", world.LAUNCHERS)
def test_a_launcher_of_another_mpi_is_an_error(variable, monkeypatch):
    fake_mpi(monkeypatch)
    monkeypatch.setenv(variable, "4")
    with pytest.raises(RuntimeError, match=f"{variable}=4.*Some MPI v1"):
        distribution.initialize()


def test_a_library_that_may_end_the_program_as_it_starts_is_named_before(monkeypatch):
    """MPICH under Open MPI's mpirun leaves no Python to raise an error."""
    fake_mpi(monkeypatch, 2, "MPICH Version:  5.0.2\nMPICH ABI: 1")
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "2")
    with pytest.warns(UserWarning, match="Open MPI's mpirun.*runs on MPICH Version: 5.0.2, which may end it"):
        distribution.initialize()


@pytest.mark.parametrize("start", ["a launcher", "num_processes"])
def test_without_mpi4py_the_error_names_the_extra(start, monkeypatch):
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    if start == "a launcher":
        monkeypatch.setenv("PMI_SIZE", "2")
    with pytest.raises(ImportError, match=r"pip install 'fastconv\[mpi\]'"):
        distribution.initialize(num_processes=None if start == "a launcher" else 2)


def test_fewer_processes_than_were_wanted(monkeypatch):
    fake_mpi(monkeypatch)
    with pytest.raises(ValueError, match="process 0 of 1.*mpirun -n 4"):
        distribution.initialize(num_processes=4)


def test_processes_that_train_side_by_side_are_told(monkeypatch):
    fake_mpi(monkeypatch, 2)
    monkeypatch.setenv("PMI_SIZE", "2")
    distribution.initialize()
    with pytest.warns(UserWarning, match="set_distribution"):
        network().fit(X, Y, verbose=0)


@pytest.mark.parametrize("cores,beside,warns", [({0}, 1, True), ({0}, 8, False), ({0, 1}, 1, False)])
def test_a_process_bound_to_one_core_is_told(cores, beside, warns, monkeypatch, recwarn):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "1")
    monkeypatch.setenv("OMPI_COMM_WORLD_LOCAL_SIZE", str(beside))
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: cores, raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    if warns:
        with pytest.warns(UserWarning, match="--bind-to none.*--map-by ppr:1:node:pe=8"):
            distribution.initialize()
    else:
        distribution.initialize()
        assert not recwarn.list


def test_nothing_imports_mpi4py_for_one_process():
    program = (
        "import sys, fastconv; fastconv.distribution.initialize(); "
        "fastconv.distribution.set_distribution(fastconv.distribution.DataParallel()); "
        "from fastconv import models; assert not [name for name in sys.modules if 'mpi' in name.split('.')[0]]"
    )
    result = python("-c", program)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    "arguments,message",
    [(["--distributed", "--shards", "6"], "power of two"), (["--shards", "8"], "goes with --distributed")],
)
def test_the_command_line_refuses(arguments, message):
    result = python("-m", "fastconv", "train", *arguments)
    assert result.returncode == 2 and message in result.stderr and len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("started,lines", [("1", 0), ("2", 1)])
def test_a_training_beside_others_of_its_launcher_says_so(started, lines, monkeypatch, tmp_path):
    """Two of the command line, without --distributed."""
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", started)
    result = python("-m", "fastconv", "train", str(tmp_path / "none.npz"))
    told = [line for line in result.stderr.splitlines() if "2 processes" in line]
    assert len(told) == lines and all("--distributed" in line for line in told), result.stderr


@pytest.mark.skipif(not GUIDE.exists(), reason="the tests run without the sources")
def test_the_guide_runs(tmp_path, monkeypatch, capsys, restore_threads):
    fastconv.set_num_threads(1)
    monkeypatch.chdir(tmp_path)
    for block in re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL):
        exec(compile(block, str(GUIDE), "exec"), {})
    assert (tmp_path / "model.safetensors").exists() and (tmp_path / "generator.safetensors").exists()
