"""Muon: momentum whose matrices are made orthogonal before each step; AdamW for all weights that are no matrices.

The orthogonalization is Newton and Schulz's iteration, in matrix products on our kernels. Contract: formulas and
defaults are Keras', where kernels of convolutions, which have more than two axes, go to AdamW.
"""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np

from fastconv import kernels, ops
from fastconv.registry import checked_number
from fastconv.tensor import Tensor, no_grad

from .base import Optimizer


class Muon(Optimizer):
    """Momentum m of g, made orthogonal, for weights of two axes; the others, and those whose name matches one of
    `exclude_layers`, follow AdamW with `adam_beta_1`, `adam_beta_2`, `adam_weight_decay` and `adam_lr_ratio`.

    `ns_steps`, `muon_a`, `muon_b`, `muon_c`: the iteration's number of steps and polynomial. `rms_rate` scales steps by
    the square root of the matrix's larger size, None leaves them. `exclude_embeddings`: those of embeddings too.
    """

    slots = ("momentum", "velocity")
    done_with_gradients = True

    def __init__(
        self, learning_rate: Any = 0.001, adam_beta_1: float = 0.9, adam_beta_2: float = 0.999,
        adam_weight_decay: float | None = 0.004, epsilon: float = 1e-7, weight_decay: float | None = 0.004,
        clipnorm: float | None = None, clipvalue: float | None = None, global_clipnorm: float | None = None,
        use_ema: bool = False, ema_momentum: float = 0.99, ema_overwrite_frequency: int | None = None,
        loss_scale_factor: float | None = None, gradient_accumulation_steps: int | None = None,
        name: str | None = None, exclude_layers: Any = None, exclude_embeddings: bool = True, muon_a: float = 3.4445,
        muon_b: float = -4.775, muon_c: float = 2.0315, adam_lr_ratio: float = 1, momentum: float = 0.95,
        ns_steps: int = 5, nesterov: bool = True, rms_rate: float | None = 0.2,
    ) -> None:  # fmt: skip
        super().__init__(
            learning_rate, weight_decay, clipnorm, clipvalue, global_clipnorm, use_ema, ema_momentum,
            ema_overwrite_frequency, loss_scale_factor, gradient_accumulation_steps, name,
        )  # fmt: skip
        self.adam_beta_1 = checked_number(self, "adam_beta_1", adam_beta_1, 1)
        self.adam_beta_2 = checked_number(self, "adam_beta_2", adam_beta_2, 1)
        self._number("adam_weight_decay", adam_weight_decay)
        self.epsilon = checked_number(self, "epsilon", epsilon)
        self.momentum = checked_number(self, "momentum", momentum, 1)
        self.exclude_layers, self.exclude_embeddings = list(exclude_layers or []), bool(exclude_embeddings)
        self.muon_a, self.muon_b, self.muon_c = muon_a, muon_b, muon_c
        self.adam_lr_ratio, self.ns_steps, self.nesterov, self.rms_rate = (
            adam_lr_ratio,
            ns_steps,
            bool(nesterov),
            rms_rate,
        )

    def _is_adams(self, parameter):
        name = parameter.name or ""
        return (
            parameter.ndim != 2
            or (self.exclude_embeddings and "embedding" in name.lower())
            or any(re.search(pattern, name) for pattern in self.exclude_layers)
        )

    def _uses(self, slot, weight):
        return slot != "velocity" or self._is_adams(weight)

    @property
    def _decays(self):
        return bool(self.weight_decay or self.adam_weight_decay)

    def _decay(self, parameter):
        if self._is_excluded(parameter):
            return 0.0
        return (self.adam_weight_decay if self._is_adams(parameter) else self.weight_decay) or 0.0

    def _step(self, parameters, arrays, gradients, slots, around):
        t, rate = self._taken + 1, self._rate()
        places = [[], []]
        for place, parameter in enumerate(parameters):
            places[self._is_adams(parameter)].append(place)
        lists = ("scales", "decays", "averages")
        for adams, chosen in enumerate(places):
            if not chosen:
                continue
            part = {key: [value[i] for i in chosen] if key in lists else value for key, value in around.items()}
            first, second = ([slots[slot][i] for i in chosen] for slot in self.slots)
            own, given = [arrays[i] for i in chosen], [gradients[i] for i in chosen]
            if adams:
                corrected = self.adam_lr_ratio * rate
                corrected *= math.sqrt(1 - self.adam_beta_2**t) / (1 - self.adam_beta_1**t)
                numbers = (1 - self.adam_beta_1, 1 - self.adam_beta_2, self.epsilon)
                kernels.update_step("adam", own, given, (first, second, None), corrected, numbers, **part)
                continue

            steps = [self._direction(*row) for row in zip(given, first, part.pop("scales", [1.0] * len(chosen)),
                                                          [part.pop("limit", 0.0)] * len(chosen))]  # fmt: skip
            kernels.update_step("sgd", own, steps, (None,), rate, **part)

    def _direction(self, gradient, m, scale, limit):
        """The orthogonal matrix of this step; m becomes momentum * m + gradient."""
        gradient = gradient * gradient.dtype.type(scale)
        if limit:
            gradient = np.clip(gradient, -limit, limit)
        m *= m.dtype.type(self.momentum)
        m += gradient
        wide = gradient + m.dtype.type(self.momentum) * m if self.nesterov else m
        with no_grad():
            x = self._orthogonal(Tensor(wide)).data
        if self.rms_rate is not None:
            x = x * x.dtype.type(math.sqrt(max(x.shape)) * self.rms_rate)
        return np.ascontiguousarray(x)

    def _orthogonal(self, x):
        turned = x.shape[0] > x.shape[1]
        x = ops.transpose(x) if turned else x
        x = ops.divide(x, ops.add(ops.sqrt(ops.sum(ops.square(x))), 1e-7))
        for _ in range(self.ns_steps):
            square = ops.matmul(x, ops.transpose(x))
            mixed = ops.add(ops.multiply(square, self.muon_b), ops.multiply(ops.matmul(square, square), self.muon_c))
            x = ops.add(ops.multiply(x, self.muon_a), ops.matmul(mixed, x))
        return ops.transpose(x) if turned else x
