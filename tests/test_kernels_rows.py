"""ReLU, bias, softmax, cross-entropy and optimizer steps: each against its twin, special values, errors."""

import copy

import numpy as np
import pytest
from helpers import check_op, integers, normal

from fastconv import kernels
from fastconv.kernels import reference, reference_update

SHAPES = [(1,), (17,), (100, 10), (3, 33), (2, 5, 7, 16), (70, 3), (3000, 32), (1, 100000)]
ELEMENTWISE = ["relu_forward", "relu_backward", "bias_forward", "bias_backward", "softmax_forward", "softmax_backward",
               "log_softmax_forward", "log_softmax_backward"]  # fmt: skip


def arguments(name, shape):
    return {"bias_forward": [shape, shape[-1:]], "bias_backward": [shape]}.get(
        name, [shape, shape] if name.endswith("backward") else [shape]
    )


def outputs(name, values):
    """softmax's gradients take its output, not any array."""
    if name.startswith(("softmax", "log_softmax")) and name.endswith("backward"):
        return [values[0], getattr(reference, name.replace("backward", "forward"))(values[1])]
    return values


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_agrees_with_its_twin(name, shape, dtype, isa):
    if not name.startswith(("softmax", "log_softmax")):
        check_op(name, *arguments(name, shape), terms=int(np.prod(shape[:-1])) + 1, dtype=dtype)
        return
    values = outputs(name, [normal(s, dtype, i) for i, s in enumerate(arguments(name, shape))])
    result, expected = getattr(kernels, name)(*values), getattr(reference, name)(*values)
    assert result.dtype == expected.dtype
    np.testing.assert_allclose(result, expected, rtol=0, atol=4 * (shape[-1] + 40) * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("labels", [True, False])
def test_crossentropy_agrees_with_its_twin(labels, dtype, isa):
    logits = 3 * normal((300, 11), dtype)
    target = integers((300,), np.int32, 1) + 4 if labels else reference.softmax_forward(normal((300, 11), dtype, 1))
    tolerance = {"rtol": 0, "atol": 400 * np.finfo(dtype).eps}
    results = kernels.softmax_crossentropy_forward(logits, target)
    for ours, twin in zip(results, reference.softmax_crossentropy_forward(logits, target)):
        np.testing.assert_allclose(ours, twin, **tolerance)
    dloss = normal((300,), dtype, 2)
    np.testing.assert_allclose(
        kernels.softmax_crossentropy_backward(dloss, results[1], target),
        reference.softmax_crossentropy_backward(dloss, results[1], target),
        **tolerance,
    )


def test_crossentropy_is_stable_for_large_logits():
    logits = np.array([[1e4, 0, -1e4], [0, -np.inf, 1]], "f4")
    loss, probabilities = kernels.softmax_crossentropy_forward(logits, np.array([[1, 0, 0], [0, 0, 1]], "f4"))
    np.testing.assert_allclose(loss, [0, np.log1p(np.exp(-1))], rtol=1e-6, atol=0)
    assert np.isfinite(probabilities).all()


def test_nan_reaches_every_output_that_depends_on_it(isa):
    x = np.zeros((4, 17), "f4")
    x[1, 16] = x[2, 0] = np.nan
    np.testing.assert_array_equal(np.isnan(kernels.relu_forward(x)), np.isnan(x))
    for kernel in (kernels.softmax_forward, kernels.log_softmax_forward):
        np.testing.assert_array_equal(np.isnan(kernel(x)).all(axis=1), [False, True, True, False])
    loss, _ = kernels.softmax_crossentropy_forward(x, np.zeros(4, int))
    np.testing.assert_array_equal(np.isnan(loss), [False, True, True, False])


def exp_of(y):
    """e to the power of y, as the kernels compute it: log-softmax's gradient of dy = (0, -1) is exp(y) in column 0."""
    rows = np.stack([y, np.zeros_like(y)], axis=1)
    return kernels.log_softmax_backward(np.tile(np.array([0, -1], y.dtype), (len(y), 1)), rows)[:, 0]


@pytest.mark.parametrize("dtype, least, most", [(np.float32, -87.3, 88.7), (np.float64, -708.3, 709.7)])
def test_exp_is_within_two_units_in_the_last_place(dtype, least, most, isa):
    rng = np.random.default_rng(0)
    y = np.concatenate([rng.uniform(least, most, 200_000), rng.uniform(-1, 1, 50_000), rng.normal(0, 1e-4, 999)])
    y = y.astype(dtype)
    exact = np.exp(y.astype(np.longdouble))
    units = np.abs(exp_of(y) - exact) / np.spacing(exact.astype(dtype))
    assert units.max() <= 2


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_exp_of_special_values(dtype, isa):
    y = np.array(
        [0, -0.0, np.inf, -np.inf, np.nan, 1e4, -1e4, 720, -760, np.finfo(dtype).max, np.finfo(dtype).min], dtype
    )
    expected = [1, 1, np.inf, 0, np.nan, np.inf, 0, np.inf, 0, np.inf, 0]
    np.testing.assert_array_equal(exp_of(y), np.array(expected, dtype))
    y = np.linspace(-104, -87, 1000) if dtype == np.float32 else np.linspace(-745, -708, 1000)
    tiny = np.finfo(dtype).smallest_subnormal
    np.testing.assert_allclose(exp_of(y.astype(dtype)), np.exp(y.astype(dtype)), rtol=1e-6, atol=2 * tiny)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("width", [1, 2, 3, 10, 15, 31, 32, 33])
def test_sums_of_narrow_rows(width, dtype, isa):
    for rows in (1, 7, 8, 127, 129, 20_001):
        check_op("bias_backward", (rows, width), terms=rows, dtype=dtype)


@pytest.mark.parametrize("width", [1, 3, 8, 10, 17, 64, 100])
def test_special_values_anywhere_in_a_row(width, isa):
    """NaN in any column makes its row NaN and no other; -inf is a probability of 0; a row of -inf or with inf is NaN."""
    x = normal((4 * width, width), "f4")
    columns = np.arange(width)
    x[columns, columns] = np.nan
    x[width + columns, columns] = -np.inf
    x[2 * width + columns, columns] = np.inf
    with np.errstate(invalid="ignore", divide="ignore"):
        for name in ("softmax_forward", "log_softmax_forward"):
            result, expected = getattr(kernels, name)(x), getattr(reference, name)(x)
            np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-6)


