"""Metrics against values of Keras 3.15 on JAX, over unequal batches, weighted and not; names, states, errors."""

import json

import numpy as np
import pytest

from fastconv import Tensor, losses, metrics

rng = np.random.default_rng(1)
target, logits = rng.standard_normal((2, 6, 4)).astype("float32")
chances = rng.uniform(0.1, 0.9, (6, 4)).astype("float32")
shares = chances / chances.sum(-1, keepdims=True)
labels = np.array([0, 3, 1, 2, 2, 0])
one_hot = np.eye(4, dtype="float32")[labels]
bits = rng.integers(0, 2, (6, 4)).astype("float32")
weights = np.array([1, 2, 0.5, 0, 1, 3], "float32")
pixels, maps = rng.integers(0, 3, (2, 3, 3)), rng.uniform(0.1, 1, (2, 3, 3, 3)).astype("float32")

VALUES = [  # metric, targets, outputs, its result, and with weights (of whole numbers for IoU)
    (lambda: metrics.MeanSquaredError(), target, logits, 1.743601, 1.847225),
    (lambda: metrics.RootMeanSquaredError(), target, logits, 1.320455, 1.359127),
    (lambda: metrics.MeanAbsoluteError(), target, logits, 1.033291, 1.070197),
    (lambda: metrics.MeanAbsolutePercentageError(), target, logits, 494.674896, 450.272522),
    (lambda: metrics.MeanSquaredLogarithmicError(), one_hot, chances, 0.134909, 0.128676),
    (lambda: metrics.CosineSimilarity(), target, logits, -0.043139, -0.327935),
    (lambda: metrics.LogCoshError(), target, logits, 0.565448, 0.601427),
    (lambda: metrics.Poisson(), one_hot, chances, 0.624833, 0.612768),
    (lambda: metrics.KLDivergence(), one_hot, shares, 1.081002, 1.027303),
    (lambda: metrics.Hinge(), bits, logits, 1.168535, 1.291949),
    (lambda: metrics.SquaredHinge(), bits, logits, 2.255218, 2.396647),
    (lambda: metrics.CategoricalHinge(), one_hot, logits, 1.858061, 2.243225),
    (lambda: metrics.BinaryCrossentropy(), bits, chances, 0.519942, 0.41012),
    (lambda: metrics.CategoricalCrossentropy(from_logits=True), one_hot, logits, 1.734496, 2.069365),
    (lambda: metrics.SparseCategoricalCrossentropy(), labels, shares, 1.081006, 1.027307),
    (lambda: metrics.R2Score(), target, logits, -5.521081, -5.303729),
    (lambda: metrics.R2Score(None), target, logits, [-7.174294, -11.531397, -2.49975, -0.878883],
     [-10.554011, -6.036645, -2.553116, -2.071144]),
    (lambda: metrics.R2Score("variance_weighted_average", 2), target, logits, -4.113248, -3.856428),
    (lambda: metrics.PearsonCorrelation(), target, logits, -0.441262, -0.584613),
    (lambda: metrics.ConcordanceCorrelation(), target, logits, -0.242968, -0.332413),
    (lambda: metrics.Accuracy(), labels, labels[::-1].copy(), 0.333333, 0.533333),
    (lambda: metrics.BinaryAccuracy(threshold=0.4), bits, chances, 0.791667, 0.9),
    (lambda: metrics.TopKCategoricalAccuracy(2), one_hot, chances, 1.0, 1.0),
    (lambda: metrics.SparseTopKCategoricalAccuracy(2), labels, chances, 1.0, 1.0),
    (lambda: metrics.TruePositives(), bits, chances, 11.0, 14.5),
    (lambda: metrics.FalsePositives([0.3, 0.7]), bits, chances, [4.0, 1.0], [2.5, 0.5]),
    (lambda: metrics.TrueNegatives(0.2), bits, chances, 2.0, 2.0),
    (lambda: metrics.FalseNegatives([0.7, 0.3]), bits, chances, [6.0, 1.0], [6.0, 1.0]),
    (lambda: metrics.Precision(), bits, chances, 0.785714, 0.90625),
    (lambda: metrics.Precision(top_k=2), one_hot, chances, 0.5, 0.5),
    (lambda: metrics.Recall([0.2, 0.6], class_id=1), bits, chances, [1.0, 1.0], [1.0, 1.0]),
    (lambda: metrics.Recall(top_k=2, class_id=3), one_hot, chances, 1.0, 1.0),
    (lambda: metrics.AUC(), bits, chances, 0.796296, 0.921856),
    (lambda: metrics.AUC(curve="PR"), bits, chances, 0.847814, 0.949169),
    (lambda: metrics.AUC(50, "PR", "minoring"), bits, chances, 0.772393, 0.791652),
    (lambda: metrics.AUC(summation_method="majoring", thresholds=[0.2, 0.5]), bits, chances, 0.911111, 0.96337),
    (lambda: metrics.AUC(curve="PRGAIN"), bits, chances, 0.51382, 0.80866),
    (lambda: metrics.AUC(multi_label=True, label_weights=[1.0, 2.0, 3.0, 4.0]), bits, chances, 0.440278, 0.583333),
    (lambda: metrics.AUC(from_logits=True), bits, logits, 0.514815, 0.360195),
    (lambda: metrics.SensitivityAtSpecificity(0.4), bits, chances, 0.933333, 1.0),
    (lambda: metrics.SpecificityAtSensitivity(0.6), bits, chances, 0.888889, 0.952381),
    (lambda: metrics.PrecisionAtRecall(0.7), bits, chances, 0.8125, 0.923077),
    (lambda: metrics.RecallAtPrecision(0.6, 50), bits, chances, 1.0, 1.0),
    (lambda: metrics.F1Score(), one_hot, chances, [1.0, 1.0, 0.0, 0.5], [1.0, 1.0, 0.0, 0.8]),
    (lambda: metrics.F1Score("micro"), one_hot, chances, 0.666667, 0.866667),
    (lambda: metrics.FBetaScore("weighted", 2.0, 0.3), bits, chances, 0.896479, 0.935872),
    (lambda: metrics.IoU(4, [0, 2]), labels, labels[::-1].copy(), 0.5, 0.5),
    (lambda: metrics.MeanIoU(3, sparse_y_pred=False, ignore_class=1), pixels, maps, 0.277778, None),
    (lambda: metrics.BinaryIoU((1,), 0.4), bits, chances, 0.722222, None),
    (lambda: metrics.OneHotIoU(4, [1, 2]), one_hot, chances, 0.5, 0.5),
    (lambda: metrics.OneHotMeanIoU(4), one_hot, chances, 0.583333, 0.666667),
]  # fmt: skip


