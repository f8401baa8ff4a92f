"""Callbacks that act at a moment: a learning rate an epoch, a stop at NaN, functions of one's own, the bar, averages.

Contract: each is independent of the others; what one cannot do without (a rate, an average) is named in an error.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable
from typing import Any

from fastconv.progress import say

from .base import HOOKS, Callback


class LearningRateScheduler(Callback):
    """Sets the learning rate before each epoch to `schedule(epoch, learning_rate)`, or to `schedule(epoch)`.

    Epochs count from 0. The rate of each epoch is in the logs, as "learning_rate"; `verbose=1` prints a line.
    """

    def __init__(self, schedule: Callable[..., float], verbose: int = 0) -> None:
        if not callable(schedule):
            raise TypeError(f"LearningRateScheduler: schedule must be a function of the epoch; got {schedule!r}.")
        self.schedule, self.verbose = schedule, verbose

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        optimizer = self.model.optimizer
        rate = float(optimizer.learning_rate)
        value = self.schedule(epoch, rate) if _takes_two(self.schedule) else self.schedule(epoch)
        try:
            value = float(value)
        except (TypeError, ValueError):
            raise TypeError(f"LearningRateScheduler: schedule must give a number; got {value!r}.") from None
        optimizer.learning_rate = value
        if self.verbose:
            say(f"Epoch {epoch + 1}: the learning rate is {value:.4g}.")

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        if logs is not None:
            logs["learning_rate"] = float(self.model.optimizer.learning_rate)


def _takes_two(function):
    """Whether a function takes an epoch and a learning rate."""
    import inspect

    try:
        inspect.signature(function).bind(0, 0.0)
    except TypeError:
        return False
    except ValueError:  # a function of C that has no signature
        return True
    return True


class TerminateOnNaN(Callback):
    """Ends the run after a step whose loss is NaN or infinite; with `raise_error` by a RuntimeError."""

    def __init__(self, raise_error: bool = False) -> None:
        self.raise_error = bool(raise_error)

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        loss = (logs or {}).get("loss")
        if loss is None or math.isfinite(loss):
            return
        message = f"Batch {batch}: the loss is {loss}; the training ends."
        if self.raise_error:
            raise RuntimeError(message)
        say(message)
        self.model.stop_training = True


class LambdaCallback(Callback):
    """Functions as hooks: `LambdaCallback(on_epoch_end=lambda epoch, logs: ...)`; any hook of Callback by its name."""

    def __init__(
        self, on_epoch_begin: Callable | None = None, on_epoch_end: Callable | None = None,
        on_train_begin: Callable | None = None, on_train_end: Callable | None = None,
        on_train_batch_begin: Callable | None = None, on_train_batch_end: Callable | None = None, **kwargs: Callable,
    ) -> None:  # fmt: skip
        given = {
            "on_epoch_begin": on_epoch_begin, "on_epoch_end": on_epoch_end, "on_train_begin": on_train_begin,
            "on_train_end": on_train_end, "on_train_batch_begin": on_train_batch_begin,
            "on_train_batch_end": on_train_batch_end,
        } | kwargs  # fmt: skip
        for hook, function in given.items():
            if hook not in HOOKS:
                near = difflib.get_close_matches(hook, HOOKS, n=1)
                hint = f" Did you mean {near[0]!r}?" if near else ""
                raise TypeError(f"LambdaCallback has no hook {hook!r}.{hint} Hooks: {', '.join(HOOKS)}.")
            if function is not None:
                setattr(self, hook, function)


class ProgbarLogger(Callback):
    """The bar, or the lines, that `fit` prints by itself; given as a callback, it prints them instead of `fit`."""

    def on_train_begin(self, logs: dict | None = None) -> None:
        from fastconv.progress import Progress

        params = self.params or {}
        self._progress = Progress(params.get("verbose", 1))
        self._epochs, self._steps = params.get("epochs", 1), params.get("steps") or 1

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self._progress.begin(f"Epoch {epoch + 1}/{self._epochs}", self._steps)

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        self._progress.step(batch + 1, lambda: logs or {})

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        self._progress.end(logs or {})

    def on_train_end(self, logs: dict | None = None) -> None:
        self._progress.close()


class SwapEMAWeights(Callback):
    """Evaluates and predicts with the running averages of an optimizer with `use_ema`, and trains on without them.

    With `swap_on_epoch` the averages stand in the weights at the end of each epoch too, for a ModelCheckpoint behind
    this callback, and go back where the next one begins.
    """

    def __init__(self, swap_on_epoch: bool = False) -> None:
        self.swap_on_epoch = bool(swap_on_epoch)

    def set_model(self, model: Any) -> None:
        super().set_model(model)
        if not getattr(model.optimizer, "use_ema", False):
            raise ValueError("SwapEMAWeights needs an optimizer with use_ema=True.")

    def _swap(self, averages):
        if self.model.optimizer.holds_averages != averages:
            self.model.optimizer.swap_averages(self.model.trainable_weights)

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self._swap(False)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        self._swap(self.swap_on_epoch)

    def on_test_begin(self, logs: dict | None = None) -> None:
        self._swap(True)

    def on_test_end(self, logs: dict | None = None) -> None:
        self._swap(False)

    def on_predict_begin(self, logs: dict | None = None) -> None:
        self._swap(True)

    def on_predict_end(self, logs: dict | None = None) -> None:
        self._swap(False)


class RemoteMonitor(Callback):
    """Not for fastconv: no callback of it opens a connection. Send logs yourself, from a LambdaCallback."""

    def __init__(
        self, root: str = "http://localhost:9000", path: str = "/publish/epoch/end/", field: str = "data",
        headers: dict | None = None, send_as_json: bool = False,
    ) -> None:  # fmt: skip
        raise ValueError(
            "RemoteMonitor: fastconv sends nothing over the network. Send the logs yourself: "
            "LambdaCallback(on_epoch_end=lambda epoch, logs: send(epoch, dict(logs)))."
        )
