"""Ctrl-C: a run stops between steps, says so, keeps what it has, and raises; at every line of four training steps."""

import os
import signal
import sys
import threading

import numpy as np
import pytest

import fastconv
from fastconv import Sequential, kernels, layers, models, optimizers
from fastconv.callbacks import Callback
from fastconv.utils import set_random_seed

rng = np.random.default_rng(0)
X = rng.standard_normal((24, 8, 8, 1)).astype("float32")
Y = np.eye(3, dtype="float32")[rng.integers(0, 3, 24)]


def compiled(**options):
    set_random_seed(1)
    model = Sequential([
        layers.Conv2D(4, 3, activation="relu", input_shape=(8, 8, 1)), layers.MaxPooling2D(2), layers.Flatten(),
        layers.Dense(3, activation="softmax"),
    ])  # fmt: skip
    model.compile(optimizers.Adam(0.01), "categorical_crossentropy", **options)
    return model


def fit(model, **options):
    """Four steps an epoch, in a fixed order; the steps repeat one shape, so that they run by a plan."""
    return model.fit(X, Y, batch_size=6, shuffle=False, verbose=0, **options)


def press():
    signal.raise_signal(signal.SIGINT)


def state(model):
    """The bits of the weights and of the optimizer."""
    slots = [array for weight in model.weights for array in model.optimizer.slot_arrays(weight)]
    return [model.optimizer.iterations, *[array.tobytes() for array in (*model.get_weights(), *slots)]]


def after(steps):
    """The state after this many steps that nothing interrupts."""
    model = compiled()
    for step in range(steps):
        part = slice(step % 4 * 6, step % 4 * 6 + 6)
        model.train_on_batch(X[part], Y[part])
    return state(model)


def interrupted(program, model):
    with pytest.raises(KeyboardInterrupt):
        program(model)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    return model


class At(Callback):
    """Does something at one hook of fit, the `number`-th time."""

    def __init__(self, hook, action, number=1):
        self.left = number

        def call(*_):
            self.left -= 1
            if not self.left:
                action()

        self.hook, self.call = hook, call

    def on_train_begin(self, logs=None):
        self._do("on_train_begin")

    def on_train_batch_end(self, batch, logs=None):
        self._do("on_train_batch_end")

    def on_epoch_end(self, epoch, logs=None):
        self._do("on_epoch_end")

    def on_train_end(self, logs=None):
        self._do("on_train_end")

    def _do(self, hook):
        if hook == self.hook:
            self.call()


# (hook, how often before) -> steps done, epochs in the history, what is said
PLACES = [
    ("on_train_begin", 1, 0, 0, "epoch 1 of 3, after 0 of 4 steps"),
    ("on_train_batch_end", 6, 6, 1, "epoch 2 of 3, after 2 of 4 steps"),
    ("on_train_batch_end", 4, 4, 1, "epoch 1 of 3, after 4 of 4 steps"),
    ("on_epoch_end", 3, 12, 3, "epoch 3 of 3, after 4 of 4 steps"),
]


@pytest.mark.parametrize("hook, number, steps, epochs, text", PLACES)
def test_fit_finishes_the_step_says_so_and_raises(hook, number, steps, epochs, text, capsys):
    ended = []
    callbacks = [At(hook, press, number), At("on_train_end", lambda: ended.append(1))]
    model = interrupted(lambda model: fit(model, epochs=3, callbacks=callbacks), compiled())
    assert state(model) == after(steps) and model.stop_training and ended == [1]
    assert model.history.epoch == list(range(epochs)) and len(model.history.history.get("loss", [])) == epochs
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 and f"Interrupted in {text}" in lines[0]


def test_no_ctrl_c_is_lost_at_the_end():
    model = interrupted(lambda model: fit(model, callbacks=[At("on_train_end", press)]), compiled())
    assert state(model) == after(4) and model.history.epoch == [0]


