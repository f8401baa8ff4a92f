"""KMNIST (Kuzushiji-MNIST): 70,000 cursive Japanese characters of 10 classes (CODH, CC BY-SA 4.0), found or downloaded.

Not the images themselves: a table of where they are and what they must look like; `_files` does the work. Contract:
`load_data()` returns exactly the publisher's set, or raises. The sums are those that TensorFlow Datasets recorded of the
publisher's files; the files were never fetched where fastconv is developed. Keras has no such data set.
"""

import numpy as np

from fastconv.datasets import _files, _formats

CLASSES = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")
_SUMS = (
    "51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4",
    "e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17",
    "edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5",
    "20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c",
)


def _read(dataset, files):
    """The four arrays of IDX files, or of the publisher's .npz files, which call each `arr_0`."""
    if not files[0].name.endswith(".npz"):
        return _files.read_mnist_like(dataset, files)
    return {
        key: _formats.read_npz(file.content, {"arr_0": shape}, file.name)["arr_0"]
        for file, (key, shape) in zip(files, dataset.shapes.items())
    }


DATASET = _files.Dataset(
    name="kmnist",
    shapes=_files.MNIST_SHAPES,
    classes=10,
    folders=("KMNIST/raw",),
    read=_read,
    mirrors=(
        _files.idx_mirror("https://codh.rois.ac.jp/kmnist/dataset/kmnist/", *_SUMS),
        # The address that the publisher prints; the sums say whether something on the way changed what it gave.
        _files.idx_mirror("http://codh.rois.ac.jp/kmnist/dataset/kmnist/", *_SUMS),
    ),
    by_hand=(("kmnist-train-imgs.npz", "kmnist-train-labels.npz", "kmnist-test-imgs.npz", "kmnist-test-labels.npz"),),
)


def load_data() -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Return `(x_train, y_train), (x_test, y_test)`, in the form of `mnist.load_data()`.

    `x_train` is (60000, 28, 28) and `x_test` (10000, 28, 28), uint8 grey levels; `y_train` is (60000,) and `y_test`
    (10000,), uint8 classes from 0 to 9, whose names are `CLASSES`. The arrays are yours to change.

    Looks in the folder named by FASTCONV_DATA_DIR (the four IDX files, gzipped or plain, in `kmnist/` or `KMNIST/raw/`, or
    the four `kmnist-*.npz`), then in the user's cache, then downloads 21 MB into the cache. FASTCONV_OFFLINE=1 forbids
    the download.

    Raises ValueError when a file in FASTCONV_DATA_DIR is not the set's (it names the file), OSError when the set is
    nowhere to be had (it says what was tried and what to do).
    """
    train, test = _files.load(DATASET)
    return train, test
