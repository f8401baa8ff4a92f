"""fastconv: convolutional neural networks on the CPU, with Keras' names.

This file holds the public names and nothing else. Submodules load when they are first touched, so that
`import fastconv` costs little more than `import numpy`. The kernels load at once, so that `import fastconv` says what
is wrong with the installation or FASTCONV_ISA; but for the command `fastconv`, which says so itself, in one line.
"""

from __future__ import annotations

import importlib
import os
import sys

TYPE_CHECKING = False  # not typing's: it takes the command's first milliseconds, in which Ctrl-C shows a traceback
if TYPE_CHECKING:  # what type checkers see of _MODULES and _NAMES, the same; tests/test_types.py compares
    # isort: off
    from . import (
        activations as activations, applications as applications, backend as backend, callbacks as callbacks,
        config as config, constraints as constraints, data as data, datasets as datasets, dtype_policies as dtype_policies,
        initializers as initializers, kernels as kernels, layers as layers, losses as losses, metrics as metrics,
        models as models, ops as ops, optimizers as optimizers, plotting as plotting, preprocessing as preprocessing, random as random, regularizers as regularizers,
        saving as saving, schedules as schedules, sklearn as sklearn, testing as testing, tree as tree, utils as utils,
        wrappers as wrappers,
    )  # fmt: skip
    from .autodiff import grad as grad, gradients as gradients, value_and_grad as value_and_grad
    from .config import DTypePolicy as DTypePolicy
    from .initializers import Initializer as Initializer
    from .kernels import (
        empty_cache as empty_cache,
        get_num_threads as get_num_threads,
        get_precision as get_precision,
        set_num_threads as set_num_threads,
        set_precision as set_precision,
    )
    from .layers import Input as Input, InputSpec as InputSpec, Layer as Layer
    from .losses import Loss as Loss
    from .metrics import Metric as Metric
    from .models import Model as Model, Sequential as Sequential
    from .ops import Tensor as Tensor
    from .optimizers import Optimizer as Optimizer
    from .regularizers import Regularizer as Regularizer
    from .symbolic import KerasTensor as KerasTensor
    from .tensor import no_grad as no_grad
    from .variables import Variable as Variable
    # isort: on

__version__ = "0.2.0"

_MODULES = (
    "activations", "applications", "backend", "callbacks", "config", "constraints", "data", "datasets", "dtype_policies",
    "initializers", "kernels", "layers", "losses", "metrics", "models", "ops", "optimizers", "plotting", "preprocessing", "random", "regularizers",
    "saving", "schedules", "sklearn", "testing", "tree", "utils", "wrappers",
)  # fmt: skip
_NAMES = {
    "Tensor": "ops", "no_grad": "tensor", "Sequential": "models", "Model": "models", "KerasTensor": "symbolic",
    "Input": "layers", "InputSpec": "layers", "Layer": "layers", "Initializer": "initializers", "Loss": "losses",
    "Metric": "metrics", "Optimizer": "optimizers", "Regularizer": "regularizers", "Variable": "variables",
    "DTypePolicy": "config", "grad": "autodiff", "gradients": "autodiff",
    "value_and_grad": "autodiff", "set_num_threads": "kernels",
    "get_num_threads": "kernels", "empty_cache": "kernels", "set_precision": "kernels", "get_precision": "kernels",
}  # fmt: skip

__all__ = ["__version__", "version", *_MODULES, *_NAMES]


def version() -> str:
    """The installed version, `__version__`."""
    return __version__


if not TYPE_CHECKING:  # which would take any name

    def __getattr__(name: str) -> object:
        if name in _MODULES:
            return _load(name)
        if name in _NAMES:
            value = globals()[name] = getattr(_load(_NAMES[name]), name)
            return value
        from fastconv.absent import Absent

        raise Absent("fastconv", name, __all__)


def __dir__() -> list[str]:
    return sorted(__all__)


def _load(module: str) -> object:
    try:
        return importlib.import_module(f"fastconv.{module}")
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("fastconv.kernels._"):
            raise
    raise ImportError(
        f"fastconv is not compiled in its source folder, {os.path.dirname(os.path.dirname(__file__))}, which hides an "
        "installed fastconv from programs that are saved or run there. Save and run the program in another folder. To "
        "install fastconv, run `pip install .` in the source folder; to run programs there too, `pip install -e .`"
    )


# The console script's name; "-m" while Python looks for __main__. A user's program of that name loads them later.
if os.path.splitext(os.path.basename((getattr(sys, "argv", None) or [""])[0]))[0] not in ("fastconv", "-m"):
    _load("kernels")
