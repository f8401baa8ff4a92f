"""Window: the definition of kernel, stride, padding and dilation for every rank.

A window slides over the spatial axes of a channels-last array; convolution and pooling share it. It knows sizes
only: no channels, no data, no dtype. Windows are cached by shape, immutable, compared by identity, and validated when
they are made: a Window that exists is one that the kernels may run.

With `e = (kernel - 1) * dilation + 1`, an axis has `output = (low + input + high - e) // stride + 1`, and tap `t`
of output `o` reads input `o * stride + t * dilation - low`. Padding adds at most 2**31 - 1 cells to an axis; so all of
these numbers fit 64 bits. Their products over the axes need not: see `product` in _memory.pxd.

An axis of stride 0, for pooling alone, has bins: output `o` reads the inputs from `o * input // output` up to
`ceil((o + 1) * input / output)`; `kernel` is the largest bin.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass
from functools import cached_property, lru_cache, wraps
from math import gcd, prod

_LIMIT = 2**31 - 1
REACH = 8  # times the cells that there are, past which windows reach far
_INT = {int}
_PLAIN = {int, str, type(None)}  # and Window, see below


def cached(function):
    """`function`, which remembers its results for positional arguments that are ints, strings, None, Windows and tuples
    of ints. Exactly these types: True and 1.0 equal 1, but must meet the function's own checks."""
    remembered, only_ints = lru_cache(maxsize=4096)(function), _INT.issuperset

    @wraps(function)
    def call(*arguments):
        for argument in arguments:
            if type(argument) is tuple:
                if not only_ints(map(type, argument)):
                    return function(*arguments)
            elif type(argument) not in _PLAIN:
                return function(*arguments)
        return remembered(*arguments)

    return call


@dataclass(frozen=True, eq=False)
class Window:
    """One window geometry; every field is a tuple with one entry a spatial axis.

    `padding` holds `(low, high)` pairs, whatever form it was given in. `axes` is the same for C, flat: for depth, height
    and width the fields of fc_axis (csrc/tiles.h); axes that are lacking have one cell and one tap.
    """

    input: tuple[int, ...]
    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    dilation: tuple[int, ...]
    output: tuple[int, ...]
    axes: tuple[int, ...]

    @staticmethod
    def of(input, kernel, strides=1, padding="valid", dilation_rate=1) -> Window:
        """The window of these spatial sizes.

        `input` and `kernel` are tuples of one length (1, 2 or 3); `strides` and `dilation_rate` an int or one int an
        axis; `padding` is "valid" (none), "same" (Keras' rule: `output = ceil(input / stride)`, the odd cell at the
        end), "causal" (one axis only: all of "same"'s cells at the start, so that no output reads what comes after
        it), an int for every side, or one `(low, high)` pair an axis. Raises ValueError or TypeError otherwise.
        """
        rank = len(input)
        return _window(
            tuple(input),
            per_axis("kernel_size", kernel, rank),
            per_axis("strides", strides, rank),
            _padding(padding, rank),
            per_axis("dilation_rate", dilation_rate, rank),
        )

    @staticmethod
    def transposed(input, kernel, strides=1, padding="valid", output_padding=None, dilation_rate=1) -> Window:
        """The window whose backward pass is the transposed convolution of these sizes: its `output` is `input`, and its
        `input` what the transposed convolution makes, of which each side's `padding` is cut off.

        By Keras' rules: "valid" makes `(input - 1) * stride + max(e, stride)` cells and "same" `input * stride`; with
        an `output_padding`, at the end and less than the stride, they are `(input - 1) * stride + e + output_padding` and
        `(input - 1) * stride + e % 2 + output_padding`. Explicit paddings make
        `(input - 1) * stride + e - low - high + output_padding`, where None is 0.
        """
        rank = len(input)
        return _transposed(
            tuple(input),
            per_axis("kernel_size", kernel, rank),
            per_axis("strides", strides, rank),
            _padding(padding, rank),
            None if output_padding is None else per_axis("output_padding", output_padding, rank, low=0),
            per_axis("dilation_rate", dilation_rate, rank),
        )

    @staticmethod
    def bins(input, output) -> Window:
        """The window of adaptive pooling: `output` bins an axis, of equal sizes or of sizes that differ by one cell."""
        return _bins(tuple(input), per_axis("output_size", output, len(input)))

    @cached_property
    def compact(self) -> Window:
        """The Window that convolutions run on: this one, unless its windows reach far past the input.

        Kernels copy the input under a block of outputs, padding and all. Where that would be more than a few times the
        cells that there are, `unfold` lays the cells of each window side by side instead, without the padding between
        them: on such an axis the input has `output * kernel` cells, and the stride is the kernel's size.
        """
        far = [_reaches_far(*span, o) for span, o in zip(self.spans, self.output)]
        if not any(far):
            return self
        spans = [
            (o * span[1], span[1], span[1], (0, 0), 1) if too_far or o * span[1] < span[0] else span
            for span, o, too_far in zip(self.spans, self.output, far)
        ]
        return _window(*zip(*spans))

    @cached_property
    def line(self) -> Window:
        """The same window with its last axis of several taps and the axes behind it as one, where those have one tap each,
        stride 1 and no padding: a cell's neighbours then stand as far apart as a line of them is long. Else this one."""
        last = max((axis for axis, taps in enumerate(self.kernel) if taps > 1), default=len(self.kernel) - 1)
        behind = self.input[last + 1 :]
        if not behind or {*self.strides[last:]} != {1} or {*self.padding[last + 1 :]} != {(0, 0)}:
            return self
        cells = prod(behind)
        low, high = self.padding[last]
        try:
            return _window(
                (*self.input[:last], self.input[last] * cells), self.kernel[: last + 1], self.strides[: last + 1],
                (*self.padding[:last], (low * cells, high * cells)), (*self.dilation[:last], self.dilation[last] * cells),
            )  # fmt: skip
        except ValueError:  # too much padding for one axis
            return self

    @property
    def spans(self) -> list[tuple]:
        """(input, taps, stride, padding, dilation) of each axis."""
        return list(zip(self.input, self.kernel, self.strides, self.padding, self.dilation))

    @cached_property
    def pointwise(self) -> bool:
        """Whether each output sees the input at its own position alone."""
        return {*self.kernel, *self.strides} == {1} and {*self.padding} == {(0, 0)}


