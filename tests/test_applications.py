"""Networks by name: Keras' parameter counts, forward passes, planned training steps, weights from files, pictures."""

import inspect
import json
import math

import numpy as np
import pytest
from test_programs import check_recorded

from fastconv import Input, Model, Tensor, applications, layers
from fastconv.applications import imagenet_utils
from fastconv.initializers import VarianceScaling
from fastconv.layers.holder import uninitialized_weights
from fastconv.models import load_model
from fastconv.utils import set_random_seed

# What Keras 3 counts, of networks with their top for 1,000 classes. ResNet18's and ResNet34's are torchvision's, and
# the moving statistics, which torchvision does not count.
COUNTS = {
    "VGG16": 138_357_544, "VGG19": 143_667_240, "ResNet50": 25_636_712, "ResNet50V2": 25_613_800,
    "MobileNet": 4_253_864, "MobileNetV2": 3_538_984, "MobileNetV3Small": 2_554_968, "MobileNetV3Large": 5_507_432,
    "DenseNet121": 8_062_504,
    "EfficientNetB0": 5_330_571, "EfficientNetV2B0": 7_200_312, "InceptionV3": 23_851_784, "Xception": 22_910_480,
    "ResNet18": 11_689_512 + 9_600, "ResNet34": 21_797_672 + 17_024,
}  # fmt: skip
PICTURES = {name: {"InceptionV3": 75, "Xception": 71}.get(name, 32) for name in COUNTS}
OURS = {
    "LeNet5": ({}, (28, 28, 1), (10,)),
    "UNet2D": ({"input_shape": (16, 24, 2), "classes": 3, "filters": 4, "depth": 3}, (16, 24, 2), (16, 24, 3)),
    "UNet3D": ({"input_shape": (8, 4, 8, 1), "filters": 2, "depth": 2}, (8, 4, 8, 1), (8, 4, 8, 2)),
    "ResNet1D": ({"input_shape": (None, 2), "filters": 8}, (30, 2), (2,)),
    "TCN": ({"input_shape": (None, 2), "filters": 8, "return_sequences": True}, (30, 2), (30, 2)),
}


def cheap(make):
    """The network that `make()` gives, its kernels filled with the same few random numbers again and again."""
    with uninitialized_weights(math.inf):
        model = make()
    numbers = np.random.default_rng(0).standard_normal(9973).astype("float32")
    for weight in model.weights:
        if len(weight.shape) > 1:
            fan = math.prod(weight.shape[:2] if "depthwise" in weight.name else weight.shape[:-1])
            weight.assign(np.resize(numbers * np.float32(math.sqrt(2 / fan)), weight.shape))
        elif weight.name in ("gamma", "moving_variance", "variance"):
            weight.assign(np.ones(weight.shape, "float32"))
    return model


def test_every_network_is_tested():
    functions = {name for name in applications.__all__ if inspect.isfunction(getattr(applications, name))}
    assert functions == {*PICTURES, *OURS}


@pytest.mark.parametrize("name", PICTURES)
def test_parameters_are_as_many_as_keras_and_pictures_go_through(name):
    shape, expected, options = (PICTURES[name], PICTURES[name], 3), COUNTS[name], {}
    if name.startswith("VGG"):  # its top alone would take half a gigabyte
        options, expected = {"include_top": False, "pooling": "avg"}, expected - 123_642_856
    model = cheap(lambda: getattr(applications, name)(input_shape=shape, **options))
    assert model.count_params() == expected
    y = model.predict(np.random.default_rng(0).random((1, *shape), dtype="float32"))
    assert y.shape == (1, 512 if options else 1000) and y.std() > 0
    assert options or y.sum() == pytest.approx(1, rel=1e-4)


def test_top_of_vgg():
    x = Input((7, 7, 512))
    with uninitialized_weights(math.inf):
        model = Model(x, applications.vgg16.top(x[:, :1, :1, :2], 10, "softmax"))
    assert [layer.name for layer in model.layers[1:]] == ["flatten", "fc1", "fc2", "predictions"]
    assert model.count_params() == (2 + 1) * 4096 + (4096 + 1) * 4096 + (4096 + 1) * 10