@pytest.mark.parametrize(
    "make, y_true, y_pred, plain, weighted", VALUES, ids=[row[0]().name + f"-{i}" for i, row in enumerate(VALUES)]
)
def test_values_of_keras(make, y_true, y_pred, plain, weighted):
    """Over two batches of unequal size; a reset or a config gives a metric like new."""
    metric = make()
    kinds = [(None, plain)]
    if weighted is not None:
        kinds.append((np.array([1, 2, 3, 0, 1, 3]) if "io_u" in metric.name else weights, weighted))
    for given, expected in kinds:
        for again in (metric, type(metric).from_config(metric.get_config())):
            again.reset_state()
            for part in (slice(0, 2 if len(y_true) > 2 else 1), slice(2 if len(y_true) > 2 else 1, None)):
                again.update_state(y_true[part], Tensor(y_pred[part]) if y_pred.dtype.kind == "f" else y_pred[part],
                                   None if given is None else given[part])  # fmt: skip
            np.testing.assert_allclose(again.result(), expected, rtol=2e-5, atol=2e-6)
            assert isinstance(again.result(), float if np.ndim(expected) == 0 else np.ndarray)


guesses = np.eye(4)[[0, 3, 1, 1, 1, 1]]  # three of six are right

ACCURACIES = [
    ("categorical_accuracy", one_hot, guesses, 0.5),
    ("sparse_categorical_accuracy", labels, guesses, 0.5),
    ("binary_accuracy", np.array([[1], [0], [1]]), np.array([[0.9], [0.2], [0.3]]), 2 / 3),
    ("accuracy", one_hot, guesses, 0.5),
    ("accuracy", labels, guesses, 0.5),
    ("acc", labels[:, None], guesses, 0.5),
    ("accuracy", np.array([1, 0, 1]), np.array([[0.9], [0.2], [0.3]]), 2 / 3),
]


@pytest.mark.parametrize("name, target, output, expected", ACCURACIES, ids=lambda v: None)
def test_accuracies(name, target, output, expected):
    metric = metrics.get(name)
    assert metric.name == name
    for half in (slice(0, 2), slice(2, None)):  # a running mean over samples, not over batches
        metric.update_state(Tensor(target[half], dtype="float64") if half.start else target[half], output[half])
    assert metric.result() == pytest.approx(expected) and isinstance(metric.result(), float)
    metric.reset_state()
    assert metric.result() == 0.0


def test_a_function_is_a_metric():
    metric = metrics.get(lambda y_true, y_pred: np.abs(y_true - y_pred))
    assert metric(np.ones(3), np.zeros(3)) == 1.0


def test_mean_and_sum_of_values():
    for metric, plain, weighted in ((metrics.Mean(), 2.0, 2.25), (metrics.Sum(), 6.0, 9.0)):
        assert metric([1.0, 2.0, 3.0]) == plain
        metric.reset_state()
        metric.update_state([1.0, 3.0], sample_weight=[1.0, 2.0])
        metric.update_state(2.0)
        assert metric.result() == pytest.approx(weighted)


def test_a_confusion_matrix():
    """Targets in rows, outputs in columns; unknown classes and ignore_class are left out."""
    metric = metrics.ConfusionMatrix(3, sparse_y_pred=True, ignore_class=2)
    metric.update_state([0, 0, 1, 2, 255], [0, 1, 1, 2, 0])
    metric.update_state(np.array([[1]]), np.array([[0]]), sample_weight=[2.0])
    np.testing.assert_array_equal(metric.result(), [[1, 1, 0], [2, 1, 0], [0, 0, 0]])


