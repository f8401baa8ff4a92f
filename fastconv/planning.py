"""Plans of a model's inference: its kernels recorded once for each shape of input, then repeated without Python.

It knows which layers consist of kernels alone; what is recorded and how it runs is kernels/_tiles.pyx. Contract: a
planned result has the bits of the eager one. A plan is trusted only after it has repeated the computation it recorded
and one on other input, bit for bit; it is stale as soon as a parameter's version, an attribute of a layer or a setting
of the kernels changes. Whatever cannot be planned runs eagerly.
"""

from __future__ import annotations

import threading

import numpy as np

from fastconv import kernels, layers, ops
from fastconv.layers import activations
from fastconv.tensor import Tensor, no_grad

PLANS = 8  # input shapes that one model keeps plans for
MEMORY = 64 << 20  # bytes of all plans of a model; a larger computation hides its overhead anyway

_RANKS = ("1D", "2D", "3D")
_FAMILIES = ("Conv", "MaxPooling", "AveragePooling", "GlobalMaxPooling", "GlobalAveragePooling")
_KERNELS = {getattr(layers, family + rank) for family in _FAMILIES for rank in _RANKS}
_KERNELS |= {layers.InputLayer, layers.Dense, layers.Flatten, layers.Dropout, layers.Activation, layers.ReLU, layers.Softmax}
_ACTIVATIONS = (activations.linear, ops.relu, ops.softmax, ops.log_softmax)
_building = threading.Lock()  # one plan is made at a time


class _State(threading.local):
    planning = False  # this thread records or checks a plan: models inside the model run eagerly


_state = _State()


class Planner:
    """The plans of one model; a copy of the model starts without any."""

    def __init__(self):
        self._marks = None

    def __reduce__(self):
        return Planner, ()

    def clear(self):
        """Drops all plans and their memory."""
        self._marks = None

    def run(self, model, x):
        """model(x) for a Tensor that the tape does not follow, as a new Tensor; None where it has to run eagerly."""
        if _state.planning:
            return None
        marks = self._marks
        if marks is None or not marks.hold(model):
            self._marks = marks = _Marks(model)
        if not marks.plannable:
            return None
        plans, key = marks.plans, (x.data.shape, x.data.dtype.char)
        planned = plans.get(key)
        if planned is None:
            if key in plans:
                planned = _plan(model, x.data, marks)
            else:  # a shape that comes once is not worth a plan
                _note(plans, key, None)
        return planned.run(x.data) if planned and planned.size else None


def _plan(model, x, marks):
    """A new _Planned, noted in the marks' plans; None while another one is made."""
    if not _building.acquire(blocking=False):
        return None
    _state.planning = True
    try:
        planned = _Planned(model, x, marks.parameters)
        _note(marks.plans, (x.shape, x.dtype.char), planned)
        return planned
    finally:
        _state.planning = False
        _building.release()


def _note(plans, key, planned):
    """Puts a plan last and forgets the first ones past the limits."""
    plans.pop(key, None)
    plans[key] = planned
    for old in list(plans):
        if len(plans) <= PLANS and sum(p.size for p in list(plans.values()) if p) <= MEMORY:
            break
        if old != key:
            plans.pop(old, None)


class _Planned:
    """A checked plan for one shape; `size` is 0 if there is none."""

    size = 0

    def __init__(self, model, x, parameters):
        if not x.size:
            return
        own = kernels.empty(x.shape, x.dtype)
        own[...] = x
        plan = kernels.Plan(own)
        with no_grad(), plan:
            output = model.call(Tensor(own))
        arrays = _arrays(output)
        expected = [array.copy() for array in arrays]
        if not plan.seal([parameter.data for parameter in parameters], arrays) or plan.bytes > MEMORY:
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
        if not self.plan.replay(x if x.flags.c_contiguous else np.ascontiguousarray(x), arrays):
            return None
        output = Tensor(arrays[0])
        if len(arrays) > 1:
            output._logits = ("softmax", Tensor(arrays[1]), self.axis)
        return output


class _Marks:
    """What plans depend on, as it is now: the model's layers, their attributes, its parameters and the kernels'
    settings; and the plans themselves, (shape, dtype) of the input -> _Planned, or None for a shape seen once."""

    def __init__(self, model):
        found = _flat(model)
        self.model, self.plans = model, {}
        self.settings = kernels.settings_version()
        self.parameters = [weight for layer in found for weight in (*layer._weights, *layer._fixed_weights)]
        self.versions = [(weight, weight.data, weight.version) for weight in self.parameters]
        # A user's own layer may change itself as it likes: no change of it makes the model plannable.
        self.layers = [(layer, layer._changes) for layer in found if type(layer) in {type(model), *_KERNELS}]
        self.plannable = len(self.layers) == len(found) and model.built and all(map(_is_kernels, found))

    def hold(self, model):
        if model is not self.model or self.settings != kernels.settings_version():
            return False
        for layer, changes in self.layers:
            if layer._changes != changes:
                return False
        for weight, data, version in self.versions:
            if weight.version != version or weight.data is not data:
                return False
        return True


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


def _same_bits(a, b):
    return a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()