def test_validation_evaluate_and_predict_stop_between_batches():
    seen = []

    def metric(y, output):
        seen.append(len(output))
        if len(seen) % 3 == 0:
            press()
        return np.zeros(len(y))

    model = interrupted(lambda model: model.evaluate(X, Y, batch_size=4, verbose=0), compiled(metrics=[metric]))
    assert seen == [4] * 3
    interrupted(lambda model: model.fit(X[:8], Y[:8], 4, verbose=0, validation_data=(X, Y)), model)
    assert seen == [4] * 6 and model.optimizer.iterations == 2 and model.history.epoch == []
    model.layers[0].call = lambda x, call=model.layers[0].call: seen.append(press()) or call(x)
    interrupted(lambda model: model.predict(X, batch_size=4), model)
    assert len(seen) == 7


def test_train_on_batch_moves_all_weights_before_it_raises(monkeypatch):
    step = kernels.adam_step
    monkeypatch.setattr(kernels, "adam_step", lambda *arguments: step(*arguments) or press())
    model = interrupted(lambda model: model.train_on_batch(X[:6], Y[:6]), compiled())
    monkeypatch.undo()
    assert state(model) == after(1)


def test_a_second_ctrl_c_does_not_wait(capsys):
    def hang():
        press()
        press()
        reached.append("the rest of the callback")

    reached = []
    model = interrupted(lambda model: fit(model, callbacks=[At("on_train_batch_end", hang, 2)]), compiled())
    assert not reached and state(model) == after(2) and "after 2 of 4 steps" in capsys.readouterr().out
    interrupted(lambda model: fit(model, callbacks=[At("on_train_end", hang)]), model)
    assert not reached and model.optimizer.iterations == 6


def test_a_fit_within_a_fit_stops_with_it():
    inner, outer = compiled(), compiled()
    within = At("on_train_batch_end", lambda: fit(inner, callbacks=[At("on_train_batch_end", press, 2)]))
    interrupted(lambda model: fit(model, callbacks=[within]), outer)
    assert (inner.optimizer.iterations, outer.optimizer.iterations) == (2, 1)


def test_a_handler_of_the_users_and_other_threads_are_left_alone():
    mine = lambda *_: None  # noqa: E731
    signal.signal(signal.SIGINT, mine)
    try:
        fit(compiled(), callbacks=[At("on_train_batch_end", press)])
        assert signal.getsignal(signal.SIGINT) is mine
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    done = []

    def elsewhere():
        thread = threading.Thread(target=lambda: done.append(fit(compiled()).epoch))
        thread.start()
        thread.join()

    both = At("on_train_batch_end", lambda: (press(), elsewhere()))
    interrupted(lambda model: fit(model, callbacks=[both]), compiled())
    assert done == [[0]]


class Lines:
    """Counts the lines that run in fastconv inside `with`; presses Ctrl-C before number `at`."""

    def __init__(self, at=None):
        self.at, self.count = at, 0

    def __enter__(self):
        sys.settrace(self._call)
        return self

    def __exit__(self, *exception):
        sys.settrace(None)

    def _call(self, frame, event, argument):
        return self._line if frame.f_code.co_filename.startswith(os.path.dirname(fastconv.__file__)) else None

    def _line(self, frame, event, argument):
        self.count += event == "line"
        if event == "line" and self.count == self.at:
            sys.settrace(None)
            press()
        return self._line


def test_ctrl_c_at_any_line_of_four_steps(tmp_path):
    def program(model):
        fit(model, validation_data=(X[:8], Y[:8]))

    expected = [after(steps) for steps in range(5)]
    program(compiled())
    model = compiled()
    with Lines() as lines:
        program(model)
    assert lines.count > 1000
    for at in range(1, lines.count, lines.count // 100):
        model = compiled()
        with Lines(at):
            interrupted(program, model)
        steps, history = model.optimizer.iterations, model.history
        assert state(model) == expected[steps], at
        assert history is None or history.epoch in ([], [0][: steps == 4]), at
        model.save(tmp_path / "model.safetensors")
        twin = models.load_model(tmp_path / "model.safetensors")
        fit(model), fit(twin)
        assert state(model) == state(twin), at
