"""Threads on one model: its first calls, from several threads at once.

Each case is a model of random layers that is cold and unbuilt, cold and built, or warm; a thread may be stopped
anywhere, as the interpreter switches 100,000 times a second. It knows no internals. Contract: each thread gets the bits
that one thread alone gets, the model has one set of weights, and its file loads and predicts the same.
"""

from __future__ import annotations

import pathlib
import random
import sys
import tempfile
import threading

import numpy as np

from fastconv import Sequential, layers, ops
from fastconv.utils import set_random_seed
from tools.report import Report, arguments

STATES = ("unbuilt", "built", "warm")
THREADS, CALLS = 6, 3


class Own(layers.Layer):
    """A layer of a user's: a weight, a layer inside, and no shape of its own, so that building calls it."""

    def __init__(self, units=3, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.inner = layers.Dense(units)

    def build(self, input_shape):
        self.scale = self.add_weight((input_shape[-1],), "random_uniform", name="scale")

    def call(self, inputs):
        return ops.relu(self.inner(inputs * self.scale))


def stack(rng: random.Random) -> list:
    """Some layers for (batch, 12, 12, 2)."""
    found = []
    for _ in range(rng.randint(1, 3)):
        found += rng.choice((
            lambda: [layers.Conv2D(rng.choice((3, 8)), 3, padding="same", activation="relu"), layers.MaxPooling2D(2)],
            lambda: [layers.Conv2D(4, 3, padding="same"), layers.ReLU()],
            lambda: [Sequential([layers.Conv2D(4, 1), layers.Activation("tanh")])],
            lambda: [Own(rng.choice((3, 5)))],
            lambda: [layers.Dense(4), layers.Dropout(0.5)],
        ))()  # fmt: skip
    return [*found, layers.Flatten(), layers.Dense(5, activation=rng.choice((None, "softmax")))]


def build(seed: int, state: str) -> Sequential:
    set_random_seed(seed)
    found = stack(random.Random(seed))
    return Sequential(found if state == "unbuilt" else [layers.Input((12, 12, 2)), *found])


def attack(seed: int, state: str, folder: str) -> str | None:
    """What is wrong with one model; None if nothing is."""
    model, wanted = build(seed, state), [weight.shape for weight in build(seed, "built").weights]
    draw = np.random.default_rng(seed)
    batches = [draw.standard_normal((size, 12, 12, 2)).astype("float32") for size in (1, 4)]
    if state == "warm":
        for x in batches * 2:
            model.predict(x)
    answers, errors, start = [], [], threading.Barrier(THREADS)

    def work():
        try:
            start.wait()
            answers.append([model.predict(x) for _ in range(CALLS) for x in batches])
        except BaseException as error:  # whatever it is, it is this tool's finding
            errors.append(f"{type(error).__name__}: {error}")

    threads = [threading.Thread(target=work, daemon=True) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    if errors or len(answers) < THREADS:
        return errors[0] if errors else "a thread hangs"
    shapes = [weight.shape for weight in model.weights]
    if shapes != wanted:
        return f"{len(shapes)} weights of shapes {shapes}; {len(wanted)} are right"
    alone = [model.predict(x) for _ in range(CALLS) for x in batches]
    if any(one.tobytes() != other.tobytes() for answer in answers for one, other in zip(answer, alone)):
        return "a thread got other bits"
    path = pathlib.Path(folder, "model.safetensors")
    model.save(path)
    try:
        again = load(path)
    except ValueError as error:
        return f"its file does not load: {error}"
    return None if again.predict(batches[0]).tobytes() == alone[0].tobytes() else "its file predicts other bits"


def load(path):
    from fastconv.models import load_model

    return load_model(path, custom_objects={"Own": Own})


def main() -> int:
    given = arguments("threads", __doc__.splitlines()[0], cases=500, quick=60)
    report, before = Report("threads", given.seed), sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with tempfile.TemporaryDirectory() as folder:
            for case in range(given.cases):
                seed, state = 1000 * given.seed + case, STATES[case % len(STATES)]
                problem = attack(seed, state, folder)
                report.case(problem and f"case {case} ({state}): {problem}; again: --seed {given.seed}")
    finally:
        sys.setswitchinterval(before)
    return report.close()


if __name__ == "__main__":
    sys.exit(main())
