"""Layers that augment images: one table for what all of them promise, and what each does to pixels and labels."""

import json

import numpy as np
import pytest

from fastconv import Input, Model, Sequential, Tensor, kernels, layers, ops
from fastconv.models import load_model
from fastconv.testing import gradcheck
from fastconv.utils import set_random_seed

BYTES = np.random.default_rng(0).integers(0, 256, (5, 9, 12, 3), "uint8")
FLOATS = BYTES.astype("float32")

TABLE = [
    lambda **k: layers.RandomFlip("horizontal", **k),
    lambda **k: layers.RandomRotation(0.2, "wrap", **k),
    lambda **k: layers.RandomZoom((-0.3, 0.2), [0.1, 0.4], interpolation="nearest", **k),
    lambda **k: layers.RandomTranslation(0.3, (-0.1, 0.2), "constant", fill_value=9.0, **k),
    lambda **k: layers.RandomShear(0.3, (0.1, 0.2), **k),
    lambda **k: layers.RandomPerspective((1.0, 1.0), 0.6, **k),
    lambda **k: layers.RandomElasticTransform(scale=(0.8, 1.0), factor=(1.0, 1.0), **k),
    lambda **k: layers.RandomCrop(5, 7, **k),
    lambda **k: layers.RandomBrightness(0.4, **k),
    lambda **k: layers.RandomContrast((0.3, 0.8), **k),
    lambda **k: layers.RandomInvert(**k),
    lambda **k: layers.RandomGrayscale(0.7, **k),
    lambda **k: layers.RandomColorDegeneration(0.5, **k),
    lambda **k: layers.RandomHue(0.4, **k),
    lambda **k: layers.RandomSaturation((0.2, 0.8), **k),
    lambda **k: layers.RandomColorJitter((0, 255), 0.2, [0.1, 0.3], 0.4, 0.1, **k),
    lambda **k: layers.RandomPosterization(4, **k),
    lambda **k: layers.Solarization(0.3, (0.2, 0.6), **k),
    lambda **k: layers.RandomGaussianBlur((1.0, 1.0), (3, 5), (0.5, 1.0), **k),
    lambda **k: layers.RandomSharpness((0.0, 0.9), **k),
    lambda **k: layers.RandomErasing((1.0, 1.0), (0.2, 0.5), **k),
    lambda **k: layers.MixUp(0.4, **k),
    lambda **k: layers.CutMix(**k),
    lambda **k: layers.RandAugment((0, 255), 3, 0.7, **k),
    lambda **k: layers.AugMix(alpha=0.8, **k),
]  # fmt: skip
FIXED = [  # the same in training and outside, and by no seed
    lambda **k: layers.AutoContrast((0, 250), **k),
    lambda **k: layers.ContrastLimitedAdaptiveHistogramEqualization(tile_grid_size=(2, 3), **k),
    lambda **k: layers.Resizing(6, 5, "bicubic", antialias=True, **k),
    lambda **k: layers.CenterCrop(4, 6, **k),
]
OTHERS = [lambda **k: layers.Equalization(bins=64, **k)]
MADE = {type(make()) for make in (*TABLE, *FIXED, *OTHERS)}
SIZED = (layers.RandomCrop, layers.Resizing, layers.CenterCrop)
random_layers = pytest.mark.parametrize("make", TABLE, ids=lambda make: type(make()).__name__)
all_layers = pytest.mark.parametrize("make", [*TABLE, *FIXED, *OTHERS], ids=lambda make: type(make()).__name__)


@all_layers
def test_shapes_dtypes_and_layouts(make):
    for images in (FLOATS, FLOATS[0], BYTES):
        layer = make()
        y = layer(images)
        assert y.dtype == "float32" or isinstance(layer, layers.Resizing) and y.dtype == images.dtype
        assert y.shape == layer.compute_output_shape(images.shape)
    assert make(dtype="float64")(FLOATS).dtype == "float64"
    first, channels_first = make(data_format="channels_first"), np.moveaxis(FLOATS, -1, 1)
    assert first(channels_first).shape == first.compute_output_shape(channels_first.shape)
    assert make().compute_output_shape((None, 9, 12, 3))[0] is None
    y = make()(np.zeros((0, 9, 12, 3), "float32"))
    assert y.shape[0] == 0 and y.shape[3] == 3


