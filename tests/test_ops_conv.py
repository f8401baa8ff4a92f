"""Convolution and pooling as ops: gradients over ranks and geometries, arguments that only ops know."""

import numpy as np
import pytest
from helpers_ops import values

from fastconv import Tensor, kernels, ops
from fastconv.testing import gradcheck

SIZES = {1: (7,), 2: (5, 6), 3: (4, 3, 5)}
GEOMETRIES = [
    dict(),
    dict(strides=2, padding="same"),
    dict(strides=2, padding="same", dilation_rate=2),
    dict(padding=1, dilation_rate=2),
    dict(padding="pairs", strides=3),
    dict(groups=2),
]
CHANNELS_LAST = "data_format must be 'channels_last'"


def geometry(rank, options):
    return {**options, "padding": ((2, 0),) * rank} if options.get("padding") == "pairs" else options


@pytest.mark.parametrize("options", GEOMETRIES, ids=str)
@pytest.mark.parametrize("rank", SIZES)
def test_conv_gradients(rank, options):
    arrays = values(2, *SIZES[rank], 4), values(*(2,) * rank, 4 // options.get("groups", 1), 6), values(6)
    assert gradcheck(lambda x, w, b: ops.conv(x, w, bias=b, **geometry(rank, options)), *arrays)


def test_conv_is_the_kernel():
    x, w = values(2, 6, 6, 3, dtype="float32"), values(3, 3, 3, 4, dtype="float32")
    y = ops.conv(x, w, strides=2, padding="same")
    np.testing.assert_array_equal(y.data, kernels.conv_forward(x, w, strides=2, padding="same"))


def test_conv_makes_only_the_gradients_that_are_wanted(monkeypatch):
    for name in ("conv_backward_input", "bias_backward"):
        monkeypatch.setattr(kernels, name, lambda *args, **kwargs: pytest.fail("not wanted"))
    w = Tensor(values(3, 1, 2), requires_grad=True)
    ops.conv(values(2, 8, 1), w, bias=values(2)).sum().backward()
    assert w.grad.shape == w.shape


@pytest.mark.parametrize("pool", [ops.max_pool, ops.average_pool])
@pytest.mark.parametrize("options", [dict(), dict(strides=1), dict(strides=2, padding="same")], ids=str)
@pytest.mark.parametrize("rank", SIZES)
def test_pool_gradients(pool, rank, options):
    assert gradcheck(lambda x: pool(x, 3 if "strides" in options else 2, **options), values(2, *SIZES[rank], 3))


@pytest.mark.parametrize("pool", [ops.global_max_pool, ops.global_average_pool])
@pytest.mark.parametrize("rank", SIZES)
def test_global_pool_gradients(pool, rank):
    x = values(2, *SIZES[rank], 3)
    expected = getattr(x, "max" if pool is ops.global_max_pool else "mean")(axis=tuple(range(1, rank + 1)))
    np.testing.assert_allclose(pool(x).data, expected)
    assert gradcheck(pool, x)


def test_nan_reaches_through_conv_and_pools():
    x = values(1, 4, 4, 1)
    x[0, 1, 1, 0] = np.nan
    for y in (ops.conv(x, values(2, 2, 1, 1)), ops.max_pool(x, 2), ops.average_pool(x, 2)):
        assert np.isnan(y.data[0, 0, 0, 0]) and not np.isnan(y.data[0, -1, -1, 0])


def test_batch_of_zero():
    x, w = Tensor(np.zeros((0, 6, 6, 2)), True), Tensor(values(3, 3, 2, 4), True)
    ops.max_pool(ops.conv(x, w), 2).sum().backward()
    assert x.grad.shape == x.shape and not w.grad.any()


@pytest.mark.parametrize(
    "call",
    [
        lambda x, w: ops.conv(x, w, data_format="channels_first"),
        lambda x, w: ops.max_pool(x, 2, data_format="channels_first"),
        lambda x, w: ops.average_pool(x, 2, data_format="NHWC"),
    ],
)
def test_only_channels_last(call):
    with pytest.raises(ValueError, match=CHANNELS_LAST):
        call(values(1, 5, 5, 2), values(2, 2, 2, 3))


def test_conv_takes_one_dtype():
    with pytest.raises(TypeError, match="Conv got float32 and float64"):
        ops.conv(values(1, 5, 5, 2, dtype="float32"), values(2, 2, 2, 3))