@pytest.mark.parametrize("name", OURS)
def test_ours_go_through_and_keep_in_files(name, tmp_path):
    options, sample, output = OURS[name]
    model = getattr(applications, name)(**options)
    x = np.random.default_rng(0).random((2, *sample), dtype="float32")
    y = model.predict(x)
    assert y.shape == (2, *output) and np.isfinite(y).all() and y.std() > 0
    model.save(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(load_model(tmp_path / "model.safetensors").predict(x), y)


def test_tcn_sees_no_later_step():
    set_random_seed(0)
    model = applications.TCN((24, 1), filters=4, dilations=(1, 2), return_sequences=True)
    x = np.random.default_rng(0).random((1, 24, 1), dtype="float32")
    later = x.copy()
    later[:, 12:] += 1
    y, z = model.predict(x), model.predict(later)
    np.testing.assert_array_equal(y[:, :12], z[:, :12])
    assert (y[:, 12] != z[:, 12]).all()
    last = applications.TCN((24, 1), filters=4, dilations=(1, 2))
    last.set_weights(model.get_weights())
    np.testing.assert_allclose(last.predict(x), y[:, -1], rtol=1e-5)


@pytest.mark.parametrize("name, options", [
    ("MobileNetV3Small", {"input_shape": (32, 32, 3), "classes": 3, "alpha": 0.5}),
    ("EfficientNetB0", {"input_shape": (32, 32, 3), "classes": 3}),
    ("EfficientNetV2B0", {"input_shape": (32, 32, 3), "classes": 3}),
    ("UNet2D", {"input_shape": (16, 16, 3), "classes": 3, "filters": 4, "depth": 2}),
    ("TCN", {"input_shape": (32, 3), "classes": 3, "filters": 8}),
])  # fmt: skip
def test_training_is_recorded(name, options):
    set_random_seed(0)
    model = getattr(applications, name)(**options)
    model.compile("sgd", "sparse_categorical_crossentropy")
    rng = np.random.default_rng(0)
    x = rng.random((4, *options["input_shape"]), dtype="float32")
    y = rng.integers(0, 3, (4, *model.output_shape[1:-1]))
    before = model.get_weights()
    losses = [model.train_on_batch(x, y) for _ in range(3)]
    assert np.isfinite(losses).all()
    assert any(not np.array_equal(weight, old) for weight, old in zip(model.get_weights(), before))
    check_recorded(model)


def test_weights_come_from_files(tmp_path):
    path = tmp_path / "weights.safetensors"
    options = {"include_top": False, "input_shape": (32, 32, 3), "alpha": 0.35}
    model = applications.MobileNetV2(**options)
    model.save_weights(path)
    again = applications.MobileNetV2(weights=path, **options)
    for weight, other in zip(model.get_weights(), again.get_weights()):
        np.testing.assert_array_equal(weight, other)
    with pytest.raises(ValueError, match="does not fit"):
        applications.MobileNetV2(weights=path, **options | {"alpha": 1.0})


def test_input_tensor_and_transfer():
    inputs = Input((48, 48, 3), name="picture")
    scaled = layers.Rescaling(1 / 255)(inputs)
    base = applications.MobileNetV2(input_tensor=scaled, include_top=False, pooling="max", alpha=0.35)
    assert [layer.name for layer in base.layers[:3]] == ["picture", scaled.source.layer.name, "Conv1"]
    base.trainable = False
    model = Model(base.input, layers.Dense(2)(base.output))
    assert len(model.trainable_weights) == 2 and model.predict(np.zeros((1, 48, 48, 3), "float32")).shape == (1, 2)


def test_open_sizes():
    model = applications.MobileNetV2(include_top=False, alpha=0.35)
    assert model.input_shape == (None, None, None, 3) and model.output_shape == (None, None, None, 1280)
    for size in (32, 64):
        assert model.predict(np.zeros((1, size, size, 3), "float32")).shape == (1, size // 32, size // 32, 1280)


PIXELS = np.random.default_rng(0).integers(0, 256, (2, 4, 5, 3), dtype="uint8")


@pytest.mark.parametrize("mode, expected", [
    ("tf", lambda x: x / 127.5 - 1),
    ("torch", lambda x: (x / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]),
    ("caffe", lambda x: x[..., ::-1] - [103.939, 116.779, 123.68]),
])  # fmt: skip
def test_preprocess_input(mode, expected):
    wanted, floats = expected(PIXELS.astype("float64")), PIXELS.astype("float32")
    for x in (PIXELS, floats, Tensor(floats)):
        y = imagenet_utils.preprocess_input(x, mode=mode)
        assert type(y) is (Tensor if isinstance(x, Tensor) else np.ndarray) and y.dtype == "float32"
        np.testing.assert_allclose(np.asarray(y), wanted, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(floats, PIXELS)  # what is given stays


def test_each_family_preprocesses_as_keras():
    modes = dict.fromkeys(("vgg16", "vgg19", "resnet", "resnet50"), "caffe") | {"densenet": "torch"}
    modes |= dict.fromkeys(("resnet_v2", "mobilenet", "mobilenet_v2", "inception_v3", "xception"), "tf")
    modes |= dict.fromkeys(("mobilenet_v3", "efficientnet", "efficientnet_v2"))
    for name, mode in modes.items():
        expected = PIXELS if mode is None else imagenet_utils.preprocess_input(PIXELS, mode=mode)
        np.testing.assert_array_equal(getattr(applications, name).preprocess_input(PIXELS), expected)


def test_decode_predictions(tmp_path):
    scores = np.array([[0.1, 0.6, 0.3], [0.5, 0.2, 0.3]])
    (tmp_path / "index.json").write_text(json.dumps({str(i): [f"n{i}", name] for i, name in enumerate("abc")}))
    decoded = applications.resnet.decode_predictions(scores, top=2, class_index=tmp_path / "index.json")
    assert decoded == [[("n1", "b", 0.6), ("n2", "c", 0.3)], [("n0", "a", 0.5), ("n2", "c", 0.3)]]
    assert imagenet_utils.decode_predictions(scores[:1], 1, ["a", "b", "c"]) == [[("1", "b", 0.6)]]
    (tmp_path / "bad.json").write_text("[1, 2]")
    wrong = (None, "downloads nothing"), (["a"], "3 classes"), (tmp_path / "bad.json", "not of the form")
    for index, message in wrong:
        with pytest.raises(ValueError, match=message):
            imagenet_utils.decode_predictions(scores, class_index=index)


@pytest.mark.parametrize("distribution", ["truncated_normal", "untruncated_normal", "uniform"])
def test_variance_scaling(distribution):
    values = VarianceScaling(2.0, "fan_out", distribution, seed=1)((3, 3, 40, 80))
    assert values.dtype == "float32" and abs(values.mean()) < 1e-3
    assert values.var() == pytest.approx(2 / (9 * 80), rel=0.03)
    assert VarianceScaling.from_config(VarianceScaling(3.0, "fan_avg").get_config()).scale == 3.0


@pytest.mark.parametrize("call, error, message", [
    (lambda: applications.ResNet50(weights="imagenet"), ValueError, "resnet50: weights.*downloads no weights"),
    (lambda: applications.TCN((5, 2), weights="missing.safetensors"), ValueError, "path of a file.*missing"),
    (lambda: applications.VGG16(input_shape=(16, 16, 3)), ValueError, "at least 32x32"),
    (lambda: applications.VGG16(input_shape=(None, None, 3)), ValueError, "needs known sizes"),
    (lambda: applications.VGG16(input_shape=(64, 64)), ValueError, "height, width, channels"),
    (lambda: applications.VGG16(include_top=False, pooling="mean"), ValueError, "None, 'avg' or 'max'"),
    (lambda: applications.VGG16(input_tensor=np.zeros((1, 32, 32, 3))), TypeError, "input_tensor"),
    (lambda: applications.VGG16(input_tensor=Input((32, 32, 3)), input_shape=(64, 64, 3)), ValueError, "give one"),
    (lambda: applications.UNet2D((20, 16, 1)), ValueError, "multiples of 2\\*\\*depth = 16"),
    (lambda: applications.UNet3D((16, 16, 1)), ValueError, "3 sizes and the channels"),
    (lambda: applications.TCN((5,)), ValueError, "steps, channels"),
    (lambda: VarianceScaling(1.0, "fan"), ValueError, "mode must be one of"),
    (lambda: imagenet_utils.preprocess_input(PIXELS, mode="x"), ValueError, "mode must be one of"),
    (lambda: imagenet_utils.preprocess_input(PIXELS, "channels_first"), ValueError, "channels_last"),
    (lambda: imagenet_utils.preprocess_input(PIXELS[..., 0]), ValueError, "3 channels"),
])  # fmt: skip
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()
