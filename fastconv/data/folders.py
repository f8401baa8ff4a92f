"""image_dataset_from_directory: a folder of images as a Dataset, after `keras.utils`.

Contract: classes are the folders inside the folder, in the order of their names; files are found once, in the order of
their names, and read batch by batch; a file that holds no image is an error that names it.
"""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from fastconv import rng
from fastconv.data.dataset import Dataset
from fastconv.data.images import INTERPOLATIONS, MODES, img_to_array, load_img, one_of, pillow

__all__ = ["image_dataset_from_directory"]

ENDINGS = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".webp")
CHANNELS = {"grayscale": 1, "rgb": 3, "rgba": 4}


def image_dataset_from_directory(
    directory: str | os.PathLike,
    labels: Any = "inferred",
    label_mode: str | None = "int",
    class_names: list[str] | None = None,
    color_mode: str = "rgb",
    batch_size: int | None = 32,
    image_size: tuple[int, int] = (256, 256),
    shuffle: bool = True,
    seed: int | None = None,
    validation_split: float | None = None,
    subset: str | None = None,
    interpolation: str = "bilinear",
    follow_links: bool = False,
    crop_to_aspect_ratio: bool = False,
    pad_to_aspect_ratio: bool = False,
    data_format: str | None = None,
    format: str = "tf",
    verbose: bool = True,
    *,
    skip_broken: bool = False,
) -> Any:
    """Batches (images, labels) of a folder that holds a folder of images for each class.

    images: float32 (count, *image_size, channels), from 0 to 255. label_mode: "int", "categorical" (one-hot), "binary"
    (two classes, (count, 1)) or None for images alone. labels: "inferred" from the folders, None, or a list with one
    whole number a file in the order of their paths. validation_split with subset "training", "validation" or "both"
    splits the files, after an order that `seed` decides; give both calls the same one. The Dataset has `class_names`
    and `file_paths`. Needs Pillow: extra `[images]`.

    ValueError, when its batch is read, for a file that holds no image. skip_broken, which Keras has not: a warning names it
    instead, and its batch is so much smaller; how many batches there are is then not known.
    """
    pillow()
    root = Path(directory)
    if not root.is_dir():
        raise ValueError(f"directory must name a folder; {os.fspath(directory)!r} is none.")
    one_of("label_mode", label_mode, ("int", "categorical", "binary", None))
    one_of("color_mode", color_mode, tuple(MODES))
    one_of("interpolation", interpolation, (*INTERPOLATIONS, "area"))
    one_of("subset", subset, ("training", "validation", "both", None))
    one_of("data_format", data_format, (None, "channels_last"))
    if (validation_split is None) != (subset is None):
        raise ValueError('validation_split and subset ("training", "validation" or "both") go together.')
    if validation_split is not None and not 0 < validation_split < 1:
        raise ValueError(f"validation_split must lie between 0 and 1; got {validation_split!r}.")
    if validation_split is not None and shuffle and seed is None and subset != "both":
        raise ValueError("With validation_split and shuffle=True, give a seed: both parts must shuffle alike.")
    if crop_to_aspect_ratio and pad_to_aspect_ratio:
        raise ValueError("crop_to_aspect_ratio and pad_to_aspect_ratio exclude each other.")

    paths, found, names = _files(root, labels, class_names, follow_links)
    if labels is None or label_mode is None:
        label_mode = None
    targets = None if label_mode is None else _targets(found, label_mode, names)
    if verbose:
        print(f"Found {len(paths)} files{f' of {len(names)} classes' if labels == 'inferred' else ''}.")

    def dataset(chosen, turned):
        def read(numbers):
            images, there = [], []
            for i in np.atleast_1d(numbers):
                try:
                    images.append(_read(paths[i], color_mode, image_size, interpolation, fit))
                    there.append(i)
                except ValueError as error:
                    if not skip_broken:
                        raise
                    warnings.warn(f"Skipped: {error}", stacklevel=2)
            if not there:
                return None
            images, there = (np.stack(images), there) if np.ndim(numbers) else (images[0], there[0])
            return images if targets is None else (images, targets[there])

        numbers = Dataset.from_arrays(chosen)
        numbers = numbers.shuffle(seed=seed) if turned else numbers
        numbers = numbers if batch_size is None else numbers.batch(batch_size)
        made = numbers.map(read, num_parallel_calls=min(4, os.cpu_count() or 1))
        made = made.filter(lambda first, *_: first is not None) if skip_broken else made
        made = made.prefetch(2)
        made.class_names, made.file_paths = names, [str(paths[i]) for i in chosen]
        return made

    fit = "crop" if crop_to_aspect_ratio else "pad" if pad_to_aspect_ratio else None
    order = np.arange(len(paths))
    if shuffle:
        seed = int(rng.generator().integers(1 << 31)) if seed is None else seed
        order = np.random.default_rng(seed).permutation(order)
    if subset is None:
        return dataset(order, shuffle)
    kept = len(paths) - int(validation_split * len(paths))
    if not 0 < kept < len(paths):
        raise ValueError(f"validation_split={validation_split} of {len(paths)} files leaves one part without any.")
    training, validation = order[:kept], order[kept:]
    if subset == "both":
        return dataset(training, shuffle), dataset(validation, False)
    return dataset(training, shuffle) if subset == "training" else dataset(validation, False)


