"""Callbacks: hooks into `fit`, under Keras' names.

They watch and steer; they compute no gradients. Contract: `logs` holds Python floats by name (loss, the metrics, and
after an epoch their val_ forms), in which acc and accuracy are one name; setting `self.model.stop_training = True`
ends the run after the current step. Epochs and batches count from 0.
"""

from __future__ import annotations

import difflib
import math
import os
import warnings


class Logs(dict):
    """A dict in which "acc" finds "accuracy" and the reverse, with or without "val_"."""

    def __missing__(self, key):
        other = _alias(key)
        if dict.__contains__(self, other):
            return self[other]
        raise KeyError(key)

    def __contains__(self, key):
        return dict.__contains__(self, key) or dict.__contains__(self, _alias(key))

    def get(self, key, default=None):
        try:
            return self[key]
        except KeyError:
            return default


def _alias(key):
    prefix, name = ("val_", key[4:]) if str(key).startswith("val_") else ("", key)
    return prefix + {"acc": "accuracy", "accuracy": "acc"}.get(name, str(name))


class Callback:
    """Base class: override the hooks you need. `self.model` and `self.params` (epochs, steps) are set before."""

    model = None
    params = None

    def set_model(self, model):
        self.model = model

    def set_params(self, params):
        self.params = params

    def on_train_begin(self, logs=None):
        """Before the first epoch."""

    def on_train_end(self, logs=None):
        """After the last epoch, also when the run was stopped or interrupted."""

    def on_epoch_begin(self, epoch, logs=None):
        """Before an epoch."""

    def on_epoch_end(self, epoch, logs=None):
        """After an epoch and its validation."""

    def on_train_batch_begin(self, batch, logs=None):
        """Before a step."""

    def on_train_batch_end(self, batch, logs=None):
        """After a step; `logs` are the epoch's running means."""


class CallbackList:
    """The callbacks of one run, called in order; a hook that nobody overrides costs nothing."""

    _HOOKS = tuple(name for name in vars(Callback) if name.startswith("on_"))

    def __init__(self, callbacks, model, params):
        self.callbacks = list(callbacks)
        for callback in self.callbacks:
            self._check(callback)
            callback.set_params(params)
            callback.set_model(model)
        self._hooks = {
            hook: [getattr(c, hook) for c in self.callbacks if getattr(type(c), hook) is not getattr(Callback, hook)]
            for hook in self._HOOKS
        }

    def _check(self, callback):
        if not isinstance(callback, Callback):
            hint = " Write it with parentheses." if isinstance(callback, type) else ""
            raise TypeError(f"callbacks must hold fastconv.callbacks.Callback objects; got {callback!r}.{hint}")
        for name in dir(type(callback)):
            if name.startswith("on_") and name not in self._HOOKS:
                near = difflib.get_close_matches(name, self._HOOKS, n=1)
                hint = f" Did you mean {near[0]!r}?" if near else ""
                raise ValueError(
                    f"{type(callback).__name__}.{name} would never be called.{hint} Hooks: {', '.join(self._HOOKS)}."
                )

    def wants(self, hook: str) -> bool:
        return bool(self._hooks[hook])

    def call(self, hook: str, *arguments) -> None:
        for function in self._hooks[hook]:
            function(*arguments)


class History(Callback):
    """What `fit` returns: `history` maps each name to one value an epoch, `epoch` lists the epochs.

    `history["acc"]` and `history["accuracy"]` both work.
    """

    def __init__(self):
        self.history = Logs()
        self.epoch = []

    def on_epoch_end(self, epoch, logs=None):
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)

    def __repr__(self):
        last = {name: round(values[-1], 4) for name, values in self.history.items()}
        return f"<History of {len(self.epoch)} epochs; last: {last}>"


