"""MNIST: 70,000 handwritten digits (LeCun, Cortes, Burges), found on this computer or downloaded.

Not the digits themselves: a table of where they are and what they must look like; `_files` does the work.
Contract: `load_data()` returns exactly the canonical set, or raises; it never returns part of it.
"""

import numpy as np

from fastconv.datasets import _files

DATASET = _files.Dataset(
    name="mnist",
    shapes=_files.MNIST_SHAPES,
    classes=10,
    folders=("MNIST/raw",),
    mirrors=(
        (
            _files.Source(
                "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz",
                "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1",
            ),
        ),
        _files.idx_mirror(
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
            unpacked=True,
        ),
    ),
)


def load_data() -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Return `(x_train, y_train), (x_test, y_test)`, as `keras.datasets.mnist.load_data()`.

    `x_train` is (60000, 28, 28) and `x_test` (10000, 28, 28), uint8 grey levels from 0 (paper) to 255 (ink);
    `y_train` is (60000,) and `y_test` (10000,), uint8 digits from 0 to 9. The arrays are yours to change.

    Looks in the folder named by FASTCONV_DATA_DIR (`mnist.npz`, or the four IDX files in `mnist/`, gzipped
    or plain), then in the user's cache, then downloads 11 MB over https into the cache.
    FASTCONV_OFFLINE=1 forbids the download.

    Raises ValueError when a file in FASTCONV_DATA_DIR is not MNIST's (it names the file), OSError when MNIST
    is nowhere to be had (it says what was tried and what to do).

    >>> (x_train, y_train), (x_test, y_test) = fastconv.datasets.mnist.load_data()  # doctest: +SKIP
    """
    train, test = _files.load(DATASET)
    return train, test
