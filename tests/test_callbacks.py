"""Callbacks: hooks and their order, EarlyStopping, ModelCheckpoint, and names that would never work."""

import numpy as np
import pytest

from fastconv import Sequential, layers, models
from fastconv.callbacks import Callback, EarlyStopping, History, Logs, ModelCheckpoint

X = np.random.default_rng(0).standard_normal((12, 3)).astype("float32")
Y = X @ np.ones((3, 1), "float32")


def fitted(*callbacks, epochs=2, **options):
    model = Sequential([layers.Dense(1, input_shape=(3,), kernel_initializer="zeros")])
    model.compile("sgd", "mse")
    model.fit(X, Y, batch_size=6, epochs=epochs, verbose=0, callbacks=list(callbacks), **options)
    return model


class Recorder(Callback):
    def __init__(self):
        self.seen = []

    def __getattribute__(self, name):
        if name.startswith("on_"):
            return lambda *arguments: self.seen.append((name, *arguments))
        return super().__getattribute__(name)


for _name in [name for name in dir(Callback) if name.startswith("on_")]:
    setattr(Recorder, _name, lambda self, *arguments: None)  # every hook counts as overridden


def test_hooks_come_in_keras_order_with_logs():
    recorder = Recorder()
    model = fitted(recorder, epochs=1, validation_split=0.5)
    names = [name for name, *_ in recorder.seen]
    step = ["on_train_batch_begin", "on_train_batch_end"]
    tests = ["on_test_begin", "on_test_batch_begin", "on_test_batch_end", "on_test_end"]
    assert names == ["on_train_begin", "on_epoch_begin", *step, *tests, "on_epoch_end", "on_train_end"]
    assert recorder.seen[3][1] == 0 and recorder.seen[3][2].keys() == {"loss"} == recorder.seen[7][1].keys()
    assert recorder.seen[8][2].keys() == {"loss", "val_loss"} == recorder.seen[9][1].keys()
    assert recorder.model is model and recorder.params == {"epochs": 1, "steps": 1, "verbose": 0}


class Script(Callback):
    """Gives val_loss the values of a list, and numbers the weights by epoch."""

    def __init__(self, *values):
        self.values = values

    def on_epoch_end(self, epoch, logs=None):
        logs["val_loss"] = self.values[epoch]
        self.model.set_weights([np.full((3, 1), epoch), np.zeros(1)])


def stopped(values, **options):
    """The epochs that ran, and the number of the epoch whose weights stand at the end."""
    model = fitted(Script(*values), EarlyStopping(**options), epochs=len(values))
    return len(model.history.epoch), int(model.get_weights()[0][0, 0])


STOPPING = [
    ((3, 2, 1), {}, (3, 2)),
    ((3, 2, 2, 1), {}, (3, 2)),
    ((3, 2, 4, 4, 4, 1), {"patience": 2}, (4, 3)),
    ((3, 2, 4, 4, 4, 1), {"patience": 2, "restore_best_weights": True}, (4, 1)),
    ((3, 2, 4), {"patience": 9, "restore_best_weights": True}, (3, 1)),
    ((3, 2.9, 2.8, 2.7), {"min_delta": 0.5, "patience": 2}, (3, 2)),
    ((1, 2, 2, 3), {"mode": "max"}, (3, 2)),
    ((3, 4, 5, 6), {"start_from_epoch": 2}, (4, 3)),
    ((3, 2.5, 2.2, 1), {"baseline": 2, "patience": 2}, (4, 3)),
    ((3, float("nan"), 1), {}, (2, 1)),
]


@pytest.mark.parametrize("values, options, expected", STOPPING, ids=str)
def test_early_stopping(values, options, expected):
    assert stopped(values, **options) == expected


def test_early_stopping_without_its_value_warns_once():
    with pytest.warns(UserWarning, match="val_loss.*validation_split.*There are: loss") as caught:
        fitted(EarlyStopping(), epochs=3)
    assert len(caught) == 1


def test_accuracy_goes_up_by_default_and_has_two_names():
    assert EarlyStopping("val_acc")._sign == EarlyStopping("accuracy")._sign == 1
    assert EarlyStopping("loss")._sign == -1
    assert EarlyStopping("val_acc")._score(Logs(val_accuracy=0.5)) == 0.5


def test_a_checkpoint_each_epoch(tmp_path):
    fitted(ModelCheckpoint(tmp_path / "{epoch:02d}-{loss:.1f}.safetensors"), epochs=3)
    assert sorted(path.name[:3] for path in tmp_path.iterdir()) == ["01-", "02-", "03-"]


def test_the_best_checkpoint(tmp_path, capsys):
    path = tmp_path / "best.safetensors"
    script = Script(3, 1, 2)
    fitted(script, ModelCheckpoint(path, save_best_only=True, verbose=1), epochs=3)
    assert models.load_model(path).get_weights()[0][0] == 1
    assert capsys.readouterr().out.count("saved") == 2
    fitted(script, ModelCheckpoint(path, save_best_only=True, initial_value_threshold=0.5), epochs=3)
    assert models.load_model(path).get_weights()[0][0] == 1
    fitted(script, ModelCheckpoint(path, save_best_only=True, save_weights_only=True), epochs=1)
    model = fitted()
    model.load_weights(path)
    assert model.get_weights()[0][0] == 0


class Misspelt(Callback):
    def on_epoch_ends(self, epoch, logs=None):
        """Never called."""


ERRORS = [
    (lambda: fitted(Misspelt()), ValueError, "Did you mean 'on_epoch_end'"),
    (lambda: fitted(print), TypeError, "Callback objects"),
    (lambda: EarlyStopping(mode="best"), ValueError, "mode"),
    (lambda: fitted(ModelCheckpoint("{val_los}.safetensors")), ValueError, "There are: epoch, loss"),
    (lambda: ModelCheckpoint("model-{epoch}.h5"), ValueError, "safetensors"),
    (lambda: ModelCheckpoint("model.keras", save_weights_only=True), ValueError, r"weights alone .*\.weights\.h5"),
]


@pytest.mark.parametrize("program, kind, message", ERRORS, ids=lambda v: None)
def test_errors_say_what_to_do(program, kind, message):
    with pytest.raises(kind, match=message):
        program()


def test_history_reads_well():
    history = History()
    history.on_epoch_end(0, {"loss": 0.5})
    assert repr(history) == "<History of 1 epochs; last: {'loss': 0.5}>"
