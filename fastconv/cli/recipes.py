"""Recipes: how `fastconv train` trains unless its arguments say otherwise, as data.

Nothing is trained or loaded here. Contract: a data set without a recipe of its own takes OTHER.
"""

from argparse import Namespace
from typing import NamedTuple


class Recipe(NamedTuple):
    """How to train.

    `schedule` is what becomes of the learning rate. "falling": it falls in equal steps, epoch by epoch, towards 0; the
    last weights then do not depend on the luck of the last few batches. "one-cycle": it climbs to the rate given and
    falls to 0, step by step, within the run. None: it stays.
    """

    optimizer: str
    learning_rate: float
    batch_size: int
    epochs: int
    schedule: str | None
    network: str = "tutorial"


DEFAULTS = {
    "mnist-mini": Recipe("adam", 0.003, 32, 8, "falling"),
    "mnist": Recipe("adam", 0.002, 100, 3, "falling"),
}
OTHER = Recipe("adam", 0.001, 32, 10, "falling")
PRESETS = {
    "tutorial": Recipe("sgd", 0.01, 100, 5, None),
    "fast": Recipe("adam", 0.015, 128, 2, "one-cycle", "fast"),
}


def recipe(arguments: Namespace) -> Recipe:
    """The preset's or the data set's recipe, overridden by what was given explicitly."""
    name = arguments.data.replace("_", "-").lower()
    chosen = PRESETS[arguments.preset] if arguments.preset else DEFAULTS.get(name, OTHER)
    given = {field: getattr(arguments, field, None) for field in Recipe._fields}
    if given["optimizer"] and given["learning_rate"] is None:
        chosen = chosen._replace(learning_rate=None)  # the recipe's step size suits its own optimizer only
    return chosen._replace(**{field: value for field, value in given.items() if value is not None})


def presets_text() -> str:
    purposes = {"tutorial": "the well-known one", "fast": "99 %% of MNIST in seconds"}
    return "; ".join(f"{name}, {purposes[name]}: {_text(preset)}" for name, preset in PRESETS.items())


def recipes_text() -> str:
    texts = [f"{data}: {_text(chosen)}" for data, chosen in (DEFAULTS | {"other data": OTHER}).items()]
    return f"Without --preset, {'; '.join(texts)}. Explicit options override the recipe."


def _text(chosen):
    rate = {None: "at", "falling": "falling towards 0 from", "one-cycle": "in one cycle up to"}[chosen.schedule]
    network = "" if chosen.network == "tutorial" else "a smaller network, "
    return (
        f"{network}{chosen.optimizer} {rate} {chosen.learning_rate}, batches of {chosen.batch_size}, "
        f"{chosen.epochs} epochs"
    )
