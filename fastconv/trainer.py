"""Trainer: compile, fit, evaluate, predict; the training loop of one model, which it holds.

It knows no layer by kind and prints through progress.py. Contract: data are arrays, or nests of them, whose first axis
counts samples; each batch is converted to the model's dtype on its own; a step either moves all weights or none, and a
Ctrl-C waits for its end; what a seed decides is drawn in one fixed order, so that one seed gives one run.
"""

from __future__ import annotations

import math
import warnings

import numpy as np

from fastconv import batches, config, kernels, ops, optimizers, rng
from fastconv.batches import cut, samples
from fastconv.callbacks import CallbackList, History, Logs, ProgbarLogger
from fastconv.compiled import Objective
from fastconv.kernels.geometry import per_axis
from fastconv.layers.shapes import numbers
from fastconv.nest import flatten, map_leaves
from fastconv.progress import Interrupts, Progress
from fastconv.results import Results, diagnose
from fastconv.tensor import no_grad


class Trainer:
    """What `model.compile`, `fit`, `evaluate` and `predict` do."""

    def __init__(self, model):
        self.model = model
        self.optimizer = self.objective = self.history = None
        self.stop_training = self.run_eagerly = False
        self.resume = None  # (epoch, steps done in it, random state) that a callback goes on from
        self.drawn = None  # the random state from which the running epoch's order was drawn
        self._warned_range = self._warned_loss = False

    def compile(self, optimizer, loss, loss_weights, metrics, weighted_metrics, run_eagerly, steps_per_execution):
        if optimizer is None:
            raise ValueError("compile() needs an optimizer: 'rmsprop', 'adam' or an object of fastconv.optimizers.")
        if steps_per_execution != "auto":
            _positive("steps_per_execution", steps_per_execution)
        self.restore(optimizers.get(optimizer), Objective(loss, loss_weights, metrics, weighted_metrics))
        self.run_eagerly = bool(run_eagerly)

    def restore(self, optimizer, objective):
        """Takes what a file held of `compile`."""
        self.optimizer, self.objective, self.stop_training = optimizer, objective, False
        kernels.note_change()

    def fit(
        self, x, y, batch_size, epochs, verbose, callbacks, validation_split, validation_data, shuffle, class_weight,
        sample_weight, initial_epoch, steps_per_epoch, validation_steps, validation_batch_size, validation_freq,
    ):  # fmt: skip
        self._check_compiled("fit")
        batch_size = _positive("batch_size", 32 if batch_size is None else batch_size)
        epochs = _positive("epochs", epochs)
        epochs = min(epochs, config.max_epochs() or epochs)
        given = _as_list(callbacks)
        progress = Progress(0 if any(isinstance(callback, ProgbarLogger) for callback in given) else verbose)
        with Interrupts() as interrupts:
            data, held_out = batches.split(
                self._data(x, y, "fit", sample_weight, class_weight), validation_split, validation_data
            )
            if held_out is not None:
                held_out = self._data(*held_out[:2], "validation", held_out[2])
            run = _Run(self, data, batch_size, shuffle, progress, interrupts, steps_per_epoch)
            run.validate(held_out, validation_batch_size or batch_size, validation_steps, validation_freq)
            params = {"epochs": epochs, "steps": run.steps, "verbose": verbose}
            run.callbacks = CallbackList(given, model=self.model, **params)
            self.history = history = History()
            history.set_params(params)
            history.set_model(self.model)
            self.stop_training = self._warned_loss = False
            self.resume = None
            try:
                run.callbacks.call("on_train_begin", {})
                first = run.go_on(self.resume, initial_epoch)
                for epoch in range(first, epochs):
                    run.epoch(epoch, epochs)
                    if self.stop_training:
                        break
                self.optimizer.finalize_variable_values(run.weights)
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

    def train_on_batch(self, x, y, sample_weight, class_weight, return_dict):
        self._check_compiled("train_on_batch")
        with Interrupts():
            x, y, weights = self._data(x, y, "train_on_batch", sample_weight, class_weight)
            results = Results(self.model, self.objective)
            self.step(x, y, weights, self.model.trainable_weights, results)
        return results.report(return_dict)

    def evaluate(self, x, y, batch_size, verbose, sample_weight, steps, callbacks, return_dict):
        self._check_compiled("evaluate")
        batch_size = _positive("batch_size", 32 if batch_size is None else batch_size)
        progress = Progress(verbose)
        with Interrupts() as interrupts:
            data = self._data(x, y, "evaluate", sample_weight)
            count = _steps("steps", steps, samples(data[0]), batch_size)
            found = CallbackList(_as_list(callbacks), model=self.model, verbose=verbose, steps=count)
            progress.begin("Evaluate", count)
            try:
                results = self.test(data, batch_size, count, interrupts, found, progress)
                progress.end(results.logs())
            finally:
                progress.close()
        return results.report(return_dict)

    def predict(self, x, batch_size, verbose, steps, callbacks):
        batch_size = 32 if batch_size is None else _positive("batch_size", batch_size)
        progress = Progress(verbose)
        with Interrupts() as interrupts, no_grad():
            x = self._inputs(x, "predict")
            count = samples(x)
            if count <= batch_size and not progress.shows and callbacks is None and steps is None:
                return map_leaves(lambda leaf: _own(leaf.data, x), self.model.predict_step((x,)))
            number = max(_steps("steps", steps, count, batch_size), 1)
            found = CallbackList(_as_list(callbacks), model=self.model, verbose=verbose, steps=number)
            progress.begin("Predict", number)
            output, count = None, min(count, number * batch_size)
            try:
                found.call("on_predict_begin", {})
                for step in range(number):
                    interrupts.check()
                    found.call("on_predict_batch_begin", step, {})
                    start = step * batch_size
                    batch = self.model.predict_step((cut(x, start, start + batch_size),))
                    if output is None:
                        output = map_leaves(lambda leaf: np.empty((count, *leaf.shape[1:]), leaf.dtype), batch)
                    for place, leaf in zip(flatten(output), flatten(batch)):
                        place[start : start + batch_size] = leaf.data
                    if found.wants("on_predict_batch_end"):
                        outputs = map_leaves(lambda leaf: leaf.data.copy(), batch)
                        found.call("on_predict_batch_end", step, {"outputs": outputs})
                    progress.step(step + 1, dict)
                progress.end({})
                found.call("on_predict_end", {})
            finally:
                progress.close()
        return output

    # One batch

    def step(self, x, y, shares, weights, results):
        """One step of training on a batch, in which samples have these shares, which adds to the results."""
        model = self.model
        if model.has_own("train_step"):
            results.add_logs(model.train_step(_as_data(x, y, shares)), samples(x))
            return
        for weight in weights:
            weight.grad = None
        values, outputs, gradients = self._gradients(x, y, shares, weights)
        if not math.isfinite(values[-1]) and not self._warned_loss:
            self._warned_loss = True
            warnings.warn(diagnose(self, x, y), stacklevel=5)
        self.optimizer.apply(gradients, weights)
        for weight in weights:
            weight.grad = None
        results.add(y, outputs, values, shares)

    def _gradients(self, x, y, shares, weights):
        """([a loss for each output, the loss], outputs, one gradient or None for each weight) of a batch."""
        planned = self.model.planned_gradients(x, y, weights, shares)
        if planned is not None:
            return planned
        output = self.model(x, training=True)
        losses = self.losses(x, y, output, shares)
        if losses[-1].requires_grad:
            losses[-1].backward()
        gradients = [weight.grad for weight in weights]
        return [loss.item() for loss in losses], map_leaves(lambda leaf: leaf.data, output), gradients

    def losses(self, x, y, output, shares=None):
        """The loss of each output, where there are several, and the whole loss last; scalar Tensors."""
        if self.model.has_own("compute_loss"):
            weighted = {} if shares is None else {"sample_weight": shares[0] if len(shares) == 1 else shares}
            return [self.model.compute_loss(x=x, y=y, y_pred=output, **weighted)]
        return self.objective_losses(y, output, shares)

    def objective_losses(self, y, output, shares=None):
        """As `losses`, of what compile was given and what the model's layers and regularizers add to the whole."""
        *parts, total = self.objective.losses(y, output, self.model.output_names, shares) or [None]
        for loss in self.model.losses:
            loss = ops.sum(loss) if loss.shape else loss
            if total is None:
                total = loss
            else:
                total = ops.add(total, loss if loss.dtype == total.dtype else ops.cast(loss, total.dtype))
        if total is None:
            raise ValueError(
                "There is no loss to make small: give compile() one, such as 'categorical_crossentropy' or 'mse', or "
                "let a layer add_loss()."
            )
        return [*parts, total]

    def test(self, data, batch_size, steps, interrupts, callbacks, progress=None):
        """Results over the first steps' samples, without training."""
        model, results = self.model, Results(self.model, self.objective)
        begins, ends = callbacks.wants("on_test_batch_begin"), callbacks.wants("on_test_batch_end")
        callbacks.call("on_test_begin", {})
        with no_grad():
            for step in range(steps):
                interrupts.check()
                if begins:
                    callbacks.call("on_test_batch_begin", step, {})
                start = step * batch_size
                x, y, shares = (cut(part, start, start + batch_size) for part in data)
                if model.has_own("test_step"):
                    results.add_logs(model.test_step(_as_data(x, y, shares)), samples(x))
                else:
                    output = model(x, training=False)
                    losses = [loss.item() for loss in self.losses(x, y, output, shares)]
                    results.add(y, map_leaves(lambda leaf: leaf.data, output), losses, shares)
                if ends:
                    callbacks.call("on_test_batch_end", step, results.logs())
                if progress is not None:
                    progress.step(step + 1, results.logs)
        callbacks.call("on_test_end", results.logs())
        return results

    # Checks

    def _check_compiled(self, caller):
        if self.optimizer is None:
            raise RuntimeError(
                f"{caller}() needs a compiled model: call model.compile(optimizer='sgd', "
                "loss='categorical_crossentropy', metrics=['accuracy']) first."
            )

    def _data(self, x, y, caller, sample_weight=None, class_weight=None):
        """(x, y, weights of samples or None): nests of arrays of equally many samples, the model built for x."""
        model = self.model
        if y is None:
            if self.objective.has_loss and not model.has_own("train_step", "compute_loss"):
                raise ValueError(f"{caller}: targets y are missing.")
            return self._inputs(x, caller), [], None
        x = self._inputs(x, caller)
        y = map_leaves(lambda leaf: numbers(leaf, "y"), batches.as_nest(y, model.output_names, "y"))
        for leaf in flatten(y):
            if not leaf.ndim:
                raise ValueError(f"{caller}: y must have one target a sample; got the single number {leaf[()]}.")
            if len(leaf) != samples(x):
                raise ValueError(
                    f"{caller}: x has {samples(x)} samples and y has {len(leaf)}; the numbers must be equal."
                )
        if not samples(x):
            raise ValueError(f"{caller}: there are no samples: x has shape {flatten(x)[0].shape}.")
        classes = None
        if class_weight is not None and model.graph is not None and len(model.outputs) == 1:
            classes = max(model.outputs[0].shape[-1], 2)
        return x, y, batches.weights(y, model.output_names, sample_weight, class_weight, caller, classes)

    def _inputs(self, x, caller):
        model = self.model
        if type(x) is np.ndarray and x.dtype.kind == "f" and model.built and x.shape[1:] == model._checked_shape:
            return x  # the usual case: such inputs were here before
        x = map_leaves(lambda leaf: numbers(leaf, "x"), self.model.arrange(x))
        leaves = flatten(x)
        for leaf in leaves:
            if not leaf.ndim:
                raise ValueError(f"{caller}: x must be an array of samples; got {leaf!r}.")
            if len(leaf) != len(leaves[0]):
                raise ValueError(
                    f"{caller}: all inputs must have equally many samples; got {[len(leaf) for leaf in leaves]}."
                )
        self.model.ensure_built(map_leaves(lambda leaf: leaf.shape, x))
        largest = max((leaf[:1024].max() for leaf in leaves if leaf.dtype.kind in "iu" and leaf.size), default=0)
        if largest > 1 and not self._warned_range and not self.model.rescales:
            self._warned_range = True
            kind = next(leaf.dtype for leaf in leaves if leaf.dtype.kind in "iu")
            warnings.warn(
                f"x holds integers ({kind}) up to {largest}; networks learn badly from large inputs. Scale them: "
                "x = x / 255.",
                stacklevel=4 if caller == "predict" else 5,
            )
        return x


