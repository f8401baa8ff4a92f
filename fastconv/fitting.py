"""Run: one call of fit, epoch by epoch and batch by batch; where it stands, and how it goes on from a backup.

It computes no step: the trainer does. Contract: what a seed decides is drawn in one fixed order, so that one seed gives
one run, also one that was stopped on the way.
"""

from __future__ import annotations

import itertools
from collections import deque
from numbers import Real

from fastconv import batches, config, rng
from fastconv.batches import samples
from fastconv.callbacks import Logs
from fastconv.data.elements import note
from fastconv.distribution import world
from fastconv.results import Results
from fastconv.sources import Arrays


class Run:
    """One call of fit: its data (x, y, weights), its order of batches, its validation, its callbacks."""

    def __init__(self, trainer, source, shuffle, progress, interrupts):
        self.trainer, self.model, self.source = trainer, trainer.model, source
        self.shuffle, self.progress, self.interrupts = shuffle, progress, interrupts
        limit = config.max_steps_per_epoch()
        self.steps = source.steps if limit is None else min(source.steps or limit, limit)
        self.model.drop_plans()  # their memory, and the first step makes them stale
        self.number, self.done, self.logs = 0, 0, Logs()
        self.skipped, self.taken = 0, None  # steps of the next epoch that were taken before; the backup that says so

    @property
    def weights(self):
        """What is trained; a model may be built by its first batch."""
        return self.model.trainable_weights

    def validate(self, held_out, frequency):
        """Takes the held-out data's source or None, and after which epochs they are looked at."""
        self.held_out, self.frequency = held_out, frequency
        number = isinstance(frequency, Real) and not isinstance(frequency, bool)
        if not (number and frequency >= 1 and frequency % 1 == 0 or isinstance(frequency, (list, tuple, set))):
            raise ValueError(f"validation_freq must be a whole number of at least 1, or epochs; got {frequency!r}.")

    def go_on(self, resume, initial_epoch):
        """The first epoch: that of `resume`, the facts of a backup that a callback found, whose state all takes."""
        if resume is None:
            return initial_epoch
        self.trainer.began = resume["began"]
        rng.set_state(resume["began"])  # from which the epochs before drew
        self.source.go_to(resume["epoch"])
        if self.held_out is not None:
            self.held_out.go_to(sum(map(self._looks_after, range(resume["epoch"]))))
        left = list(self.callbacks.callbacks)
        for kind, state in resume["kept"]["callbacks"]:
            callback = next((callback for callback in left if type(callback).__name__ == kind), None)
            if callback is not None:
                left.remove(callback)
                if not (callback.only_writes and world.rank()):
                    callback.set_state(state)
        self.skipped, self.taken = resume["step"], resume if resume["step"] else None
        rng.set_state(resume["drawn" if resume["step"] else "random"])
        return resume["epoch"]

    def epoch(self, epoch, epochs):
        trainer, callbacks = self.trainer, self.callbacks
        self.results = results = Results(self.model, trainer.objective)
        self.sums = None
        begins, ends = callbacks.wants("on_train_batch_begin"), callbacks.wants("on_train_batch_end")
        agrees = trainer.sharding is not None and trainer.sharding.anywhere(ends)
        self.number, self.done = epoch, 0
        trainer.drawn = rng.get_state()  # what the order of this epoch comes from
        callbacks.call("on_epoch_begin", epoch, {})
        if self.taken is not None:
            results.set_state(self.taken["kept"]["results"])
            rate = self.taken["optimizers"][""][1]
            if trainer.optimizer.learning_rate != rate:  # on_epoch_begin has set it once more
                trainer.optimizer.learning_rate = rate
        self.progress.begin(f"Epoch {epoch + 1}/{epochs}", self.steps)
        weights = None
        for x, y, shares in self._batches():
            self.interrupts.check()
            weights = self.weights if weights is None else weights
            if begins:
                callbacks.call("on_train_batch_begin", self.done, {})
            try:
                trainer.step(x, y, shares, weights, results)
            except (ValueError, TypeError) as error:
                note(error, f"In batch {self.done + 1} of epoch {epoch + 1}.")
                raise
            self.done += 1
            if ends:
                callbacks.call("on_train_batch_end", self.done - 1, results.logs())
            if agrees:
                trainer.sharding.agree_on_callbacks(f"batch {self.done} of epoch {epoch + 1}")
            self.progress.step(self.done, results.logs)
            if trainer.stop_training:
                break
        if not self.done and self.source.ended:
            return  # there was no epoch, of which a loss of 0 would be told
        self.logs = results.logs()
        if self.held_out is not None and self._looks_after(epoch):
            self.sums = results.get_state()  # the validation counts with the same metrics
            tested = trainer.test(self.held_out, self.interrupts, callbacks)
            if not tested.empty:
                self.logs.update({f"val_{name}": value for name, value in tested.logs().items()})
        self.progress.end(self.logs)
        callbacks.call("on_epoch_end", epoch, self.logs)
        self.interrupts.check()  # a complete epoch counts, also the last one

    def _looks_after(self, epoch):
        if isinstance(self.frequency, (list, tuple, set)):
            return epoch + 1 in self.frequency
        return (epoch + 1) % self.frequency == 0

    def _batches(self):
        first, self.done = self.skipped, self.skipped
        order = self._order()
        taken, self.skipped, self.taken = self.taken, 0, None
        if order is None:
            # A stream knows its end itself, and is asked for it: a PyDataset has work to do there.
            last = self.steps if isinstance(self.source, Arrays) else None
            found = self.source.batches(self.number)
            deque(itertools.islice(found, first), maxlen=0)  # taken before; it may draw random numbers
            self._set_streams(taken)
            yield from itertools.islice(found, None if last is None else last - first)
            return
        self._set_streams(taken)
        x, y, shares = self.source.data
        dtype, size = self.model._dtype, self.source.batch_size
        for start in range(first * size, min(len(order), self.steps * size), size):
            chosen = order[start : start + size]
            yield (
                batches.gather(x, chosen, dtype, everything=True), batches.gather(y, chosen, dtype),
                batches.gather(shares, chosen, dtype),
            )  # fmt: skip

    def _set_streams(self, taken):
        if taken is not None:
            rng.set_state(taken["random"])  # as it was after the steps that were taken before

    def _order(self):
        """The samples' numbers in this epoch's order; None where that is the source's own."""
        if not self.shuffle or not isinstance(self.source, Arrays):
            return None
        return rng.generator().permutation(samples(self.source.data[0]))