@all_layers
def test_bytes_in_and_out_are_the_floats_rounded(make):
    seed = {} if make in FIXED or make in OTHERS else {"seed": 3}
    floats, found = make(**seed)(FLOATS).numpy(), make(dtype="uint8", **seed)(BYTES)
    assert found.dtype == "uint8" and found.shape == floats.shape
    chains = layers.RandomColorJitter, layers.RandAugment, layers.AugMix  # whose later steps get the rounded bytes
    if not isinstance(make(), chains):
        difference = np.abs(found.numpy() - np.clip(floats, 0, 255))
        assert np.quantile(difference, 0.95) <= 0.51 and difference.max() <= 3
    with pytest.raises(TypeError, match="takes bytes"):
        make(dtype="uint8")(FLOATS)


@random_layers
def test_only_in_training_and_by_seed(make):
    layer = make(seed=7)
    if not isinstance(layer, SIZED):
        np.testing.assert_array_equal(layer(FLOATS, training=False), FLOATS)
    draws = [layer(FLOATS).numpy() for _ in range(3)]
    again = make(seed=7)
    np.testing.assert_array_equal(draws[0], again(FLOATS, training=True))
    np.testing.assert_array_equal(draws[1], again(FLOATS))
    assert any(not np.array_equal(draws[0], other) for other in draws[1:])
    set_random_seed(1)
    first = make()(FLOATS).numpy()
    set_random_seed(1)
    np.testing.assert_array_equal(first, make()(FLOATS))


@all_layers
def test_config_makes_an_equal_layer(make):
    seed = {} if make in FIXED or make in OTHERS else {"seed": 5}
    layer = make(name="mine", dtype="float64", **seed)
    config = json.loads(json.dumps(layer.get_config()))
    twin = type(layer).from_config(config)
    np.testing.assert_array_equal(layer(FLOATS), twin(FLOATS))
    assert json.loads(json.dumps(twin.get_config())) == config and repr(twin) == repr(layer)


@random_layers
def test_the_bits_do_not_depend_on_the_threads(make):
    images = np.random.default_rng(1).integers(0, 256, (6, 40, 50, 3), "uint8")
    before, results = kernels.get_num_threads(), []
    try:
        for threads in (1, 2, 3, 5):
            kernels.set_num_threads(threads)
            results.append([make(seed=2)(images).numpy(), make(seed=2, dtype="uint8")(images).numpy()])
    finally:
        kernels.set_num_threads(before)
    for other in results[1:]:
        assert all(map(np.array_equal, results[0], other))


@all_layers
def test_trained_in_plans_and_saved(make, tmp_path):
    """A model whose first layer augments: recorded steps have the bits of those run one by one, and a file keeps it."""
    seed = {} if make in FIXED or make in OTHERS else {"seed": 3}
    model = Sequential([Input((9, 12, 3)), make(**seed), layers.Conv2D(2, 3), layers.GlobalAveragePooling2D()])
    model.compile("sgd", "mse")
    model.optimizer.learning_rate = 1e-7
    model.save(tmp_path / "model.safetensors")
    twin = load_model(tmp_path / "model.safetensors")
    twin._planner.records = False
    y = np.ones((5, 2), "float32")
    for _ in range(4):
        assert model.train_on_batch(FLOATS, y) == twin.train_on_batch(FLOATS, y)
    np.testing.assert_array_equal(model.predict(FLOATS, verbose=0), twin.predict(FLOATS, verbose=0))
    assert any(entry.recording is not None for entry in model._planner.entries.values())


DIFFERENTIABLE = [
    lambda: layers.RandomFlip(dtype="float64"), lambda: layers.RandomRotation(0.2, dtype="float64"),
    lambda: layers.RandomErasing((1.0, 1.0), fill_value=0.3, value_range=(-9, 9), dtype="float64"),
    lambda: layers.RandomContrast(0.5, value_range=(-9, 9), dtype="float64"), lambda: layers.MixUp(dtype="float64"),
    lambda: layers.RandomBrightness(0.2, value_range=(-9, 9), dtype="float64"), lambda: layers.CutMix(dtype="float64"),
    lambda: layers.RandomGrayscale(dtype="float64"), lambda: layers.RandomInvert(value_range=(0, 1), dtype="float64"),
    lambda: layers.RandomColorDegeneration(0.4, value_range=(-9, 9), dtype="float64"),
    lambda: layers.RandomElasticTransform((1.0, 1.0), value_range=(-9, 9), dtype="float64"),
]  # fmt: skip


@pytest.mark.parametrize("make", DIFFERENTIABLE, ids=lambda make: type(make()).__name__)
def test_gradients(make):
    """Of one draw, as steps of a generator's training want them."""
    layer, x = make(), np.random.default_rng(0).standard_normal((3, 4, 5, 3))

    def call(x):
        set_random_seed(4)
        return layer(x)

    assert gradcheck(call, x)


