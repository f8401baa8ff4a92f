"""Plans of a model: the kernels of an inference, or of a training step's gradients, recorded once for each shape of
input, then repeated without Python.

It knows which layers and losses consist of kernels alone; what is recorded and how it runs is kernels/_tiles.pyx.
Contract: a planned result has the bits of the eager one. A plan is trusted only after it has repeated a computation on
other input than the recorded one, bit for bit; it is stale as soon as an attribute of a layer or a setting of the
kernels changes, and one of inference when a parameter's version does. Whatever cannot be planned runs eagerly.
"""

from __future__ import annotations

import threading

import numpy as np

from fastconv import kernels, layers, losses, ops, optimizers
from fastconv.layers import activations
from fastconv.ops.reductions import Mean
from fastconv.ops.shaping import check_labels
from fastconv.tensor import Tensor, is_recording, no_grad, wrap

PLANS = 8  # input shapes that one model keeps plans for
MEMORY = 64 << 20  # bytes of all plans of a model; a larger computation hides its overhead anyway

_RANKS = ("1D", "2D", "3D")
_FAMILIES = ("Conv", "MaxPooling", "AveragePooling", "GlobalMaxPooling", "GlobalAveragePooling")
_KERNELS = {getattr(layers, family + rank) for family in _FAMILIES for rank in _RANKS}
_KERNELS |= {layers.InputLayer, layers.Dense, layers.Flatten, layers.Dropout}
_KERNELS |= {layers.Activation, layers.ReLU, layers.Softmax}
_ACTIVATIONS = (activations.linear, ops.relu, ops.softmax, ops.log_softmax)
_LOSSES = {losses.CategoricalCrossentropy, losses.SparseCategoricalCrossentropy}
_OPTIMIZERS = {optimizers.SGD, optimizers.Adam}  # they are done with the gradients when `apply` returns
_making = threading.Lock()  # one plan is made at a time


class _State(threading.local):
    planning = False  # this thread records or checks a plan: models inside the model run eagerly


_state = _State()


class Planner:
    """The plans of one model; a copy of the model starts without any."""

    def __init__(self):
        self.clear()

    def __reduce__(self):
        return Planner, ()

    def clear(self):
        """Drops all plans and their memory."""
        self._inference = self._training = None

    def run(self, model, x):
        """model(x) for a Tensor that the tape does not follow, as a new Tensor; None where it has to run eagerly."""
        if _state.planning:
            return None
        marks = self._inference
        if marks is None or not marks.hold(model):
            self._inference = marks = _Marks(model, training=False)
        key = (x.data.shape, x.data.dtype.char)
        planned, _ = _found(marks, key, lambda: (_Planned(model, x.data, marks.parameters), None))
        return planned.run(x.data) if planned and planned.size else None

    def gradients(self, model, x, y, weights):
        """(loss, output, one gradient or None for each weight) of a training step on arrays x and y; None where it has
        to run eagerly. The gradients' memory is good until the next step."""
        loss = model.loss
        if _state.planning or not is_recording() or type(loss) not in _LOSSES or "call" in vars(loss):
            return None
        marks = self._training
        if marks is None or not marks.hold(model):
            self._training = marks = _Marks(model, training=True)
        x = model._convert(x).data
        key = (x.shape, y.shape, y.dtype.char, loss, loss.from_logits, loss.axis, *map(id, weights))
        planned, answer = _found(marks, key, lambda: _record_step(model, x, y, weights))
        if answer is not None:
            return answer
        return planned.run(model, x, y) if planned and planned.size else None


def _found(marks, key, make):
    """(the plan for this key, the answer that making it has given). `make()` gives both, if the key was seen before;
    None where there is no plan, and no answer."""
    if not marks.plannable:
        return None, None
    planned = marks.plans.get(key)
    if planned is not None:
        return planned, None
    if key not in marks.plans:  # a shape that comes once is not worth a plan
        marks.note(key, None)
    elif not _making.locked():  # else another one is made
        with _making:  # not acquire(), after which a Ctrl-C could come before `try`: CPython lets none in between here
            try:
                _state.planning = True
                planned, answer = make()
            finally:
                _state.planning = False
            marks.note(key, planned)  # a whole plan; its answer is for this call alone
            return planned, answer
    return None, None


