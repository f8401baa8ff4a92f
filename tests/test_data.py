"""fastconv.data: pipelines, data sets by batch number, windows of series, folders of images, downloads."""

import math
import sys
import threading
import time

import numpy as np
import pytest

from fastconv import Sequential, kernels, layers
from fastconv.data import Dataset, PyDataset
from fastconv.data.ahead import ahead
from fastconv.data.feeding import Feed, is_stream
from fastconv.data.series import timeseries_dataset_from_array
from fastconv.utils import set_random_seed, split_dataset

AHEAD = sys.modules[ahead.__module__]

X = np.arange(40, dtype="uint8").reshape(10, 4)
Y = np.arange(10)


def elements(dataset):
    return [int(np.ravel(e[1] if isinstance(e, tuple) else e)[0]) for e in dataset]


def same(one, other):
    one, other = list(one), list(other)
    assert len(one) == len(other) > 0
    for a, b in zip(one, other):
        for part, twin in zip(a, b):
            np.testing.assert_array_equal(part, twin)


def test_arrays_in_batches_of_their_own_type():
    x, y = zip(*Dataset.from_arrays((X, Y)).batch(4))
    assert [part.shape for part in x] == [(4, 4), (4, 4), (2, 4)] and x[0].dtype == np.uint8
    np.testing.assert_array_equal(np.concatenate(y), Y)
    assert len(Dataset.from_arrays((X, Y)).batch(4)) == 3 and len(Dataset.from_arrays(X).batch(4, True)) == 2


@pytest.mark.parametrize("make", [
    lambda d: d.batch(3), lambda d: d.map(lambda x, y: (x, y)).batch(3), lambda d: d.batch(1).unbatch().batch(3),
    lambda d: d.batch(3).prefetch(2), lambda d: d.batch(3).cache(), lambda d: d.map(lambda x, y: (x, y), 3).batch(3),
    lambda d: d.skip(0).batch(3), lambda d: d.filter(lambda x, y: True).batch(3), lambda d: d.shuffle(1).batch(3),
])  # fmt: skip
def test_every_way_gives_the_same_batches(make):
    dataset = make(Dataset.from_arrays((X, Y)))
    for _ in range(2):
        same(dataset, [(X[i : i + 3], Y[i : i + 3]) for i in range(0, 10, 3)])


@pytest.mark.parametrize("buffer", [None, 4, 100])
@pytest.mark.parametrize("listed", [False, True])
def test_shuffling_follows_the_seed_and_changes_by_epoch(buffer, listed):
    def dataset(seed=1, **options):
        source = Dataset.from_arrays(Y)
        return (source.map(lambda y: y) if listed else source).shuffle(buffer, seed=seed, **options)

    one = dataset()
    first, second = elements(one), elements(one)
    assert sorted(first) == sorted(second) == list(range(10)) and first != second
    assert elements(dataset()) == first and elements(dataset(seed=2)) != first
    assert elements(one.epoch(1)) == second
    kept = dataset(reshuffle_each_iteration=False)
    assert elements(kept) == elements(kept)


def test_shuffling_follows_set_random_seed():
    set_random_seed(3)
    first = elements(Dataset.range(20).shuffle())
    set_random_seed(3)
    assert elements(Dataset.range(20).shuffle()) == first != elements(Dataset.range(20).shuffle())


@pytest.mark.parametrize("late", [0, 1e9], ids=["ahead", "when asked"])
@pytest.mark.parametrize("workers", [1, 2, 5])
def test_random_maps_give_the_same_numbers_on_any_number_of_threads(monkeypatch, workers, late):
    monkeypatch.setattr(AHEAD, "LATE", late)

    def dataset(workers):
        noisy = Dataset.from_arrays((X, Y)).map(lambda x, y, rng: (x + rng.random(4), y), workers, seed=5)
        return noisy.batch(4).prefetch(2)

    one, other = dataset(None), dataset(workers)
    same(other, one)
    same(other, one)


def test_steps_of_a_pipeline():
    ten = Dataset.range(10)
    assert elements(ten.take(3)) == [0, 1, 2] and elements(ten.skip(8)) == [8, 9]
    assert elements(ten.take(2).repeat(2)) == [0, 1, 0, 1] and len(ten.repeat(3)) == 30
    assert elements(ten.repeat().skip(18).take(3)) == [8, 9, 0]
    assert elements(ten.filter(lambda y: y % 5 == 0)) == [0, 5]
    assert [i for i, _ in ten.enumerate(4).take(2)] == [4, 5]
    assert elements(Dataset.zip(ten, ten.skip(7))) == [7, 8, 9]
    assert elements(Dataset.from_generator(lambda: range(3))) == [0, 1, 2]
    with pytest.raises(TypeError, match="length.*not known"):
        len(ten.filter(bool))


