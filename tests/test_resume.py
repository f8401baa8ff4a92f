"""Runs that are stopped, by kill -9 in the middle of an epoch, SIGTERM or an error, and go on: they end with the bits of
one that never stopped, whatever the data, layers, optimizers and callbacks are."""

import os
import signal
import sys

import numpy as np
import pytest
from helpers import python
from safetensors.numpy import load_file

import fastconv
from fastconv import Input, Sequential, data, layers, ops, optimizers, schedules
from fastconv.callbacks import (
    BackupAndRestore,
    Callback,
    CSVLogger,
    EarlyStopping,
    LearningRateScheduler,
    ModelCheckpoint,
    ReduceLROnPlateau,
    SwapEMAWeights,
)
from fastconv.data.ahead import ahead
from fastconv.utils import set_random_seed

X = np.random.default_rng(0).uniform(0, 1, (20, 8, 8, 1)).astype("float32")
Y = np.arange(20) % 3


@pytest.fixture(autouse=True)
def ahead_of_the_steps(monkeypatch):
    """A thread makes what `prefetch` is asked for, as where that takes longer than here."""
    monkeypatch.setattr(sys.modules[ahead.__module__], "LATE", 0)


# Data: made anew in each run, as a program would


class Shuffled(data.PyDataset):
    """Shuffles its samples after each epoch by NumPy's common stream, and draws noise for none."""

    def __init__(self):
        super().__init__()
        self.order = np.arange(len(X))

    def __len__(self):
        return 5

    def __getitem__(self, i):
        rows = self.order[i * 4 : i * 4 + 4]
        return X[rows], Y[rows]

    def on_epoch_end(self):
        np.random.shuffle(self.order)


class Noisy(data.PyDataset):
    """Draws noise for each batch."""

    def __len__(self):
        return 5

    def __getitem__(self, i):
        return X[i * 4 : i * 4 + 4] + np.random.normal(0, 0.1, (4, 8, 8, 1)), Y[i * 4 : i * 4 + 4]


def generator():
    order = np.random.default_rng(3)
    while True:
        rows = order.permutation(len(X))[:4]
        yield X[rows], Y[rows]


def dataset(**options):
    def noisy(x, y, rng):
        return x + rng.normal(0, 0.1, x.shape).astype("float32"), y

    return data.Dataset.from_arrays((X, Y)).shuffle(**options).map(noisy, 2, seed=5).batch(4).prefetch(2)


DATA = {
    "arrays": lambda: {"x": X, "y": Y, "batch_size": 4, "validation_split": 0.2},
    "no shuffle": lambda: {"x": X, "y": Y, "batch_size": 4, "shuffle": False},
    "Dataset": lambda: {"x": dataset(), "validation_data": (X, Y)},
    "Dataset in a buffer": lambda: {"x": dataset(buffer_size=6, seed=2)},
    "Dataset in steps": lambda: {"x": dataset(seed=2), "steps_per_epoch": 4},
    "PyDataset with hooks": lambda: {"x": Shuffled()},
    "PyDataset with noise": lambda: {"x": Noisy()},
    "generator": lambda: {"x": generator(), "steps_per_epoch": 4, "validation_data": generator(), "validation_steps": 2},
}  # fmt: skip


# Models


def network(optimizer=None, metrics=(), declared=True):
    model = Sequential([
        *([Input((8, 8, 1))] if declared else []), layers.RandomFlip(), layers.RandomRotation(0.1), layers.RandomZoom(0.1, seed=4),
        layers.Conv2D(3, 3), layers.BatchNormalization(), layers.ReLU(), layers.SpatialDropout2D(0.2, seed=7),
        layers.GaussianNoise(0.1), layers.Flatten(), layers.Dropout(0.3), layers.Dense(3, activation="softmax"),
    ])  # fmt: skip
    model.compile(optimizer or "adam", "sparse_categorical_crossentropy", metrics=["accuracy", *metrics])
    return model


class TwoOptimizers(fastconv.Model):
    """A step of its own, with a second optimizer for the last layer, as adversarial networks have."""

    def __init__(self):
        super().__init__()
        self.first, self.last = layers.Dense(4), layers.Dense(3)
        self.flat, self.second = layers.Flatten(), optimizers.SGD(0.1, momentum=0.9)

    def call(self, x):
        return self.last(self.first(self.flat(x)))

    def train_step(self, data):
        x, y = data
        self.zero_grad()
        loss = ops.mean(ops.sparse_categorical_crossentropy(y, self(x, training=True), from_logits=True))
        loss.backward()
        for optimizer, layer in ((self.optimizer, self.first), (self.second, self.last)):
            optimizer.apply([weight.grad for weight in layer.weights], layer.weights)
        return {"loss": loss}