class _Planned:
    """A checked plan for one shape; `size` is 0 if there is none."""

    size = 0

    def __init__(self, model, x, parameters):
        if not x.size:
            return
        own = kernels.empty(x.shape, x.dtype)
        own[...] = x
        plan = kernels.Plan(own, limit=MEMORY)
        with no_grad(), plan:
            output = model.call(Tensor(own))
        arrays = _arrays(output)
        expected = [array.copy() for array in arrays]
        if not plan.seal([parameter.data for parameter in parameters], arrays, constant=True):
            return
        self.plan, self.shapes, self.dtype = plan, [array.shape for array in arrays], x.dtype
        self.axis = output._logits[2] if output._logits else None
        other = np.random.default_rng(0).standard_normal(x.shape).astype(x.dtype)
        with no_grad():
            others = _arrays(model.call(Tensor(other)))
        if self._gives(other, others) and self._gives(x, expected):
            self.size = plan.bytes + x.nbytes

    def _gives(self, x, expected):
        results = [array for array in _arrays(self.run(x))]
        return len(results) == len(expected) and all(map(_same_bits, results, expected))

    def run(self, x):
        """The output, on new arrays; None while another thread runs this plan."""
        arrays = [kernels.empty(shape, self.dtype) for shape in self.shapes]
        if not self.plan.replay((x if x.flags.c_contiguous else np.ascontiguousarray(x),), arrays):
            return None
        output = wrap(arrays[0])
        if len(arrays) > 1:
            output._logits = ("softmax", wrap(arrays[1]), self.axis)
        return output


def _record_step(model, x, y, weights):
    """(a _PlannedStep, its answer for this batch)."""
    planned = _PlannedStep(model)
    return planned, planned.record(model, x, y, weights)


class _PlannedStep:
    """A training step's loss, output and gradients for one shape of batch; `size` is 0 if there is no plan."""

    size = 0

    def __init__(self, model):
        self.loss = model.loss
        self.labels = type(self.loss) is losses.SparseCategoricalCrossentropy

    def record(self, model, x, y, weights):
        """Makes and checks the plan, and returns the answer for this batch, or None if there is none."""
        target = self.loss._target(y, Tensor(x))
        if self.labels and target.dtype.kind not in "iu":
            return None  # the eager step says what is wrong
        own_x = kernels.empty(x.shape, x.dtype)
        own_x[...] = x
        own_y = kernels.empty(target.shape, np.int64 if self.labels else target.dtype)
        own_y[...] = target
        target = own_y.copy()
        plan = kernels.Plan(own_x, own_y, limit=MEMORY)
        with plan:
            values, output, self.gradients = self._eagerly(model, own_x, own_y, weights)
        self.results = [output, values]
        arrays = [*self.results, *_given(self.gradients)]
        expected = [array.copy() for array in arrays]
        answer = _mean(expected[1]), expected[0], self._copies()
        if not plan.seal([weight.data for weight in model.weights], arrays, constant=False):
            return answer
        self.plan = plan
        other = np.random.default_rng(0).standard_normal(x.shape).astype(x.dtype)
        with np.errstate(all="ignore"):
            values, output, gradients = self._eagerly(model, other, own_y, weights)
        others = [output, values, *_given(gradients)]
        if self._gives(other, target, others) and self._gives(x, target, expected):
            self.size = plan.bytes + x.nbytes + target.nbytes
        return answer

    def _eagerly(self, model, x, y, weights):
        """One loss a sample, the output, and the gradients, which the weights do not keep."""
        output = model(Tensor(x), training=True)
        values = self.loss.call(y, output)
        ops.mean(values).backward()
        gradients = [weight.grad for weight in weights]
        for weight in weights:
            weight.grad = None
        return values.data, output.data, gradients

    def _copies(self):
        return [gradient if gradient is None else gradient.copy() for gradient in self.gradients]

    def _gives(self, x, target, expected):
        results = self._replay(x, target)
        return results is not None and all(map(_same_bits, [*results, *_given(self.gradients)], expected))

    def _replay(self, x, target):
        """The output and the losses, on new arrays; None while another thread runs this plan."""
        results = [kernels.empty(array.shape, array.dtype) for array in self.results]
        arrays = np.ascontiguousarray(x), np.ascontiguousarray(target)
        return results if self.plan.replay(arrays, results) else None

    def run(self, model, x, y):
        """As Planner.gradients."""
        target = self.loss._target(y, self.results[0])
        if self.labels:
            target = check_labels("target", target, self.results[0].shape[-1])
        results = self._replay(x, target)
        if results is None:
            return None
        gradients = self.gradients if type(model.optimizer) in _OPTIMIZERS else self._copies()
        return _mean(results[1]), results[0], gradients


