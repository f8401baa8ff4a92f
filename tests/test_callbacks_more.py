"""Callbacks that act and write: rates, stops, functions, averages, CSV, backups that go on to the bit, TensorBoard."""

import sys
import types

import numpy as np
import pytest

from fastconv import Input, Sequential, layers, ops, optimizers, rng
from fastconv.callbacks import (
    BackupAndRestore,
    Callback,
    CallbackList,
    CSVLogger,
    EarlyStopping,
    History,
    LambdaCallback,
    LearningRateScheduler,
    ModelCheckpoint,
    ProgbarLogger,
    ReduceLROnPlateau,
    RemoteMonitor,
    SwapEMAWeights,
    TensorBoard,
    TerminateOnNaN,
)
from fastconv.metrics import AUC, MeanAbsoluteError
from fastconv.utils import set_random_seed

X = np.random.default_rng(0).standard_normal((12, 3)).astype("float32")
Y = X @ np.ones((3, 1), "float32")


def compiled(optimizer="sgd", **options):
    set_random_seed(1)
    model = Sequential(
        [Input((3,)), layers.Dense(4), layers.BatchNormalization(), layers.Dropout(0.3), layers.Dense(1)]
    )
    model.compile(optimizer, "mse", **options)
    return model


def fitted(*callbacks, model=None, **options):
    model = model or compiled()
    model.fit(X, Y, **{"batch_size": 4, "epochs": 3, "verbose": 0, "callbacks": list(callbacks)} | options)
    return model


def bits(model):
    return b"".join(weight.tobytes() for weight in model.get_weights())


def test_a_schedule_by_epoch():
    seen = []
    model = fitted(LearningRateScheduler(lambda epoch, rate: seen.append((epoch, round(rate, 3))) or rate / 2))
    assert seen == [(0, 0.01), (1, 0.005), (2, 0.003)]
    assert model.history.history["learning_rate"] == [0.005, 0.0025, 0.00125]
    assert fitted(LearningRateScheduler(lambda epoch: 0.1 * (epoch + 1))).optimizer.learning_rate == pytest.approx(0.3)
    with pytest.raises(TypeError, match="schedule must give a number; got None"):
        fitted(LearningRateScheduler(lambda epoch: None))


class Script(Callback):
    """Gives `name` the values of a list."""

    def __init__(self, *values, name="val_loss"):
        self.values, self.name = values, name

    def on_epoch_end(self, epoch, logs=None):
        logs[self.name] = self.values[epoch]


PLATEAUS = [  # values, settings, the rate of each epoch as a share of the first
    ((3, 3, 3, 3), {"patience": 1}, [1, 1, 0.5, 0.25]),
    ((3, 3, 3, 3), {"patience": 2}, [1, 1, 1, 0.5]),
    ((3, 2, 2, 1), {"patience": 1}, [1, 1, 1, 0.5]),
    ((3, 3, 3, 3, 3), {"patience": 1, "cooldown": 2}, [1, 1, 0.5, 0.5, 0.25]),
    ((3, 3, 3, 3), {"patience": 1, "min_lr": 0.4}, [1, 1, 0.5, 0.4]),
    ((1, 2, 3), {"patience": 1, "mode": "max"}, [1, 1, 1]),
    ((3, 2.9, 2.8), {"patience": 1, "min_delta": 0.5}, [1, 1, 0.5]),
    ((3, 2, 1), {"patience": 1, "baseline": 0.5}, [1, 0.5, 0.25]),
]


@pytest.mark.parametrize("values, settings, rates", PLATEAUS, ids=str)
def test_rates_fall_on_a_plateau(values, settings, rates):
    model = compiled(optimizers.SGD(0.01))
    settings = settings | {"min_lr": 0.01 * settings.get("min_lr", 0)}
    fitted(Script(*values), ReduceLROnPlateau(factor=0.5, **settings), model=model, epochs=len(values))
    assert model.history.history["learning_rate"] == [0.01 * rate for rate in rates]


def test_a_metric_says_which_way_is_better():
    model = compiled(metrics=[AUC(name="area"), MeanAbsoluteError(name="far")])
    for name, sign in (("area", 1), ("val_area", 1), ("val_far", -1), ("loss", -1)):
        callback = EarlyStopping(name)
        callback.set_model(model)
        assert callback._sign == sign
    callback = EarlyStopping("area", mode="min")
    callback.set_model(model)
    assert callback._sign == -1


