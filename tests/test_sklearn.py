"""Estimators: scikit-learn's own checks, parameters, targets, copies, refusals; the networks of time series; Keras' wrappers.

Contract: seeded data of a few samples; networks of a few weights.
"""

import pathlib
import pickle
import random

import numpy as np
import pytest

import fastconv
from fastconv import Input, Sequential, layers, losses, sklearn, wrappers
from fastconv.callbacks import EarlyStopping, LambdaCallback
from fastconv.sklearn import FastConvClassifier, FastConvRegressor, networks
from fastconv.sklearn.series import SeriesClassifier

pytest.importorskip("sklearn")
import joblib  # noqa: E402
from sklearn.base import clone  # noqa: E402
from sklearn.model_selection import GridSearchCV, cross_val_score  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402
from sklearn.utils.estimator_checks import (  # noqa: E402
    check_sample_weight_equivalence_on_dense_data,
    parametrize_with_checks,
)

SERIES = {
    "FCNClassifier": {"filters": (8, 8, 8)},
    "ResNetClassifier": {"filters": (4, 8)},
    "InceptionTimeClassifier": {"filters": 4, "depth": 3, "kernel_size": 8, "bottleneck": 4},
    "LITETimeClassifier": {"filters": 4},
}


class SmallSeries(SeriesClassifier):
    """A network that learns in the few steps that the checks' data give; what is checked is what becomes of X."""

    _made_by = staticmethod(networks.small)


def unequal_by_design(estimator):
    reason = "a weight of 2 is not a sample that is drawn twice, where batches are drawn, as in scikit-learn's SGD"
    return {"check_sample_weight_equivalence_on_dense_data": reason}


@pytest.mark.filterwarnings("ignore:Skipping check")
@parametrize_with_checks(
    [FastConvClassifier(), FastConvRegressor(), SmallSeries(epochs=40, batch_size=16)],
    expected_failed_checks=unequal_by_design,
)
def test_scikit_learns_own_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize("estimator", [FastConvClassifier(batch_size=100), FastConvRegressor(batch_size=100)])
def test_a_weight_of_two_is_a_sample_that_is_there_twice(estimator, monkeypatch):
    """In whole batches, with which scikit-learn checks its own networks, too; in float64, for it allows 1e-7."""
    monkeypatch.setattr(fastconv.config._settings, "floatx", "float64")
    check_sample_weight_equivalence_on_dense_data(type(estimator).__name__, estimator)


# Data and networks


def rows(classes=3, count=60, kind=str):
    """(X, y): a heap of points for each class; labels "a", "b", ..."""
    rng = np.random.default_rng(0)
    numbers = np.arange(count) % classes
    x = rng.normal(size=(count, 4)) * 0.3 + rng.normal(size=(classes, 4))[numbers] * 2
    return x, np.array(list("abcdefgh"))[numbers] if kind is str else numbers


def images(rank=2, count=24):
    """Bright and dark pictures, "light" and "dark"."""
    rng = np.random.default_rng(0)
    light = np.arange(count) % 2
    x = rng.random((count, *(6,) * rank, 2)) + light.reshape(-1, *(1,) * (rank + 1))
    return x, np.array(["dark", "light"])[light]


def series(count=20, channels=2, steps=24):
    """(X, y), channels first: slow and fast waves."""
    rng = np.random.default_rng(0)
    fast = np.arange(count) % 2
    x = np.sin(np.arange(steps) * (0.3 + 1.2 * fast[:, None, None]) + rng.random((count, channels, 1)))
    return x, np.where(fast, "fast", "slow")


def net(input_shape, outputs, units=8, activation="softmax"):
    return [layers.Dense(units, activation="relu"), layers.Dense(outputs, activation=activation)]


def compiled(activation="softmax", outputs=3, loss="categorical_crossentropy"):
    model = Sequential([Input((4,)), *net(None, outputs, activation=activation)])
    model.compile(fastconv.optimizers.Adam(0.02), loss, metrics=["accuracy"])
    return model


def quick(**parameters):
    return FastConvClassifier(**{"epochs": 8, "optimizer__learning_rate": 0.02, "random_state": 0, **parameters})


