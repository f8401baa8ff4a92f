"""The namespaces that programs import from: settings, backend, tree, utils, dtype policies, random, saving, the
version."""

import importlib
from collections import OrderedDict, defaultdict, namedtuple

import numpy as np
import pytest

import fastconv
from fastconv import backend, config, dtype_policies, layers, random, tree, utils
from fastconv.progress import Progress
from fastconv.tree import MAP_TO_NONE

Pair = namedtuple("Pair", "a b")
NEST = {"b": [1, (2, None)], "a": 3}


@pytest.fixture
def settings():
    """Puts the settings back."""
    before = vars(config._settings).copy()
    yield
    vars(config._settings).update(before)


MODULES = ("backend", "config", "dtype_policies", "models", "plotting", "random", "saving", "tree", "utils")


@pytest.mark.parametrize("name", MODULES)
def test_modules_show_what_they_offer_and_no_helper(name):
    module = importlib.import_module(f"fastconv.{name}")
    assert getattr(fastconv, name) is module
    assert all(hasattr(module, entry) for entry in module.__all__) and len(set(module.__all__)) == len(module.__all__)
    assert sorted(dir(module)) == sorted(module.__all__)


def test_the_top():
    assert fastconv.version() == fastconv.__version__ == "0.2.0"
    assert sorted(dir(fastconv)) == sorted(fastconv.__all__)
    assert all(getattr(fastconv, name) is not None for name in fastconv.__all__)
    for name in fastconv._NAMES:
        assert isinstance(getattr(fastconv, name), type) or callable(getattr(fastconv, name))
    with pytest.raises(AttributeError, match="no attribute 'Statelesscope': it is not in fastconv"):
        fastconv.Statelesscope  # noqa: B018


@pytest.mark.parametrize("name", ["StatelessScope", "device", "mixed_precision", "visualization"])
def test_what_is_not_there_says_why(name):
    with pytest.raises(AttributeError, match=f"no attribute '{name}': .{{20,}}"):
        getattr(fastconv, name)
    assert not hasattr(fastconv, name)


# Settings


SETTINGS = [
    ("floatx", "set_floatx", "float32", "float64"),
    ("epsilon", "set_epsilon", 1e-7, 1e-5),
    ("image_data_format", "set_image_data_format", "channels_last", "channels_first"),
    ("max_epochs", "set_max_epochs", None, 3),
    ("max_steps_per_epoch", "set_max_steps_per_epoch", None, 2),
    ("dtype_policy", "set_dtype_policy", config.DTypePolicy("float32"), config.DTypePolicy("float64")),
]  # fmt: skip


@pytest.mark.parametrize("get, set_to, default, other", SETTINGS)
def test_settings(settings, get, set_to, default, other):
    assert getattr(config, get)() == default
    getattr(config, set_to)(other)
    assert getattr(config, get)() == other == getattr(backend, get, getattr(config, get))()


def test_limits_of_fit_and_of_what_it_prints(settings, capsys):
    model = fastconv.Sequential([layers.Dense(1, input_shape=(2,))])
    model.compile("sgd", "mse")
    config.set_max_epochs(2)
    config.set_max_steps_per_epoch(3)
    steps = []
    own_step, model._trainer.step = model._trainer.step, lambda *arguments: (steps.append(1), own_step(*arguments))
    history = model.fit(np.ones((20, 2)), np.ones((20, 1)), batch_size=2, epochs=5, verbose="auto")
    assert history.epoch == [0, 1] and len(steps) == 6
    assert "Epoch 2/2" in capsys.readouterr().out
    config.disable_interactive_logging()
    assert Progress("auto")._lines and not Progress("auto")._bars


@pytest.mark.parametrize("switch", ["interactive_logging", "traceback_filtering"])
def test_switches(settings, switch):
    for verb in ("disable", "enable"):
        getattr(config, f"{verb}_{switch}")()
        assert getattr(config, f"is_{switch}_enabled")() is (verb == "enable")


@pytest.mark.parametrize("call, error, match", [
    (lambda: config.set_floatx("float16"), ValueError, "floatx must be 'float32' or 'float64'.*slower"),
    (lambda: config.set_dtype_policy("mixed_float16"), ValueError, "policy must be .*mixed_float16.*slower"),
    (lambda: config.DTypePolicy("int32"), ValueError, "'float64'; got 'int32'.$"),
    (lambda: config.set_epsilon("a"), TypeError, "epsilon must be a number"),
    (lambda: config.set_epsilon(0), ValueError, "above 0"),
    (lambda: config.set_image_data_format("NCHW"), ValueError, "channels_first'; got 'NCHW'"),
    (lambda: config.set_backend("jax"), ValueError, "one backend.*'jax'"),
    (lambda: config.set_max_epochs(0), ValueError, "at least 1"),
    (lambda: config.set_max_steps_per_epoch(1.5), TypeError, "whole number"),
    (lambda: dtype_policies.deserialize({"class_name": "QuantizedDTypePolicy"}), ValueError, "no dtype policy"),
])  # fmt: skip
def test_settings_that_are_refused(call, error, match):
    with pytest.raises(error, match=match):
        call()


