"""Fashion-MNIST: 70,000 grey images of clothes (Zalando, MIT licence), found on this computer or downloaded.

Not the images themselves: a table of where they are and what they must look like; `_files` does the work. Contract:
`load_data()` returns exactly the publisher's set, or raises. The sums are those that Keras pins and that TensorFlow
Datasets recorded of the publisher's files; the files were never fetched where fastconv is developed.
"""

import numpy as np

from fastconv.datasets import _files

CLASSES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
_SUMS = (
    "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
    "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
    "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
    "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
)
DATASET = _files.Dataset(
    name="fashion_mnist",
    shapes=_files.MNIST_SHAPES,
    classes=10,
    folders=("fashion-mnist", "FashionMNIST/raw"),
    mirrors=(
        _files.idx_mirror("https://storage.googleapis.com/tensorflow/tf-keras-datasets/", *_SUMS),
        _files.idx_mirror(
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/", *_SUMS
        ),
    ),
)


def load_data() -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Return `(x_train, y_train), (x_test, y_test)`, as `keras.datasets.fashion_mnist.load_data()`.

    `x_train` is (60000, 28, 28) and `x_test` (10000, 28, 28), uint8 grey levels; `y_train` is (60000,) and `y_test`
    (10000,), uint8 classes from 0 to 9, whose names are `CLASSES`. The arrays are yours to change.

    Looks in the folder named by FASTCONV_DATA_DIR (the four IDX files, gzipped or plain, in `fashion_mnist/`,
    `fashion-mnist/` or `FashionMNIST/raw/`), then in the user's cache, then downloads 31 MB over https into the cache.
    FASTCONV_OFFLINE=1 forbids the download.

    Raises ValueError when a file in FASTCONV_DATA_DIR is not the set's (it names the file), OSError when the set is
    nowhere to be had (it says what was tried and what to do).
    """
    train, test = _files.load(DATASET)
    return train, test
