"""What commands share: a data set of any name or folder as arrays, a model file, and whether the two fit.

It reads through fastconv.datasets.load and models.load_model only. Contract: pixels are scaled to 0..1 for models that
do not rescale them themselves, in every command alike; what does not fit is a ValueError in words of the command line.
"""

import os
import re
from argparse import Namespace
from typing import Any, NamedTuple

from fastconv.cli.arguments import bad, unknown


class Data(NamedTuple):
    """A data set: (x, y) pairs, x with channels, y class numbers; the classes' names."""

    name: str
    train: Any
    test: Any
    classes: list[str]

    @property
    def shape(self) -> tuple:
        """Of one sample."""
        return self.train[0].shape[1:]

    @property
    def kind(self) -> str:
        """What samples are called."""
        if self.classes == list("0123456789") and len(self.shape) == 3:
            return "digits"
        return {2: "series", 3: "images", 4: "volumes"}.get(len(self.shape), "samples")

    @property
    def is_writing(self) -> bool:
        """Whether a mirrored image would be another sign."""
        return written(self.classes) or self.name.startswith(("kmnist", "emnist"))

    def prepared(self, x: Any, model: Any) -> Any:
        """Samples as the model takes them."""
        import numpy as np

        if model.rescales or x.dtype.kind == "f":
            return x
        return np.divide(x, np.float32(255), dtype=np.float32)


def written(classes: list[str] | None) -> bool:
    """Whether classes are single signs: digits or letters."""
    return bool(classes) and all(len(name) == 1 for name in classes)


def load(arguments: Namespace, input_shape: Any = None) -> Data:
    """DATA, a folder's images as a model of `input_shape` takes them; ends with the code 2 for an unknown name."""
    from fastconv import datasets

    name, options = arguments.data, _options(arguments, input_shape)
    try:
        train, test, classes = datasets.load(name, **options)
    except ValueError as error:  # in the words of a program: say it in those of the command line
        text = str(error).replace("image_size, (rows, columns),", "--image-size").replace("color_mode", "--color-mode")
        raise ValueError(text) from None
    if train[1].ndim > 1:
        raise ValueError(f"{name}: its samples belong to several classes at once, which this command cannot train.")
    if arguments.image_size and train[0].ndim == 4:
        train, test = ((_resized(x, arguments.image_size), y) for x, y in (train, test))
    return Data(os.path.basename(os.path.normpath(name)).replace("_", "-").lower(), train, test, list(classes))


def _options(arguments, input_shape):
    """What datasets.load is told beside the name, which must be one that there is."""
    from fastconv import datasets

    name = arguments.data
    named = name.replace("_", "-").lower() in datasets.names() or name.startswith("ucr/")
    if named and arguments.color_mode:
        bad(arguments, "--color-mode", f"is for folders of images; {name} has its own")
    if named:
        return {}
    if os.path.isfile(name):
        bad(arguments, "DATA", f"{name!r} is a file, and must be a folder of images or a data set's name; what is in files of "
            "other kinds, a program reads and gives to model.fit")  # fmt: skip
    if not os.path.isdir(name):
        if os.sep in name or name == "":
            bad(arguments, "DATA", f"there is no folder {name!r}")
        small = [
            entry for entry in datasets.names() if not re.search(r"-\d+$", entry)
        ]  # the rest are their larger forms
        bad(arguments, "DATA", unknown(name, small, "ucr/NAME (time series), or the path of a folder of images"))
    size, mode = arguments.image_size, arguments.color_mode
    if input_shape is not None and len(input_shape) == 4:
        size = size or (None if None in input_shape[1:3] else input_shape[1:3])
        mode = mode or {1: "grayscale", 3: "rgb"}.get(input_shape[3])
    return {"image_size": size, "color_mode": mode}


def _resized(x, size):
    """uint8 images of this size, (rows, columns)."""
    import numpy as np

    from fastconv import ops

    if x.shape[1:3] == size:
        return x
    found = np.empty((len(x), *size, x.shape[3]), "uint8")
    for start in range(0, len(x), 256):
        part = slice(start, start + 256)
        found[part] = np.rint(ops.image.resize(x[part].astype("float32"), size).numpy())
    return found


def model_of(path: str) -> Any:
    """The model in a file; ValueError, OSError or ImportError where there is none."""
    from fastconv import models

    if not os.path.exists(path):
        raise ValueError(f"there is no file {path!r}.")
    return models.load_model(path)


def check_fit(model: Any, data: Data, title: str) -> None:
    """Raises ValueError unless the model takes such samples and gives one value a class."""
    wanted, shape = model.input_shape, data.shape
    fits = isinstance(wanted, tuple) and len(wanted) == len(shape) + 1
    if not fits or any(a not in (b, None) for a, b in zip(wanted[1:], shape)):
        raise ValueError(f"{title} takes inputs of shape {wanted}; those of {data.name} are {(None, *shape)}.")
    classes = len(data.classes)
    if tuple(model.output_shape) != (None, classes):
        raise ValueError(
            f"{title} gives outputs of shape {model.output_shape}; {data.name} has {classes} classes, which takes "
            f"{(None, classes)}."
        )


def check_classes(model: Any, data: Data, title: str) -> None:
    """Raises ValueError where the model was trained for classes of other names."""
    if model.class_names and list(model.class_names) != data.classes:
        raise ValueError(
            f"{title} knows the classes {', '.join(model.class_names[:5])}{', ...' * (len(model.class_names) > 5)}; those "
            f"of {data.name} are {', '.join(data.classes[:5])}{', ...' * (len(data.classes) > 5)}."
        )


def ready(model: Any, data: Data, optimizer: Any = None) -> None:
    """Compiles the model for class numbers, with this optimizer or the one it has; gives it the names of its classes."""
    from fastconv.losses import SparseCategoricalCrossentropy

    loss = SparseCategoricalCrossentropy(from_logits=bool(getattr(model.loss, "from_logits", False)))
    model.compile(optimizer=optimizer or model.optimizer or "sgd", loss=loss, metrics=["accuracy"])
    model.class_names = data.classes


def writable(arguments: Namespace, option: str, path: str) -> None:
    """Ends with the code 2 unless a file can be written there: asked before hours of training, not after."""
    folder = os.path.dirname(path) or "."
    if not path or os.path.isdir(path):
        bad(arguments, option, f"must name a file; got {path!r}")
    if not os.path.isdir(folder):
        bad(arguments, option, f"the folder {folder!r} does not exist")
    # A model file is replaced as a whole, which takes a writable folder too.
    targets = [path] * os.path.exists(path) + [folder] * (option == "--save" or not os.path.exists(path))
    if not all(os.access(target, os.W_OK) for target in targets):
        bad(arguments, option, f"{path!r} cannot be written (permission denied)")


__all__ = ["Data", "check_classes", "check_fit", "load", "model_of", "ready", "writable", "written"]
