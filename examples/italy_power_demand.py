"""
Winter or summer? A day's demand for power
==========================================

How much electricity Italy used in each of the 24 hours of a day tells whether the day was in winter (October to March)
or in summer (April to September). There are 67 days to learn from and 1029 to be tested on: little data, of which much
can be made by asking what the task is like. The series are ItalyPowerDemand of the UCR archive (Keogh et al. 2006),
real data that the package aeon carries inside itself: `pip install --no-deps aeon` is enough, since only its files are
read.
"""

from pathlib import Path

import numpy as np
from common import QUICK, need, save

import fastconv
from fastconv import layers, plotting
from fastconv.datasets import ucr

# %%
# The data
# --------
# Each day comes normalized: its mean is 0 and its standard deviation 1, so that only the shape of the curve is left,
# not how much power was used. The two mean curves differ at breakfast, in the afternoon, and in the evening, when the
# lights go on earlier in winter.

folder = Path(need("aeon", "aeon").__file__).parent / "datasets" / "data" / "ItalyPowerDemand"
train, test = ucr.load("ItalyPowerDemand", folder=folder)
seasons = ["winter", "summer"]  # the file calls them 1 and 2
means = np.stack([train.x[train.y == season].mean(axis=0) for season in (0, 1)])
print(f"{len(train.x)} days to train on, {len(test.x)} to test on, {train.x.shape[1]} hours each")
hours = means[0, :, 0].argmax(), means[1, :, 0].argmax()
print(f"most power is used at hour {hours[0]} on a winter's day, at hour {hours[1]} on a summer's")

# %%
# What is easy?
# -------------
# Two answers without a network: the season whose mean curve is nearer to the day's, and the season of the one training
# day that is nearest. The second is the usual yardstick of the archive, and it is a good one.


def nearest(examples, labels):
    """The share of the test days whose nearest example (squared differences, summed) has the right label."""
    distances = ((test.x[:, None] - examples[None]) ** 2).sum(axis=(2, 3))
    return np.mean(labels[distances.argmin(axis=1)] == test.y)


results = {"the nearer of the two mean days": nearest(means, np.arange(2))}
results["the nearest training day"] = nearest(train.x, train.y)

# %%
# Two networks that differ in one line
# ------------------------------------
# Convolutions find shapes wherever they are in the day: a rise, a peak, a dip. What follows decides whether it matters
# *when* they came. A mean over all hours (GlobalAveragePooling1D) forgets it. That is right for a voice, which is the
# same at any moment, see `japanese_vowels.py`; here the hour of a peak is just what tells the seasons apart. Flatten
# keeps the hours. Dropout takes away half of what the last layer sees, at random, since 67 days are soon known by
# heart.


def train_network(name, *ending):
    fastconv.utils.set_random_seed(1)
    model = fastconv.Sequential(
        [
            fastconv.Input((24, 1)),
            layers.Conv1D(32, 5, padding="same", activation="relu"),
            layers.Conv1D(32, 5, padding="same", activation="relu"),
            *ending,
            layers.Dropout(0.5),
            layers.Dense(2, activation="softmax"),
        ],
        name=name,
    )
    epochs = 20 if QUICK else 60
    rate = fastconv.optimizers.schedules.CosineDecay(5e-3, decay_steps=epochs * -(-len(train.x) // 16))
    model.compile(fastconv.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(train.x, train.y, epochs=epochs, batch_size=16, verbose=0)
    return model, model.evaluate(test.x, test.y, verbose=0, return_dict=True)["accuracy"]


_, results["a network that forgets the hours"] = train_network("forgetful", layers.GlobalAveragePooling1D())
model, results["a network that keeps the hours"] = train_network("daily", layers.MaxPooling1D(2), layers.Flatten())
for name, accuracy in results.items():
    print(f"{name:34}{accuracy:.1%}")
print("fully convolutional network       96.1%  (Ismail Fawaz et al. 2019, mean of 10 runs)")

# %%
# What the first layer looks for
# ------------------------------
# Each filter is a curve over five hours: some answer to a rise, some to a fall, some to a peak.

save(plotting.filters(model, max_filters=16), "italy_power_demand_filters.png")

# %%
# Which hours speak
# -----------------
# Grad-CAM shows which places in a layer's maps spoke for the answer. For the winter's day these are the rises of the
# morning and of the afternoon, for the summer's the late peak.

for season, name in enumerate(seasons):
    day = test.x[test.y == season][0]
    save(plotting.grad_cam(model, day, layer=1, target=season, classes=seasons), f"italy_power_demand_{name}.png")

# %%
# The mistakes
# ------------
# The days of which the network was surest, and wrong. Spring and autumn lie between the seasons, so some of these days
# may look to you, too, like the other one.

save(plotting.mistakes(test.x, test.y, model, classes=seasons, max_samples=12), "italy_power_demand_mistakes.png")
