"""Convolution in 1D, 2D and 3D, and its gradients: check, allocate, choose the algorithm, call.

Shapes: x (N, *spatial, C), kernel (*taps, C / groups, K), y (N, *output, K), channels last; the rank is read from the
arrays. All functions share `strides`, `padding`, `dilation_rate` (see Window.of) and `groups`, which is read from the
channels where None. float32 or float64, one dtype a call; the result is a new array of it. Raises TypeError for dtypes
and ValueError for shapes and sizes.

`algorithm` forces one of algorithms.py ("direct", "winograd", ...), for tests and benchmarks; ValueError where it cannot
run the shape. `explain` says which one a shape gets.
"""

from __future__ import annotations

from . import _conv, _tiles, _winograd
from .algorithms import PASSES, Problem, choose
from .arrays import checked, empty, same_shape
from .geometry import Window, cached, per_axis
from .maps import combine, map_forward, numbered
from .rows import bias_forward, relu_forward
from .unfold import fold, unfold

RANKS = range(3, 6)  # of x: batch, one to three spatial axes, channels


def conv_forward(
    x, kernel, bias=None, *, strides=1, padding="valid", dilation_rate=1, groups=None, algorithm=None, packs=None,
    relu=False, most=None, residual=None, scale=None, map=None,
):  # fmt: skip
    """y (N, *output, K) = the cross-correlation of x with kernel, times scale (K,) and plus bias (K,) where given; a scale
    wants one group.

    `packs`: a Packs that keeps what is made of this kernel and bias, so that it is made once; then the algorithm is chosen
    as if the making cost nothing. `residual`, of y's shape, is added to y; then with `relu` y is max(y, 0), and with
    `most`, a number above 0, min(max(y, 0), most). Last is `map`: a function of MAPS and its parameters, as (name, ...)."""
    x = checked("x", x, RANKS)
    kernel = checked("kernel", kernel, x.ndim, like=x)
    window, groups = conv_geometry(x.shape, kernel.shape, strides, padding, dilation_rate, groups)
    if bias is not None:
        bias = checked("bias", bias, 1, like=x)
        same_shape("bias", bias, kernel.shape[-1:], "one entry a filter")
    if scale is not None:
        scale = checked("scale", scale, 1, like=x)
        same_shape("scale", scale, kernel.shape[-1:], "one entry a filter")
        if groups > 1:
            raise ValueError(
                f"scale must be None where there are groups; there are {groups}: multiply the kernel by it."
            )
    function = None if map is None else numbered(*map)
    y = empty((x.shape[0], *window.output, kernel.shape[-1]), x.dtype)
    if residual is not None:
        residual = checked("residual", residual, x.ndim, like=x)
        same_shape("residual", residual, y.shape, "y's shape")
    problem = Problem("forward", window.compact, len(x), x.shape[-1], kernel.shape[-1], groups)
    choice = choose(problem, algorithm, packs is not None)
    if not y.size:
        return y
    x, window = unfold(x, window), window.compact
    if choice.outputs:
        alone = residual is None  # else a pass of its own costs less than its misses in the midst of transforms
        _winograd.winograd_forward(
            x, kernel, bias, y, window.line, groups, choice.outputs, relu=relu and alone, packs=packs, kept=choice.kept, scale=scale, most=most,
            map=function if alone else None,
        )  # fmt: skip
        return y if alone else _finished(y, residual, relu, most, map)
    if choice.name == "streamed":
        _conv.conv_stream(x, kernel, bias, y, window, relu, scale=scale, most=most, residual=residual, map=function)
        return y
    _conv.conv_forward(x, kernel, bias, y, window, groups, choice.name, packs, relu, most, residual, scale, function)
    return _finished(y, residual, relu, most, map) if choice.name == "grouped" else y


def _finished(y, residual, relu, most, map):
    """What conv_forward's last arguments ask for, by passes of their own."""
    if residual is not None:
        both = relu and most is None
        y = combine("add_relu" if both else "add", y, residual)
        relu = relu and not both
    if relu:
        y = relu_forward(y) if most is None else map_forward("clipped_relu", y, most)
    return y if map is None else map_forward(map[0], y, *map[1:])


def conv_backward_input(
    dy, kernel, input_shape, bias=None, *, strides=1, padding="valid", dilation_rate=1, groups=None, algorithm=None,
    packs=None,
):  # fmt: skip
    """dx, of input_shape (N, *spatial, C): the gradient of x, given y's; plus bias (C,) where given, which makes it a
    transposed convolution. `packs` as conv_forward's."""
    dy = checked("dy", dy, RANKS)
    kernel = checked("kernel", kernel, dy.ndim, like=dy)
    input_shape = _shape("input_shape", input_shape, dy.ndim)
    window, groups = conv_geometry(input_shape, kernel.shape, strides, padding, dilation_rate, groups)
    same_shape("dy", dy, (input_shape[0], *window.output, kernel.shape[-1]), "the output's shape")
    if bias is not None:
        bias = checked("bias", bias, 1, like=dy)
        same_shape("bias", bias, input_shape[-1:], "one entry a channel")
    choice = _choose("backward_input", window, input_shape, kernel.shape, groups, algorithm, packs is not None)
    if not input_shape[0]:
        return empty(input_shape, dy.dtype)
    compact = window.compact
    dx = empty((input_shape[0], *compact.input, input_shape[-1]), dy.dtype)
    start = bias if compact is window else None  # cells that are folded together would have it several times
    if choice.outputs:
        _winograd.winograd_backward_input(
            dy, kernel, start, dx, compact.line, groups, choice.outputs, packs, choice.kept
        )
    else:
        _conv.conv_backward_input(dy, kernel, start, dx, compact, groups, choice.name, packs)
    dx = fold(dx, window)
    return dx if start is bias else bias_forward(dx, bias)