def test_no_gradient_says_so():
    y = layers.RandomPosterization(4)(Tensor(FLOATS, requires_grad=True))
    with pytest.raises(ValueError, match="RandomPosterization has no gradient: put it in front"):
        y.backward(np.ones(y.shape, "float32"))


def test_within_a_model_the_model_decides():
    flip = layers.RandomInvert((1.0, 1.0))
    inputs = Input((4, 4, 3))
    model = Model(inputs, flip(inputs))
    x = np.zeros((2, 4, 4, 3), "float32")
    assert flip(x).numpy().min() == 255 and not model(x).numpy().any() and not model.predict(x, verbose=0).any()
    assert model(x, training=True).numpy().min() == 255


RAMP = np.arange(20 * 30 * 3, dtype="float32").reshape(1, 20, 30, 3) / 10
FULL = np.repeat(RAMP, 400, 0)


def test_flips_half_of_the_images():
    for mode, flipped in (("horizontal", RAMP[:, :, ::-1]), ("vertical", RAMP[:, ::-1]),
                          ("horizontal_and_vertical", RAMP[:, ::-1, ::-1])):  # fmt: skip
        y = layers.RandomFlip(mode, seed=1)(FULL).numpy()
        turned, same = ((y == other).all((1, 2, 3)) for other in (flipped, RAMP))
        assert (turned ^ same).all() and 160 < turned.sum() < 240


def test_crops_are_parts_from_anywhere():
    y = layers.RandomCrop(8, 9, seed=2)(FULL).numpy()
    corners = y[:, 0, 0, 0] * 10 / 3
    rows, columns = np.divmod(np.rint(corners).astype(int), 30)
    assert set(rows) == set(range(13)) and set(columns) == set(range(22))
    for n in range(9):
        np.testing.assert_array_equal(y[n], RAMP[0, rows[n] : rows[n] + 8, columns[n] : columns[n] + 9])
    small = layers.RandomCrop(30, 20)(RAMP)
    np.testing.assert_array_equal(small, ops.image.resize(RAMP, (30, 20), crop_to_aspect_ratio=True))


def test_translation_and_zoom_by_known_factors():
    y = layers.RandomTranslation((0.1, 0.1), (-0.2, -0.2), "constant", fill_value=5)(RAMP).numpy()
    np.testing.assert_allclose(y[:, 2:, :-6], RAMP[:, :-2, 6:], rtol=1e-5)
    assert (y[:, :2] == 5).all() and (y[:, :, -6:] == 5).all()
    y = layers.RandomZoom((-0.5, -0.5))(RAMP).numpy()
    np.testing.assert_allclose(y[0, :, :, 0].mean(), RAMP[0, :, :, 0].mean(), rtol=1e-4)
    np.testing.assert_allclose(np.diff(y[0, :, 0, 0]), 4.5, rtol=1e-3)


def test_rotation_by_quarters_turns_pixels():
    square = RAMP[:, :, :20]
    np.testing.assert_allclose(layers.RandomRotation((0.25, 0.25))(square), np.rot90(square, 1, (1, 2)), atol=1e-3)


def test_a_sample_s_number_is_its_own_and_uniform():
    """Brightness: what was added is uniform over the factor's range; contrast's factor as well."""
    added = layers.RandomBrightness((0.1, 0.5), seed=1)(np.zeros((4000, 1, 1, 1), "float32")).numpy()[:, 0, 0, 0] / 255
    assert abs(added.mean() - 0.3) < 0.01 and abs(added.var() - 0.16 / 12) < 0.001
    assert added.min() > 0.1 and added.max() < 0.5 and len(set(added)) > 3900
    two = np.tile(np.float32([100, 140]).reshape(1, 2, 1, 1), (4000, 1, 1, 1))
    wide = np.ptp(layers.RandomContrast((0.3, 0.9), seed=1)(two).numpy()[:, :, 0, 0], axis=1) / 40
    assert abs(wide.mean() - 1.3) < 0.02 and wide.min() > 0.69 and wide.max() < 1.91