def test_a_value_of_unknown_direction_is_not_guessed():
    """A function of the user's, such as a Dice score, would else be made small in silence."""

    def dice(y_true, y_pred):
        return ops.mean(y_true * y_pred)

    for name, how in (("dice", {}), ("val_dice", {"validation_split": 0.5})):
        with pytest.raises(ValueError, match=f"EarlyStopping: .*{name!r} is better high or low: give mode='max'"):
            fitted(EarlyStopping(name), model=compiled(metrics=[dice]), **how)
    fitted(EarlyStopping("dice", mode="max"), model=compiled(metrics=[dice]))


def test_a_loss_that_is_no_number_ends_the_run(capsys):
    model = compiled(optimizers.SGD(1e30))
    with pytest.warns(UserWarning, match="not finite"):
        fitted(TerminateOnNaN(), model=model, epochs=9)
    assert len(model.history.epoch) < 9 and "the training ends" in capsys.readouterr().out
    with pytest.warns(UserWarning, match="not finite"), pytest.raises(RuntimeError, match="the loss is"):
        fitted(TerminateOnNaN(raise_error=True), model=compiled(optimizers.SGD(1e30)), epochs=9)


def test_functions_are_hooks():
    seen = []
    callback = LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.append(epoch), on_test_begin=lambda logs: seen.append("test"),
        on_predict_batch_end=lambda batch, logs: seen.append(logs["outputs"].shape),
    )  # fmt: skip
    model = fitted(callback, epochs=2)
    model.evaluate(X, Y, verbose=0, callbacks=[callback])
    assert model.predict(X, batch_size=8, callbacks=[callback]).shape == (12, 1)
    assert seen == [0, 1, "test", (8, 1), (4, 1)]


class Older(Callback):
    def __init__(self):
        self.count = 0

    def on_batch_end(self, batch, logs=None):
        self.count += 1


def test_the_older_names_of_hooks_and_lists_of_ones_own():
    callback, seen = Older(), []
    fitted(callback, epochs=1)
    assert callback.count == 3
    found = CallbackList([callback], add_history=True, add_progbar=True, model="a model", epochs=2, verbose=0)
    found.append(LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append((epoch, logs))))
    found.on_train_begin()
    found.on_epoch_begin(0)
    found.on_train_batch_end(0)
    found.on_epoch_end(1, {"loss": 2.0})
    assert [type(c) for c in found.callbacks] == [Older, ProgbarLogger, History, LambdaCallback]
    assert callback.count == 4 and callback.model == "a model" and callback.params == {"epochs": 2, "verbose": 0}
    assert seen == [(1, {"loss": 2.0})] and found.callbacks[2].history == {"loss": [2.0]}


def test_the_bar_is_printed_once(capsys):
    fitted(ProgbarLogger(), verbose=2, epochs=2)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 and lines[1].startswith("Epoch 2/2") and "loss: " in lines[1]


def test_logs_as_a_table(tmp_path):
    path = tmp_path / "log.csv"
    fitted(CSVLogger(path), epochs=3, validation_split=0.5, validation_freq=2)
    lines = path.read_text().splitlines()
    assert lines[0] == "epoch,loss,val_loss" and lines[1].startswith("0,") and lines[1].endswith(",NA")
    assert [line.count(",") for line in lines] == [2] * 4 and not lines[2].endswith("NA")
    fitted(CSVLogger(path, append=True), epochs=1)
    assert len(path.read_text().splitlines()) == 5 and path.read_text().count("epoch") == 1


def test_checkpoints_by_batch(tmp_path):
    fitted(ModelCheckpoint(tmp_path / "{epoch}-{batch}.safetensors", save_freq=2), epochs=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{name}.safetensors" for name in ("1-2", "2-1", "2-3")]


def test_averages_evaluate_and_weights_train_on(tmp_path):
    """Averages stand in the weights for a test and at an epoch's end; the run is the one without the callback."""

    def optimizer():
        return optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5)

    plain = fitted(model=compiled(optimizer()))
    seen = []
    peek = LambdaCallback(on_test_batch_begin=lambda batch, logs: seen.append(bits(model)))
    model = compiled(optimizer())
    fitted(SwapEMAWeights(swap_on_epoch=True), peek, model=model, validation_data=(X, Y))
    assert bits(model) == bits(plain) == seen[-1]  # the averages, with which a run ends in both
    with pytest.raises(ValueError, match="needs an optimizer with use_ema=True"):
        fitted(SwapEMAWeights())


