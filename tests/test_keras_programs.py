"""Programs as users of Keras write them, in tests/programs/: each trains on data that it makes and reaches its score.

Those without gradients, data sets or pipelines of our own run under Keras 3 too when `fastconv` becomes `keras` in their
imports, and the other way round: that is what they are there to show.
"""

import importlib
import pathlib
import sys

import pytest

from fastconv.utils import set_random_seed

FOLDER = pathlib.Path(__file__).parent / "programs"
SCORES = {
    "autoencoder": 0.6, "cnn_lstm": 0.6, "convlstm": 0.2, "convnet": 0.5, "data_loader": 0.8, "dcgan": 0.4, "denoising": 0.4,
    "forecasting_tcn": 0.7, "grad_cam": 0.6, "image_folder": 0.7, "kill_and_resume": 1, "mnist_digits": 0.8, "metric_learning": 0.8, "mixed_inputs": 0.8, "own_training_loop": 0.4,
    "residual": 0.7, "sensors": 0.8, "separable": 0.6, "siamese": 0.85, "speech_commands": 0.8, "super_resolution": 0.3,
    "transfer_learning": 0.5, "unet": 0.5, "variational_autoencoder": 0.5, "volumes": 0.8,
}  # fmt: skip


def test_every_program_has_a_score():
    assert {path.stem for path in FOLDER.glob("*.py")} - {"made"} == set(SCORES)


@pytest.mark.parametrize("name", SCORES)
def test_program(name, monkeypatch):
    if name == "image_folder":
        pytest.importorskip("PIL")
    monkeypatch.syspath_prepend(str(FOLDER))
    monkeypatch.delitem(sys.modules, name, raising=False)
    set_random_seed(1)
    assert importlib.import_module(name).main() >= SCORES[name]
