"""
Who speaks? Series of twelve channels
=====================================

Nine men said the same two Japanese vowels, and a 1D convolutional network tells from the sound who it was. Not speech
recognition: the vowels are the same, only the voice differs. The recordings are JapaneseVowels (Kudo, Toyama and
Shimbo, 1999), real data that the package aeon carries inside itself, so that nothing is downloaded. aeon's own code is
not needed: `pip install --no-deps aeon` is enough.
"""

from pathlib import Path

from common import QUICK, need, save

import fastconv
from fastconv import layers, plotting
from fastconv.datasets import ucr

# %%
# The data
# --------
# An utterance is a series: at each step twelve numbers describe the sound (coefficients of linear prediction). Such
# numbers are *channels*, as the three colours of a pixel are. Utterances last 7 to 29 steps; a network takes one
# length, so the shorter ones are filled up with zeros at their end, and the shape of the data is (utterances, steps,
# channels).

folder = Path(need("aeon", "aeon").__file__).parent / "datasets" / "data" / "JapaneseVowels"
train, test = ucr.load("JapaneseVowels", pad_value=0.0, folder=folder)
speakers = [f"man {name}" for name in train.classes]
print(f"{len(train.x)} utterances to train on, {len(test.x)} to test on: {train.x.shape[1]} steps, 12 channels")

# %%
# What is easy?
# -------------
# A result means little without a trivial one beside it. Here are two: always name the man who speaks most, and name
# the speaker of the training utterance whose numbers are nearest (their squared differences, summed).

most = (test.y[:, None] == range(len(speakers))).mean(axis=0).max()
distances = [((train.x - utterance) ** 2).sum(axis=(1, 2)) for utterance in test.x]
nearest = sum(train.y[d.argmin()] == y for d, y in zip(distances, test.y)) / len(test.y)

# %%
# The network
# -----------
# `Conv1D` slides its filters along the steps and sees all twelve channels at once. The mean over time at the end
# (GlobalAveragePooling1D) makes it the same to the network when a sound came. The channels differ in size, so they are
# normalized first, by their means and deviations in the training data; the steps that were filled up do not count
# there.

fastconv.utils.set_random_seed(1)
normalize = layers.Normalization(axis=-1)
normalize.adapt(train.x[train.x.any(axis=-1)])
model = fastconv.Sequential([fastconv.Input(train.x.shape[1:]), normalize], name="voices")
for filters, size in ((64, 5), (96, 3), (64, 3)):
    model.add(layers.Conv1D(filters, size, padding="same"))
    model.add(layers.BatchNormalization(momentum=0.9))
    model.add(layers.ReLU())
    model.add(layers.SpatialDropout1D(0.1))
model.add(layers.GlobalAveragePooling1D())
model.add(layers.Dense(len(speakers), activation="softmax"))
model.summary()

# %%
# Training
# --------
# The step size falls along half a cosine to zero: long steps find the way, short ones settle. A network this small
# learns 270 short series in a second. The test utterances are asked once, at the end.

epochs = 10 if QUICK else 40
rate = fastconv.optimizers.schedules.CosineDecay(5e-3, decay_steps=epochs * -(-len(train.x) // 16))
model.compile(fastconv.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(train.x, train.y, epochs=epochs, batch_size=16, verbose=0)
accuracy = model.evaluate(test.x, test.y, verbose=0, return_dict=True)["accuracy"]
print(f"always the most frequent speaker  {most:.1%}")
print(f"the nearest training utterance    {nearest:.1%}")
print(f"this network                      {accuracy:.1%}")
print("fully convolutional network       99.3%  (Ismail Fawaz et al. 2019, mean of 10 runs, 2000 epochs)")

# %%
# The few that are left
# ---------------------
# Each row of the matrix is a speaker, each column whom the network named. Mistakes lie off the diagonal.

predicted = model.predict(test.x, verbose=0)
save(plotting.confusion_matrix(test.y, predicted, classes=speakers), "japanese_vowels_confusion.png")

# %%
# What the network made of the voices
# -----------------------------------
# Before its last layer the network describes an utterance by 64 numbers. Drawn along the two directions in which these
# differ most, most men stand in a cloud of their own; what tells the others apart lies in directions not drawn.

title = f"{len(test.x)} utterances, each described by 64 numbers, in two directions"
save(plotting.feature_embedding(model, test.x, test.y, classes=speakers, title=title), "japanese_vowels_voices.png")

# %%
# Where it listens
# ----------------
# The colours behind the curves (four of the twelve channels) show how much the answer changes with each step. In this
# utterance most hangs on the first vowel and on the end of the second, little on the zeros behind.

save(plotting.saliency(model, test.x[0], classes=speakers), "japanese_vowels_saliency.png")