class _Monitor(Callback):
    """What EarlyStopping and ModelCheckpoint share: which value to follow, and which way is better."""

    def __init__(self, monitor, mode):
        if mode not in ("auto", "min", "max"):
            raise ValueError(f"{type(self).__name__}: mode must be 'auto', 'min' or 'max'; got {mode!r}.")
        self.monitor = monitor
        self.mode = mode
        self._sign = 1.0 if mode == "max" or (mode == "auto" and "acc" in monitor) else -1.0
        self._warned = False

    def _score(self, logs):
        """The monitored value, turned so that larger is better; None, with one warning, if it is not there."""
        if self.monitor in logs:
            return self._sign * logs[self.monitor]
        if not self._warned:
            hint = " Give fit validation_data or validation_split." if self.monitor.startswith("val_") else ""
            warnings.warn(
                f"{type(self).__name__} follows {self.monitor!r}, which is not there, so it does nothing.{hint} "
                f"There are: {', '.join(logs)}.",
                stacklevel=2,
            )
            self._warned = True
        return None


class EarlyStopping(_Monitor):
    """Stops when `monitor` has not improved by more than `min_delta` for `patience` epochs.

    `mode`: "min", "max" or "auto" (max for accuracies). `baseline`: a value to beat. `restore_best_weights`: the best
    epoch's weights come back at the end of the run. `start_from_epoch`: epochs to wait before watching. `verbose=1`
    prints one line when it stops.
    """

    def __init__(
        self, monitor="val_loss", min_delta=0, patience=0, verbose=0, mode="auto", baseline=None,
        restore_best_weights=False, start_from_epoch=0,
    ):  # fmt: skip
        super().__init__(monitor, mode)
        self.min_delta = abs(min_delta)
        self.patience = patience
        self.verbose = verbose
        self.baseline = baseline
        self.restore_best_weights = restore_best_weights
        self.start_from_epoch = start_from_epoch

    def on_train_begin(self, logs=None):
        self.wait, self.stopped_epoch, self.best_epoch, self.best_weights = 0, 0, 0, None
        self._best = -math.inf  # larger is better
        self._goal = -math.inf if self.baseline is None else self._sign * self.baseline

    @property
    def best(self):
        """The best value so far."""
        return self._sign * self._best

    def on_epoch_end(self, epoch, logs=None):
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

    def on_train_end(self, logs=None):
        if self.stopped_epoch and self.verbose:
            print(f"Epoch {self.stopped_epoch + 1}: early stopping", flush=True)
        if self.best_weights is not None:
            self.model.set_weights(self.best_weights)
            if self.verbose:
                print(f"The weights are those of the best epoch: {self.best_epoch + 1}.", flush=True)


class ModelCheckpoint(_Monitor):
    """Saves the model after each epoch, or with `save_best_only` when `monitor` has improved.

    `filepath` may hold `{epoch}` (from 1) and names of logs: "best-{epoch:02d}-{val_loss:.2f}.safetensors".
    `save_weights_only` writes what `load_weights` reads. `mode` and `verbose` as in EarlyStopping.
    `initial_value_threshold`: a value to beat from the start.
    """

    def __init__(
        self, filepath, monitor="val_loss", verbose=0, save_best_only=False, save_weights_only=False, mode="auto",
        initial_value_threshold=None,
    ):  # fmt: skip
        super().__init__(monitor, mode)
        self.filepath = os.fspath(filepath)
        self.verbose = verbose
        self.save_best_only = save_best_only
        self.save_weights_only = save_weights_only
        self._best = -math.inf if initial_value_threshold is None else self._sign * initial_value_threshold

    def on_epoch_end(self, epoch, logs=None):
        logs = logs or {}
        if self.save_best_only:
            score = self._score(logs)
            if score is None or not score > self._best:
                return
            self._best = score
        path = self._path(epoch, logs)
        (self.model.save_weights if self.save_weights_only else self.model.save)(path)
        if self.verbose:
            print(f"Epoch {epoch + 1}: saved {path}", flush=True)

    def _path(self, epoch, logs):
        try:
            return self.filepath.format_map(Logs(logs, epoch=epoch + 1))
        except (KeyError, IndexError) as error:
            raise ValueError(
                f"ModelCheckpoint: filepath {self.filepath!r} names {error}, which is not there. There are: epoch, "
                f"{', '.join(logs)}."
            ) from None
