"""Two processes in which something differs: what each is told. No process waits for another afterwards."""

import os
import sys

import numpy as np
from telling import tell

from fastconv import Input, Sequential, distribution, layers
from fastconv.callbacks import BackupAndRestore, CSVLogger, EarlyStopping, LearningRateScheduler
from fastconv.utils import set_random_seed

distribution.initialize()
rank, folder = distribution.rank(), sys.argv[1]
X, Y = np.random.default_rng(0).random((32, 4)).astype("float32"), np.zeros((32, 2), "float32")
SHARED, OWN = distribution.DataParallel(shards=4), distribution.DataParallel(shards=4, auto_shard_dataset=False)


def fit(x=X, y=Y, units=3, rate=0.1, parallel=SHARED, callbacks=None, **options):
    distribution.set_distribution(parallel)
    set_random_seed(rank)
    model = Sequential([Input((4,)), layers.Dense(units), layers.Dropout(options.pop("dropout", 0.1)), layers.Dense(2)])
    model.compile("sgd", "mse")
    model.optimizer.learning_rate = rate
    files = [BackupAndRestore(os.path.join(folder, "backup")), CSVLogger(os.path.join(folder, "log.csv"))]
    model.fit(
        x, y, **{"batch_size": 8, "verbose": 0, "callbacks": files if callbacks is None else callbacks, **options}
    )


def batches(count, first=0.0):
    return [(X[i : i + 8] + first, Y[i : i + 8]) for i in range(0, 8 * count, 8)]


class Fails(CSVLogger):
    def on_train_begin(self, logs=None):
        raise OSError("the disk is full")


OTHER = X.copy()
OTHER[0, 0] += rank
CASES = {
    "data": lambda: fit(OTHER),
    "targets": lambda: fit(y=Y + rank),
    "held-out data": lambda: fit(validation_data=(OTHER, Y)),
    "number of samples": lambda: fit(X[: 32 - 8 * rank], Y[: 32 - 8 * rank]),
    "layers": lambda: fit(units=3 + rank),
    "settings of layers": lambda: fit(dropout=0.1 + 0.1 * rank),
    "learning rate": lambda: fit(rate=0.1 + rank),
    "batch_size": lambda: fit(batch_size=8 + 8 * rank),
    "epochs": lambda: fit(epochs=1 + rank),
    "shards": lambda: fit(parallel=distribution.DataParallel(shards=4 + 4 * rank), batch_size=16),
    "one without samples": lambda: fit(X[: 32 - 32 * rank], Y[: 32 - 32 * rank]),
    "one with fewer targets": lambda: fit(y=Y[: 32 - rank]),
    "batches": lambda: fit(iter(batches(2, 1.0 * rank)), None, batch_size=None, callbacks=[]),
    "number of batches": lambda: fit(iter(batches(2 + rank)), None, batch_size=None, callbacks=[]),
    "own parts of other sizes": lambda: fit(X[: 32 - 8 * rank], Y[: 32 - 8 * rank], parallel=OWN),
    "own parts, one without samples": lambda: fit(X[: 32 - 32 * rank], Y[: 32 - 32 * rank], parallel=OWN),
    "own parts, one without weights": lambda: fit(sample_weight=None if rank else np.ones(32), parallel=OWN),
    "own parts, one with a validation": lambda: fit(validation_data=(X, Y) if rank else None, parallel=OWN),
    "a batch that two cannot share": lambda: fit(parallel=OWN, batch_size=9),
    "a rate of one": lambda: fit(callbacks=[LearningRateScheduler(lambda epoch: 0.5)] if rank else [], epochs=3),
    "an end of one": lambda: fit(callbacks=[EarlyStopping("loss", min_delta=9, patience=1)] if rank else [], epochs=3),
    "a callback of one": lambda: fit(callbacks=[Fails(os.path.join(folder, "other.csv"))]),  # process 0's
    "arrays to reduce": lambda: distribution.reduce([np.zeros(3 + rank)]),
}  # fmt: skip

for name, case in CASES.items():
    try:
        case()
        told = ["nothing", ""]
    except Exception as error:
        told = [type(error).__name__, str(error)]
    tell({"case": name, "told": told})
