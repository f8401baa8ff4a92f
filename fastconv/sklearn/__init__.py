"""fastconv.sklearn: networks as scikit-learn estimators, and classifiers of time series (extra `[sklearn]`).

Not Keras' wrappers, which are fastconv.wrappers: these take networks and their training as parameters, for pipelines and
searches. Contract: scikit-learn's: parameters are kept as given, what `fit` learns ends in `_`, one `random_state` gives
one result; scikit-learn is loaded when this module first is. Without it, making an estimator says how to install it.
"""

from fastconv.absent import explain as _explain
from fastconv.sklearn.estimators import FastConvClassifier, FastConvRegressor
from fastconv.sklearn.series import FCNClassifier, InceptionTimeClassifier, LITETimeClassifier, ResNetClassifier

__all__ = [
    "FCNClassifier", "FastConvClassifier", "FastConvRegressor", "InceptionTimeClassifier", "LITETimeClassifier",
    "ResNetClassifier",
]  # fmt: skip

_explain(__name__, __all__)


def __dir__() -> list[str]:
    return __all__
