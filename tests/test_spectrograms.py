"""MelSpectrogram and STFTSpectrogram: against NumPy's transform, their gradients, plans and errors."""

import json

import numpy as np
import pytest

from fastconv import Input, Sequential, layers
from fastconv.testing import gradcheck

SOUND = np.random.default_rng(0).standard_normal((2, 600))


def frames(x, length, step):
    return np.stack([x[..., at : at + length] for at in range(0, x.shape[-1] - length + 1, step)], -2)


def test_mel_bands_of_a_tone():
    """A tone's power stands in the band around its frequency, `top_db` above the rest at most."""
    time = np.arange(8000) / 8000
    layer = layers.MelSpectrogram(512, 128, sampling_rate=8000, num_mel_bins=32, min_freq=0.0)
    y = layer(np.sin(2 * np.pi * 1000 * time)).numpy()
    assert y.shape == (32, 63) == layer.compute_output_shape((8000,))
    mels = np.linspace(0, 1127 * np.log(1 + 4000 / 700), 34)[1:-1]
    assert (y.argmax(0)[2:-2] == np.abs(mels - 1127 * np.log(1 + 1000 / 700)).argmin()).all()
    assert abs(np.ptp(y) - 80) < 1e-3


def test_mel_by_its_formula():
    layer = layers.MelSpectrogram(
        64, 16, 48, sampling_rate=800, num_mel_bins=5, power_to_db=False, mag_exp=1.0, dtype="float64"
    )
    window = np.pad(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(48) / 48), 8)
    padded = np.pad(SOUND, ((0, 0), (32, 32)), "reflect")
    power = np.abs(np.fft.rfft(frames(padded, 64, 16) * window))
    y = layer(SOUND).numpy()
    assert y.shape == (2, 5, power.shape[1]) and (y > 0).all()
    grown = layers.MelSpectrogram(
        64, 16, 48, sampling_rate=800, num_mel_bins=5, power_to_db=False, mag_exp=1.0, dtype="float64"
    )
    np.testing.assert_allclose(grown(3 * SOUND), 3 * y, rtol=1e-9)
    total = np.swapaxes(y, 1, 2).sum(-1)
    assert np.corrcoef(total.ravel(), power[..., 2:].sum(-1).ravel())[0, 1] > 0.8


@pytest.mark.parametrize("mode", ["log", "magnitude", "psd", "real", "imag", "angle", "stft"])
def test_stft_is_the_transform(mode):
    x = np.stack([SOUND, SOUND[::-1]], -1)
    layer = layers.STFTSpectrogram(mode, 32, 8, 64, periodic=True, scaling=None, dtype="float64")
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(32) / 32)
    z = np.fft.rfft(frames(np.moveaxis(x, -1, 1), 32, 8) * window, 64).transpose(0, 2, 1, 3)  # batch, frames, channels
    doubled = np.where((np.arange(33) == 0) | (np.arange(33) == 32), 1, 2)
    expected = {"real": z.real, "imag": z.imag, "stft": np.concatenate([z.real, z.imag], -1), "psd": np.abs(z) ** 2 * doubled,
                "magnitude": np.abs(z), "log": np.log(np.abs(z)), "angle": np.angle(z)}[mode]  # fmt: skip
    y = layer(x).numpy()
    if mode == "angle":
        difference = np.abs(np.exp(1j * y) - np.exp(1j * expected.reshape(y.shape)))
        assert np.quantile(difference, 0.9) < 1e-6
    else:
        np.testing.assert_allclose(y, expected.reshape(y.shape), atol=1e-3)
    assert y.shape == layer.compute_output_shape(x.shape) and layer.compute_output_shape((None, 600, 2))[0] is None
    apart = layers.STFTSpectrogram(mode, 32, 8, 64, expand_dims=True)(x)
    assert apart.shape == (2, y.shape[1], y.shape[2] // 2, 2)
    first = layers.STFTSpectrogram(mode, 32, 8, 64, data_format="channels_first")(np.swapaxes(x, 1, 2))
    assert first.shape == (2, y.shape[2], y.shape[1])


@pytest.mark.parametrize("make", [
    lambda **k: layers.MelSpectrogram(16, 8, sampling_rate=100, num_mel_bins=4, min_freq=1.0, top_db=200, **k),
    lambda **k: layers.STFTSpectrogram("psd", 16, fft_length=32, padding="same", **k),
])  # fmt: skip
def test_gradients_configs_and_plans(make):
    x = np.random.default_rng(0).standard_normal((2, 40) if make().name.startswith("mel") else (2, 40, 1))
    assert gradcheck(make(dtype="float64"), x)
    layer = make(name="mine")
    twin = type(layer).from_config(json.loads(json.dumps(layer.get_config())))
    np.testing.assert_array_equal(layer(x), twin(x))
    model = Sequential([Input(x.shape[1:]), make(), layers.Flatten(), layers.Dense(1)])
    model.compile("sgd", "mse")
    model.optimizer.learning_rate = 1e-4
    losses = [model.train_on_batch(x.astype("float32"), np.zeros((2, 1), "float32")) for _ in range(4)]
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("call, match", [
    (lambda: layers.MelSpectrogram(64, sequence_length=65), "at most fft_length"),
    (lambda: layers.MelSpectrogram(64, min_freq=9000.0), "below max_freq"),
    (lambda: layers.STFTSpectrogram("power"), "mode must be one of"),
    (lambda: layers.STFTSpectrogram("log", 32, 33), "frame_step"),
    (lambda: layers.STFTSpectrogram("log", 32, fft_length=16), "at least frame_length"),
    (lambda: layers.STFTSpectrogram("log", 32, window="square"), "window must be one of"),
    (lambda: layers.STFTSpectrogram()(SOUND), "batch, time, channels"),
])  # fmt: skip
def test_what_is_refused(call, match):
    with pytest.raises(ValueError, match=match):
        call()
