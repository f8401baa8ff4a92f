"""The command line: what it prints, what it writes, how it ends. Contract: mnist-mini or less, no network."""

import csv
import itertools
import os
import re
import signal
import subprocess
import sys

import numpy as np
import pytest
from helpers import INSTALLED, python

import fastconv
from fastconv import kernels
from fastconv.cli import main
from fastconv.datasets import mnist, mnist_mini


@pytest.fixture
def few_digits(monkeypatch):
    """200 + 100 digits in mnist_mini's place: enough to see everything but accuracy."""
    (x_train, y_train), (x_test, y_test) = mnist_mini.load_data()
    few = (x_train[::20], y_train[::20]), (x_test[::10], y_test[::10])
    monkeypatch.setattr(mnist_mini, "load_data", lambda: few)
    return few


@pytest.fixture
def no_mnist(monkeypatch, tmp_path):
    monkeypatch.delenv("FASTCONV_DATA_DIR", raising=False)
    monkeypatch.setenv("FASTCONV_OFFLINE", "1")
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(tmp_path))


@pytest.fixture
def press_at(monkeypatch):
    """`press_at(step)`: Ctrl-C while the optimizer makes this step."""
    step, count = kernels.adam_step, itertools.count(1)

    def set_up(number):
        def adam_step(*arguments):
            step(*arguments)
            if next(count) == number:
                signal.raise_signal(signal.SIGINT)

        monkeypatch.setattr(kernels, "adam_step", adam_step)

    return set_up


def accuracy(output):
    return float(re.fullmatch(r"Test accuracy: (\d\.\d{4})", output.strip().splitlines()[-1])[1])


def assert_ends(capsys, arguments, code, match):
    """`fastconv <arguments>` ends with this code and one line on stderr, and prints nothing else."""
    assert main(arguments.split()) == code
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1 and captured.err.endswith("\n") and captured.out == ""
    assert re.search(match, captured.err), captured.err


# What it does


def test_default_recipe_reaches_97_percent(capsys):
    assert main(["train"]) == 0
    output = capsys.readouterr().out
    assert accuracy(output) >= 0.97
    assert "conv2d" in output.lower() and "62,346" in output  # the summary, with its number of parameters
    assert re.search(r"Trained on 4,000 digits in \d+\.\d seconds", output)


def test_fast_preset_reaches_90_percent_in_one_epoch(capsys):
    assert main(["train", "--preset", "fast", "--epochs", "1", "--batch-size", "40"]) == 0
    output = capsys.readouterr().out
    assert accuracy(output) >= 0.9 and "Epoch 1/1" in output and "Epoch 2" not in output


def test_fast_preset_cycles_once_over_its_steps(few_digits, monkeypatch):
    optimizers = []

    def fit(model, x, y, batch_size, epochs, **_):
        optimizers.append(model.optimizer.get_config())
        raise KeyboardInterrupt

    monkeypatch.setattr(fastconv.Sequential, "fit", fit)
    main(["train", "--preset", "fast", "--epochs", "3", "--batch-size", "30", "--learning-rate", "0.01"])
    schedule = optimizers[0]["learning_rate"]
    assert schedule["class_name"] == "OneCycle"
    assert (schedule["config"]["peak_learning_rate"], schedule["config"]["total_steps"]) == (0.01, 21)


