"""fastconv.data: pipelines, data sets by batch number, windows of series, folders of images, downloads."""

import numpy as np
import pytest

from fastconv.data import Dataset, PyDataset
from fastconv.data.ahead import ahead
from fastconv.data.feeding import Feed, is_stream
from fastconv.data.series import timeseries_dataset_from_array
from fastconv.utils import set_random_seed, split_dataset

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


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_random_maps_give_the_same_numbers_on_any_number_of_threads(workers):
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


def test_working_ahead_raises_in_place_and_ends_when_nobody_asks():
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
    run = ahead(source(), 1)
    assert next(run) == 0
    run.close()
    assert closed == [True, True]


@pytest.mark.parametrize("make, message", [
    (lambda: Dataset.from_arrays((X, Y[:3])), "equally many rows"),
    (lambda: Dataset.from_arrays(3), "single value"),
    (lambda: Dataset.range(3).batch(0), "batch_size must be a whole number of at least 1; got 0"),
    (lambda: Dataset.range(3).batch(2.5), "batch_size"), (lambda: Dataset.range(3).shuffle(0), "buffer_size"),
    (lambda: Dataset.range(3).map(abs, 0), "num_parallel_calls"),
    (lambda: list(Dataset.range(3).map(lambda y: np.zeros(y)).batch(3)), "one shape"),
    (lambda: timeseries_dataset_from_array(Y, None, 11), "No window of 11"),
    (lambda: split_dataset(iter(X)), "left_size or right_size"), (lambda: split_dataset(iter(X), 1.5), "between 0 and 1"),
    (lambda: split_dataset(iter(X), 10), "from 1 to 9"), (lambda: PyDataset(workers=0), "workers"),
])  # fmt: skip
def test_refused_in_words(make, message):
    with pytest.raises(ValueError, match=message):
        make()


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
    shuffled = timeseries_dataset_from_array(series, None, 2, batch_size=None, shuffle=True, seed=1)
    assert sorted(int(window[0]) for window in shuffled) == list(range(11))


def test_parts_of_a_data_set():
    for whole in (Dataset.from_arrays(X), iter(X)):
        left, right = split_dataset(whole, left_size=0.7)
        np.testing.assert_array_equal(np.stack(list(left)), X[:7])
        np.testing.assert_array_equal(np.stack(list(right)), X[7:])
    left, right = split_dataset(Dataset.from_arrays((X, Y)), right_size=4, shuffle=True, seed=1)
    assert sorted(elements(left) + elements(right)) == list(range(10)) and len(right) == 4
