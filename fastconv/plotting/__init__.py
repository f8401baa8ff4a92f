"""fastconv.plotting: what a network learned and sees, as matplotlib Figures (extra `[plot]`).

Each function takes a model or arrays and returns a `matplotlib.figure.Figure`, which notebooks show and
`figure.savefig("name.png")` writes. Not a window: nothing calls show(), and pyplot is not used. Contract: models and
arrays stay as they were; what is too much for a picture is sampled, and the title says so; matplotlib is loaded at the
first call.
"""

from fastconv.absent import explain as _explain
from fastconv.plotting.attribution import grad_cam, receptive_field, saliency
from fastconv.plotting.cells import predictions
from fastconv.plotting.layers import activation_maps, filters
from fastconv.plotting.results import confusion_matrix, feature_embedding, mistakes
from fastconv.plotting.training import history, learning_rate_finder

__all__ = [
    "activation_maps", "confusion_matrix", "feature_embedding", "filters", "grad_cam", "history",
    "learning_rate_finder", "mistakes", "predictions", "receptive_field", "saliency",
]  # fmt: skip

_explain(__name__, __all__)


def __dir__() -> list[str]:
    return __all__