class _Run:
    """One call of fit: its data (x, y, weights), its order of batches, its validation, its callbacks."""

    def __init__(self, trainer, data, batch_size, shuffle, progress, interrupts, steps):
        self.trainer, self.model, self.data, self.batch_size = trainer, trainer.model, data, batch_size
        self.shuffle, self.progress, self.interrupts = shuffle, progress, interrupts
        self.steps = _steps("steps_per_epoch", steps, samples(data[0]), batch_size)
        self.steps = min(self.steps, config.max_steps_per_epoch() or self.steps)
        self.weights = self.model.trainable_weights
        self.model.drop_plans()  # their memory, and the first step makes them stale
        self.number, self.done, self.logs = 0, 0, Logs()
        self.skipped, self.state = 0, None  # steps of the next epoch that were taken before, and what was drawn then

    def validate(self, held_out, batch_size, steps, frequency):
        """Takes the held-out data, and after which epochs they are looked at."""
        self.held_out, self.test_size, self.frequency = (
            held_out,
            _positive("validation_batch_size", batch_size),
            frequency,
        )
        if isinstance(frequency, bool) or not (
            isinstance(frequency, (list, tuple, set)) or frequency == int(frequency) >= 1
        ):
            raise ValueError(f"validation_freq must be a whole number of at least 1, or epochs; got {frequency!r}.")
        if held_out is not None:
            self.test_steps = _steps("validation_steps", steps, samples(held_out[0]), self.test_size)

    def go_on(self, resume, initial_epoch):
        """The first epoch: after `resume`, (epoch, steps, states of rng), what a callback found."""
        if resume is None:
            return initial_epoch
        epoch, self.skipped, self.state = resume
        return epoch

    def epoch(self, epoch, epochs):
        trainer, callbacks, results = self.trainer, self.callbacks, Results(self.model, self.trainer.objective)
        begins, ends = callbacks.wants("on_train_batch_begin"), callbacks.wants("on_train_batch_end")
        self.number, self.done = epoch, 0
        trainer.drawn = rng.get_state()  # what the order of this epoch comes from
        callbacks.call("on_epoch_begin", epoch, {})
        self.progress.begin(f"Epoch {epoch + 1}/{epochs}", self.steps)
        for x, y, shares in self._batches():
            self.interrupts.check()
            if begins:
                callbacks.call("on_train_batch_begin", self.done, {})
            trainer.step(x, y, shares, self.weights, results)
            self.done += 1
            if ends:
                callbacks.call("on_train_batch_end", self.done - 1, results.logs())
            self.progress.step(self.done, results.logs)
            if trainer.stop_training:
                break
        self.logs = results.logs()
        if self.held_out is not None and self._looks_after(epoch):
            tested = trainer.test(self.held_out, self.test_size, self.test_steps, self.interrupts, callbacks).logs()
            self.logs.update({f"val_{name}": value for name, value in tested.items()})
        self.progress.end(self.logs)
        callbacks.call("on_epoch_end", epoch, self.logs)
        trainer.history.on_epoch_end(epoch, self.logs)
        self.interrupts.check()  # a complete epoch counts, also the last one

    def _looks_after(self, epoch):
        if isinstance(self.frequency, (list, tuple, set)):
            return epoch + 1 in self.frequency
        return (epoch + 1) % self.frequency == 0

    def _batches(self):
        dtype, size, count = self.model._dtype, self.batch_size, samples(self.data[0])
        order = rng.generator().permutation(count) if self.shuffle else None
        if self.state is not None:
            rng.set_state(self.state)  # as it was after the steps that were taken before
        first, self.skipped, self.state = self.skipped, 0, None
        self.done = first
        for start in range(first * size, min(count, self.steps * size), size):
            if order is None:
                yield tuple(cut(part, start, start + size) for part in self.data)
            else:
                x, y, shares = self.data
                chosen = order[start : start + size]
                x = batches.gather(x, chosen, dtype, everything=True)
                yield x, batches.gather(y, chosen, dtype), batches.gather(shares, chosen, dtype)


def _as_data(x, y, shares):
    """What a step of the user's own is given: (x, y), or (x, y, sample_weight)."""
    if shares is None:
        return x, y
    return x, y, shares[0] if len(shares) == 1 else shares


def _own(array, inputs):
    """`array`, or a copy where it shares memory with the inputs."""
    return array.copy() if any(np.may_share_memory(array, other) for other in flatten(inputs)) else array


def _as_list(value):
    if value is None:
        return []
    return list(value) if isinstance(value, (list, tuple, CallbackList)) else [value]


def _positive(name, value):
    return per_axis(name, value, 1)[0]


def _steps(name, steps, count, batch_size):
    """How many batches: all that there are, or the first `steps`."""
    there = -(-count // batch_size)
    if steps is None:
        return there
    steps = _positive(name, steps)
    if steps > there:
        raise ValueError(f"{name}={steps} is more than the {there} batches of {batch_size} that {count} samples give.")
    return steps