def test_policies():
    policy = fastconv.DTypePolicy("float64")
    assert policy.compute_dtype == policy.variable_dtype == policy.name == "float64" and policy == eval_repr(policy)
    assert dtype_policies.deserialize(dtype_policies.serialize(policy)) == policy != dtype_policies.get(None)
    assert dtype_policies.get(policy) is policy and dtype_policies.get("float64") == policy


def eval_repr(policy):
    return config.DTypePolicy(repr(policy).split('"')[1])


def test_floatx_decides_for_layers_inputs_and_random_numbers(settings):
    config.set_floatx("float64")
    assert layers.Dense(1).dtype == fastconv.Input((2,)).dtype == random.normal((1,)).dtype == "float64"
    config.set_dtype_policy("float32")
    assert (
        layers.Dense(1).dtype == "float32" and layers.Dense(1, dtype=config.DTypePolicy("float64")).dtype == "float64"
    )
    with pytest.raises(ValueError, match="Dense: dtype must be.*mixed_float16"):
        layers.Dense(1, dtype="mixed_float16")


# Backend


@pytest.mark.parametrize("dtype, name", [
    (None, "float32"), ("int8", "int8"), (np.float64, "float64"), (float, "float32"), (int, "int32"), (bool, "bool"),
    (np.dtype(">f4"), "float32"), ("bfloat16", "bfloat16"),
])  # fmt: skip
def test_standardize_dtype(dtype, name):
    assert backend.standardize_dtype(dtype) == utils.standardize_dtype(dtype) == name


RESULTS = [
    (("int32", "float32"), "float32"), (("int8", "uint8"), "int16"), ((int, float), "float32"),
    (("uint8", int), "uint8"),
    (("bool", "int32"), "int32"), (("float32", "float64"), "float64"), (("int64", "float32"), "float32"),
    ((), "float32"),
    (("bool",), "bool"), (("bool", int), "int32"), ((int,), "int32"), (("int8", float), "float32"),
    (("float16", "int32"), "float16"), (("int64", "uint64"), "float32"),
]  # fmt: skip


@pytest.mark.parametrize("dtypes, expected", RESULTS)
def test_result_type(dtypes, expected):
    assert backend.result_type(*dtypes) == expected


def test_questions_and_names():
    assert backend.is_float_dtype("bfloat16") and not backend.is_float_dtype("int8")
    assert backend.is_int_dtype("uint8") and not backend.is_int_dtype("bool")
    assert backend.is_keras_tensor(fastconv.Input((2,))) and not backend.is_keras_tensor(np.ones(2))
    with pytest.raises(ValueError, match="'foo' is no dtype"):
        backend.standardize_dtype("foo")
    utils.clear_session()
    assert [backend.get_uid("a"), backend.get_uid("a"), backend.get_uid()] == [1, 2, 1]
    assert layers.Conv2D(1, 1).name == "conv2d" and layers.Conv2D(1, 1).name == "conv2d_1"
    backend.clear_session(free_memory=False)
    assert layers.Conv2D(1, 1).name == "conv2d" and backend.get_uid("a") == 1


# Tree: expected values are Keras' own


def to_tuple(part):
    if isinstance(part, list):
        return tuple(part)
    return MAP_TO_NONE if part == 3 else None