def _files(root, labels, class_names, follow_links):
    """(paths in their order, a label for each, names of the classes)."""
    if labels == "inferred":
        folders = class_folders(root)
        if not folders:
            raise ValueError(f"{root} must hold a folder for each class; it holds none. labels=None takes its images.")
        if class_names is not None:
            if set(class_names) != set(folders):
                raise ValueError(f"class_names must be the folders of {root}: {folders}; got {list(class_names)}.")
            folders = list(class_names)
        paths = [(path, i) for i, name in enumerate(folders) for path in images_of(root / name, follow_links)]
        if not paths:
            raise ValueError(f"{root} has folders but no images; known endings are {', '.join(ENDINGS)}.")
        return [path for path, _ in paths], np.array([label for _, label in paths]), folders
    paths = images_of(root, follow_links)
    if not paths:
        raise ValueError(f"{root} holds no images; known endings are {', '.join(ENDINGS)}.")
    if labels is None:
        return paths, None, None
    labels = np.asarray(labels)
    if labels.shape != (len(paths),) or labels.dtype.kind not in "iu":
        raise ValueError(f"labels must be {len(paths)} whole numbers, one a file; got {labels.dtype} {labels.shape}.")
    names = list(class_names) if class_names is not None else [str(value) for value in sorted(set(labels.tolist()))]
    return paths, labels, names


def class_folders(root: Path) -> list[str]:
    """The names of the folders in a folder, in their order, but for hidden ones."""
    return sorted(entry.name for entry in root.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def images_of(folder: Path, follow_links: bool = False) -> list[Path]:
    """The paths of the files below a folder whose names end like images, in their order."""
    found = []
    for place, folders, names in os.walk(folder, followlinks=follow_links):
        folders.sort()
        found += [Path(place, name) for name in names if name.lower().endswith(ENDINGS)]
    return sorted(found)


def _targets(labels, mode, names):
    if mode == "int":
        return labels.astype("int32")
    if mode == "categorical":
        return np.eye(len(names), dtype="float32")[labels]
    if len(names) != 2:
        raise ValueError(f'label_mode "binary" needs two classes; there are {len(names)}: {names}.')
    return labels.astype("float32")[:, None]


def _read(path, color_mode, size, interpolation, fit):
    """One image as float32 (*size, channels)."""
    interpolation = "box" if interpolation == "area" else interpolation
    if fit != "pad":
        image = load_img(path, color_mode, size, interpolation, keep_aspect_ratio=fit == "crop")
        return img_to_array(image)
    whole = load_img(path, color_mode)
    share = min(size[0] / whole.height, size[1] / whole.width)
    rows, columns = max(1, round(whole.height * share)), max(1, round(whole.width * share))
    image = img_to_array(whole.resize((columns, rows), getattr(pillow().Resampling, interpolation.upper())))
    padded = np.zeros((*size, CHANNELS[color_mode]), "float32")
    top, left = (size[0] - rows) // 2, (size[1] - columns) // 2
    padded[top : top + rows, left : left + columns] = image
    return padded
