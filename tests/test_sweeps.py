"""Many trainings and predictions: Dask arrays, workers' threads, and docs/sklearn.md, which runs.

Contract: what is not installed is skipped; workers are processes of this machine.
"""

import importlib.util
import pathlib
import re

import numpy as np
import pytest
from helpers import python

import fastconv
from fastconv import Input, Model, Sequential, layers

GUIDE = pathlib.Path(__file__).parent.parent / "docs" / "sklearn.md"


@pytest.fixture
def model():
    fastconv.utils.set_random_seed(0)
    return Sequential([Input((6, 2)), layers.Conv1D(4, 3, activation="relu"), layers.Flatten(), layers.Dense(3)])


def inputs(count=50):
    return np.random.default_rng(0).random((count, 6, 2), "float32")


@pytest.mark.filterwarnings("ignore")  # of the packages'
@pytest.mark.skipif(not GUIDE.exists(), reason="the tests run without the sources")
def test_the_guide_runs(tmp_path, monkeypatch):
    pytest.importorskip("sklearn")
    pytest.importorskip("distributed")
    monkeypatch.chdir(tmp_path)  # Ray's workers import from the folder it is started in: here, uncompiled sources
    names = {"__name__": "__main__"}  # so that workers are sent the functions themselves
    for block in re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL):
        if block.startswith("import ray") and not importlib.util.find_spec("ray"):
            continue
        exec(compile(block, str(GUIDE), "exec"), names)


CHUNKS = {"blocks": ((20, 30), (6,), (2,)), "uneven": (7, 6, 2), "cut elsewhere too": (20, 4, 1), "one": (50, 6, 2)}


@pytest.mark.parametrize("chunks", CHUNKS.values(), ids=CHUNKS)
def test_dask_arrays_are_predicted_as_arrays(model, chunks):
    x = inputs()
    array = pytest.importorskip("dask.array").from_array(x, chunks=chunks)
    assert np.array_equal(model.predict(array, batch_size=8), model.predict(x, batch_size=8))


class Watched:
    """An array in blocks that is no Dask array but says what they say; notes what was asked of it."""

    __dask_graph__ = None

    def __init__(self, data, sizes):
        self.data, self.shape, self.chunks, self.asked = data, data.shape, (sizes,), []

    def __array__(self, dtype=None, copy=None):
        raise AssertionError("it was gathered")

    def __getitem__(self, part):
        self.asked.append((part.start, part.stop))
        return self.data[part]


def test_blocks_are_asked_for_one_by_one(model):
    x = inputs()
    watched, seen = Watched(x, (20, 30)), []
    callback = fastconv.callbacks.LambdaCallback()
    callback.on_predict_batch_end = lambda batch, logs=None: seen.append(len(watched.asked))
    assert np.array_equal(model.predict(watched, batch_size=10, callbacks=[callback]), model.predict(x))
    assert watched.asked == [(0, 20), (20, 50)] and seen == [1, 1, 2, 2, 2]
    assert len(model.predict(Watched(x, (20, 30)), batch_size=10, steps=2)) == 20


def test_dask_arrays_of_no_samples_and_several_outputs(model):
    da = pytest.importorskip("dask.array")
    two = Model(model.inputs, [model.output, model.layers[0].output])
    found = two.predict(da.from_array(inputs(), chunks=(20, 6, 2)))
    assert all(np.array_equal(a, b) for a, b in zip(found, two.predict(inputs())))
    assert model.predict(da.zeros((0, 6, 2), dtype="float32")).shape == (0, 3)


def test_unknown_sizes_and_wrong_shapes_are_refused(model):
    da = pytest.importorskip("dask.array")
    array = da.from_array(inputs(), chunks=(20, 6, 2))
    with pytest.raises(ValueError, match="compute_chunk_sizes"):
        model.predict(array[array[:, 0, 0] > 0.5])
    with pytest.raises(ValueError, match=r"\(None, 6, 2\)"):
        model.predict(array[:, :5])


def test_joblibs_workers_share_the_processors():
    joblib = pytest.importorskip("joblib")
    workers = joblib.Parallel(2)(joblib.delayed(fastconv.get_num_threads)() for _ in range(2))
    assert workers == [max(joblib.cpu_count() // 2, 1)] * 2


def test_without_scikit_learn_there_is_one_line_that_names_the_extra():
    program = (
        "import sys; sys.modules['sklearn'] = None\n"
        "import fastconv\n"
        "for make in (fastconv.sklearn.FCNClassifier, fastconv.wrappers.SKLearnRegressor):\n"
        "    try: make('mse')\n"
        "    except ImportError as error: print(error)"
    )
    lines = python("-c", program).stdout.splitlines()
    assert len(lines) == 2 and all("pip install 'fastconv[sklearn]'" in line for line in lines)
