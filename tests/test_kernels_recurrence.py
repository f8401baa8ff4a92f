"""Recurrent layers' kernels: each kind against its twin, in all ways to run it; threads, masks, errors."""

import itertools

import numpy as np
import pytest
from helpers import normal

from fastconv import kernels
from fastconv.kernels import reference
from fastconv.kernels.recurrence import ACTIVATIONS

GATES = {"simple": 1, "lstm": 4, "gru": 3, "gru_before": 3}
kinds = pytest.mark.parametrize("kind", GATES)
TANH = {"activation": "tanh", "recurrent": "sigmoid"}


def arguments(kind, batch, steps, units, dtype, masked=False, bias=True):
    """(x, kernel, bias, mask, h, c) of this kind."""
    width = GATES[kind] * units
    mask = (np.random.default_rng(3).random((batch, steps)) < 0.6).astype(dtype) if masked else None
    return [
        normal((batch, steps, width), dtype), normal((units, width), dtype, 1) / np.sqrt(units).astype(dtype),
        normal((width,), dtype, 2) if kind == "gru" and bias else None, mask, normal((batch, units), dtype, 3),
        normal((batch, units), dtype, 4) if kind == "lstm" else None,
    ]  # fmt: skip


def results(module, arrays, dy, **options):
    """The output and all gradients."""
    y, saved = module.recurrence_forward(*arrays, **options)
    dy = normal(y.shape, y.dtype, 5) if dy is None else dy
    return [y, *module.recurrence_backward(dy, saved, **options)]


def check(arrays, **options):
    dtype = arrays[0].dtype
    ours, twin = results(kernels, arrays, None, **options), results(reference, arrays, None, **options)
    for one, other in zip(ours, twin, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            assert (one.dtype, one.shape) == (dtype, other.shape)
            scale = 1 + np.abs(other).max()
            np.testing.assert_allclose(one, other, rtol=0, atol=200 * np.finfo(dtype).eps * scale)
    return ours


SHAPES = [(1, 1, 1), (3, 4, 5), (1, 6, 33), (9, 3, 16), (35, 2, 70)]


@kinds
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_agrees_with_its_twin(kind, shape, dtype, isa):
    check(arguments(kind, *shape, dtype), kind=kind, **TANH)


@kinds
@pytest.mark.parametrize(
    "sequences, states, backwards, zero_masked, masked", [*itertools.product([False, True], repeat=5)]
)
def test_every_way_to_run_it(kind, sequences, states, backwards, zero_masked, masked):
    check(
        arguments(kind, 5, 6, 3, np.float64, masked, bias=masked), kind=kind, **TANH, sequences=sequences,
        states=states, backwards=backwards, zero_masked=zero_masked,
    )  # fmt: skip


@kinds
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_function(kind, activation):
    check(arguments(kind, 3, 4, 5, np.float64), kind=kind, activation=activation, recurrent="sigmoid")
    check(arguments(kind, 3, 4, 5, np.float64), kind=kind, activation="tanh", recurrent=activation)


@kinds
def test_the_same_bits_on_any_number_of_threads_and_without_a_gradient(kind, restore_threads):
    arrays, found = arguments(kind, 33, 20, 64, np.float32, True), []
    for threads in (1, 2, 3, 5):
        kernels.set_num_threads(threads)
        found.append([part.tobytes() for part in results(kernels, arrays, None, kind=kind, **TANH) if part is not None])
        assert kernels.recurrence_forward(*arrays, kind=kind, **TANH, save=False)[0].tobytes() == found[-1][0]
    assert found[0] == found[1] == found[2] == found[3]


@kinds
def test_what_a_mask_leaves_out_is_not_read(kind):
    arrays = arguments(kind, 4, 5, 3, np.float32, True)
    expected = results(kernels, arrays, None, kind=kind, **TANH)
    arrays[0] = np.where(arrays[3][..., None] == 0, np.nan, arrays[0]).astype(np.float32)
    for ours, twin in zip(results(kernels, arrays, None, kind=kind, **TANH), expected):
        np.testing.assert_array_equal(ours, twin)


@kinds
def test_nan_stays_in_its_row(kind):
    arrays = arguments(kind, 4, 5, 3, np.float32)
    arrays[0][1, 2, 0] = np.nan
    y = kernels.recurrence_forward(*arrays, kind=kind, **TANH)[0]
    assert (
        np.isnan(y[1, 2:, 0]).all()
        and np.isnan(y[1]).any()
        and not np.isnan(y[[0, 2, 3]]).any()
        and not np.isnan(y[1, :2]).any()
    )


@kinds
def test_any_layout_of_memory(kind):
    arrays = arguments(kind, 4, 5, 3, np.float64, True)
    strided = [None if array is None else np.asfortranarray(array) for array in arrays]
    dy = normal((4, 5, 3), np.float64, 5)
    for ours, twin in zip(
        results(kernels, strided, np.asfortranarray(dy), kind=kind, **TANH),
        results(kernels, arrays, dy, kind=kind, **TANH),
    ):
        np.testing.assert_array_equal(ours, twin)


@kinds
def test_only_what_is_needed(kind):
    arrays = arguments(kind, 2, 3, 4, np.float32)
    y, saved = kernels.recurrence_forward(*arrays, kind=kind, **TANH)
    found = kernels.recurrence_backward(y, saved, kind=kind, **TANH, needs=(True,) + (False,) * 5)
    assert found[0] is not None and found[1:] == (None,) * 5


@kinds
def test_no_rows(kind):
    arrays = arguments(kind, 0, 5, 3, np.float32)
    y, dx, dkernel = results(kernels, arrays, None, kind=kind, **TANH)[:3]
    assert y.shape == (0, 5, 3) and dx.shape == (0, 5, 3 * GATES[kind]) and not dkernel.any()


def wrong(place, value, kind="gru", **options):
    arrays = arguments(kind, 2, 3, 4, np.float32)
    arrays[place] = value
    return arrays, {"kind": kind, **TANH, **options}


ERRORS = [
    (wrong(0, np.zeros((2, 3, 11), "float32")), ValueError, "x must have h's batch"),
    (wrong(0, np.zeros((2, 3, 12), "int32")), TypeError, "x must be float32 or float64"),
    (wrong(1, np.zeros((5, 12), "float32")), ValueError, "kernel must have a row a unit"),
    (wrong(2, np.zeros(11, "float32")), ValueError, "bias must have one entry a column"),
    (wrong(3, np.zeros((2, 4), "float32")), ValueError, "mask must have an entry a step"),
    (wrong(4, np.zeros((3, 4), "float32")), ValueError, "x must have h's batch"),
    (wrong(5, np.zeros((3, 4), "float32")), ValueError, "c is an lstm's"),
    (wrong(5, None, "lstm"), ValueError, "c is an lstm's"),
    (wrong(5, np.zeros((2, 4), "float64"), "lstm"), TypeError, "one dtype"),
    (wrong(2, np.zeros(16, "float32"), "lstm"), ValueError, "Only the product of a gru's state"),
    (wrong(3, None, kind="gru", activation="gelu"), ValueError, "activation must be one of tanh"),
]


@pytest.mark.parametrize("call, kind, message", ERRORS, ids=lambda v: None)
def test_errors_say_what_is_wrong(call, kind, message):
    with pytest.raises(kind, match=message):
        kernels.recurrence_forward(*call[0], **call[1])
