"""Ctrl-C at every executed line of training, evaluation and prediction; and twice, at any time.

Lines are counted with sys.settrace in fastconv's own files; the signal is a real one. Four cases of five are lines,
drawn from all of them (some 57,000: 72,000 cases try each); the fifth sends two signals from another thread at random
moments, the second of which does not wait for the step. Contract: KeyboardInterrupt arrives, Python's handler is back,
the weights and the optimizer are those after a whole number of steps (once) and as good to go on from as a fresh copy
of them (always), and the history holds whole epochs.
"""

from __future__ import annotations

import os
import pathlib
import random
import signal
import sys
import tempfile
import threading
import time

import numpy as np

import fastconv
from fastconv import Sequential, layers, optimizers, planning
from fastconv.layers import base
from fastconv.models import load_model
from fastconv.random import SeedGenerator
from fastconv.symbolic import is_tracing
from fastconv.tensor import is_recording
from fastconv.utils import set_random_seed
from tools.report import Report, arguments

FOLDER = os.path.dirname(fastconv.__file__)
STEPS, BATCH = 4, 6
draw = np.random.default_rng(0)
X = draw.standard_normal((STEPS * BATCH, 10, 10, 1)).astype("float32")
Y = np.eye(3, dtype="float32")[draw.integers(0, 3, STEPS * BATCH)]


def network(built=True, dropout=0.0) -> Sequential:
    set_random_seed(1)
    found = [layers.Conv2D(4, 3, activation="relu"), layers.MaxPooling2D(2), layers.Flatten()]
    found += [layers.Dropout(dropout, seed=3), layers.Dense(3, activation="softmax")]
    model = Sequential([layers.Input((10, 10, 1)), *found] if built else found)
    model.compile(optimizers.Adam(0.01), "categorical_crossentropy", metrics=["accuracy"])
    return model


def fit(model, **options):
    model.fit(X, Y, batch_size=BATCH, shuffle=False, verbose=0, **options)


def one_by_one(model):
    for start in range(0, len(X), BATCH):
        model.train_on_batch(X[start : start + BATCH], Y[start : start + BATCH])


def look(model):
    for _ in range(2):
        model.evaluate(X, Y, batch_size=BATCH, verbose=0)
        model.predict(X, batch_size=BATCH)


PROGRAMS = {  # name -> how a model is made, and what is interrupted
    "fit": (network, fit),
    "fit, cold": (lambda: network(built=False), fit),
    "fit, eager": (lambda: network(dropout=0.5), fit),
    "fit, validated": (network, lambda model: fit(model, validation_data=(X[:8], Y[:8]))),
    "train_on_batch": (network, one_by_one),
    "evaluate, predict": (network, look),
    "predict, cold": (lambda: network(built=False), look),
}


class Lines:
    """Counts the lines that run in fastconv inside `with`, and sends SIGINT to this process before number `at`."""

    def __init__(self, at=None):
        self.at, self.count, self.where = at, 0, ""

    def __enter__(self):
        sys.settrace(self._call)
        return self

    def __exit__(self, *exception):
        sys.settrace(None)

    def _call(self, frame, event, argument):
        return self._line if frame.f_code.co_filename.startswith(FOLDER) else None

    def _line(self, frame, event, argument):
        if event == "line":
            self.count += 1
            if self.count == self.at:
                sys.settrace(None)
                self.where = f"{os.path.relpath(frame.f_code.co_filename, FOLDER)}:{frame.f_lineno}"
                signal.raise_signal(signal.SIGINT)
        return self._line


def state(model) -> list[bytes]:
    """The bits of the weights and of the optimizer."""
    slots = [array for weight in model.weights for array in model.optimizer.slot_arrays(weight)]
    return [array.tobytes() for array in (*model.get_weights(), *slots)]


def outcomes(make) -> list:
    """The state after each number of steps that nothing interrupts."""
    model = make()
    if not model.built:
        model.build((None, *X.shape[1:]))
    found = [state(model)]
    for start in range(0, len(X), BATCH):
        model.train_on_batch(X[start : start + BATCH], Y[start : start + BATCH])
        found.append(state(model))
    return found


def fault(model, folder: str, expected=None) -> str | None:
    """What is wrong with a model, and with the process, after an interrupt."""
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        return "Python's handler is not back"
    if planning._recording.locked() or is_tracing() or base.state.inside:
        return "planning is locked"
    if not is_recording() or base.state.training:
        return "the thread records no gradients, or is in training"
    done, history = model.optimizer.iterations, model.history
    if expected and model.built and done and state(model) != expected[done]:
        return f"the weights are not those after {done} steps, which the optimizer counts"
    if expected and history and (history.epoch not in ([], [0]) or history.epoch and done != STEPS):
        return f"the history holds the epochs {history.epoch} after {done} steps"
    if not model.built:
        model.build((None, *X.shape[1:]))
    if len(model.weights) != 4:
        return f"there are {len(model.weights)} weights in place of 4"
    path = pathlib.Path(folder, "model.safetensors")
    model.save(path)
    twin = load_model(path)
    for other in (model, twin):
        other.get_layer(index=3)._generator = SeedGenerator(5)  # Dropout's
        fit(other, epochs=2)
    return None if state(model) == state(twin) else "training on gives other bits than a fresh copy's"


def once(name: str, at: int, expected, folder: str) -> str | None:
    make, program = PROGRAMS[name]
    model = make()
    lines = Lines(at)
    try:
        with lines:
            program(model)
    except KeyboardInterrupt:
        problem = fault(model, folder, expected)
    else:
        problem = "the Ctrl-C is lost"
    return problem and f"{name}, line {at} ({lines.where}): {problem}"


def twice(name: str, delays, folder: str) -> str | None:
    make, program = PROGRAMS[name]
    model, main_thread = make(), threading.get_ident()

    def press():
        for delay in delays:
            time.sleep(delay)
            signal.pthread_kill(main_thread, signal.SIGINT)

    presses = threading.Thread(target=press, daemon=True)
    try:
        presses.start()
        while True:
            program(model)
    except KeyboardInterrupt:
        pass
    while presses.is_alive():  # the second one, if it has not come yet
        try:
            presses.join()
            time.sleep(0.01)
        except KeyboardInterrupt:
            pass
    problem = fault(model, folder)
    return problem and f"{name}, two after {delays[0]:.6f} and {delays[1]:.6f} s: {problem}"


def main() -> int:
    given = arguments("interrupts", __doc__.splitlines()[0], cases=10_000, quick=300)
    report, rng = Report("interrupts", given.seed), random.Random(given.seed)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.stdout = open(os.devnull, "w")  # fit says each time that it was interrupted
    expected, places = {}, []
    for name, (make, program) in PROGRAMS.items():
        expected[name] = outcomes(make)
        program(make())  # the first time, what is cached runs more lines
        model = make()
        with Lines() as lines:
            program(model)
        places += [(name, at) for at in range(1, lines.count + 1)]
    lines = rng.sample(places, min(given.cases * 4 // 5, len(places)))
    with tempfile.TemporaryDirectory() as folder:
        for name, at in lines:
            record(report, once(name, at, expected[name], folder))
        for _ in range(given.cases - len(lines)):
            name = rng.choice(list(PROGRAMS))
            record(report, twice(name, (rng.uniform(0, 0.02), rng.choice((0, rng.uniform(0, 0.003)))), folder))
    sys.stdout = sys.__stdout__
    return report.close()


def record(report, problem):
    silent, sys.stdout = sys.stdout, sys.__stdout__
    report.case(problem)
    sys.stdout = silent


if __name__ == "__main__":
    sys.exit(main())
