"""A program: the operations that one call, or one training step, makes on given shapes, in order; and how it runs.

It is drawn by calling a function on tensors without data (symbolic.Trace), rewritten by fusion.py, and never changed.
It knows Ops, never layers: forward is each Op's forward, backward each Op's backward in reverse, with the bits of the
tape. `bind` makes a Recording of it: Ops of kernels alone become steps in C, the others steps in Python between them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from . import fusion, kernels
from .rng import FixedSeed, SeedGenerator
from .symbolic import KerasTensor, NoValues, Trace
from .tensor import Op, Parameter

__all__ = ["NoValues", "Program", "Recording", "replay_side_by_side"]


SMALL = 1 << 14  # bytes


class Slot(int):
    """The number of a value of a program: an input, or what a step makes."""


class Step(NamedTuple):
    """One operation. `arguments` are Slots, Parameters, arrays or None; `needs` says whose gradients are wanted; `dead`
    are the slots that no later step reads."""

    op: type[Op]
    arguments: tuple
    attributes: dict
    slot: Slot
    needs: tuple[bool, ...]
    dead: tuple[Slot, ...]


class Program:
    """What `function(*inputs)` computes, a nest of Tensors, for symbolic `inputs` of known shapes.

    `weights` are the Parameters whose gradients `run` gives, if any; `taped` says that the tape may follow other
    inputs. Raises NoValues where the function asks for values, and then depends on data.
    """

    def __init__(self, function, inputs: list[KerasTensor], weights=(), taped=False):
        with Trace() as trace:
            outputs = function(*inputs)
        self.weights = tuple(weights)
        self._numbers = {id(tensor): Slot(i) for i, tensor in enumerate(inputs)}
        self.inputs = [self._numbers[id(tensor)] for tensor in inputs]
        needed = _needed(trace.calls, self.weights)
        calls = fusion.rewritten(trace.calls, outputs, lambda call: taped or id(call.output) in needed)
        for call in calls:
            self._numbers[id(call.output)] = Slot(len(self._numbers))
        self.outputs = [self._argument(tensor) for tensor in outputs]
        self.shapes = {self._argument(tensor): tensor.shape for tensor in (*inputs, *[call.output for call in calls])}
        self.steps = self._steps(calls)
        self.parameters = list(
            {id(a): a for step in self.steps for a in step.arguments if isinstance(a, Parameter)}.values()
        )
        self.keeps_packs = True  # what kernels make of the weights `packed`: Op.take_packs
        self.packed = [
            a for step in self.steps if step.op.weights and not any(step.needs[1:3])
            for a in step.arguments if isinstance(a, Parameter)
        ]  # fmt: skip
        self.updated = [step.arguments[place] for step in self.steps for place in step.op.updates]
        self.sources = [
            value for step in self.steps for value in step.attributes.values() if isinstance(value, SeedGenerator)
        ]
        del self._numbers

    def _argument(self, value):
        return self._numbers[id(value)] if isinstance(value, KerasTensor) else value

    def _steps(self, calls):
        wanted = {id(weight) for weight in self.weights if weight.requires_grad}
        needed, last, rows = set(), {}, []
        for number, call in enumerate(calls):
            arguments = tuple(map(self._argument, call.inputs))
            needs = tuple(a in needed if isinstance(a, Slot) else id(a) in wanted for a in arguments)
            slot = self._argument(call.output)
            if any(needs) and _has_gradient(call):
                needed.add(slot)
            last.update({a: number for a in (*arguments, slot) if isinstance(a, Slot)})
            rows.append((call, arguments, slot, needs))
        kept = {a for a in self.outputs if isinstance(a, Slot)}
        dead = [[] for _ in rows]
        for slot, number in last.items():
            if slot not in kept:
                dead[number].append(slot)
        return [Step(call.op, arguments, call.attributes, slot, needs, tuple(over))
                for (call, arguments, slot, needs), over in zip(rows, dead)]  # fmt: skip

    def taped(self, inputs):
        """The outputs for these Tensors or arrays, computed now, on the tape if it records."""
        values = dict(zip(self.inputs, inputs))
        for step in self.steps:
            arguments = [values[a] if isinstance(a, Slot) else a for a in step.arguments]
            values[step.slot] = step.op.apply(*arguments, **step.attributes)
            del arguments
            for slot in step.dead:
                del values[slot]
        return [values[a] if isinstance(a, Slot) else a for a in self.outputs]

    def same(self, other: Program, apart: tuple[type[Op], ...] = ()) -> bool:
        """Whether `other` computes the same from the same weights, but for the attributes of Ops `apart`."""
        return (
            self.inputs == other.inputs and len(self.steps) == len(other.steps)
            and _same_value(self.outputs, other.outputs) and all(_same_step(a, b, apart) for a, b in zip(self.steps, other.steps))
        )  # fmt: skip

    def run(self, arrays, gradient=None, hooks=None):
        """(outputs, gradients) for these input arrays: one array an output, and one array or None for each of `weights`,
        where `gradient`, that of the last output, is given."""
        hooks = hooks or _Hooks
        values = dict(zip(self.inputs, arrays))
        done = []
        for step in self.steps:
            op = step.op()
            op.needs = step.needs
            arguments = [_array(values, a) for a in step.arguments]
            for place in step.op.updates:
                arguments[place] = step.arguments[place].array
            if step.op.weights and self.keeps_packs:
                op.take_packs(step.arguments)
            values[step.slot] = hooks.forward(op, arguments, step.attributes)
            if gradient is not None:
                done.append((step, op))
            del op, arguments
            for slot in step.dead:
                del values[slot]
        outputs = [_array(values, a) for a in self.outputs]
        del values
        return outputs, None if gradient is None else self._backward(done, gradient, hooks)

    def _backward(self, done, gradient, hooks):
        last = self.outputs[-1]
        if not any(step.slot == last and any(step.needs) for step, _ in done):
            return [None] * len(self.weights)  # nothing that is trained leads there
        pending, owned = {last: gradient}, set()
        while done:
            step, op = done.pop()
            dy = pending.pop(step.slot, None)
            if dy is None or not any(step.needs):
                continue
            if op.adds_into and _key(step.arguments[0]) in owned:
                hooks.add_into(op, dy, pending[_key(step.arguments[0])])
                continue
            results = hooks.backward(op, dy)
            for argument, need, array in zip(step.arguments, step.needs, results):
                if not need or array is None:
                    continue
                key = _key(argument)
                if key not in pending:
                    pending[key] = array
                    if op.adds_into:  # a new array, nobody else's
                        owned.add(key)
                else:  # what an Op gave may be another's too, a sum is not
                    pending[key] = hooks.add(pending[key], array, key in owned)
                    owned.add(key)
            del op, dy, results
        return [pending.get(id(weight)) for weight in self.weights]


def _needed(calls, weights):
    """The ids of the outputs through which gradients go to these weights."""
    found = {id(weight) for weight in weights if weight.requires_grad}
    for call in calls:
        if _has_gradient(call) and any(id(value) in found for value in call.inputs):
            found.add(id(call.output))
    return found


def _has_gradient(call):
    """Whether one may go through it."""
    return call.output.dtype.kind == "f" and not call.op.flat


def _same_step(a, b, apart):
    if (a.op, a.slot, a.needs, a.attributes.keys()) != (b.op, b.slot, b.needs, b.attributes.keys()):
        return False
    pairs = [*zip(a.arguments, b.arguments)]
    if a.op not in apart:
        pairs += [(value, b.attributes[name]) for name, value in a.attributes.items()]
    return len(a.arguments) == len(b.arguments) and all(_same_value(x, y) for x, y in pairs)


def _same_value(a, b):
    """Whether two arguments or attributes are the same object, or equal; arrays of few elements are compared."""
    if a is b:
        return True
    if type(a) is not type(b) or isinstance(a, Parameter):
        return False
    if isinstance(a, np.ndarray):
        return a.size <= 4096 and a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()
    if isinstance(a, (tuple, list)):
        return len(a) == len(b) and all(map(_same_value, a, b))
    return isinstance(a, (int, float, str, slice, np.dtype, np.generic, FixedSeed)) and a == b


def _key(argument):
    """What gradients of a Slot or a Parameter are kept by."""
    return argument if isinstance(argument, Slot) else id(argument)


def _array(values, argument):
    """The array of a Slot, a Parameter, an array or None."""
    if isinstance(argument, Slot):
        return values[argument]
    return argument.data if isinstance(argument, Parameter) else argument


class _Hooks:
    """How a step is computed at once, as the tape does it."""

    @staticmethod
    def forward(op, arrays, attributes):
        return np.asarray(op.compute(*arrays, **attributes))

    @staticmethod
    def backward(op, dy):
        results = op.backward(dy if dy.flags.c_contiguous else kernels.readable(dy))
        results = results if isinstance(results, tuple) else (results,)
        return [None if array is None else np.asarray(array) for array in results]

    @staticmethod
    def add_into(op, dy, total):
        op.add_into(dy, total)

    @staticmethod
    def add(total, array, owned):
        if not owned:
            return kernels.combine("add", total, array)
        kernels.add_into(total, array)
        return total


class Recording:
    """A program bound to memory of its own, to be repeated on other arrays of the same shapes and dtypes.

    `targets` are the arrays that hold its inputs; `outputs` and `gradients` those that a replay leaves behind.
    """

    def __init__(self, program: Program, arrays, gradient=None):
        self.plan = kernels.Plan()
        self.program = program  # whose weights and constants the recorded runs point at
        self._boxes = {}  # id of an Op -> its steps in Python
        self._packs = []  # which the recorded runs point into
        with self.plan:
            self.targets = [_fixed(array) for array in arrays]
            self._gradient = None if gradient is None else _fixed(gradient)
            self.outputs, self.gradients = program.run(self.targets, self._gradient, self)
            self.outputs = [self._contiguous(array) for array in self.outputs]
            if self.gradients is not None:
                self.gradients = [None if g is None else self._contiguous(g) for g in self.gradients]
        # Of what replays leave; a small array costs NumPy less than the allocator.
        self.results = [(np.empty if a.nbytes < SMALL else kernels.empty, a.shape, a.dtype) for a in self.outputs]
        del self._boxes

    def forward(self, op, arrays, attributes):
        arrays = [array if array is None else self._contiguous(array) for array in arrays]
        if op.packs is not None:
            self._packs.append(op.packs)
        if op.kernels:
            done, y = self._in_kernels(lambda: _Hooks.forward(op, arrays, attributes))
            if done:
                return y
        self._boxes[id(op)] = box = _Box(op, arrays, attributes)
        self.plan.python(box.forward)
        return box.y

    def backward(self, op, dy):
        dy = self._contiguous(dy)
        box = self._boxes.pop(id(op), None)
        if box is None:
            done, results = self._in_kernels(lambda: _Hooks.backward(op, dy))
            if done:
                return results
            box = _Box(op, None, None)
        box.dy = dy
        self.plan.python(box.backward)
        return box.results

    def _in_kernels(self, compute):
        """(whether all of it can be repeated in C, its result); what cannot is taken back."""
        length = self.plan.length()
        result = compute()
        if not self.plan.failed:
            return True, result
        self.plan.forget(length)
        return False, None

    def add_into(self, op, dy, total):
        op.add_into(self._contiguous(dy), total)

    def add(self, total, array, owned):
        return _Hooks.add(self._contiguous(total), self._contiguous(array), owned)

    def _contiguous(self, array):
        """`array`, or one in C order that each replay fills from it."""
        if array.flags.c_contiguous:
            return array
        own = kernels.empty(array.shape, array.dtype)
        self.plan.python(lambda: np.copyto(own, array))
        return own

    def replay(self, arrays, results):
        """Computes from `arrays`, and copies the outputs into `results`; False while another thread is at it."""
        return self.plan.replay(self.targets, arrays, results, self.outputs)


def replay_side_by_side(recordings: list[Recording], sources, results) -> bool:
    """Repeats recordings of one program for many parts at once, a thread each: `sources` and `results` are lists of arrays for
    each part. False where they cannot be: another thread is at one, or there are steps in Python."""
    return kernels.replay_side_by_side(
        [recording.plan for recording in recordings],
        [recording.targets for recording in recordings],
        [recording.outputs for recording in recordings],
        sources,
        results,
    )


class _Box:
    """An Op without kernels as two steps in Python, whose results go to arrays that stay where they are."""

    def __init__(self, op, arrays, attributes):
        self.op, self.arrays, self.attributes = op, arrays, attributes
        self.kind, self.needs = type(op), op.needs
        self.y = self.results = self.dy = None

    def forward(self):
        self.op = self.kind()
        self.op.needs = self.needs
        y = _Hooks.forward(self.op, self.arrays, self.attributes)
        if self.y is None:
            self.y = kernels.empty(y.shape, y.dtype)
        np.copyto(self.y, y)

    def backward(self):
        found = _Hooks.backward(self.op, self.dy)
        if self.results is None:
            self.results = [None if a is None else kernels.empty(a.shape, a.dtype) for a in found]
        for own, array in zip(self.results, found):
            if own is not None:
                np.copyto(own, array)


def _fixed(array):
    own = kernels.empty(array.shape, array.dtype)
    np.copyto(own, array)
    return own
