"""Training: the methods by which a model is compiled, fitted, evaluated and asked to predict, and what they leave behind.

Names, arguments and what they mean; trainer.py does the work, steps.py holds what a user overrides. Contract: no method
here computes; each hands on to `self._trainer`, which is the model's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from fastconv import registry
from fastconv.models.steps import Steps
from fastconv.nest import flatten

if TYPE_CHECKING:
    from fastconv.callbacks import History
    from fastconv.optimizers import Optimizer


class Training(Steps):
    """Base class of Model: compile, fit, evaluate, predict."""

    @registry.keywords_checked
    def compile(
        self, optimizer: Any = "rmsprop", loss: Any = None, loss_weights: Any = None, metrics: Any = None,
        weighted_metrics: Any = None, run_eagerly: bool = False, steps_per_execution: int | str = 1,
        jit_compile: bool | str = "auto", auto_scale_loss: bool = True,
    ) -> None:  # fmt: skip
        """Sets how the model is trained.

        `optimizer`: a name ("sgd", "adam") or an object of fastconv.optimizers. `loss`: a name, an object of
        fastconv.losses or a function `(y_true, y_pred)` of Tensors; for several outputs a list or a dict by output
        name, with `loss_weights` alike. `metrics`: a list of names ("accuracy"), objects of fastconv.metrics or
        functions of arrays; for several outputs a list of lists or a dict. `weighted_metrics` are those that weights
        of samples and classes go to. `run_eagerly=True` runs layer by layer, without programs. `steps_per_execution`,
        `jit_compile` and `auto_scale_loss` change nothing here. Unknown names raise ValueError with near matches.
        """
        self._trainer.compile(
            optimizer, loss, loss_weights, metrics, weighted_metrics, run_eagerly, steps_per_execution
        )

    @registry.keywords_checked
    def fit(
        self, x: Any = None, y: Any = None, batch_size: int | None = None, epochs: int = 1,
        verbose: int | str = "auto", callbacks: Any = None, validation_split: float = 0.0, validation_data: Any = None,
        shuffle: bool = True, class_weight: dict[int, float] | None = None, sample_weight: Any = None,
        initial_epoch: int = 0, steps_per_epoch: int | None = None, validation_steps: int | None = None,
        validation_batch_size: int | None = None, validation_freq: int | Sequence[int] = 1,
    ) -> History:  # fmt: skip
        """Trains on `x` (samples first) and targets `y`, and returns the History. Nests of arrays for several inputs or
        outputs, also as dicts by name. Or `x` is an iterable of batches (x, y) or (x, y, sample_weight), without y: a
        `fastconv.data.Dataset`, a `utils.PyDataset`, a generator, PyTorch's DataLoader; so may be `validation_data`, and
        what evaluate and predict take. `steps_per_epoch` says how long an epoch of a generator is.

        >>> model = fastconv.Sequential([layers.Input((4,)), layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> history = model.fit(np.ones((64, 4)), np.zeros((64, 1)), epochs=3, verbose=0)
        >>> len(history.history["loss"])
        3

        `batch_size` is 32 by default. `verbose`: 0, 1 (a bar; one line an epoch off a terminal), 2 (lines), "auto"
        (as 1). `validation_split` keeps the last share of the samples, as given, for validation; `validation_data` is
        `(x, y)` or `(x, y, sample_weight)` and wins over it. `shuffle` draws a new order each epoch. `sample_weight`
        has one number a sample, or one a target, `class_weight` is a dict of one a class: they weigh the loss and the
        weighted metrics. `steps_per_epoch` takes the first so many batches of an epoch only, `validation_steps` those
        of the validation, in batches of `validation_batch_size`, after every `validation_freq` epochs or after the
        epochs in such a list. ValueError or TypeError for data that
        do not fit. Ctrl-C ends the run after a complete step: fit says so, calls on_train_end and raises
        KeyboardInterrupt; `model.history` holds the complete epochs. A second Ctrl-C does not wait for the step.
        """
        return self._trainer.fit(
            x, y, batch_size, epochs, verbose, callbacks, validation_split, validation_data, shuffle, class_weight,
            sample_weight, initial_epoch, steps_per_epoch, validation_steps, validation_batch_size, validation_freq,
        )  # fmt: skip

    def train_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, class_weight: dict[int, float] | None = None,
        return_dict: bool = False,
    ) -> Any:  # fmt: skip
        """One step on one batch; the loss, or [loss, metrics...], of this batch before the step."""
        return self._trainer.train_on_batch(x, y, sample_weight, class_weight, return_dict)

    @registry.keywords_checked
    def evaluate(
        self, x: Any = None, y: Any = None, batch_size: int | None = None, verbose: int | str = "auto",
        sample_weight: Any = None, steps: int | None = None, callbacks: Any = None, return_dict: bool = False,
    ) -> Any:  # fmt: skip
        """The mean loss, or [loss, metrics...], over all samples, as Python floats; with `return_dict` by name.

        `batch_size` (default 32), `verbose`, `sample_weight` and `callbacks` as in fit; `steps`: the first so many
        batches only.
        """
        return self._trainer.evaluate(x, y, batch_size, verbose, sample_weight, steps, callbacks, return_dict)

    def test_on_batch(self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False) -> Any:
        """The loss, or [loss, metrics...], of one batch."""
        size = max(len(flatten(x)[0]), 1)
        return self.evaluate(x, y, size, verbose=0, sample_weight=sample_weight, return_dict=return_dict)

    def predict(
        self, x: Any, batch_size: int | None = None, verbose: int | str = 0, steps: int | None = None,
        callbacks: Any = None,
    ) -> Any:  # fmt: skip
        """The outputs for all samples, as one array or a nest of them; `batch_size` is 32 by default. No samples give no
        rows; `steps`: the first so many batches only.

        A Dask array is computed block by block along its first axis, so that it need not fit into memory. Threads may
        predict with one model at once, also the first time; each gets the bits that one alone gets.
        """
        return self._trainer.predict(x, batch_size, verbose, steps, callbacks)

    def predict_on_batch(self, x: Any) -> Any:
        """The outputs for one batch."""
        return self.predict(x, batch_size=max(len(flatten(x)[0]), 1))

    @property
    def optimizer(self) -> Optimizer | None:
        """The optimizer that compile was given, or None."""
        return self._trainer.optimizer

    @property
    def history(self) -> History | None:
        """The History of the last fit, or None."""
        return self._trainer.history

    @property
    def run_eagerly(self) -> bool:
        """Whether calls run layer by layer."""
        return self._trainer.run_eagerly

    @run_eagerly.setter
    def run_eagerly(self, value: bool) -> None:
        self._trainer.run_eagerly = bool(value)

    @property
    def compiled(self) -> bool:
        """Whether compile was called."""
        return self._trainer.objective is not None

    @property
    def loss(self) -> Any:
        """The loss that compile was given, or None."""
        return self._trainer.objective and self._trainer.objective.loss

    @property
    def metrics(self) -> list[Any]:
        """The Metric objects that compile was given, then those that the model's and its layers' attributes are. First
        comes, where the class has a `train_step` or `test_step` of its own, a Mean named "loss" for that to update."""
        objective, own = self._trainer.objective, super().metrics
        if objective is None:
            return own
        tracker = [objective.tracker] if self.has_own("train_step", "test_step") else []
        return [*tracker, *objective.metrics, *own]

    @property
    def metrics_names(self) -> list[str]:
        """The names under which results are reported, the loss first."""
        return ["loss", *(metric.name for metric in self.metrics if metric.name != "loss")]

    @property
    def stop_training(self) -> bool:
        """Setting it ends fit after the current step."""
        return self._trainer.stop_training

    @stop_training.setter
    def stop_training(self, value: bool) -> None:
        self._trainer.stop_training = value
