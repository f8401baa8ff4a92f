"""Trainer: compile, fit, evaluate, predict; the training loop of one model, which it holds.

It knows no layer by kind and prints through progress.py. Contract: data are arrays, or nests of them, whose first axis
counts samples, or iterables of batches of them (sources.py); each batch is converted to the model's dtype on its own; a step either moves all weights or none, and a
Ctrl-C waits for its end; what a seed decides is drawn in one fixed order, so that one seed gives one run.
"""

from __future__ import annotations

import inspect
import math
from contextlib import contextmanager

import numpy as np

from fastconv import batches, config, kernels, ops, optimizers, rng, sharding
from fastconv.batches import samples
from fastconv.callbacks import CallbackList, History, ProgbarLogger
from fastconv.compiled import Objective
from fastconv.distribution import world
from fastconv.fitting import Run
from fastconv.layers import masks
from fastconv.layers.shapes import numbers
from fastconv.nest import flatten, map_leaves, pack
from fastconv.progress import Interrupts, Progress, say, warn_user
from fastconv.results import Results, diagnose
from fastconv.sources import Arrays, Stream, blocks, checked_stream, is_blocks, is_stream, positive
from fastconv.tensor import Tensor, no_grad, wrap


class Trainer:
    """What `model.compile`, `fit`, `evaluate` and `predict` do."""

    _looked = False  # at the first batch of this fit, for what cannot be meant

    def __init__(self, model):
        self.model = model
        self.optimizer = self.objective = self.history = None
        self.stop_training = self.run_eagerly = False
        self.run = None  # the running call of fit
        self.sharding = None  # what computes the steps of a call that goes by a distribution (sharding.py)
        self.resume = None  # the facts of a backup (backups.py) that a callback goes on from
        self.began = self.drawn = None  # the random streams as fit began, and its running epoch
        self.interrupted = False
        self.results = None  # of the epoch, or the evaluation, that runs
        self._warned_range = self._warned_loss = False

    def compile(self, optimizer, loss, loss_weights, metrics, weighted_metrics, run_eagerly, steps_per_execution):
        if optimizer is None:
            raise ValueError("compile() needs an optimizer: 'rmsprop', 'adam' or an object of fastconv.optimizers.")
        if steps_per_execution != "auto":
            positive("steps_per_execution", steps_per_execution)
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
        batch_size = positive("batch_size", 32 if batch_size is None else batch_size)
        given_size, batch_size = batch_size, sharding.own_batch(batch_size)
        epochs = positive("epochs", epochs)
        epochs = min(epochs, config.max_epochs() or epochs)
        initial_epoch = positive("initial_epoch", initial_epoch, 0)
        if validation_batch_size is None:
            validation_batch_size = given_size
        tested_size = sharding.own_batch(positive("validation_batch_size", validation_batch_size))
        given, self._looked = _as_list(callbacks), False
        progress = Progress(0 if any(isinstance(callback, ProgbarLogger) for callback in given) else verbose)
        with Interrupts() as interrupts:
            source, held_out = sharding.together(
                "fit", self._sources, x, y, batch_size, validation_split, validation_data, class_weight, sample_weight,
                steps_per_epoch, validation_steps, tested_size,
            )  # fmt: skip
            run = Run(self, source, shuffle, progress, interrupts)
            run.validate(held_out, validation_freq)
            params = {"epochs": epochs, "steps": run.steps, "verbose": verbose}
            self.history = history = History()
            run.callbacks = CallbackList([*given, history], model=self.model, **params)
            self.stop_training = self._warned_loss = self.interrupted = False
            settings = {"batch_size": given_size, "epochs": epochs, "initial_epoch": initial_epoch, "shuffle": bool(shuffle),
                        "steps_per_epoch": run.steps}  # fmt: skip
            self.resume = None
            self.sharding = sharding.begin(self, "fit", [source, held_out], settings)
            self.run, self.began = run, rng.get_state()
            try:
                sharding.together("fit", run.callbacks.call, "on_train_begin", {})
                if self.sharding is not None:
                    self.sharding.synchronize()  # a callback may have taken up a backup
                first = run.go_on(self.resume, initial_epoch)
                for epoch in range(first, epochs):
                    run.epoch(epoch, epochs)
                    if self.sharding is not None:
                        self.sharding.agree_on_callbacks(f"epoch {epoch + 1}")
                    if self.stop_training or source.ended:
                        break
                self.optimizer.finalize_variable_values(run.weights)
            except KeyboardInterrupt:
                self.stop_training = self.interrupted = True
                interrupts.pending = True  # it is raised again when all is in order
                progress.close()
                say(
                    f"Interrupted in epoch {run.number + 1} of {epochs}, after {run.done} of {run.steps or '?'} steps. The "
                    "weights are those of the last complete step; the history holds the complete epochs: "
                    f"{len(history.epoch)}."
                )
            except SystemExit as stop:
                if self.sharding is not None:
                    world.abort(stop.code if isinstance(stop.code, int) and stop.code else 1)  # the others would wait
                raise
            finally:
                progress.close()
                self.run = self.sharding = None
            run.callbacks.call("on_train_end", dict(run.logs))
            if not self.interrupted:
                sharding.wait()
        return history

    def _sources(
        self, x, y, batch_size, validation_split, validation_data, class_weight, sample_weight, steps_per_epoch,
        validation_steps, validation_batch_size,
    ):  # fmt: skip
        """(the source of fit's batches, that of its validation or None)."""
        held_out = None
        if is_stream(x):
            checked_stream("fit", y=y, sample_weight=sample_weight, validation_split=validation_split or None)
            source = self._stream(x, steps_per_epoch, "steps_per_epoch", "fit", class_weight)
        else:
            data = self._data(x, y, "fit", sample_weight, class_weight)
            if not self.model.has_own("train_step", "compute_loss"):
                batches.check_some(data[2])
            if validation_data is None:
                data, held_out = batches.split(data, validation_split)
            source = Arrays(data, batch_size, steps_per_epoch, "steps_per_epoch")
        if is_stream(validation_data):
            held_out = self._stream(validation_data, validation_steps, "validation_steps", "validation")
        elif validation_data is not None:
            held_out = self._data(*batches.pair(validation_data))
        if isinstance(held_out, tuple):
            held_out = Arrays(held_out, validation_batch_size, validation_steps, "validation_steps")
        return source, held_out

    def train_on_batch(self, x, y, sample_weight, class_weight, return_dict):
        self._check_compiled("train_on_batch")
        with Interrupts():
            found = sharding.together("train_on_batch", self._data, x, y, "train_on_batch", sample_weight, class_weight)
            with self._sharded("train_on_batch", Arrays(found, samples(found[0]), None, "steps")):
                results = Results(self.model, self.objective)
                self.step(*found, self.model.trainable_weights, results)
        return results.report(return_dict)

    def evaluate(self, x, y, batch_size, verbose, sample_weight, steps, callbacks, return_dict):
        self._check_compiled("evaluate")
        batch_size = sharding.own_batch(positive("batch_size", 32 if batch_size is None else batch_size))
        progress = Progress(verbose)

        def source_of():
            if is_stream(x):
                checked_stream("evaluate", y=y, sample_weight=sample_weight)
                return self._stream(x, steps, "steps", "evaluate")
            return Arrays(self._data(x, y, "evaluate", sample_weight), batch_size, steps, "steps")

        source = sharding.together("evaluate", source_of)
        with Interrupts() as interrupts, self._sharded("evaluate", source):
            found = CallbackList(_as_list(callbacks), model=self.model, verbose=verbose, steps=source.steps)
            progress.begin("Evaluate", source.steps)
            try:
                results = self.test(source, interrupts, found, progress)
                progress.end(results.logs())
            finally:
                progress.close()
        return results.report(return_dict)

    def predict(self, x, batch_size, verbose, steps, callbacks):
        batch_size = 32 if batch_size is None else positive("batch_size", batch_size)
        progress = Progress(verbose)
        with Interrupts() as interrupts, no_grad():
            if is_blocks(x) and x.shape[0]:
                x = blocks(x, batch_size)
            if is_stream(x):
                source = Stream(x, steps, "steps", "predict", lambda x, y, w: (self._inputs(x, "predict"), None, None))
            else:
                x = self._inputs(x, "predict")
                if samples(x) <= batch_size and not progress.shows and callbacks is None and steps is None:
                    return map_leaves(lambda leaf: _own(leaf.data, x), self.model.predict_step((x,)))
                if not samples(x):  # one call tells the outputs' shapes
                    return map_leaves(lambda leaf: leaf.data.copy(), self.model.predict_step((x,)))
                source = Arrays((x, None, None), batch_size, steps, "steps")
            found = CallbackList(_as_list(callbacks), model=self.model, verbose=verbose, steps=source.steps)
            progress.begin("Predict", source.steps)
            parts, output = [], None
            try:
                found.call("on_predict_begin", {})
                for step, (x, _, _) in enumerate(source.batches()):
                    interrupts.check()
                    found.call("on_predict_batch_begin", step, {})
                    output = self.model.predict_step((x,))
                    parts.append([leaf.data.copy() for leaf in flatten(output)])
                    if found.wants("on_predict_batch_end"):
                        found.call("on_predict_batch_end", step, {"outputs": pack(output, parts[-1])})
                    progress.step(step + 1, dict)
                progress.end({})
                found.call("on_predict_end", {})
            finally:
                progress.close()
        return pack(output, [np.concatenate(column) for column in zip(*parts)])

    @contextmanager
    def _sharded(self, caller, source):
        """Steps go by the distribution, if one is set; also within a fit."""
        before, resume = self.sharding, self.resume
        self.resume = None
        self.sharding = sharding.begin(self, caller, [source], {})
        try:
            yield
        finally:
            self.sharding, self.resume = before, resume

    # One batch

    def step(self, x, y, shares, weights, results):
        """One step of training on a batch, in which samples have these shares, which adds to the results."""
        model = self.model
        if model.has_own("train_step"):
            self.results = results
            try:
                results.add_logs(model.train_step(_as_data(x, y, shares)))
            finally:
                self.results = None
            return
        self._move(x, y, shares, weights, results)

    def train_step(self, x, y, sample_weight):
        """What `Model.train_step` does, also where an override calls it: logs of all batches so far."""
        self._check_compiled("train_step")
        x, y, shares = self._data(x, y, "train_on_batch", sample_weight)
        results = self.results or Results(self.model, self.objective)
        self._move(x, y, shares, self.model.trainable_weights, results)
        return self._step_logs(results)

    def test_step(self, x, y, sample_weight):
        """As train_step, without training."""
        self._check_compiled("test_step")
        x, y, shares = self._data(x, y, "evaluate", sample_weight)
        results = self.results or Results(self.model, self.objective)
        with no_grad():
            self._look(x, y, shares, results)
        return self._step_logs(results)

    def _step_logs(self, results):
        return results.logs() if self.model.has_own("compute_metrics") else results.computed()

    def _look(self, x, y, shares, results):
        if self.sharding is not None:
            self.sharding.look(x, y, shares, results)
            return
        losses, outputs = self.seen(x, y, shares)
        self._count(x, y, outputs, losses, shares, results)

    def seen(self, x, y, shares):
        """([a loss for each output, the loss], outputs) of a batch, without training."""
        output = self.model(x, training=False)
        losses = [loss.item() for loss in self.losses(x, y, output, shares, training=False)]
        return losses, map_leaves(_values, output)

    def _move(self, x, y, shares, weights, results):
        for weight in weights:
            weight.grad = None
        if self.sharding is not None:
            values, gradients = self.sharding.step(x, y, shares, weights, results)
        else:
            values, outputs, gradients = self._gradients(x, y, shares, weights)
        if not math.isfinite(values[-1]) and not self._warned_loss:
            self._warned_loss = True
            warn_user(diagnose(self, x, y))
        if self.sharding is None:
            self._doubt(y, outputs)
        self.optimizer.apply(gradients, weights)
        for weight in weights:
            weight.grad = None
        if self.sharding is None:
            self._count(x, y, outputs, values, shares, results)

    def _count(self, x, y, outputs, losses, shares, results):
        """Adds a batch to the results, by `compute_metrics` where the class has its own."""
        if not self.model.has_own("compute_metrics"):
            results.add(y, outputs, losses, shares)
            return
        results.count(len(flatten(outputs)[0]), losses)
        y_pred = map_leaves(lambda leaf: leaf if isinstance(leaf, Tensor) else wrap(leaf), outputs)
        by = shares[0] if shares is not None and len(shares) == 1 else shares
        with no_grad():
            own = self.model.compute_metrics(x, y, y_pred, by)
        results.add_logs({**results.computed(), **own})

    def _doubt(self, y, outputs):
        """Warns, once a fit, of targets and outputs that cannot be meant: they are so from the first batch on."""
        if not self._looked:
            self._looked = True
            for doubt in self.objective.doubts(y, outputs):
                warn_user(doubt)

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
        return [loss.item() for loss in losses], map_leaves(_values, output), gradients

    def losses(self, x, y, output, shares=None, training=True):
        """The loss of each output, where there are several, and the whole loss last; scalar Tensors."""
        if self.model.has_own("compute_loss"):
            further = {} if shares is None else {"sample_weight": shares[0] if len(shares) == 1 else shares}
            if "training" in inspect.signature(self.model.compute_loss).parameters:
                further["training"] = training
            return [self.model.compute_loss(x=x, y=y, y_pred=output, **further)]
        return self.objective_losses(y, output, shares)

    def objective_losses(self, y, output, shares=None):
        """As `losses`, of what compile was given and what the model's layers and regularizers add to the whole."""
        if output is None:
            raise TypeError(f"{type(self.model).__name__}.call returned nothing: end it with `return`.")
        in_shard = self.sharding is not None and not self.model.has_own("compute_loss")
        *parts, total = self.objective.losses(y, output, self.model.output_names, shares, in_shard) or [None]
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

    def test(self, source, interrupts, callbacks, progress=None):
        """Results over one epoch of a source, without training."""
        model, results = self.model, Results(self.model, self.objective)
        begins, ends = callbacks.wants("on_test_batch_begin"), callbacks.wants("on_test_batch_end")
        callbacks.call("on_test_begin", {})
        with no_grad():
            for step, (x, y, shares) in enumerate(source.batches()):
                interrupts.check()
                if begins:
                    callbacks.call("on_test_batch_begin", step, {})
                if model.has_own("test_step"):
                    self.results = results
                    try:
                        results.add_logs(model.test_step(_as_data(x, y, shares)))
                    finally:
                        self.results = None
                else:
                    self._look(x, y, shares, results)
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

    def _stream(self, data, steps, name, caller, class_weight=None):
        def check(x, y, w):
            return self._data(x, y, caller, w, class_weight)

        return Stream(data, steps, name, caller, check, sharding.in_step)

    def _data(self, x, y, caller, sample_weight=None, class_weight=None):
        """(x, y, weights of samples or None): nests of arrays of equally many samples, the model built for x."""
        model = self.model
        if y is None:
            if self.objective.has_loss and not model.has_own("train_step", "compute_loss"):
                raise ValueError(f"{caller}: targets y are missing.{_where_targets_are(x, caller)}")
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
            self._check_range([x], caller)
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
        if not (caller in ("fit", "train_on_batch") and not model.built and model.has_own("train_step")):
            model.ensure_built(map_leaves(lambda leaf: leaf.shape, x))  # else the step calls what it likes
        self._check_range(leaves, caller)
        return x

    def _check_range(self, leaves, caller):
        """Warns, once a model, of inputs as large as the bytes of images."""
        if self._warned_range:
            return
        for leaf in leaves:
            integers = leaf.dtype.kind in "iu" and leaf.size > 0
            # What is no image may well be large. Neither one sample's answer nor each step of fit waits for this.
            images = leaf.dtype.kind == "f" and leaf.ndim > 3 and len(leaf) > 1 and leaf.size > 0
            if (
                not (integers or images)
                or images
                and (caller.endswith("_on_batch") or caller == "fit" and self._looked)
            ):
                continue
            part = leaf[: 1024 if integers else 64]
            largest = part.max()
            if (largest > 1 if integers else 64 < largest <= 255 and part.min() >= 0) and not self.model.rescales:
                self._warned_range = True
                kind = f"integers ({leaf.dtype})" if integers else "numbers"
                warn_user(
                    f"x holds {kind} up to {largest:g}; networks learn badly from large inputs. Scale them: x = x / 255."
                )
                return


