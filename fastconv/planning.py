"""The programs of a model: an inference or a training step drawn once for each shape of input, fused, and then repeated
without Python.

It knows models, losses and batches by what they can be asked, never by class; what is drawn and how it runs is
program.py. Contract: a planned result has the bits of the program run at once. A shape's first call draws the program
and runs it; the second draws it again and records it only if it is the same; all others repeat the recording. Any
change of a layer or a setting has the program drawn anew. A call that asks for values, changes its layers, or draws
something else each time runs eagerly, layer by layer, and `explain` says why.
"""

from __future__ import annotations

import linecache
import threading
import traceback

import numpy as np

from fastconv import kernels
from fastconv.layers import calls
from fastconv.layers.base import building
from fastconv.nest import flatten, map_leaves, pack
from fastconv.parts import alike, share, side_by_side
from fastconv.program import NoValues, Program, Recording, replay_side_by_side
from fastconv.symbolic import KerasTensor
from fastconv.tensor import Tensor, is_recording, no_grad, wrap

PLANS = 8  # shapes that one model keeps recordings for
MEMORY = 1 << 30  # bytes that all of them may take before the oldest ones go; one is always kept
CHANGES = 2  # of weights that a step holds fixed, one step after another, from which on nothing is kept of them
_recording = threading.Lock()  # one recording is made at a time


class Planner:
    """The programs of one model; a copy of the model starts without any."""

    records = True  # False, for tests: programs run step by step

    def __init__(self):
        self.clear()

    def __reduce__(self):
        return Planner, ()

    def clear(self):
        """Drops all programs and their memory."""
        self.entries = {}

    def call(self, model, inputs, training):
        """The model's outputs for a nest of Tensors, on the tape if it records; None where it has to run eagerly."""
        taped = is_recording()
        if type(inputs) is Tensor:
            leaves, key = (inputs,), (training, taped, inputs.data.shape, inputs.data.dtype.char)
        else:
            leaves = flatten(inputs)
            key = (training, taped, *[(leaf.data.shape, leaf.data.dtype.char) for leaf in leaves])
        entry = self.entries.get(key) or self._new_entry(key, _Call(model, inputs, training, taped))
        program = entry.drawn()
        if program is None:
            return None
        if not training and not taped:
            results = entry.share and self._in_parts(entry, leaves)
            if results:
                return entry.packed([wrap(array) for array in results])
            recording = entry.recorded(program)
            results = recording and entry.replay(recording, [leaf.data for leaf in leaves])
            if results:
                return entry.packed([wrap(array) for array in results])
            if entry.program is None:
                return None
        return entry.packed(program.taped(leaves))

    def _in_parts(self, entry, leaves):
        """The outputs of a call, some samples at a time, by the entry for so many; None where that one has to run eagerly or
        computes something else."""
        count, batch = entry.share, len(leaves[0].data)
        parts = [[leaf.data[i : i + count] for leaf in leaves] for i in range(0, batch, count)]
        nest = pack(entry.nest, [wrap(array) for array in parts[0]])
        key = ("part", *[(array.shape, array.dtype.char) for array in parts[0]])
        part = self.entries.get(key) or self._new_entry(key, _Call(entry.model, nest, False, False, "A part of a call"))
        program = part.drawn()
        if program is None or not alike(entry.program, program):
            entry.share = None
            return None
        outputs = [program.shapes[slot] for slot in program.outputs]
        results = [kernels.empty((batch, *shape[1:]), leaves[0].data.dtype) for shape in outputs]
        own = [[array[i : i + count] for array in results] for i in range(0, batch, count)]
        sources = [list(map(np.ascontiguousarray, arrays)) for arrays in parts]
        recordings = part.recordings(program, side_by_side(len(parts), count, kernels.get_num_threads()))
        if len(recordings) > 1 and replay_side_by_side(recordings, sources, own):
            return results
        for arrays, made in zip(sources, own):
            if not (recordings and recordings[0].replay(arrays, made)):
                for array, output in zip(made, program.taped(list(map(wrap, arrays)))):
                    array[...] = output.data
        return results

    def gradients(self, model, x, y, weights, sample_weight=None):
        """(losses, outputs, one gradient or None for each weight) of a training step on nests of arrays x and y, and an
        array of weights of samples for each output or None; None where it has to run eagerly. The losses are
        Trainer.losses' as floats; the gradients' memory is good until the next step."""
        objective, in_shard = model._trainer.objective, model._trainer.sharding is not None
        if type(x) is not np.ndarray or x.dtype is not model._dtype:
            x = map_leaves(lambda leaf: model._convert(leaf).data, x)
        leaves, targets = flatten(x), objective.targets(y, model.output_names, model._dtype)
        shares = [np.asarray(array, model._dtype) for array in sample_weight or ()]
        key = ("step", in_shard, *[(a.shape, a.dtype.char) for a in (*leaves, *targets, *shares)], *map(id, weights))
        entry = self.entries.get(key) or self._new_entry(key, _TrainingStep(model, x, targets, shares, weights))
        program = entry.drawn()
        if program is None:
            return None
        objective.check(targets, entry.output_shapes)
        arrays = [*leaves, *targets, *shares]
        recording = entry.recorded(program)
        results = recording and entry.replay(recording, arrays)
        if results:
            return entry.split(results, entry.gradients(recording, model.optimizer))
        if entry.program is None:
            return None
        outputs = program.taped([*map(wrap, leaves), *targets, *shares])
        if outputs[-1].requires_grad:
            outputs[-1].backward()
        gradients = [weight.grad for weight in weights]
        for weight in weights:
            weight.grad = None
        return entry.split([output.data for output in outputs], gradients)

    def explain(self) -> str:
        """One paragraph a shape: what runs for it and why."""
        return "\n".join(entry.explain() for entry in list(self.entries.values())) or "Nothing was called yet."

    def _new_entry(self, key, entry):
        for old in list(self.entries)[: 1 - 4 * PLANS or None]:
            self.entries.pop(old, None)
        self.entries[key], entry.planner = entry, self
        return entry

    def trim(self, newest, recording):
        """Drops the oldest recordings past the limits; `newest` has just got its one."""
        others = [(entry, entry.recording) for entry in list(self.entries.values()) if entry is not newest]
        others = [(entry, old) for entry, old in others if old is not None]
        size = recording.plan.bytes + sum(old.plan.bytes for _, old in others)
        while others and (len(others) >= PLANS or size > MEMORY):
            entry, old = others.pop(0)
            size -= old.plan.bytes
            entry.recording, entry.copies, entry.uses = None, (), 0


