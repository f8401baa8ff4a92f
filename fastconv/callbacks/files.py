"""Callbacks that write files: a table of the logs, backups to go on from, TensorBoard's events.

Contract: a backup is written whole or not at all, and a run that goes on from it ends with the bits of one that never
stopped; what needs another package imports it when it is made, and says which.
"""

from __future__ import annotations

import csv
import os
import signal
import tempfile
import threading
from contextlib import suppress
from typing import Any

from fastconv import backups, modelfile
from fastconv.distribution import world
from fastconv.progress import warn_user

from .base import Callback
from .monitors import checked_frequency


class CSVLogger(Callback):
    """Writes the logs of each epoch as a line of a CSV file, headed by their names; `append` goes on at its end, and a
    run that goes on from a backup after the lines of the epochs before.

    A value that is not there, such as that of a validation which was left out, is "NA". Of several processes the first
    one writes.
    """

    only_writes = True

    def __init__(self, filename: str | os.PathLike, separator: str = ",", append: bool = False) -> None:
        self.filename, self.separator, self.append = os.fspath(filename), separator, bool(append)
        self._names, self._place = None, 0  # the columns, and the bytes of the file that stay

    def on_train_begin(self, logs: dict | None = None) -> None:
        open(self.filename, "a").close()  # a path that cannot be written is told now
        self._names, self._place = None, os.path.getsize(self.filename) if self.append else 0

    def get_state(self) -> dict[str, Any]:
        return {"size": self._place}

    def set_state(self, state: dict[str, Any]) -> None:
        self._place = min(state["size"], os.path.getsize(self.filename))

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        logs = logs or {}
        with open(self.filename, "r+", newline="", encoding="utf-8") as file:
            file.truncate(self._place)
            if self._names is None and self._place:
                self._names = next(csv.reader(file, delimiter=self.separator))[1:]
            file.seek(0, os.SEEK_END)
            writer = csv.writer(file, delimiter=self.separator)
            if self._names is None:
                self._names = sorted(logs)
                if not any(
                    name.startswith("val_") for name in self._names
                ):  # a validation may come after a later epoch
                    self._names += [f"val_{name}" for name in self._names]
                writer.writerow(["epoch", *self._names])
            writer.writerow([epoch, *[dict.get(logs, name, "NA") for name in self._names]])
        self._place = os.path.getsize(self.filename)


