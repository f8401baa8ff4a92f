"""Networks that `fastconv train` trains: the recipes' own, those of fastconv.applications by name, and model files.

Contract: what comes back takes samples of the data's shape and gives one probability a class; it is not compiled.
"""

import os
from argparse import Namespace
from typing import Any

from fastconv.cli.arguments import bad, unknown
from fastconv.cli.data import Data, check_fit, model_of
from fastconv.cli.recipes import Recipe

ENDINGS = (".safetensors", ".keras")
SMALL = 16  # pixels a side, below which convolutions without padding leave nothing


def network(arguments: Namespace, recipe: Recipe, data: Data) -> Any:
    """The model that the arguments ask for; ends with the code 2 for an unknown name, ValueError where it does not fit."""
    name = arguments.model
    if name is None:
        return _small(recipe.network, data)
    if name.endswith(ENDINGS) or os.path.isfile(name):
        model = model_of(name)
    else:
        model = _application(arguments, name, data)
    check_fit(model, data, name)
    return model


def _application(arguments, name, data):
    from fastconv import applications

    known = {entry.lower(): entry for entry in dir(applications) if entry[0].isupper() and not entry.startswith("UNet")}
    found = known.get(name.lower())
    if found is None:
        ending = f"a model file, which ends in {' or '.join(ENDINGS)}"
        bad(arguments, "--model", unknown(name, list(known.values()), ending))
    return getattr(applications, found)(input_shape=data.shape, classes=len(data.classes))


def _small(kind, data):
    """The tutorial's network, or the fast one: a tenth of its multiply-adds; the hidden dense layer, which is cheap,
    makes up for it. Of any number of spatial axes."""
    from fastconv import layers, models

    rank, classes = len(data.shape) - 1, len(data.classes)
    padding = "valid" if min(data.shape[:-1]) >= SMALL else "same"
    conv, pool = (getattr(layers, f"{stem}{rank}D") for stem in ("Conv", "MaxPooling"))
    model = models.Sequential([layers.Input(data.shape)])
    for filters, size in {"tutorial": [(32, 5), (64, 5)], "fast": [(8, 5), (16, 5)]}[kind]:
        model.add(conv(filters, size, padding=padding, activation="relu"))
        model.add(pool(2))
    model.add(layers.Flatten())
    if kind == "fast":
        model.add(layers.Dense(128, activation="relu"))
    model.add(layers.Dense(classes, activation="softmax"))
    return model
