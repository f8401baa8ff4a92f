"""Image data sets as NumPy arrays, each behind one function: `load_data()`; `load(name)` for all of them, and folders.

Not augmentation, not batching. Contract, as Keras': `load_data()` returns
`(x_train, y_train), (x_test, y_test)`, uint8, images without a channel axis when they are grey.
`mnist_mini` ships with fastconv; `mnist` is read from FASTCONV_DATA_DIR or the user's cache, or downloaded.
"""

from fastconv.absent import explain as _explain
from fastconv.datasets import mnist, mnist_mini
from fastconv.datasets.loading import load, names

__all__ = ["load", "mnist", "mnist_mini", "names"]

_explain(__name__, __all__)


def __dir__() -> list[str]:
    return __all__
