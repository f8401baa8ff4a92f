"""Accuracy of the time-series classifiers on data sets that aeon's package ships, beside the published figures.

Not a timing beside a peer. Contract: `python -m benchmarks series` trains each classifier once on the training half and
prints a row as it ends: accuracy on the test half, its difference to the published figure in points, epochs, seconds.
Needs scikit-learn and aeon (whose files are read, aeon itself is not imported). Series of several lengths get zeros at the
end. Published: means over the authors' runs, as fractions; of the UCR sets from results.csv of github.com/MSD-IRIMAS/LITE, of
JapaneseVowels from results-mts-avg-std.csv of github.com/hfawaz/dl-4-tsc (FCN, ResNet), results-mts.csv of
github.com/hfawaz/InceptionTime, and results_multivariate.csv of the first (LITETime).
"""

from __future__ import annotations

import importlib.util
import os
import time

PUBLISHED = {  # in the order of CLASSIFIERS
    "ItalyPowerDemand": (0.9627, 0.9615, 0.9650, 0.9670),
    "GunPoint": (0.9973, 0.9907, 1.0, 1.0),
    "JapaneseVowels": (0.993, 0.992, 0.9919, 0.9730),
    "OSULeaf": (0.9678, 0.9802, 0.9339, 0.9545),
}
CLASSIFIERS = ("FCNClassifier", "ResNetClassifier", "InceptionTimeClassifier", "LITETimeClassifier")
QUICK = 20  # epochs


def data(name):
    """(x_train, y_train, x_test, y_test), channels first."""
    import numpy as np

    from fastconv.datasets.ucr import load_ts

    found = importlib.util.find_spec("aeon")
    if found is None:
        raise SystemExit("python -m benchmarks series needs aeon, which has the data: pip install aeon scikit-learn")
    folder = os.path.join(found.submodule_search_locations[0], "datasets", "data", name)
    halves = [load_ts(os.path.join(folder, f"{name}_{half}.ts"), pad_value=0) for half in ("TRAIN", "TEST")]
    steps = max(half.x.shape[1] for half in halves)
    x = [np.pad(half.x, ((0, 0), (0, steps - half.x.shape[1]), (0, 0))).transpose(0, 2, 1) for half in halves]
    return x[0], halves[0].y, x[1], halves[1].y


def main(settings, quick, epochs, batch_size):
    import fastconv
    from fastconv import sklearn

    fastconv.set_num_threads(settings.threads)
    rows = [(name, kind) for name in PUBLISHED for kind in CLASSIFIERS]
    print(f"{'data set':18}{'classifier':26}{'epochs':>7}{'accuracy':>10}{'published':>11}{'points':>8}{'seconds':>9}")
    for name, kind in rows:
        if settings.only and not settings.only.search(f"{name} {kind}"):
            continue
        model = getattr(sklearn, kind)(random_state=0)
        model.set_params(epochs=epochs or (QUICK if quick else model.epochs), batch_size=batch_size or model.batch_size)
        x, y, x_test, y_test = data(name)
        start = time.perf_counter()
        model.fit(x, y)
        seconds = time.perf_counter() - start
        accuracy, published = model.score(x_test, y_test), PUBLISHED[name][CLASSIFIERS.index(kind)]
        print(
            f"{name:18}{kind:26}{model.epochs:7}{accuracy:10.4f}{published:11.4f}{100 * (accuracy - published):+8.1f}"
            f"{seconds:9.0f}", flush=True,
        )  # fmt: skip