# What models, losses and targets may be

MODELS = {
    "none": {},
    "function": {"model": net},
    "its arguments": {"model": net, "model__units": 16},
    "function of a model": {"model": lambda shape, n: Sequential([Input(shape), *net(shape, n)])},
    "model": {"model": compiled()},
    "one-hot": {"loss": "categorical_crossentropy"},
    "loss object": {"loss": losses.CategoricalFocalCrossentropy()},
    "squares": {"loss": "mse"},
    "logits": {
        "model": net,
        "model__activation": None,
        "loss": losses.SparseCategoricalCrossentropy(from_logits=True),
    },
    "optimizer": {"optimizer": fastconv.optimizers.SGD(0.1, momentum=0.9)},
    "schedule": {"optimizer": "sgd", "optimizer__learning_rate": fastconv.schedules.CosineDecay(0.3, 100)},
    "callbacks": {"callbacks": [EarlyStopping("val_loss", 0, 3)], "validation_split": 0.2, "metrics": ["accuracy"]},
}


@pytest.mark.parametrize("parameters", MODELS.values(), ids=MODELS)
def test_classes_are_learned(parameters):
    x, y = rows()
    model = clone(quick(**parameters)).fit(x, y)
    assert list(model.classes_) == ["a", "b", "c"] and model.n_features_in_ == 4
    assert model.score(x, y) > 0.9
    shares = model.predict_proba(x)
    assert shares.dtype == np.float64 and np.allclose(shares.sum(axis=1), 1)
    assert (model.classes_[shares.argmax(axis=1)] == model.predict(x)).all()


@pytest.mark.parametrize("loss", ["binary_crossentropy", losses.BinaryCrossentropy(from_logits=True)], ids=str)
def test_one_output_tells_two_classes(loss):
    x, y = rows(2)
    activation = "sigmoid" if isinstance(loss, str) else None
    model = quick(model=lambda shape, n: net(shape, 1, activation=activation), loss=loss).fit(x, y)
    assert model.score(x, y) > 0.9
    assert (model.classes_[model.predict_proba(x).argmax(axis=1)] == model.predict(x)).all()


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_the_default_network_goes_by_rank(rank):
    x, y = images(rank)
    assert quick(epochs=40).fit(x, y).score(x, y) > 0.9


@pytest.mark.parametrize("targets", [0, 1, 3])
def test_numbers_are_learned_in_the_shape_of_y(targets):
    x, _ = rows()
    y = x @ np.random.default_rng(1).normal(size=(4, targets) if targets else 4) / 2
    model = FastConvRegressor(random_state=0, optimizer__learning_rate=0.01).fit(x, y)
    assert model.predict(x).shape == y.shape and model.predict(x).dtype == np.float64
    assert model.score(x, y) > 0.9


def test_weights_of_samples_and_classes_weigh():
    x, y = rows(2)
    wrong = np.where(y == "a", "b", "a")
    both, labels = np.concatenate([x, x]), np.concatenate([y, wrong])
    weights = np.repeat([1.0, 0.0], len(x))
    assert quick().fit(both, labels, sample_weight=weights).score(x, y) > 0.9
    assert (quick(class_weight={"a": 1.0, "b": 0.0}).fit(both, labels).predict(x) == "a").all()
    equal = quick(class_weight="balanced").fit(x, y).predict_proba(x)
    assert (equal == quick().fit(x, y).predict_proba(x)).all()


# Seeds, copies, going on


def test_one_seed_gives_one_result_and_leaves_the_streams_alone():
    x, y = rows()
    model = quick(model=lambda shape, n: [layers.Dropout(0.3), *net(shape, n)])
    fastconv.utils.set_random_seed(5)
    expected = np.random.random(), random.random(), fastconv.random.normal((2,)).numpy()
    fastconv.utils.set_random_seed(5)
    first = model.fit(x, y).predict_proba(x)
    found = np.random.random(), random.random(), fastconv.random.normal((2,)).numpy()
    assert expected[:2] == found[:2] and (expected[2] == found[2]).all()
    assert (first == model.fit(x, y).predict_proba(x)).all()
    assert (first != clone(model).set_params(random_state=1).fit(x, y).predict_proba(x)).any()


