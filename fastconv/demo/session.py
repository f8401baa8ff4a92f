"""What the page is about: the network that it looks into, and one training at a time of a fresh one.

It knows no browser. Contract: every method may be called from any thread. Training runs in a thread of its own on a
network of its own, whose weights are copied into the one that is shown every few steps; so what is shown never changes
within a look. The n-th training of a session always gives the same weights; the first is that of `fastconv train`.
"""

from __future__ import annotations

import math
import threading
from argparse import Namespace
from typing import Any

import numpy as np

from fastconv import callbacks, datasets, utils
from fastconv.cli.data import Data, ready
from fastconv.cli.digits import SIZE, placed
from fastconv.cli.networks import network
from fastconv.cli.recipes import DEFAULTS, Recipe
from fastconv.demo.seeing import SHAPE, Viewer, check

PAD = 140  # pixels a side of a drawing
EVERY = 5  # steps from one point of the loss curve to the next
SAMPLES = 3  # sample digits of each class


class Busy(RuntimeError):
    """A training runs already."""


class Session:
    """`model`: a network to look into, called `title`; None trains the tutorial's at once. ValueError where it does not
    take images of 28 x 28 x 1. `recipe`: how fresh networks are trained."""

    def __init__(self, model: Any = None, title: str = "", recipe: Recipe = DEFAULTS["mnist-mini"]) -> None:
        (x, y), (x_test, y_test) = datasets.mnist_mini.load_data()
        train, test = ((images[..., None], labels) for images, labels in ((x, y), (x_test, y_test)))
        self._data = Data("mnist-mini", train, test, list("0123456789"))
        self._recipe, self._lock, self._runs, self._thread, self._stop = recipe, threading.Lock(), 0, None, False
        self._state = {"status": "ready", "title": title, "version": 0, "loss": [], "tests": []}
        if model is None:
            self.train()
        else:
            check(model, title)
            self._viewer = Viewer(model)

    def look(self, drawing: bytes) -> bytes:
        """What the network makes of a drawing, PAD x PAD bytes of ink, row by row; see seeing.py. ValueError where it
        has another size."""
        if len(drawing) != PAD * PAD:
            raise ValueError(f"A drawing is {PAD} x {PAD} bytes, {PAD * PAD}; got {len(drawing)}.")
        ink = np.frombuffer(drawing, "uint8").reshape(PAD, PAD).astype("float32")
        image = placed(ink) if ink.any() else np.zeros(SHAPE, "uint8")
        with self._lock:
            return self._viewer.look(image)

    def samples(self) -> bytes:
        """Real digits of the test part, in order: of each the class, and SIZE x SIZE bytes of ink."""
        x, y = self._data.test
        chosen = np.concatenate([np.flatnonzero(y == digit)[:SAMPLES] for digit in range(10)])
        return np.concatenate([y[chosen, None], x[chosen].reshape(-1, SIZE * SIZE)], axis=1).tobytes()

    def state(self) -> dict[str, Any]:
        """What JSON can hold: the status ("training", "ready", "stopped", "failed"), the loss by step, the accuracy on
        test digits by step, the first filters, and a version that grows with each change of the weights."""
        with self._lock:
            return {**self._state, "filters": self._viewer.filters()}

    def train(self) -> None:
        """Starts to train a fresh network of the tutorial's kind, which is shown from now on. Busy while one is."""
        with self._lock:
            if self._thread is not None and self._thread.is_alive():
                raise Busy("A network is being trained: stop it first.")
            self._viewer = Viewer(self._fresh())
            steps = math.ceil(len(self._data.train[0]) / self._recipe.batch_size)
            self._state = {
                "status": "training", "title": "the tutorial's network", "version": self._state["version"] + 1,
                "step": 0, "epoch": 1, "epochs": self._recipe.epochs, "steps": steps * self._recipe.epochs,
                "samples": len(self._data.train[0]), "test_samples": len(self._data.test[0]), "loss": [], "tests": [],
            }  # fmt: skip
            self._stop = False
            self._thread = threading.Thread(target=self._run, args=(self._runs,), name="training")
            self._runs += 1
            self._thread.start()

    def stop(self) -> None:
        """Ends the training after its current step, if there is one."""
        self._stop = True

    def close(self) -> None:
        """Ends the training, and waits for it."""
        self.stop()
        if self._thread is not None:
            self._thread.join()

    # In the thread of the training

    def _fresh(self):
        return network(Namespace(model=None), self._recipe, self._data)

    def _run(self, seed):
        try:
            utils.set_random_seed(seed)
            model = self._fresh()
            ready(model, self._data, self._recipe.optimizer)
            rate, epochs = self._recipe.learning_rate, self._recipe.epochs
            falling = callbacks.LearningRateScheduler(lambda epoch: rate * (1 - epoch / epochs))
            (x, y), (x_test, y_test) = (
                (self._data.prepared(x, model), y) for x, y in (self._data.train, self._data.test)
            )
            model.fit(
                x, y, batch_size=self._recipe.batch_size, epochs=epochs, validation_data=(x_test, y_test), verbose=0,
                callbacks=[falling, _watch(self)],
            )  # fmt: skip
            self._note(status="stopped" if self._stop else "ready")
        except Exception as error:  # the thread's last words: the page says them
            self._note(status="failed", message=f"Training failed: {error}")

    def _note(self, weights=None, loss=None, test=None, **changes):
        """Takes up the weights, a point of each curve, and what else there is to say."""
        with self._lock:
            state = {**self._state, **changes}
            for name, point in (("loss", loss), ("tests", test)):
                if point is not None and math.isfinite(point[1]):
                    state[name] = [*state[name], point]
            if weights is not None:
                self._viewer.model.set_weights(weights)
                state["version"] += 1
            self._state = state


def _watch(session):
    """A callback that tells the session, and stops when it says so."""

    class Watch(callbacks.Callback):
        step, summed = 0, 0.0

        def on_epoch_begin(self, epoch, logs=None):
            self.epoch, self.summed = epoch, 0.0

        def on_train_batch_end(self, batch, logs=None):
            self.step += 1
            self.model.stop_training = session._stop
            if (batch + 1) % EVERY and not session._stop:
                return
            summed = logs["loss"] * (batch + 1)  # the log is the epoch's mean so far
            loss = (summed - self.summed) / (batch % EVERY + 1)
            self.summed = summed
            session._note(self.model.get_weights(), (self.step, loss), step=self.step, epoch=self.epoch + 1)

        def on_epoch_end(self, epoch, logs=None):
            session._note(self.model.get_weights(), None, (self.step, logs["val_accuracy"]), step=self.step)

    return Watch()
