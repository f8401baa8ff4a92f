"""Trainer: compile, fit, evaluate, predict; the training loop.

It knows no layer by kind and prints through progress.py. Contract: data are arrays whose first axis counts samples;
each batch is converted to the model's dtype on its own; a step either moves all weights or none, and a Ctrl-C waits for
its end; what a seed decides is drawn in one fixed order, so that one seed gives one run.
"""

from __future__ import annotations

import math
import warnings

import numpy as np

from fastconv import kernels, losses, metrics, optimizers, rng
from fastconv.callbacks import CallbackList, History, Logs
from fastconv.kernels.geometry import per_axis
from fastconv.layers.base import cast, numbers
from fastconv.progress import Interrupts, Progress
from fastconv.tensor import no_grad


class Trainer:
    """What a model can do once it is a Layer: mixed into Sequential."""

    optimizer = None
    loss = None
    stop_training = False
    history = None
    _metrics = ()
    _warned_range = False
    _warned_loss = False

    def compile(self, optimizer=None, loss=None, metrics=None) -> None:
        """Sets how the model is trained.

        `optimizer`: "sgd", "adam" or an object of fastconv.optimizers. `loss`: a name, an object of fastconv.losses or
        a function `(y_true, y_pred)` of Tensors. `metrics`: a list of names ("accuracy"), objects of fastconv.metrics
        or functions of arrays. Unknown names raise ValueError with near matches.
        """
        if optimizer is None:
            raise ValueError(
                "compile() needs an optimizer: 'sgd', 'adam' or an object. Keras' default, RMSprop, is not built yet."
            )
        if loss is None:
            raise ValueError("compile() needs a loss, such as 'categorical_crossentropy' or 'mse'.")
        optimizer, loss = optimizers.get(optimizer), losses.get(loss)
        found = _metric_objects(metrics)
        self.optimizer, self.loss, self._metrics = optimizer, loss, found
        self.stop_training = False

    @property
    def metrics_names(self) -> list[str]:
        """The names under which results are reported, the loss first."""
        return ["loss", *(metric.name for metric in self._metrics)]

    def fit(
        self, x=None, y=None, batch_size=None, epochs=1, verbose="auto", callbacks=None, validation_split=0.0,
        validation_data=None, shuffle=True, initial_epoch=0,
    ) -> History:  # fmt: skip
        """Trains on `x` (samples first) and targets `y`, and returns the History.

        `batch_size` is 32 by default. `verbose`: 0, 1 (a bar; one line an epoch off a terminal), 2 (lines), "auto"
        (as 1). `validation_split` keeps the last share of the samples, as given, for validation; `validation_data` is
        a pair `(x, y)` and wins over it. `shuffle` draws a new order each epoch. ValueError or TypeError for data that
        do not fit. Ctrl-C ends the run after a complete step: fit says so, calls on_train_end and raises
        KeyboardInterrupt; `model.history` holds the complete epochs. A second Ctrl-C does not wait for the step.
        """
        self._check_compiled("fit")
        batch_size = _positive("batch_size", 32 if batch_size is None else batch_size)
        epochs = _positive("epochs", epochs)
        progress = Progress(verbose)
        with Interrupts() as interrupts:
            x, y = self._data(x, y, "fit")
            x, y, held_out = _split(x, y, validation_split, validation_data)
            if held_out is not None:
                held_out = self._data(*held_out, "validation")
            run = _Run(self, x, y, batch_size, shuffle, held_out, progress, interrupts)
            params = {"epochs": epochs, "steps": run.steps, "verbose": verbose}
            run.callbacks = CallbackList(_as_list(callbacks), self, params)
            self.history = history = History()
            history.set_params(params)
            history.set_model(self)
            self.stop_training = self._warned_loss = False
            try:
                run.callbacks.call("on_train_begin", {})
                for epoch in range(initial_epoch, epochs):
                    run.epoch(epoch, epochs)
                    if self.stop_training:
                        break
            except KeyboardInterrupt:
                self.stop_training = interrupts.pending = True  # it is raised again when all is in order
                progress.close()
                print(
                    f"Interrupted in epoch {run.number + 1} of {epochs}, after {run.done} of {run.steps} steps. The "
                    "weights are those of the last complete step; the history holds the complete epochs: "
                    f"{len(history.epoch)}.", flush=True,
                )  # fmt: skip
            finally:
                progress.close()
            run.callbacks.call("on_train_end", dict(run.logs))
        return history

    def train_on_batch(self, x, y, return_dict=False):
        """One step on one batch; the loss, or [loss, metrics...], of this batch before the step."""
        self._check_compiled("train_on_batch")
        with Interrupts():
            x, y = self._data(x, y, "train_on_batch")
            results = _Results(self)
            self._train_step(x, y, self.trainable_weights, results)
        return results.report(return_dict)

    def test_on_batch(self, x, y, return_dict=False):
        """The loss, or [loss, metrics...], of one batch."""
        return self.evaluate(x, y, batch_size=max(len(x), 1), verbose=0, return_dict=return_dict)

    def evaluate(self, x=None, y=None, batch_size=None, verbose="auto", return_dict=False):
        """The mean loss, or [loss, metrics...], over all samples, as Python floats; with `return_dict` by name.

        `batch_size` (default 32) and `verbose` as in fit.
        """
        self._check_compiled("evaluate")
        batch_size = _positive("batch_size", 32 if batch_size is None else batch_size)
        progress = Progress(verbose)
        with Interrupts() as interrupts:
            x, y = self._data(x, y, "evaluate")
            progress.begin("Evaluate", -(-len(x) // batch_size))
            try:
                results = self._evaluate(x, y, batch_size, interrupts, progress)
                progress.end(results.logs())
            finally:
                progress.close()
        return results.report(return_dict)

    def predict(self, x, batch_size=None, verbose=0) -> np.ndarray:
        """The outputs for all samples as one array; `batch_size` is 32 by default. No samples give no rows.

        Threads may predict with one model at once, also the first time; each gets the bits that one alone gets.
        """
        batch_size = _positive("batch_size", 32 if batch_size is None else batch_size)
        progress = Progress(verbose)
        output = None
        with Interrupts() as interrupts, no_grad():
            x = self._inputs(x, "predict")
            progress.begin("Predict", -(-len(x) // batch_size))
            try:
                for start in range(0, len(x) or 1, batch_size):
                    interrupts.check()
                    batch = self(x[start : start + batch_size], training=False).data
                    if len(x) <= batch_size:
                        output = batch.copy() if np.may_share_memory(batch, x) else batch
                    else:
                        output = np.empty((len(x), *batch.shape[1:]), batch.dtype) if output is None else output
                        output[start : start + batch_size] = batch
                    progress.step(start // batch_size + 1, dict)
                progress.end({})
            finally:
                progress.close()
        return output

    def drop_plans(self) -> None:
        """Forgets what only calls without training keep; a model that keeps nothing has nothing to do."""

    # One batch

    def _train_step(self, x, y, weights, results):
        for weight in weights:
            weight.grad = None
        value, output, gradients = self._gradients(x, y, weights)
        if not math.isfinite(value) and not self._warned_loss:
            self._warned_loss = True
            warnings.warn(_diagnose(self, x, y), stacklevel=4)
        self.optimizer.apply(gradients, weights)
        for weight in weights:
            weight.grad = None
        results.add(y, output, value)

    def _gradients(self, x, y, weights):
        """(loss, output, one gradient or None for each weight) of a batch in training."""
        output = self(x, training=True)
        loss = self.loss(y, output)
        if loss.requires_grad:
            loss.backward()
        return loss.item(), output.data, [weight.grad for weight in weights]

    def _evaluate(self, x, y, batch_size, interrupts, progress=None):
        results = _Results(self)
        with no_grad():
            for step, start in enumerate(range(0, len(x), batch_size), 1):
                interrupts.check()
                targets = y[start : start + batch_size]
                output = self(x[start : start + batch_size], training=False)
                results.add(targets, output.data, self.loss(targets, output).item())
                if progress is not None:
                    progress.step(step, results.logs)
        return results

    # Checks

    def _check_compiled(self, caller):
        if self.optimizer is None:
            raise RuntimeError(
                f"{caller}() needs a compiled model: call model.compile(optimizer='sgd', "
                "loss='categorical_crossentropy', metrics=['accuracy']) first."
            )

    def _data(self, x, y, caller):
        """x and y as arrays of equally many samples, the model built for x."""
        if y is None:
            raise ValueError(f"{caller}: targets y are missing.")
        x, y = self._inputs(x, caller), numbers(y, "y")
        if not y.ndim:
            raise ValueError(f"{caller}: y must have one target a sample; got the single number {y[()]}.")
        if len(x) != len(y):
            raise ValueError(f"{caller}: x has {len(x)} samples and y has {len(y)}; the numbers must be equal.")
        if not len(x):
            raise ValueError(f"{caller}: there are no samples: x has shape {x.shape}.")
        return x, y

    def _inputs(self, x, caller):
        x = numbers(x, "x")
        if not x.ndim:
            raise ValueError(f"{caller}: x must be an array of samples; got {x!r}.")
        if x.shape[1:] != self._checked_shape or not self.built:
            self._check_and_build(x.shape)
        if x.dtype.kind in "iu" and not self._warned_range and x.size and x[:1024].max() > 1:
            self._warned_range = True
            warnings.warn(
                f"x holds integers ({x.dtype}) up to {x[:1024].max()}; networks learn badly from large inputs. Scale "
                "them: x = x / 255.",
                stacklevel=3 if caller == "predict" else 4,
            )
        return x


class _Run:
    """One call of fit: its data, its order of batches, its callbacks."""

    def __init__(self, model, x, y, batch_size, shuffle, held_out, progress, interrupts):
        self.model, self.x, self.y, self.batch_size = model, x, y, batch_size
        self.shuffle, self.held_out, self.progress, self.interrupts = shuffle, held_out, progress, interrupts
        self.steps = -(-len(x) // batch_size)
        self.weights = model.trainable_weights
        model.drop_plans()  # their memory, and the first step makes them stale
        self.number, self.done, self.logs = 0, 0, Logs()

    def epoch(self, epoch, epochs):
        model, callbacks, results = self.model, self.callbacks, _Results(self.model)
        begins, ends = callbacks.wants("on_train_batch_begin"), callbacks.wants("on_train_batch_end")
        self.number, self.done = epoch, 0
        callbacks.call("on_epoch_begin", epoch, {})
        self.progress.begin(f"Epoch {epoch + 1}/{epochs}", self.steps)
        for x, y in self._batches():
            self.interrupts.check()
            if begins:
                callbacks.call("on_train_batch_begin", self.done, {})
            model._train_step(x, y, self.weights, results)
            self.done += 1
            if ends:
                callbacks.call("on_train_batch_end", self.done - 1, results.logs())
            self.progress.step(self.done, results.logs)
            if model.stop_training:
                break
        self.logs = results.logs()
        if self.held_out is not None:
            validation = model._evaluate(*self.held_out, self.batch_size, self.interrupts).logs()
            self.logs.update({f"val_{name}": value for name, value in validation.items()})
        self.progress.end(self.logs)
        model.history.on_epoch_end(epoch, self.logs)
        callbacks.call("on_epoch_end", epoch, self.logs)
        self.interrupts.check()  # a complete epoch counts, also the last one

    def _batches(self):
        dtype, size = self.model._dtype, self.batch_size
        y_dtype = dtype if self.y.dtype.kind == "f" else self.y.dtype
        order = rng.generator().permutation(len(self.x)) if self.shuffle else None
        for start in range(0, len(self.x), size):
            if order is None:
                yield self.x[start : start + size], self.y[start : start + size]
            else:
                chosen = order[start : start + size]
                yield _gather(self.x, chosen, dtype), _gather(self.y, chosen, y_dtype)


def _gather(array, chosen, dtype):
    """`array[chosen]` in `dtype`, on cached memory where no conversion is needed."""
    if array.dtype != dtype or dtype.kind != "f" or not (array.flags.c_contiguous and array.flags.aligned):
        return cast(array[chosen], dtype)
    out = kernels.empty((len(chosen), *array.shape[1:]), dtype)
    return array.take(chosen, axis=0, out=out, mode="clip")  # "raise" would buffer a second copy


class _Results:
    """Running means of the loss and the metrics over the samples seen."""

    def __init__(self, model):
        self._metrics = model._metrics
        for metric in self._metrics:
            metric.reset_state()
        self._total, self._samples = 0.0, 0

    def add(self, y, output, loss):
        self._total += loss * len(output)
        self._samples += len(output)
        for metric in self._metrics:
            metric.update_state(y, output)

    def logs(self) -> Logs:
        logs = Logs(loss=self._total / max(self._samples, 1))
        for metric in self._metrics:
            logs[metric.name] = metric.result()
        return logs

    def report(self, return_dict):
        logs = self.logs()
        if return_dict:
            return dict(logs)
        return list(logs.values()) if self._metrics else logs["loss"]


def _diagnose(model, x, y) -> str:
    """One sentence on why the loss of this batch is NaN or infinite."""
    for name, array in (("x", x), ("y", y)):
        if not np.isfinite(array).all():
            return f"The loss is not finite because {name} holds NaN or infinite values; clean the data."
    cause = "The learning rate is probably too high; lower it, or scale the inputs."
    with no_grad():
        for layer in model.layers:
            for weight in layer.weights:
                if not np.isfinite(weight.data).all():
                    where = f"{weight.name} of layer {layer.name!r}"
                    return f"The loss is not finite: {where} became NaN or infinite. {cause}"
            x = layer(x, training=False)
            if not np.isfinite(x.data).all():
                return f"The loss is not finite: layer {layer.name!r} is the first with NaN or infinite output. {cause}"
    return f"The loss is not finite, though all layers' outputs are: {model.loss.name} overflowed. {cause}"


def _metric_objects(identifiers):
    found = [metrics.get(identifier) for identifier in _as_list(identifiers)]
    names = [metric.name for metric in found]
    for name in names:
        if names.count(name) > 1 or name == "loss":
            raise ValueError(f"metrics: the name {name!r} is taken; give each metric its own name.")
    return tuple(found)


def _as_list(value):
    if value is None:
        return []
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _positive(name, value):
    return per_axis(name, value, 1)[0]


def _split(x, y, share, validation_data):
    """(x, y, held-out pair or None)."""
    if validation_data is not None:
        if not isinstance(validation_data, (tuple, list)) or len(validation_data) != 2:
            raise ValueError("validation_data must be a pair (x, y).")
        return x, y, tuple(validation_data)
    if not 0 <= share < 1:
        raise ValueError(f"validation_split must be at least 0 and below 1; got {share!r}.")
    if not share:
        return x, y, None
    kept = math.floor(len(x) * (1 - share))
    if not kept:
        raise ValueError(f"validation_split={share} of {len(x)} samples leaves none for training.")
    return x[:kept], y[:kept], (x[kept:], y[kept:])