def test_fits_on_threads_are_the_same_fits():
    x, y = rows()
    found = joblib.Parallel(2, "threading")(
        joblib.delayed(lambda: quick().fit(x, y).predict_proba(x))() for _ in range(4)
    )
    assert all((part == found[0]).all() for part in found)


@pytest.mark.parametrize("copied", ["pickle", "joblib"])
def test_copies_answer_alike_and_go_on(copied, tmp_path):
    x, y = rows()
    model = quick(model=net, callbacks=[EarlyStopping("loss", 0, 3)], warm_start=True).fit(x, y)
    if copied == "pickle":
        other = pickle.loads(pickle.dumps(model))
    else:
        joblib.dump(model, tmp_path / "model.joblib")
        other = joblib.load(tmp_path / "model.joblib")
    assert (other.predict_proba(x) == model.predict_proba(x)).all() and other.history_ == model.history_
    assert (other.fit(x, y).predict_proba(x) == model.fit(x, y).predict_proba(x)).all()


def test_clones_have_the_parameters_and_nothing_learned():
    model = quick(model__units=5).fit(*rows())
    copy = clone(model)
    assert copy.get_params() == model.get_params() and copy.get_params()["optimizer__learning_rate"] == 0.02
    assert not hasattr(copy, "models_") and not hasattr(copy, "model_")


def test_what_was_given_stays_as_it_was():
    x, y = rows()
    given, optimizer, seen = compiled(), fastconv.optimizers.Adam(0.02), []
    callback = LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(epoch))
    before = given.get_weights()
    model = quick(model=given, optimizer=optimizer, callbacks=[callback], epochs=2).fit(x, y)
    assert all((a == b).all() for a, b in zip(before, given.get_weights()))
    assert optimizer.iterations == 0 and model.model_.optimizer.iterations == 4
    assert seen == [0, 1] and getattr(callback, "model", None) is None


def test_warm_starts_and_parts_go_on():
    x, y = rows()
    model = quick(warm_start=True, epochs=2)
    steps = [int(model.fit(x, y).model_.optimizer.iterations) for _ in range(2)]
    assert steps == [4, 8]
    model.partial_fit(x[:32], y[:32])
    assert model.model_.optimizer.iterations == 9
    model = quick()
    for _ in range(8):
        model.partial_fit(x, y, classes=["a", "b", "c", "z"])
    assert model.score(x, y) > 0.9 and model.predict_proba(x).shape == (60, 4)
    numbers = FastConvRegressor(random_state=0).partial_fit(x, x[:, 0]).partial_fit(x, x[:, 0])
    assert numbers.model_.optimizer.iterations == 4


def test_ensembles_grow_by_a_warm_start():
    x, y = series()
    model = sklearn.LITETimeClassifier(1, epochs=1, random_state=0, warm_start=True).fit(x, y)
    model.set_params(n_classifiers=2).fit(x, y)
    assert [int(network.optimizer.iterations) for network in model.models_] == [2, 1]


def test_pipelines_and_searches():
    x, y = rows()
    pipe = make_pipeline(StandardScaler(), quick(model=net))
    assert cross_val_score(pipe, x, y, cv=3).mean() > 0.9
    grid = {"fastconvclassifier__optimizer__learning_rate": [0.0, 0.02], "fastconvclassifier__model__units": [4, 8]}
    search = GridSearchCV(pipe, grid, cv=2, n_jobs=2).fit(x, y)
    assert search.best_params_["fastconvclassifier__optimizer__learning_rate"] == 0.02
    assert search.score(x, y) > 0.9


# Refusals


def ragged():
    return [np.zeros((2, 5)), np.zeros((2, 7))] * 5


