"""Fourier transforms of the last axes, by NumPy, and signals cut into windows that overlap.

Contract: complex numbers are pairs (real, imaginary) of Tensors, as in Keras. All of it is linear, and has gradients.
"""

from __future__ import annotations

import operator

import numpy as np

from ..tensor import Op, Tensor, TensorLike
from .casting import convert_to_tensor, floating, promoted
from .copying import pad
from .elementwise import divide, multiply
from .indexing import get_item, take
from .scattering import segment_sum
from .shaping import moveaxis, reshape

__all__ = ["extract_sequences", "fft", "fft2", "ifft2", "irfft", "istft", "rfft", "stft"]

Pair = tuple[Tensor, Tensor]


class Fourier(Op):
    """The transform over the last `axes` axes, or back: (2, ...), real parts and imaginary parts."""

    @staticmethod
    def shape(real, imaginary, *, axes, back):
        return (2, *real)

    def forward(self, real, imaginary, *, axes, back):
        self.axes, self.back = axes, back
        return self._transformed(real + 1j * imaginary, back, real.dtype)

    def backward(self, dy):
        dx = self._transformed(dy[0] + 1j * dy[1], not self.back, dy.dtype)
        count = np.prod(dy.shape[-self.axes :])
        dx *= dy.dtype.type(1 / count if self.back else count)
        return dx[0], dx[1]

    def _transformed(self, x, back, dtype):
        y = (np.fft.ifftn if back else np.fft.fftn)(x, axes=tuple(range(-self.axes, 0)))
        return np.stack([y.real, y.imag]).astype(dtype)


class RealFourier(Op):
    """The first half of the transform of real numbers, cut off or filled up with zeros to `length`: (2, ..., bins)."""

    @staticmethod
    def shape(x, *, length):
        return (2, *x[:-1], length // 2 + 1)

    def forward(self, x, *, length):
        self.count, self.length = x.shape[-1], length
        y = np.fft.rfft(x, length)
        return np.stack([y.real, y.imag]).astype(x.dtype)

    def backward(self, dy):
        full = np.zeros((*dy.shape[1:-1], self.length), np.result_type(dy.dtype, np.complex64))
        full[..., : dy.shape[-1]] = dy[0] + 1j * dy[1]
        dx = (np.fft.ifft(full).real * self.length).astype(dy.dtype)[..., : self.count]
        return np.pad(dx, [(0, 0)] * (dx.ndim - 1) + [(0, self.count - dx.shape[-1])])


class BackToReal(Op):
    """The `length` real numbers of which these are the first half of the transform."""

    @staticmethod
    def shape(real, imaginary, *, length):
        return (*real[:-1], length)

    def forward(self, real, imaginary, *, length):
        self.bins = real.shape[-1]
        return np.fft.irfft(real + 1j * imaginary, length).astype(real.dtype)

    def backward(self, dy):
        length = dy.shape[-1]
        x = np.fft.rfft(dy) * (2 / length)
        x[..., 0] /= 2
        if length % 2 == 0:
            x[..., -1] /= 2
        x = x[..., : self.bins]
        x = np.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, self.bins - x.shape[-1])])
        return x.real.astype(dy.dtype), x.imag.astype(dy.dtype)


def _pair(name, x, axes=1):
    if not isinstance(x, (tuple, list)) or len(x) != 2:
        raise ValueError(f"{name} takes a pair (real, imaginary) of tensors; got {type(x).__name__}.")
    real, imaginary = map(convert_to_tensor, promoted(*x, floats=True))
    if real.shape != imaginary.shape:
        raise ValueError(
            f"{name}: real and imaginary parts must have one shape; got {real.shape} and {imaginary.shape}."
        )
    _check_axes(name, real, axes)
    return real, imaginary


def _check_axes(name, x, axes):
    if x.ndim < axes:
        raise ValueError(f"{name} transforms the last {'axis' if axes == 1 else f'{axes} axes'}; got shape {x.shape}.")


def _halves(y):
    return get_item(y, 0), get_item(y, 1)


def fft(x: tuple[TensorLike, TensorLike]) -> Pair:
    """The Fourier transform of (real, imaginary) over the last axis."""
    return _halves(Fourier.apply(*_pair("fft", x), axes=1, back=False))


def fft2(x: tuple[TensorLike, TensorLike]) -> Pair:
    """The Fourier transform of (real, imaginary) over the last two axes."""
    return _halves(Fourier.apply(*_pair("fft2", x, 2), axes=2, back=False))


def ifft2(x: tuple[TensorLike, TensorLike]) -> Pair:
    """The inverse of `fft2`."""
    return _halves(Fourier.apply(*_pair("ifft2", x, 2), axes=2, back=True))


