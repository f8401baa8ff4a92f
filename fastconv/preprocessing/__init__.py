"""Keras' older path to what reads images and series; all of it stands in `fastconv.utils`."""

from __future__ import annotations

from fastconv.absent import explain as _explain
from fastconv.preprocessing import image, sequence
from fastconv.utils import image_dataset_from_directory, timeseries_dataset_from_array

__all__ = ["image", "image_dataset_from_directory", "sequence", "timeseries_dataset_from_array"]

_explain(__name__, __all__)


def __dir__() -> list[str]:
    return __all__