def test_help_states_the_recipes(capsys):
    assert main(["train", "--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "fast, 99 % of MNIST in seconds: a smaller network, adam in one cycle up to" in text
    assert "mnist: adam falling towards 0 from 0.002, batches of 100, 3 epochs" in text


def test_train_writes_model_and_history(few_digits, capsys, tmp_path):
    model_path, history_path = tmp_path / "digits.safetensors", tmp_path / "history.csv"
    assert main(["train", "--epochs", "2", "--save", str(model_path), "--history", str(history_path)]) == 0
    with open(history_path, newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert all(0 <= float(row["accuracy"]) <= 1 and float(row["loss"]) > 0 for row in rows)

    _, (x_test, y_test) = few_digits
    predicted = fastconv.models.load_model(model_path).predict(x_test[..., None].astype("float32") / 255)
    assert accuracy(capsys.readouterr().out) == pytest.approx(np.mean(predicted.argmax(1) == y_test))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["digits.safetensors", "history.csv"]


def test_one_seed_gives_one_run(few_digits, capsys, tmp_path):
    histories = []
    for seed in ("5", "5", "6"):
        assert main(["train", "--epochs", "1", "--seed", seed, "--history", str(tmp_path / "h.csv")]) == 0
        histories.append((tmp_path / "h.csv").read_text())
    assert histories[0] == histories[1] != histories[2]


@pytest.mark.parametrize(
    "arguments, expected",
    [
        ("--preset tutorial", ("SGD", 0.01, 100, 5)),
        ("--preset tutorial --epochs 2 --batch-size 7", ("SGD", 0.01, 7, 2)),
        ("--preset tutorial --optimizer adam", ("Adam", 0.001, 100, 5)),  # not SGD's learning rate
        ("--preset tutorial --learning-rate 0.5", ("SGD", 0.5, 100, 5)),
        ("--learning-rate 0.25", ("Adam", 0.25, 32, 8)),
        ("--optimizer sgd --learning-rate 2e-1 --epochs 3 --batch-size 10", ("SGD", 0.2, 10, 3)),
    ],
)
def test_what_is_given_overrides_the_preset(few_digits, monkeypatch, arguments, expected):
    seen = []

    def fit(model, x, y, batch_size, epochs, **_):
        seen.append((type(model.optimizer).__name__, model.optimizer.learning_rate, batch_size, epochs))
        raise KeyboardInterrupt

    monkeypatch.setattr(fastconv.Sequential, "fit", fit)
    main(["train", *arguments.split()])
    assert seen[0][0] == expected[0] and seen[0][1:] == pytest.approx(expected[1:])


def test_threads(few_digits, capsys):
    before = fastconv.get_num_threads()
    try:
        assert main(["train", "--epochs", "1", "--threads", "1"]) == 0
        assert "(threads: 1)" in capsys.readouterr().out
    finally:
        fastconv.set_num_threads(before)


def test_info_names_what_a_report_needs(capsys):
    assert main(["info"]) == 0
    output = capsys.readouterr().out
    for name in ("fastconv", "Python", "NumPy", "OS", "CPU", "ISA", "threads", "OpenMP", "compiler"):
        assert re.search(rf"^{name}: +\S", output, re.MULTILINE), name


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"fastconv {fastconv.__version__}\n"


def test_without_a_command_prints_help(capsys):
    assert main([]) == 0
    assert "train" in capsys.readouterr().out


def test_python_m():
    answer = python("-m", "fastconv", "train", "--epochs", "x")
    assert answer.returncode == 2
    assert answer.stderr == "fastconv train: argument --epochs: must be a whole number; got 'x'\n"


# How it refuses


@pytest.mark.parametrize(
    "arguments, match",
    [
        ("train --epochs 0", "^fastconv train: argument --epochs: must be at least 1; got 0$"),
        ("train --epochs 2.5", "whole number; got '2.5'"),
        ("train --epochs", "--epochs: expected one argument"),
        ("train --model=--", "argument --model: (expected one argument|'--' is unknown)"),
        ("train --batch-size -3", "--batch-size: must be at least 1; got -3"),
        ("train --threads 0", "--threads: must be at least 1"),
        ("train --seed -1", "--seed: must be from 0"),
        ("train --seed 4294967296", "--seed: must be from 0"),
        ("train --learning-rate 0", "--learning-rate: must be a number above 0"),
        ("train --learning-rate nan", "--learning-rate: must be a number above 0"),
        ("train --learning-rate inf", "--learning-rate: must be a number above 0"),
        ("train --learning-rate fast", "got 'fast'"),
        ("train --optimizer adma", "--optimizer: .*adma.*Did you mean .Adam"),
        ("train --preset article", "--preset: invalid choice: 'article'"),
        ("train xyz", "DATA: 'xyz' is unknown. It must be one of mnist-mini, mnist,.* or the path of a folder"),
        ("train mnist_mnii", "DATA: 'mnist_mnii' is unknown. Did you mean .*mnist-mini.* Or give"),
        (f"train {__file__}", "argument DATA: .*test_cli.py' is a file, and must be a folder of images or"),
        ("train nowhere/photos", "argument DATA: there is no folder 'nowhere/photos'"),
        ("train --epocs=3", "unrecognized arguments: --epocs=3 - did you mean --epochs"),
        ("train --epoch 1", "unrecognized arguments: --epoch - did you mean --epochs"),
        ("train --model ResNet5", "argument --model: 'ResNet5' is unknown. Did you mean .*ResNet50.*a model file"),
        ("train --color-mode rgb", "--color-mode: is for folders of images; mnist-mini has its own"),
        ("train --image-size 0", "must be a number of pixels such as 64, or 64x48; got '0'"),
        ("train --validation-split 1", "--validation-split: must be a number between 0 and 1; got '1'"),
        ("train --early-stopping 0", "--early-stopping: must be at least 1"),
        ("train --resume", "--resume: goes on with the run in --checkpoint DIR: name it"),
        ("evaluate model.safetensors", "the following arguments are required: DATA"),
        ("predict model.safetensors", "the following arguments are required: IMAGE"),
        ("train --save nowhere/model.safetensors", "--save: the folder 'nowhere' does not exist"),
        ("train --save .", "--save: must name a file"),
        ("train --save model.h5", "--save: writes \\*.safetensors or \\*.keras"),
        ("train --save model.pt", "--save: writes .*; got 'model.pt'"),
        ("train --history nowhere/h.csv", "--history: the folder 'nowhere' does not exist"),
        ("train --save a --history a", "--history: must not be the file of --save"),
        ("trian", "invalid choice: 'trian' - did you mean train"),
        ("--vresion", "unrecognized arguments"),
        ("info --all", "unrecognized arguments: --all"),
    ],
)
def test_bad_argument_is_one_line_and_code_2(capsys, monkeypatch, tmp_path, arguments, match):
    monkeypatch.chdir(tmp_path)
    assert_ends(capsys, arguments, 2, match)
    assert list(tmp_path.iterdir()) == []


def test_no_data_is_one_line_and_code_1(capsys, no_mnist):
    assert_ends(
        capsys,
        "train mnist",
        1,
        r"^fastconv train: mnist is not available\. Tried: FASTCONV_DATA_DIR is not set; the cache "
        r".*; FASTCONV_OFFLINE forbids the download\. What to do: ",
    )


def test_damaged_data_is_one_line_and_code_1(capsys, no_mnist, monkeypatch, tmp_path):
    (tmp_path / "mnist.npz").write_bytes(b"<html>")
    monkeypatch.setenv("FASTCONV_DATA_DIR", str(tmp_path))
    assert_ends(capsys, "train mnist", 1, "mnist.npz must be an .npz file")


def test_interrupt_is_one_line_and_code_130(capsys, monkeypatch):
    def interrupt():
        raise KeyboardInterrupt

    monkeypatch.setattr(mnist, "load_data", interrupt)
    assert_ends(capsys, "train mnist", 130, "^fastconv: interrupted$")


@pytest.mark.parametrize("step, weights, epochs", [(1, 1, 0), (14, 14, 2), (18, 18, 2)])
def test_ctrl_c_in_training_keeps_what_there_is(few_digits, press_at, capsys, tmp_path, step, weights, epochs):
    model_path, history_path = tmp_path / "digits.safetensors", tmp_path / "history.csv"
    press_at(step)
    assert main(["train", "--epochs", "3", "--save", str(model_path), "--history", str(history_path)]) == 130
    output, errors = capsys.readouterr()
    assert errors == "fastconv: interrupted\n" and "Interrupted in epoch" in output and "Test accuracy" not in output
    assert f"digits.safetensors holds the weights after {weights} steps." in output.splitlines()[-1]
    assert fastconv.models.load_model(model_path).optimizer.iterations == weights
    assert history_path.exists() == bool(epochs)
    if epochs:
        assert len(history_path.read_text().splitlines()) == 1 + epochs


def test_untrained_weights_replace_no_file(few_digits, monkeypatch, capsys, tmp_path):
    def fit(*_, **__):
        raise KeyboardInterrupt

    path = tmp_path / "digits.safetensors"
    path.write_text("the good one")
    monkeypatch.setattr(fastconv.Sequential, "fit", fit)
    assert main(["train", "--save", str(path)]) == 130
    assert "digits.safetensors is not written" in capsys.readouterr().out and path.read_text() == "the good one"


@pytest.mark.parametrize("arguments, cause", [
    ("--optimizer sgd --learning-rate 1e30", "The loss is not finite: .*learning rate is probably too high"),
    ("--optimizer sgd --learning-rate 1e30 --batch-size 200", "The loss of the test digits is not finite"),
])  # fmt: skip
def test_a_diverged_run_is_one_line_and_code_1(few_digits, capsys, tmp_path, arguments, cause):
    path = tmp_path / "digits.safetensors"
    path.write_text("the good one")
    assert main(["train", *arguments.split(), "--epochs", "1", "--save", str(path)]) == 1
    output, errors = capsys.readouterr()
    assert errors.count("\n") == 1 and re.search(f"^fastconv train: {cause}", errors), errors
    assert "Test accuracy" not in output and path.read_text() == "the good one"


def command(arguments, before="", **options):
    """The console script in a process of its own, after the lines `before`."""
    program = f"""
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.argv = ["/usr/bin/fastconv", *{arguments.split()!r}]
{before}
from fastconv.cli import main
sys.exit(main())
"""
    environment = {**os.environ, "PYTHONUNBUFFERED": ""} | options.pop("env", {})
    return subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE, text=True, cwd=INSTALLED,
                            env=environment, **{"stdout": subprocess.PIPE} | options)  # fmt: skip


@pytest.mark.skipif(sys.platform == "win32", reason="SIGINT cannot be sent to one process there")
def test_ctrl_c_in_training_ends_it():
    with command("train --preset fast --epochs 1000") as process:
        while "Epoch 1/1000" not in process.stdout.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=60)
    assert process.returncode == 130 and errors == "fastconv: interrupted\n"
    assert "Interrupted in epoch" in output and "accuracy:" not in output.splitlines()[-1]


@pytest.mark.parametrize("module", ["numpy", "fastconv.kernels", "fastconv.kernels.conv", "fastconv.info"])
def test_ctrl_c_while_modules_load_is_one_line(module):
    with command(
        "info",
        before=f"""
class Press:
    def find_spec(self, name, *rest):
        if name == {module!r}:
            signal.raise_signal(signal.SIGINT)
sys.meta_path.insert(0, Press())
""",
    ) as process:
        assert process.communicate(timeout=60) == ("", "fastconv: interrupted\n") and process.returncode == 130


def test_an_unknown_isa_is_one_line_for_the_command_and_an_error_for_a_program():
    match = r"FASTCONV_ISA must be one that this CPU runs, of baseline.*; got 'sse9'"
    with command("info", env={"FASTCONV_ISA": "sse9"}) as process:
        output, errors = process.communicate(timeout=60)
    assert process.returncode == 1 and output == "" and re.fullmatch(f"fastconv info: {match}\\.?\n", errors)
    answer = python("-m", "fastconv", "info", FASTCONV_ISA="sse9")
    assert answer.returncode == 1 and answer.stderr == errors
    answer = python("-c", "import fastconv", FASTCONV_ISA="sse9")
    assert answer.returncode == 1 and re.search(f"^ValueError: {match}", answer.stderr.splitlines()[-1])


def test_a_reader_that_goes_away_ends_it_quietly():
    with command("train --preset fast --epochs 1000") as process:
        assert process.stdout.readline()
        process.stdout.close()
        assert process.wait(60) == 141 and process.stderr.read() == ""


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux has it")
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("arguments", ["info", "--version", "train --help", "train --epochs 1"])
def test_a_full_disk_is_one_line_and_code_1(arguments, unbuffered):
    environment = {"PYTHONUNBUFFERED": unbuffered}
    with open("/dev/full", "w") as full, command(arguments, stdout=full, env=environment) as process:
        errors = process.communicate(timeout=60)[1]
    assert process.returncode == 1 and errors == "fastconv: [Errno 28] No space left on device\n"


@pytest.mark.skipif(sys.platform == "win32", reason="another shell")
def test_without_any_output_it_works():
    with command("info", before="sys.stdout = None") as process:
        assert process.communicate(timeout=60) == ("", "") and process.returncode == 0


def test_model_that_cannot_be_written_is_one_line_and_code_1(few_digits, capsys, monkeypatch):
    def full(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr(fastconv.Sequential, "save", full)
    assert main(["train", "--epochs", "1", "--save", "never.safetensors"]) == 1
    assert capsys.readouterr().err.splitlines()[-1] == "fastconv train: no space left on device"


# Checkpoints


@pytest.mark.parametrize("options", ["", "--augment --validation-split 0.2", "--preset fast --batch-size 30"])
def test_a_run_that_goes_on_ends_as_one_that_never_stopped(few_digits, press_at, capsys, tmp_path, options):
    def train(name, *more):
        outputs = ["--save", str(tmp_path / f"{name}.safetensors"), "--history", str(tmp_path / f"{name}.csv")]
        return main(["train", "--epochs", "3", *options.split(), *outputs, *more])

    checkpoint = ["--checkpoint", str(tmp_path / "run")]
    assert train("whole") == 0
    press_at(10)
    assert train("part", *checkpoint) == 130
    assert "with --resume goes on after the last complete epoch" in capsys.readouterr().out
    assert train("part", *checkpoint) == 2
    assert "holds a run that was stopped: add --resume" in capsys.readouterr().err
    assert train("part", *checkpoint, "--resume") == 0
    assert "Epoch 1/3" not in capsys.readouterr().out
    assert (tmp_path / "part.csv").read_text() == (tmp_path / "whole.csv").read_text()
    whole, part = (fastconv.models.load_model(tmp_path / f"{name}.safetensors") for name in ("whole", "part"))
    assert all((a == b).all() for a, b in zip(whole.get_weights(), part.get_weights()))
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["best.safetensors"]
    assert train("new", *checkpoint, "--resume") == 0 and "holds no stopped run" in capsys.readouterr().out


def test_a_checkpoint_that_cannot_be_written_costs_no_results(few_digits, capsys, monkeypatch, tmp_path):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(fastconv.callbacks.BackupAndRestore, "_save", full)
    model, folder = tmp_path / "digits.safetensors", tmp_path / "run"
    assert main(["train", "--epochs", "2", "--save", str(model), "--checkpoint", str(folder)]) == 1
    output, errors = capsys.readouterr()
    assert errors == "fastconv: [Errno 28] No space left on device\n"
    assert "holds the weights after 7 steps" in output and fastconv.models.load_model(model).optimizer.iterations == 7


def test_a_set_goes_before_a_folder_of_its_name(few_digits, monkeypatch, capsys, tmp_path):
    (tmp_path / "mnist_mini").mkdir()
    monkeypatch.chdir(tmp_path)
    assert main(["train", "mnist_mini", "--epochs", "1"]) == 0
    assert main(["train", "./mnist_mini"]) == 1 and "must hold a folder" in capsys.readouterr().err