def test_a_cache_reads_once():
    read = []
    cached = Dataset.range(4).map(lambda y: read.append(int(y)) or y).cache()
    assert next(iter(cached)) == 0
    assert elements(cached) == elements(cached) == [0, 1, 2, 3]
    assert read == [0, 0, 1, 2, 3]


@pytest.mark.parametrize("late", [0, 1e9], ids=["by a thread", "when asked"])
def test_working_ahead_raises_in_place_and_ends_when_nobody_asks(monkeypatch, late):
    monkeypatch.setattr(AHEAD, "LATE", late)
    closed = []

    def source():
        try:
            yield from range(3)
            raise OSError("broken")
        finally:
            closed.append(True)

    seen = []
    with pytest.raises(OSError, match="broken"):
        for element in ahead(source(), 2):
            seen.append(element)
    assert seen == [0, 1, 2]
    held = source()  # so that nobody but `ahead` closes it
    run = ahead(held, 1)
    assert next(run) == 0
    run.close()
    assert closed == [True, True]


def test_only_what_takes_time_is_made_by_a_thread(monkeypatch):
    monkeypatch.setattr(AHEAD, "QUICK", 0.1)
    made = []

    def source(seconds):
        for _ in range(4):
            time.sleep(seconds)
            made.append(threading.current_thread() is threading.main_thread())
            yield

    assert len(list(ahead(source(0), 2))) == 4 and all(made)
    assert len(list(ahead(source(0.15), 2))) == 4 and made[4:] == [True, False, False, False]
    monkeypatch.setattr(kernels, "get_num_threads", lambda: kernels.usable_processors() - 1)
    assert len(list(ahead(source(0), 2))) == 4 and not any(made[8:])