UPDATES = [
    ("sgd_step", 0, {"learning_rate": 0.1}),
    ("sgd_step", 1, {"learning_rate": 0.1, "momentum": 0.9}),
    ("sgd_step", 1, {"learning_rate": 0.1, "momentum": 0.9, "nesterov": True}),
    ("adam_step", 2, {"step": 3, "learning_rate": 0.01, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7}),
]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name, states, options", UPDATES)
def test_updates_agree_with_their_twins(name, states, options, dtype, isa):
    shapes = [(5, 5, 3, 33), (33,), (), (0, 4), (40000,), (16384,), (16385,), (1,), *[(7 + i,) for i in range(40)]]
    lists = [[normal(shape, dtype, 10 * i + j) for j, shape in enumerate(shapes)] for i in range(2 + states)]
    if name == "adam_step":
        lists[3] = [np.asarray(abs(array)) for array in lists[3]]
    lists += [None] * (name == "sgd_step" and not states)
    twins = copy.deepcopy(lists)
    getattr(kernels, name)(*lists, **options)
    getattr(reference, name)(*twins, **options)
    for ours, twin in zip(lists, twins):
        for a, b in zip(ours or (), twin or ()):
            np.testing.assert_allclose(a, b, rtol=0, atol=30 * np.finfo(dtype).eps)


