"""Settings of the whole process, under keras.config's names: default dtype, epsilon, layout, limits of fit.

It imports nothing of fastconv; who follows a setting reads it when a layer, a tensor or a run is made. Contract: what
was made before a setting changed stays as it is. Settings of kernels (threads, precision) are fastconv's own, at the
top.
"""

from __future__ import annotations

import numbers
import operator
from dataclasses import dataclass
from typing import Any

from fastconv.absent import explain as _explain

__all__ = [
    "backend", "disable_interactive_logging", "disable_traceback_filtering", "dtype_policy",
    "enable_interactive_logging", "enable_traceback_filtering", "epsilon", "floatx", "image_data_format",
    "is_interactive_logging_enabled", "is_traceback_filtering_enabled", "max_epochs", "max_steps_per_epoch",
    "set_backend", "set_dtype_policy", "set_epsilon", "set_floatx", "set_image_data_format", "set_max_epochs",
    "set_max_steps_per_epoch",
]  # fmt: skip


@dataclass
class _Settings:
    floatx: str = "float32"
    policy: str | None = None  # of layers; None follows floatx
    epsilon: float = 1e-7
    image_data_format: str = "channels_last"
    interactive_logging: bool = True
    traceback_filtering: bool = True
    max_epochs: int | None = None
    max_steps_per_epoch: int | None = None


_settings = _Settings()


def floatx() -> str:
    """The default dtype of layers, inputs and random numbers: "float32" or "float64"."""
    return _settings.floatx


def set_floatx(value: str) -> None:
    """Sets `floatx`: "float32" or "float64"; ValueError for any other, since fastconv computes in no other."""
    _settings.floatx = checked_float("floatx", value)


class DTypePolicy:
    """The dtype that a layer computes in and keeps its weights in; one and the same here.

    `name` is "float32" or "float64", by default `floatx()`. ValueError for mixed policies and narrower types: on the
    CPUs that fastconv is for, they would be slower.
    """

    def __init__(self, name: str | None = None):
        self._name = floatx() if name is None else checked_float("A dtype policy's name", name)

    @property
    def name(self) -> str:
        """ "float32" or "float64"."""
        return self._name

    @property
    def compute_dtype(self) -> str:
        """The dtype of computations."""
        return self._name

    @property
    def variable_dtype(self) -> str:
        """The dtype of weights."""
        return self._name

    @property
    def quantization_mode(self) -> None:
        """None: nothing is quantized."""
        return None

    def get_config(self) -> dict[str, Any]:
        """The constructor's argument."""
        return {"name": self._name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> DTypePolicy:
        """The policy that `get_config` describes."""
        return cls(**config)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DTypePolicy) and self._name == other._name

    def __hash__(self) -> int:
        return hash(self._name)

    def __repr__(self) -> str:
        return f'<DTypePolicy "{self._name}">'


def dtype_policy() -> DTypePolicy:
    """The policy of layers that are made without a dtype."""
    return DTypePolicy(_settings.policy or _settings.floatx)


def set_dtype_policy(policy: str | DTypePolicy) -> None:
    """Sets `dtype_policy`, by its name or as an object; ValueError for others than "float32" and "float64"."""
    _settings.policy = policy.name if isinstance(policy, DTypePolicy) else checked_float("policy", policy)


def default_dtype() -> str:
    """What `dtype=None` means to a layer."""
    return _settings.policy or _settings.floatx


def checked_float(what: str, value: Any) -> str:
    """ "float32" or "float64"; ValueError that says why others are refused."""
    name = getattr(value, "name", value)
    if name not in ("float32", "float64"):
        narrow = isinstance(name, str) and any(part in name for part in ("16", "int8", "int4", "float8", "mixed"))
        reason = (
            " Narrower types are slower than float32 on CPUs; inputs of them are taken and converted." if narrow else ""
        )
        raise ValueError(f"{what} must be 'float32' or 'float64'; got {value!r}.{reason}")
    return str(name)


def epsilon() -> float:
    """The small number that functions of a program's own add to divisors: 1e-7 unless it was set. What stands in
    fastconv's losses and layers is 1e-7, or an argument, whatever is set."""
    return _settings.epsilon


def set_epsilon(value: float) -> None:
    """Sets `epsilon`, a number above 0 and below 1."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"epsilon must be a number; got {value!r}.")
    if not 0 < value < 1:
        raise ValueError(f"epsilon must be above 0 and below 1; got {value!r}.")
    _settings.epsilon = float(value)


def image_data_format() -> str:
    """What `data_format=None` means to layers: "channels_last" or "channels_first"."""
    return _settings.image_data_format


def set_image_data_format(data_format: str) -> None:
    """Sets `image_data_format`. Layers compute channels last; "channels_first" has them turn what they get and give
    around, which takes time: see fastconv.layers.spatial."""
    if data_format not in ("channels_last", "channels_first"):
        raise ValueError(f"data_format must be 'channels_last' or 'channels_first'; got {data_format!r}.")
    _settings.image_data_format = data_format


def backend() -> str:
    """ "fastconv": its own kernels, on the CPU."""
    return "fastconv"


def set_backend(backend: str) -> None:
    """Takes "fastconv"; ValueError for any other, since there is no other here."""
    if backend != "fastconv":
        raise ValueError(f"fastconv has one backend, its own kernels; got {backend!r}. Leave the call out.")


def enable_interactive_logging() -> None:
    """Has verbose="auto" show bars, as it does by default."""
    _settings.interactive_logging = True


def disable_interactive_logging() -> None:
    """Has verbose="auto" print one line an epoch."""
    _settings.interactive_logging = False


def is_interactive_logging_enabled() -> bool:
    """Whether verbose="auto" shows bars."""
    return _settings.interactive_logging


def enable_traceback_filtering() -> None:
    """Notes the switch; tracebacks are whole either way."""
    _settings.traceback_filtering = True


def disable_traceback_filtering() -> None:
    """Notes the switch; tracebacks are whole either way."""
    _settings.traceback_filtering = False


def is_traceback_filtering_enabled() -> bool:
    """What was set last; True at first."""
    return _settings.traceback_filtering


def max_epochs() -> int | None:
    """The most epochs that `fit` runs, whatever it is told; None for no limit."""
    return _settings.max_epochs


def set_max_epochs(max_epochs: int | None) -> None:
    """Sets `max_epochs`, a whole number of at least 1 or None."""
    _settings.max_epochs = _limit("max_epochs", max_epochs)


def max_steps_per_epoch() -> int | None:
    """The most steps of an epoch that `fit` runs; None for no limit."""
    return _settings.max_steps_per_epoch


def set_max_steps_per_epoch(max_steps_per_epoch: int | None) -> None:
    """Sets `max_steps_per_epoch`, a whole number of at least 1 or None."""
    _settings.max_steps_per_epoch = _limit("max_steps_per_epoch", max_steps_per_epoch)


def _limit(name: str, value: int | None) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{name} must be a whole number or None; got {value!r}.")
    if value < 1:
        raise ValueError(f"{name} must be at least 1, or None for no limit; got {value}.")
    return operator.index(value)


_explain(__name__, __all__)


def __dir__() -> list[str]:
    return __all__
