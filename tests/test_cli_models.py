"""The command line on saved models, folders of images and photos. Contract: mnist-mini or less, no network."""

import os
import re

import numpy as np
import pytest

import fastconv
from fastconv import Input, Sequential, layers
from fastconv.cli import main
from fastconv.cli.augmenting import augmented, maps
from fastconv.cli.digits import centred
from fastconv.datasets import mnist_mini

Image = pytest.importorskip("PIL.Image")


@pytest.fixture(scope="module")
def digits():
    return mnist_mini.load_data()


@pytest.fixture(scope="module")
def reader(digits, tmp_path_factory):
    """A model file that reads nine digits of ten, as `fastconv train` saves it."""
    path = tmp_path_factory.mktemp("models") / "digits.safetensors"
    assert main(["train", "--preset", "fast", "--batch-size", "40", "--epochs", "1", "--save", str(path)]) == 0
    return str(path)


@pytest.fixture
def colours(tmp_path):
    """A folder of small red and blue images, 10 of each."""
    rng = np.random.default_rng(0)
    for name, channel in (("red", 0), ("blue", 2)):
        (tmp_path / "colours" / name).mkdir(parents=True)
        for i in range(10):
            pixels = rng.integers(0, 90, (14, 12, 3))
            pixels[..., channel] += 120
            Image.fromarray(pixels.astype("uint8")).save(tmp_path / "colours" / name / f"{i}.png")
    return str(tmp_path / "colours")


def photo(digit, rng, slope=25, noise=8):
    """The digit on bright paper, somewhere in a larger picture with light from one side and noise."""
    size = int(rng.integers(80, 150))
    ink = np.asarray(Image.fromarray(digit).resize((size, size)), float) * 0.65
    paper = 210 + np.linspace(-slope, slope, 260) + rng.normal(0, noise, (200, 260))
    top, left = rng.integers(5, 195 - size), rng.integers(5, 255 - size)
    paper[top : top + size, left : left + size] -= ink
    return Image.fromarray(np.clip(paper, 0, 255).astype("uint8"))


def saved(path, model):
    model.save(path)
    return str(path)


def lines(capsys, *arguments, code=0):
    """What the command prints, when it ends with this code: (lines of stdout, stderr)."""
    assert main([str(argument) for argument in arguments]) == code
    output, errors = capsys.readouterr()
    return output.splitlines(), errors


# Photos


def test_a_digit_comes_to_where_mnists_are(digits):
    (x, _), _ = digits
    for image in x[:20]:
        pixels = centred(Image.fromarray(image))[..., 0].astype(float)
        rows, columns = (np.flatnonzero(pixels.max(axis=axis)) for axis in (1, 0))
        assert max(np.ptp(rows), np.ptp(columns)) + 1 == 20
        for axis in (0, 1):
            assert abs(pixels.sum(axis=1 - axis) @ np.arange(28) / pixels.sum() - 14) <= 0.75


def test_photos_of_digits_are_read_like_the_digits(digits, reader):
    _, (x, y) = digits
    rng, model = np.random.default_rng(0), fastconv.models.load_model(reader)
    seen = np.stack([centred(photo(image, rng)) for image in x[:60]]).astype("float32") / 255
    right = (model.predict(seen, verbose=0).argmax(1) == y[:60]).mean()
    assert right >= (model.predict(x[:60, ..., None] / 255, verbose=0).argmax(1) == y[:60]).mean() - 0.05


def test_an_even_picture_shows_no_sign():
    with pytest.raises(ValueError, match="shows no sign"):
        centred(Image.new("L", (50, 60), 200))


# predict


def test_predict_names_three_classes(capsys, digits, reader, tmp_path):
    _, (x, y) = digits
    rng = np.random.default_rng(1)
    photo(x[0], rng).convert("RGB").save(tmp_path / "one.jpg")
    Image.fromarray(x[1]).save(tmp_path / "two.png")
    (found, second), errors = lines(capsys, "predict", reader, tmp_path / "one.jpg", tmp_path / "two.png")
    match = re.fullmatch(r".*one\.jpg: (\d) (\S+) %, \d (\S+) %, \d \S+ %", found)
    assert match[1] == str(y[0]) and float(match[2]) > float(match[3]) and errors == ""
    assert second.startswith(f"{tmp_path / 'two.png'}: {y[1]} ")


