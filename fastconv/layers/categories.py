"""Layers that make categories out of numbers, and vectors out of categories: Discretization and CategoryEncoding.

They have no weights and no gradients; the work is ops/lookup.py's. Contract: `output_mode` "one_hot" gives each number
a vector, "multi_hot" and "count" one vector to all numbers of a sample.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastconv import registry
from fastconv.layers.base import Layer
from fastconv.layers.preprocessing.scaling import Preprocessing
from fastconv.layers.shapes import numbers
from fastconv.layers.spatial import positive
from fastconv.ops.lookup import Encode, digitize, encode
from fastconv.registry import checked_number
from fastconv.tensor import Tensor

_MODES = ("int", "one_hot", "multi_hot", "count")


def _checked_mode(layer, mode, sparse, modes):
    if mode not in modes:
        raise registry.unknown_name(f"output_mode of {type(layer).__name__}:", mode, modes)
    if sparse:
        raise ValueError(f"{type(layer).__name__}: there are no sparse tensors here; leave sparse out.")
    return mode


class Discretization(Preprocessing):
    """The bin of each number, as int32: how many of the sorted `bin_boundaries` are not greater than it.

    Or vectors, by another `output_mode`. With `num_bins` instead of boundaries, `adapt(data)` finds those between bins
    of equally many numbers, to a share of `epsilon` of the data."""

    def __init__(
        self, bin_boundaries: Sequence[float] | None = None, num_bins: int | None = None, epsilon: float = 0.01,
        output_mode: str = "int", sparse: bool = False, dtype: Any = None, name: str | None = None, **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(dtype=dtype, name=name, **kwargs)
        if (bin_boundaries is None) == (num_bins is None):
            raise ValueError("Discretization takes either bin_boundaries or num_bins, with which it needs adapt(data).")
        self.bin_boundaries = None if bin_boundaries is None else self._number_or_list("bin_boundaries", bin_boundaries)
        if self.bin_boundaries is not None and sorted(self.bin_boundaries) != self.bin_boundaries:
            raise ValueError(f"Discretization: bin_boundaries must be sorted; got {bin_boundaries!r}.")
        self.num_bins = None if num_bins is None else positive(num_bins, "num_bins", self)
        self.epsilon = checked_number(self, "epsilon", epsilon, 1)
        self.output_mode, self.sparse = _checked_mode(self, output_mode, sparse, _MODES), False
        self._summary = np.zeros((2, 0))

    def adapt(self, data: Any, steps: int | None = None) -> None:
        """Finds the boundaries in `data`: an array, or an iterable of batches, of which `steps` are taken."""
        self._summary = np.zeros((2, 0))
        if isinstance(data, (np.ndarray, Tensor)) or np.isscalar(data):
            self.update_state(data)
        else:
            for step, batch in enumerate(data):
                if steps is not None and step >= steps:
                    break
                self.update_state(batch)
        self.finalize_state()

    def update_state(self, data: Any) -> None:
        """Takes more numbers into account."""
        if self.num_bins is None:
            raise ValueError(
                f"{self._title()} was given its bin_boundaries; adapt has nothing to do. Use num_bins instead."
            )
        values = np.sort(numbers(np.asarray(data), "data").astype("float32"), axis=None)
        if not np.isfinite(values).all():
            raise ValueError(f"{self._title()}: adapt needs finite numbers.")
        step = max(values.size * self.epsilon, 1)
        chosen = values[int(step - 1) :: int(step)]
        found = np.concatenate([self._summary, [chosen, np.full(len(chosen), step)]], axis=1)
        self._summary = _thinned(found[:, np.argsort(found[0], kind="stable")], self.epsilon)

    def finalize_state(self) -> None:
        """Makes the boundaries out of the numbers so far."""
        if not self._summary.size:
            raise ValueError(f"{self._title()}: adapt needs numbers; got none.")
        self.bin_boundaries = _thinned(self._summary, 1 / self.num_bins)[0, :-1].tolist()

    def reset_state(self) -> None:
        """Forgets the numbers so far."""
        self._summary = np.zeros((2, 0))

    def call(self, inputs: Any) -> Any:
        bins = digitize(inputs, self._boundaries())
        depth = len(self._boundaries()) + 1
        return bins if self.output_mode == "int" else encode(bins, self.output_mode, depth, self._dtype)

    def _boundaries(self):
        if self.bin_boundaries is None:
            raise ValueError(f"{self._title()} has no boundaries yet: call adapt(data), or give bin_boundaries.")
        return self.bin_boundaries

    def compute_output_shape(self, input_shape: Any) -> Any:
        if self.output_mode == "int":
            return tuple(input_shape)
        depth = self.num_bins if self.bin_boundaries is None else len(self.bin_boundaries) + 1
        return Encode.shape(tuple(input_shape), mode=self.output_mode, depth=depth, dtype=self._dtype)

    @classmethod
    def from_config(cls, config: dict) -> Layer:
        """The layer that get_config described, with the boundaries that adapt had found."""
        config = dict(config)
        found = config.pop("bin_boundaries") if config.get("num_bins") is not None else None
        layer = cls(**config)
        if found is not None:
            layer.bin_boundaries = list(found)
        return layer


def _thinned(summary, share):
    """Rows of sorted values and of their counts, interpolated to one for each `share` of all, if there are more."""
    if summary.shape[1] * share < 1:
        return summary
    places = share + np.arange(0.0, 1.0, share)
    totals = summary[1].cumsum()
    values = np.interp(places, totals / totals[-1], summary[0])
    return np.stack([values, np.diff(np.interp(places, totals / totals[-1], totals), prepend=0)])


class CategoryEncoding(Preprocessing):
    """Numbers from 0 to `num_tokens - 1` as vectors of that size: "multi_hot", "one_hot" or "count".

    In "count", `count_weights`, of the inputs' shape, may be given to the call. ValueError for other numbers.
    """

    def __init__(
        self, num_tokens: int | None = None, output_mode: str = "multi_hot", sparse: bool = False, **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(**kwargs)
        if num_tokens is None:
            raise ValueError("CategoryEncoding: num_tokens must be given, the number of categories.")
        self.num_tokens = positive(num_tokens, "num_tokens", self)
        mode = "multi_hot" if output_mode == "binary" else output_mode
        self.output_mode, self.sparse = _checked_mode(self, mode, sparse, _MODES[1:]), False

    def call(self, inputs: Any, count_weights: Any = None) -> Any:
        if count_weights is not None and self.output_mode != "count":
            raise ValueError(f"{self._title()}: count_weights are for output_mode='count'; got {self.output_mode!r}.")
        return encode(inputs, self.output_mode, self.num_tokens, self._dtype, count_weights)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return Encode.shape(tuple(input_shape), mode=self.output_mode, depth=self.num_tokens, dtype=self._dtype)
