"""Trainer: compile, fit, evaluate, predict; the training loop of one model, which it holds.

It knows no layer by kind and prints through progress.py. Contract: data are arrays, or nests of them, whose first axis
counts samples; each batch is converted to the model's dtype on its own; a step either moves all weights or none, and a
Ctrl-C waits for its end; what a seed decides is drawn in one fixed order, so that one seed gives one run.
"""

from __future__ import annotations

import math
import warnings

import numpy as np

from fastconv import kernels, ops, optimizers, rng
from fastconv.callbacks import CallbackList, History, Logs
from fastconv.compiled import Objective
from fastconv.kernels.geometry import per_axis
from fastconv.layers.shapes import cast, numbers
from fastconv.nest import flatten, map_leaves
from fastconv.progress import Interrupts, Progress
from fastconv.tensor import no_grad


class Trainer:
    """What `model.compile`, `fit`, `evaluate` and `predict` do."""

    def __init__(self, model):
        self.model = model
        self.optimizer = self.objective = self.history = None
        self.stop_training = self.run_eagerly = False
        self._warned_range = self._warned_loss = False

    def compile(self, optimizer, loss, loss_weights, metrics, run_eagerly):
        if optimizer is None:
            raise ValueError(
                "compile() needs an optimizer: 'sgd', 'adam' or an object. Keras' default, RMSprop, is not built yet."
            )
        if loss is None and not self.model.has_own("train_step", "compute_loss"):
            raise ValueError("compile() needs a loss, such as 'categorical_crossentropy' or 'mse'.")
        self.restore(optimizers.get(optimizer), Objective(loss, loss_weights, metrics))
        self.run_eagerly = bool(run_eagerly)

    def restore(self, optimizer, objective):
        """Takes what a file held of `compile`."""
        self.optimizer, self.objective, self.stop_training = optimizer, objective, False
        kernels.note_change()

    def fit(
        self, x, y, batch_size, epochs, verbose, callbacks, validation_split, validation_data, shuffle, initial_epoch
    ):
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
            run.callbacks = CallbackList(_as_list(callbacks), self.model, params)
            self.history = history = History()
            history.set_params(params)
            history.set_model(self.model)
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

    def train_on_batch(self, x, y, return_dict):
        self._check_compiled("train_on_batch")
        with Interrupts():
            x, y = self._data(x, y, "train_on_batch")
            results = _Results(self.objective)
            self.step(x, y, self.model.trainable_weights, results)
        return results.report(return_dict)

    def evaluate(self, x, y, batch_size, verbose, return_dict):
        self._check_compiled("evaluate")
        batch_size = _positive("batch_size", 32 if batch_size is None else batch_size)
        progress = Progress(verbose)
        with Interrupts() as interrupts:
            x, y = self._data(x, y, "evaluate")
            progress.begin("Evaluate", -(-_samples(x) // batch_size))
            try:
                results = self.test(x, y, batch_size, interrupts, progress)
                progress.end(results.logs())
            finally:
                progress.close()
        return results.report(return_dict)

    def predict(self, x, batch_size, verbose):
        batch_size = 32 if batch_size is None else _positive("batch_size", batch_size)
        progress = Progress(verbose)
        with Interrupts() as interrupts, no_grad():
            x = self._inputs(x, "predict")
            samples = _samples(x)
            if samples <= batch_size and not progress.shows:
                return map_leaves(lambda leaf: _own(leaf.data, x), self.model.predict_step((x,)))
            progress.begin("Predict", -(-samples // batch_size))
            output = None
            try:
                for start in range(0, samples or 1, batch_size):
                    interrupts.check()
                    batch = self.model.predict_step((_slice(x, start, start + batch_size),))
                    if output is None:
                        output = map_leaves(lambda leaf: np.empty((samples, *leaf.shape[1:]), leaf.dtype), batch)
                    for place, leaf in zip(flatten(output), flatten(batch)):
                        place[start : start + batch_size] = leaf.data
                    progress.step(start // batch_size + 1, dict)
                progress.end({})
            finally:
                progress.close()
        return output

    # One batch

    def step(self, x, y, weights, results):
        """One step of training on a batch, which adds to the results."""
        model = self.model
        if model.has_own("train_step"):
            results.add_logs(model.train_step((x, y)), _samples(x))
            return
        for weight in weights:
            weight.grad = None
        values, outputs, gradients = self._gradients(x, y, weights)
        if not math.isfinite(values[-1]) and not self._warned_loss:
            self._warned_loss = True
            warnings.warn(_diagnose(self, x, y), stacklevel=5)
        self.optimizer.apply(gradients, weights)
        for weight in weights:
            weight.grad = None
        results.add(y, outputs, values)

    def _gradients(self, x, y, weights):
        """([a loss for each output, the loss], outputs, one gradient or None for each weight) of a batch in training."""
        planned = self.model.planned_gradients(x, y, weights)
        if planned is not None:
            return planned
        output = self.model(x, training=True)
        losses = self.losses(x, y, output)
        if losses[-1].requires_grad:
            losses[-1].backward()
        gradients = [weight.grad for weight in weights]
        return [loss.item() for loss in losses], map_leaves(lambda leaf: leaf.data, output), gradients

    def losses(self, x, y, output):
        """The loss of each output, where there are several, and the whole loss last; scalar Tensors."""
        if self.model.has_own("compute_loss"):
            return [self.model.compute_loss(x=x, y=y, y_pred=output)]
        return self.objective_losses(y, output)

    def objective_losses(self, y, output):
        """As `losses`, of what compile was given and what the model's layers and regularizers add to the whole."""
        *parts, total = self.objective.losses(y, output, self.model.output_names)
        for loss in self.model.losses:
            loss = ops.sum(loss) if loss.shape else loss
            total = ops.add(total, loss if loss.dtype == total.dtype else ops.cast(loss, total.dtype))
        return [*parts, total]

    def test(self, x, y, batch_size, interrupts, progress=None):
        """Results over all samples, without training."""
        model, results = self.model, _Results(self.objective)
        with no_grad():
            for step, start in enumerate(range(0, _samples(x), batch_size), 1):
                interrupts.check()
                inputs, targets = _slice(x, start, start + batch_size), _slice(y, start, start + batch_size)
                if model.has_own("test_step"):
                    results.add_logs(model.test_step((inputs, targets)), _samples(inputs))
                else:
                    output = model(inputs, training=False)
                    losses = self.losses(inputs, targets, output)
                    results.add(targets, map_leaves(lambda leaf: leaf.data, output), [loss.item() for loss in losses])
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
        """x and y as nests of arrays of equally many samples, the model built for x."""
        if y is None:
            if not self.model.has_own("train_step", "compute_loss"):
                raise ValueError(f"{caller}: targets y are missing.")
            return self._inputs(x, caller), []
        x = self._inputs(x, caller)
        y = map_leaves(lambda leaf: numbers(leaf, "y"), _as_nest(y, self.model.output_names, "y"))
        for leaf in flatten(y):
            if not leaf.ndim:
                raise ValueError(f"{caller}: y must have one target a sample; got the single number {leaf[()]}.")
            if len(leaf) != _samples(x):
                raise ValueError(
                    f"{caller}: x has {_samples(x)} samples and y has {len(leaf)}; the numbers must be equal."
                )
        if not _samples(x):
            raise ValueError(f"{caller}: there are no samples: x has shape {flatten(x)[0].shape}.")
        return x, y

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
    """One call of fit: its data, its order of batches, its callbacks."""

    def __init__(self, trainer, x, y, batch_size, shuffle, held_out, progress, interrupts):
        self.trainer, self.model, self.x, self.y, self.batch_size = trainer, trainer.model, x, y, batch_size
        self.shuffle, self.held_out, self.progress, self.interrupts = shuffle, held_out, progress, interrupts
        self.steps = -(-_samples(x) // batch_size)
        self.weights = self.model.trainable_weights
        self.model.drop_plans()  # their memory, and the first step makes them stale
        self.number, self.done, self.logs = 0, 0, Logs()

    def epoch(self, epoch, epochs):
        trainer, callbacks, results = self.trainer, self.callbacks, _Results(self.trainer.objective)
        begins, ends = callbacks.wants("on_train_batch_begin"), callbacks.wants("on_train_batch_end")
        self.number, self.done = epoch, 0
        callbacks.call("on_epoch_begin", epoch, {})
        self.progress.begin(f"Epoch {epoch + 1}/{epochs}", self.steps)
        for x, y in self._batches():
            self.interrupts.check()
            if begins:
                callbacks.call("on_train_batch_begin", self.done, {})
            trainer.step(x, y, self.weights, results)
            self.done += 1
            if ends:
                callbacks.call("on_train_batch_end", self.done - 1, results.logs())
            self.progress.step(self.done, results.logs)
            if trainer.stop_training:
                break
        self.logs = results.logs()
        if self.held_out is not None:
            validation = trainer.test(*self.held_out, self.batch_size, self.interrupts).logs()
            self.logs.update({f"val_{name}": value for name, value in validation.items()})
        self.progress.end(self.logs)
        trainer.history.on_epoch_end(epoch, self.logs)
        callbacks.call("on_epoch_end", epoch, self.logs)
        self.interrupts.check()  # a complete epoch counts, also the last one

    def _batches(self):
        dtype, size, samples = self.model._dtype, self.batch_size, _samples(self.x)
        order = rng.generator().permutation(samples) if self.shuffle else None
        for start in range(0, samples, size):
            if order is None:
                yield _slice(self.x, start, start + size), _slice(self.y, start, start + size)
            else:
                chosen = order[start : start + size]
                yield (
                    map_leaves(lambda x: _gather(x, chosen, dtype), self.x),
                    map_leaves(lambda y: _gather(y, chosen, dtype if y.dtype.kind == "f" else y.dtype), self.y),
                )


def _gather(array, chosen, dtype):
    """`array[chosen]` in `dtype`, on cached memory where no conversion is needed."""
    if array.dtype != dtype or dtype.kind != "f" or not (array.flags.c_contiguous and array.flags.aligned):
        return cast(array[chosen], dtype)
    out = kernels.empty((len(chosen), *array.shape[1:]), dtype)
    return array.take(chosen, axis=0, out=out, mode="clip")  # "raise" would buffer a second copy


class _Results:
    """Running means of the losses and the metrics over the samples seen."""

    def __init__(self, objective):
        self._objective = objective
        objective.reset()
        self._totals, self._samples, self._own = None, 0, None

    def add(self, y, output, losses):
        count = len(flatten(output)[0])
        self._samples += count
        totals = self._totals or [0.0] * len(losses)
        self._totals = [total + loss * count for total, loss in zip(totals, losses)]
        self._objective.update_metrics(y, output)

    def add_logs(self, logs, count):
        """What a step of the user's own reports."""
        self._samples += count
        self._own = dict(logs)

    def logs(self) -> Logs:
        if self._own is not None:
            return Logs({name: float(value) for name, value in self._own.items()})
        means = [total / max(self._samples, 1) for total in self._totals or [0.0]]
        return Logs(loss=means[-1], **self._objective.logs(means[:-1]))

    def report(self, return_dict):
        logs = self.logs()
        if return_dict:
            return dict(logs)
        return list(logs.values()) if len(logs) > 1 else next(iter(logs.values()))


def _diagnose(trainer, x, y) -> str:
    """One sentence on why the loss of this batch is NaN or infinite."""
    model = trainer.model
    for name, nest in (("x", x), ("y", y)):
        if not all(np.isfinite(array).all() for array in flatten(nest)):
            return f"The loss is not finite because {name} holds NaN or infinite values; clean the data."
    cause = "The learning rate is probably too high; lower it, or scale the inputs."
    for layer in model.layers:
        for weight in layer.weights:
            if not np.isfinite(weight.data).all():
                return f"The loss is not finite: {weight.name} of layer {layer.name!r} became NaN or infinite. {cause}"
    with no_grad():
        for layer, output in model.layer_outputs(x):
            if not all(np.isfinite(leaf.data).all() for leaf in flatten(output)):
                return f"The loss is not finite: layer {layer.name!r} is the first with NaN or infinite output. {cause}"
    return f"The loss is not finite, though all layers' outputs are: {trainer.objective.name} overflowed. {cause}"


def _own(array, inputs):
    """`array`, or a copy where it shares memory with the inputs."""
    return array.copy() if any(np.may_share_memory(array, other) for other in flatten(inputs)) else array


def _samples(nest) -> int:
    return len(nest) if isinstance(nest, np.ndarray) else len(flatten(nest)[0])


def _slice(nest, start, stop):
    return map_leaves(lambda leaf: leaf[start:stop], nest)


def _as_nest(values, names, what):
    """`values` for `names`: as they are for one, else in their order; lists of numbers are one array."""
    if isinstance(values, dict):
        if set(values) != set(names):
            raise ValueError(f"{what} must have one entry for each of {', '.join(names)}; got {', '.join(values)}.")
        return [values[name] for name in names]
    if len(names) > 1:
        if not isinstance(values, (list, tuple)) or len(values) != len(names):
            raise ValueError(f"{what} must be a list or dict of {len(names)} arrays, for {', '.join(names)}.")
        return list(values)
    if isinstance(values, (list, tuple)) and len(values) == 1 and isinstance(values[0], np.ndarray):
        return values[0]
    return np.asarray(values) if isinstance(values, (list, tuple)) else values


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
    samples = _samples(x)
    kept = math.floor(samples * (1 - share))
    if not kept:
        raise ValueError(f"validation_split={share} of {samples} samples leaves none for training.")
    return _slice(x, 0, kept), _slice(y, 0, kept), (_slice(x, kept, samples), _slice(y, kept, samples))
