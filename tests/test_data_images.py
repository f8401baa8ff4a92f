"""Images in files and folders of them; needs Pillow."""

import numpy as np
import pytest

pytest.importorskip("PIL")

from fastconv.data.folders import image_dataset_from_directory  # noqa: E402
from fastconv.data.images import array_to_img, img_to_array, load_img, save_img  # noqa: E402
from fastconv.preprocessing.image import smart_resize  # noqa: E402

RNG = np.random.default_rng(0)


@pytest.fixture
def folder(tmp_path):
    for name, value in (("cats", 10), ("dogs", 200)):
        (tmp_path / name).mkdir()
        for i in range(5):
            save_img(tmp_path / name / f"{i}.png", np.full((6, 8, 3), value + i), scale=False)
    return tmp_path


@pytest.mark.parametrize("channels, mode", [(1, "grayscale"), (3, "rgb"), (4, "rgba")])
def test_there_and_back(tmp_path, channels, mode):
    image = RNG.integers(0, 256, (5, 7, channels)).astype("float32")
    save_img(tmp_path / "a.png", image, scale=False)
    np.testing.assert_array_equal(img_to_array(load_img(tmp_path / "a.png", mode)), image)
    assert img_to_array(array_to_img(image), "channels_first").shape == (channels, 5, 7)


def test_sizes_and_scales(tmp_path):
    image = np.zeros((4, 8, 3), "float32")
    image[:, 2:6] = 1
    save_img(tmp_path / "a.png", image)
    assert img_to_array(load_img(tmp_path / "a.png")).max() == 255
    assert img_to_array(load_img(tmp_path / "a.png", target_size=(2, 6))).shape == (2, 6, 3)
    assert (img_to_array(load_img(tmp_path / "a.png", target_size=(4, 4), keep_aspect_ratio=True)) == 255).all()


def test_a_folder_in_batches(folder):
    data = image_dataset_from_directory(folder, batch_size=4, image_size=(3, 4), shuffle=False, verbose=False)
    assert data.class_names == ["cats", "dogs"] and len(data) == 3 and len(data.file_paths) == 10
    x, y = map(np.concatenate, zip(*data))
    assert x.shape == (10, 3, 4, 3) and x.dtype == np.float32
    np.testing.assert_array_equal(y, [0] * 5 + [1] * 5)
    np.testing.assert_allclose(x[:, 0, 0, 0], [10, 11, 12, 13, 14, 200, 201, 202, 203, 204])


@pytest.mark.parametrize("mode, shape", [("int", (10,)), ("categorical", (10, 2)), ("binary", (10, 1))])
def test_forms_of_labels(folder, mode, shape):
    data = image_dataset_from_directory(folder, label_mode=mode, image_size=(3, 4), seed=1, verbose=False)
    ((x, y),) = data
    assert y.shape == shape
    np.testing.assert_array_equal(x[:, 0, 0, 0] > 100, y[:, -1] == 1 if y.ndim > 1 else y == 1)


def test_both_parts_of_a_split(folder):
    options = {"image_size": (3, 4), "validation_split": 0.3, "seed": 2, "verbose": False}
    parts = [image_dataset_from_directory(folder, subset=subset, **options) for subset in ("training", "validation")]
    both = image_dataset_from_directory(folder, subset="both", **options)
    assert [len(part.file_paths) for part in parts] == [7, 3]
    assert set(parts[0].file_paths).isdisjoint(parts[1].file_paths)
    assert [part.file_paths for part in both] == [part.file_paths for part in parts]


@pytest.mark.parametrize("fit", ["crop_to_aspect_ratio", "pad_to_aspect_ratio"])
def test_the_ratio_is_kept(folder, fit):
    data = image_dataset_from_directory(folder, None, image_size=(6, 6), verbose=False, shuffle=False, **{fit: True})
    (x,) = data
    assert x.shape == (10, 6, 6, 3) and (x[0, 0] == (0 if fit.startswith("pad") else 10)).all()


@pytest.mark.parametrize("options, message", [
    ({"directory": "nowhere"}, "none"), ({"label_mode": "both"}, "label_mode"), ({"color_mode": "bgr"}, "color_mode"),
    ({"subset": "training"}, "go together"), ({"class_names": ["a", "b"]}, "class_names must be the folders"),
    ({"labels": [1, 2]}, "one a file"), ({"validation_split": 0.5, "subset": "training"}, "give a seed"),
])  # fmt: skip
def test_refused_in_words(folder, options, message):
    with pytest.raises(ValueError, match=message):
        image_dataset_from_directory(**{"directory": folder, "verbose": False, **options})


def test_a_broken_image_is_named(folder):
    (folder / "cats" / "2.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"2\.png holds no image"):
        list(image_dataset_from_directory(folder, verbose=False))
    (folder / "empty").mkdir()
    with pytest.raises(ValueError, match="holds no images"):
        image_dataset_from_directory(folder / "empty", labels=None, verbose=False)


@pytest.mark.parametrize("batch_size", [None, 1, 4])
def test_a_broken_image_is_skipped_when_asked_to(folder, batch_size):
    options = {"verbose": False, "shuffle": False, "batch_size": batch_size, "image_size": (8, 8)}
    whole = [y for _, y in image_dataset_from_directory(folder, **options)]
    (folder / "cats" / "2.png").write_bytes((folder / "cats" / "2.png").read_bytes()[:50])
    with pytest.warns(UserWarning, match=r"Skipped: .*2\.png holds no image"):
        left = [y for _, y in image_dataset_from_directory(folder, **options, skip_broken=True)]
    assert sum(map(np.size, left)) == sum(map(np.size, whole)) - 1 and all(map(np.size, left))


@pytest.mark.parametrize("call, error, message", [
    (lambda: load_img(None), TypeError, "path must name a file, or be an open one; got None"),
    (lambda: img_to_array(None), TypeError, "img must be an image, or an array of real numbers; got object"),
    (lambda: array_to_img(np.ones((2, 2, 3), complex)), TypeError, "x must be .*real numbers; got complex128"),
    (lambda: array_to_img(np.full((2, 2, 3), np.nan)), ValueError, "finite values"),
    (lambda: array_to_img(np.zeros((0, 2, 3))), ValueError, r"finite values; got none.*shape \(0, 2, 3\)"),
    (lambda: array_to_img(np.full((2, 2, 3), 256), scale=False), ValueError, "0 to 255; got values from 256"),
    (lambda: array_to_img(np.full((2, 2, 1), -1), scale=False), ValueError, "0 to 255; got values from -1"),
    (lambda: smart_resize(np.ones((2, 2, 3), complex), (4, 4)), TypeError, "real numbers; got complex128"),
])  # fmt: skip
def test_what_is_no_image_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()
