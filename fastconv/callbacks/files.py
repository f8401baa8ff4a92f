"""Callbacks that write files: a table of the logs, backups to go on from, TensorBoard's events.

Contract: a backup is written whole or not at all, and a run that goes on from it ends with the bits of one that never
stopped; what needs another package imports it when it is made, and says which.
"""

from __future__ import annotations

import csv
import os
from typing import Any

import numpy as np

from fastconv import modelfile, rng

from .base import Callback
from .monitors import checked_frequency


class CSVLogger(Callback):
    """Writes the logs of each epoch as a line of a CSV file, headed by their names; `append` goes on at its end.

    A value that is not there, such as that of a validation which was left out, is "NA".
    """

    def __init__(self, filename: str | os.PathLike, separator: str = ",", append: bool = False) -> None:
        self.filename, self.separator, self.append = os.fspath(filename), separator, bool(append)
        self._file = self._names = None

    def on_train_begin(self, logs: dict | None = None) -> None:
        self._old = self.append and os.path.exists(self.filename) and os.path.getsize(self.filename) > 0
        self._names = None
        if self._old:
            with open(self.filename, newline="", encoding="utf-8") as file:
                self._names = next(csv.reader(file, delimiter=self.separator))[1:]
        self._file = open(self.filename, "a" if self.append else "w", newline="", encoding="utf-8")

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        logs = logs or {}
        writer = csv.writer(self._file, delimiter=self.separator)
        if self._names is None:
            self._names = sorted(logs)
            if not any(name.startswith("val_") for name in self._names):  # a validation may come after a later epoch
                self._names += [f"val_{name}" for name in self._names]
            writer.writerow(["epoch", *self._names])
        writer.writerow([epoch, *[dict.get(logs, name, "NA") for name in self._names]])
        self._file.flush()

    def on_train_end(self, logs: dict | None = None) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


class BackupAndRestore(Callback):
    """Keeps what a run needs to go on in `backup_dir`: weights, optimizer, epoch and step, random streams.

    A `fit` of the same model on the same data that was stopped, by whatever, goes on after the last backup when it is
    called again, and ends with the same bits. `save_freq`: "epoch", or a number of batches. `double_checkpoint` keeps
    the backup before the last too. A run that ends by itself deletes them, unless `delete_checkpoint=False`.
    """

    def __init__(
        self, backup_dir: str | os.PathLike, save_freq: str | int = "epoch", double_checkpoint: bool = False,
        delete_checkpoint: bool = True,
    ) -> None:  # fmt: skip
        self.backup_dir = os.fspath(backup_dir)
        if not self.backup_dir:
            raise ValueError("BackupAndRestore: backup_dir must name a folder.")
        self.save_freq = checked_frequency(self, save_freq)
        self.double_checkpoint, self.delete_checkpoint = bool(double_checkpoint), bool(delete_checkpoint)
        self._path = os.path.join(self.backup_dir, "latest.safetensors")
        self._before = os.path.join(self.backup_dir, "previous.safetensors")

    def on_train_begin(self, logs: dict | None = None) -> None:
        self._batches = 0
        for path in (self._path, self._before):
            if os.path.exists(path):
                facts = modelfile.load_training(self.model, path)
                break
        else:
            return
        rng.set_state(facts["drawn"])
        later = facts["random"]
        for source, state in zip(self._sources(), facts["sources"]):
            source.state[...] = np.array(state, np.uint64)
        if not facts["step"]:
            rng.set_state(later)
        self.model._trainer.resume = (facts["epoch"], facts["step"], later if facts["step"] else None)

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        self._batches += 1
        if self.save_freq != "epoch" and self._batches % self.save_freq == 0:
            self._save(self._epoch, batch + 1)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        self._save(epoch + 1, 0)

    def on_train_end(self, logs: dict | None = None) -> None:
        if self.delete_checkpoint and not self.model.stop_training:
            for path in (self._path, self._before):
                if os.path.exists(path):
                    os.remove(path)

    def _save(self, epoch, step):
        os.makedirs(self.backup_dir, exist_ok=True)
        facts = {
            "epoch": epoch, "step": step, "random": rng.get_state(), "drawn": self.model._trainer.drawn,
            "sources": [[int(number) for number in source.state] for source in self._sources()],
        }  # fmt: skip
        if self.double_checkpoint and os.path.exists(self._path):
            os.replace(self._path, self._before)
        modelfile.save_training(self.model, self._path, facts)

    def _sources(self):
        """The streams of random numbers that the model's layers have of their own."""
        found = [value for layer in self.model.flatten_layers() for value in vars(layer).values()]
        return [value for value in found if isinstance(value, rng.SeedGenerator)]


