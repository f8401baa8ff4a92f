"""The tutorial's program, on the digits that ship with fastconv: the same calls as with Keras, and it learns."""

import numpy as np

from fastconv import layers, models
from fastconv.datasets import mnist_mini
from fastconv.utils import set_random_seed, to_categorical


def network():
    model = models.Sequential()

    model.add(layers.Conv2D(32, (5, 5), activation="relu", input_shape=(28, 28, 1)))
    model.add(layers.MaxPooling2D((2, 2)))

    model.add(layers.Conv2D(64, (5, 5), activation="relu"))
    model.add(layers.MaxPooling2D((2, 2)))

    model.add(layers.Flatten())
    model.add(layers.Dense(10, activation="softmax"))
    return model


def digits(train, test):
    (train_images, train_labels), (test_images, test_labels) = mnist_mini.load_data()
    images = [
        part.reshape((len(part), 28, 28, 1)).astype("float32") / 255
        for part in (train_images[:train], test_images[:test])
    ]
    labels = [to_categorical(part, 10) for part in (train_labels[:train], test_labels[:test])]
    return images[0], labels[0], images[1], labels[1]


def test_the_tutorial_with_its_own_settings(capsys):
    set_random_seed(0)
    train_images, train_labels, test_images, test_labels = digits(2000, 500)
    model = network()
    model.summary()
    model.compile(loss="categorical_crossentropy", optimizer="sgd", metrics=["accuracy"])
    history = model.fit(train_images, train_labels, batch_size=100, epochs=3, verbose=1)
    test_loss, test_acc = model.evaluate(test_images, test_labels)

    loss = history.history["loss"]
    assert loss[0] > loss[1] > loss[2] and abs(loss[0] - np.log(10)) < 0.2
    assert test_acc > 0.3 and test_loss < 2.2
    printed = capsys.readouterr().out
    assert "Total params: 62,346" in printed and "Epoch 3/3 - " in printed


def test_with_adam_it_reads_most_digits():
    set_random_seed(0)
    train_images, train_labels, test_images, test_labels = digits(1500, 500)
    model = network()
    model.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
    model.fit(train_images, train_labels, epochs=2, verbose=0)
    assert model.evaluate(test_images, test_labels, verbose=0)[1] > 0.8
