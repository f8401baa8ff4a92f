"""Data sets as NumPy arrays, each behind one function, `load_data()`; `load(name)` is for all of them, and for folders.

Not augmentation, not batching. Contract, as Keras': `load_data()` returns `(x_train, y_train), (x_test, y_test)`, uint8,
images without a channel axis when they are grey. `mnist_mini` ships with fastconv; the others are read from
FASTCONV_DATA_DIR or the user's cache, or downloaded and checked; `ucr` is read only.
"""

from fastconv.absent import explain as _explain
from fastconv.datasets import cifar10, cifar100, emnist, fashion_mnist, kmnist, medmnist, mnist, mnist_mini, ucr
from fastconv.datasets.loading import load, names

__all__ = [
    "cifar10", "cifar100", "emnist", "fashion_mnist", "kmnist", "load", "medmnist", "mnist", "mnist_mini", "names", "ucr",
]  # fmt: skip

_explain(__name__, __all__)


def __dir__() -> list[str]:
    return __all__
