"""ops.image: values by formulas and by numbers taken from Keras, gradients, plans, bytes, layouts, errors."""

import numpy as np
import pytest
from helpers_ops import check_planned, values

from fastconv import Input, Tensor, ops
from fastconv.ops import image
from fastconv.testing import gradcheck

MAP = [0.9, 0.2, -1.3, -0.3, 1.1, 0.7, 0, 0]
CORNERS = np.array([[0, 0], [4, 0], [0, 3], [4, 3.0]])
MOVED = CORNERS + [[0.5, 0.2], [-0.4, 0.6], [0.3, -0.7], [-0.2, -0.5]]
SHAPE = (2, 4, 5, 3)
DIFFERENTIABLE = {
    "bicubic": lambda x: image.resize(x, (6, 3), "bicubic"),
    "lanczos3": lambda x: image.resize(x, (3, 8), "lanczos3", antialias=True),
    "antialias": lambda x: image.resize(x, (2, 3), antialias=True),
    "nearest": lambda x: image.resize(x, (7, 3), "nearest"),
    "crop": lambda x: image.resize(x, (3, 3), "lanczos5", crop_to_aspect_ratio=True),
    "affine": lambda x: image.affine_transform(x, MAP, fill_mode="reflect"),
    "affine_nearest": lambda x: image.affine_transform(x, [MAP, MAP], "nearest", "wrap"),
    "perspective": lambda x: image.perspective_transform(x, CORNERS, MOVED, fill_value=0.5),
    "translate": lambda x: image.scale_and_translate(x, (2, 5, 4, 3), [0.8, 1.3], [0.4, -1], (1, 2), "cubic"),
    "blur": lambda x: image.gaussian_blur(x, (5, 3), (1.0, 0.6)),
    "sobel": image.sobel_edges,
    "grey": image.rgb_to_grayscale,
    "patches": lambda x: image.extract_patches(x, (2, 3), 1, padding="same"),
    "patches_apart": lambda x: image.extract_patches(x, 2, 2, dilation_rate=2),
    "pad": lambda x: image.pad_images(x, 1, 2, target_height=7, right_padding=0),
    "cut": lambda x: image.crop_images(x, 1, 1, target_height=2, target_width=3),
    "elastic": lambda x: image.elastic_transform(x, 2.0, 0.6, seed=3),
}
PYTHON = {"grey", "elastic"}  # steps that no kernel has


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_gradients_and_shapes(name):
    op = DIFFERENTIABLE[name]
    x = values(*SHAPE)
    assert gradcheck(op, x)
    assert op(Input(SHAPE[1:], batch_size=2)).shape == op(x).shape


@pytest.mark.parametrize("name", sorted(DIFFERENTIABLE.keys() - {"elastic"}))
def test_planned(name):
    check_planned(DIFFERENTIABLE[name], [values(*SHAPE)], [values(*SHAPE, seed=1)], python=name in PYTHON)


@pytest.mark.parametrize("op", [image.rgb_to_hsv, image.hsv_to_rgb, lambda x: image.ssim(x, x * x, filter_size=3)])
def test_gradients_of_colours_and_similarity(op):
    assert gradcheck(op, values(2, 3, 4, 3, positive=True) / 1.6)


@pytest.mark.parametrize("mode", ["constant", "nearest", "wrap", "mirror", "reflect"])
def test_map_coordinates(mode):
    x, at = values(4, 5, 3), np.random.default_rng(0).uniform(-3, 6, (3, 2, 4))
    assert gradcheck(lambda x, at: image.map_coordinates(x, at, 1, mode, 0.5), x, at)
    whole = np.indices((4, 5, 3)).astype(float)
    for order in (0, 1):
        np.testing.assert_allclose(image.map_coordinates(x, whole, order, mode), x)
    ends = {"constant": [9, 0, 1, 2, 9, 9], "nearest": [0, 0, 1, 2, 2, 2], "wrap": [2, 0, 1, 2, 0, 1],
            "mirror": [1, 0, 1, 2, 1, 0], "reflect": [0, 0, 1, 2, 2, 1]}  # fmt: skip
    found = image.map_coordinates(np.arange(3.0), np.arange(-1.0, 5)[None], 0, mode, 9)
    np.testing.assert_array_equal(found, ends[mode])


def _weights(cells, places, function, reach):
    """Half-pixel weights by a formula of one's own, dense."""
    scale = max(cells / places, 1)
    at = (np.arange(places) + 0.5) * cells / places - 0.5
    w = function(np.abs(at[:, None] - np.arange(cells)) / scale)
    return w / w.sum(1, keepdims=True)


