"""Sums over all shards of a batch that a distribution has cut, for what a part of the batch cannot know.

Not here: who has which shards, and how they wait for one another (distribution/lockstep.py). Contract: outside a shard
it is the identity. A batch's loss is the mean of its shards' losses, weighted by their samples, and gradients are those
of that loss.
"""

from __future__ import annotations

from .. import kernels
from ..distribution import lockstep
from ..tensor import Op, Tensor, TensorLike


class AcrossShards(Op):
    def forward(self, x):
        kernels.cannot_be_repeated()
        self.shard = lockstep.current()
        return self.shard.total(x)

    def backward(self, dy):
        samples = dy.dtype.type(self.shard.samples)  # each shard's gradients are weighted by them afterwards
        return self.shard.total(dy * samples) / samples


def in_shard() -> bool:
    """Whether this thread computes a shard that waits for the others."""
    return lockstep.current() is not None


def across_shards(x: TensorLike) -> TensorLike | Tensor:
    """The sum of x over all shards of the batch; x itself where this thread computes none."""
    return AcrossShards.apply(x) if in_shard() else x