class BackupAndRestore(Callback):
    """Keeps what a run needs to go on in `backup_dir`: weights, optimizers, epoch and step, random streams, the place in
    the data, and the state of the other callbacks and of the history.

    A `fit` of the same model on the same data that was stopped, by whatever, goes on after the last backup when the
    program is run again, and ends with the same bits. `save_freq`: "epoch", or a number of batches too.
    `double_checkpoint` keeps the backup before the last too, and goes on from it where the last one is damaged. A run that
    comes to its end deletes them, unless `delete_checkpoint=False`; Ctrl-C, an error or a signal is no end. With
    `save_on_sigterm` a SIGTERM during `fit`, which batch systems send before they take a machine away, is answered by a
    backup after the running step; then it takes its course. A second one does not wait.

    Of data, all that draw from a seed of their own, or from `random` and NumPy's common stream, come back: arrays,
    Datasets, PyDatasets (whose on_epoch_begin and on_epoch_end are called for the epochs before), and generators, whose
    batches are passed over. Of several processes the first one writes and reads; the others may be another number then.
    """

    comes_last = True

    def __init__(
        self, backup_dir: str | os.PathLike, save_freq: str | int = "epoch", double_checkpoint: bool = False,
        delete_checkpoint: bool = True, save_on_sigterm: bool = False,
    ) -> None:  # fmt: skip
        self.backup_dir = os.fspath(backup_dir)
        if not self.backup_dir:
            raise ValueError("BackupAndRestore: backup_dir must name a folder.")
        self.save_freq = checked_frequency(self, save_freq)
        self.double_checkpoint, self.delete_checkpoint = bool(double_checkpoint), bool(delete_checkpoint)
        self.save_on_sigterm = bool(save_on_sigterm)
        self._path = os.path.join(self.backup_dir, "latest.safetensors")
        self._before = os.path.join(self.backup_dir, "previous.safetensors")
        self._previous, self._asked = None, False  # the handler of SIGTERM before; whether one came
        # As hooks only where they are needed: each costs the logs of every batch.
        if self.save_freq != "epoch" or self.save_on_sigterm:
            self.on_train_batch_end = self._after_batch
        if self.save_on_sigterm:
            self.on_test_batch_end = self._after_test_batch

    def on_train_begin(self, logs: dict | None = None) -> None:
        self._batches, self._asked = 0, False
        if not world.rank():
            self._check_folder()
        if self.save_on_sigterm:
            if threading.current_thread() is not threading.main_thread():
                raise ValueError(
                    "BackupAndRestore: save_on_sigterm=True needs fit in the main thread, which gets signals."
                )
            # Of several processes the first one saves and ends the job, for which the others must wait.
            self._previous = signal.signal(signal.SIGTERM, signal.SIG_IGN if world.rank() else self._note)
        if world.rank():
            return  # process 0 reads, and the others take what it has (sharding.py)
        for path in filter(os.path.exists, (self._path, self._before)):
            try:
                self.model._trainer.resume = backups.load(self.model, path)
                return
            except ValueError as error:
                if path == self._before or not os.path.exists(self._before):
                    raise
                warn_user(f"{error} The run goes on from the backup before it.")

    def _check_folder(self):
        """Tells before the run, not after its first epoch, that nothing can be written."""
        try:
            os.makedirs(self.backup_dir, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.backup_dir):
                """It can."""
        except OSError as error:
            raise OSError(
                error.errno, f"BackupAndRestore cannot write there: {error.strerror}", self.backup_dir
            ) from error

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self._epoch = epoch

    def _after_batch(self, batch, logs=None):
        self._batches, self._step = self._batches + 1, batch + 1
        if self._asked or (self.save_freq != "epoch" and self._batches % self.save_freq == 0):
            self._save(self._epoch, batch + 1)

    def _after_test_batch(self, batch, logs=None):
        if self._asked:
            self._save(self._epoch, self._step)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        self._save(epoch + 1, 0)

    def on_train_end(self, logs: dict | None = None) -> None:
        if self._previous is not None:
            signal.signal(signal.SIGTERM, self._previous)
            self._previous = None
        if self.delete_checkpoint and not self.model._trainer.interrupted and not world.rank():
            for path in (self._path, self._before):
                with suppress(FileNotFoundError):
                    os.remove(path)

    def _save(self, epoch, step):
        if world.rank():
            return
        if self.double_checkpoint:
            with suppress(FileNotFoundError):
                os.replace(self._path, self._before)
        backups.save(self.model, self._path, epoch, step)
        if self._asked:
            self._pass_on()

    def _note(self, number, frame):
        """SIGTERM: kept until the running step is done, where one is running."""
        if self._asked or self.model._trainer.run is None:
            self._pass_on()
        else:
            self._asked = True

    def _pass_on(self):
        """Sends the signal again, to whom it would have gone."""
        self._asked = False
        signal.signal(signal.SIGTERM, signal.SIG_DFL if self._previous is None else self._previous)
        self._previous = None
        os.kill(os.getpid(), signal.SIGTERM)


class TensorBoard(Callback):
    """Writes the logs for TensorBoard into `log_dir`/train and `log_dir`/validation; needs the extra `[tensorboard]`.

    `update_freq`: "epoch", "batch" or a number of batches after which the running means are written too.
    `histogram_freq`: after how many epochs the weights' histograms are, 0 for never. Graphs, images of weights,
    embeddings and profiles are not written: `write_graph` is taken, the others must be left as they are. Of several
    processes the first one writes.
    """

    only_writes = True

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

    def get_state(self) -> dict[str, Any]:
        return {"step": self._step}

    def set_state(self, state: dict[str, Any]) -> None:
        self._step = state["step"]

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