TREES = [
    (lambda: tree.flatten(NEST), [3, 1, 2, None]),
    (lambda: tree.flatten(5), [5]),
    (lambda: tree.flatten(OrderedDict(b=1, a=2)), [1, 2]),
    (lambda: tree.flatten({2: "x", "a": "y"}), ["x", "y"]),
    (lambda: tree.flatten_with_path(NEST), [(("a",), 3), (("b", 0), 1), (("b", 1, 0), 2), (("b", 1, 1), None)]),
    (lambda: tree.pack_sequence_as(NEST, [1, 2, 3, 4]), {"b": [2, (3, 4)], "a": 1}),
    (lambda: tree.pack_sequence_as(Pair(1, [2]), "x y".split()), Pair("x", ["y"])),
    (lambda: tree.map_structure(lambda x, y: (x, y), {"b": 1, "a": 2}, {"a": 3, "b": 4}), {"b": (1, 4), "a": (2, 3)}),
    (lambda: tree.pack_sequence_as([1, [2]], np.array([3, 4])), [3, [4]]),
    (lambda: tree.pack_sequence_as([1, 2], (x for x in "xy")), ["x", "y"]),
    (lambda: tree.map_structure(lambda x, y: (x, y), OrderedDict(b=1, a=2), {"a": 3, "b": 4}),
     OrderedDict(b=(1, 4), a=(2, 3))),
    (lambda: tree.map_structure(abs, defaultdict(list, b=-1, a=2)), defaultdict(list, b=1, a=2)),
    (lambda: tree.map_structure(lambda x: 5, [None, 1], none_is_leaf=False), [None, 5]),
    (lambda: tree.map_structure(lambda x: 5, [None, ()]), [5, ()]),
    (lambda: tree.map_structure_up_to({"a": 1, "b": 1}, lambda x: [x], {"a": [1, 2], "b": 3}),
     {"a": [[1, 2]], "b": [3]}),
    (lambda: tree.map_shape_structure(len, {"a": (1, 2), "b": [(None, 3), [4, 5, 6]]}), {"a": 2, "b": [2, 3]}),
    (lambda: tree.lists_to_tuples({"b": [1, [2]], "a": Pair(1, [2])}), {"b": (1, (2,)), "a": Pair(1, (2,))}),
    (lambda: tree.traverse(to_tuple, {"a": [1, 2], "b": 3}), {"a": (1, 2), "b": None}),
    (lambda: tree.traverse(lambda x: x * 2 if isinstance(x, int) else None, {"a": [1], "b": 3}, top_down=False),
     {"a": [2], "b": 6}),
    (lambda: [tree.is_nested(x) for x in (NEST, "a", (), np.ones(2))], [True, False, True, False]),
    (lambda: tree.assert_same_paths([1, {"a": 2}], (1, {"a": 3})), None),
    (lambda: tree.assert_same_structure([1, (2, {"a": 3})], [0, (0, {"a": None})]), None),
]  # fmt: skip


@pytest.mark.parametrize("call, expected", TREES)
def test_tree(call, expected):
    result = call()
    assert result == expected and type(result) is type(expected)
    if isinstance(expected, dict):
        assert list(result) == list(expected)


@pytest.mark.parametrize("call, error, match", [
    (lambda: tree.assert_same_structure([1, 2], (1, 2)), ValueError, "list and tuple"),
    (lambda: tree.assert_same_structure({"x": [1]}, {"x": [1, 2]}), ValueError, r"at \('x',\)"),
    (lambda: tree.assert_same_structure({"a": 1}, {"b": 1}), ValueError, "'a'.*'b'"),
    (lambda: tree.assert_same_structure(1, [1]), ValueError, "int and list"),
    (lambda: tree.assert_same_paths({"a": 1}, {"b": 1}), ValueError, "only the first has"),
    (lambda: tree.pack_sequence_as(NEST, [1, 2]), ValueError, "4 leaves; flat_sequence has 2"),
    (lambda: tree.pack_sequence_as(NEST, 3), TypeError, "must be a list"),
    (lambda: tree.map_structure(lambda x, y: x, [1], [1, 2]), ValueError, "differ"),
    (lambda: tree.map_structure(lambda: 1), ValueError, "at least one"),
    (lambda: tree.map_structure(1, [1]), TypeError, "func must be a function"),
    (lambda: tree.map_structure_up_to([1, 1], abs, [1]), ValueError, r"the places \[0, 1\] and \[0\]"),
    (lambda: tree.map_structure_up_to([1, 1], abs, (1, 1)), ValueError, "does not begin as"),
    (lambda: tree.map_structure(max, [1, None], [2, 3], none_is_leaf=False), ValueError, "None must stand in the same"),
    (lambda: tree.map_structure(max, [1, 3], [2, None], none_is_leaf=False), ValueError, "None must stand in the same"),
    (lambda: tree.pack_sequence_as([1, 2], "ab"), TypeError, "must be a list"),
    (lambda: tree.map_shape_structure(len, "ab"), ValueError, "A shape is"),
])  # fmt: skip
def test_trees_that_are_refused(call, error, match):
    with pytest.raises(error, match=match):
        call()


# Utils


