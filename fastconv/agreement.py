"""Agreement: what processes must have in common before they train one model, and what shards cannot do at all.

It sends nothing: distribution/world.py compares what is described here. Contract: facts have names for people; what is
large goes in as a checksum; models are compared by structure and settings, not by names or weights, which all take from
process 0.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from typing import Any

import numpy as np

from fastconv import registry
from fastconv.batches import samples
from fastconv.compiled import Objective
from fastconv.distribution.parallel import DataParallel
from fastconv.nest import flatten
from fastconv.sources import Arrays


def facts(model: Any, parallel: DataParallel, sources: list[Any], settings: dict[str, Any]) -> dict[str, Any]:
    """What must be the same in every process of one call of fit or evaluate, by what it is called in an error."""
    found = {"shards": parallel.shards, "auto_shard_dataset": parallel.auto_shard_dataset, **settings}
    found |= _described(model)
    for kind, source in zip(("", "validation "), sources):
        if isinstance(source, Arrays):
            found[f"number of {kind}samples"] = samples(source.data[0])
            shapes = [None if part is None else [leaf.shape[1:] for leaf in flatten(part)] for part in source.data]
            found[f"shapes of a {kind}sample, its target and its weight"] = shapes
            if parallel.auto_shard_dataset:
                found[f"{kind}data"] = _digest(source.data)
    return found


def facts_of_batch(number: int, batch: tuple | None, parallel: DataParallel) -> dict[str, Any]:
    """As `facts`, of one batch (x, y, weights) of a stream, or of its end."""
    found = {f"number of samples in batch {number}": 0 if batch is None else samples(batch[0])}
    if parallel.auto_shard_dataset and batch is not None:
        found[f"data in batch {number}"] = _checksum(batch)
    return found


def advice(parallel: DataParallel) -> str:
    """What is said where processes differ."""
    if parallel.auto_shard_dataset:
        return (
            "All run one program on the same data, with the same seeds where it draws numbers; where each has data of its own, "
            "say so by DataParallel(auto_shard_dataset=False)."
        )
    return "All run one program, and each gives equally many samples of its own."


def check_count(count: int, parallel: DataParallel, caller: str) -> None:
    """ValueError for batches so small that most processes have nothing to do; the last one of an epoch may be smaller."""
    parts = parallel.parts
    if count < parts:
        raise ValueError(
            f"{caller}: a batch of {count} samples leaves some of the {parts} shards that "
            f"{'a batch' if parallel.auto_shard_dataset else 'each process'} has without samples: take larger batches, or "
            f"DataParallel(shards={1 << max(count.bit_length() - 1, 0)}) at most."
        )


def check_model(model: Any, objective: Objective, caller: str) -> None:
    """ValueError for what cannot be computed shard by shard."""
    if model.has_own("train_step", "test_step"):
        raise ValueError(
            f"{caller}: {type(model).__name__} has a train_step or test_step of its own, which would run once for each shard of "
            "a batch: write the loop yourself, with set_distribution(None), and add gradients up by "
            "fastconv.distribution.reduce(gradients); the page 'More than one machine' has such a loop."
        )
    for loss in flatten(objective.loss) if model.has_own("compute_loss") else ():
        if getattr(loss, "reduction", None) in ("sum", "mean_with_sample_weight"):
            raise ValueError(
                f"{caller}: the loss {loss.name!r} has reduction={loss.reduction!r}, but of a compute_loss of one's own, as "
                f"{type(model).__name__} has, the mean over shards is taken: give the loss reduction='sum_over_batch_size'."
            )
    for metric in model.metrics:
        if not metric.variables and type(metric).__module__.partition(".")[0] != "fastconv":
            raise ValueError(
                f"{caller}: the metric {metric.name!r} keeps nothing in variables, which are what processes add up: make "
                "them in its constructor by self.add_weight(...)."
            )


def _described(model):
    """What models of equal structure and settings have in common, as checksums by name; their names may differ."""
    parts = {
        "weights of the model": lambda: [(w.name, w.shape, w.dtype.str, w.trainable) for w in model.weights],
        "layers of the model": lambda: [type(layer).__name__ for layer in model.flatten_layers()],
        "settings of the model's layers": lambda: [_settings(layer) for layer in model.layers],
        "settings of compile and the optimizer": model.get_compile_config,
    }
    found = {}
    for name, described in parts.items():
        try:
            part = described()
        except (ValueError, TypeError, NotImplementedError):  # functions of the user's own
            part = None
        text = json.dumps(part, default=lambda value: type(value).__name__)  # no address in a repr
        found[name] = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
    return found


def _settings(layer):
    return {name: value for name, value in registry.serialize(layer)["config"].items() if name != "name"}


def _digest(data):
    """Of all arrays in (x, y, weights)."""
    found = hashlib.blake2b(digest_size=16)
    for leaf in flatten([part for part in data if part is not None]):
        found.update(repr((leaf.shape, leaf.dtype.str)).encode())
        rows = max(1, (1 << 24) // max(leaf[:1].nbytes, 1))
        for start in range(0, len(leaf), rows):
            found.update(_bytes(leaf[start : start + rows]))
    return found.hexdigest()


def _checksum(batch):
    found = 0
    for leaf in flatten([part for part in batch if part is not None]):
        found = zlib.crc32(_bytes(leaf), found)
    return f"{found:08x}"


def _bytes(array):
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data
