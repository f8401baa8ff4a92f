"""Saves that fail: a full disk, a folder that may not be written, two writers. The old file stays whole, the error names it."""

import os
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from helpers import python

from fastconv import Input, Sequential, layers, saving
from fastconv.callbacks import BackupAndRestore, ModelCheckpoint
from fastconv.models import load_model

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="limits and modes")
X = np.ones((8, 30), "float32")


def network(value=1.0):
    model = Sequential([Input((30,)), layers.Dense(30)])
    model.set_weights([np.full(weight.shape, value) for weight in model.weights])
    model.compile("adam", "mse")
    return model


SAVES = {
    "m.safetensors": lambda model, path: model.save(path),
    "m.keras": lambda model, path: model.save(path),
    "m.weights.h5": lambda model, path: model.save_weights(path),
    "w.safetensors": lambda model, path: model.fit(
        X, X, verbose=0, callbacks=ModelCheckpoint(path, save_weights_only=True)
    ),
    "latest.safetensors": lambda model, path: model.fit(
        X,
        X,
        epochs=int(model.get_weights()[0][0, 0]),
        verbose=0,
        callbacks=BackupAndRestore(path.parent, delete_checkpoint=False),
    ),
}


def saved(name, folder):
    if name.endswith((".keras", ".h5")):
        pytest.importorskip("h5py")
    path = folder / name
    SAVES[name](network(), path)
    return path, path.read_bytes()


def unchanged(path, content):
    assert path.read_bytes() == content and os.listdir(path.parent) == [path.name]


FULL = """
import pathlib, resource, sys
sys.path.insert(0, {tests!r})
from test_saving_failures import SAVES, network
models = [network(2.0) for _ in sys.argv[1:]]
models[0].predict([[0.0] * 30])
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
for model, path in zip(models, map(pathlib.Path, sys.argv[1:])):
    try:
        SAVES[path.name](model, path)
    except OSError as error:
        print(error)
"""


def test_a_full_disk(tmp_path):
    folders = {name: tmp_path / str(i) for i, name in enumerate(SAVES)}
    [folder.mkdir() for folder in folders.values()]
    found = [saved(name, folder) for name, folder in folders.items()]
    result = python("-c", FULL.format(tests=os.path.dirname(__file__)), *[str(path) for path, _ in found])
    assert result.stdout.splitlines() == [f"[Errno 27] File too large: '{path}'" for path, _ in found], result.stderr
    for path, content in found:
        unchanged(path, content)


@pytest.mark.parametrize("name", SAVES)
def test_a_folder_that_may_not_be_written(tmp_path, name):
    path, content = saved(name, tmp_path)
    model, user = network(2.0), os.geteuid()
    tmp_path.chmod(0o555)
    if not user:
        os.seteuid(65534)  # the superuser may write anywhere
    try:
        with pytest.raises(PermissionError, match=str(path.parent)):
            SAVES[name](model, path)
    finally:
        os.seteuid(user)
        tmp_path.chmod(0o755)
    unchanged(path, content)


@pytest.mark.parametrize("name", ["m.safetensors", "m.keras"])
def test_two_writers_leave_one_whole_file(tmp_path, name):
    path, _ = saved(name, tmp_path)
    with ThreadPoolExecutor(4) as pool:
        models = [network(float(value)) for value in range(4)]
        list(pool.map(lambda model: [model.save(path) for _ in range(5)], models))
    kernel, bias = load_model(path).get_weights()
    assert len(np.unique(kernel)) == len(np.unique(bias)) == 1 and kernel[0, 0] == bias[0]
    assert os.listdir(tmp_path) == [name]


@pytest.mark.parametrize("call", [saving.save_model, saving.save_weights, saving.load_weights])
def test_what_is_no_model_is_refused(tmp_path, call):
    with pytest.raises(TypeError, match="model must be a model; got 'net'"):
        call("net", tmp_path / "m.safetensors")
