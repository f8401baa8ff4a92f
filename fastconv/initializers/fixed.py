"""Initializers that draw nothing: one value, an identity, a Fourier transform.

Contract: as the package's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastconv import serialization
from fastconv.initializers.base import Initializer, chosen, number


class Constant(Initializer):
    """Every value is `value` (default 0), a number, or an array that broadcasts to the shape."""

    def __init__(self, value: Any = 0.0) -> None:
        value = serialization.deserialize(value) if isinstance(value, dict) else value
        whole = isinstance(value, np.ndarray) and value.ndim and value.dtype.kind in "biuf"
        self.value = value if whole else number(self, "value", value)

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> np.ndarray:
        try:
            return np.full(shape, self.value, dtype or "float32")
        except ValueError:
            raise ValueError(
                f"Constant: the values of shape {np.shape(self.value)} do not broadcast to the shape {tuple(shape)}."
            ) from None

    def get_config(self) -> dict[str, Any]:
        return {"value": serialization.serialize(self.value)}


class Zeros(Initializer):
    """All zero: Keras' default for biases."""

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> np.ndarray:
        return np.zeros(shape, dtype or "float32")


class Ones(Initializer):
    """All one."""

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> np.ndarray:
        return np.ones(shape, dtype or "float32")


class Identity(Initializer):
    """`gain` times the identity matrix; for shapes of two axes."""

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = number(self, "gain", gain)

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> np.ndarray:
        if len(shape) != 2:
            raise ValueError(f"Identity makes matrices, such as Dense's kernel; got the shape {tuple(shape)}.")
        return self.gain * np.eye(*shape, dtype=dtype or "float32")


_COSINES = {  # a window is a0 - a1 * cos(t) + a2 * cos(2 * t), t from 0 to 2 pi
    "boxcar": (1.0, 0.0, 0.0),
    "hann": (0.5, 0.5, 0.0),
    "hamming": (0.54, 0.46, 0.0),
    "blackman": (0.42, 0.5, 0.08),
}


class STFT(Initializer):
    """Kernels `(length, 1, bins)` of a Conv1D that give a short-time Fourier transform of `2 * (bins - 1)` points: its
    "real" or "imag" `side`.

    `window`: "hann", "hamming", "blackman", "boxcar", `length` numbers, or None; `scaling`: "density" (by the root of
    the window's squared sum), "spectrum" (by its sum) or None; `periodic` windows lack their last, equal point.
    """

    def __init__(
        self,
        side: str = "real",
        window: str | list[float] | None = "hann",
        scaling: str | None = "density",
        periodic: bool = False,
    ) -> None:
        self.side = chosen(self, "side", side, ("real", "imag"))
        self.window = chosen(self, "window", window, tuple(_COSINES)) if isinstance(window, str) else window
        if window is not None and not isinstance(window, str):
            self.window = np.asarray(window, float).tolist()
        self.scaling = scaling if scaling is None else chosen(self, "scaling", scaling, ("density", "spectrum"))
        self.periodic = bool(periodic)

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> np.ndarray:
        if len(shape) != 3 or shape[1] != 1:
            raise ValueError(f"STFT makes kernels of shape (length, 1, bins); got {tuple(shape)}.")
        length, _, bins = shape
        angle = -2 * np.pi * np.arange(length)[:, None, None] * np.arange(bins) / max(2 * (bins - 1), 1)
        kernel = np.cos(angle) if self.side == "real" else np.sin(angle)
        if self.window is not None:
            window = self._window(length)
            if self.scaling is not None:
                window = window / (np.sqrt((window**2).sum()) if self.scaling == "density" else np.abs(window).sum())
            kernel = kernel * window[:, None, None]
        return kernel.astype(dtype or "float32")

    def _window(self, length):
        if isinstance(self.window, str):
            points = 2 * np.pi * np.arange(length) / max(length if self.periodic else length - 1, 1)
            a0, a1, a2 = _COSINES[self.window]
            return a0 - a1 * np.cos(points) + a2 * np.cos(2 * points) if length > 1 else np.ones(1)
        if len(self.window) != length:
            raise ValueError(f"STFT: the window must have {length} numbers, one a step; got {len(self.window)}.")
        return np.asarray(self.window)
