"""PyTorch's DataLoader feeds fit: here a class of its protocol, a list of arrays a batch, shuffled by itself.

Score: accuracy."""

import numpy as np
from made import waves

import fastconv
from fastconv import layers


class DataLoader:
    """What fit sees of `torch.utils.data.DataLoader`: `len`, and a pass over lists [x, y] at each `iter`."""

    def __init__(self, x, y, batch_size, shuffle=False):
        self.x, self.y, self.batch_size, self.shuffle = x, y, batch_size, shuffle
        self.random = np.random.default_rng(0)

    def __len__(self):
        return -(-len(self.x) // self.batch_size)

    def __iter__(self):
        order = self.random.permutation(len(self.x)) if self.shuffle else np.arange(len(self.x))
        for start in range(0, len(order), self.batch_size):
            rows = order[start : start + self.batch_size]
            yield [self.x[rows], self.y[rows]]


def main():
    train = DataLoader(*waves(300, steps=64), batch_size=24, shuffle=True)
    validation = DataLoader(*waves(90, steps=64, seed=1), batch_size=30)
    model = fastconv.Sequential([
        fastconv.Input((64, 1)), layers.Conv1D(16, 7, activation="relu"), layers.MaxPooling1D(2),
        layers.Conv1D(16, 5, activation="relu"), layers.GlobalAveragePooling1D(), layers.Dense(3, activation="softmax"),
    ])  # fmt: skip
    model.compile(fastconv.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(train, validation_data=validation, epochs=10, verbose=0).history
    assert len(history["val_loss"]) == 10
    return model.evaluate(validation, verbose=0, return_dict=True)["accuracy"]


if __name__ == "__main__":
    print(main())