KINDS = {  # kind: (its number of states, which may be missing, numbers)
    "none": (0, (), ()), "sgd": (1, (0,), (0.9,)), "adam": (3, (2,), (0.1, 0.01, 1e-4)),
    "rmsprop": (3, (1, 2), (0.9, 0.1, 30.0, 0.5)), "adagrad": (1, (), (1e-4,)), "adadelta": (2, (), (0.9, 0.1, 1e-4)),
    "adamax": (2, (), (0.1, 0.9, 1e-4)), "nadam": (2, (), (0.1, 0.01, 1e-4, 0.2, 0.05, 3.0)),
    "lion": (1, (), (0.9, 0.1, 0.95, 0.05)), "ftrl": (2, (), (0.5, 0.1, 0.2, 0.3)),
}  # fmt: skip
AROUND = [{}, {"scales": 0.3, "limit": 0.2, "decays": 0.01}, {"scales": 1.0, "averages": True, "keep": 0.7}]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_update_agrees_with_its_twin(kind, dtype, isa):
    """With all its states and without those that may be missing, and with what goes around a step."""
    count, optional, numbers = KINDS[kind]
    shapes = [(5, 5, 3, 33), (), (0, 4), (20000,), (2048,), (2049,), (7,)]
    for missing in ((), *[(place,) for place in optional], optional):
        for around in AROUND:
            lists = [[np.asarray(abs(normal(shape, dtype, 10 * i + j)) + (i > 1)) for j, shape in enumerate(shapes)]
                     for i in range(3 + count)]  # fmt: skip
            lists[1] = [np.asarray(g - dtype(0.7)) for g in lists[1]]
            twins = copy.deepcopy(lists)
            given = {name: [value] * len(shapes) if name in ("scales", "decays") else value
                     for name, value in around.items()}  # fmt: skip
            averages = {"averages": lists[-1]} if "averages" in around else {}
            states = [None if place in missing else states for place, states in enumerate(lists[2:-1])]
            kernels.update_step(kind, *lists[:2], states, 0.05, numbers, kind == "sgd", **(given | averages))
            for row in zip(*twins):
                settings = {name.rstrip("s"): value for name, value in around.items()}
                settings["average"] = row[-1] if "averages" in around else None
                slots = [None if place in missing else slot for place, slot in enumerate(row[2:-1])]
                reference_update.update_step(kind, *row[:2], slots, 0.05, numbers, kind == "sgd", **settings)
            for ours, twin in zip(lists, twins):
                for a, b in zip(ours, twin):
                    np.testing.assert_allclose(a, b, rtol=60 * np.finfo(dtype).eps, atol=60 * np.finfo(dtype).eps)


def test_updates_do_not_depend_on_the_threads(restore_threads):
    results = []
    for threads in (1, 2, 3, 7):
        kernels.set_num_threads(threads)
        parameters = [normal((size,), "f4", size) for size in (300_000, 17, 16_384)]
        gradients = [normal(p.shape, "f4", 1) for p in parameters]
        moments = [[np.ones_like(p) for p in parameters] for _ in range(2)]
        kernels.adam_step(parameters, gradients, *moments, 2, 0.01)
        results.append(b"".join(p.tobytes() for p in parameters))
    assert len(set(results)) == 1


def test_updates_take_mixed_dtypes_and_check_before_they_write():
    parameters = [np.ones(3, "f4"), np.ones(3, "f8")]
    kernels.sgd_step(parameters, [np.ones(3, "f4"), np.ones(3, "f8")], None, 0.5)
    assert [p.tolist() for p in parameters] == [[0.5] * 3] * 2
    with pytest.raises(ValueError, match="parameter's shape"):
        kernels.sgd_step(parameters, [np.ones(3, "f4"), np.ones(4, "f8")], None, 0.5)
    frozen = np.ones(3, "f4")
    frozen.flags.writeable = False
    with pytest.raises(ValueError, match="writable"):
        kernels.sgd_step([*parameters, frozen], [np.ones(3, "f4"), np.ones(3, "f8"), np.ones(3, "f4")], None, 0.5)
    assert [p.tolist() for p in parameters] == [[0.5] * 3] * 2


def test_bad_input_says_what_is_wrong():
    logits = np.zeros((4, 3), "f4")
    with pytest.raises(ValueError, match=r"Labels must be in \[0, 3\), one a class; got 0 to 3"):
        kernels.softmax_crossentropy_forward(logits, np.arange(4))
    with pytest.raises(TypeError, match="Labels must be integers; got float32"):
        kernels.softmax_crossentropy_forward(logits, np.zeros(4, "f4"))
    with pytest.raises(ValueError, match="one label a sample"):
        kernels.softmax_crossentropy_forward(logits, np.zeros(3, int))
    with pytest.raises(ValueError, match="target must have the logits' shape"):
        kernels.softmax_crossentropy_forward(logits, np.zeros((4, 2), "f4"))
    with pytest.raises(ValueError, match="one entry a channel"):
        kernels.bias_forward(logits, np.zeros(4, "f4"))
    with pytest.raises(ValueError, match="dy must have y's shape"):
        kernels.relu_backward(logits, logits[:2])
    with pytest.raises(TypeError, match="y is float64"):
        kernels.relu_backward(logits, logits.astype(float))


def test_empty_arrays():
    assert kernels.relu_forward(np.zeros((0, 3), "f4")).shape == (0, 3)
    assert not kernels.bias_backward(np.zeros((0, 3), "f4")).any()
