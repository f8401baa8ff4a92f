"""A photo or drawing of one digit or letter becomes an image like MNIST's.

Not a detector: one sign, darker or brighter than an even ground. Contract: as MNIST was made, the sign is bright on
black, its longer side is 20 pixels, and its centre of mass is the middle of 28 x 28.
"""

from typing import Any

import numpy as np

from fastconv.data.images import pillow

SIZE, BOX = 28, 20
ENOUGH = 160  # pixels a side: what is larger is made smaller first, which evens out its noise
FAINT = 0.25  # of the way from the ground to the strongest ink: what is weaker is shade and noise


def centred(image: Any) -> np.ndarray:
    """A grey PIL Image as uint8 (28, 28, 1); ValueError where it shows nothing."""
    if max(image.size) > ENOUGH:
        share = ENOUGH / max(image.size)
        size = [max(1, round(side * share)) for side in image.size]
        image = image.resize(size, pillow().Resampling.BOX)
    return placed(_ink(np.asarray(image, "float32")))


def placed(ink: np.ndarray) -> np.ndarray:
    """Ink (rows, columns), from 0, the ground, to 255, as uint8 (28, 28, 1); ValueError where there is none."""
    rows, columns = (np.flatnonzero(ink.max(axis=axis) > 0) for axis in (1, 0))
    if not len(rows):
        raise ValueError("it shows no sign, only ground.")
    sign = _boxed(ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])
    whole = np.zeros((SIZE, SIZE), "float32")
    mass = sign.sum()
    row, column = (sign.sum(axis=1 - axis) @ np.arange(sign.shape[axis]) / mass for axis in (0, 1))
    top, left = (
        int(np.clip(round(SIZE / 2 - centre), 0, SIZE - side)) for centre, side in zip((row, column), sign.shape)
    )
    whole[top : top + sign.shape[0], left : left + sign.shape[1]] = sign
    return np.round(whole).astype("uint8")[..., None]


def _ink(grey):
    """How much of a sign is at each pixel, 0 to 255: the ground, which the border shows, is 0."""
    rows, columns = np.indices(grey.shape, "float32")
    plane = np.stack([np.ones_like(grey), rows, columns], axis=-1)  # a photo's light falls off to one side
    border = np.ones(grey.shape, bool)
    border[1:-1, 1:-1] = False
    ground = np.median(grey[border])
    light = plane @ np.linalg.lstsq(plane[border], grey[border], rcond=None)[0]
    ink = light - grey if ground > 127 else grey - light
    strongest = float(np.percentile(ink, 99.8)) if ink.size > 4096 else float(ink.max())
    if strongest < 16:  # of 255: nothing stands out
        return np.zeros_like(ink)
    faint = min(max(FAINT * strongest, 5 * float(ink[border].std())), 0.9 * strongest)  # noise has no bounds
    return np.clip((ink - faint) / (strongest - faint), 0, 1) * 255


def _boxed(sign):
    """Resized so that its longer side is that of the box, without changing its form."""
    from fastconv import ops

    scale = BOX / max(sign.shape)
    rows, columns = (max(1, round(side * scale)) for side in sign.shape)
    return ops.image.resize(sign.astype("float32")[None, ..., None], (rows, columns), antialias=True).numpy()[0, ..., 0]
