"""Layers that turn sound into pictures of its frequencies: MelSpectrogram and STFTSpectrogram.

Contract: sound is numbers along time; both have gradients. STFTSpectrogram's transform is a convolution, whose kernels are
weights that can be trained.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastconv import initializers, ops
from fastconv.layers.annotations import Shape
from fastconv.layers.base import Layer
from fastconv.layers.preprocessing.scaling import Preprocessing
from fastconv.layers.spatial import positive
from fastconv.ops.image.batches import is_channels_first, one_of
from fastconv.symbolic import NoValues
from fastconv.tensor import Tensor

_EPSILON = 1e-7


class MelSpectrogram(Preprocessing):
    """(..., time) to (..., num_mel_bins, frames): the power of sound in bands that lie evenly on the mel scale.

    `sequence_length` samples (`fft_length` by default) at a time, `sequence_stride` apart, weighted by `window` ("hann",
    "hamming", None or numbers), are transformed; magnitudes to the power of `mag_exp` are summed in bands from `min_freq` to
    `max_freq` hertz (half of `sampling_rate` by default). `power_to_db` gives decibels above `ref_power`, `min_power` at
    least, and at most `top_db` below the largest.
    """

    def __init__(
        self, fft_length: int = 2048, sequence_stride: int = 512, sequence_length: int | None = None, window: str | np.ndarray | None = "hann", sampling_rate: int = 16000,
        num_mel_bins: int = 128, min_freq: float = 20.0, max_freq: float | None = None, power_to_db: bool = True, top_db: float = 80.0, mag_exp: float = 2.0, min_power: float = 1e-10,
        ref_power: float = 1.0, **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(**kwargs)
        self.fft_length, self.sequence_stride = (
            positive(n, name, self) for n, name in ((fft_length, "fft_length"), (sequence_stride, "sequence_stride"))
        )
        self.sequence_length = positive(sequence_length or fft_length, "sequence_length", self)
        if self.sequence_length > self.fft_length:
            raise ValueError(f"MelSpectrogram: sequence_length must be at most fft_length; got {sequence_length}.")
        self.window = window.tolist() if isinstance(window, np.ndarray) else window
        self.sampling_rate, self.num_mel_bins = sampling_rate, positive(num_mel_bins, "num_mel_bins", self)
        self.min_freq, self.max_freq = min_freq, max_freq or int(sampling_rate / 2)
        if not 0 <= self.min_freq < self.max_freq:
            raise ValueError(f"MelSpectrogram: min_freq must be below max_freq; got {min_freq} and {self.max_freq}.")
        self.power_to_db, self.top_db, self.mag_exp = bool(power_to_db), top_db, mag_exp
        self.min_power, self.ref_power = min_power, ref_power

    def call(self, inputs: Any) -> Tensor:
        x = self._floats(inputs)
        if x.shape[-1] is None:
            raise NoValues("The number of frames follows from a length that is open.")
        real, imaginary = ops.stft(
            x, self.sequence_length, self.sequence_stride, self.fft_length, self._window_of(x.dtype)
        )
        power = ops.add(ops.square(real), ops.square(imaginary))
        if self.mag_exp != 2:
            power = ops.power(ops.maximum(power, np.finfo(x.dtype).tiny), self.mag_exp / 2)
        bands = ops.matmul(power, mel_weights(self.num_mel_bins, self.fft_length // 2 + 1, self.sampling_rate,
                                              self.min_freq, self.max_freq).astype(x.dtype))  # fmt: skip
        y = self._decibels(bands) if self.power_to_db else bands
        return ops.swapaxes(y, -1, -2)

    def _window_of(self, dtype):
        return np.asarray(self.window, dtype) if isinstance(self.window, (list, tuple)) else self.window

    def _decibels(self, x):
        y = ops.multiply(ops.log(ops.maximum(x, self.min_power)), 10 / math.log(10))
        y = ops.subtract(y, 10 * math.log10(max(abs(self.ref_power), self.min_power)))
        return ops.maximum(y, ops.subtract(ops.max(y), self.top_db))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        *rest, time = input_shape
        frames = (
            None if time is None else (time + 2 * (self.fft_length // 2) - self.fft_length) // self.sequence_stride + 1
        )
        return (*rest, self.num_mel_bins, frames)


def mel_weights(bands: int, bins: int, rate: float, low: float, high: float) -> np.ndarray:
    """(bins, bands): triangles that lie evenly on the mel scale, over `bins` frequencies from 0 to half of the rate; the
    frequency 0 has no weight."""

    def mel(hertz):
        return 1127 * np.log(1 + hertz / 700)

    frequencies = mel(np.linspace(0, rate / 2, bins))[1:, None]
    edges = np.linspace(mel(low), mel(high), bands + 2)
    left, middle, right = edges[:-2], edges[1:-1], edges[2:]
    rising, falling = (frequencies - left) / (middle - left), (right - frequencies) / (right - middle)
    return np.pad(np.maximum(np.minimum(rising, falling), 0), ((1, 0), (0, 0)))


class STFTSpectrogram(Layer):
    """(batch, time, channels) to (batch, frames, channels * bins): the short-time Fourier transform of each channel.

    `frame_length` samples at a time, `frame_step` (half of it by default) apart, give fft_length // 2 + 1 bins; `fft_length`
    is the next power of two by default. `mode`: "log" (of the magnitude), "magnitude", "psd", "real", "imag", "angle" or
    "stft" (real, then imaginary bins). `window`, `scaling` and `periodic` are initializers.STFT's. `expand_dims=True` gives
    (batch, frames, bins, channels). With data_format="channels_first" the channels stand before time, and before frames.
    """

    one_tensor = True

    rescales = True

    def __init__(
        self, mode: str = "log", frame_length: int = 256, frame_step: int | None = None, fft_length: int | None = None, window: str | np.ndarray | None = "hann", periodic: bool = False,
        scaling: str | None = "density", padding: str = "valid", expand_dims: bool = False, data_format: str | None = None, **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(**kwargs)
        modes = ("log", "magnitude", "psd", "real", "imag", "angle", "stft")
        self.mode = one_of("STFTSpectrogram: mode", mode, modes)
        self.padding = one_of("STFTSpectrogram: padding", padding, ("valid", "same"))
        self.frame_length = positive(frame_length, "frame_length", self)
        if frame_step is not None and not 1 <= frame_step <= frame_length:
            raise ValueError(f"STFTSpectrogram: frame_step must be from 1 to frame_length; got {frame_step}.")
        if fft_length is not None and fft_length < frame_length:
            raise ValueError(f"STFTSpectrogram: fft_length must be at least frame_length; got {fft_length}.")
        self.frame_step, self.fft_length = frame_step, fft_length
        self._step = frame_step or max(frame_length // 2, 1)
        self._bins = (fft_length or 1 << (frame_length - 1).bit_length()) // 2 + 1
        self.window, self.periodic, self.scaling = window, bool(periodic), scaling
        self._kernel("real")  # wrong windows and scalings fail here
        self.expand_dims, self.data_format = bool(expand_dims), data_format
        is_channels_first(data_format)

    def _kernel(self, side):
        return initializers.STFT(side, self.window, self.scaling, self.periodic)

    def check_input(self, shape: Shape) -> None:
        if len(shape) != 3:
            raise ValueError(f"{self._title()} expects (batch, time, channels); got {shape}.")

    def build(self, input_shape: Shape) -> None:
        shape = (self.frame_length, 1, self._bins)
        if self.mode != "imag":
            self.real_kernel = self.add_weight(shape, self._kernel("real"), name="real_kernel")
        if self.mode != "real":
            self.imag_kernel = self.add_weight(shape, self._kernel("imag"), name="imag_kernel")

    def _transformed(self, x, kernel, channels):
        """(batch, frames, channels, bins) of x (batch * channels, time, 1)."""
        y = ops.conv(x, kernel, strides=self._step, padding=self.padding, data_format="channels_last")
        y = ops.reshape(y, (-1, channels, *(-1 if n is None else n for n in y.shape[1:])))
        return ops.transpose(y, (0, 2, 1, 3))

    def call(self, inputs: Any) -> Tensor:
        x = inputs if is_channels_first(self.data_format) else ops.swapaxes(inputs, 1, 2)
        channels, time = x.shape[1:]
        if None in (channels, time):
            raise NoValues("The output's shape follows from sizes that are open.")
        x = ops.reshape(x, (-1, time, 1))
        real = None if self.mode == "imag" else self._transformed(x, self.real_kernel, channels)
        imaginary = None if self.mode == "real" else self._transformed(x, self.imag_kernel, channels)
        return self._laid_out(self._measured(real, imaginary))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        self.check_input(tuple(input_shape))
        first = is_channels_first(self.data_format)
        batch, (channels, time) = input_shape[0], input_shape[1:] if first else input_shape[:0:-1]
        spare = 0 if self.padding == "same" else self.frame_length - self._step
        frames = None if time is None else -(-(time - spare) // self._step)
        bins = self._bins * (2 if self.mode == "stft" else 1)
        if self.expand_dims:
            return (batch, channels, frames, bins) if first else (batch, frames, bins, channels)
        values = None if channels is None else channels * bins
        return (batch, values, frames) if first else (batch, frames, values)

    def _measured(self, real, imaginary):
        if self.mode in ("real", "imag"):
            return real if imaginary is None else imaginary
        if self.mode == "angle":
            return ops.arctan2(imaginary, real)
        if self.mode == "stft":
            return ops.concatenate([real, imaginary], axis=-1)
        power = ops.add(ops.square(real), ops.square(imaginary))
        if self.mode == "psd":  # what lies between the ends stands for two frequencies
            factors = np.full(self._bins, 2.0, power.dtype)
            factors[[0, -1]] = 1
            return ops.multiply(power, factors)
        magnitude = ops.sqrt(ops.maximum(power, _EPSILON))
        return magnitude if self.mode == "magnitude" else ops.log(ops.maximum(magnitude, _EPSILON))

    def _laid_out(self, y):
        """(batch, frames, channels, bins) as the layer gives it."""
        first = is_channels_first(self.data_format)
        frames, channels, bins = y.shape[1:]
        if self.expand_dims:
            return ops.transpose(y, (0, 2, 1, 3) if first else (0, 1, 3, 2))
        y = ops.reshape(
            y, (-1 if y.shape[0] is None else y.shape[0], -1 if frames is None else frames, channels * bins)
        )
        return ops.swapaxes(y, 1, 2) if first else y
