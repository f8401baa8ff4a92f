"""Callbacks: hooks into `fit`, `evaluate` and `predict`, under Keras' names.

The base is base.py; monitors.py has those that follow a value, actions.py those that act at a moment, files.py those
that write.
"""

from __future__ import annotations

from fastconv.absent import explain as _explain

from .actions import (
    LambdaCallback,
    LearningRateScheduler,
    ProgbarLogger,
    RemoteMonitor,
    SwapEMAWeights,
    TerminateOnNaN,
)
from .base import Callback, CallbackList, History, Logs
from .files import BackupAndRestore, CSVLogger, TensorBoard
from .monitors import EarlyStopping, ModelCheckpoint, ReduceLROnPlateau

__all__ = [
    "BackupAndRestore", "CSVLogger", "Callback", "CallbackList", "EarlyStopping", "History", "LambdaCallback",
    "LearningRateScheduler", "Logs", "ModelCheckpoint", "ProgbarLogger", "ReduceLROnPlateau", "RemoteMonitor",
    "SwapEMAWeights", "TensorBoard", "TerminateOnNaN",
]  # fmt: skip

_explain(__name__, __all__)


def __dir__() -> list[str]:
    return sorted(__all__)