_PLAIN.add(Window)


def _reaches_far(size, taps, stride, padding, dilation, output) -> bool:
    """Whether one window, or all of them, reach over far more cells than the input and the taps are."""
    extent = (taps - 1) * dilation + 1
    return extent > REACH * (size + taps) or (output - 1) * stride + extent > REACH * (size + output * taps)


def per_axis(name: str, value, rank: int, low: int = 1) -> tuple[int, ...]:
    """`value` as a tuple of `rank` ints, each at least `low`; a single int stands for every axis."""
    if (
        type(value) is tuple and len(value) == rank > 0 and _INT.issuperset(map(type, value))
    ):  # as layers and arrays keep it
        if min(value) >= low and max(value) <= _LIMIT:
            return value
    elif type(value) is int and low <= value <= _LIMIT:
        return (value,) * rank
    try:
        numbers = (_integer(value),) * rank if not hasattr(value, "__len__") else tuple(map(_integer, value))
    except TypeError:
        raise TypeError(f"{name} must be an integer or {rank} integers; got {value!r}.") from None
    if len(numbers) != rank:
        raise ValueError(f"{name} must be an integer or {rank} integers, one a spatial axis; got {value!r}.")
    for number in numbers:
        if not low <= number <= _LIMIT:
            raise ValueError(f"{name} must be between {low} and {_LIMIT}; got {value!r}.")
    return numbers


def _integer(value) -> int:
    if isinstance(value, (bool, str)):
        raise TypeError
    return operator.index(value)


def _padding(padding, rank: int):
    if isinstance(padding, str):
        if padding.lower() in ("valid", "same") or padding.lower() == "causal" and rank == 1:
            return padding.lower()
    elif not hasattr(padding, "__len__"):
        return tuple((p, p) for p in per_axis("padding", padding, rank, low=0))
    elif len(padding) == rank and all(hasattr(pair, "__len__") and len(pair) == 2 for pair in padding):
        return tuple(per_axis("padding", pair, 2, low=0) for pair in padding)
    causal = " 'causal'," if rank == 1 else ""
    raise ValueError(
        f"padding must be 'valid', 'same',{causal} an int for every side, or {rank} (low, high) pairs, one a spatial "
        f"axis; got {padding!r}."
    )


