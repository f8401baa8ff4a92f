"""
The beginners' tutorial, with pictures
======================================

freeCodeCamp's tutorial "What Is a Convolutional Neural Network?" explains filters, activation maps, pooling and
overfitting in words, and ends with a program of some thirty lines. Here that program runs as it stands there, but for
its imports (`keras` became `fastconv`), and each of its paragraphs gets a picture of what really happened.
"""

import os

from common import QUICK, digits, save

from fastconv import layers, models, plotting
from fastconv.datasets import mnist
from fastconv.utils import set_random_seed, to_categorical

set_random_seed(0)
names = list("0123456789")

# %%
# **Define the model.** Two convolutions with 5 x 5 weights a filter, each followed by max-pooling; then one layer of
# nodes as in any neural network, which turns what is left into ten probabilities.

model = models.Sequential()
model.add(layers.Conv2D(32, (5, 5), activation="relu", input_shape=(28, 28, 1)))
model.add(layers.MaxPooling2D((2, 2)))
model.add(layers.Conv2D(64, (5, 5), activation="relu"))
model.add(layers.MaxPooling2D((2, 2)))
model.add(layers.Flatten())
model.add(layers.Dense(10, activation="softmax"))
model.summary()

# %%
# **Split the data into training and test sets.** MNIST has 60,000 digits to learn from and 10,000 to test with. Where
# its files are not on this computer, the 4,000 and 1,000 of its digits that ship with fastconv do; they are few, so the
# network looks at them 20 times instead of 5.

(train_images, train_labels), (test_images, test_labels) = digits()
epochs = 3 if QUICK else 20
if not QUICK:
    os.environ["FASTCONV_OFFLINE"] = "1"  # look for the files, fetch nothing
    try:
        (train_images, train_labels), (test_images, test_labels) = mnist.load_data()
        train_images = train_images.reshape((60000, 28, 28, 1)).astype("float32") / 255
        test_images = test_images.reshape((10000, 28, 28, 1)).astype("float32") / 255
        epochs = 5
    except OSError:
        print("MNIST's files are not here; the digits that ship with fastconv are used.")
print(f"{len(train_images):,} digits to learn from, {len(test_images):,} to test with, {epochs} epochs")
test_digits, train_labels, test_labels = test_labels, to_categorical(train_labels), to_categorical(test_labels)

# %%
# "CNNs are able to tune the filters as training happens." These are the filters of the first layer before training:
# chance, and no more.

save(plotting.filters(model), "tutorial_1_filters_before.png")

# %%
# **Train.** `batch_size`: after each 100 digits all weights move a little downhill. The tutorial stops here with one
# number; the part that is kept apart for testing also goes in as `validation_data`, so that both curves can be seen.

model.compile(loss="categorical_crossentropy", optimizer="sgd", metrics=["accuracy"])
model.fit(
    train_images, train_labels, batch_size=100, epochs=epochs, verbose=2, validation_data=(test_images, test_labels)
)
test_loss, test_acc = model.evaluate(test_images, test_labels, verbose=0)
print("Test accuracy:", round(test_acc, 4))

# %%
# The same filters after training, which took 20 epochs to an accuracy of 0.918 on the digits that ship. The scale tells
# that some weights have grown to three times the largest of before: these filters are now bright bars and blobs, which
# answer to a piece of stroke in their own direction. "The filters are typically created by an engineer"; not these.

save(plotting.filters(model), "tutorial_2_filters_after.png")

# %%
# "Each layer returns activation maps. These maps point out important features." Row by row one test digit goes through
# the network. Maps of the first convolution are bright where the digit looks like their filter: along the whole stroke,
# or only on those sides of it that run in one direction. **Max-pooling** keeps the largest of each 2 x 2 values: half
# the size, and the strokes are still there. Deeper maps are smaller, and each value stands for more of the digit; the
# last row is all that the classification layer sees.

save(plotting.activation_maps(model, test_images[0]), "tutorial_3_activation_maps.png")

# %%
# How much of the digit does one value after the last pooling see? The frame shows what it can see, the colours how much
# each pixel matters to it.

save(plotting.receptive_field(model, 3, sample=test_images[0]), "tutorial_4_receptive_field.png")

# %%
# "The last layer determines the predicted value." These digits it got wrong, the surest first, and this is how often it
# took one class for another. Some would be hard for you too.

probabilities = model.predict(test_images, verbose=0)
save(plotting.mistakes(test_images, test_digits, probabilities, names, 12), "tutorial_5_mistakes.png")
save(plotting.confusion_matrix(test_digits, probabilities, names), "tutorial_6_confusion.png")

# %%
# "Just be careful that you don't overfit your model." With the tutorial's settings there is no danger yet: the two
# curves stay together. The last picture shows the same network on 200 digits with a quicker optimizer: it soon knows
# every one of them by heart (accuracy 1 in training), while its loss on digits that it has not seen is least after some
# 13 epochs and then rises. `overfitting.py` shows what helps.
#
# "There are multiple kinds of CNNs": `japanese_vowels.py` is one in 1D, `moving_digits_3d.py` one in 3D;
# `postcode_and_cheque.py` reads zip codes and cheques.

save(plotting.history(model, "The tutorial's settings"), "tutorial_7_history.png")
small = models.clone_model(model)
small.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
small.fit(train_images[:200], train_labels[:200], epochs=5 if QUICK else 40, verbose=0,
          validation_data=(test_images[:1000], test_labels[:1000]))  # fmt: skip
save(plotting.history(small, "Overfitting: 200 digits, many epochs"), "tutorial_8_overfitting.png")