class _Entry:
    """One shape of one model: its program, and its recording once it has one.

    A subclass gives `draw()`: the arguments of a Program, and `gradient`, that of the last output, or None.
    """

    gradient = None
    copies = ()  # recordings, the first of them `recording`, for threads that work side by side
    share = None  # samples that run at a time, where not all do
    adding = ()  # the layers that add losses, which are the last outputs then

    def __init__(self, model):
        self.model = model
        self.program = self.recording = self.reason = None
        self.settings = kernels.settings_version()
        self.version, self.uses, self.versions, self.changes = -1, 0, None, 0

    def drawn(self):
        """The program that holds now, or None."""
        if not self._holds():
            with building:  # layers may be built on the way, and other threads wait
                if not self._holds():
                    self._redraw()
        return self.program

    def _holds(self):
        return self.version == kernels.version() and (not self.containers or all(map(_unchanged, self.containers)))

    def _redraw(self):
        version, settings = kernels.version(), kernels.settings_version()
        self.containers = _containers(self.model)
        program, self.reason = self._drawing()
        if program is not None and (version != kernels.version() or not all(map(_unchanged, self.containers))):
            program, self.reason = None, "its call changes an attribute of a layer"
            version = -1
        before = self.program
        if before is None or program is None or settings != self.settings or not before.same(program):
            self.recording, self.copies, self.uses, self.program = None, (), 0, program
            self.share = self.shared(program)
        self.settings, self.version = settings, version  # last: who sees it takes no lock

    def shared(self, program):
        """`share` for this program, or None."""

    def _drawing(self):
        """(the program, None), or (None, why there is none)."""
        try:
            with np.errstate(all="ignore"):
                return Program(*self.draw()), None
        except NoValues as error:
            return None, f"it depends on data: {_line(error)} asks for values"
        except Exception as error:  # the eager call says it better
            return None, f"{type(error).__name__}: {error}"

    def recorded(self, program):
        """A Recording of the program, made now if it is time; or None."""
        versions = [parameter.version for parameter in program.packed] if program.keeps_packs else None
        if versions != self.versions:
            if self.gradient is not None and self.uses == 1:  # such weights change at every step, as a GAN's
                self.changes += 1
                if self.changes == CHANGES:
                    program.keeps_packs, versions = False, None
            self.recording, self.copies, self.versions, self.uses = None, (), versions, 0
        recording = self.recording
        if recording is not None:
            return recording
        self.uses += 1
        if self.uses < 2 or not self.planner.records or _recording.locked():
            return None
        with (
            _recording
        ):  # not acquire(), after which a Ctrl-C could come before `try`: CPython lets none in between here
            again, _ = self._drawing()
            if again is None or not again.same(program):
                self.program, self.reason = None, "it computes something else from call to call"
                return None
            recording = self.recording = self._record(program)
            self.planner.trim(self, recording)
            return recording

    def recordings(self, program, most):
        """Recordings of the program, `most` at most; none before it is time."""
        recording = self.recorded(program)
        if recording is None:
            return []
        copies = self.copies  # another thread's trim may drop them
        if not copies or copies[0] is not recording:
            copies = self.copies = [recording]
        most = min(most, MEMORY // 4 // max(recording.plan.bytes, 1))
        while len(copies) < most and not _recording.locked():
            with _recording:
                copies.append(self._record(program))
        return copies[: max(most, 1)]

    def _record(self, program):
        """A Recording, which leaves moving statistics and random states as they are."""
        arrays = [np.zeros(tensor.shape, tensor.dtype) for tensor in self.draw()[1]]
        states = [parameter.array for parameter in program.updated] + [source.state for source in program.sources]
        saved = [array.copy() for array in states]
        try:
            with np.errstate(all="ignore"), no_grad():
                if program.packed and program.keeps_packs:
                    program.run(
                        arrays
                    )  # what is kept of weights that stay must be there, and not be the plan's to write
                return Recording(program, arrays, self.gradient)
        finally:
            for state, array in zip(states, saved):
                np.copyto(state, array)

    @staticmethod
    def replay(recording, arrays):
        """The outputs on new arrays; None while another thread is at it."""
        results = [allocate(shape, dtype) for allocate, shape, dtype in recording.results]
        arrays = [array if array.flags.c_contiguous else np.ascontiguousarray(array) for array in arrays]
        if not recording.replay(arrays, results):
            return None
        for parameter in recording.program.updated:
            parameter.version += 1
        return results

    def packed(self, outputs):
        """The outputs in the structure that the model gives them in; a softmax's knows its logits, each its mask, and the
        layers the losses that they added."""
        if self.adding:
            for layer, loss in zip(self.adding, outputs[-len(self.adding) :]):
                calls.add(layer, loss)
        if len(outputs) == self.count == 1:
            return pack(self.structure, outputs)
        leaves, extra = outputs[: self.count], outputs[self.count :]
        for place, mask in zip(self.masks, extra[len(self.logits) :]):
            if isinstance(leaves[place], Tensor):
                leaves[place]._keras_mask = mask
        for (place, name, axis), logits in zip(self.logits, extra):
            if isinstance(leaves[place], Tensor) and leaves[place]._logits is None:
                leaves[place]._logits = (name, logits, axis)
        return pack(self.structure, leaves)

    def note_outputs(self, output):
        """The leaves of a drawn output, then the logits and the masks of those that have some."""
        leaves = flatten(output)
        self.structure, self.count = output, len(leaves)
        known = [(i, leaf._logits) for i, leaf in enumerate(leaves) if leaf._logits]
        self.logits = [(i, name, axis) for i, (name, _, axis) in known]
        masked = [(i, leaf._keras_mask) for i, leaf in enumerate(leaves) if hasattr(leaf, "_keras_mask")]
        masked = [(i, mask) for i, mask in masked if isinstance(mask, KerasTensor)]
        self.masks = [i for i, _ in masked]
        return leaves + [logits for _, (_, logits, _) in known] + [mask for _, mask in masked]

    def explain(self):
        shapes = ", ".join(str(tensor.shape) for tensor in self.draw()[1])
        if self.program is None:
            return f"{self.kind} for {shapes}: runs eagerly, since {self.reason}."
        text = f"{self.kind} for {shapes}: {len(self.program.steps)} operations"
        if self.share:
            return f"{text}, {self.share} sample{'s' * (self.share > 1)} at a time: see the part."
        if self.recording is None:
            return f"{text}, run one by one; recorded when the shape comes again."
        runs, calls = self.recording.plan.counts()
        return f"{text}, recorded: {runs} kernel runs, {calls} steps in Python, {self.recording.plan.bytes:,} bytes."


class _Call(_Entry):
    """A model's call."""

    def __init__(self, model, inputs, training, taped, kind="A call"):
        super().__init__(model)
        self.taped = taped
        self.nest = map_leaves(lambda leaf: _symbol(leaf.data), inputs)
        self.training = training
        self.kind = f"{kind}{' in training' if training else ''}"

    def shared(self, program):
        if program is None or self.training or self.taped:
            return None
        leaves = flatten(self.nest)
        if {leaf.dtype for leaf in leaves} != {self.model._dtype}:
            return None
        return share(program)

    def draw(self):
        def function(*leaves):
            with calls.collecting() as added:
                outputs = self.note_outputs(self.model.run(pack(self.nest, leaves), self.training))
            if not all(loss.symbolic for _, loss in added):
                raise NoValues("A layer adds a constant loss.")
            self.adding = [layer for layer, _ in added]
            return [*outputs, *[loss for _, loss in added]]

        return function, [_symbol(leaf) for leaf in flatten(self.nest)], (), self.taped


class _TrainingStep(_Entry):
    """Outputs, losses and gradients of a batch."""

    kind = "A training step"

    def __init__(self, model, x, targets, shares, weights):
        super().__init__(model)
        self.x, self.targets, self.shares = (
            map_leaves(_symbol, x),
            list(map(_symbol, targets)),
            list(map(_symbol, shares)),
        )
        self.weights = weights
        self.gradient = np.ones((), model._dtype)

    def draw(self):
        count = len(flatten(self.x))
        end = count + len(self.targets)

        def function(*leaves):
            x, y, shares = pack(self.x, leaves[:count]), list(leaves[count:end]), list(leaves[end:])
            with calls.collecting():
                output = self.model.run(x, True)
                outputs = self.note_outputs(output)
                losses = self.model._trainer.losses(x, y, output, shares or None)
            self.output_shapes = [leaf.shape for leaf in flatten(output)]
            self.losses = len(losses)
            return [*outputs, *losses]

        return function, [_symbol(leaf) for leaf in (*flatten(self.x), *self.targets, *self.shares)], self.weights

    def split(self, results, gradients):
        """What Planner.gradients gives."""
        outputs = results[: -self.losses]
        if self.masks:  # which travel beside Tensors
            outputs = list(map(wrap, outputs))
        return [loss.item() for loss in results[-self.losses :]], self.packed(outputs), gradients

    @staticmethod
    def gradients(recording, optimizer):
        """The gradients, on arrays that are good until the next step or, where the optimizer may keep them, for ever."""
        found = recording.gradients
        # A subclass may keep what it is given.
        return (
            found
            if vars(type(optimizer)).get("done_with_gradients")
            else [None if g is None else g.copy() for g in found]
        )


def _symbol(array):
    return KerasTensor(array.shape, array.dtype)


def _containers(model):
    """(list or dict, its items now) of the attributes of users' layers: they may change where they are. Ours do not."""
    found = []
    for layer in model.flatten_layers():
        if type(layer).__module__.startswith("fastconv."):
            continue
        for name, value in list(vars(layer).items()):
            if isinstance(value, (list, dict)) and not name.startswith("_"):
                found.append((value, list(value.values() if isinstance(value, dict) else value)))
    return found


def _unchanged(pair):
    container, items = pair
    now = container.values() if isinstance(container, dict) else container
    return len(container) == len(items) and all(a is b for a, b in zip(now, items))


def _line(error):
    """The line of the user's that asked for values: the innermost outside this package."""
    package = __file__.rpartition("planning")[0]
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith(package)]
    if not frames:
        return "fastconv"
    frame = frames[-1]
    return (
        f"{frame.filename}:{frame.lineno} ({(frame.line or linecache.getline(frame.filename, frame.lineno)).strip()})"
    )
