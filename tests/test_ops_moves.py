"""Ops that move data: values, gradients, layouts, shapes, and that those which promise kernels can be planned."""

import numpy as np
import pytest
from helpers_ops import DTYPES, Row, check_grad, check_layouts, check_nan, check_op, check_planned, inputs_of, values

from fastconv import Tensor, ops, tensor

PAIRS = ((1, 0), (0, 2), (2, 1))
NUMBERS = np.array([[0, -1], [2, 0]])


def linear(x, size):
    """Keras' resize: each axis by the shares of the cells around each half-pixel centre."""
    for axis, new in enumerate(size, 1):
        old = x.shape[axis]
        place = np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, old - 1)
        shares = np.maximum(1 - abs(place[:, None] - np.arange(old)), 0)
        x = np.moveaxis(np.moveaxis(x, axis, -1) @ shares.T, -1, axis)
    return x


def nearest(x, size):
    for axis, new in enumerate(size, 1):
        x = np.take(x, ((np.arange(new) + 0.5) * x.shape[axis] / new).astype(int), axis)
    return x


def doubled(x, axes):
    for axis in axes:
        x = np.repeat(x, 2, axis)
    return x


def row(name, op, expected, *shapes):
    return Row(name, op, expected, shapes)


ROWS = [
    row("concatenate", lambda *xs: ops.concatenate(xs), lambda *xs: np.concatenate(xs), (2, 3), (1, 3), (4, 3)),
    row("concatenate_last", lambda *xs: ops.concatenate(xs, -1), lambda *xs: np.concatenate(xs, -1), (2, 3, 1), (2, 3, 4)),
    row("stack", lambda *xs: ops.stack(xs), lambda *xs: np.stack(xs), (2, 3), (2, 3)),
    row("stack_last", lambda *xs: ops.stack(xs, -1), lambda *xs: np.stack(xs, -1), (2, 3), (2, 3), (2, 3)),
    row("unstack", lambda x: ops.unstack(x, axis=1)[2], lambda x: x[:, 2], (2, 3, 4)),
    row("split", lambda x: ops.split(x, 2, 1)[1], lambda x: np.split(x, 2, 1)[1], (3, 4)),
    row("split_cuts", lambda x: ops.concatenate(ops.split(x, [1, 3], 1)[::-1], 1),
        lambda x: np.concatenate(np.split(x, [1, 3], 1)[::-1], 1), (2, 4)),
    row("slice", lambda x: ops.slice(x, (0, 1), (-1, 2)), lambda x: x[:, 1:3], (3, 4)),
    row("item_numbers", lambda x: x[1, -1], lambda x: x[1, -1], (2, 3, 4)),
    row("item_backwards", lambda x: x[..., ::-2, None], lambda x: x[..., ::-2, None], (2, 5)),
    row("take", lambda x: ops.take(x, NUMBERS, 1), lambda x: np.take(x, NUMBERS, 1), (2, 3, 2)),
    row("take_flat", lambda x: ops.take(x, [5, 0, 5]), lambda x: np.take(x, [5, 0, 5]), (2, 3)),
    row("take_along_axis", lambda x: ops.take_along_axis(x, NUMBERS, 1),
        lambda x: np.take_along_axis(x, NUMBERS, 1), (2, 3)),
    row("pad", lambda x: ops.pad(x, PAIRS), lambda x: np.pad(x, PAIRS), (2, 3, 2)),
    row("pad_value", lambda x: ops.pad(x, 1, constant_values=2), lambda x: np.pad(x, 1, constant_values=2), (2, 3)),
    row("crop", lambda x: ops.pad(x, ((-1, 1), (0, -2))), lambda x: np.pad(x[1:, :-2], ((0, 1), (0, 0))), (3, 4)),
    row("pad_reflect", lambda x: ops.pad(x, (2, 1), "reflect"), lambda x: np.pad(x, (2, 1), "reflect"), (3, 4)),
    row("pad_edge", lambda x: ops.pad(x, ((0, 0), (2, 1)), "edge"), lambda x: np.pad(x, ((0, 0), (2, 1)), "edge"), (3, 4)),
    row("flip", ops.flip, np.flip, (2, 3)),
    row("flip_axis", lambda x: ops.flip(x, 1), lambda x: np.flip(x, 1), (2, 3, 2)),
    row("repeat", lambda x: ops.repeat(x, 3, 1), lambda x: np.repeat(x, 3, 1), (2, 3)),
    row("repeat_flat", lambda x: ops.repeat(x, 2), lambda x: np.repeat(x, 2), (2, 3)),
    row("repeat_each", lambda x: ops.repeat(x, [2, 0, 1], 1), lambda x: np.repeat(x, [2, 0, 1], 1), (2, 3)),
    row("tile", lambda x: ops.tile(x, (2, 3)), lambda x: np.tile(x, (2, 3)), (2, 3)),
    row("tile_deeper", lambda x: ops.tile(x, (2, 1, 3)), lambda x: np.tile(x, (2, 1, 3)), (2, 3)),
    row("upsample_1d", lambda x: ops.upsample(x, 2), lambda x: doubled(x, (1,)), (2, 3, 4)),
    row("upsample_2d", lambda x: ops.upsample(x, (2, 2)), lambda x: doubled(x, (1, 2)), (2, 3, 2, 3)),
    row("upsample_3d", lambda x: ops.upsample(x), lambda x: doubled(x, (1, 2, 3)), (1, 2, 2, 2, 3)),
    row("resize", lambda x: ops.image.resize(x, (6, 8)), lambda x: linear(x, (6, 8)), (2, 3, 4, 2)),
    row("resize_odd", lambda x: ops.image.resize(x, (2, 7)), lambda x: linear(x, (2, 7)), (1, 5, 4, 1)),
    row("resize_image", lambda x: ops.image.resize(x, (6, 4)), lambda x: linear(x[None], (6, 4))[0], (3, 4, 2)),
    row("resize_nearest", lambda x: ops.image.resize(x, (6, 8), "nearest"), lambda x: nearest(x, (6, 8)), (2, 3, 4, 2)),
    row("resize_nearest_odd", lambda x: ops.image.resize(x, (4, 3), "nearest"), lambda x: nearest(x, (4, 3)), (1, 3, 5, 2)),
    row("resize_crop", lambda x: ops.image.resize(x, (4, 4), crop_to_aspect_ratio=True),
        lambda x: linear(x[:, :, 1:4], (4, 4)), (1, 3, 6, 1)),
    row("resize_pad", lambda x: ops.image.resize(x, (4, 4), pad_to_aspect_ratio=True, fill_value=1.0),
        lambda x: linear(np.pad(x, ((0, 0), (1, 1), (0, 0), (0, 0)), constant_values=1), (4, 4)), (1, 3, 6, 1)),
    row("squeeze", ops.squeeze, np.squeeze, (3, 1, 2, 1)),
    row("squeeze_axis", lambda x: ops.squeeze(x, -1), lambda x: x[..., 0], (1, 2, 1)),
    row("expand_dims", lambda x: ops.expand_dims(x, (0, -1)), lambda x: x[None, ..., None], (2, 3)),
    row("moveaxis", lambda x: ops.moveaxis(x, 0, -1), lambda x: np.moveaxis(x, 0, -1), (2, 3, 4)),
    row("moveaxes", lambda x: ops.moveaxis(x, (0, 2), (1, 0)), lambda x: np.moveaxis(x, (0, 2), (1, 0)), (2, 3, 4)),
    row("swapaxes", lambda x: ops.swapaxes(x, 0, -1), lambda x: np.swapaxes(x, 0, -1), (2, 3, 4)),
    row("broadcast_to", lambda x: ops.broadcast_to(x, (2, 3, 4)), lambda x: np.broadcast_to(x, (2, 3, 4)), (3, 1)),
    row("transpose_again", lambda x: ops.transpose(x, (2, 0, 1)), lambda x: x.transpose(2, 0, 1), (2, 3, 4)),
    row("dropout_nothing", lambda x: ops.dropout(x, 0.0, (None, 1)), lambda x: x, (3, 4)),
]  # fmt: skip
each_row = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
LOSES = {"unstack", "split", "slice", "item_numbers", "item_backwards", "take", "take_flat", "take_along_axis", "crop",
         "repeat_each", "resize_nearest_odd", "resize_crop"}  # fmt: skip


