"""fastconv.datasets.load: one form for every data set, by its name or as a folder of images."""

import numpy as np
import pytest

from fastconv import datasets


def test_a_set_that_ships():
    (x, y), (x_test, y_test), names = datasets.load("mnist_mini")
    assert x.shape == (4000, 28, 28, 1) and x.dtype == np.uint8 and y.shape == (4000,)
    assert x_test.shape == (1000, 28, 28, 1) and y_test.shape == (1000,) and names == list("0123456789")
    (again, _), _, _ = datasets.load("mnist-mini")
    np.testing.assert_array_equal(x, again)
    np.testing.assert_array_equal(x[..., 0], datasets.mnist_mini.load_data()[0][0])


@pytest.mark.parametrize("name, message", [
    ("mnist-mimi", "Did you mean 'mnist-mini'.*names\\(\\) lists all"), ("/nowhere", "neither a folder nor a data set. There are mnist-mini, mnist"),
])  # fmt: skip
def test_an_unknown_name_is_answered_with_near_ones(name, message):
    with pytest.raises(ValueError, match=message):
        datasets.load(name)


def test_sizes_are_for_folders():
    with pytest.raises(ValueError, match="are for folders of images"):
        datasets.load("mnist-mini", image_size=(8, 8))


@pytest.fixture
def folder(tmp_path):
    """A function that makes a folder of images: {path: (mode, (rows, columns), grey level)}."""
    image_room = pytest.importorskip("PIL.Image")

    def make(images):
        for path, (mode, (rows, columns), level) in images.items():
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            color = level if mode in ("1", "L", "I;16") else (level, 0, 0)
            image_room.new(mode, (columns, rows), color).save(tmp_path / path)
        return tmp_path

    return make


def classes(counts, part="", mode="L", size=(4, 6)):
    return {f"{part}{name}/{i:02d}.png": (mode, size, 10 * (i + 1)) for name, n in counts.items() for i in range(n)}


def test_every_fifth_image_of_a_class_is_for_test(folder):
    (x, y), (x_test, y_test), names = datasets.load(folder(classes({"cat": 10, "ant": 5})))
    assert names == ["ant", "cat"] and x.shape == (12, 4, 6, 1) and x.dtype == np.uint8
    assert y.tolist() == [0] * 4 + [1] * 8 and y_test.tolist() == [0, 1, 1]
    assert x_test[:, 0, 0, 0].tolist() == [50, 50, 100]


def test_parts_of_their_own(folder):
    root = folder(classes({"a": 2, "b": 1}, "train/", "RGB") | classes({"a": 1, "b": 1}, "val/", "RGB"))
    (x, y), (x_test, y_test), names = datasets.load(str(root))
    assert x.shape == (3, 4, 6, 3) and y.tolist() == [0, 0, 1] and len(x_test) == 2 and names == ["a", "b"]
    (x, _), _, _ = datasets.load(root, image_size=(8, 2), color_mode="grayscale")
    assert x.shape == (3, 8, 2, 1)


@pytest.mark.parametrize("images, options, message", [
    ({}, {}, "a folder of images for each class; it holds none"),
    (classes({"a": 4}), {}, "at least 5 images of a class"),
    (classes({"a": 5}) | {"a/odd.png": ("L", (4, 4), 0)}, {}, "odd.png is 4 x 4 pixels .* give image_size"),
    (classes({"a": 5}) | {"a/odd.png": ("RGB", (4, 6), 0)}, {}, "odd.png is rgb .* give color_mode"),
    (classes({"a": 5}) | {"a/deep.png": ("I;16", (4, 6), 999)}, {}, "deep.png has more than 8 bits"),
    (classes({"a": 5}), {"color_mode": "grey"}, "color_mode"),
    (classes({"a": 1}, "train/") | classes({"b": 1}, "test/"), {}, "the same classes"),
])  # fmt: skip
def test_folders_that_cannot_be_read_say_why(folder, images, options, message):
    with pytest.raises(ValueError, match=message):
        datasets.load(folder(images), **options)


def test_a_broken_image_is_named(folder):
    root = folder(classes({"a": 6}))
    (root / "a" / "03.png").write_bytes((root / "a" / "03.png").read_bytes()[:40])
    with pytest.raises(ValueError, match="03.png holds no image"):
        datasets.load(root)
