"""Models: Sequential, Model, and how they are read from files, copied and described.

model.py is the class, sequential.py the stack, configs.py their JSON, summary.py the table; training is trainer.py.
"""

from fastconv import modelfile
from fastconv.models import configs
from fastconv.models.model import Model
from fastconv.models.sequential import Sequential
from fastconv.symbolic import KerasTensor

__all__ = ["KerasTensor", "Model", "Sequential", "clone_model", "load_model", "model_from_json"]

for _class in (Model, Sequential):
    configs.register(_class)
configs.register(type("Functional", (Model,), {"__doc__": "Keras' name of a Model by graph."}))


def load_model(filepath, custom_objects=None, compile=True) -> Model:
    """The model that `model.save(filepath)` wrote, compiled as it was, with its optimizer's state.

    `custom_objects` maps names to layer, loss, metric or optimizer classes of your own; `compile=False` leaves the
    compile settings aside. Loading draws no random numbers. ValueError, naming the file, for one that is damaged or
    foreign.
    """
    return modelfile.load_model(filepath, configs.from_entry, custom_objects, compile)


def clone_model(model, input_tensors=None, clone_function=None) -> Model:
    """A model of the same architecture with fresh weights and no compile settings.

    `clone_function(layer)` gives the layer to put in a layer's place, by default one from its config;
    `input_tensors` stand in the place of the graph's inputs.
    """
    return configs.clone(model, input_tensors, clone_function)


def model_from_json(json_string, custom_objects=None) -> Model:
    """The model that `model.to_json()` described, with fresh weights."""
    return configs.from_json(json_string, custom_objects)
