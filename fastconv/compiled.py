"""Objective: the losses and metrics that `compile` was given, brought to the outputs that a model turns out to have.

It computes nothing itself. Contract: one loss for all outputs, or one an output, in a list or by the outputs' names;
the same for metrics, weighted metrics and loss_weights. What does not fit the outputs raises ValueError at the first
batch.
"""

from __future__ import annotations

import numpy as np

from fastconv import losses, metrics, ops, registry
from fastconv.nest import flatten, map_leaves


class Objective:
    """`loss` and the others as `Model.compile` takes them; `loss` may be None where a model computes its own."""

    def __init__(self, loss, loss_weights=None, metrics=None, weighted_metrics=None):
        self._loss = map_leaves(lambda given: given if given is None else losses.loss_of(given), loss)
        self._weights = loss_weights
        for weight in flatten(loss_weights) if loss_weights is not None else ():
            if isinstance(weight, bool) or not isinstance(weight, (int, float)):
                raise TypeError(
                    f"compile: loss_weights must be numbers, one an output; got {loss_weights!r}. Metrics go by name: "
                    "metrics=['accuracy']."
                )
        self._metrics, self._weighted = _map_metrics(metrics), _map_metrics(weighted_metrics)
        self.names, self._row = (), None
        plain, weighted = (
            [one for one in flatten(part) if one is not None] for part in (self._metrics, self._weighted)
        )
        self._all = [*plain, *weighted]
        several = isinstance(loss, (list, tuple, dict))
        _check_names(plain, several)
        _check_names(weighted, several)
        taken = [] if several else [metric.name for metric in plain]
        for metric in weighted:
            metric.name = f"weighted_{metric.name}" if metric.name in taken else metric.name

    @property
    def loss(self):
        """The Loss, or a list or dict of them."""
        return self._loss

    @property
    def metrics(self) -> list:
        """All Metric objects."""
        return list(self._all)

    @property
    def name(self) -> str:
        return ", ".join(loss.name for loss in flatten(self._loss) if loss is not None) or "the loss"

    def _resolve(self, names):
        """One (loss or None, weight, metrics, weighted metrics) for each output."""
        if self._row is not None and (names is self.names or list(self.names) == list(names)):
            return self._row
        found = [_only(loss, name) for loss, name in zip(_for_outputs(self._loss, names, "loss", alone=True), names)]
        weights = [1.0] * len(names) if self._weights is None else _for_outputs(self._weights, names, "loss_weights")
        lists = [_lists_for_outputs(self._metrics, names, "metrics"),
                 _lists_for_outputs(self._weighted, names, "weighted_metrics")]  # fmt: skip
        self.names = names
        self._row = list(zip(found, [float(weight) for weight in weights], *lists))
        return self._row

    def losses(self, y, output, names, sample_weight=None, in_shard=False):
        """The loss of each output, where there are several, and their weighted sum; scalar Tensors, or none.
        `sample_weight`: weights of samples for each output, or None. `in_shard`: a mean by weights counts by their sum."""
        row = self._resolve(names)
        given = sample_weight or [None] * len(row)
        parts = [(_loss(loss, target, leaf, by, in_shard), weight)
                 for (loss, weight, *_), target, leaf, by in zip(row, self._each(y), flatten(output), given)
                 if loss is not None]  # fmt: skip
        for loss, _ in parts:
            if loss.shape:
                raise ValueError(
                    f"A loss of shape {loss.shape} cannot be made small: in compile() its reduction must not be 'none'."
                )
        total = None
        for value, weight in parts:
            value_of = value if weight == 1.0 else ops.multiply(value, weight)
            total = value_of if total is None else ops.add(total, value_of)
        if total is None:
            return []
        return [*[value for value, _ in parts], total] if len(row) > 1 else [total]

    def reductions(self, names) -> list[str | None]:
        """That of each output's loss."""
        return [getattr(loss, "reduction", None) for loss, *_ in self._resolve(names)]

    @property
    def has_loss(self) -> bool:
        """Whether compile was given a loss."""
        return any(loss is not None for loss in flatten(self._loss))

    def targets(self, y, names, dtype):
        """The targets as arrays in the form that each loss takes, checked as far as the outputs need not be known."""
        row = self._resolve(names)
        return [
            np.asarray(t) if loss is None else loss.target_array(t, dtype) for (loss, *_), t in zip(row, self._each(y))
        ]

    def check(self, targets, outputs):
        """Raises what the losses say of targets whose values do not fit outputs of these shapes."""
        for (loss, *_), target, shape in zip(self._row, targets, outputs):
            if loss is not None:
                loss.check_values(target, shape)

    def doubts(self, y, output):
        """Sentences on why the losses say little of such targets and outputs, arrays of a batch."""
        row = self._row or ()
        found = [
            loss.doubt(np.asarray(target), np.asarray(leaf))
            for (loss, *_), target, leaf in zip(row, self._each(y) if row else (), flatten(output)) if loss is not None
        ]  # fmt: skip
        return [doubt for doubt in found if doubt]

    def _each(self, y):
        return flatten(y) if len(self._row) > 1 or isinstance(y, (list, tuple, dict)) else [y]

    def update_metrics(self, y, output, sample_weight=None):
        """Adds a batch to the metrics; `sample_weight`, for each output or None, goes to the weighted ones."""
        if not self._all:
            return
        given = sample_weight or [None] * len(self._resolve(self.names))
        for (_, _, plain, weighted), target, leaf, by in zip(self._row, self._each(y), flatten(output), given):
            for metric in plain:
                metric.update_state(target, leaf)
            for metric in weighted:
                metric.update_state(target, leaf, sample_weight=by)

    def count(self, y, output, names, sample_weight=None):
        """As update_metrics, where no loss was computed before."""
        self._resolve(names)
        self.update_metrics(y, output, sample_weight)

    def logs(self, parts) -> dict:
        """Names and values of the outputs' losses and of the metrics: of all that take no weights, then of those that do,
        which are called weighted_... where their name is taken."""
        if self._row is None:
            return {name: value for metric in self._all for name, value in values_of(metric).items()}
        several = len(self._row) > 1
        with_loss = [name for name, (loss, *_) in zip(self.names, self._row) if loss is not None]
        logs = {f"{name}_loss": value for name, value in zip(with_loss, parts)} if len(with_loss) > 1 else {}
        for place, mark in ((2, ""), (3, "weighted_")):
            for name, entry in zip(self.names, self._row):
                stem = f"{name}_" if several else ""
                for metric in entry[place]:
                    taken = stem + metric.name in logs
                    logs |= values_of(metric, stem, mark + metric.name if taken else metric.name)
        return logs

    def reset(self):
        for metric in self._all:
            metric.reset_state()

    def get_config(self) -> dict:
        """JSON values; ValueError for functions of the user's own."""
        return {
            "loss": map_leaves(lambda loss: None if loss is None else registry.serialize(loss), self._loss),
            "loss_weights": self._weights,
            "metrics": _metric_configs(self._metrics),
            "weighted_metrics": _metric_configs(self._weighted),
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """The Objective that get_config described."""
        return cls(
            _map_entries(lambda entry: losses.loss_of(entry, custom_objects), config["loss"]),
            config.get("loss_weights"),
            _map_entries(lambda entry: metrics.get(entry, custom_objects), config.get("metrics")),
            _map_entries(lambda entry: metrics.get(entry, custom_objects), config.get("weighted_metrics")),
        )


def _loss(loss, target, output, by, in_shard):
    if by is None:
        return loss(target, output)
    value = loss(target, output, by)
    if in_shard and loss.reduction == "mean_with_sample_weight":
        value = ops.multiply(value, ops.sum(ops.cast(by, value.dtype)))
    return value


def _map_metrics(given):
    if given is None:
        return []
    if not isinstance(given, (list, tuple, dict)):
        given = [given]
    return map_leaves(
        lambda entry: None if entry is None else metrics.get(entry), list(given) if isinstance(given, tuple) else given
    )


def _metric_configs(structure):
    return map_leaves(lambda metric: None if metric is None else registry.serialize(metric), structure)


def _map_entries(function, config):
    """`config` with `function(entry)` for each serialized object in it."""
    if isinstance(config, dict) and "class_name" not in config:
        return {name: _map_entries(function, entry) for name, entry in config.items()}
    if isinstance(config, list):
        return [_map_entries(function, entry) for entry in config]
    return None if config is None else function(config)


def _check_names(found, several):
    """Numbers the metrics that take their class's name; ValueError where the caller's own names are not unique."""
    names = [metric.name for metric in found]
    for metric in found:
        if metric.name == "loss" or (not several and metric.is_named and names.count(metric.name) > 1):
            raise ValueError(f"metrics: the name {metric.name!r} is taken; give each metric its own name.")
    if not several:
        for place, metric in enumerate(found):
            count = names[:place].count(metric.name)
            metric.name = f"{metric.name}_{count}" if count else metric.name


def _lists_for_outputs(given, names, what):
    """A list of metrics for each output."""
    if len(names) == 1 and isinstance(given, list) and len(given) == 1 and isinstance(given[0], list):
        given = given[0]
    lists = _for_outputs(given, names, what) if given and (len(names) > 1 or isinstance(given, dict)) else [given]
    lists = [entry if isinstance(entry, list) else [] if entry is None else [entry] for entry in lists]
    return lists + [[]] * (len(names) - len(lists))


def _only(loss, name):
    """`loss`, or the one in a list of one."""
    if isinstance(loss, (list, tuple)) and len(loss) == 1:
        return _only(loss[0], name)
    if isinstance(loss, (list, tuple, dict)):
        raise ValueError(f"loss: output {name!r} takes one loss, a name, a Loss or a function of both; got {loss!r}.")
    return loss


def _for_outputs(given, names, what, alone=False):
    """One entry for each output: from a list in their order, a dict by name, or the one entry for all of them."""
    if isinstance(given, dict):
        unknown = [name for name in given if name not in names]
        if unknown:
            raise registry.unknown_name(f"output in {what}:", unknown[0], names)
        return [given.get(name) for name in names]
    if isinstance(given, (list, tuple)):
        if len(given) != len(names):
            raise ValueError(
                f"{what} has {len(given)} entries and the model {len(names)} outputs ({', '.join(names)}): give one for "
                "each, or a dict by name."
            )
        return list(given)
    if not alone and len(names) > 1:
        raise ValueError(f"{what} must be a list or a dict with one entry for each output: {', '.join(names)}.")
    return [given] * len(names)


def values_of(metric, stem="", name=None) -> dict:
    """What a metric says now, under `stem` and its name, or the `name` given; of several values each by its own."""
    value = metric.result()
    if isinstance(value, dict):
        return {stem + part: float(number) for part, number in value.items()}
    return {stem + (name or metric.name): value}
