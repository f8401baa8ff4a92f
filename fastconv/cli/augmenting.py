"""Augmentation for `fastconv train --augment`: each image a little shifted, turned, stretched, and perhaps mirrored.

One affine map an image, drawn for this image of this epoch, so that a run that goes on draws what it would have drawn.
Contract: images (n, rows, columns, channels) of floats in, the same out; what comes in from outside repeats the edge.
"""

import numpy as np

SHIFT, TURN, STRETCH = 0.08, 0.15, 0.1  # of the side, in radians, of the size: at most


def augmented(images: np.ndarray, generator: np.random.Generator, mirror: bool) -> np.ndarray:
    """The images, each moved by a map that `generator` draws; `mirror`: half of them left to right."""
    from fastconv import ops

    count, rows, columns, _ = images.shape
    return ops.image.affine_transform(
        images, maps(count, rows, columns, generator, mirror), fill_mode="nearest"
    ).numpy()


def maps(count: int, rows: int, columns: int, generator: np.random.Generator, mirror: bool) -> np.ndarray:
    """(count, 8): where the pixel (x, y) of each result comes from, as ops.image.affine_transform takes it."""
    turn = generator.uniform(-TURN, TURN, count)
    stretch_x, stretch_y = 1 + generator.uniform(-STRETCH, STRETCH, (2, count))
    shift_x, shift_y = generator.uniform(-SHIFT, SHIFT, (2, count)) * np.array([[columns], [rows]])
    stretch_x = np.where(generator.random(count) < 0.5 * mirror, -stretch_x, stretch_x)
    a0, a1 = np.cos(turn) * stretch_x, -np.sin(turn) * stretch_y
    b0, b1 = np.sin(turn) * stretch_x, np.cos(turn) * stretch_y
    middle_x, middle_y = (columns - 1) / 2, (rows - 1) / 2  # stays where it is, but for the shift
    a2 = middle_x + shift_x - a0 * middle_x - a1 * middle_y
    b2 = middle_y + shift_y - b0 * middle_x - b1 * middle_y
    zero = np.zeros(count)
    return np.stack([a0, a1, a2, b0, b1, b2, zero, zero], axis=1).astype("float32")