class Positives(metrics.Metric):
    """As Keras' guide writes one."""

    def __init__(self, name="positives", **kwargs):
        super().__init__(name=name, **kwargs)
        self.found = self.add_weight(shape=(), initializer="zeros", name="found")

    def update_state(self, y_true, y_pred, sample_weight=None):
        self.found.assign_add((np.asarray(y_pred) > 0.5).sum())

    def result(self):
        return self.found


def test_a_metric_of_ones_own():
    metric = Positives()
    assert metric.dtype == "float32" and metric.variables == [metric.found]
    assert float(metric(bits, chances)) == (chances > 0.5).sum()
    metric.found.assign_sub(1)
    metric.reset_state()
    assert float(metric.result()) == 0
    with pytest.raises(TypeError, match="Positives has no argument 'dtpe'. Did you mean 'dtype'"):
        Positives(dtpe="float32")


@pytest.mark.parametrize("name", ["mse", "mae", "rmse", "AUC", "precision", "mean_squared_error", "f1_score"])
def test_names(name):
    metric = metrics.get(name)
    assert metric.name == name and metrics.deserialize(metrics.serialize(metric)).get_config() == metric.get_config()
    assert metrics.mean_squared_error is losses.mean_squared_error


ERRORS = [
    (lambda: metrics.get("acuracy"), ValueError, "Accuracy"),
    (lambda: metrics.BinaryAccuracy(threshold=2), ValueError, "threshold"),
    (lambda: metrics.CategoricalAccuracy()(labels, logits), ValueError, "targets of shape"),
    (lambda: metrics.SparseCategoricalAccuracy()(one_hot, logits), ValueError, "labels of shape"),
    (lambda: metrics.Precision(1.5), ValueError, "Precision: thresholds must be numbers from 0 to 1; got 1.5"),
    (lambda: metrics.Recall(class_id=4)(bits, chances), ValueError, "class_id=4 is no class of outputs of shape .6, 4"),
    (lambda: metrics.AUC(curve="RCO"), ValueError, "curve must be one of 'ROC'.*Did you mean 'ROC'"),
    (lambda: metrics.AUC(num_thresholds=1), ValueError, "num_thresholds"),
    (lambda: metrics.AUC()(bits, np.full_like(bits, np.nan)), ValueError, "y_pred holds NaN"),
    (lambda: metrics.SensitivityAtSpecificity(2), ValueError, "specificity must be between 0 and 1; got 2"),
    (lambda: metrics.F1Score("mean"), ValueError, "average must be one of"),
    (lambda: metrics.F1Score()(labels, labels), ValueError, "one shape .batch, classes."),
    (lambda: metrics.IoU(2, [2]), ValueError, "target_class_ids must be from 0 to 1; got .2."),
    (lambda: metrics.BinaryAccuracy()(bits + 1j, chances), TypeError, "real numbers; got complex"),
    (lambda: metrics.AUC()(bits, chances.astype(str)), TypeError, "real numbers; got <U"),
    (lambda: metrics.Mean()([1.0], sample_weight=[None]), TypeError, "real numbers; got object"),
    (lambda: metrics.Recall()(bits, np.ma.array(chances, mask=bits > 0)), TypeError, "hides elements"),
    (lambda: metrics.MeanIoU(2.0), ValueError, "num_classes must be a whole number"),
    (lambda: metrics.IoU(3, [1.7]), ValueError, "target_class_ids must be .*got .1.7."),
    (lambda: metrics.MeanIoU(2, ignore_class=[1]), TypeError, "ignore_class must be a whole number or None"),
    (lambda: metrics.FBetaScore(beta=np.inf), ValueError, "beta must be a finite number above 0; got inf"),
    (lambda: metrics.Recall(class_id=1.5)(bits, chances), ValueError, "class_id=1.5 is no class"),
    (lambda: metrics.Recall(top_k=1.5), ValueError, "top_k must be a whole number of at least 1; got 1.5"),
    (lambda: metrics.R2Score("mean"), ValueError, "class_aggregation must be"),
    (lambda: metrics.Mean()([1.0, 2.0], sample_weight=[1.0, 2.0, 3.0]), ValueError, "sample_weight of shape"),
    (lambda: metrics.Metric().result(), NotImplementedError, "must define result"),
]


@pytest.mark.parametrize("program, kind, message", ERRORS, ids=lambda v: None)
def test_errors_say_what_to_do(program, kind, message):
    with pytest.raises(kind, match=message):
        program()


def test_numbers_of_numpys_count_as_pythons():
    ours = metrics.MeanIoU(np.int64(3)), metrics.AUC(np.int32(5)), metrics.Precision(np.float32(0.5), np.int8(2))
    for metric in ours:
        assert type(metric).from_config(json.loads(json.dumps(metric.get_config(), default=float)))
    assert type(ours[0].num_classes) is int and metrics.Precision(np.float32(0.5))(bits, chances) >= 0