def test_predict_says_what_it_cannot_read_and_goes_on(capsys, digits, reader, tmp_path):
    good, bad = tmp_path / "good.png", tmp_path / "bad.png"
    Image.fromarray(digits[1][0][0]).save(good)
    bad.write_text("no image")
    found, errors = lines(capsys, "predict", reader, bad, tmp_path / "none.png", tmp_path, good, code=1)
    assert len(found) == 1 and found[0].startswith(str(good))
    assert re.fullmatch(
        r"fastconv predict: \S+bad.png holds no image.*\nfastconv predict: .*No such file.*none.png'\n"
        r"fastconv predict: (\S+) is a folder: name the images in it, such as \1/\*\.png\n",
        errors,
    )


@pytest.mark.parametrize("layer, names, expected", [
    (layers.Dense(2, activation="softmax", kernel_initializer="zeros", bias_initializer="zeros"), ["cat", "dog"],
     "dog 50.0 %, cat 50.0 %"),
    (layers.Dense(1, activation="sigmoid", kernel_initializer="zeros"), ["cat", "dog"], "dog 50.0 %, cat 50.0 %"),
    (layers.Dense(3, kernel_initializer="zeros"), None, "2 33.3 %, 1 33.3 %, 0 33.3 %"),
])  # fmt: skip
def test_predict_of_other_models(capsys, tmp_path, layer, names, expected):
    """Class names stay with the file; one output is two classes; logits become probabilities."""
    model = Sequential([Input((9, 7, 3)), layers.Flatten(), layer])
    model.class_names = names
    Image.new("RGBA", (30, 20), (9, 200, 9, 128)).save(tmp_path / "green.png")
    found, _ = lines(capsys, "predict", saved(tmp_path / "m.safetensors", model), tmp_path / "green.png")
    assert found == [f"{tmp_path / 'green.png'}: {expected}"]


@pytest.mark.parametrize("model, match", [
    (Sequential([Input((5,)), layers.Dense(2)]), r"takes inputs of shape \(None, 5\), which are no images"),
    (Sequential([Input((5, 5, 1)), layers.Conv2D(2, 3)]), "which are no classes of images"),
])  # fmt: skip
def test_predict_refuses_models_of_other_things(capsys, tmp_path, model, match):
    _, errors = lines(capsys, "predict", saved(tmp_path / "m.safetensors", model), "one.png", code=1)
    assert errors.count("\n") == 1 and re.search(match, errors)


# summary, evaluate


@pytest.mark.parametrize("ending", ["safetensors", "keras"])
def test_class_names_stay_with_the_file(capsys, tmp_path, ending):
    if ending == "keras":
        pytest.importorskip("h5py")
    model = Sequential([Input((4,)), layers.Dense(2)])
    model.class_names = ["Katze", "Hünd"]
    path = saved(tmp_path / f"m.{ending}", model)
    assert fastconv.models.load_model(path).class_names == ["Katze", "Hünd"]
    found, _ = lines(capsys, "summary", path)
    assert found[0].startswith("Model: ")
    assert found[-2:] == ["Input: (None, 4), output: (None, 2)", "Classes: Katze, Hünd"]
    model.class_names = None
    assert (
        fastconv.models.load_model(saved(path, model) if ending == "keras" else saved(path, model)).class_names is None
    )


