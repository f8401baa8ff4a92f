"""Steps: a model's steps of training, test and prediction, what own ones call, and its compile settings as JSON.

The loop itself is in trainer.py, the settings in compiled.py. Contract: what needs `compile` says so before it; metrics
are those of `compile`, kept until `reset_metrics`, and `fit` and `evaluate` reset them themselves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastconv import optimizers, registry
from fastconv.compiled import Objective, values_of

if TYPE_CHECKING:
    from fastconv.tensor import Tensor


class Steps:
    """Base class of Training: a step as it is, to be overridden, and what steps of a user's own call."""

    @property
    def jit_compile(self) -> bool:
        """False: programs are recorded, and nothing is compiled at run time. Setting it changes nothing."""
        return False

    @jit_compile.setter
    def jit_compile(self, value: bool | str) -> None:
        pass

    def train_step(self, data: Any) -> dict[str, Any]:
        """One step on the batch `data = (x, y)`, or `(x, y, sample_weight)`; logs by name, of the epoch so far. Override
        it for training of your own: call the model with `training=True`, `backward()` the loss, and give the gradients
        to `self.optimizer.apply`."""
        return self._trainer.train_step(*_parts(data))

    def test_step(self, data: Any) -> dict[str, Any]:
        """The results of the batch `data = (x, y)`, by name; override it for an evaluation of your own."""
        return self._trainer.test_step(*_parts(data))

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Tensor:
        """The scalar that a step of training makes small, from targets and outputs, `self.losses` included; override it
        for a loss of your own in ops."""
        return self._trainer.objective_losses(y, y_pred, _for_outputs(sample_weight))[-1]

    def predict_step(self, data: Any) -> Any:
        """The outputs for the batch `data = (x,)`; override it for a prediction of your own."""
        return self(data[0] if isinstance(data, tuple) else data, training=False)

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> dict[str, float]:
        """Counts a batch's targets and outputs into the metrics; their results so far, by name."""
        objective = self._objective("compute_metrics")
        objective.count(y, y_pred, self.output_names, _for_outputs(sample_weight))
        return self.get_metrics_result()

    def get_metrics_result(self) -> dict[str, float]:
        """Names and values of the metrics; one that gives a dict of several is listed by their names. The loss is among
        them where a step of the user's own counted it into the metric of that name."""
        objective = self._trainer.objective
        idle = objective is not None and not objective.tracker.variables[-1].array.any() and objective.tracker
        return {name: value for one in self.metrics if one is not idle for name, value in values_of(one).items()}

    def reset_metrics(self) -> None:
        """Puts the metrics back to where nothing was counted."""
        for metric in self.metrics:
            metric.reset_state()

    def get_compile_config(self) -> dict[str, Any] | None:
        """The optimizer, losses and metrics that compile was given, as JSON values; None before. ValueError for
        functions of the user's own."""
        trainer = self._trainer
        if trainer.optimizer is None:
            return None
        settings = {"optimizer": registry.serialize(trainer.optimizer), "run_eagerly": trainer.run_eagerly}
        return settings | trainer.objective.get_config()

    def compile_from_config(self, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> None:
        """Compiles as `get_compile_config` says; `custom_objects` maps names to classes of your own."""
        optimizer = optimizers.get(config["optimizer"], custom_objects)
        self._trainer.restore(optimizer, Objective.from_config(config, custom_objects))
        self._trainer.run_eagerly = bool(config.get("run_eagerly"))

    def _objective(self, caller):
        if self._trainer.objective is None:
            raise RuntimeError(f"{caller}() needs a compiled model: call model.compile(...) first.")
        return self._trainer.objective


def _for_outputs(sample_weight):
    """Weights of samples as a list for the outputs, or None."""
    return sample_weight if sample_weight is None or isinstance(sample_weight, list) else [sample_weight]


def _parts(data):
    """(x, y, weights) of what a step is given, None for what is not there."""
    return (*data, None, None)[:3] if isinstance(data, tuple) else (data, None, None)