X, Y = rows()
REFUSED = {
    "unknown parameter": (lambda: FastConvClassifier(epoch=3), TypeError, "epochs"),
    "unknown in set_params": (lambda: quick().set_params(epoch=3), ValueError, "'epochs'"),
    "unknown of optimizer": (
        lambda: quick(optimizer__learning_rat=1).fit(X, Y),
        TypeError,
        "Adam has no argument 'learning_rat'.*'learning_rate'",
    ),
    "one class": (lambda: quick().fit(X, ["a"] * 60), ValueError, "two classes; y holds one class: .*'a'"),
    "numbers": (lambda: quick().fit(X, X[:, 0]), ValueError, "continuous"),
    "one-hot": (lambda: quick().fit(X, np.eye(3)[np.arange(60) % 3]), ValueError, "argmax"),
    "one axis": (lambda: quick().fit(X[:, 0], Y), ValueError, "Reshape your data"),
    "NaN": (lambda: quick().fit(X * np.nan, Y), ValueError, "NaN"),
    "too large": (lambda: quick().fit(X * 1e300, Y), ValueError, "too large for dtype"),
    "outputs": (lambda: quick(model=lambda s, n: net(s, 5)).fit(X, Y), ValueError, "5 outputs, and y holds 3 classes"),
    "outputs in maps": (
        lambda: quick(model=lambda s, n: [layers.Conv2D(n, 1)]).fit(*images()),
        ValueError,
        "one output of shape",
    ),
    "no model": (lambda: quick(model=3).fit(X, Y), TypeError, "model must be None, a Model or a function"),
    "a layer": (lambda: quick(model=layers.Dense(3)).fit(X, Y), TypeError, "model must be None, a Model or a function"),
    "argument of the function": (lambda: quick(model__unit=3).fit(X, Y), TypeError, "'unit'.*'units'"),
    "no networks": (lambda: sklearn.LITETimeClassifier(0).fit(*series()), ValueError, "n_classifiers must be"),
    "nothing returned": (lambda: quick(model=lambda s, n: None).fit(X, Y), TypeError, "it returned None"),
    "arguments of a model": (lambda: quick(model=compiled(), model__units=3).fit(X, Y), ValueError, "model__units"),
    "rank": (lambda: quick().fit(np.zeros((6, 1, 1, 1, 1, 1)), Y[:6]), ValueError, "no default model"),
    "validation": (lambda: quick(validation_split=1.0).fit(X, Y), ValueError, "validation_split must be"),
    "fewer held out than classes": (
        lambda: quick(validation_split=0.03).fit(X, Y),
        ValueError,
        "validation_split=0.03 of 60 .* classes",
    ),
    "epochs": (lambda: quick(epochs=0).fit(X, Y), ValueError, "epochs must be"),
    "other shape": (
        lambda: quick(epochs=1).fit(*images()).predict(np.zeros((2, 6, 5, 2))),
        ValueError,
        "samples of shape",
    ),
    "rows, then images": (
        lambda: quick(epochs=1).fit(X, Y).predict(np.zeros((5, 8, 8, 1))),
        ValueError,
        r"samples of shape \(8, 8, 1\), but FastConvClassifier was fitted to samples of shape \(4,\)",
    ),
    "images, then rows": (
        lambda: quick(epochs=1).fit(np.zeros((60, 8, 8, 1)), Y).predict(np.zeros((5, 64))),
        ValueError,
        r"samples of shape \(64,\), but FastConvClassifier was fitted to samples of shape \(8, 8, 1\)",
    ),
    "no classes": (lambda: quick().partial_fit(X, Y), ValueError, "classes"),
    "new class": (
        lambda: quick(epochs=1, warm_start=True).fit(X, Y).fit(X, np.full(60, "z")),
        ValueError,
        "'z', which is none of",
    ),
    "new targets": (
        lambda: FastConvRegressor(epochs=1, warm_start=True).fit(X, X).fit(X, X[:, 0]),
        ValueError,
        "targets of shape",
    ),
    "no probabilities": (
        lambda: quick(model=net, model__activation=None, loss="mse").fit(X, Y).predict_proba(X),
        ValueError,
        "no probabilities",
    ),
    "weights": (lambda: quick().fit(X, Y, sample_weight=np.ones(3)), ValueError, "sample_weight"),
    "all weights 0": (lambda: quick().fit(X, Y, sample_weight=np.zeros(60)), ValueError, "are 0|non-zero"),
    "lengths": (lambda: sklearn.FCNClassifier().fit(ragged(), list("ab") * 5), ValueError, "2 lengths, 5 to 7"),
    "epochs of series": (lambda: sklearn.FCNClassifier("many").fit(*series()), TypeError, "epochs must be"),
    "network": (lambda: sklearn.FCNClassifier(model=net), TypeError, "no argument 'model'"),
    "not compiled": (
        lambda: wrappers.SKLearnClassifier(Sequential([Input((4,)), layers.Dense(3)])).fit(X, Y),
        ValueError,
        "compiled",
    ),
    "wrapped nothing": (lambda: wrappers.SKLearnRegressor("adam").fit(X, X), TypeError, "model must be"),
    "wrapped one class": (lambda: wrappers.SKLearnClassifier(compiled()).fit(X, ["a"] * 60), ValueError, "two classes"),
    "arguments of a wrapped model": (
        lambda: wrappers.SKLearnRegressor(compiled(), model_kwargs={"a": 1}).fit(X, X),
        ValueError,
        "model_kwargs",
    ),
}


