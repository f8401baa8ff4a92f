"""Sharding: a batch computed shard by shard, and summed up over all shards of all processes.

How a batch is cut is distribution/parallel.py's, the tree of sums folding.py's, what processes must have in common
agreement.py's. Contract: what a step gives (gradients,
losses, metrics, moving statistics) follows from the batch and the number of shards alone, never from the number of
processes; averages are weighted by samples. All processes call `begin`, and then step together; one that cannot go on
before the first step stops all of them, with one error.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from fastconv import agreement, backups, kernels, rng
from fastconv.batches import cut, samples
from fastconv.data.elements import note
from fastconv.distribution import lockstep, world
from fastconv.distribution.folding import Fold
from fastconv.distribution.parallel import distribution
from fastconv.layers.shapes import map_shapes
from fastconv.progress import warn_user
from fastconv.sources import Arrays


def together(caller: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """`function(*arguments)`; where a distribution is set, an error in one process is one in all."""
    if distribution() is None:
        return function(*arguments)
    return world.together(caller, function, *arguments)


def own_batch(batch_size: int) -> int:
    """How many samples of its own data a process gives to a batch; ValueError where the processes cannot share it."""
    parallel, size = distribution(), world.size()
    if parallel is None or parallel.auto_shard_dataset:
        return batch_size
    if batch_size % size:
        raise ValueError(
            f"batch_size={batch_size} is that of all {size} processes together, each of which gives the same number of its "
            "own samples: make it a multiple of them."
        )
    return batch_size // size


def in_step(batches: Iterator[tuple], caller: str) -> Iterator[tuple]:
    """The batches (x, y, weights) of a stream; ValueError in all processes where one of them has another batch, or
    none. Each process may have batches of its own where the distribution says so."""
    parallel = distribution()
    if parallel is None:
        yield from batches
        return
    for number in itertools.count(1):
        batch = next(batches, None)
        if world.size() > 1:
            facts = agreement.facts_of_batch(number, batch, parallel)
            world.agree(caller, facts, agreement.advice(parallel))
        if batch is None:
            return
        if caller == "fit" and number == 1:
            agreement.check_count(samples(batch[0]), parallel, caller)
        yield batch


def begin(trainer: Any, caller: str, sources: list[Any], settings: dict[str, Any]) -> Sharding | None:
    """What computes the trainer's steps from now on, None where no distribution is set. ValueError in every process
    where they have other models, data, settings or too few samples."""
    parallel = distribution()
    if parallel is None:
        if world.size() > 1 and caller == "fit":
            warn_user(
                f"There are {world.size()} processes, and each trains the whole by itself: call "
                "fastconv.distribution.set_distribution(DataParallel()) before fit."
            )
        return None
    found = together(caller, Sharding, trainer, parallel, caller, sources)
    if world.size() > 1:
        facts = agreement.facts(found.model, parallel, sources, settings)
        world.agree(caller, facts, agreement.advice(parallel))
        found.synchronize()
    return found


def wait() -> None:
    """Until all processes are here, where a distribution is set: files that process 0 wrote are there then."""
    if distribution() is not None:
        world.barrier()


class Sharding:
    """The steps of one call of fit or evaluate."""

    def __init__(self, trainer: Any, parallel: Any, caller: str, sources: list[Any]):
        self.trainer, self.model, self.parallel, self.shards = trainer, trainer.model, parallel, parallel.shards
        parallel.check(caller)
        agreement.check_model(self.model, trainer.objective, caller)
        self.synchronized = self.shards > 1 and any(
            getattr(layer, "synchronized", False) for layer in self.model.flatten_layers()
        )  # then shards wait for one another, and so run eagerly, each in a thread of its own
        source = sources[0]
        if caller != "evaluate" and isinstance(source, Arrays):
            agreement.check_count(min(source.batch_size, samples(source.data[0])), parallel, caller)

    # What all processes must have in common

    def synchronize(self) -> None:
        """Every process takes process 0's weights, state of optimizers, random streams, and the run that it goes on."""
        trainer, model = self.trainer, self.model
        optimizers = backups.optimizers(model).values()
        state = world.from_first({
            "shape": model._build_shape if model.built else None, "random": rng.get_state(), "resume": trainer.resume,
            "numbers": backups.numbers(model),
            "slots": [[weight in optimizer._state for weight in model.weights] for optimizer in optimizers],
        })  # fmt: skip
        if not model.built and state["shape"] is not None:
            model.build(map_shapes(tuple, state["shape"]))
        rng.set_state(state["random"])
        trainer.resume = state["resume"]
        backups.take_numbers(model, state["numbers"])
        arrays = []
        for weight in model.kept_weights():
            arrays.append(weight.array)
            weight.version += 1
        for optimizer, slots in zip(optimizers, state["slots"]):
            for weight, there in zip(model.weights, slots):
                arrays += optimizer.slot_arrays(weight) if there else ()
        for array in arrays:
            world.copy_from_first(array)

    def anywhere(self, own: bool) -> bool:
        """Whether it is so in one of several processes."""
        return world.size() > 1 and any(world.gathered(own))

    def agree_on_callbacks(self, when: str) -> None:
        """ValueError in every process where those of one have stopped training, or set another rate, `when` they were
        called last: the others would wait for a process that has left the epoch."""
        if world.size() > 1:
            rates = [float(optimizer.learning_rate) for optimizer in backups.optimizers(self.model).values()]
            facts = {f"stop_training after {when}": self.trainer.stop_training, f"learning rates after {when}": rates}
            world.agree("fit", facts, "Callbacks that change training belong to all processes.")

    # Steps

    def step(self, x, y, shares, weights, results):
        """([a loss for each output, the loss], one gradient or None for each weight) of a batch, whose metrics it adds."""
        trainer, factors = self.trainer, self._factors(x, shares)

        def compute(x, y, shares):
            values, outputs, gradients = trainer._gradients(x, y, self._weighed(shares, factors, samples(x)), weights)
            for weight in weights:
                weight.grad = None
            if world.rank() == 0:
                trainer._doubt(y, outputs)
            self._measure(y, outputs, shares)
            return values, gradients

        return self._computed(compute, x, y, shares, weights, results, self.synchronized)

    def look(self, x, y, shares, results):
        """Adds the losses and metrics of a batch, without training."""

        def compute(x, y, shares):
            values, outputs = trainer.seen(x, y, self._weighed(shares, factors, samples(x)))
            self._measure(y, outputs, shares)
            return values, ()

        trainer, factors = self.trainer, self._factors(x, shares)
        self._computed(compute, x, y, shares, (), results, False)

    def _factors(self, x, shares):
        """For each output, what the weights of a shard's samples take, divided by the shard's samples, so that the mean
        over shards, by their samples, of a loss is the batch's sum, or its mean by weights; None for other losses."""
        if self.model.has_own("compute_loss"):
            return []
        reductions = self.trainer.objective.reductions(self.model.output_names)
        count = samples(x) * (1 if self.parallel.auto_shard_dataset else world.size())
        found = [count if reduction == "sum" else None for reduction in reductions]
        by_weights = [place for place, reduction in enumerate(reductions) if reduction == "mean_with_sample_weight"]
        if by_weights:
            fold = Fold()
            for start, stop in self.parallel.cuts(samples(x)):
                given = [
                    stop - start if shares is None else shares[place][start:stop].sum(dtype=np.float64)
                    for place in by_weights
                ]
                fold.push(np.array(given, np.float64))
            sums = fold.result()
            world.total(sums)
            for place, weight in zip(by_weights, sums):
                found[place] = count / (weight or 1.0)
        return found

    def _weighed(self, shares, factors, own):
        """The weights of a shard's `own` samples with these factors."""
        if not any(factors):
            return shares
        given = [np.ones(own, self.model._dtype)] * len(factors) if shares is None else shares
        kind = self.model._dtype.type
        return [by if factor is None else by * kind(factor / own) for by, factor in zip(given, factors)]

    def _measure(self, y, outputs, shares):
        """The metrics of one shard."""
        for metric in self.model.metrics:
            _set_values(metric, [0.0] * len(metric.variables))
        self.trainer.objective.update_metrics(y, outputs, shares)

    def _computed(self, compute, x, y, shares, weights, results, synchronized):
        """What `compute(x, y, shares)`, (losses, gradients), gives for the whole batch."""
        streams = [rng.seed_generator(), *backups.streams(self.model)]
        fixed = self._moving()
        metrics = [_values(metric) for metric in self.model.metrics]
        states, arrays = _copies(streams, fixed)
        cuts, left = self.parallel.cuts(samples(x)), {}

        def enter(place):
            number = self.parallel.number(place)
            own, moved = left.get(place) or ([rng.branch(state, number) for state in states], arrays)
            for stream, state in zip(streams, own):
                stream.state[...] = state
            _restore(fixed, moved)

        def leave(place):
            left[place] = _copies(streams, fixed)

        def work(place):
            start, stop = cuts[place]
            try:
                values, gradients = compute(*[cut(nest, start, stop) for nest in (x, y, shares)])
            except (ValueError, TypeError) as error:
                number = self.parallel.number(place) + 1
                note(error, f"In shard {number} of {self.shards}, which has {stop - start} of the batch's samples.")
                raise
            self._losses = len(values)
            return self._sums(stop - start, values, gradients, fixed, arrays), _flat(gradients, weights, stop - start)

        def one_by_one():
            for place, run in enumerate(works):
                if run is not None:
                    enter(place)
                yield run and run()

        counts = [stop - start for start, stop in cuts]
        works = [functools.partial(work, place) if count else None for place, count in enumerate(counts)]
        uneven, sums, totals = samples(x) < self.parallel.parts, Fold(), Fold()
        try:
            for found in lockstep.run(works, counts, enter, leave, uneven) if synchronized else one_by_one():
                sums.push(found and found[0])
                totals.push(found and found[1])
        finally:  # also where a step fails, it moves nothing
            _restore(fixed, arrays)
            for stream, state in zip(streams, states):
                stream.state[...] = state
                stream.state[2] += np.uint64(1)
        if uneven:
            self._agree_on_layout(sums.result() is None)
        return self._taken(sums.result(), totals.result(), weights, fixed, metrics, results)

    def _agree_on_layout(self, empty):
        """Tells processes that got no sample of the batch what the others add up."""
        layouts = world.gathered(None if empty else self._losses)
        self._losses = next(losses for losses in layouts if losses is not None)
        shapes = [[value.shape for value in _values(metric)] for metric in self.model.metrics]
        world.agree(
            "A batch with fewer samples than shards", {"shapes of the metrics' variables": shapes},
            "A metric that makes them by its first batch needs larger batches, of which every process has a part.",
        )  # fmt: skip

    def _moving(self):
        """The weights that calls of layers move, such as moving statistics; what is frozen is none of them."""
        frozen = {id(weight) for layer in self.model.flatten_layers() for weight in layer._weights}
        return [weight for weight in self.model.kept_weights() if not weight.trainable and id(weight) not in frozen]

    def _sums(self, count, values, gradients, fixed, before):
        """One shard's numbers, which are added up in float64."""
        parts = [[count], np.multiply(values, count), [float(gradient is not None) for gradient in gradients]]
        parts += [(weight.array.astype(np.float64) - old).ravel() * count for weight, old in zip(fixed, before)]
        parts += [value.ravel() for metric in self.model.metrics for value in _values(metric)]
        return np.concatenate(parts, dtype=np.float64)

    def _taken(self, sums, flat, weights, fixed, metrics, results):
        """Adds up over all processes; moves statistics and metrics; the losses and gradients."""
        if sums is None:  # no shard of this process has samples
            values = sum(value.size for metric in self.model.metrics for value in _values(metric))
            sums = np.zeros(1 + self._losses + len(weights) + sum(weight.size for weight in fixed) + values)
            flat = np.zeros(sum(weight.size for weight in weights), self.model._dtype)
        world.total(sums)
        if weights:
            world.total(flat)
            flat /= flat.dtype.type(sums[0])
        count, losses, there, rest = np.split(sums, np.cumsum([1, self._losses, len(weights)]))
        count, losses = count[0], (losses / count).tolist()
        for weight in fixed:
            own, rest = rest[: weight.size].reshape(weight.shape) / count, rest[weight.size :]
            if own.any():
                with weight.writable() as array:
                    moved = array + own
                    array[...] = np.rint(moved) if array.dtype.kind != "f" else moved
        for metric, old in zip(self.model.metrics, metrics):
            new = []
            for place, value in enumerate(_values(metric)):
                own, rest = rest[: value.size].reshape(value.shape), rest[value.size :]
                new.append(own + old[place] if place < len(old) else own)
            _set_values(metric, new)
        results.count(int(count), losses)
        gradients = []
        for weight, some in zip(weights, there):
            own, flat = flat[: weight.size].reshape(weight.shape), flat[weight.size :]
            gradients.append(own if some else None)
        return losses, gradients


def _flat(gradients, weights, count):
    """The gradients times the number of samples, one behind the other; zeros where there is none."""
    if not weights:
        return None
    flat, place = kernels.empty((sum(weight.size for weight in weights),), weights[0].dtype), 0
    for gradient, weight in zip(gradients, weights):
        part = flat[place : place + weight.size].reshape(weight.shape)
        part[...] = 0 if gradient is None else np.multiply(gradient, part.dtype.type(count))
        place += weight.size
    return flat


def _copies(streams, weights):
    return [stream.state.copy() for stream in streams], [weight.array.copy() for weight in weights]


def _restore(weights, arrays):
    for weight, array in zip(weights, arrays):
        np.copyto(weight.array, array)
        weight.version += 1


def _values(metric):
    return [variable.array.astype(np.float64) for variable in metric.variables]


def _set_values(metric, values):
    for variable, value in zip(metric.variables, values):
        variable.assign(value)