@pytest.mark.parametrize("name, function, reach", [
    ("bilinear", lambda d: np.maximum(1 - d, 0), 1),
    ("bicubic", lambda d: np.where(d < 1, 1.5 * d**3 - 2.5 * d**2 + 1, np.where(d < 2, -0.5 * d**3 + 2.5 * d**2 - 4 * d + 2, 0)), 2),
    ("lanczos3", lambda d: np.where(d < 3, np.sinc(d) * np.sinc(d / 3), 0), 3),
    ("lanczos5", lambda d: np.where(d < 5, np.sinc(d) * np.sinc(d / 5), 0), 5),
])  # fmt: skip
def test_resizing_by_formulas(name, function, reach):
    x = values(1, 7, 12, 2)
    for size in ((4, 5), (14, 9), (7, 30)):
        rows, columns = (_weights(old, new, function, reach) for old, new in zip((7, 12), size))
        expected = np.tensordot(rows, np.tensordot(columns, x, (1, 2)), (1, 2)).transpose(2, 0, 1, 3)
        np.testing.assert_allclose(image.resize(x, size, name, antialias=True), expected, atol=1e-12)


def test_colours():
    rgb = np.array([[[0.2, 0.4, 0.6], [1, 0, 0], [0.5, 0.5, 0.5], [0, 0, 0]]])
    hsv = [[[0.583333333, 0.666666667, 0.6], [0, 1, 1], [0, 0, 0.5], [0, 0, 0]]]
    np.testing.assert_allclose(image.rgb_to_hsv(rgb), hsv, atol=1e-8)
    np.testing.assert_allclose(image.hsv_to_rgb(np.array(hsv)), rgb, atol=1e-8)
    np.testing.assert_allclose(
        image.rgb_to_grayscale(rgb)[0, :2, 0], [0.2989 * 0.2 + 0.587 * 0.4 + 0.114 * 0.6, 0.2989]
    )
    x = np.random.default_rng(0).random((2, 5, 6, 3))
    np.testing.assert_allclose(image.hsv_to_rgb(image.rgb_to_hsv(x)), x, atol=1e-12)


def test_blur_edges_and_similarity():
    dot = np.zeros((1, 5, 5, 1))
    dot[0, 2, 2] = 1
    curve = np.exp(-np.array([1, 0, 1]) / (2 * 0.7**2))
    np.testing.assert_allclose(
        image.gaussian_blur(dot, 3, 0.7)[0, 1:4, 1:4, 0], np.outer(curve, curve) / curve.sum() ** 2
    )
    np.testing.assert_allclose(image.sobel_edges(dot)[0, 1:4, 1:4, 0, 1], [[1, 0, -1], [2, 0, -2], [1, 0, -1]])
    x = np.random.default_rng(0).random((2, 12, 13, 3))
    np.testing.assert_allclose(image.ssim(x, x), [1, 1])
    assert image.ssim(x[0], 1 - x[0]).shape == () and float(image.ssim(x[0], 1 - x[0])) < 0


def test_patches_are_the_parts():
    x = values(2, 5, 6, 3)
    y = image.extract_patches(x, (2, 3)).numpy()
    assert y.shape == (2, 2, 2, 18)
    np.testing.assert_array_equal(y[1, 1, 0], x[1, 2:4, 0:3].reshape(-1))
    v = values(1, 4, 5, 6, 2)
    y = image.extract_patches_3d(v, 2, strides=(1, 2, 3)).numpy()
    assert y.shape == (1, 3, 2, 2, 16)
    np.testing.assert_array_equal(y[0, 2, 1, 1], v[0, 2:4, 2:4, 3:5].reshape(-1))


BYTES = np.random.default_rng(0).integers(0, 256, (2, 6, 8, 3), "uint8")


@pytest.mark.parametrize("op", [
    lambda x: image.resize(x, (9, 5)), lambda x: image.resize(x, (9, 5), "bicubic"), image.gaussian_blur,
    lambda x: image.affine_transform(x, MAP, fill_mode="mirror"), lambda x: image.pad_images(x, 1, 1, 1, 1),
    lambda x: image.crop_images(x, 1, 1, 1, 1), lambda x: image.perspective_transform(x, CORNERS, MOVED),
    lambda x: image.extract_patches(x, 2),
])  # fmt: skip
def test_integers_are_rounded_and_stay_integers(op):
    exact = op(BYTES.astype("float32")).numpy()
    for dtype in ("uint8", "int32"):
        y = op(BYTES.astype(dtype))
        assert isinstance(y, Tensor) and y.dtype == dtype
        limits = (0, 255) if dtype == "uint8" else (-999, 999)
        assert np.abs(y.numpy() - np.clip(exact, *limits)).max() <= 0.501
    one = op(BYTES[0])
    np.testing.assert_array_equal(one, op(BYTES)[0])
    with_channels_first = {"resize": lambda x: image.resize(x, (9, 5), data_format="channels_first")}
    y = with_channels_first["resize"](np.moveaxis(BYTES, -1, 1))
    np.testing.assert_array_equal(np.moveaxis(y.numpy(), 1, -1), image.resize(BYTES, (9, 5)))