def two_optimizers():
    model = TwoOptimizers()
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


class Heavy(optimizers.Optimizer):
    """An optimizer of one's own, with state of its own."""

    def build(self, variables):
        super().build(variables)
        self.speeds = {id(variable): self.add_variable_from_reference(variable) for variable in variables}

    def update_step(self, gradient, variable, learning_rate):
        if id(variable) not in getattr(self, "speeds", {}):
            self.build(MODELS_IN_USE[-1].trainable_weights)
        speed = self.speeds[id(variable)]
        self.assign(speed, 0.9 * speed - learning_rate * gradient)
        self.assign_add(variable, speed)


MODELS_IN_USE = []


def heavy():
    MODELS_IN_USE.append(network(Heavy(0.01)))
    return MODELS_IN_USE[-1]


class Script(Callback):
    """Gives "loss" the values of a list, so that others have something to follow."""

    def on_epoch_end(self, epoch, logs=None):
        logs["loss"] = (3, 2, 2, 2)[epoch]


def averaged():
    return network(optimizers.SGD(0.1, use_ema=True, ema_momentum=0.8, gradient_accumulation_steps=2))


CASES = {
    **{name: (network, name, lambda path: []) for name in DATA},
    "built by its first batch": (lambda: network(declared=False), "Dataset", lambda path: []),
    "schedule": (lambda: network(optimizers.SGD(schedules.CosineDecay(0.1, 12))), "arrays", lambda path: []),
    "averages": (averaged, "arrays", lambda path: [SwapEMAWeights(swap_on_epoch=True)]),
    "two optimizers": (two_optimizers, "arrays", lambda path: []),
    "own optimizer": (heavy, "arrays", lambda path: []),
    "plateau": (network, "arrays", lambda path: [Script(), ReduceLROnPlateau("loss", 0.5, patience=2)]),
    "rates by epoch": (network, "arrays", lambda path: [LearningRateScheduler(lambda epoch, rate: rate * 0.5)]),
    "early stopping": (
        network, "arrays", lambda path: [Script(), EarlyStopping("loss", patience=2, restore_best_weights=True)],
    ),
    "monitored loss": (  # of the whole epoch, though half of it was before the stop
        lambda: network(metrics=["sparse_top_k_categorical_accuracy"]), "no shuffle",
        lambda path: [ModelCheckpoint(path / "best.safetensors", "loss", save_best_only=True), CSVLogger(path / "log.csv")],
    ),
}  # fmt: skip


def trained(case, path, *more, **options):
    """The model of a case after 4 epochs."""
    set_random_seed(1)
    make, kind, callbacks = CASES[case]
    model = make()
    model.fit(**DATA[kind](), epochs=4, verbose=0, callbacks=[*more, *callbacks(path)], **options)
    return model


def ends(model, path):
    """What must be the same: weights, history, and files."""
    files = {file.name: content(file) for file in sorted(path.iterdir()) if file.is_file()}
    return [weight.tobytes() for weight in model.get_weights()], dict(model.history.history), model.history.epoch, files


def content(file):
    if file.suffix == ".csv":
        return file.read_text()
    return [array.tobytes() for array in load_file(file).values()]  # the names of layers go on from model to model


class Fall(Callback):
    """Ends the process, or the run, within the second epoch or later."""

    comes_last = True

    def __init__(self, steps, how):
        self.steps, self.how = steps, how

    def on_train_batch_end(self, batch, logs=None):
        self.steps -= 1
        if not self.steps:
            self.how()


def fall():
    raise MemoryError


@pytest.mark.parametrize("steps", [7, 10])
@pytest.mark.parametrize("case", CASES)
def test_a_run_goes_on_to_the_bit(tmp_path, case, steps):
    """Stopped within an epoch by an error, and once more in the run that went on, with all that the epoch had summed up."""
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    whole.mkdir(), parts.mkdir()
    expected = ends(trained(case, whole), whole)
    for left in (steps, 2):
        with pytest.raises(MemoryError):
            trained(case, parts, BackupAndRestore(parts / "backup", save_freq=1), Fall(left, fall))
        np.random.seed(99), fastconv.rng.generator().random(3)
    result = ends(trained(case, parts, BackupAndRestore(parts / "backup", save_freq=1)), parts)
    assert result == expected and not list((parts / "backup").iterdir())