class _Marks:
    """What plans depend on, as it is now: the model's layers, their attributes, its parameters and the kernels'
    settings; and the plans themselves, key -> a plan, or None for a key seen once."""

    def __init__(self, model, training):
        built, found = model.built, _flat(model)  # in this order: what is built now has all its weights
        self.model, self.training, self.plans = model, training, {}
        self.settings = kernels.settings_version()
        self.parameters = [weight for layer in found for weight in (*layer._weights, *layer._fixed_weights)]
        self.weights = [(w, w.data, w.version, w.requires_grad) for w in self.parameters]
        # A user's own layer may change itself as it likes: no change of it makes the model plannable.
        self.layers = [(layer, layer._changes) for layer in found if type(layer) in {type(model), *_KERNELS}]
        self.plannable = len(self.layers) == len(found) and built and all(map(_is_kernels, found))
        if training and self.plannable:
            self.plannable = (
                all(layer._dtype == model._dtype for layer in found)
                and any(weight.requires_grad for weight in self.parameters)
                # NumPy draws a mask, and adds up the gradients of what is used twice
                and not any(type(layer) is layers.Dropout and layer.rate for layer in found)
                and len({*map(id, found), *map(id, self.parameters)}) == len(found) + len(self.parameters)
            )

    def hold(self, model):
        if model is not self.model or self.settings != kernels.settings_version():
            return False
        for layer, changes in self.layers:
            if layer._changes is not changes:
                return False
        training = self.training
        for weight, data, version, requires_grad in self.weights:
            if weight.data is not data:
                return False
            if weight._requires_grad is not requires_grad if training else weight.version != version:
                return False
        return True

    def note(self, key, planned):
        """Puts a plan last and forgets the first ones past the limits."""
        plans = self.plans
        plans.pop(key, None)
        plans[key] = planned
        for old in list(plans):
            if len(plans) <= PLANS and sum(p.size for p in list(plans.values()) if p) <= MEMORY:
                break
            if old != key:
                plans.pop(old, None)


def _flat(layer):
    """The layer and all that it holds."""
    return [layer, *(inner for sub in layer._sublayers() for inner in _flat(sub))]


def _is_kernels(layer):
    """Whether a layer of a known type, with its arguments, computes in kernels alone."""
    if type(layer) is layers.ReLU and (layer.max_value is not None or layer.negative_slope):
        return False
    return "call" not in vars(layer) and vars(layer).get("activation", activations.linear) in _ACTIVATIONS


def _arrays(output):
    """The arrays of a result: its own and, of a softmax, its logits, which the cross-entropies read."""
    if output is None:
        return []
    return [output.data, output._logits[1].data] if output._logits else [output.data]


def _given(gradients):
    return [gradient for gradient in gradients if gradient is not None]


def _mean(values):
    """What the loss makes of its values."""
    return Mean().forward(values, axis=None, keepdims=False).item()


def _same_bits(a, b):
    if a is None or b is None:
        return a is b
    return a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()
