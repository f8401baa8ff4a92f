"""Parity with PyTorch, where it is installed: convolution, pooling and their gradients in all ranks; its files and loaders."""

import numpy as np
import pytest
from helpers import covering, label, normal

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402
from safetensors.numpy import save_file  # noqa: E402

from fastconv import Input, Sequential, Tensor, layers, ops  # noqa: E402
from fastconv.utils import set_random_seed  # noqa: E402

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


def residual():
    """A network whose modules are defined in the order in which they are used, with a Linear behind a Flatten."""
    nn = torch.nn
    return nn.Sequential(
        nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 8, 3, groups=4, padding=1), nn.PReLU(),
        nn.ConvTranspose2d(8, 3, 2, stride=2), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(48, 5), nn.LayerNorm(5),
        nn.Linear(5, 2),
    )  # fmt: skip


def ours_of_it():
    return Sequential([
        Input((6, 6, 2)), layers.Conv2D(4, 3), layers.BatchNormalization(epsilon=1e-5), layers.ReLU(),
        layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same"), layers.PReLU(shared_axes=[1, 2, 3]),
        layers.Conv2DTranspose(3, 2, strides=2), layers.MaxPooling2D(2), layers.Flatten(), layers.Dense(5),
        layers.LayerNormalization(epsilon=1e-5), layers.Dense(2),
    ])  # fmt: skip


@pytest.mark.parametrize("name", ["w.pt", "w.safetensors"])
def test_state_dicts(tmp_path, name):
    torch.manual_seed(0)
    model = residual()
    model(torch.randn(8, 2, 6, 6))  # moves the statistics
    state = model.eval().state_dict()
    if name.endswith("pt"):
        torch.save(state, tmp_path / name)
    else:
        save_file({key: value.numpy() for key, value in state.items()}, tmp_path / name)
    twin = ours_of_it()
    twin.load_weights(tmp_path / name)
    x = normal((3, 6, 6, 2), np.float32)
    expected = model(theirs(x).float()).detach().numpy()
    np.testing.assert_allclose(twin.predict(x), expected, atol=2e-6)


KINDS = {"bfloat16": torch.bfloat16, "half": torch.float16, "double": torch.float64}


@pytest.mark.parametrize("kind", KINDS)
def test_state_dicts_of_other_floats_and_views(tmp_path, kind):
    weight = torch.arange(12.0).reshape(3, 4).t()[1:].to(KINDS[kind])
    torch.save(
        {"model": {"fc.weight": torch.nn.Parameter(weight), "fc.bias": torch.ones(3)}, "epoch": 1}, tmp_path / "w.pt"
    )
    model = Sequential([Input((3,)), layers.Dense(3)])
    model.load_weights(tmp_path / "w.pt")
    np.testing.assert_array_equal(model.get_weights()[0], weight.float().numpy().T)


def test_a_data_loader_feeds_fit():
    """Batches as lists of tensors: the same training as from arrays in their order."""
    x, y = normal((20, 4), np.float32), label_of(20)
    models = []
    for _ in range(2):
        set_random_seed(1)
        models.append(Sequential([Input((4,)), layers.Dense(3, activation="softmax")]))
        models[-1].compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.tensor(x), torch.tensor(y)), batch_size=6)
    settings = {"epochs": 2, "verbose": 0}
    logs = [
        models[0].fit(loader, validation_data=loader, **settings),
        models[1].fit(x, y, 6, shuffle=False, validation_data=(x, y), validation_batch_size=6, **settings),
    ]
    assert logs[0].history == logs[1].history
    for one, other in zip(models[0].get_weights(), models[1].get_weights()):
        np.testing.assert_array_equal(one, other)


def label_of(count):
    return np.arange(count) % 3
