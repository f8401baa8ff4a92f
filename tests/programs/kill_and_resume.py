"""A run that is killed in the middle of an epoch goes on in another process, and ends with the bits of one that was not.

Score: 1 where it does."""

import os
import signal
import subprocess
import sys
import tempfile

from made import shapes

import fastconv
from fastconv import layers


class Kill(fastconv.callbacks.Callback):
    """Ends the process, as a power cut would, in the third epoch."""

    def on_train_batch_end(self, batch, logs=None):
        if self.model.optimizer.iterations == 27:
            os.kill(os.getpid(), signal.SIGKILL)


def trained(folder, *callbacks):
    """The network after 5 epochs, its dropout, statistics and augmentation included."""
    fastconv.utils.set_random_seed(7)
    x, y, _ = shapes(160)
    model = fastconv.Sequential([
        fastconv.Input((24, 24, 1)), layers.RandomFlip(), layers.RandomRotation(0.05), layers.Conv2D(8, 3, strides=2),
        layers.BatchNormalization(), layers.ReLU(), layers.Dropout(0.2), layers.Conv2D(16, 3, activation="relu"),
        layers.GlobalMaxPooling2D(), layers.Dense(3),
    ])  # fmt: skip
    loss = fastconv.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(fastconv.optimizers.Adam(5e-3), loss, metrics=["accuracy"])
    data = fastconv.data.Dataset.from_arrays((x, y)).shuffle(seed=3).batch(16).prefetch(2)
    keep = fastconv.callbacks.BackupAndRestore(folder, save_freq=5)
    model.fit(data, epochs=5, callbacks=[*callbacks, keep], verbose=0)
    return model


def main():
    with tempfile.TemporaryDirectory() as folder:
        killed = subprocess.run(
            [sys.executable, __file__, folder], env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        )
        assert killed.returncode == -signal.SIGKILL and os.listdir(folder) == ["latest.safetensors"]
        resumed = trained(folder)
        assert not os.listdir(folder)
        whole = trained(folder)
    same = all((one == other).all() for one, other in zip(resumed.get_weights(), whole.get_weights()))
    return float(same and resumed.history.history == whole.history.history)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        trained(sys.argv[1], Kill())
    else:
        print(main())
