"""keras.dtype_policies, as far as it applies: policies of float32 and float64 alone.

The class stands in config.py, which needs it. Contract: mixed, half and quantized policies raise ValueError in words.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastconv.config import DTypePolicy, dtype_policy

__all__ = ["DTypePolicy", "FloatDTypePolicy", "deserialize", "get", "serialize"]

FloatDTypePolicy = DTypePolicy


def get(identifier: str | DTypePolicy | Mapping[str, Any] | None) -> DTypePolicy:
    """The policy of a name, a config, an object, or None, the default one."""
    if identifier is None:
        return dtype_policy()
    if isinstance(identifier, DTypePolicy):
        return identifier
    return deserialize(identifier) if isinstance(identifier, Mapping) else DTypePolicy(identifier)


def serialize(dtype_policy: DTypePolicy) -> dict[str, Any]:
    """A config that `deserialize` reads."""
    if not isinstance(dtype_policy, DTypePolicy):
        raise TypeError(f"dtype_policy must be a DTypePolicy; got {dtype_policy!r}.")
    return {"class_name": "DTypePolicy", "config": dtype_policy.get_config()}


def deserialize(config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None) -> DTypePolicy:
    """The policy of a config; `custom_objects` changes nothing, since there are no others. ValueError for other
    classes."""
    if not isinstance(config, Mapping) or config.get("class_name") not in ("DTypePolicy", "FloatDTypePolicy"):
        raise ValueError(f"fastconv has no dtype policy but DTypePolicy('float32') and ('float64'); got {config!r}.")
    return DTypePolicy(**config["config"])


def __dir__() -> list[str]:
    return __all__
