"""
Sounds as pictures: a spectrogram inside the network
====================================================

A tone that rises, one that falls, one that trembles, one that beats like a clock: made sounds of half a second, in
noise. A layer of the network turns each into a spectrogram, a picture with time along one axis and pitch along the
other, and a 2D convolutional network tells the pictures apart. The model takes the sound itself: whoever loads it
later needs not know how the pictures were made.
"""

import numpy as np
from common import QUICK, nearest, save
from matplotlib.figure import Figure

import fastconv
from fastconv import layers, plotting

# %%
# The sounds
# ----------
# 2000 samples a second carry pitches up to 1000 Hz. The pitch differs from sound to sound, and the noise is three
# times as loud as the tone.

NAMES, RATE = ["rises", "falls", "trembles", "beats"], 2000


def sounds(count, seed):
    rng = np.random.default_rng(seed)
    kinds, time = rng.integers(0, 4, count), np.arange(RATE // 2) / RATE
    pitch = rng.uniform(250, 650, (count, 1)) * np.ones_like(time)
    pitch += (kinds[:, None] == 0) * 500 * (time - 0.25) - (kinds[:, None] == 1) * 500 * (time - 0.25)
    pitch += (kinds[:, None] == 2) * 60 * np.sin(2 * np.pi * 8 * time)
    tone = np.sin(2 * np.pi * np.cumsum(pitch, axis=1) / RATE + rng.uniform(0, 6, (count, 1)))
    beat = np.where(kinds[:, None] == 3, np.sin(2 * np.pi * 8 * time + rng.uniform(0, 6, (count, 1))) > 0, 1)
    return (tone * beat + 2 * rng.standard_normal(tone.shape)).astype("float32"), kinds


x_train, y_train = sounds(200 if QUICK else 800, seed=0)
x_test, y_test = sounds(100 if QUICK else 400, seed=1)
print(f"{len(x_train)} sounds to train on, {len(x_test)} to test on, {x_train.shape[1]} samples each")

# %%
# What is easy?
# -------------
# The nearest training sound (squared differences of samples, summed) is little better than guessing: two sounds of one
# kind are nearly as unlike as any two, sample by sample. Between spectrograms the same works better.

spectrogram = layers.MelSpectrogram(
    fft_length=128, sequence_stride=32, sequence_length=128, sampling_rate=RATE, num_mel_bins=32, min_freq=50,
    max_freq=RATE / 2,
)  # fmt: skip
pictures = spectrogram(x_train).numpy()
by_samples = np.mean(nearest(x_train, y_train, x_test) == y_test)
by_pictures = np.mean(nearest(pictures, y_train, spectrogram(x_test).numpy()) == y_test)

figure = Figure(figsize=(9, 4.2), layout="constrained")
figure.suptitle("Sounds as samples over time, and as spectrograms: pitch upwards, time to the right")
for (wave, picture), kind in zip(figure.subplots(2, 4).T, range(4)):
    n = np.flatnonzero(y_train == kind)[0]
    wave.plot(x_train[n], linewidth=0.5, color="#0072b2")
    picture.imshow(pictures[n], origin="lower", aspect="auto", cmap="viridis")
    wave.set(xticks=[], yticks=[], title=NAMES[kind])
    picture.set(xticks=[], yticks=[])
save(figure, "audio_tones_sounds.png")

# %%
# The network
# -----------
# The spectrogram is (pitch, time); Reshape gives it the axis of channels that Conv2D expects.

fastconv.utils.set_random_seed(1)
model = fastconv.Sequential([fastconv.Input((RATE // 2,)), spectrogram], name="tones")
model.add(layers.Reshape((*pictures.shape[1:], 1)))
model.add(layers.LayerNormalization(axis=(1, 2, 3)))
for filters in (8, 16, 32):
    model.add(layers.Conv2D(filters, 3, padding="same", activation="relu"))
    model.add(layers.MaxPooling2D(2))
model.add(layers.Flatten())
model.add(layers.Dropout(0.3))
model.add(layers.Dense(4, activation="softmax"))
model.compile(fastconv.optimizers.Adam(2e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(x_train, y_train, epochs=3 if QUICK else 20, batch_size=20, verbose=0)
accuracy = model.evaluate(x_test, y_test, verbose=0, return_dict=True)["accuracy"]
print(f"guessing                   {1 / len(NAMES):.1%}")
print(f"the nearest sound          {by_samples:.1%}")
print(f"the nearest spectrogram    {by_pictures:.1%}")
print(f"this network               {accuracy:.1%}")
save(plotting.confusion_matrix(y_test, model.predict(x_test, verbose=0), classes=NAMES), "audio_tones_confusion.png")