@pytest.mark.parametrize("make, message", [
    (lambda: Dataset.from_arrays((X, Y[:3])), "equally many rows"),
    (lambda: Dataset.from_arrays(3), "single value"),
    (lambda: Dataset.range(3).batch(0), "batch_size must be a whole number of at least 1; got 0"),
    (lambda: Dataset.range(3).batch(2.5), "batch_size"), (lambda: Dataset.range(3).shuffle(0), "buffer_size"),
    (lambda: Dataset.range(3).shuffle(seed=-1), "seed"), (lambda: Dataset.range(3).map(abs, seed="a"), "seed"),
    (lambda: Dataset.range(3).map(abs, -2), "num_parallel_calls"), (lambda: Dataset.from_arrays([[1, 2], [3]]), "lengths"),
    (lambda: Feed(Dataset.range(3).repeat()), "no end.*steps_per_epoch"),
    (lambda: list(Feed(Dataset.from_arrays((X, Y))).epoch(0)), r"one sample.*dataset.batch\(32\)"),
    (lambda: next(iter(Dataset.from_arrays(X).map(lambda x: x.fill(0)))), "read-only"),
    (lambda: next(iter(Dataset.from_arrays(X).batch(4).map(lambda x: x.fill(0)))), "read-only"),
    (lambda: list(Dataset.range(3).map(lambda y: np.zeros(y)).batch(3)), "one shape"),
    (lambda: timeseries_dataset_from_array(Y, None, 11), "No window of 11"),
    (lambda: timeseries_dataset_from_array(Y, None, 2.0), "sequence_length must be a whole number of at least 1; got 2.0"),
    (lambda: split_dataset(iter(X)), "left_size or right_size"), (lambda: split_dataset(iter(X), 1.5), "between 0 and 1"),
    (lambda: split_dataset(iter(X), 10), "from 1 to 9"), (lambda: PyDataset(workers=0), "workers"),
])  # fmt: skip
def test_refused_in_words(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("make, message", [
    (lambda: Dataset.from_arrays(X, Y), r"from_arrays\(\(x, y\)\)"), (lambda: Dataset((X, Y)), "got tuple. Use Dataset.from_arrays"),
    (lambda: len(Dataset.range(3).repeat()), "no end"), (lambda: len(Dataset.range(3).filter(bool)), "not known"),
])  # fmt: skip
def test_misunderstandings_are_answered(make, message):
    with pytest.raises(TypeError, match=message):
        make()


def test_without_end_until_taken():
    endless = Dataset.range(3).batch(2).repeat()
    assert endless.cardinality() == math.inf and "no end" in repr(endless.map(lambda x: x).batch(2))
    assert len(endless.take(5)) == 5 and endless.skip(2).cardinality() == math.inf
    assert len(Dataset.zip(endless, Dataset.range(4))) == 4


def test_lists_are_arrays_and_lists_of_arrays_are_nests():
    names, labels = zip(*Dataset.from_arrays((["a.png", "b.png"], [0, 1])))
    assert names == ("a.png", "b.png") and labels == (0, 1)
    (batch,) = Dataset.from_arrays([[1, 2], [3, 4]]).batch(2)
    np.testing.assert_array_equal(batch, [[1, 2], [3, 4]])
    assert elements(Dataset.from_arrays(list(Y))) == list(Y)  # NumPy's numbers
    (x, y), *_ = Dataset.from_arrays([X, Y])
    assert x.shape == (4,) and y == 0

    class Frame:  # as pandas' DataFrame and Series
        def __array__(self, dtype=None, copy=None):
            return X

    ((x, _),) = Dataset.from_arrays((Frame(), Y)).batch(10)
    np.testing.assert_array_equal(x, X)


def test_no_step_changes_the_users_data_or_the_cache(tmp_path):
    np.save(tmp_path / "x.npy", X)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r+")
    before = X.copy()
    for source in (X, mapped):
        for dataset in (Dataset.from_arrays(source), Dataset.from_arrays(source).map(np.copy).cache().shuffle(seed=1)):
            for _ in range(2):
                with pytest.raises(ValueError, match="read-only"):
                    list(dataset.map(lambda x: x.fill(0)))
    np.testing.assert_array_equal(X, before)
    np.testing.assert_array_equal(mapped, before)
    assert X.flags.writeable


@pytest.mark.parametrize("seed", [None, 3])
@pytest.mark.parametrize("workers", [0, 1, 2, 4, -1])
def test_layers_draw_the_same_numbers_on_any_number_of_threads(workers, seed):
    def batches(workers):
        set_random_seed(5)
        images = np.arange(10 * 4 * 4 * 3, dtype="float32").reshape(10, 4, 4, 3)
        own, common = layers.RandomFlip(seed=1), layers.RandomTranslation(0.3, 0.3)

        def change(x, *rng):
            return np.asarray(common(own(own(x)))) + (rng[0].random() if rng else 0)

        once = Dataset.from_arrays(images).batch(2).map(change, workers, seed=seed)
        return [np.concatenate(list(once)) for _ in range(2)]

    first, second = batches(None)
    np.testing.assert_array_equal(batches(workers), [first, second])
    assert (first != second).any()


def test_two_maps_draw_different_numbers():
    images = np.random.default_rng(0).random((64, 4, 4, 3), np.float32)
    flip = layers.RandomFlip("horizontal")
    once = Dataset.from_arrays(images).batch(64).map(flip)
    ((twice,), (one,)) = once.map(flip), once
    assert (np.asarray(twice) != images).any() and (
        np.asarray(one) != images
    ).any()  # the second does not undo the first


@pytest.mark.skipif(not hasattr(Exception, "add_note"), reason="Python 3.11 notes where an error came from")
def test_errors_in_a_pipeline_say_where():
    with pytest.raises(ZeroDivisionError) as caught:
        list(Dataset.range(4).map(lambda x: 1 // (2 - int(x)), 2))
    assert "at element 2 of epoch 1" in caught.value.__notes__[0]

    def stream():
        yield X, Y
        raise KeyError("file 7")

    with pytest.raises(KeyError) as caught:
        list(Feed(stream()).epoch(0))
    assert caught.value.__notes__ == ["fit: the data raised this for batch 2 of epoch 1."]
    model = Sequential([layers.Dense(10, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    with pytest.raises(ValueError, match="the label 10") as caught:
        model.fit(iter([(X / 1.0, Y), (X / 1.0, Y + 2)]), verbose=0)
    assert caught.value.__notes__ == ["In batch 2 of epoch 1."]


def test_a_generator_instead_of_its_function_is_refused():
    with pytest.raises(TypeError, match="without calling it"):
        Dataset.from_generator(iter([1]))


class Squares(PyDataset):
    def __init__(self, **options):
        super().__init__(**options)
        self.begun = self.ended = 0

    def __len__(self):
        return 7

    def __getitem__(self, index):
        return np.full((2, 1), index**2), np.full(2, index)

    def on_epoch_begin(self):
        self.begun += 1

    def on_epoch_end(self):
        self.ended += 1


@pytest.mark.parametrize("options", [{}, {"workers": 3}, {"workers": 2, "max_queue_size": 1}])
def test_a_data_set_by_batch_number_keeps_its_order(options):
    data = Squares(**options)
    feed = Feed(data)
    assert feed.known == 7
    for epoch in range(2):
        assert [int(x[0, 0]) for x, _, _ in feed.epoch(epoch)] == [i**2 for i in range(7)]
    assert (data.begun, data.ended) == (2, 2)


def test_a_data_set_that_lacks_methods_says_which():
    with pytest.raises(NotImplementedError, match="__len__"):
        len(PyDataset())
    with pytest.raises(NotImplementedError, match="__getitem__"):
        PyDataset()[0]


class Loader:
    """A plain iterable, as PyTorch's DataLoader is."""

    def __len__(self):
        return 3

    def __iter__(self):
        return iter([[X[:4], Y[:4]], [X[4:8], Y[4:8]], [X[8:], Y[8:]]])


def test_what_a_stream_is():
    assert all(map(is_stream, [Dataset.range(3), Squares(), Loader(), iter([]), (i for i in [])]))
    assert not any(map(is_stream, [X, [X, X], (X, X), {"a": X}, None, 3, [1, 2]]))


def test_epochs_of_iterables():
    feed = Feed(Loader())
    assert feed.known == 3
    assert [[int(y[0]) for _, y, _ in feed.epoch(i)] for i in range(2)] == [[0, 4, 8]] * 2
    feed = Feed(Loader(), steps=2)  # goes on where the last epoch ended, and starts anew at its end
    assert [[int(y[0]) for _, y, _ in feed.epoch(i)] for i in range(3)] == [[0, 4], [8, 0], [4, 8]]
    feed = Feed(((X, Y) for _ in range(3)), steps=2)
    assert len(list(feed.epoch(0))) == 2
    with pytest.warns(UserWarning, match="ended after 1 batches of epoch 2"):
        assert len(list(feed.epoch(1))) == 1
    assert feed.ended
    with pytest.raises(ValueError, match="no batch at all"):
        list(Feed(Dataset.range(0)).epoch(0))
    ((x, y, weight),) = Feed(Dataset.from_generator(lambda: iter([(X, None)]))).epoch(0)
    assert x is X and y is weight is None
    with pytest.raises(ValueError, match="batch 1 has 4 parts"):
        list(Feed(iter([(X, Y, Y, Y)])).epoch(0))


def test_windows_of_a_series():
    series = np.arange(12)
    batches = list(
        timeseries_dataset_from_array(series, series * 10, 3, sequence_stride=2, sampling_rate=2, batch_size=3)
    )
    np.testing.assert_array_equal(batches[0][0], [[0, 2, 4], [2, 4, 6], [4, 6, 8]])
    np.testing.assert_array_equal(batches[1][1], [60])
    (only,) = timeseries_dataset_from_array(series, None, 2, start_index=4, end_index=8)
    np.testing.assert_array_equal(only, [[4, 5], [5, 6], [6, 7]])
    wide = timeseries_dataset_from_array(
        np.arange(600), None, np.uint8(3), sampling_rate=np.uint8(200), batch_size=None
    )
    np.testing.assert_array_equal(next(iter(wide)), [0, 200, 400])
    shuffled = timeseries_dataset_from_array(series, None, 2, batch_size=None, shuffle=True, seed=1)
    assert sorted(int(window[0]) for window in shuffled) == list(range(11))


def test_parts_of_a_data_set():
    for whole in (Dataset.from_arrays(X), iter(X)):
        left, right = split_dataset(whole, left_size=0.7)
        np.testing.assert_array_equal(np.stack(list(left)), X[:7])
        np.testing.assert_array_equal(np.stack(list(right)), X[7:])
    left, right = split_dataset(Dataset.from_arrays((X, Y)), right_size=4, shuffle=True, seed=1)
    assert sorted(elements(left) + elements(right)) == list(range(10)) and len(right) == 4
