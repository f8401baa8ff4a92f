"""CIFAR-10: 60,000 colour photographs of 10 classes, 32x32 (Krizhevsky), found on this computer or downloaded.

Not the images themselves: a table of where they are; `_cifar` reads them. Contract: `load_data()` returns exactly the
publisher's set, or raises. The sum is that which TensorFlow Datasets recorded of the publisher's binary archive (MD5, as
the publisher prints it: c32a1d4ab5d03f1284b67883e8d87530); it was never fetched where fastconv is developed.
"""

import numpy as np

from fastconv.datasets import _cifar, _files

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_TRAIN = tuple(f"data_batch_{number}" for number in range(1, 6))

DATASET = _cifar.dataset(
    "cifar10",
    10,
    _cifar.Form(
        "cifar-10-binary.tar.gz", "cifar-10-batches-bin", (*(f"{name}.bin" for name in _TRAIN), "test_batch.bin")
    ),
    _cifar.Form("cifar-10-python.tar.gz", "cifar-10-batches-py", (*_TRAIN, "test_batch")),
    "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
    label=(1, 0, b"labels"),
)


def load_data() -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Return `(x_train, y_train), (x_test, y_test)`, as `keras.datasets.cifar10.load_data()`.

    `x_train` is (50000, 32, 32, 3) and `x_test` (10000, 32, 32, 3), uint8 red, green and blue; `y_train` is (50000, 1) and
    `y_test` (10000, 1), uint8 classes from 0 to 9, whose names are `CLASSES`. The arrays are yours to change.

    Looks in the folder named by FASTCONV_DATA_DIR, and in `cifar10/` there (`cifar-10-binary.tar.gz`,
    `cifar-10-python.tar.gz`, or what they unpack to, `cifar-10-batches-bin/` and `cifar-10-batches-py/`; pickles are read
    without pickle), then in the user's cache, then downloads 170 MB over https into the cache. FASTCONV_OFFLINE=1
    forbids the download.

    Raises ValueError when a file in FASTCONV_DATA_DIR is not the set's (it names the file), OSError when the set is
    nowhere to be had (it says what was tried and what to do).
    """
    train, test = _files.load(DATASET)
    return train, test
