"""Layers made of other layers: ColorJitter's fixed chain, RandAugment's and AugMix's random ones, and Pipeline.

Contract: each sample goes its own way; the parts draw from the seed of the whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastconv import registry
from fastconv.layers.annotations import Factor, Seed, Shape
from fastconv.layers.base import Layer
from fastconv.layers.calls import state
from fastconv.layers.preprocessing import colors, filters, geometry, histograms
from fastconv.layers.preprocessing.geometry import as_pair
from fastconv.layers.preprocessing.images import Draws, ImageLayer, by_parts, column, limits, range_of
from fastconv.layers.spatial import positive
from fastconv.rng import FixedSeed
from fastconv.tensor import Tensor


def _array(changed):
    return changed[0] if isinstance(changed, tuple) else changed


class RandomColorJitter(ImageLayer):
    """RandomBrightness, RandomContrast, RandomSaturation and RandomHue in a row, those whose factor is given."""

    def __init__(
        self, value_range: Sequence[float] = (0, 255), brightness_factor: Factor | None = None, contrast_factor: Factor | None = None, saturation_factor: Factor | None = None, hue_factor: Factor | None = None,
        seed: Seed | None = None, data_format: str | None = None, **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(data_format=data_format, **kwargs)
        self.value_range = range_of(self, value_range)
        self.brightness_factor, self.contrast_factor = as_pair(brightness_factor), as_pair(contrast_factor)
        self.saturation_factor, self.hue_factor = as_pair(saturation_factor), as_pair(hue_factor)
        parts = (
            (colors.RandomBrightness, brightness_factor), (colors.RandomContrast, contrast_factor),
            (colors.RandomSaturation, saturation_factor), (colors.RandomHue, hue_factor),
        )  # fmt: skip
        self._parts = tuple(part(factor, self.value_range) for part, factor in parts if factor is not None)
        self._set_seed(seed)

    def draw(self, shape: Shape, random: Draws) -> Any:
        return [part.draw(shape, random) for part in self._parts]

    def changed(self, x: np.ndarray, how: Any) -> Any:
        gradients = []
        for part, drawn in zip(self._parts, how):
            y = part.changed(x, drawn)
            x, gradient = y if isinstance(y, tuple) else (y, None)
            gradients.append(gradient)
        return x if None in gradients else (x, lambda dy: _chained(gradients, dy))


def _chained(gradients, dy):
    for gradient in reversed(gradients):
        dy = gradient(dy)
    return dy


class Policy(ImageLayer):
    """Base class: `_choices` are the layers that a step of a chain may be."""

    def _set_choices(self, factor, values, interpolation, all_colors):
        self.factor, self.value_range = limits(self, "factor", factor, 0, 1), range_of(self, values)
        self.interpolation = interpolation
        one, values = self.factor, self.value_range
        shift = {"interpolation": interpolation}
        choices = [
            geometry.RandomShear(one, one, **shift), geometry.RandomTranslation(one, one, **shift),
            geometry.RandomRotation(one, **shift), histograms.RandomPosterization(max(1, int(8 * one[1])), values),
            histograms.Solarization(one, one, values), histograms.AutoContrast(values), histograms.Equalization(values),
        ]  # fmt: skip
        if all_colors:
            choices += [
                colors.RandomBrightness(one, values), colors.RandomColorDegeneration(one, values),
                colors.RandomContrast(one, values), filters.RandomSharpness(one, values),
            ]  # fmt: skip
        self._choices = tuple(choices)

    def _stepped(self, x, chosen, random):
        """x with each sample changed by the choice of its number; -1 and those past the last change nothing."""
        y = x.copy()
        for number, layer in enumerate(self._choices):
            some = np.flatnonzero(chosen == number)
            if len(some):
                part = x[some]
                y[some] = _array(layer.changed(part, layer.draw(part.shape, random)))
        return y


class RandAugment(Policy):
    """`num_ops` changes of each image, drawn from eleven: shear, translation, rotation, brightness, colour, contrast,
    sharpness, posterization, solarization, automatic contrast and equalization.

    `factor` is how strong they are: two numbers of 0 to 1; a number f is 0 to f.
    """

    def __init__(
        self,
        value_range: Sequence[float] = (0, 255),
        num_ops: int = 2,
        factor: Factor = 0.5,
        interpolation: str = "bilinear",
        seed: Seed | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        self.factor = None
        super().__init__(data_format=data_format, **kwargs)
        self.num_ops = positive(num_ops, "num_ops", self)
        self._set_choices(factor, value_range, interpolation, True)
        self._set_seed(seed)

    def draw(self, shape: Shape, random: Draws) -> Any:
        return np.floor(random.uniform((self.num_ops, shape[0])) * len(self._choices)), random.uniform(2)

    def changed(self, x: np.ndarray, how: Any) -> Any:
        chosen, words = how
        random = _own_draws(words)
        for step in chosen:
            x = self._stepped(x, step, random)
        return x


class AugMix(Policy):
    """A mixture of each image and `num_chains` chains of up to `chain_depth` changes of it.

    The chains' weights are of a Dirichlet distribution, the image's own of a Beta distribution, of `alpha`. `factor` is
    RandAugment's, whose changes these are; `all_ops=False` leaves out brightness, colour, contrast and sharpness.
    """

    def __init__(
        self, value_range: Sequence[float] = (0, 255), num_chains: int = 3, chain_depth: int = 3, factor: Factor = 0.3, alpha: Factor = 1.0, all_ops: bool = True,
        interpolation: str = "bilinear", seed: Seed | None = None, data_format: str | None = None, **kwargs: Any,
    ) -> None:  # fmt: skip
        self.factor = None
        super().__init__(data_format=data_format, **kwargs)
        self.num_chains, self.chain_depth = (
            positive(n, name, self) for n, name in ((num_chains, "num_chains"), (chain_depth, "chain_depth"))
        )
        if not alpha > 0:
            raise ValueError(f"AugMix: alpha must be positive; got {alpha!r}.")
        self.alpha, self.all_ops = alpha, bool(all_ops)
        self._set_choices(factor, value_range, interpolation, self.all_ops)
        self._set_seed(seed)

    def draw(self, shape: Shape, random: Draws) -> Any:
        count, steps = shape[0], (self.num_chains, self.chain_depth, shape[0])
        chosen = np.floor(random.uniform(steps) * (len(self._choices) + 1))
        other = random.generator()
        weights = other.dirichlet((self.alpha,) * self.num_chains, count)
        return chosen, weights, other.beta(self.alpha, self.alpha, count), random.uniform(2)

    def changed(self, x: np.ndarray, how: Any) -> Any:
        chosen, weights, own, words = how
        random = _own_draws(words)
        chains = []
        for steps in chosen:
            y = x
            for step in steps:
                y = self._stepped(y, step, random)
            chains.append(y)
        low, high = self.value_range
        weights = weights * (1 - own[:, None])

        def mixed(n, samples):
            y = samples * column(own[n], samples)
            for chain, share in zip(chains, weights[n].T):
                y += chain[n] * column(share, samples)
            return np.clip(y, low, high, out=y)

        return by_parts(x, mixed)


def _own_draws(words):
    """Draws whose numbers these two of 0 to 1 decide, so that what was drawn for a batch can be used again."""
    return Draws(FixedSeed(int(words[0] * 2**32)))


class Pipeline(Layer):
    """Layers in a row, in training by themselves as layers that augment are: for `map` of a data set, outside a model."""

    rescales = True

    def __init__(self, layers: Sequence[Layer], name: str | None = None) -> None:
        super().__init__(name=name)
        if not isinstance(layers, (list, tuple)) or not all(isinstance(layer, Layer) for layer in layers):
            raise TypeError(f"Pipeline: layers must be a list of layers; got {layers!r}.")
        self._pipeline_layers = list(layers)

    @property
    def layers(self) -> list[Layer]:
        return self._pipeline_layers

    def prepare(self, inputs: Any) -> Any:
        if not self.built:
            self.build(None)
        return inputs  # the first layer's task

    def run(self, x: np.ndarray, training: bool | None = None, *args: Any, **kwargs: Any) -> Any:
        return super().run(x, _alone(training), *args, **kwargs)

    def call(self, inputs: Any, training: bool | None = True) -> Tensor:
        for layer in self._pipeline_layers:
            inputs = layer(inputs, training=training)
        return inputs

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        for layer in self._pipeline_layers:
            input_shape = layer.compute_output_shape(input_shape)
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "layers": [registry.serialize(layer) for layer in self._pipeline_layers]}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Any:
        from fastconv.layers import find

        parts = [find(part["class_name"], custom_objects).from_config(part["config"]) for part in config["layers"]]
        return cls(parts, config.get("name"))


def _alone(training):
    return True if training is None and not state.running else training