@pytest.mark.parametrize("call, kind, text", REFUSED.values(), ids=REFUSED)
def test_refusals(call, kind, text):
    with pytest.raises(kind, match=text):
        call()


def test_sparse_input_is_refused():
    scipy_sparse = pytest.importorskip("scipy.sparse")
    with pytest.raises(TypeError, match="[Ss]parse"):
        quick().fit(scipy_sparse.csr_array(X), Y)


# Time series


@pytest.mark.parametrize("name", SERIES)
def test_series_are_told_apart(name):
    x, y = series()
    model = getattr(sklearn, name)(
        epochs=30, batch_size=8, random_state=0, **{f"model__{key}": value for key, value in SERIES[name].items()}
    )
    if "Time" in name:
        model.set_params(n_classifiers=2)
    model.fit(x, y)
    assert model.score(x, y) > 0.9
    assert len(model.models_) == (2 if "Time" in name else 1)
    other = pickle.loads(pickle.dumps(model))
    assert (other.predict_proba(x) == model.predict_proba(x)).all()
    assert np.allclose(
        model.predict_proba(x), np.mean([m.predict(x.transpose(0, 2, 1)) for m in model.models_], axis=0)
    )


@pytest.mark.filterwarnings("ignore")  # of aeon's
def test_aeons_data_are_taken_as_they_are():
    load = pytest.importorskip("aeon.datasets").load_classification
    model = sklearn.FCNClassifier(epochs=30, random_state=0).fit(*load("ItalyPowerDemand", split="train"))
    assert list(model.classes_) == ["1", "2"]
    assert model.score(*load("ItalyPowerDemand", split="test")) > 0.94


@pytest.mark.parametrize(
    "name,kind,epochs",
    [
        ("ItalyPowerDemand", "FCNClassifier", 200), ("ItalyPowerDemand", "ResNetClassifier", 200),
        ("GunPoint", "FCNClassifier", 300), ("JapaneseVowels", "FCNClassifier", 100),
    ],
)  # fmt: skip
def test_accuracies_are_within_a_point_of_the_published(name, kind, epochs, monkeypatch):
    """The rows of docs/sklearn.md that take seconds; `python -m benchmarks series` trains the others, for hours."""
    pytest.importorskip("aeon")
    monkeypatch.syspath_prepend(pathlib.Path(__file__).parent.parent)  # benchmarks are no package that is installed
    table = pytest.importorskip("benchmarks.series")
    x, y, x_test, y_test = table.data(name)
    found = getattr(sklearn, kind)(epochs=epochs, random_state=0).fit(x, y).score(x_test, y_test)
    assert found > table.PUBLISHED[name][table.CLASSIFIERS.index(kind)] - 0.01