@each_row
@pytest.mark.parametrize("dtype", DTYPES)
def test_values(row, dtype):
    check_op(row, dtype)


@each_row
def test_gradient(row):
    check_grad(row)


@each_row
def test_layouts(row):
    check_layouts(row)


@pytest.mark.parametrize("row", [row for row in ROWS if row.name not in LOSES], ids=lambda row: row.name)
def test_nan_reaches_the_output(row):
    check_nan(row)


@pytest.fixture
def applied(monkeypatch):
    """(op, shapes, attributes, result's shape) of every Op that runs."""
    calls, apply = [], tensor.Op.apply.__func__

    def spy(cls, *inputs, **attributes):
        result = apply(cls, *inputs, **attributes)
        calls.append((cls, [np.shape(x) for x in inputs], attributes, result.shape))
        return result

    monkeypatch.setattr(tensor.Op, "apply", classmethod(spy))
    return calls


@each_row
def test_shape_says_what_forward_gives(row, applied):
    row.op(*map(Tensor, inputs_of(row)))
    assert applied
    for op, shapes, attributes, expected in applied:
        assert op.shape(*shapes, **attributes) == expected
        opened = op.shape(*[(None, *shape[1:]) for shape in shapes], **attributes)
        assert len(opened) == len(expected) and all(n in (None, size) for n, size in zip(opened, expected))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_plan_repeats_forward_and_backward_on_other_values(row):
    others = [values(*shape, seed=5 + i) for i, shape in enumerate(row.shapes)]
    check_planned(lambda *x: row.op(*map(ops.relu, x)), inputs_of(row), others)


