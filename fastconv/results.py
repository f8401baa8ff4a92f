"""Results: running means of losses and metrics over the samples seen, and why a loss is not finite.

It computes no loss itself. Contract: logs hold Python floats by name, the loss first; the samples of unequal batches
count alike.
"""

from __future__ import annotations

import numpy as np

from fastconv.callbacks import Logs
from fastconv.nest import flatten
from fastconv.tensor import no_grad


class Results:
    """What one epoch, or one evaluation, adds up."""

    def __init__(self, model, objective):
        self._model, self._objective, self._metrics = model, objective, model.metrics
        model.reset_metrics()
        self._totals, self._samples, self._own = None, 0, None

    def get_state(self) -> dict:
        """All sums so far: JSON values, and a list of arrays a metric."""
        own = self._own and {name: float(value) for name, value in self._own.items()}
        sums = {"totals": self._totals, "samples": self._samples, "own": own}
        return sums | {str(i): [v.numpy() for v in metric.variables] for i, metric in enumerate(self._metrics)}

    def set_state(self, state: dict) -> None:
        """Goes on from `get_state`'s sums; a metric that makes its variables by its first batch begins anew."""
        self._totals, self._samples, self._own = state["totals"], state["samples"], state["own"]
        for i, metric in enumerate(self._metrics):
            arrays = state.get(str(i)) or []
            if len(arrays) == len(metric.variables):
                for variable, array in zip(metric.variables, arrays):
                    variable.assign(array)

    def add(self, y, output, losses, weights):
        """A batch: its targets, outputs, losses as floats, and weights of samples or None."""
        self.count(len(flatten(output)[0]), losses)
        self._objective.update_metrics(y, output, weights)

    def count(self, samples, losses):
        """The losses of a batch of so many samples; its metrics are counted elsewhere."""
        self._samples += samples
        totals = self._totals or [0.0] * len(losses)
        self._totals = [total + loss * samples for total, loss in zip(totals, losses)]

    @property
    def empty(self) -> bool:
        """Whether there was no batch yet, so that the logs' zeros mean nothing."""
        return self._totals is None and self._own is None

    def add_logs(self, logs):
        """What a step of the user's own reports."""
        self._own = dict(logs)

    def logs(self) -> Logs:
        """The values so far, by name."""
        if self._own is not None:
            return Logs({name: float(value) for name, value in self._own.items()})
        return self.computed()

    def computed(self) -> Logs:
        """The values of losses and metrics so far: those of compile, then those that the model's attributes are."""
        means = [total / max(self._samples, 1) for total in self._totals or [0.0]]
        logs = Logs(loss=means[-1], **self._objective.logs(means[:-1]))
        reported = {id(metric) for metric in (self._objective.tracker, *self._objective.metrics)}
        for metric in self._model.metrics:
            if id(metric) not in reported:
                value = metric.result()
                for name, part in value.items() if isinstance(value, dict) else [(metric.name, value)]:
                    logs[name] = np.asarray(part) if np.ndim(part) else float(part)
        return logs

    def report(self, return_dict):
        """The values as a dict, or as a list or the lone loss."""
        logs = self.logs()
        if return_dict:
            return dict(logs)
        values = [logs[name] for name in (logs if self._own is not None else self._objective.listed(logs))]
        return values if len(values) > 1 else values[0]


def diagnose(trainer, x, y) -> str:
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