def test_normalization_ends_with_the_statistics_of_all_samples():
    """After few steps, where moving averages have hardly moved; batches of equal size, whose means are the mean."""
    x, y = series()
    for size in (20, 5):
        model = sklearn.FCNClassifier(1, size, model__filters=(4,), model__kernel_size=(3,), random_state=0).fit(x, y)
        convolution, normalization = model.model_.layers[1:3]
        maps = convolution(np.asarray(x.transpose(0, 2, 1), "float32")).numpy()
        assert np.allclose(normalization.moving_mean.numpy(), maps.mean(axis=(0, 1)), atol=1e-5)
        assert normalization.momentum == 0.99
        variances = [part.var(axis=(0, 1)) for part in np.split(maps, len(x) // size)]
        assert np.allclose(normalization.moving_variance.numpy(), np.mean(variances, axis=0), rtol=1e-3)


def test_one_channel_may_be_left_out():
    x, y = series(channels=1)
    model = SmallSeries(epochs=2, random_state=0).fit(x, y)
    for form in (x[:, 0], list(x), x.tolist()):
        assert (model.predict_proba(form) == model.predict_proba(x)).all()
    assert (SmallSeries(epochs=2, random_state=0).fit(x[:, 0], y).predict_proba(x) == model.predict_proba(x)).all()


# Keras' wrappers


def by_kwargs(X, y, units=8, loss="categorical_crossentropy", activation="softmax"):
    model = Sequential([Input(X.shape[1:]), *net(None, y.shape[1], units, activation)])
    model.compile(fastconv.optimizers.Adam(0.02), loss)
    return model


def unlike_keras(estimator):
    """What Keras' wrappers do not do either."""
    twice = dict.fromkeys(
        ("check_classifier_data_not_an_array", "check_regressor_data_not_an_array", "check_regressors_int",
         "check_supervised_y_2d", "check_fit_idempotent"), "every fit draws other weights",
    )  # fmt: skip
    columns = dict.fromkeys(
        ("check_classifiers_train", "check_classifiers_classes"), "decision_function has two columns for two classes"
    )
    weights = {"check_classifiers_one_label_sample_weights": "a class of weight 0 is a class"}
    return twice | (columns | weights if isinstance(estimator, wrappers.SKLearnClassifier) else {})


NUMBERS = {"loss": "mse", "activation": None}


@pytest.mark.filterwarnings("ignore:Skipping check")
@parametrize_with_checks(
    [
        wrappers.SKLearnClassifier(by_kwargs, fit_kwargs={"verbose": 0}),
        wrappers.SKLearnRegressor(by_kwargs, model_kwargs=NUMBERS, fit_kwargs={"verbose": 0}),
        wrappers.SKLearnTransformer(by_kwargs, model_kwargs=NUMBERS, fit_kwargs={"verbose": 0}),
    ],
    expected_failed_checks=unlike_keras,
)
def test_scikit_learns_checks_of_keras_wrappers(estimator, check):
    check(estimator)


def test_keras_classifier():
    fastconv.utils.set_random_seed(0)
    model = wrappers.SKLearnClassifier(by_kwargs, model_kwargs={"units": 16}, fit_kwargs={"epochs": 1, "verbose": 0})
    model.fit(X, Y, epochs=8)
    assert model.score(X, Y) > 0.9 and list(model.classes_) == ["a", "b", "c"]
    assert len(model.history_.epoch) == 8 and model.fit_kwargs == {"epochs": 1, "verbose": 0}
    assert model.decision_function(X).shape == (60, 3)
    assert clone(model).get_params() == model.get_params()


def test_keras_regressor_and_transformer():
    fastconv.utils.set_random_seed(0)
    arguments = {"model_kwargs": NUMBERS, "fit_kwargs": {"epochs": 60, "verbose": 0}}
    model = wrappers.SKLearnRegressor(by_kwargs, **arguments).fit(X, X[:, 0])
    assert model.predict(X).shape == (60,) and model.score(X, X[:, 0]) > 0.9
    assert model.fit(X, X[:, :2]).predict(X).shape == (60, 2)
    step = wrappers.SKLearnTransformer(by_kwargs, **arguments)
    assert step.fit_transform(X, X[:, :2]).shape == (60, 2)


def test_keras_warm_start_trains_the_given_model():
    given = compiled()
    cold = wrappers.SKLearnClassifier(given, fit_kwargs={"verbose": 0}).fit(X, Y)
    assert cold.model_ is not given and given.optimizer.iterations == 0
    warm = wrappers.SKLearnClassifier(given, warm_start=True, fit_kwargs={"verbose": 0}).fit(X, Y).fit(X, Y)
    assert warm.model_ is given and given.optimizer.iterations == 4