PROGRAM = """
import os, signal, sys, pathlib
sys.path.insert(0, {tests!r})
from test_resume import Fall, BackupAndRestore, trained, ends
path, case = pathlib.Path(sys.argv[1]), sys.argv[2]
how = {how}
trained(case, path, BackupAndRestore(path / "backup", save_freq={save_freq}, save_on_sigterm={on_sigterm}), Fall(7, how))
print("not stopped")
"""
STOPS = {
    "kill -9": ("lambda: os.kill(os.getpid(), signal.SIGKILL)", 2, False, -9),
    "SIGTERM": ("lambda: os.kill(os.getpid(), signal.SIGTERM)", '"epoch"', True, -15),
    "SIGTERM without asking": ("lambda: os.kill(os.getpid(), signal.SIGTERM)", 3, False, -15),
}


@pytest.mark.parametrize("stop", STOPS)
def test_a_killed_process_is_gone_on_from(tmp_path, stop):
    how, save_freq, on_sigterm, status = STOPS[stop]
    program = PROGRAM.format(tests=os.path.dirname(__file__), how=how, save_freq=save_freq, on_sigterm=on_sigterm)
    parts = tmp_path / "parts"
    parts.mkdir()
    result = python("-c", program, str(parts), "Dataset")
    assert (result.returncode, result.stdout) == (status, ""), result.stderr
    assert [file.name for file in (parts / "backup").iterdir()] == ["latest.safetensors"]
    seen = Fall(10**6, fall)
    model = trained("Dataset", parts, BackupAndRestore(parts / "backup"), seen)
    assert 10**6 - seen.steps < 20  # it began where the other ended
    assert ends(model, parts) == ends(trained("Dataset", parts), parts)


def test_a_sigterm_in_a_validation_is_answered_there(tmp_path):
    seen = []

    class Term(Callback):
        def on_test_batch_begin(self, batch, logs=None):
            os.kill(os.getpid(), signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, lambda number, frame: seen.append(number) or fall())
    try:
        with pytest.raises(MemoryError):
            trained("arrays", tmp_path, BackupAndRestore(tmp_path / "backup", save_on_sigterm=True), Term())
    finally:
        signal.signal(signal.SIGTERM, before)
    assert seen == [signal.SIGTERM]
    model = trained("arrays", tmp_path, BackupAndRestore(tmp_path / "backup"))
    assert ends(model, tmp_path) == ends(trained("arrays", tmp_path), tmp_path)


def test_a_damaged_backup_is_named_and_the_one_before_serves(tmp_path):
    def run(*more):
        return trained("arrays", tmp_path, BackupAndRestore(tmp_path / "backup", 1, True), *more)

    with pytest.raises(MemoryError):
        run(Fall(7, fall))
    latest = tmp_path / "backup" / "latest.safetensors"
    content = latest.read_bytes()
    latest.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.warns(UserWarning, match=r"latest\.safetensors is damaged.*the backup before it"):
        model = run()
    assert ends(model, tmp_path) == ends(trained("arrays", tmp_path), tmp_path)
    latest.write_bytes(content[:1000])
    with pytest.raises(ValueError, match=r"latest\.safetensors"):
        run()
    model = trained("arrays", tmp_path)
    model.save(latest)
    with pytest.raises(ValueError, match="no backup of a run"):
        run()


def test_what_callbacks_put_into_the_logs_comes_back(tmp_path):
    class Odd(Callback):
        value = np.float32(0.5)

        def on_epoch_end(self, epoch, logs=None):
            logs["odd"], logs["rows"] = self.value, np.arange(3.0)

        def get_state(self):
            return {"seen": [np.ones(2, "float32"), {"text": "x", "none": None}]}

        def set_state(self, state):
            self.seen = state["seen"]

    with pytest.raises(MemoryError):
        trained("arrays", tmp_path, BackupAndRestore(tmp_path / "backup"), Odd(), Fall(7, fall))
    odd = Odd()
    history = trained("arrays", tmp_path, odd, BackupAndRestore(tmp_path / "backup")).history.history
    assert history["odd"] == [0.5] * 4 and [rows.tolist() for rows in history["rows"]] == [[0, 1, 2]] * 4
    assert odd.seen[0].tolist() == [1, 1] and odd.seen[1] == {"text": "x", "none": None}
    odd.value = object()
    with pytest.raises(ValueError, match="A backup holds numbers, texts and arrays.*object"):
        trained("arrays", tmp_path, odd, BackupAndRestore(tmp_path / "backup"))


@pytest.mark.skipif(sys.platform == "win32", reason="users and modes")
def test_a_folder_that_cannot_be_written_is_told_before_the_first_step(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OSError, match=r"BackupAndRestore cannot write there: .*file"):
        trained("arrays", tmp_path, BackupAndRestore(tmp_path / "file"), Fall(1, fall))