@lru_cache(maxsize=4096)
def _window(input, kernel, strides, padding, dilation) -> Window:
    _check_cells(input)
    extents = _extents(kernel, dilation)
    asked = padding
    if padding == "valid":
        padding = ((0, 0),) * len(input)
    elif padding == "causal":
        padding = ((extents[0] - 1, 0),)
    elif padding == "same":
        padding = tuple(_same(n, e, s) for n, e, s in zip(input, extents, strides))
    output = []
    for axis, (size, extent, stride, (low, high)) in enumerate(zip(input, extents, strides, padding)):
        padded = low + size + high
        if low + high > _LIMIT:
            raise ValueError(_too_much(asked, axis, low + high, kernel[axis], extent))
        if extent > padded:
            dilated = f" (dilated to {extent})" if extent != kernel[axis] else ""
            raise ValueError(
                f"The window of size {kernel[axis]}{dilated} is larger than the padded input of size {padded} on "
                f"spatial axis {axis}. Use padding='same', a smaller window or a larger input."
            )
        output.append((padded - extent) // stride + 1)
    # What C computes with stays small: one window has no next one, one tap no next one.
    steps = [min(s, n + e) if o == 1 else s for s, n, e, o in zip(strides, input, extents, output)]
    gaps = [d if taps > 1 else 1 for d, taps in zip(dilation, kernel)]
    starts = [-low for low, _ in padding]
    return Window(
        input, kernel, strides, padding, dilation, tuple(output), _axes(input, output, kernel, steps, gaps, starts)
    )


@lru_cache(maxsize=4096)
def _transposed(input, kernel, strides, padding, output_padding, dilation) -> Window:
    _check_cells(input)
    if padding == "causal":
        raise ValueError("padding of a transposed convolution must be 'valid', 'same' or explicit; got 'causal'.")
    added = (None,) * len(input) if output_padding is None else output_padding
    if any(more is not None and more >= stride for more, stride in zip(added, strides)):
        raise ValueError(f"output_padding must be less than strides, {strides}, on each axis; got {output_padding}.")
    made, cuts = [], []
    for axis, (size, extent, stride, more) in enumerate(zip(input, _extents(kernel, dilation), strides, added)):
        low, high = _cut(extent, stride, padding, more) if isinstance(padding, str) else padding[axis]
        if not isinstance(padding, str):
            high -= more or 0
        made.append((size - 1) * stride + extent - low - high)
        cuts.append((low, max(high, 0)))  # cells added at the end are read by no window
        if made[-1] < 1:
            raise ValueError(
                f"The transposed convolution would have {made[-1]} cells on spatial axis {axis}, of {size} cells and a "
                f"kernel of {kernel[axis]}: use less padding, a larger output_padding or a larger kernel."
            )
    return _window(tuple(made), kernel, strides, tuple(cuts), dilation)


def _cut(extent: int, stride: int, padding: str, more) -> tuple[int, int]:
    """The cells that a transposed convolution cuts off at the start and at the end (negative: adds), as Keras."""
    if padding == "valid":
        return 0, -(max(stride - extent, 0) if more is None else more)
    # Of the 2 * (extent - 1) cells around each cell's own:
    kept = stride + extent - 2 if more is None else extent + extent % 2 - 2 + more
    low = max(extent - 1 - (kept + 1) // 2, 0)
    return low, 2 * (extent - 1) - kept - low


@lru_cache(maxsize=4096)
def _bins(input, output) -> Window:
    _check_cells(input)
    pairs = list(zip(input, output))
    kernel = tuple((size + count - gcd(size, count) - 1) // count + 1 for size, count in pairs)
    strides = tuple(0 if size % count else size // count for size, count in pairs)
    ones, zeros = (1,) * len(input), (0,) * len(input)
    axes = _axes(input, output, kernel, strides, ones, zeros)
    return Window(input, kernel, strides, tuple(zip(zeros, zeros)), ones, output, axes)


def _axes(*fields) -> tuple[int, ...]:
    return (1, 1, 1, 1, 1, 0) * (3 - len(fields[0])) + sum(zip(*fields), ())


def _check_cells(input) -> None:
    for axis, size in enumerate(input):
        if size < 1:
            raise ValueError(f"The input has {size} cells on spatial axis {axis}; at least 1 is needed.")


def _extents(kernel, dilation) -> tuple[int, ...]:
    return tuple((k - 1) * d + 1 for k, d in zip(kernel, dilation))


def _too_much(padding, axis: int, added: int, taps: int, extent: int) -> str:
    cause, fix = "", "less padding"
    if padding in ("same", "causal"):
        cause, fix = f", whose window of size {taps} is dilated to {extent}", "a smaller dilation_rate"
    return (
        f"padding={padding!r} adds {added} cells to spatial axis {axis}{cause}; at most {_LIMIT} can be added. "
        f"Use {fix}."
    )


def _same(size: int, extent: int, stride: int) -> tuple[int, int]:
    total = max((-(-size // stride) - 1) * stride + extent - size, 0)
    return total // 2, total - total // 2
