"""Callback: the hooks into `fit`, `evaluate` and `predict`, what they are told, and the History of a run.

Callbacks watch and steer; they compute no gradients. Contract: `logs` holds Python floats by name (loss, the metrics,
and after an epoch their val_ forms), in which acc and accuracy are one name; setting
`self.model.stop_training = True` ends the run after the current step. Epochs and batches count from 0.
"""

from __future__ import annotations

import difflib
from typing import Any

from fastconv.distribution import world
from fastconv.registry import accepted_arguments, reject_arguments


class Logs(dict):
    """A dict in which "acc" finds "accuracy" and the reverse, with or without "val_". A KeyError says what there is."""

    def __missing__(self, key):
        other = _alias(key)
        if dict.__contains__(self, other):
            return self[other]
        raise NoLog(key, list(self))

    def __contains__(self, key):
        return dict.__contains__(self, key) or dict.__contains__(self, _alias(key))

    def get(self, key: str, default: Any = None) -> Any:
        try:
            return self[key]
        except KeyError:
            return default


class NoLog(KeyError):
    """A name that is not in the logs, and why."""

    def __str__(self):
        key, known = self.args
        if str(key).startswith("val_") and not any(name.startswith("val_") for name in known):
            hint = " Give fit validation_data or validation_split."
        else:
            near = difflib.get_close_matches(str(key), known, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else " Metrics are named in compile(metrics=[...])."
        return f"there is no {key!r}.{hint} There are: {', '.join(known) or 'none yet'}."


def _alias(key):
    prefix, name = ("val_", key[4:]) if str(key).startswith("val_") else ("", key)
    return prefix + {"acc": "accuracy", "accuracy": "acc"}.get(name, str(name))


class Callback:
    """Base class: override the hooks you need. `self.model` and `self.params` (epochs, steps, verbose) are set before.

    The hooks of batches are called with the batch's number and, at its end, with running means; `on_batch_begin` and
    `on_batch_end` are those of training under their older names.
    """

    model: Any = None
    params: dict[str, Any] | None = None
    comes_last = False  # called after those that change what it keeps
    only_writes = False  # files, and nothing else: of several processes the first one calls it

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """Names an unknown keyword with what is near it."""
        accepted = accepted_arguments(cls) if kwargs else None
        if accepted is not None:
            reject_arguments(cls.__name__, [name for name in kwargs if name not in accepted], accepted)
        return super().__new__(cls)

    def get_state(self) -> dict[str, Any]:
        """What a run that goes on from a backup needs: JSON values and lists of arrays, by name. None here."""
        return {}

    def set_state(self, state: dict[str, Any]) -> None:
        """Takes what `get_state` gave, after on_train_begin."""

    def set_model(self, model: Any) -> None:
        self.model = model

    def set_params(self, params: dict[str, Any]) -> None:
        self.params = params

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Before the first epoch."""

    def on_train_end(self, logs: dict | None = None) -> None:
        """After the last epoch, also when the run was stopped or interrupted."""

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Before an epoch."""

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """After an epoch and its validation; what is put into `logs` stands in the history."""

    def on_batch_begin(self, batch: int, logs: dict | None = None) -> None:
        """As on_train_batch_begin."""

    def on_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """As on_train_batch_end."""

    def on_train_batch_begin(self, batch: int, logs: dict | None = None) -> None:
        """Before a step."""
        self.on_batch_begin(batch, logs)

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """After a step; `logs` are the epoch's running means."""
        self.on_batch_end(batch, logs)

    def on_test_begin(self, logs: dict | None = None) -> None:
        """Before an evaluation, or the validation of an epoch."""

    def on_test_end(self, logs: dict | None = None) -> None:
        """After it, with its results."""

    def on_test_batch_begin(self, batch: int, logs: dict | None = None) -> None:
        """Before a batch of an evaluation."""

    def on_test_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """After a batch of an evaluation; `logs` are its running means."""

    def on_predict_begin(self, logs: dict | None = None) -> None:
        """Before a prediction."""

    def on_predict_end(self, logs: dict | None = None) -> None:
        """After a prediction."""

    def on_predict_batch_begin(self, batch: int, logs: dict | None = None) -> None:
        """Before a batch of a prediction."""

    def on_predict_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """After a batch of a prediction; `logs["outputs"]` are its outputs."""


HOOKS = tuple(name for name in vars(Callback) if name.startswith("on_"))


class CallbackList(Callback):
    """The callbacks of one run, called in order; a hook that nobody overrides costs nothing.

    `add_history` and `add_progbar` put a History and a ProgbarLogger behind them, `params` are what callbacks know of
    the run. TypeError for what is no Callback, ValueError for a hook that would never be called.
    """

    def __init__(
        self,
        callbacks: Any = None,
        add_history: bool = False,
        add_progbar: bool = False,
        model: Any = None,
        **params: Any,
    ) -> None:
        given = [] if callbacks is None else callbacks if isinstance(callbacks, (list, tuple)) else [callbacks]
        self.callbacks: list[Callback] = []
        for callback in given:
            self.callbacks += callback.callbacks if isinstance(callback, CallbackList) else [callback]
        if add_progbar:
            from fastconv.callbacks.actions import ProgbarLogger

            self.callbacks.append(ProgbarLogger())
        if add_history:
            self.callbacks.append(History())
        for callback in self.callbacks:
            _check(callback)
        self._arrange()
        self.set_params(params)
        if model is not None:
            self.set_model(model)

    def _arrange(self):
        self.callbacks.sort(key=lambda callback: callback.comes_last)
        called = [c for c in self.callbacks if not (c.only_writes and world.rank())]
        self._hooks = {hook: [getattr(c, hook) for c in called if _has(c, hook)] for hook in HOOKS}

    def append(self, callback: Callback) -> None:
        """Adds a callback at the end, but before those that come last."""
        _check(callback)
        self.callbacks.append(callback)
        self._arrange()

    def set_params(self, params: dict[str, Any]) -> None:
        self.params = params
        for callback in self.callbacks:
            callback.set_params(params)

    def set_model(self, model: Any) -> None:
        self.model = model
        for callback in self.callbacks:
            callback.set_model(model)

    def wants(self, hook: str) -> bool:
        """Whether somebody overrides this hook."""
        return bool(self._hooks[hook])

    def call(self, hook: str, *arguments: Any) -> None:
        """Calls a hook of all that override it."""
        for function in self._hooks[hook]:
            function(*arguments)


def _forward(hook):
    numbered = 1 if "batch" in hook or "epoch" in hook else 0

    def function(self: CallbackList, *arguments: Any, logs: dict | None = None) -> None:
        self.call(hook, *arguments, *([{} if logs is None else logs] if len(arguments) == numbered else []))

    function.__name__, function.__doc__ = hook, f"Calls {hook} of each callback."
    return function


for _hook in HOOKS:
    setattr(CallbackList, _hook, _forward(_hook))
del _hook

_OLDER = {"on_train_batch_begin": "on_batch_begin", "on_train_batch_end": "on_batch_end"}


def _has(callback, hook):
    """Whether a callback overrides a hook, in its class or by an attribute."""
    if hook in vars(callback) or getattr(type(callback), hook) is not getattr(Callback, hook):
        return True
    return hook in _OLDER and _has(callback, _OLDER[hook])


def _check(callback):
    if not isinstance(callback, Callback):
        hint = " Write it with parentheses." if isinstance(callback, type) else ""
        raise TypeError(f"callbacks must hold fastconv.callbacks.Callback objects; got {callback!r}.{hint}")
    for name in dir(type(callback)):
        if name.startswith("on_") and name not in HOOKS:
            near = difflib.get_close_matches(name, HOOKS, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise ValueError(
                f"{type(callback).__name__}.{name} would never be called.{hint} Hooks: {', '.join(HOOKS)}."
            )


class History(Callback):
    """What `fit` returns: `history` maps each name to one value an epoch, `epoch` lists the epochs.

    `history["acc"]` and `history["accuracy"]` both work.
    """

    def __init__(self):
        self.history = Logs()
        self.epoch = []

    def get_state(self) -> dict[str, Any]:
        return {"history": dict(self.history), "epoch": self.epoch}

    def set_state(self, state: dict[str, Any]) -> None:
        self.history, self.epoch = Logs(state["history"]), list(state["epoch"])

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)

    def _repr_html_(self) -> str:
        from fastconv import notebook

        full = [name for name, values in self.history.items() if len(values) == len(self.epoch)]
        rows = [*zip((epoch + 1 for epoch in self.epoch), *(map(_shown, self.history[name]) for name in full))]
        notes = [f"{len(rows) - 20} epochs before these are not shown."] if len(rows) > 20 else []
        notes += [f"{name}, not of all epochs: {', '.join(map(_shown, values[-20:]))}"
                  for name, values in self.history.items() if name not in full]  # fmt: skip
        return notebook.table(f"History of {len(self.epoch)} epochs", ["Epoch", *full], rows[-20:], notes)

    def __repr__(self):
        last = {name: round(values[-1], 4) for name, values in self.history.items()}
        return f"<History of {len(self.epoch)} epochs; last: {last}>"


def _shown(value) -> str:
    return f"{value:.4g}" if isinstance(value, (int, float)) else str(value)
