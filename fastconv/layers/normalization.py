"""Normalization layers: batch, layer, group, RMS and unit.

Not here: scaling by statistics of the whole data (preprocessing.py), and the arithmetic (ops.normalization).
Contract: the output has the input's shape; weights have Keras' names, shapes and order. Variances are of all values
(biased).
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

from fastconv import ops
from fastconv.layers.annotations import ConstraintLike, InitializerLike, RegularizerLike, Shape
from fastconv.layers.base import Layer
from fastconv.ops.recurrence import assign
from fastconv.ops.shards import across_shards, in_shard
from fastconv.registry import checked_number
from fastconv.tensor import Tensor


class Normalizing(Layer):
    """Base class: the axes that have weights, and the weights gamma (`scale`) and beta (`center`) along them."""

    one_tensor = True

    gamma = beta = None

    def _set_common(self, axis, epsilon):
        several = hasattr(axis, "__len__")
        self.axis = [operator.index(one) for one in axis] if several else operator.index(axis)
        self.epsilon = checked_number(self, "epsilon", epsilon)

    def _set_affine(self, center, scale, **rules):
        self.center, self.scale = bool(center), bool(scale)
        self._keep_rules(**rules)

    def _axes(self, shape) -> tuple:
        """The layer's axes, in order, counted from the batch's 0."""
        axes = self.axis if isinstance(self.axis, list) else [self.axis]
        found = sorted({axis % len(shape) for axis in axes if -len(shape) <= axis < len(shape)} - {0})
        if not axes or len(found) < len(axes):
            raise ValueError(
                f"{self._title()}: axis must name different axes of the input, not its batch; got {self.axis} for the "
                f"input shape {tuple(shape)}."
            )
        return tuple(found)

    def _sizes(self, shape) -> tuple:
        """The input's sizes along the layer's axes; ValueError where one is open, or another than the weights were made
        for."""
        sizes = tuple(shape[axis] for axis in self._axes(shape))
        if None in sizes:
            raise ValueError(f"{self._title()} needs known sizes along axis {self.axis}; got the shape {tuple(shape)}.")
        return sizes

    def check_input(self, shape: Shape) -> None:
        sizes = self._sizes(shape)
        if self.built and sizes != self._sizes(self._build_shape):
            raise ValueError(
                f"{self._title()} was built for the input shape {self._build_shape}; got {tuple(shape)}, with another "
                f"size along axis {self.axis}."
            )

    def build(self, input_shape: Shape) -> None:
        sizes = self._sizes(input_shape)
        if self.scale:
            self.gamma = self._add_ruled("gamma", sizes)
        if self.center:
            self.beta = self._add_ruled("beta", sizes)

    def _channels_last(self, inputs, function):
        """`function` of the inputs with the layer's one axis as the last, and back."""
        (axis,), last = self._axes(inputs.shape), inputs.ndim - 1
        if axis == last:
            return function(inputs)
        return ops.moveaxis(function(ops.moveaxis(inputs, axis, last)), last, axis)


