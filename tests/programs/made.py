"""Small data that is made, never fetched: what the programs beside this file train on. NumPy alone."""

import numpy as np

SEGMENTS = ["abcdef", "bc", "abged", "abgcd", "fgbc", "afgcd", "afgedc", "abc", "abcdefg", "abcdfg"]
STROKES = {  # rows and columns of each segment of a digit of 16 x 10
    "a": (slice(0, 2), slice(0, 10)), "b": (slice(0, 8), slice(8, 10)), "c": (slice(8, 16), slice(8, 10)),
    "d": (slice(14, 16), slice(0, 10)), "e": (slice(8, 16), slice(0, 2)), "f": (slice(0, 8), slice(0, 2)),
    "g": (slice(7, 9), slice(0, 10)),
}  # fmt: skip


def digits(count, size=24, channels=1, noise=0.2, seed=0):
    """(count, size, size, channels) float32 images of seven-segment digits somewhere in noise, and their labels."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 10, count)
    images = noise * rng.standard_normal((count, size, size, channels))
    for image, label in zip(images, labels):
        row, column = rng.integers(0, size - 15), rng.integers(0, size - 9)
        colour = rng.uniform(0.6, 1, channels)
        glyph = np.zeros((16, 10))
        for name in SEGMENTS[label]:
            glyph[STROKES[name]] = 1
        image[row : row + 16, column : column + 10] += glyph[..., None] * colour
    return images.astype("float32"), labels


def shapes(count, size=24, channels=1, noise=0.1, seed=0):
    """Images of a disc (label 0), a square (1) or a cross (2) in noise; labels; masks (count, size, size) of 0 and 1."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, count)
    rows, columns = np.mgrid[:size, :size]
    masks = np.zeros((count, size, size), "int64")
    for mask, label in zip(masks, labels):
        radius = rng.integers(size // 6, size // 4 + 1)
        row, column = rng.integers(radius, size - radius, 2)
        down, right = np.abs(rows - row), np.abs(columns - column)
        inside = [down**2 + right**2 <= radius**2, np.maximum(down, right) <= radius * 0.9,
                  (np.minimum(down, right) <= radius * 0.3) & (np.maximum(down, right) <= radius)]  # fmt: skip
        mask[inside[label]] = 1
    images = masks[..., None] * rng.uniform(0.6, 1, (count, 1, 1, channels))
    images += noise * rng.standard_normal((count, size, size, channels))
    return images.astype("float32"), labels, masks


def waves(count, steps=96, channels=1, classes=3, noise=0.3, seed=0):
    """(count, steps, channels) float32 series whose frequency tells their label."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, count)
    time = np.linspace(0, 2 * np.pi, steps)[None, :, None]
    pitch = (3 + 3 * labels)[:, None, None] * rng.uniform(0.95, 1.05, (count, 1, 1))
    series = np.sin(time * pitch + rng.uniform(0, 2 * np.pi, (count, 1, channels)))
    return (series + noise * rng.standard_normal(series.shape)).astype("float32"), labels


def moving(count, frames=6, size=12, seed=0):
    """(count, frames, size, size, 1) float32 films of a square that moves on at a steady pace, and its way (0 to 3)."""
    rng = np.random.default_rng(seed)
    ways = rng.integers(0, 4, count)
    steps = np.array([(0, 1), (1, 0), (0, -1), (-1, 0)])[ways]
    films = np.zeros((count, frames, size, size, 1), "float32")
    for film, step in zip(films, steps):
        row, column = rng.integers(0, size, 2)
        for frame in film:
            frame[np.ix_([row % size, (row + 1) % size], [column % size, (column + 1) % size])] = 1
            row, column = row + step[0], column + step[1]
    return films, ways
