"""Callbacks that follow a value: stop, save or slow down where it no longer gets better.

Contract: `monitor` names a loss or metric of the logs; `mode` "auto" asks the metric of that name which way is better,
and takes accuracies and areas to go up, losses down; of any other value `mode` must say it: ValueError. A value that is
not there is one warning, not an error.
"""

from __future__ import annotations

import contextlib
import math
import os
from typing import Any

from fastconv import modelfile
from fastconv.distribution import world
from fastconv.progress import say, warn_user

from .base import Callback, Logs, NoLog


class _Monitor(Callback):
    """What these callbacks share: which value to follow, and which way is better."""

    kept: tuple[str, ...] = ()  # the attributes that a run which goes on needs
    _best = -math.inf  # larger is better

    def __init__(self, monitor, mode):
        if mode not in ("auto", "min", "max"):
            raise ValueError(f"{type(self).__name__}: mode must be 'auto', 'min' or 'max'; got {mode!r}.")
        self.monitor = monitor
        self.mode = mode
        upwards = "acc" in monitor or "auc" in monitor
        self._sign = 1.0 if mode == "max" or (mode == "auto" and upwards) else -1.0
        self._knows = mode != "auto" or upwards or "loss" in monitor  # which way is better
        self._warned = False

    def get_state(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.kept}

    def set_state(self, state: dict[str, Any]) -> None:
        vars(self).update({name: state[name] for name in self.kept})

    def set_model(self, model: Any) -> None:
        super().set_model(model)
        name = self.monitor.removeprefix("val_")
        for metric in getattr(model, "metrics", ()) if self.mode == "auto" else ():
            if metric.direction and (name == metric.name or name.endswith(f"_{metric.name}")):
                self._sign, self._knows = 1.0 if metric.direction == "up" else -1.0, True

    @property
    def best(self) -> float | None:
        """The best value so far, None before the first."""
        return None if math.isinf(self._best) else self._sign * self._best

    @best.setter
    def best(self, value: float | None) -> None:
        self._best = -math.inf if value is None else self._sign * value

    def _score(self, logs):
        """The monitored value, turned so that larger is better; None, with one warning, if it is not there."""
        if self.monitor in logs:
            if not self._knows:
                raise ValueError(
                    f"{type(self).__name__}: nothing says whether {self.monitor!r} is better high or low: give "
                    "mode='max' or mode='min'."
                )
            return self._sign * logs[self.monitor]
        if not self._warned:
            warn_user(
                f"{type(self).__name__} follows {self.monitor!r}, so it does nothing: {NoLog(self.monitor, list(logs))}"
            )
            self._warned = True
        return None


class EarlyStopping(_Monitor):
    """Stops when `monitor` has not improved by more than `min_delta` for `patience` epochs.

    `mode`: "min", "max" or "auto", which metrics that compile was given and losses know. `baseline`: a value to beat.
    `restore_best_weights`: the best epoch's weights come back at the end of the run. `start_from_epoch`: epochs to wait
    before watching. `verbose=1` prints one line when it stops.
    """

    kept = ("wait", "stopped_epoch", "best_epoch", "best_weights", "_best")

    def __init__(
        self, monitor: str = "val_loss", min_delta: float = 0, patience: int = 0, verbose: int = 0, mode: str = "auto",
        baseline: float | None = None, restore_best_weights: bool = False, start_from_epoch: int = 0,
    ) -> None:  # fmt: skip
        super().__init__(monitor, mode)
        self.min_delta = abs(min_delta)
        self.patience = patience
        self.verbose = verbose
        self.baseline = baseline
        self.restore_best_weights = restore_best_weights
        self.start_from_epoch = start_from_epoch

    def on_train_begin(self, logs: dict | None = None) -> None:
        self.wait, self.stopped_epoch, self.best_epoch, self.best_weights = 0, 0, 0, None
        self._best = -math.inf  # larger is better
        self._goal = -math.inf if self.baseline is None else self._sign * self.baseline

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        score = self._score(logs or {})
        if score is None or epoch < self.start_from_epoch:
            return
        self.wait += 1
        improved = score - self.min_delta > self._best
        if improved:
            self._best, self.best_epoch = score, epoch
        if self.restore_best_weights and (improved or self.best_weights is None):
            self.best_weights, self.best_epoch = self.model.get_weights(), epoch
        if improved:
            if score - self.min_delta > self._goal:
                self.wait = 0
        elif self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self, logs: dict | None = None) -> None:
        if self.stopped_epoch and self.verbose:
            say(f"Epoch {self.stopped_epoch + 1}: early stopping")
        if self.best_weights is not None:
            self.model.set_weights(self.best_weights)
            if self.verbose:
                say(f"The weights are those of the best epoch: {self.best_epoch + 1}.")


