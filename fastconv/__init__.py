"""fastconv: convolutional neural networks on the CPU, with Keras' names.

This file holds the public names and nothing else. Submodules load when they are first touched, so that
`import fastconv` costs little more than `import numpy`.
"""

import importlib

try:
    from . import kernels
except ModuleNotFoundError as error:
    if not (error.name or "").startswith("fastconv.kernels._"):
        raise
    raise ImportError("fastconv is not compiled here: run `pip install .` in its folder, and Python elsewhere.") from None

__version__ = "0.1.0"

_MODULES = (
    "callbacks", "datasets", "initializers", "kernels", "layers", "losses", "metrics", "models", "ops",
    "optimizers", "random", "saving", "schedules", "testing", "utils",
)  # fmt: skip
_NAMES = {
    "Tensor": "ops", "no_grad": "tensor", "Sequential": "models", "set_num_threads": "kernels",
    "get_num_threads": "kernels", "empty_cache": "kernels", "set_precision": "kernels", "get_precision": "kernels",
}  # fmt: skip

__all__ = ["__version__", *_MODULES, *_NAMES]


def __getattr__(name):
    if name in _MODULES:
        return importlib.import_module(f"fastconv.{name}")
    if name in _NAMES:
        value = globals()[name] = getattr(importlib.import_module(f"fastconv.{_NAMES[name]}"), name)
        return value
    raise AttributeError(f"module 'fastconv' has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *__all__})
