"""Model: a layer of layers that can be trained and saved, drawn as a graph or written as a `call`.

It holds what a user asks of a model and hands the work on: training to trainer.py, programs to planning.py, files to
modelfile.py, the graph's structure to graph.py. Contract: `Model(inputs, outputs)` runs the graph between these tensors;
a subclass defines `call`, and its layers are built at the first call. A step of training can be overridden:
`train_step`, `test_step` and `compute_loss`, as in Keras.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastconv import modelfile, ops, registry
from fastconv.graph import Call, Graph, Node, sources
from fastconv.layers import Layer, calls, masks
from fastconv.layers.misfits import remedy
from fastconv.layers.shapes import array_of, flatten_shapes, map_shapes
from fastconv.models.steps import Steps
from fastconv.models.summary import html, summary
from fastconv.nest import flatten, map_leaves, pack
from fastconv.planning import Planner
from fastconv.symbolic import KerasTensor
from fastconv.tensor import Tensor
from fastconv.trainer import Trainer

if TYPE_CHECKING:
    from fastconv.callbacks import History
    from fastconv.optimizers import Optimizer


class Model(Steps, Layer):
    """`Model(inputs, outputs)`: the graph from tensors of `fastconv.Input` to tensors that layers gave, each one tensor or
    a nest of them; or subclass it, make layers in `__init__` and compute in `call(inputs)`.

    >>> inputs = fastconv.Input((8, 8, 3))
    >>> x = layers.Conv2D(3, 3, padding="same", activation="relu")(inputs)
    >>> outputs = layers.GlobalAveragePooling2D()(layers.Add()([inputs, x]))
    >>> fastconv.Model(inputs, outputs).output_shape
    (None, 3)

    `name` and `trainable` are as in Layer. TypeError for what is no tensor of a graph, ValueError where an output is
    not reached from the inputs.
    """

    class_names: list[str] | None = None  # what the outputs stand for, where that is known; saved with the model
    _graph = None

    def __init__(
        self, inputs: Any = None, outputs: Any = None, name: str | None = None, trainable: bool = True, **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(name=name, trainable=trainable, **kwargs)
        self._planner, self._trainer = Planner(), Trainer(self)
        if (inputs is None) != (outputs is None):
            raise TypeError("Model takes inputs and outputs together; a subclass with a call of its own takes neither.")
        if inputs is not None:
            self._graph = Graph(inputs, outputs, self.name)
            self._dtype = next((t.dtype for t in flatten(inputs) if t.dtype.kind == "f"), self._dtype)
            self.build(map_leaves(lambda tensor: tensor.shape, inputs))
            if not trainable:
                self.trainable = False

    # Structure

    @property
    def layers(self) -> list[Layer]:
        """The layers that the model consists of."""
        return list(self._graph.layers) if self._graph else self._sublayers()

    def _sublayers(self):
        return self._graph.layers if self._graph else super()._sublayers()

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """The layer of this `name`, or at this `index`; ValueError, with near matches, if there is none."""
        layers = self.layers
        if (name is None) == (index is None):
            raise ValueError("get_layer takes either name or index.")
        if index is not None:
            if not -len(layers) <= index < len(layers):
                raise ValueError(f"{self.name!r} has {len(layers)} layers; got index {index}.")
            return layers[index]
        for layer in layers:
            if layer.name == name:
                return layer
        raise registry.unknown_name(f"layer in {self.name!r}", name, [layer.name for layer in layers])

    @property
    def rescales(self) -> bool:
        """Whether integers are expected as inputs: they are declared as such, or a layer makes them small."""
        return any(t.dtype.kind != "f" for t in self.inputs or ()) or any(layer.rescales for layer in self._sublayers())

    @property
    def inputs(self) -> list[KerasTensor] | None:
        """The input tensors of the graph; None where the model has no graph."""
        return None if self.graph is None else flatten(self.graph.inputs)

    @property
    def outputs(self) -> list[KerasTensor] | None:
        """The output tensors of the graph; None where the model has no graph."""
        return None if self.graph is None else flatten(self.graph.outputs)

    @property
    def input(self) -> Any:
        """The graph's inputs as they were given; AttributeError where there is no graph."""
        return self._known_graph().inputs

    @property
    def output(self) -> Any:
        """The graph's outputs as they were given; AttributeError where there is no graph."""
        return self._known_graph().outputs

    def _known_graph(self):
        if self.graph is None:
            raise AttributeError(
                f"{self.name!r} has no graph: it has no declared input, or its call is written in Python."
            )
        return self.graph

    @property
    def graph(self) -> Graph | None:
        """What was drawn, or None."""
        return self._graph

    @property
    def input_shape(self) -> Any:
        """`(None, 28, 28, 1)`, or a nest of such; None before it is known."""
        return self._build_shape

    @property
    def output_shape(self) -> Any:
        """`(None, 10)`, or a nest of such; None before it is known."""
        return None if self._build_shape is None else self.compute_output_shape(self._build_shape)

    @property
    def input_names(self) -> list[str]:
        """The names by which a dict gives the inputs."""
        return _names(self.graph.inputs, "input") if self.graph else ["input"]

    @property
    def output_names(self) -> list[str]:
        """The names by which losses, metrics and targets are given: those of the layers that make the outputs."""
        known = vars(self).get("_output_names")
        if known is None:
            if self.graph:
                known = _names(self.graph.outputs, "output")
            elif not self.built or self._build_shape is None:
                return ["output"]  # nobody knows better yet
            else:
                symbols = map_shapes(lambda shape: KerasTensor(shape, self._dtype), self._build_shape)
                known = _names_of(self.draw_inside(symbols))
            vars(self)["_output_names"] = known
        return known

    @property
    def takes_one(self) -> bool:
        """Whether the model takes one input, not a nest."""
        return self._graph is None or isinstance(self._graph.inputs, KerasTensor)

    def arrange(self, inputs: Any) -> Any:
        """`inputs` in the structure of the graph's: dicts by name, single values in or out of their list."""
        if self.graph is None:
            leaves = flatten(inputs)
            return inputs if any(isinstance(leaf, (Tensor, np.ndarray)) for leaf in leaves) else array_of(inputs, "x")
        wanted, names = self.graph.inputs, self.input_names
        if isinstance(inputs, dict) and not isinstance(wanted, dict):
            missing = [name for name in names if name not in inputs]
            if missing:
                raise ValueError(
                    f"{self.name!r} needs the inputs {', '.join(names)}; got {', '.join(map(str, inputs))}."
                )
            return pack(wanted, [inputs[name] for name in names])
        if isinstance(wanted, dict):
            if isinstance(inputs, dict):
                return {name: inputs[name] for name in wanted} if set(wanted) <= set(inputs) else self._misfit(inputs)
            inputs = inputs if isinstance(inputs, (list, tuple)) else [inputs]
            return pack(wanted, inputs) if len(inputs) == len(wanted) else self._misfit(inputs)
        if isinstance(wanted, (list, tuple)):
            inputs = list(inputs) if isinstance(inputs, (list, tuple)) else [inputs]
            leaves = flatten(inputs)
            return pack(wanted, leaves) if len(leaves) == len(flatten(wanted)) else self._misfit(inputs)
        return self._ranked(one_input(inputs))

    def _ranked(self, inputs):
        return inputs if self._graph is None else ranked(inputs, self._graph.inputs.shape)

    def _misfit(self, inputs):
        raise ValueError(
            f"{self.name!r} takes {len(self.inputs)} inputs ({', '.join(self.input_names)}); got {len(flatten(inputs))}."
        )

    # Calling

    def __call__(self, inputs: Any, *args: Any, training: bool | None = None, **kwargs: Any) -> Any:
        if not (type(inputs) in _ARRAYS and self.takes_one):
            inputs = self.arrange(inputs)
        else:
            inputs = self._ranked(inputs)
        inputs = self.prepare(inputs)
        if not (args or kwargs or self._trainer.run_eagerly) and masks.of(inputs) is None:
            if not (inputs.symbolic if isinstance(inputs, Tensor) else any(leaf.symbolic for leaf in flatten(inputs))):
                calls.begin(self)
                output = self._planner.call(self, inputs, calls.in_training(training))
                if output is not None:
                    return output
        return self.call_prepared(inputs, *args, training=training, **kwargs)

    def call(self, inputs: Any) -> Any:
        if self._graph is None:
            raise NotImplementedError(
                f"{type(self).__name__} must define call(self, inputs), or be made as Model(inputs, outputs)."
            )
        return self._graph.run(self._typed(inputs))

    def _typed(self, inputs):
        """Inputs that were declared to be integers as such, where ops or layers of the user's own take them; layers of
        fastconv's take them as floats."""
        graph, dtypes = vars(self).get("_declared", (None, ()))
        if graph is not self._graph:
            graph, dtypes = self._graph, _whole_inputs(self._graph)
            object.__setattr__(self, "_declared", (graph, dtypes))
        if not any(dtypes):
            return inputs
        leaves = zip(flatten(inputs), dtypes)
        return pack(inputs, [leaf if dtype is None else ops.cast(leaf, dtype) for leaf, dtype in leaves])

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """The masks of the outputs, or a nest of them, None where there is none; `inputs` have the masks
        `previous_mask`, where given."""
        leaves = [
            leaf if previous_mask is None else masks.bare(leaf) for leaf in flatten(map_leaves(self._convert, inputs))
        ]
        for leaf, mask in zip(leaves, flatten(previous_mask) if previous_mask is not None else ()):
            leaf._keras_mask = mask
        return masks.of(self.run(pack(inputs, leaves)))

    def note_masks(self, x: Any, previous: Any, outputs: Any) -> None:
        """The layers inside have put them there."""

    def build(self, input_shape: Any) -> None:
        """Builds every layer for inputs of this shape, or nest of shapes, the batch included."""
        if self._graph is None:
            dtype = self._dtype
            leaves = map_shapes(lambda shape: KerasTensor(shape, dtype), input_shape)
            self.draw_inside(leaves)

    def check_input(self, shape: Any) -> None:
        if self._graph is None:
            return
        wanted, given = flatten_shapes(map_leaves(lambda t: t.shape, self._graph.inputs)), flatten_shapes(shape)
        for name, declared, shape in zip(self.input_names, wanted, given):
            fits = len(shape) == len(declared) and all(
                size in (declared_size, None) or declared_size is None
                for size, declared_size in zip(shape[1:], declared[1:])
            )
            if not fits:
                raise ValueError(
                    f"{self.name!r} takes inputs of shape {declared} for {name!r}, as its Input declares; got {tuple(shape)}."
                    f"{remedy(shape, declared)}"
                )

    def layer_outputs(self, inputs: Any) -> Iterator[tuple[Layer, Any]]:
        """(layer, its output) for each layer's call, in order, without training."""
        if self.graph is None:
            return
        found = []

        def call(layer, args, kwargs):
            found.append((layer, layer(*args, **kwargs)))
            return found[-1][1]

        self.graph.run(self.prepare(self.arrange(inputs)), call)
        yield from found

    def drop_plans(self) -> None:
        """Frees the memory of recorded programs; the next calls draw and record them anew."""
        self._planner.clear()

    def explain(self) -> str:
        """How the shapes seen so far run: recorded in C, step by step, or eagerly, and then which line is the reason."""
        return self._planner.explain()

    # Training

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
        weights = sample_weight if sample_weight is None or isinstance(sample_weight, list) else [sample_weight]
        return self._trainer.objective_losses(y, y_pred, weights)[-1]

    def has_own(self, *names: str) -> bool:
        """Whether the class overrides one of these methods of Model."""
        return any(getattr(type(self), name) is not getattr(Model, name) for name in names)

    def planned_gradients(self, x: Any, y: Any, weights: Any, sample_weight: Any = None) -> Any:
        """As Planner.gradients; None where the step runs eagerly."""
        if self._trainer.run_eagerly or not self.built:
            return None
        return self._planner.gradients(self, x, y, weights, sample_weight)

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
        """The Metric objects that compile was given, then those that the model's and its layers' attributes are."""
        return [*(self._trainer.objective.metrics if self._trainer.objective else ()), *super().metrics]

    @property
    def metrics_names(self) -> list[str]:
        """The names under which results are reported, the loss first."""
        return ["loss", *(metric.name for metric in self.metrics)]

    @property
    def stop_training(self) -> bool:
        """Setting it ends fit after the current step."""
        return self._trainer.stop_training

    @stop_training.setter
    def stop_training(self, value: bool) -> None:
        self._trainer.stop_training = value

    # Description and files

    def summary(
        self, line_length: int | None = None, positions: Sequence[float] | None = None,
        print_fn: Callable[[str], Any] | None = None, expand_nested: bool = False, show_trainable: bool = False,
        layer_range: Sequence[str] | None = None,
    ) -> None:  # fmt: skip
        """Prints a table of layers, output shapes, parameter counts and, where layers branch, what each is connected to.

        `print_fn` takes the text, default print; `expand_nested` shows the layers of inner models, `show_trainable` a
        column; `layer_range` is a pair of layer names (or patterns) to start and end with.
        """
        text = summary(self, line_length, positions, expand_nested, show_trainable, layer_range)
        (print_fn or print)(text)

    def to_svg(
        self, show_shapes: bool = True, show_dtype: bool = False, show_layer_names: bool = True, rankdir: str = "TB",
        expand_nested: bool = False, show_layer_activations: bool = False, show_trainable: bool = False,
    ) -> str:  # fmt: skip
        """The text of an SVG picture of the graph: a box for each call of a layer, a line for each tensor, outputs with a
        thick border; light or dark as the reader's system is.

        Arguments as in `utils.plot_model`, which writes files. ValueError for a model that is not built or has no graph.
        """
        from fastconv.drawing import Drawing, Show

        show = Show(show_shapes, show_dtype, show_layer_names, show_layer_activations, show_trainable, expand_nested)
        return Drawing(self, show, rankdir).svg

    def _repr_html_(self) -> str:
        return html(self)

    def get_config(self) -> dict[str, Any]:
        from fastconv.models import configs

        if self._graph is None:
            raise NotImplementedError(
                f"{type(self).__name__} must define get_config(self) to be saved, since its call is written in Python: "
                "return its constructor's arguments."
            )
        return configs.graph_config(self)

    @classmethod
    def from_config(cls, config: dict, custom_objects: Mapping[str, Any] | None = None) -> Model:
        """The model that get_config described, with fresh weights; `custom_objects` maps names to own layers."""
        from fastconv.models import configs

        if "input_layers" not in config:
            return cls(**config)
        return configs.graph_from_config(cls, config, custom_objects)

    def to_json(self, **kwargs: Any) -> str:
        """The architecture without weights, as JSON; `fastconv.models.model_from_json` reads it. Further arguments are
        json.dumps', such as `indent=2`."""
        return json.dumps(registry.serialize(self), **kwargs)

    def save(self, filepath: modelfile.Path, overwrite: bool = True, zipped: bool | None = None) -> None:
        """Writes architecture, weights and compile settings to one safetensors file; see fastconv.saving.

        >>> model = fastconv.Sequential([layers.Input((4,)), layers.Dense(1)])
        >>> model.save("model.safetensors")
        >>> fastconv.models.load_model("model.safetensors").output_shape
        (None, 1)

        `overwrite=False` raises FileExistsError where there is a file; `zipped` changes nothing."""
        modelfile.save_model(self, filepath, overwrite)

    def save_weights(
        self, filepath: modelfile.Path, overwrite: bool = True, max_shard_size: float | None = None
    ) -> None:
        """Writes the weights alone to one safetensors file; `max_shard_size` is refused."""
        modelfile.save_weights(self, filepath, overwrite, max_shard_size)

    def export(
        self, filepath: Any, format: str = "tf_saved_model", verbose: Any = None, input_signature: Any = None,
        **kwargs: Any,
    ) -> None:  # fmt: skip
        """Not for fastconv, which writes no other framework's formats: raises NotImplementedError."""
        raise NotImplementedError(f"export: fastconv writes no {format!r}. Keep the model with model.save(filepath).")

    def load_weights(
        self, filepath: modelfile.Path, skip_mismatch: bool = False,
        name_map: Mapping[str, Any] | Callable[[str], Any] | None = None,
    ) -> None:  # fmt: skip
        """Takes the weights of a file by name; on any mismatch raises ValueError and changes nothing.

        Files: of `save` and `save_weights`; Keras' `.keras` and `.weights.h5`, and Keras 2's `.h5`; PyTorch's state dicts
        (`.pt`, `.pth`, or in safetensors), whose kernels are turned, also those behind a Flatten; other safetensors files.
        `skip_mismatch=True` takes those that fit, leaves the others as they are, and warns which. `name_map` says for a
        foreign file's names, or those of its modules, which weight ("conv2d/kernel") or layer ("conv2d") they are: a dict,
        or a function; None leaves an array out. Without it names, order and shapes tell, or an error shows both lists."""
        modelfile.load_weights(self, filepath, skip_mismatch, name_map)

    def __copy__(self):
        other = type(self).__new__(type(self))
        vars(other).update(vars(self))
        vars(other)["_planner"] = Planner()
        vars(other)["_trainer"] = trainer = copy.copy(self._trainer)
        trainer.model = other
        return other

    def __repr__(self):
        shapes = f", {self.input_shape} -> {self.output_shape}" if self.built else ", not built"
        return f"<{type(self).__name__} {self.name!r}: {len(self.layers)} layers{shapes}>"


