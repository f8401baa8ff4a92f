"""fastconv: convolutional neural networks on the CPU, with Keras' names.

This file holds the public names and nothing else. Submodules load when they are first touched, so that
`import fastconv` costs little more than `import numpy`. The kernels load at once, so that `import fastconv` says what
is wrong with the installation or FASTCONV_ISA; but for the command `fastconv`, which says so itself, in one line.
"""

import importlib
import os
import sys

__version__ = "0.1.0"

_MODULES = (
    "activations", "applications", "callbacks", "constraints", "datasets", "initializers", "kernels", "layers",
    "losses", "metrics", "models", "ops", "optimizers", "random", "regularizers", "saving", "schedules", "testing",
    "utils",
)  # fmt: skip
_NAMES = {
    "Tensor": "ops", "no_grad": "tensor", "Sequential": "models", "Model": "models", "KerasTensor": "symbolic",
    "Input": "layers", "Layer": "layers", "set_num_threads": "kernels",
    "get_num_threads": "kernels", "empty_cache": "kernels", "set_precision": "kernels", "get_precision": "kernels",
}  # fmt: skip

__all__ = ["__version__", *_MODULES, *_NAMES]


def __getattr__(name):
    if name in _MODULES:
        return _load(name)
    if name in _NAMES:
        value = globals()[name] = getattr(_load(_NAMES[name]), name)
        return value
    raise AttributeError(f"module 'fastconv' has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *__all__})


def _load(module):
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
