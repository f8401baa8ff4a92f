"""fit, evaluate and predict on iterables of batches: the same bits as on the arrays that the batches come from."""

import itertools

import numpy as np
import pytest

from fastconv import Input, Sequential, layers, losses
from fastconv.data import Dataset, PyDataset
from fastconv.utils import set_random_seed

X = np.random.default_rng(0).standard_normal((20, 6, 6, 1)).astype("float32")
Y = np.arange(20) % 3
W = np.linspace(0.5, 1.5, 20, dtype="float32")


def network():
    set_random_seed(0)
    model = Sequential([Input((6, 6, 1)), layers.Conv2D(4, 3, activation="relu"), layers.Flatten(), layers.Dense(3)])
    model.compile("adam", losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    return model


def cut(size=8, weights=False):
    for start in range(0, 20, size):
        rows = slice(start, start + size)
        yield (X[rows], Y[rows], W[rows]) if weights else (X[rows], Y[rows])


class Numbered(PyDataset):
    def __len__(self):
        return 3

    def __getitem__(self, index):
        return list(cut())[index]


class Loader:
    """Batches as lists, a fresh pass each time, as PyTorch's DataLoader."""

    def __iter__(self):
        return map(list, cut())


STREAMS = {
    "Dataset": lambda: Dataset.from_arrays((X, Y)).batch(8),
    "mapped": lambda: Dataset.from_arrays((X, Y)).batch(8).map(lambda x, y: (x, y), 2).prefetch(2),
    "PyDataset": Numbered, "workers": lambda: Numbered(workers=2), "DataLoader": Loader,
}  # fmt: skip


@pytest.mark.parametrize("kind", STREAMS)
def test_streams_train_as_arrays_do(kind):
    arrays, stream = network(), network()
    expected = arrays.fit(X, Y, batch_size=8, epochs=3, shuffle=False, verbose=0, validation_data=(X, Y))
    given = stream.fit(
        STREAMS[kind](), epochs=3, verbose=0, validation_data=STREAMS[kind](), validation_steps=3
    )  # fmt: skip
    for name, values in expected.history.items():
        if not name.startswith("val_"):  # validated in other batches
            assert given.history[name] == values
    np.testing.assert_allclose(given.history["val_loss"], expected.history["val_loss"], rtol=1e-6)
    for one, other in zip(arrays.get_weights(), stream.get_weights()):
        np.testing.assert_array_equal(one, other)
    assert stream.evaluate(STREAMS[kind](), verbose=0) == arrays.evaluate(X, Y, batch_size=8, verbose=0)
    np.testing.assert_array_equal(stream.predict(STREAMS[kind]()), arrays.predict(X, batch_size=8))


def test_a_generator_goes_on_from_epoch_to_epoch():
    arrays, stream = network(), network()
    arrays.fit(X, Y, batch_size=8, epochs=2, shuffle=False, verbose=0)
    endless = itertools.chain.from_iterable(cut() for _ in itertools.count())
    history = stream.fit(endless, steps_per_epoch=2, epochs=3, verbose=0)
    assert len(history.epoch) == 3
    for one, other in zip(arrays.get_weights(), stream.get_weights()):
        np.testing.assert_array_equal(one, other)


def test_a_data_set_by_number_is_told_of_each_epoch():
    told = []

    class Told(Numbered):
        def on_epoch_begin(self):
            told.append("begin")

        def on_epoch_end(self):
            told.append("end")

    network().fit(Told(), epochs=2, verbose=0)
    assert told == ["begin", "end"] * 2


def test_weights_of_samples_and_classes_come_with_batches():
    arrays, stream = network(), network()
    arrays.fit(X, Y, batch_size=8, shuffle=False, verbose=0, sample_weight=W)
    stream.fit(cut(weights=True), verbose=0)
    for one, other in zip(arrays.get_weights(), stream.get_weights()):
        np.testing.assert_array_equal(one, other)
    arrays.fit(X, Y, batch_size=8, shuffle=False, verbose=0, class_weight={0: 2.0})
    stream.fit(cut(), verbose=0, class_weight={0: 2.0})
    for one, other in zip(arrays.get_weights(), stream.get_weights()):
        np.testing.assert_array_equal(one, other)


def test_a_generator_that_ends_early_ends_training():
    with pytest.warns(UserWarning, match="ended after 1 batches of epoch 2"):
        history = network().fit(cut(), steps_per_epoch=2, epochs=5, verbose=0)
    assert len(history.epoch) == 2


def test_an_epoch_without_a_batch_is_none():
    with pytest.warns(UserWarning, match="fit: the data ended after 0 batches of epoch 2.*Training ends here"):
        history = network().fit(iter([(X, Y)]), epochs=5, verbose=0)
    assert history.epoch == [0] and len(history.history["loss"]) == 1


def test_a_validation_without_a_batch_has_no_values():
    with pytest.warns(UserWarning, match="validation: the data ended after 0 batches(?!.*Training ends)"):
        history = network().fit(X, Y, validation_data=iter([(X, Y)]), epochs=3, verbose=0)
    assert len(history.history["loss"]) == 3 and len(history.history["val_loss"]) == 1


def test_a_model_without_an_input_shape_is_built_by_the_first_batch():
    model = Sequential([layers.Flatten(), layers.Dense(3)])
    model.compile("sgd", losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(cut(), verbose=0)
    assert model.predict(X).shape == (20, 3)


@pytest.mark.parametrize("call, message", [
    (lambda m: m.fit(cut(), Y), "fit: y goes with arrays"), (lambda m: m.evaluate(cut(), Y), "y goes with arrays"),
    (lambda m: m.fit(cut(), validation_split=0.2), "validation_split goes with arrays"),
    (lambda m: m.fit(cut(), sample_weight=W), "sample_weight goes with arrays"),
    (lambda m: m.fit(iter([(X[:8], Y[:8]), (X[:8, :5], Y[:8])]), verbose=0), "Batch 2 of the data: "),
    (lambda m: m.fit(iter([(X[:8], Y[:7])]), verbose=0), "Batch 1 of the data: .*8 samples and y has 7"),
    (lambda m: m.fit(iter([X[:8]]), verbose=0), "Batch 1 of the data: .*targets y are missing"),
    (lambda m: m.fit(Dataset.range(0), verbose=0), "no batch at all"),
])  # fmt: skip
def test_refused_in_words(call, message):
    model = network()
    with pytest.raises(ValueError, match=message):
        call(model)


@pytest.mark.parametrize("shape", [(20,), (20, 1)])
def test_losses_of_ones_own_get_targets_of_the_outputs_rank(shape):
    seen = []

    def loss(y_true, y_pred):
        seen.append((len(y_true.shape), len(y_pred.shape)))
        return (y_true - y_pred) ** 2

    model = Sequential([Input((4,)), layers.Dense(1)])
    model.compile("sgd", loss)
    value = model.evaluate(X.reshape(20, 36)[:, :4], W.reshape(shape), verbose=0)
    expected = np.mean((model.predict(X.reshape(20, 36)[:, :4])[:, 0] - W) ** 2)
    assert {(2, 2)} == set(seen) and value == pytest.approx(float(expected), rel=1e-5)


def test_steps_that_a_mask_leaves_out_do_not_count():
    x = np.array([[[1.0], [2.0], [0.0]], [[3.0], [0.0], [0.0]]], "float32")
    model = Sequential([Input((3, 1)), layers.Masking(), layers.Dense(1, kernel_initializer="ones")])
    model.compile("sgd", "mse")
    assert model.evaluate(x, np.zeros((2, 3, 1)), verbose=0) == pytest.approx((1 + 4 + 9) / 3)
