"""Parity with PyTorch, where it is installed: convolution, pooling and their gradients in all ranks."""

import numpy as np
import pytest
from helpers import covering, label, normal

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402

from fastconv import Tensor, ops  # noqa: E402

CONV = covering(
    rank=(1, 2, 3), stride=(1, 2, 3), dilation=(1, 2), padding=(0, 1, 2), groups=(1, 2), channels=(1, 3, 16),
    filters=(1, 5, 17), taps=(1, 2, 3), dtype=(np.float32, np.float64),
)  # fmt: skip
POOL = covering(rank=(1, 2, 3), pool=(2, 3), stride=(1, 2, 3), channels=(1, 5, 17), dtype=(np.float32, np.float64))


def theirs(array, kernel=False):
    """Channels last to torch's layout: (N, *S, C) -> (N, C, *S), (*T, C, K) -> (K, C, *T)."""
    axes = (
        (array.ndim - 1, array.ndim - 2, *range(array.ndim - 2))
        if kernel
        else (0, array.ndim - 1, *range(1, array.ndim - 1))
    )
    return torch.tensor(np.ascontiguousarray(array.transpose(axes)), requires_grad=True)


def ours(tensor, kernel=False):
    array = tensor.detach().numpy()
    axes = (*range(2, array.ndim), 1, 0) if kernel else (0, *range(2, array.ndim), 1)
    return array.transpose(axes)


def assert_close(result, expected, terms):
    eps = np.finfo(result.dtype).eps
    np.testing.assert_allclose(result, expected, rtol=0, atol=30 * eps * terms)


@pytest.mark.parametrize("row", CONV, ids=label)
def test_convolution(row):
    rank = row["rank"]
    size = tuple((row["taps"] - 1) * row["dilation"] + 4 + axis for axis in range(rank))
    x = normal((2, *size, row["channels"] * row["groups"]), row["dtype"])
    kernel = normal((row["taps"],) * rank + (row["channels"], row["filters"] * row["groups"]), row["dtype"], 1)
    bias = normal(kernel.shape[-1:], row["dtype"], 2)
    a, b, c = (Tensor(array, requires_grad=True) for array in (x, kernel, bias))
    y = ops.conv(a, b, row["stride"], row["padding"], dilation_rate=row["dilation"], bias=c)
    tx, tk, tb = theirs(x), theirs(kernel, True), torch.tensor(bias, requires_grad=True)
    expected = getattr(F, f"conv{rank}d")(tx, tk, tb, row["stride"], row["padding"], row["dilation"], row["groups"])
    assert_close(y.numpy(), ours(expected), kernel[..., 0].size)
    dy = normal(y.shape, row["dtype"], 3)
    y.backward(dy)
    expected.backward(theirs(dy).detach())
    assert_close(a.grad, ours(tx.grad), kernel.size)
    assert_close(b.grad, ours(tk.grad, True), dy.size)
    assert_close(c.grad, tb.grad.numpy(), dy.size)


TRANSPOSED = covering(
    rank=(1, 2, 3), stride=(1, 2, 3), dilation=(1, 2), padding=(0, 1), more=(0, 1), groups=(1, 2), channels=(1, 3, 16),
    filters=(1, 5, 17), taps=(2, 3), dtype=(np.float32, np.float64),
)  # fmt: skip


@pytest.mark.parametrize("row", TRANSPOSED, ids=label)
def test_transposed_convolution(row):
    rank, more = row["rank"], min(row["more"], row["stride"] - 1)
    x = normal((2, *(3 + axis for axis in range(rank)), row["channels"] * row["groups"]), row["dtype"])
    kernel = normal((row["taps"],) * rank + (row["filters"], row["channels"] * row["groups"]), row["dtype"], 1)
    bias = normal((row["filters"] * row["groups"],), row["dtype"], 2)
    a, b, c = (Tensor(array, requires_grad=True) for array in (x, kernel, bias))
    y = ops.conv_transpose(
        a, b, row["stride"], row["padding"], more, dilation_rate=row["dilation"], groups=row["groups"], bias=c
    )
    tx, tk, tb = theirs(x), theirs(kernel, True), torch.tensor(bias, requires_grad=True)
    transpose = getattr(F, f"conv_transpose{rank}d")
    expected = transpose(tx, tk, tb, row["stride"], row["padding"], more, row["groups"], row["dilation"])
    assert_close(y.numpy(), ours(expected), kernel.size)
    dy = normal(y.shape, row["dtype"], 3)
    y.backward(dy)
    expected.backward(theirs(dy).detach())
    assert_close(a.grad, ours(tx.grad), kernel.size)
    assert_close(b.grad, ours(tk.grad, True), dy.size)
    assert_close(c.grad, tb.grad.numpy(), dy.size)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 9])
@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("kind", ["max", "average"])
def test_adaptive_pooling(kind, rank, size):
    x = normal((2, *(6 + axis for axis in range(rank)), 5), np.float64)
    a, tx = Tensor(x, requires_grad=True), theirs(x)
    y = getattr(ops, f"adaptive_{kind}_pool")(a, size)
    expected = getattr(F, f"adaptive_{kind.replace('average', 'avg')}_pool{rank}d")(tx, size)
    assert_close(y.numpy(), ours(expected), 10)
    dy = normal(y.shape, np.float64, 3)
    y.backward(dy)
    expected.backward(theirs(dy).detach())
    assert_close(a.grad, ours(tx.grad), 30)


@pytest.mark.parametrize("row", POOL, ids=label)
@pytest.mark.parametrize("kind", ["max", "average"])
def test_pooling(row, kind):
    x = normal((2, *(6 + axis for axis in range(row["rank"])), row["channels"]), row["dtype"])
    a, tx = Tensor(x, requires_grad=True), theirs(x)
    y = getattr(ops, f"{kind}_pool")(a, row["pool"], row["stride"])
    expected = getattr(F, f"{kind.replace('average', 'avg')}_pool{row['rank']}d")(tx, row["pool"], row["stride"])
    assert_close(y.numpy(), ours(expected), 10)
    dy = normal(y.shape, row["dtype"], 3)
    y.backward(dy)
    expected.backward(theirs(dy).detach())
    assert_close(a.grad, ours(tx.grad), 30)


def test_crossentropy():
    logits, labels = normal((20, 7), np.float64), np.arange(20) % 7
    a, t = Tensor(logits, requires_grad=True), torch.tensor(logits, requires_grad=True)
    loss = ops.mean(ops.sparse_categorical_crossentropy(labels, a, from_logits=True))
    expected = F.cross_entropy(t, torch.tensor(labels))
    loss.backward()
    expected.backward()
    assert_close(loss.numpy(), expected.detach().numpy(), 10)
    assert_close(a.grad, t.grad.numpy(), 10)
