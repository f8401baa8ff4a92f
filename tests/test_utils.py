"""fastconv.utils: one-hot labels as Keras makes them, and their errors. Contract: no data, no network."""

import numpy as np
import pytest

from fastconv.utils import set_random_seed, to_categorical


@pytest.mark.parametrize(
    "x, num_classes, shape",
    [
        ([0, 2, 1], None, (3, 3)),
        (np.array([7, 0], np.uint8), None, (2, 8)),
        ([1.0, 0.0], 4, (2, 4)),
        ([True, False], None, (2, 2)),
        ([[1], [0]], 3, (2, 3)),  # a last axis of size 1 is dropped
        ([[1, 0], [2, 2]], None, (2, 2, 3)),
        (1, 3, (3,)),
        ([[1]], 3, (1, 3)),
        ([1], 3, (1, 3)),
        (np.empty(0, int), 10, (0, 10)),
    ],
)
def test_to_categorical(x, num_classes, shape):
    result = to_categorical(x, num_classes)
    assert result.shape == shape and result.dtype == np.float64
    np.testing.assert_array_equal(result.sum(-1), 1)
    np.testing.assert_array_equal(result.argmax(-1).ravel() if result.size else [], np.ravel(x))


@pytest.mark.parametrize(
    "x, num_classes, error, match",
    [
        ([0, 3], 3, ValueError, "from 0 to 2.*ranges from 0 to 3"),
        ([-1, 0], None, ValueError, "ranges from -1"),
        ([0.5], None, ValueError, "fractions"),
        ([np.inf], None, ValueError, "infinities"),
        ([], None, ValueError, "give num_classes"),
        ([0], 0, ValueError, "at least 1; got 0"),
        (["a"], None, TypeError, "integer labels"),
        ([0], 2.5, ValueError, "got 2.5"),
    ],
)
def test_to_categorical_errors(x, num_classes, error, match):
    with pytest.raises(error, match=match):
        to_categorical(x, num_classes)


def test_set_random_seed_repeats_numpy_draws():
    draws = []
    for _ in range(2):
        set_random_seed(3)
        draws.append(np.random.rand(4))
    np.testing.assert_array_equal(*draws)