def test_colours_by_known_factors():
    x = FLOATS
    np.testing.assert_array_equal(layers.RandomInvert((1.0, 1.0))(x), 255 - x)
    grey = (x * np.float32([0.2989, 0.587, 0.114])).sum(-1, keepdims=True)
    np.testing.assert_allclose(layers.RandomGrayscale(1.0)(x), np.repeat(grey, 3, -1), rtol=1e-5)
    np.testing.assert_allclose(layers.RandomColorDegeneration((0.3, 0.3))(x), x + 0.3 * (grey - x), atol=1e-3)
    np.testing.assert_allclose(layers.RandomHue((0.0, 0.0))(x), x, atol=1e-3)
    np.testing.assert_allclose(layers.RandomSaturation((0.5, 0.5))(x), x, atol=1e-2)
    y = layers.RandomSaturation((0.0, 0.0))(x).numpy()
    np.testing.assert_allclose(y, np.repeat(x.max(-1, keepdims=True), 3, -1), rtol=1e-5)
    np.testing.assert_array_equal(layers.RandomPosterization((3, 3))(x), x // 32 * 32)
    np.testing.assert_array_equal(layers.Solarization(0.0, (0.0, 0.0))(x), 255 - x)
    np.testing.assert_allclose(layers.RandomSharpness((0.5, 0.5))(x), x, atol=1e-3)
    unit = layers.RandomBrightness((0.5, 0.5), value_range=(0, 1))(x / 255)
    np.testing.assert_allclose(unit, np.clip(x / 255 + 0.5, 0, 1), rtol=1e-5)


def test_contrast_and_equalization_use_the_whole_range():
    x = np.float32([[[[1, 2, 5], [4, 5, 5]], [[7, 8, 5], [10, 11, 5]]]])
    expected = np.float32([[0, 0, 5], [85, 85, 5], [170, 170, 5], [255, 255, 5]]).reshape(1, 2, 2, 3)
    np.testing.assert_allclose(layers.AutoContrast()(x), expected, atol=1e-4)
    np.testing.assert_array_equal(layers.AutoContrast(dtype="uint8")(x.astype("uint8")), expected)
    y = layers.Equalization()(np.minimum(FLOATS, 60)).numpy()
    assert y.min() == 0 and y.max() == 255
    constant = np.full((1, 4, 4, 1), 9, "float32")
    np.testing.assert_array_equal(layers.Equalization()(constant), constant)


def test_erasing_puts_values_over_a_rectangle():
    y = layers.RandomErasing((1.0, 1.0), (0.25, 0.25), fill_value=[7, 8, 9], seed=1)(FULL[:50]).numpy()
    erased = (y == [7, 8, 9]).all(-1) & (RAMP != [7, 8, 9]).all(-1)
    assert ((erased | (y == RAMP).all(-1)).all()) and (np.abs(erased.sum((1, 2)) - 150) < 30).all()
    noise = layers.RandomErasing((1.0, 1.0), seed=1)(FULL[:50]).numpy()
    assert noise.min() >= 0 and noise.max() <= 255 and (noise != FULL[:50]).any((1, 2, 3)).all()


@pytest.mark.parametrize("layer", [layers.MixUp(0.5, seed=1), layers.CutMix(seed=1)])
def test_labels_are_mixed_as_the_images(layer):
    count = 64
    images = np.repeat(np.arange(count, dtype="float32"), 8 * 8).reshape(count, 8, 8, 1)
    out = layer({"images": images, "labels": np.eye(count)})
    labels, mixed = out["labels"].numpy(), out["images"].numpy()
    np.testing.assert_allclose(labels.sum(1), 1)
    np.testing.assert_allclose((labels * np.arange(count)).sum(1), mixed.mean((1, 2, 3)), rtol=1e-4, atol=1e-4)
    assert (labels.max(1) < 1).sum() > 20
    same = layer({"images": images, "labels": np.eye(count)}, training=False)
    np.testing.assert_array_equal(same["labels"], np.eye(count))
    with pytest.raises(ValueError, match="one_hot"):
        layer({"images": images, "labels": np.arange(count)})


def test_labels_stay_where_samples_do():
    labels = np.arange(5)
    out = layers.RandomFlip(seed=1)({"images": FLOATS, "labels": labels})
    assert out["labels"] is labels and out["images"].shape == FLOATS.shape
    with pytest.raises(ValueError, match="'images' and 'labels'; got the keys"):
        layers.RandomFlip()({"images": FLOATS, "bounding_boxes": labels})


def test_the_three_steps_of_keras():
    layer = layers.RandomRotation(0.2, seed=3)
    how = layer.get_random_transformation(FLOATS)
    np.testing.assert_array_equal(layer.transform_images(FLOATS, how), layer.transform_images(FLOATS, how))
    np.testing.assert_array_equal(layer.transform_images(FLOATS, how, training=False), FLOATS)
    assert layer.get_random_transformation(FLOATS, training=False) is None


def test_pipeline():
    made = layers.Pipeline([layers.RandomFlip("vertical", seed=1), layers.Rescaling(1 / 255), layers.CenterCrop(4, 4)])
    y = made(FLOATS)
    assert y.shape == (5, 4, 4, 3) == made.compute_output_shape(FLOATS.shape) and y.numpy().max() <= 1
    twin = layers.Pipeline.from_config(json.loads(json.dumps(made.get_config())))
    np.testing.assert_array_equal(twin(FLOATS), y)
    np.testing.assert_allclose(made(FLOATS, training=False), FLOATS[:, 2:6, 4:8] / 255, rtol=1e-6)
    with pytest.raises(TypeError, match="a list of layers"):
        layers.Pipeline([3])


def test_factors_of_small_integer_types_do_not_overflow():
    assert layers.RandomRotation(np.uint8(1)).factor == layers.RandomRotation(1).factor == (-1, 1)
    layers.AugMix(factor=np.int8(1))(FLOATS)


@pytest.mark.parametrize("call, match", [
    (lambda: layers.RandomFlip("sideways"), "mode must be one of 'horizontal'"),
    (lambda: layers.RandomFlip(factor=0.5), "takes no factor"),
    (lambda: layers.RandomRotation(1.5), "factor must be a number, or two, from -1 to 1; got 1.5"),
    (lambda: layers.RandomRotation(0.1, "mirrored"), "fill_mode must be one of"),
    (lambda: layers.RandomZoom(-1), "above -1 to 1"),
    (lambda: layers.RandomContrast((0.1, 0.2, 0.3)), "a number, or two, from 0 to 1"),
    (lambda: layers.RandomBrightness(0.1, (1, 1)), "two different numbers"),
    (lambda: layers.RandomBrightness(0.1, bounding_box_format="xyxy"), "bounding_box_format must be None"),
    (lambda: layers.RandomGaussianBlur(kernel_size=4), "an odd number"),
    (lambda: layers.MixUp(0), "a positive number"),
    (lambda: layers.Resizing(0, 3), "height must be a positive integer"),
    (lambda: layers.Resizing(3, 3, "area"), "interpolation must be one of"),
    (lambda: layers.RandomHue(0.1)(FLOATS[..., :2]), "three channels"),
    (lambda: layers.RandomFlip()(FLOATS[0, 0]), "expects images"),
    (lambda: layers.RandomFlip(data_format="first"), "data_format"),
    (lambda: layers.RandomFlip(seed=-1), "seed must be between"),
])  # fmt: skip
def test_what_is_refused(call, match):
    with pytest.raises(ValueError, match=match):
        call()


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_flips_and_crops_copy_pixels_of_any_width(channels, dtype):
    for width in (1, 7, 8, 9, 19):
        x = np.random.default_rng(width).integers(0, 256, (6, 3, width, channels)).astype(dtype)
        y = np.asarray(layers.RandomFlip("horizontal", seed=1, dtype=dtype)(x, training=True))
        turned = [np.array_equal(one, old[:, ::-1]) for one, old in zip(y, x)]
        assert all(flipped or np.array_equal(one, old) for flipped, one, old in zip(turned, y, x)) and any(turned)
        cut = np.asarray(layers.RandomCrop(2, max(width // 2, 1), seed=1, dtype=dtype)(x, training=True))
        if width > 1:
            windows = np.lib.stride_tricks.sliding_window_view(x, cut.shape[1:3], axis=(1, 2))
            assert all(any(np.array_equal(one, np.moveaxis(window, 0, -1)) for rows in old for window in rows)
                       for one, old in zip(cut, windows))  # fmt: skip


@pytest.mark.parametrize("make", [
    lambda: layers.RandomInvert((0.5, 0.5), seed=1, dtype="uint8"), lambda: layers.RandomPosterization((1, 8), seed=1, dtype="uint8"),
])  # fmt: skip
def test_bits_of_bytes_are_changed_as_by_the_table(make, monkeypatch):
    quick = make()(BYTES, training=True).numpy()
    monkeypatch.setattr("fastconv.layers.preprocessing.images._with_bits", None)
    monkeypatch.setattr("fastconv.layers.preprocessing.images.np.array_equal", lambda *arrays: False)
    slow = make()(BYTES, training=True).numpy()
    monkeypatch.undo()
    np.testing.assert_array_equal(quick, slow)
    assert quick.dtype == np.uint8 and (quick != BYTES).any()
