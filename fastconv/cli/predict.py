"""`fastconv predict MODEL IMAGE...`: the three likeliest classes of images, with their probabilities.

How a photo of a digit becomes one like MNIST's is digits.py's. Contract: one line an image on stdout; an image that
cannot be read is one line on stderr, the others are shown, and the exit code is 1.
"""

import os
from argparse import Namespace

import numpy as np

from fastconv.cli.arguments import fail
from fastconv.cli.data import model_of, written
from fastconv.cli.digits import centred

SHOWN = 3
MODES = {1: "L", 3: "RGB", 4: "RGBA"}


def run(arguments: Namespace) -> int:
    from fastconv.data.images import pillow

    try:
        pillow()
        model = model_of(arguments.model)
        shape = _image_shape(arguments.model, model)
    except (OSError, ValueError, ImportError) as error:
        return fail(arguments, error)
    names, code = model.class_names, 0
    signs = shape == (28, 28, 1) and (written(names) or names is None) and not arguments.as_is
    for path in arguments.images:
        try:
            pixels = centred(_read(path, "L")) if signs else _sized(_read(path, MODES[shape[2]]), shape)
        except (OSError, ValueError) as error:
            code = fail(arguments, error if path in str(error) else f"{path}: {error}")
            continue
        print(f"{path}: {_text(_probabilities(model, pixels), names)}", flush=True)
    return code


def _image_shape(path, model):
    """(rows, columns, channels) of the images that the model takes; ValueError where it takes none."""
    shape = model.input_shape
    if not isinstance(shape, tuple) or len(shape) != 4 or shape[3] not in MODES:
        raise ValueError(f"{path} takes inputs of shape {shape}, which are no images.")
    if not isinstance(model.output_shape, tuple) or len(model.output_shape) != 2:
        raise ValueError(f"{path} gives outputs of shape {model.output_shape}, which are no classes of images.")
    return tuple(shape[1:])


def _read(path, mode):
    """The image in a file, upright, as a PIL Image of this mode."""
    from PIL import ImageOps

    from fastconv.data.images import pillow

    try:
        with pillow().open(path) as image:
            return ImageOps.exif_transpose(image).convert(mode)
    except (OSError, SyntaxError, ValueError) as error:
        if isinstance(error, IsADirectoryError):
            raise ValueError(
                f"{path} is a folder: name the images in it, such as {os.path.join(path, '*.png')}"
            ) from error
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise ValueError(f"{path} holds no image that Pillow can read.") from error


def _sized(image, shape):
    """uint8 (rows, columns, channels), resized to the model's; an open size stays what it is."""
    from fastconv.data.images import pillow

    size = (shape[1] or image.width, shape[0] or image.height)
    pixels = np.asarray(image if image.size == size else image.resize(size, pillow().Resampling.BILINEAR))
    return pixels.reshape(size[1], size[0], shape[2])


def _probabilities(model, pixels):
    """One number a class, of one image."""
    x = pixels[None] if model.rescales else pixels[None].astype("float32") / 255
    return probabilities(model.predict(x, verbose=0)[0])


def probabilities(outputs: np.ndarray) -> np.ndarray:
    """What a network gave for one image, one number a class (one of two), as float64 probabilities."""
    found = outputs.astype("float64")
    if len(found) == 1:  # a sigmoid's, of two classes
        found = np.array([1 - found[0], found[0]])
    if found.min() < 0 or abs(found.sum() - 1) > 1e-3:  # logits
        found = np.exp(found - found.max())
    return found / found.sum()


def _text(probabilities, names):
    best = probabilities.argsort(kind="stable")[::-1][:SHOWN]
    named = (
        names if names is not None and len(names) == len(probabilities) else list(map(str, range(len(probabilities))))
    )
    return ", ".join(f"{named[i]} {100 * probabilities[i]:.1f} %" for i in best)