_ARRAYS = (np.ndarray, Tensor)


def one_input(inputs):
    """`inputs` for a model that takes one: a list of one array is that array, a list of samples becomes one."""
    if not isinstance(inputs, (list, tuple)):
        return inputs
    if len(inputs) == 1 and isinstance(inputs[0], (np.ndarray, Tensor)):
        return inputs[0]
    return array_of(inputs, "x")


def _names(structure, kind) -> list[str]:
    """A name for each tensor: its key in a dict, or that of the layer that made it, made unique."""
    if isinstance(structure, dict) and not any(isinstance(part, (dict, list, tuple)) for part in structure.values()):
        return list(structure)
    names, taken, counts = [], set(), {}
    for number, tensor in enumerate(flatten(structure), 1):
        name = tensor.source.layer.name if isinstance(tensor.source, Node) else tensor.name or f"{kind}_{number}"
        names.append(registry.free_name(name, taken, counts))
    return names


def ranked(given, wanted):
    """An array with the last axis of 1 that its Input declares put there or, where it declares none, taken away, as Keras
    does; one that does not fit then is what it was."""
    shape = getattr(given, "shape", ())
    if len(shape) == len(wanted) - 1 and wanted[-1] == 1 and _fits(shape, wanted[:-1]):
        return given[..., None]
    if len(shape) == len(wanted) + 1 and shape[-1] == 1 and _fits(shape[:-1], wanted):
        return given[..., 0]
    return given


def _fits(shape, wanted):
    return len(shape) > 1 and all(None in (size, known) or size == known for size, known in zip(shape[1:], wanted[1:]))


def _whole_inputs(graph):
    """For each input of a graph its dtype, where that is of integers and no layer of fastconv's takes it; else None."""
    takers: dict[int, list[Any]] = {}
    for node in graph.nodes:
        for leaf in sources(node):
            takers.setdefault(id(leaf), []).append(node)
    return [
        tensor.dtype
        if tensor.dtype.kind != "f"
        and all(isinstance(n, Call) or getattr(n.layer, "keeps_integers", False) for n in takers.get(id(tensor), ()))
        else None
        for tensor in flatten(graph.inputs)
    ]


def _names_of(outputs):
    """The names of what a `call` written in Python gives: a dict's keys, else numbers, one output's is "output"."""
    if isinstance(outputs, dict) and len(outputs) == len(flatten(outputs)):
        return list(outputs)
    count = len(flatten(outputs))
    return [f"output_{number + 1}" for number in range(count)] if count > 1 else ["output"]


def _parts(data):
    """(x, y, weights) of what a step is given, None for what is not there."""
    return (*data, None, None)[:3] if isinstance(data, tuple) else (data, None, None)