def test_a_split_gives_all_its_parts_their_gradient():
    x = Tensor(np.arange(6.0).reshape(2, 3), True)
    one, other = ops.split(x, [1], 1)
    (one.sum() * 2 + (other * other).sum()).backward()
    np.testing.assert_array_equal(x.grad, [[2, 2, 4], [2, 8, 10]])


def test_joined_constants_need_no_gradient():
    x = Tensor(np.ones((2, 1)), True)
    ops.concatenate([np.zeros((2, 2)), x, [[7.0], [8.0]]], 1).sum().backward()
    np.testing.assert_array_equal(x.grad, [[1], [1]])


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda t: ops.concatenate([]), "xs must hold one array"),
        (lambda t: ops.concatenate([t, t[:1]], 1), r"along axis 1 must have the same sizes.*\(2, 3\), \(1, 3\)"),
        (lambda t: ops.concatenate([t, t[0]]), "as many axes"),
        (lambda t: ops.concatenate([t], 2), "axis must be"),
        (lambda t: ops.unstack(t, num=3), "num must be 2"),
        (lambda t: ops.split(t, 2, 1), "3 cells, which cannot be split into 2"),
        (lambda t: ops.slice(t, (0, 2), (1, 2)), "does not lie in"),
        (lambda t: ops.take(t, [0, 3], 1), "from -3 to 2.*got 0 to 3"),
        (lambda t: ops.pad(t, ((1, 1),) * 3), "each of 2 axes"),
        (lambda t: ops.pad(t, (1, 2, 3)), "each of 2 axes"),
        (lambda t: ops.pad(t, ((1, 2, 3), (0, 0))), "pad_width must be a number"),
        (lambda t: ops.pad(t, -2), "cannot be cut off an axis of 2"),
        (lambda t: ops.pad(t, 1, "wrap"), "mode must be"),
        (lambda t: ops.pad(t, 1, "reflect", 0), "goes with 'constant' alone"),
        (lambda t: ops.repeat(t, -1, 0), "repeats must be 0 or more"),
        (lambda t: ops.repeat(t, [1, 2, 3], 0), "one or 2 numbers"),
        (lambda t: ops.tile(t, 0), "repeats must be at least 1"),
        (lambda t: ops.upsample(t), "1 to 3 spatial axes"),
        (lambda t: ops.upsample(t[None], 0), "size must be between 1"),
        (lambda t: ops.upsample(t[None], data_format="NCHW"), "channels_last"),
        (lambda t: ops.image.resize(t, (2, 2)), "height, width, channels"),
        (lambda t: ops.image.resize(t[None, None], (2, 2), "cubic"), "'lanczos5'; got 'cubic'"),
        (lambda t: ops.squeeze(t, 0), "Only axes of size 1"),
        (lambda t: ops.expand_dims(t, 4), "axis must be"),
        (lambda t: ops.moveaxis(t, (0, 1), 0), "as many axes"),
        (lambda t: ops.broadcast_to(t, (2, 4)), "cannot be broadcast"),
        (lambda t: ops.reshape(t, (-1, -1)), "-1 once at most"),
        (lambda t: ops.reshape(t, (-1, 4)), "Cannot reshape 6 elements"),
        (lambda t: ops.transpose(t, (0, 1, 2)), "each of the 2 axes once"),
        (lambda t: ops.dropout(t, 0.5, (2, 2)), r"noise_shape must have 1, None or"),
    ],
)
def test_wrong_arguments_raise(call, message):
    with pytest.raises(ValueError, match=message):
        call(Tensor(np.ones((2, 3), "float32")))


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda t: ops.take(t, [0.5], 1), "indices must hold integers"),
        (lambda t: ops.reshape(t, "a"), "newshape must be whole numbers"),
        (lambda t: ops.dropout(t, 0.5, seed="a"), "seed must be an integer"),
        (lambda t: ops.dropout(t, 0.5, seed=np.random.default_rng(0)), "seed must be an integer"),
    ],
)
def test_wrong_types_raise(call, message):
    with pytest.raises(TypeError, match=message):
        call(Tensor(np.ones((2, 3), "float32")))


def test_empty_batches():
    x = Tensor(np.zeros((0, 4, 4, 2), "float32"), True)
    for op in (lambda x: ops.concatenate([x, x], -1), lambda x: ops.upsample(x), lambda x: ops.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0))),
               lambda x: ops.image.resize(x, (8, 8)), lambda x: ops.flip(x, 1), lambda x: x[:, 1:3], lambda x: ops.dropout(x, 0.5),
               lambda x: ops.transpose(x, (0, 3, 1, 2)), lambda x: ops.reshape(x, (0, 32))):  # fmt: skip
        x.grad = None
        op(x).sum().backward()
        assert len(op(x)) == 0 and x.grad.shape == x.shape