class BatchNormalization(Normalizing):
    """`(x - mean) / sqrt(variance + epsilon) * gamma + beta`, by channel: along `axis`.

    In training mean and variance are the batch's, and the moving ones become `moving * momentum + batch's * (1 -
    momentum)`; at least two values a channel are needed, and of a masked input only what the mask shows counts.
    Otherwise, and where `trainable` is False, they are the moving ones. Weights: gamma, beta, and, not trained,
    moving_mean and moving_variance. Where `fastconv.distribution` cuts batches into shards, statistics are each shard's
    or, with `synchronized`, the whole batch's, for which shards wait for one another; else it changes nothing.
    renorm=True is not built.
    """

    supports_masking = True

    def __init__(
        self, axis: int = -1, momentum: float = 0.99, epsilon: float = 1e-3, center: bool = True, scale: bool = True,
        beta_initializer: InitializerLike | None = "zeros", gamma_initializer: InitializerLike | None = "ones",
        moving_mean_initializer: InitializerLike | None = "zeros",
        moving_variance_initializer: InitializerLike | None = "ones", beta_regularizer: RegularizerLike | None = None,
        gamma_regularizer: RegularizerLike | None = None, beta_constraint: ConstraintLike | None = None,
        gamma_constraint: ConstraintLike | None = None, renorm: bool = False,
        renorm_clipping: dict[str, float] | None = None, renorm_momentum: float = 0.99, synchronized: bool = False,
        **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(**kwargs)
        self._set_common(operator.index(axis), epsilon)
        self._set_affine(
            center, scale, beta_initializer=beta_initializer, gamma_initializer=gamma_initializer,
            beta_regularizer=beta_regularizer, gamma_regularizer=gamma_regularizer,
            beta_constraint=beta_constraint, gamma_constraint=gamma_constraint,
        )  # fmt: skip
        self.momentum = checked_number(self, "momentum", momentum, 1)
        self._keep_rules(
            moving_mean_initializer=moving_mean_initializer, moving_variance_initializer=moving_variance_initializer
        )
        if renorm:
            raise ValueError("BatchNormalization: renorm=True is not built; for small batches take GroupNormalization.")
        self.renorm, self.renorm_clipping, self.renorm_momentum = False, renorm_clipping, renorm_momentum
        self.synchronized = bool(synchronized)
        self.moving_mean = self.moving_variance = None

    def build(self, input_shape: Shape) -> None:
        super().build(input_shape)
        sizes = self._sizes(input_shape)
        mean, variance = self.moving_mean_initializer, self.moving_variance_initializer
        self.moving_mean = self.add_weight(sizes, mean, trainable=False, name="moving_mean")
        self.moving_variance = self.add_weight(sizes, variance, trainable=False, name="moving_variance")

    def call(self, inputs: Tensor, training: bool = False, mask: Any = None) -> Tensor:
        training = training and self.trainable
        shared = self.synchronized and in_shard() and not inputs.symbolic  # who draws a call waits for nobody
        if training and (mask is not None or shared):
            return self._by_statistics(inputs, mask, across_shards if shared else lambda own: own)
        if training and None not in inputs.shape and math.prod(inputs.shape) == math.prod(self._sizes(inputs.shape)):
            raise self._no_variance(inputs)

        def normalized(x):
            return ops.batch_norm(
                x, self.gamma, self.beta, self.moving_mean, self.moving_variance, self.momentum, self.epsilon, training
            )

        return self._channels_last(inputs, normalized)

    def _no_variance(self, inputs):
        return ValueError(
            f"{self._title()} got the shape {inputs.shape} in training: one value a channel has no variance. Train on larger "
            "batches (a batch_size that leaves no last batch of one sample), or call the layer with training=False."
        )

    def _by_statistics(self, inputs, mask, total):
        """Normalized by the statistics of what `mask` (the input's first axes, or all of them; None: everything) shows,
        of which `total` makes sums over the whole batch."""
        (axis,) = self._axes(inputs.shape)
        others = tuple(place for place in range(inputs.ndim) if place != axis)
        sizes = self._sizes(inputs.shape)
        if mask is None:
            shown, number = 1.0, total(ops.full(sizes, inputs.size // math.prod(sizes), inputs.dtype))
            if number.data[0] < 2:
                raise self._no_variance(inputs)
        else:
            shown = ops.cast(ops.expand_dims(mask, tuple(range(len(mask.shape), inputs.ndim))), inputs.dtype)
            shown = ops.multiply(shown, ops.ones_like(inputs))
            number = ops.add(total(ops.sum(shown, others)), 1e-7)
        mean = ops.divide(total(ops.sum(ops.multiply(shown, inputs), others)), number)
        wide = ops.expand_dims(mean, others)
        squares = ops.multiply(shown, ops.square(ops.subtract(inputs, wide)))
        variance = ops.divide(total(ops.sum(squares, others)), number)
        for moving, one in ((self.moving_mean, mean), (self.moving_variance, variance)):
            new = ops.multiply(ops.stop_gradient(one), 1 - self.momentum)
            assign(moving, ops.add(ops.multiply(moving, self.momentum), new))
        return ops.batch_normalization(inputs, mean, variance, axis, self.beta, self.gamma, self.epsilon)


class LayerNormalization(Normalizing):
    """Each sample's values along `axis` (an int or several) with mean 0 and variance 1, times gamma, plus beta.

    With several axes, each entry of the others is normalized by itself. Weights: gamma and beta, of those axes' sizes.
    """

    supports_masking = True

    def __init__(
        self, axis: int | Sequence[int] = -1, epsilon: float = 1e-3, center: bool = True, scale: bool = True,
        beta_initializer: InitializerLike | None = "zeros", gamma_initializer: InitializerLike | None = "ones",
        beta_regularizer: RegularizerLike | None = None, gamma_regularizer: RegularizerLike | None = None,
        beta_constraint: ConstraintLike | None = None, gamma_constraint: ConstraintLike | None = None, **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(**kwargs)
        self._set_common(axis, epsilon)
        self._set_affine(
            center, scale, beta_initializer=beta_initializer, gamma_initializer=gamma_initializer,
            beta_regularizer=beta_regularizer, gamma_regularizer=gamma_regularizer,
            beta_constraint=beta_constraint, gamma_constraint=gamma_constraint,
        )  # fmt: skip

    def call(self, inputs: Tensor) -> Tensor:
        axes = self._axes(inputs.shape)
        if axes == tuple(range(inputs.ndim - len(axes), inputs.ndim)):
            return ops.layer_norm(inputs, self.gamma, self.beta, self.epsilon, len(axes))
        return ops.layer_normalization(inputs, self.gamma, self.beta, axes, self.epsilon)


class GroupNormalization(Normalizing):
    """Each sample's runs of channels / `groups` channels with mean 0 and variance 1, times gamma, plus beta.

    `groups` divides the channels, which stand along `axis`; -1 is one group a channel. Weights: gamma and beta, one
    entry a channel.
    """

    supports_masking = True

    def __init__(
        self, groups: int = 32, axis: int = -1, epsilon: float = 1e-3, center: bool = True, scale: bool = True,
        beta_initializer: InitializerLike | None = "zeros", gamma_initializer: InitializerLike | None = "ones",
        beta_regularizer: RegularizerLike | None = None, gamma_regularizer: RegularizerLike | None = None,
        beta_constraint: ConstraintLike | None = None, gamma_constraint: ConstraintLike | None = None, **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(**kwargs)
        self.groups = operator.index(groups)
        if self.groups < 1 and self.groups != -1:
            raise ValueError(f"GroupNormalization: groups must be at least 1, or -1 for one a channel; got {groups}.")
        self._set_common(operator.index(axis), epsilon)
        self._set_affine(
            center, scale, beta_initializer=beta_initializer, gamma_initializer=gamma_initializer,
            beta_regularizer=beta_regularizer, gamma_regularizer=gamma_regularizer,
            beta_constraint=beta_constraint, gamma_constraint=gamma_constraint,
        )  # fmt: skip

    def check_input(self, shape: Shape) -> None:
        super().check_input(shape)
        (channels,) = self._sizes(shape)
        if self.groups != -1 and channels % self.groups:
            raise ValueError(
                f"{self._title()}: groups={self.groups} do not divide the {channels} channels of the input shape "
                f"{tuple(shape)}. Choose a divisor, or -1 for one group a channel."
            )

    def call(self, inputs: Tensor) -> Tensor:
        groups = self._sizes(inputs.shape)[0] if self.groups == -1 else self.groups
        return self._channels_last(inputs, lambda x: ops.group_norm(x, self.gamma, self.beta, groups, self.epsilon))


class RMSNormalization(Normalizing):
    """`x / sqrt(mean(x * x) + epsilon) * scale`, the mean along `axis` (an int or several). Weight: scale."""

    def __init__(self, axis: int | Sequence[int] = -1, epsilon: float = 1e-6, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._set_common(axis, epsilon)
        self.scale = None

    def build(self, input_shape: Shape) -> None:
        self.scale = self.add_weight(self._sizes(input_shape), "ones", name="scale")

    def call(self, inputs: Tensor) -> Tensor:
        axes, scale = self._axes(inputs.shape), self.scale
        if axes != tuple(range(inputs.ndim - len(axes), inputs.ndim)):
            scale = ops.reshape(scale, [size if axis in axes else 1 for axis, size in enumerate(inputs.shape)])
        return ops.rms_normalization(inputs, scale, axes, self.epsilon)


class UnitNormalization(Normalizing):
    """`x / max(length, 1e-12)`: vectors along `axis` (an int or several) of length 1."""

    supports_masking = True

    def __init__(self, axis: int | Sequence[int] = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._set_common(axis, 1e-12)

    def build(self, input_shape: Shape) -> None:
        """It has no weights."""

    def check_input(self, shape: Shape) -> None:
        self._axes(shape)

    def call(self, inputs: Tensor) -> Tensor:
        return ops.normalize(inputs, self._axes(inputs.shape), 2, self.epsilon)