def _values(leaf):
    """An output's array; where it has a mask, which metrics read, a Tensor with it."""
    mask = masks.of(leaf)
    if mask is None:
        return leaf.data
    bare = wrap(leaf.data)
    bare._keras_mask = mask
    return bare


def _as_data(x, y, shares):
    """What a step of the user's own is given: x, (x, y), or (x, y, sample_weight)."""
    if isinstance(y, list) and not y:  # there are no targets: x alone, as Keras gives it
        return (x,) if isinstance(x, (list, tuple)) else x
    if shares is None:
        return x, y
    return x, y, shares[0] if len(shares) == 1 else shares


def _where_targets_are(x, caller):
    """What may have become of the targets that are missing."""
    if isinstance(x, (list, tuple)) and len(x) in (2, 3):
        return f" x is a {type(x).__name__} of {len(x)}: give its parts one by one, {caller}(x, y)."
    if callable(x):
        return f" x is a function: call it and give what it returns, {caller}({getattr(x, '__name__', 'x')}())."
    by_index = hasattr(x, "__getitem__") and not hasattr(x, "__array__")  # as PyTorch's Dataset
    if by_index and not isinstance(x, (list, tuple, dict)):
        return f" Where x gives samples (x, y) by index, give batches of them: {caller}(torch.utils.data.DataLoader(x, 32))."
    return ""


def _own(array, inputs):
    """`array`, or a copy where it shares memory with the inputs."""
    return array.copy() if any(np.may_share_memory(array, other) for other in flatten(inputs)) else array


def _as_list(value):
    if value is None:
        return []
    return list(value) if isinstance(value, (list, tuple, CallbackList)) else [value]