class Stop(Callback):
    """Breaks off a run after some steps, as a kill does."""

    def __init__(self, steps):
        self.left = steps

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if not self.left:
            raise MemoryError


KINDS = [getattr(optimizers, name) for name in optimizers.__all__ if isinstance(getattr(optimizers, name), type)]
KINDS.remove(optimizers.Optimizer)


@pytest.mark.parametrize("kind, save_freq, steps", [
    *[(kind, 1, 5) for kind in KINDS], (optimizers.Adam, "epoch", 5), (optimizers.SGD, 2, 8)])  # fmt: skip
def test_a_run_goes_on_to_the_bit(tmp_path, kind, save_freq, steps):
    """With shuffling, Dropout, BatchNormalization, averages and accumulated gradients, as in a new process."""

    def optimizer():
        return kind(0.05, use_ema=True, gradient_accumulation_steps=2)

    expected = bits(fitted(model=compiled(optimizer()), epochs=3))
    with pytest.raises(MemoryError):
        fitted(BackupAndRestore(tmp_path, save_freq, True), Stop(steps), model=compiled(optimizer()), epochs=3)
    model = compiled(optimizer())
    rng.set_state({**rng.get_state(), "common": [7, 7, 7, 0]})
    model.set_weights([np.full(weight.shape, 9.0) for weight in model.get_weights()])
    fitted(BackupAndRestore(tmp_path, save_freq), model=model, epochs=3)
    assert bits(model) == expected and not list(tmp_path.iterdir())


def test_a_model_file_goes_on_to_the_bit(tmp_path):
    """Every optimizer's state is in a model file, that of a half accumulated gradient too."""
    for kind in KINDS:
        models = [compiled(kind(0.05, clipnorm=1.0, use_ema=True, gradient_accumulation_steps=2)) for _ in range(2)]
        models[0].fit(X, Y, batch_size=4, epochs=1, verbose=0)
        models[0].save(tmp_path / "model.safetensors")
        from fastconv.models import load_model

        models[1] = load_model(tmp_path / "model.safetensors")
        assert models[1].optimizer.calls == 3 and models[1].optimizer.iterations == 1
        for model in models:
            set_random_seed(5)
            model.fit(X, Y, batch_size=4, epochs=2, verbose=0)
        assert bits(models[0]) == bits(models[1]), kind


class Writer:
    """Stands for tensorboardX's, which tests do not need."""

    events = []

    def __init__(self, folder):
        self.folder = folder.rpartition("/")[2]

    def add_scalar(self, tag, value, step):
        self.events.append((self.folder, tag, step))

    def add_histogram(self, tag, values, step):
        self.events.append((self.folder, tag, values.shape))

    def flush(self):
        """Nothing is kept back."""

    close = flush


def test_tensorboard(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "tensorboardX", types.SimpleNamespace(SummaryWriter=Writer))
    monkeypatch.setattr(Writer, "events", [])
    fitted(TensorBoard(tmp_path, 1, update_freq=2, write_steps_per_second=True), epochs=1, validation_split=0.5)
    tags = {(part, tag) for part, tag, _ in Writer.events}
    assert {("train", "epoch_loss"), ("validation", "epoch_loss"), ("train", "batch_loss")} <= tags
    assert ("train", "dense/kernel", (3, 4)) in Writer.events and ("train", "epoch_steps_per_second") in tags
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(ImportError, match=r"pip install 'fastconv\[tensorboard\]'"):
        TensorBoard(tmp_path)


ERRORS = [
    (lambda: ReduceLROnPlateau(factor=1), ValueError, "factor must be at least 0 and below 1"),
    (lambda: LearningRateScheduler(0.1), TypeError, "schedule must be a function"),
    (lambda: LambdaCallback(on_epoch_ends=print), TypeError, "Did you mean 'on_epoch_end'"),
    (lambda: ModelCheckpoint("x", save_freq="step"), ValueError, "save_freq must be 'epoch' or a number of batches"),
    (lambda: BackupAndRestore("x", save_freq=0), ValueError, "save_freq must be"),
    (lambda: BackupAndRestore(""), ValueError, "must name a folder"),
    (lambda: TensorBoard("x", profile_batch=2), ValueError, "leave profile_batch out"),
    (lambda: RemoteMonitor(), ValueError, "LambdaCallback"),
]


@pytest.mark.parametrize("program, kind, message", ERRORS, ids=lambda v: None)
def test_errors_say_what_to_do(program, kind, message):
    with pytest.raises(kind, match=message):
        program()