def test_a_summary_fits_the_terminal_and_keeps_words_whole(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("COLUMNS", "80")
    network = fastconv.applications.ResNet18(input_shape=(32, 32, 3), classes=10)
    found, _ = lines(capsys, "summary", saved(tmp_path / "m.safetensors", network))
    assert max(map(len, found)) <= 80 and "(BatchNormalization)" in found and found[-1].endswith("output: (None, 10)")


def test_evaluate_gives_the_accuracy_of_the_run(capsys, reader):
    found, _ = lines(capsys, "evaluate", reader, "mnist_mini")
    assert re.fullmatch(r"Tested on 1,000 digits: loss 0\.\d{4}", found[0])
    assert float(re.fullmatch(r"Test accuracy: (0\.\d{4})", found[1])[1]) > 0.9


@pytest.mark.parametrize("command", ["summary {}", "evaluate {} mnist-mini", "predict {} x.png", "train --model {}"])
@pytest.mark.parametrize(
    "content, match", [(None, "there is no file"), (b"<html></html>", "is no safetensors file, or")]
)
def test_a_wrong_model_file_is_one_line_and_code_1(capsys, tmp_path, command, content, match):
    path = tmp_path / "model.safetensors"
    if content:
        path.write_bytes(content)
    found, errors = lines(capsys, *command.format(path).split(), code=1)
    assert not found and errors.count("\n") == 1 and re.search(f"model.safetensors.*{match}|{match}", errors), errors


# Folders of images, networks by name


def test_train_on_a_folder_of_images(capsys, colours, tmp_path):
    path = tmp_path / "colours.safetensors"
    options = ["--epochs", "12", "--augment", "--learning-rate", "0.01", "--early-stopping", "--save", path]
    found, _ = lines(capsys, "train", colours, *options)
    assert sum("val_loss: " in line for line in found) >= 4
    assert found[-2].startswith("Trained on 14 images in ") and found[-1] == "Test accuracy: 1.0000"
    assert fastconv.models.load_model(path).class_names == ["blue", "red"]
    found, _ = lines(capsys, "evaluate", path, colours)
    assert found[-1] == "Test accuracy: 1.0000"
    found, _ = lines(capsys, "predict", path, os.path.join(colours, "red", "0.png"))
    assert ": red " in found[0]
    found, errors = lines(capsys, "evaluate", path, "mnist-mini", code=1)
    assert re.search(r"takes inputs of shape \(None, 14, 12, 3\); those of mnist-mini are \(None, 28, 28, 1\)", errors)


def test_a_file_to_go_on_from_keeps_its_weights_and_optimizer(capsys, colours, tmp_path):
    path, later = tmp_path / "first.safetensors", tmp_path / "second.safetensors"
    lines(capsys, "train", colours, "--epochs", "2", "--save", path)
    lines(capsys, "train", colours, "--epochs", "1", "--model", path, "--save", later)
    first, second = (fastconv.models.load_model(name) for name in (path, later))
    assert second.optimizer.iterations == first.optimizer.iterations * 3 // 2 > 0
    assert first.optimizer.learning_rate == second.optimizer.learning_rate == pytest.approx(0.001)


@pytest.mark.parametrize("arguments, match", [
    ("--model LeNet5 --image-size 16 --color-mode grayscale --epochs 1", None),
    ("--model resnet18 --image-size 8", "pictures must be at least"),
    ("--model LeNet5 --image-size 13x12 --epochs 1", None),
    ("--model TCN", r"input_shape must be \(steps, channels\)"),
])  # fmt: skip
def test_networks_by_name(capsys, colours, arguments, match):
    found, errors = lines(capsys, "train", colours, *arguments.split(), code=1 if match else 0)
    assert re.search(match, errors) if match else '"lenet5"' in found[0]


def test_images_of_several_sizes_ask_for_one(capsys, colours):
    Image.new("RGB", (3, 4)).save(os.path.join(colours, "red", "small.png"))
    _, errors = lines(capsys, "train", colours, code=1)
    assert re.search("give --image-size to resize all", errors) and errors.count("\n") == 1


# Augmentation


def test_augmentation_moves_little_and_mirrors_half():
    found = maps(400, 32, 32, np.random.default_rng(0), mirror=True)
    assert 0.4 < (found[:, 0] < 0).mean() < 0.6 and (maps(400, 32, 32, np.random.default_rng(0), False)[:, 0] > 0).all()
    corners = np.abs(found[:, 2] - np.where(found[:, 0] < 0, 31, 0))
    assert corners.max() < 9 and corners.min() < 1


def test_augmented_images_keep_their_form():
    images = np.random.default_rng(0).random((5, 12, 10, 3), dtype="float32")
    first, second = (augmented(images, np.random.default_rng(seed), True) for seed in (1, 1))
    assert first.shape == images.shape and first.dtype == "float32" and (first == second).all()
    assert 0 <= first.min() and first.max() <= 1 and (first != images).any()


@pytest.mark.filterwarnings("default")  # as outside of the tests
def test_a_warning_is_one_line_without_source(capsys, colours, tmp_path):
    model = saved(tmp_path / "m.safetensors", Sequential([Input((14, 12, 3)), layers.Flatten(), layers.Dense(2)]))
    _, errors = lines(capsys, "train", colours, "--model", model, "--epochs", "1")
    assert re.fullmatch(
        r"fastconv: sparse_categorical_crossentropy expects probabilities, .*from_logits=True.*\n", errors
    )