class TensorBoard(Callback):
    """Writes the logs for TensorBoard into `log_dir`/train and `log_dir`/validation; needs the extra `[tensorboard]`.

    `update_freq`: "epoch", "batch" or a number of batches after which the running means are written too.
    `histogram_freq`: after how many epochs the weights' histograms are, 0 for never. Graphs, images of weights,
    embeddings and profiles are not written: `write_graph` is taken, the others must be left as they are.
    """

    def __init__(
        self, log_dir: str | os.PathLike = "logs", histogram_freq: int = 0, write_graph: bool = True,
        write_images: bool = False, write_steps_per_second: bool = False, update_freq: str | int = "epoch",
        profile_batch: int | tuple = 0, embeddings_freq: int = 0, embeddings_metadata: Any = None,
    ) -> None:  # fmt: skip
        refused = {
            "write_images": write_images, "profile_batch": profile_batch, "embeddings_freq": embeddings_freq,
            "embeddings_metadata": embeddings_metadata,
        }  # fmt: skip
        for argument, value in refused.items():
            if value:
                raise ValueError(f"TensorBoard: fastconv writes scalars and histograms only; leave {argument} out.")
        self._writer_class = _summary_writer()
        self.log_dir, self.histogram_freq = os.fspath(log_dir), histogram_freq
        self.write_steps_per_second = bool(write_steps_per_second)
        if update_freq != "epoch":
            update_freq = checked_frequency(self, 1 if update_freq == "batch" else update_freq)
        self.update_freq, self._writers, self._step = update_freq, {}, 0

    def _write(self, part, tag, value, step):
        if part not in self._writers:
            self._writers[part] = self._writer_class(os.path.join(self.log_dir, part))
        self._writers[part].add_scalar(tag, value, step)

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        import time

        self._began, self._first = time.perf_counter(), self._step

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        self._step += 1
        if self.update_freq != "epoch" and self._step % self.update_freq == 0:
            for name, value in (logs or {}).items():
                self._write("train", f"batch_{name}", value, self._step)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        import time

        for name, value in (logs or {}).items():
            if name.startswith("val_"):
                self._write("validation", f"epoch_{name[4:]}", value, epoch)
            else:
                self._write("train", f"epoch_{name}", value, epoch)
        if self.write_steps_per_second:
            rate = (self._step - self._first) / (time.perf_counter() - self._began)
            self._write("train", "epoch_steps_per_second", rate, epoch)
        if self.histogram_freq and epoch % self.histogram_freq == 0:
            for name, weight in modelfile.weight_names(self.model).items():
                self._writers["train"].add_histogram(name, weight.data, epoch)
        for writer in self._writers.values():
            writer.flush()

    def on_train_end(self, logs: dict | None = None) -> None:
        for writer in self._writers.values():
            writer.close()
        self._writers = {}


def _summary_writer():
    """The class that writes events."""
    try:
        from tensorboardX import SummaryWriter
    except ImportError:
        raise ImportError(
            "TensorBoard needs the package tensorboardX, which writes its files: pip install 'fastconv[tensorboard]'."
        ) from None
    return SummaryWriter
