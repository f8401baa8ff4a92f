"""A folder of images as arrays: what `load` does for a folder.

Not a pipeline: `fastconv.utils.image_dataset_from_directory` reads batch by batch, for folders larger than memory.
Contract: classes are the folders in the folder, in the order of their names; a file that holds no image, or one unlike
the others, is an error that names it; which images are for test depends on the files' names alone.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from fastconv.data.folders import CHANNELS, ENDINGS, class_folders, images_of
from fastconv.data.images import MODES, img_to_array, load_img, one_of, pillow

TEST_FOLDERS = ("test", "validation", "valid", "val")
TEST_SHARE = 5  # of a folder without a part for test, every fifth image


def load_folder(
    folder: str | os.PathLike[str], image_size: tuple[int, int] | None, color_mode: str | None
) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray], list[str]]:
    """As `fastconv.datasets.load`, of a folder. Needs Pillow: extra `[images]`."""
    one_of("color_mode", color_mode, (None, *MODES))
    training, held_out, names = _parts(Path(folder))
    first = training[0][1]
    own_size, own_mode = _looks(first)
    size, mode = tuple(image_size or own_size), color_mode or own_mode

    def arrays(part):
        images = np.empty((len(part), *size, CHANNELS[mode]), np.uint8)
        for i, (_, path) in enumerate(part):
            file_size, file_mode = _looks(path)
            if image_size is None and file_size != size:
                raise ValueError(
                    f"{path} is {file_size[0]} x {file_size[1]} pixels and {first} is {size[0]} x {size[1]}: give "
                    "image_size, (rows, columns), to resize all."
                )
            if color_mode is None and file_mode != mode:
                raise ValueError(f"{path} is {file_mode} and {first} is {mode}: give color_mode to make all alike.")
            image = load_img(path, mode, None if file_size == size else size, "bilinear")
            images[i] = img_to_array(image if image.mode == MODES[mode] else image.convert(MODES[mode]), dtype="uint8")
        return images, np.array([label for label, _ in part], np.int64)

    return arrays(training), arrays(held_out), names


def _parts(root):
    """(label, path) of the images for training, of those for test, and the classes' names."""
    train = root / "train"
    test = next((root / name for name in TEST_FOLDERS if (root / name).is_dir()), None)
    if train.is_dir() and test is not None:
        names = class_folders(train)
        if class_folders(test) != names:
            raise ValueError(f"{train} and {test} must hold the same classes; got {names} and {class_folders(test)}.")
        return _files(train, names), _files(test, names), names
    names = class_folders(root)
    training, held_out, counts = [], [], [0] * len(names)
    for label, path in _files(root, names):
        counts[label] += 1
        (training if counts[label] % TEST_SHARE else held_out).append((label, path))
    if not held_out:
        raise ValueError(f"{root} must hold at least {TEST_SHARE} images of a class: every fifth one is for test.")
    return training, held_out, names


def _files(root, names):
    found = [(label, path) for label, name in enumerate(names) for path in images_of(root / name)]
    if not found:
        raise ValueError(
            f"{root} must hold a folder of images for each class; it holds {'no images in them' if names else 'none'}. "
            f"Known endings are {', '.join(ENDINGS)}."
        )
    return found


def _looks(path):
    """(rows, columns) and color mode of an image, from its first bytes."""
    try:
        with pillow().open(path) as image:
            size, mode = (image.height, image.width), image.mode
    except (OSError, SyntaxError, ValueError) as error:
        raise ValueError(f"{path} holds no image that Pillow can read: {error}") from error
    if mode[0] in "IF":
        raise ValueError(
            f"{path} has more than 8 bits a value, which bytes cannot hold: read it with fastconv.utils.load_img, and "
            "scale it yourself."
        )
    return size, "grayscale" if mode in ("1", "L") else "rgb"