def rfft(x: TensorLike, fft_length: int | None = None) -> Pair:
    """The first fft_length // 2 + 1 terms of the transform of real x over its last axis, which is cut off or filled up with
    zeros to `fft_length`, by default its size."""
    x = convert_to_tensor(floating(x))
    _check_axes("rfft", x, 1)
    length = _length("fft_length", x.shape[-1] if fft_length is None else fft_length)
    return _halves(RealFourier.apply(x, length=length))


def irfft(x: tuple[TensorLike, TensorLike], fft_length: int | None = None) -> Tensor:
    """The inverse of `rfft`: `fft_length` real numbers, by default twice the number of terms less one."""
    real, imaginary = _pair("irfft", x)
    length = 2 * (real.shape[-1] - 1) if fft_length is None else fft_length
    return BackToReal.apply(real, imaginary, length=_length("fft_length", length))


def _length(name, value):
    value = operator.index(value)
    if value < 1:
        raise ValueError(f"{name} must be at least 1; got {value}.")
    return value


def extract_sequences(x: TensorLike, sequence_length: int, sequence_stride: int) -> Tensor:
    """x (..., T) as its windows (..., N, sequence_length), which start `sequence_stride` apart."""
    x = convert_to_tensor(x)
    length, stride = _length("sequence_length", sequence_length), _length("sequence_stride", sequence_stride)
    if not x.ndim or x.shape[-1] is None or x.shape[-1] < length:
        raise ValueError(
            f"x must have at least {length} cells on its last axis, and a known number; got shape {x.shape}."
        )
    starts = np.arange(0, x.shape[-1] - length + 1, stride)
    return take(x, starts[:, None] + np.arange(length), -1)


def _window(window, sequence_length, fft_length, dtype):
    """The window in the middle of `fft_length` zeros."""
    if sequence_length > fft_length:
        raise ValueError(f"fft_length must be at least sequence_length, {sequence_length}; got {fft_length}.")
    if window is None:
        return np.ones(fft_length, dtype)
    if isinstance(window, str):
        makers = {"hann": np.hanning, "hamming": np.hamming}
        if window not in makers:
            raise ValueError(f"window must be 'hann', 'hamming', None or a vector; got {window!r}.")
        values = makers[window](sequence_length + 1)[:-1]  # periodic
    else:
        values = np.asarray(window)
        if values.shape != (sequence_length,):
            raise ValueError(f"window must have shape ({sequence_length},); got {values.shape}.")
    before = (fft_length - sequence_length) // 2
    return np.pad(values.astype(dtype), (before, fft_length - sequence_length - before))


def stft(
    x: TensorLike, sequence_length: int, sequence_stride: int, fft_length: int, window: str | TensorLike | None = "hann",
    center: bool = True,
) -> Pair:  # fmt: skip
    """The transforms (..., N, fft_length // 2 + 1) of windows of x (..., T), weighted by `window` ("hann", "hamming", None or
    a vector of `sequence_length`); with `center` the first one's middle is x's first cell, by reflection."""
    x = convert_to_tensor(floating(x))
    length, size = _length("sequence_length", sequence_length), _length("fft_length", fft_length)
    weights = _window(window, length, size, x.dtype)
    if center:
        x = pad(x, [(0, 0)] * (x.ndim - 1) + [(size // 2, size // 2)], mode="reflect")
    return rfft(multiply(extract_sequences(x, size, sequence_stride), weights), size)


def istft(
    x: tuple[TensorLike, TensorLike], sequence_length: int, sequence_stride: int, fft_length: int,
    length: int | None = None, window: str | TensorLike | None = "hann", center: bool = True,
) -> Tensor:  # fmt: skip
    """The inverse of `stft`: windows that overlap are added, and divided by what their weights sum to. `length` cells, as
    many as there are by default."""
    real, _ = _pair("istft", x)
    size, stride = _length("fft_length", fft_length), _length("sequence_stride", sequence_stride)
    weights = _window(window, _length("sequence_length", sequence_length), size, real.dtype)
    parts = multiply(irfft(x, size), weights)
    count = parts.shape[-2]
    total = size + stride * (count - 1)
    places = (np.arange(count)[:, None] * stride + np.arange(size)).reshape(-1)
    flat = reshape(parts, [-1 if n is None else n for n in parts.shape[:-2]] + [count * size])
    y = moveaxis(segment_sum(moveaxis(flat, -1, 0), places, total), 0, -1)
    squares = np.bincount(places, np.tile(weights.astype("float64") ** 2, count), total).astype(real.dtype)
    y = divide(y, np.where(squares > np.finfo(real.dtype).tiny, squares, 1).astype(real.dtype))
    start = size // 2 if center else 0
    end = start + operator.index(length) if length is not None else -(size // 2) if center and size > 1 else total
    y = get_item(y, (..., slice(start, end)))
    return y if length is None else pad(y, [(0, 0)] * (y.ndim - 1) + [(0, max(length - y.shape[-1], 0))])
