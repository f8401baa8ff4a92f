"""Models: Sequential, Model, and how they are read from files, copied and described.

model.py is the class, over training.py and steps.py, description.py and inputs.py; sequential.py the stack, configs.py
their JSON, summary.py the table; the loop of training is trainer.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fastconv import modelfile
from fastconv.absent import explain as _explain
from fastconv.custom_objects import custom_object_scope
from fastconv.layers import REGISTRY, Layer
from fastconv.modelfile import save_model
from fastconv.models import configs
from fastconv.models.model import Model
from fastconv.models.sequential import Sequential
from fastconv.symbolic import KerasTensor

__all__ = ["KerasTensor", "Model", "Sequential", "clone_model", "load_model", "model_from_json", "save_model"]

for _class in (Model, Sequential, type("Functional", (Model,), {"__doc__": "Keras' name of a Model by graph."})):
    REGISTRY.add(_class)


def load_model(
    filepath: modelfile.Path, custom_objects: Mapping[str, Any] | None = None, compile: bool = True,
    safe_mode: bool = True,
) -> Model:  # fmt: skip
    """The model that `model.save(filepath)` wrote, compiled as it was, with its optimizer's state.

    `custom_objects` maps names to layer, loss, metric or optimizer classes of your own, beside those that are
    registered; `compile=False` leaves the compile settings aside; `safe_mode` changes nothing, since a file never holds
    code. Loading draws no random numbers. ValueError, naming the file, for one that is damaged or foreign.

    >>> fastconv.Sequential([layers.Input((4,)), layers.Dense(1)]).save("model.safetensors")
    >>> fastconv.models.load_model("model.safetensors").predict(np.zeros((2, 4))).shape
    (2, 1)
    """
    with custom_object_scope(custom_objects):
        return modelfile.load_model(filepath, configs.from_entry, compile)


def clone_model(
    model: Model, input_tensors: Any = None, clone_function: Callable[[Layer], Layer] | None = None,
    call_function: Callable[..., Any] | None = None, recursive: bool = False,
) -> Model:  # fmt: skip
    """A model of the same architecture with fresh weights, compiled alike unless with functions of your own. One that is
    written in Python is made from its config, or else from the arguments that this one was made with.

    `clone_function(layer)` gives the layer to put in a layer's place, by default one from its config; with `recursive`
    it is asked for the layers of inner models too. `call_function(layer, *args, **kwargs)` calls the layers of a graph
    in the copy, by default as they were. `input_tensors` stand in the place of the graph's inputs.
    """
    return configs.clone(model, input_tensors, clone_function, call_function, recursive)


def model_from_json(json_string: str, custom_objects: Mapping[str, Any] | None = None) -> Model:
    """The model that `model.to_json()` described, with fresh weights; `custom_objects` as in load_model."""
    return configs.from_json(json_string, custom_objects)


_explain(__name__, __all__)


def __dir__() -> list[str]:
    return __all__