def test_affine_maps_move_as_they_say():
    x = values(1, 4, 5, 1)
    moved = image.affine_transform(x, [1, 0, 1, 0, 1, -2, 0, 0], fill_value=7.0).numpy()
    np.testing.assert_array_equal(moved[0, 2:, :4], x[0, :2, 1:])
    assert (moved[0, :2] == 7).all() and (moved[0, :, 4] == 7).all()
    same = image.perspective_transform(x, CORNERS, CORNERS)
    np.testing.assert_allclose(same, x, atol=1e-12)


def test_elastic_fields_come_from_the_seed():
    x = np.random.default_rng(0).random((2, 16, 16, 3)).astype("float32")
    first = image.elastic_transform(x, 8.0, 2.0, seed=1).numpy()
    np.testing.assert_array_equal(first, image.elastic_transform(x, 8.0, 2.0, seed=1))
    assert np.abs(first - image.elastic_transform(x, 8.0, 2.0, seed=2).numpy()).max() > 0.01


T = np.zeros((2, 6, 8, 3), "float32")


@pytest.mark.parametrize("call, error, match", [
    (lambda: image.resize(T, (2, 2), "area"), ValueError, "'lanczos5'; got 'area'"),
    (lambda: image.resize(T, (2, 2), fill_mode="reflect"), ValueError, "fill_mode"),
    (lambda: image.resize(T, (2, 2), data_format="last"), ValueError, "data_format"),
    (lambda: image.resize(T, (2, 2), "nearest", False, True, True), ValueError, "exclude one another"),
    (lambda: image.affine_transform(T, [1, 0, 0, 0, 1, 0]), ValueError, "must hold 8 numbers"),
    (lambda: image.affine_transform(T, [MAP] * 3), ValueError, "one map, or one for each; got 3"),
    (lambda: image.affine_transform(T, [1, 0, 0, 0, 1, 0, 0.1, 0]), ValueError, "perspective_transform"),
    (lambda: image.affine_transform(T, MAP, "cubic"), ValueError, "interpolation must be one of"),
    (lambda: image.perspective_transform(T, CORNERS, CORNERS * 0), ValueError, "three lie on a line"),
    (lambda: image.perspective_transform(T, CORNERS[:3], CORNERS), ValueError, "four points"),
    (lambda: image.pad_images(T, 1, 1, 1), ValueError, "Two of left_padding"),
    (lambda: image.pad_images(T, 1, 1, target_height=3, target_width=9), ValueError, "cannot be padded by 1 and -4"),
    (lambda: image.crop_images(T, 4, 0, 4, 0), ValueError, "cannot be cut"),
    (lambda: image.crop_images(T, -1, 0, 0, 0), ValueError, "top_cropping must be at least 0"),
    (lambda: image.extract_patches(T, 9), ValueError, "does not fit the 6 cells"),
    (lambda: image.rgb_to_hsv(BYTES), TypeError, "images / 255"),
    (lambda: image.rgb_to_grayscale(T[..., :2]), ValueError, "three channels"),
    (lambda: image.gaussian_blur(T, 3, 0.0), ValueError, "sigma must be positive"),
    (lambda: image.map_coordinates(T, np.zeros((3, 2)), 1), ValueError, "a row for each axis"),
    (lambda: image.map_coordinates(T, np.zeros((4, 2)), 3), ValueError, "order must be one of"),
    (lambda: image.ssim(T, T), ValueError, "no room for a window of 11"),
    (lambda: image.ssim(T, T[:1]), ValueError, "one shape"),
    (lambda: image.scale_and_translate(T, (2, 3, 3, 3), [1.0], [0, 0], (1, 2), "linear"), ValueError, "a number for each"),
    (lambda: image.sobel_edges(T[0]), ValueError, "a batch of images"),
    (lambda: image.gaussian_blur(T[0, 0]), ValueError, "or a batch of them"),
])  # fmt: skip
def test_what_is_refused(call, error, match):
    with pytest.raises(error, match=match):
        call()


def test_ops_shows_the_room():
    assert ops.image is image and {"resize", "ssim"} <= set(dir(image))


def test_paddings_of_small_integer_types_do_not_overflow():
    one = image.pad_images(T, np.uint8(9), np.uint8(9), target_height=np.uint8(250), target_width=np.uint8(250))
    np.testing.assert_array_equal(one, image.pad_images(T, 9, 9, target_height=250, target_width=250))
