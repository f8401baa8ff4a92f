"""Geometry of any size: strides, dilation, padding and windows next to 2**15 ... 2**63 compute what the twin does or are
refused with an error that says which argument is too large; sizes never wrap, and no work goes into padding."""

import random
import types

import numpy as np
import pytest
from helpers_geometry import conv_case, pool_case, try_conv, try_pool

from fastconv import layers, models
from fastconv.kernels import _conv, _conv_pool

pytestmark = pytest.mark.usefixtures("exact")

FAR = 2**31 - 1


@pytest.mark.parametrize("seed", range(60))
def test_any_convolution_is_its_twins_or_refused(seed):
    rng = random.Random(f"conv {seed}")
    outcomes = [try_conv(*conv_case(rng)) for _ in range(5)]
    assert {*outcomes} <= {"ran", "refused"}


@pytest.mark.parametrize("seed", range(30))
def test_any_pooling_is_its_twins_or_refused(seed):
    rng = random.Random(f"pool {seed}")
    outcomes = [try_pool(*pool_case(rng)) for _ in range(10)]
    assert {*outcomes} <= {"ran", "refused"}


def test_a_file_with_absurd_strides_loads_and_predicts(tmp_path):
    layer = layers.Conv2D(
        4, 1, strides=FAR, padding=((0, FAR), (0, FAR)), input_shape=(1, 1, 1), bias_initializer="ones"
    )
    model = models.Sequential([layer])
    model.save(tmp_path / "model.fastconv")
    y = models.load_model(tmp_path / "model.fastconv").predict(np.full((3, 1, 1, 1), 2, "f4"), verbose=0)
    assert y.shape == (3, 2, 2, 4)
    np.testing.assert_allclose(y[:, 0, 0], np.tile(2 * model.get_weights()[0].reshape(1, 4) + 1, (3, 1)), rtol=1e-6)
    assert (y[:, 1] == 1).all() and (y[:, :, 1] == 1).all()


def test_training_with_absurd_dilation_moves_the_taps_that_read():
    model = models.Sequential([layers.Conv2D(8, 3, dilation_rate=2**30 - 1, padding="same", input_shape=(4, 4, 3))])
    before = model.get_weights()[0].copy()
    model.compile("sgd", "mse")
    x = np.random.default_rng(0).random((8, 4, 4, 3), np.float32)
    model.fit(x, np.ones((8, 4, 4, 8), np.float32), epochs=3, verbose=0)
    moved = (model.get_weights()[0] != before).any(axis=(2, 3))
    assert moved[1, 1] and moved.sum() == 1


@pytest.mark.parametrize("dilation", [2**29, FAR])
def test_sparse_gradients_with_absurd_dilation(dilation):
    kernel = (2, 2, 3, 2, 8) if dilation == FAR else (3, 3, 3, 2, 8)
    assert (
        try_conv((4, 4, 4, 6, 2), kernel, {"dilation_rate": (dilation, dilation, 1), "padding": "same"}, "f4") == "ran"
    )


@pytest.mark.parametrize("algorithm, groups, dilation", [("direct", 1, 2**32 - 4), ("grouped", 8, 2**58 - 4)])
def test_sizes_of_scratch_never_wrap(algorithm, groups, dilation):
    """Windows that geometry.py lets nobody make; the products of their sizes are multiples of 2**64."""
    axis = (4, 4, 2, 1, dilation, -dilation)
    window = types.SimpleNamespace(axes=axis * 3, pointwise=False, input=(4, 4, 4), output=(4, 4, 4))
    x, y = np.ones((4, 4, 4, 4, 8), "f4"), np.ones((4, 4, 4, 4, 8), "f4")
    kernel, dkernel = (np.ones((2, 2, 2, 8 // groups, 8), "f4") for _ in range(2))
    pool, index = (2, 2, 2), np.zeros((4, 2, 2, 2, 8), np.uint8)
    pooled = np.ones(index.shape, "f4")
    runs = [
        lambda: _conv.conv_forward(x, kernel, None, y, window, groups, algorithm),
        lambda: _conv.conv_backward_input(y, kernel, None, x, window, groups, algorithm),
        lambda: _conv.conv_backward_kernel(y, x, dkernel, window, groups, algorithm),
    ]
    if algorithm == "direct":
        runs += [
            lambda: _conv_pool.conv_pool_forward(x, kernel, None, pooled, index, window, pool, True, groups),
            lambda: _conv_pool.conv_pool_backward_input(pooled, index, kernel, x, window, pool),
            lambda: _conv_pool.conv_pool_backward_kernel(pooled, index, x, dkernel, window, pool),
        ]
        x, kernel, dkernel = x[..., :3].copy(), kernel[..., :3, :].copy(), dkernel[..., :3, :].copy()  # flat
        runs += [lambda: _conv.conv_backward_kernel(y, x, dkernel, window, groups, algorithm)]
    for run in runs:
        with pytest.raises(MemoryError, match="more memory than there can be"):
            run()