@pytest.mark.parametrize("x, options, expected", [
    ([[3.0, 4.0], [0.0, 0.0]], {}, [[0.6, 0.8], [0.0, 0.0]]),
    ([3.0, 4.0], {"axis": 0, "order": 1}, [3 / 7, 4 / 7]),
    ([[3, 4]], {"order": np.inf}, [[0.75, 1.0]]),
    ([[1.0, 2.0], [2.0, 2.0]], {"axis": 0, "order": 3}, [[9 ** (-1 / 3), 16 ** (-1 / 3) * 2],
                                                         [9 ** (-1 / 3) * 2, 16 ** (-1 / 3) * 2]]),
])  # fmt: skip
def test_normalize(x, options, expected):
    np.testing.assert_allclose(utils.normalize(np.array(x), **options), expected)
    assert utils.normalize(np.array(x, "float32"), **options).dtype == "float32"
    if options.get("order") != np.inf:
        np.testing.assert_allclose(utils.normalize(fastconv.Tensor(x), **options).numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize("arguments, packed, unpacked", [
    ((1,), 1, (1, None, None)), (([1],), ([1],), ([1], None, None)), ((1, 2), (1, 2), (1, 2, None)),
    ((1, 2, 3), (1, 2, 3), (1, 2, 3)), ((1, None, 3), 1, (1, None, None)),
])  # fmt: skip
def test_batches_are_packed_and_unpacked(arguments, packed, unpacked):
    assert utils.pack_x_y_sample_weight(*arguments) == packed
    assert utils.unpack_x_y_sample_weight(packed) == unpacked


SPLITS = [
    (np.arange(10), {"left_size": 0.8}, (8, 2)), (np.arange(10), {"right_size": 3}, (7, 3)),
    ((np.arange(10), np.ones((10, 2))), {"left_size": 4, "right_size": 2}, (4, 2)),
    ({"a": np.arange(10), "b": np.arange(10)}, {"left_size": 0.5}, (5, 5)),
    ([[1, 2]] * 10, {"left_size": 1}, (1, 9)),
]  # fmt: skip


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("dataset, sizes, expected", SPLITS)
def test_split_dataset(dataset, sizes, expected, shuffle):
    parts = utils.split_dataset(dataset, **sizes, shuffle=shuffle, seed=1)
    assert tuple(len(tree.flatten(part)[0]) for part in parts) == expected
    if isinstance(dataset, (dict, tuple)):
        tree.assert_same_structure(parts[0], dataset)
    if isinstance(dataset, np.ndarray):
        together = np.concatenate(parts)
        assert sorted(together) == list(dataset) and (list(together) == list(dataset)) is not shuffle


PADDED = [
    ([[1], [2, 3], [4, 5, 6]], {}, [[0, 0, 1], [0, 2, 3], [4, 5, 6]]),
    ([[1], [2, 3], [4, 5, 6]], {"padding": "post", "maxlen": 2, "value": -1}, [[1, -1], [2, 3], [5, 6]]),
    ([[1], [4, 5, 6]], {"truncating": "post", "maxlen": 2}, [[0, 1], [4, 5]]),
    ([[[1, 2]], []], {"dtype": "float32"}, [[[1, 2]], [[0, 0]]]),
    ([], {"maxlen": 2}, np.empty((0, 2))), ([[1, 2]], {"maxlen": 0}, np.empty((1, 0))),
]  # fmt: skip


@pytest.mark.parametrize("sequences, options, expected", PADDED)
def test_pad_sequences(sequences, options, expected):
    result = utils.pad_sequences(sequences, **options)
    np.testing.assert_array_equal(result, expected)
    assert result.dtype == options.get("dtype", "int32")


def test_source_inputs():
    a, b, c = (fastconv.Input((2,)) for _ in range(3))
    x = layers.Dense(2)(layers.add([a, b])) + a
    assert utils.get_source_inputs(x) == [a, b] and utils.get_source_inputs(c) == [c]


def test_small_integers_do_not_overflow():
    np.testing.assert_allclose(
        utils.normalize(np.array([[200, 100]], "uint8")), utils.normalize(np.array([[2.0, 1.0]]))
    )
    np.testing.assert_allclose(utils.normalize(np.array([[-128]], "int8"), order=1), [[-1]])
    assert utils.pad_sequences([[1]] * 300, maxlen=np.uint8(255)).sum(axis=1).tolist() == [1] * 300


@pytest.mark.parametrize("call, error, match", [
    (lambda: utils.normalize([1.0], order=0), ValueError, "order must be at least 1"),
    (lambda: utils.normalize(["a"]), TypeError, "expects numbers"),
    (lambda: utils.unpack_x_y_sample_weight((1, 2, 3, 4)), ValueError, "got 4 parts"),
    (lambda: utils.split_dataset(np.arange(4)), ValueError, "left_size or right_size"),
    (lambda: utils.split_dataset(np.arange(4), 3, 2), ValueError, "take 3 and 2 samples of 4"),
    (lambda: utils.split_dataset(np.arange(4), 1.5), ValueError, "left_size must be"),
    (lambda: utils.split_dataset(np.arange(4), "1"), TypeError, "left_size must be a number"),
    (lambda: utils.split_dataset((np.arange(4), np.arange(3)), 1), ValueError, "4, 3"),
    (lambda: utils.split_dataset(object(), 1), TypeError, "takes an array"),
    (lambda: utils.split_dataset(np.arange(4), 4), ValueError, "empty"),
    (lambda: utils.split_dataset(np.arange(4), 1, preferred_backend="torch"), ValueError, "preferred_backend"),
    (lambda: utils.pad_sequences([1, 2]), TypeError, "list of lists"),
    (lambda: utils.pad_sequences([[1.5]]), ValueError, "sequences: int32 does not hold 1.5. Give another dtype"),
    (lambda: utils.pad_sequences([[2**40]]), ValueError, "int32 does not hold 1099511627776"),
    (lambda: utils.pad_sequences([[1]], value=0.5), ValueError, "value: int32 does not hold 0.5"),
    (lambda: utils.pad_sequences([[1j]]), ValueError, "int32 does not hold 1j"),
    (lambda: utils.pad_sequences([[1]], maxlen=-1), ValueError, "maxlen must be a whole number of at least 0; got -1"),
    (lambda: dtype_policies.deserialize(3), ValueError, "no dtype policy"),
    (lambda: dtype_policies.serialize("float32"), TypeError, "must be a DTypePolicy; got 'float32'"),
    (lambda: utils.get_registered_object("x", module_objects=3), TypeError, "module_objects must be a dict"),
    (lambda: utils.pad_sequences([[1]], padding="left"), ValueError, "'pre' or 'post'; got 'left'"),
    (lambda: utils.pad_sequences([[[1, 2]], [[1]]]), ValueError, "different shapes"),
    (lambda: utils.get_source_inputs(np.ones(2)), TypeError, "tensor of a graph"),
])  # fmt: skip
def test_uses_of_utils_that_are_refused(call, error, match):
    with pytest.raises(error, match=match):
        call()


# Random: moments, forms, seeds


DISTRIBUTIONS = [
    (lambda **options: random.gamma((4000, 2), np.array([0.5, 3.0]), **options), [0.5, 3.0], [0.5, 3.0]),
    (lambda **options: random.beta((4000, 2), 2.0, np.array([1.0, 6.0]), **options), [2 / 3, 1 / 4], [1 / 18, 1 / 48]),
    (lambda **options: random.binomial((4000, 2), np.array([4, 100]), 0.25, **options), [1, 25], [0.75, 18.75]),
]  # fmt: skip


@pytest.mark.parametrize("draw, mean, variance", DISTRIBUTIONS)
def test_distributions(draw, mean, variance):
    x = draw(seed=7)
    assert x.dtype == "float32" and draw(seed=7, dtype="float64").dtype == "float64"
    np.testing.assert_allclose(x.numpy().mean(0), mean, atol=4 * np.sqrt(np.max(variance) / 4000))
    np.testing.assert_allclose(x.numpy().var(0), variance, rtol=0.15)
    np.testing.assert_array_equal(x.numpy(), draw(seed=7).numpy())
    source = random.SeedGenerator(7)
    first, second = draw(seed=source).numpy(), draw(seed=source).numpy()
    assert (first == x.numpy()).all() and (second != first).any()
    utils.set_random_seed(3)
    first = draw().numpy()
    utils.set_random_seed(3)
    np.testing.assert_array_equal(draw().numpy(), first)


@pytest.mark.parametrize("call, match", [
    (lambda: random.gamma((2,), 0.0), "alpha must be positive"),
    (lambda: random.beta((2,), 1.0, np.nan), "beta must be positive"),
    (lambda: random.beta((2,), np.ones(3), 1.0), r"alpha of shape \(3,\) does not broadcast"),
    (lambda: random.binomial((2,), 1.5, 0.5), "counts must be whole"),
    (lambda: random.binomial((2,), 2, 1.5), "probabilities must be"),
])  # fmt: skip
def test_draws_that_are_refused(call, match):
    with pytest.raises(ValueError, match=match):
        call()