class ModelCheckpoint(_Monitor):
    """Saves the model after each epoch, or every `save_freq` batches; with `save_best_only` when `monitor` is better.

    `filepath` may hold `{epoch}` and `{batch}` (from 1) and names of logs:
    "best-{epoch:02d}-{val_loss:.2f}.safetensors". Its folders are made where they are missing.
    `save_weights_only` writes what `load_weights` reads. `mode` and `verbose` as in EarlyStopping.
    `initial_value_threshold`: a value to beat from the start. Of several processes the first one writes.
    """

    kept = ("_best", "_batches")

    def __init__(
        self, filepath: str | os.PathLike, monitor: str = "val_loss", verbose: int = 0, save_best_only: bool = False,
        save_weights_only: bool = False, mode: str = "auto", save_freq: str | int = "epoch",
        initial_value_threshold: float | None = None,
    ) -> None:  # fmt: skip
        super().__init__(monitor, mode)
        self.save_freq = checked_frequency(self, save_freq)
        self.filepath = os.fspath(filepath)
        modelfile.check_name(self.filepath, save_weights_only)  # not after the first epoch
        self.verbose = verbose
        self.save_best_only = save_best_only
        self.save_weights_only = save_weights_only
        self._best = -math.inf if initial_value_threshold is None else self._sign * initial_value_threshold

        self._epoch = self._batches = 0

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        self._batches += 1
        if self.save_freq != "epoch" and self._batches % self.save_freq == 0:
            self._save(Logs(logs or {}), batch)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        self._epoch = epoch
        if self.save_freq == "epoch":
            self._save(logs or {}, None)

    def _save(self, logs, batch):
        if self.save_best_only:
            score = self._score(logs)
            if score is None or not score > self._best:
                return
            self._best = score
        path = self._path(logs, batch)
        if not world.rank():
            with contextlib.suppress(OSError):  # saving says what is wrong with a folder
                os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
            (self.model.save_weights if self.save_weights_only else self.model.save)(path)
        if self.verbose:
            say(f"Epoch {self._epoch + 1}: saved {path}")

    def _path(self, logs, batch):
        places = {"epoch": self._epoch + 1} | ({} if batch is None else {"batch": batch + 1})
        try:
            return self.filepath.format_map(Logs(logs, **places))
        except (KeyError, IndexError) as error:
            raise ValueError(
                f"ModelCheckpoint: filepath {self.filepath!r} names {error}, which is not there. There are: "
                f"{', '.join(places)}, {', '.join(logs)}."
            ) from None


class ReduceLROnPlateau(_Monitor):
    """Multiplies the learning rate by `factor` when `monitor` has not improved by more than `min_delta` for `patience`
    epochs, down to `min_lr`; then it waits `cooldown` epochs before it counts again.

    `mode` as in EarlyStopping; `baseline`: a value to beat from the start; `verbose=1` prints a line. The rate of each
    epoch is in the logs, as "learning_rate". An optimizer with a schedule has a plain rate afterwards.
    """

    kept = ("wait", "cooldown_counter", "_best")

    def __init__(
        self, monitor: str = "val_loss", factor: float = 0.1, patience: int = 10, verbose: int = 0, mode: str = "auto",
        min_delta: float = 0.0001, cooldown: int = 0, min_lr: float = 0.0, baseline: float | None = None,
    ) -> None:  # fmt: skip
        super().__init__(monitor, mode)
        if not 0 <= factor < 1:
            raise ValueError(f"ReduceLROnPlateau: factor must be at least 0 and below 1; got {factor!r}.")
        self.factor, self.patience, self.verbose = factor, patience, verbose
        self.min_delta, self.cooldown, self.min_lr, self.baseline = abs(min_delta), cooldown, min_lr, baseline

    def on_train_begin(self, logs: dict | None = None) -> None:
        self.wait = self.cooldown_counter = 0
        self._best = -math.inf if self.baseline is None else self._sign * self.baseline

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        optimizer = self.model.optimizer
        rate = float(optimizer.learning_rate)
        if logs is not None:
            logs["learning_rate"] = rate
        score = self._score(logs or {})
        if score is None:
            return
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.wait = 0
        if score - self.min_delta > self._best:
            self._best, self.wait = score, 0
        elif self.cooldown_counter <= 0:
            self.wait += 1
            if self.wait >= self.patience and rate > self.min_lr:
                optimizer.learning_rate = max(rate * self.factor, self.min_lr)
                self.cooldown_counter, self.wait = self.cooldown, 0
                if self.verbose:
                    say(f"Epoch {epoch + 1}: the learning rate is now {optimizer.learning_rate:.4g}.")


def checked_frequency(owner: Any, value: Any) -> str | int:
    """`save_freq`: "epoch" or a whole number of batches, at least 1."""
    if value != "epoch" and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise ValueError(f"{type(owner).__name__}: save_freq must be 'epoch' or a number of batches; got {value!r}.")
    return value