def conv_backward_kernel(
    dy, x, kernel_shape, *, strides=1, padding="valid", dilation_rate=1, groups=None, algorithm=None,
):  # fmt: skip
    """dkernel, of kernel_shape (*taps, C / groups, K): the gradient of the kernel, given y's."""
    dy = checked("dy", dy, RANKS)
    x = checked("x", x, dy.ndim, like=dy)
    kernel_shape = _shape("kernel_shape", kernel_shape, dy.ndim)
    window, groups = conv_geometry(x.shape, kernel_shape, strides, padding, dilation_rate, groups)
    same_shape("dy", dy, (x.shape[0], *window.output, kernel_shape[-1]), "the output's shape")
    dkernel = empty(kernel_shape, dy.dtype)
    choice = _choose("backward_kernel", window, x.shape, kernel_shape, groups, algorithm)
    if not dy.size:
        dkernel.fill(0)
        return dkernel
    x, window = unfold(x, window), window.compact
    if choice.outputs:
        _winograd.winograd_backward_kernel(dy, x, dkernel, window.line, groups, choice.outputs)
    else:
        _conv.conv_backward_kernel(dy, x, dkernel, window, groups, choice.name)
    return dkernel


def explain(
    x_shape, kernel_shape, *, strides=1, padding="valid", dilation_rate=1, groups=None, dtype="float32"
) -> dict[str, str]:
    """How a convolution of these shapes runs: {"forward": ..., "backward_input": ..., "backward_kernel": ...,
    "isa": ..., "register_tile": ...}, the algorithm of each pass, the instruction set, and pixels x filters that its
    tiles keep in registers. Follows `set_precision`.

    >>> kernels.explain((100, 28, 28, 1), (5, 5, 1, 32))["forward"]
    'direct'
    """
    x_shape = _shape("x_shape", x_shape, len(kernel_shape))
    window, groups = conv_geometry(x_shape, kernel_shape, strides, padding, dilation_rate, groups)
    found = {kind: _choose(kind, window, x_shape, kernel_shape, groups, None).name for kind in PASSES}
    rows, columns = _tiles.register_tile(dtype in ("float64", float))
    return found | {"isa": _tiles.build_info()["isa"], "register_tile": f"{rows} x {columns}"}


def _choose(kind, window, x_shape, kernel_shape, groups, algorithm, packed=False):
    return choose(Problem(kind, window.compact, x_shape[0], x_shape[-1], kernel_shape[-1], groups), algorithm, packed)


@cached
def _shape(name, shape, ndim) -> tuple[int, ...]:
    if not hasattr(shape, "__len__") or len(shape) != ndim:
        raise ValueError(f"{name} must have {ndim} entries; got {shape!r}.")
    return per_axis(name, shape, ndim, low=0)


@cached
def conv_transpose_geometry(x_shape, kernel_shape, strides, padding, output_padding, dilation_rate, groups):
    """The output's shape of a transposed convolution of x with kernel (*taps, C / groups, K), K being x's channels, and
    the Window of the convolution whose backward pass it is; raises ValueError where the shapes do not fit."""
    per_group, filters = kernel_shape[-2:]
    groups = per_axis("groups", groups, 1)[0]
    if x_shape[-1] != filters or filters < 1 or per_group < 1:
        raise ValueError(
            f"x has {x_shape[-1]} channels and kernel has shape {tuple(kernel_shape)}: its last axis must be x's "
            "channels and the one before the output's, of a group; none may be 0."
        )
    if filters % groups:
        raise ValueError(f"x has {filters} channels; they must be a multiple of groups, {groups}.")
    window = Window.transposed(x_shape[1:-1], kernel_shape[:-2], strides, padding, output_padding, dilation_rate)
    return (x_shape[0], *window.input, per_group * groups), window


@cached
def conv_geometry(x_shape, kernel_shape, strides, padding, dilation_rate, groups) -> tuple[Window, int]:
    """The Window and the number of groups, from shapes; raises ValueError where they do not fit."""
    channels, per_group, filters = x_shape[-1], *kernel_shape[-2:]
    if channels < 1 or per_group < 1 or filters < 1:
        raise ValueError(f"x has {channels} channels and kernel has shape {tuple(kernel_shape)}; none may be 0.")
    if channels % per_group:
        raise ValueError(
            f"x has {channels} channels and kernel, of shape {tuple(kernel_shape)}, takes {per_group} in each group: "
            f"{channels} must be a multiple of {per_group}."
        )
    inferred = channels // per_group
    if groups is not None and groups != inferred:
        raise ValueError(
            f"groups is {groups!r}, but x's {channels} channels and the kernel's {per_group} a group make {inferred}."
        )
    if filters % inferred:
        raise ValueError(f"kernel has {filters} filters; they must be a multiple of the {inferred} groups.")
    return Window.of(x_shape[1:-1], kernel_shape[:-2], strides, padding, dilation_rate), inferred
