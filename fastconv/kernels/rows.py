"""ReLU, bias, softmax and softmax cross-entropy, and their gradients: check, allocate, call.

Arrays of any shape, float32 or float64; softmax and its relatives run along the last axis. NaN reaches every output
that depends on it. Raises TypeError for dtypes and ValueError for shapes.
"""

from __future__ import annotations

from . import _rows
from .arrays import as_integers, checked, empty, same_shape
from .maps import reduce


def relu_forward(x):
    """y = max(x, 0)."""
    return _mapped(_rows.relu_forward, checked("x", x))


def relu_backward(dy, y):
    """dx = dy where y is positive, else 0."""
    return _mapped(_rows.relu_backward, *_pair(dy, y))


def bias_forward(x, bias):
    """y = x (..., C) + bias (C,)."""
    x = checked("x", x, range(1, 65))
    bias = checked("bias", bias, 1, like=x)
    same_shape("bias", bias, x.shape[-1:], "one entry a channel")
    return _mapped(_rows.bias_forward, x, bias)


def bias_backward(dy):
    """dbias (C,): the sum of dy (..., C) over all axes but the last, in a fixed order."""
    dy = checked("dy", dy, range(1, 65))
    return reduce("sum", dy, tuple(range(dy.ndim - 1))).reshape(dy.shape[-1:])


def softmax_forward(x):
    """y = exp(x) / sum(exp(x)) along the last axis."""
    return _mapped(_rows.softmax_forward, checked("x", x, range(1, 65)))


def softmax_backward(dy, y):
    """dx of softmax, given its output y."""
    return _mapped(_rows.softmax_backward, *_pair(dy, y))


def log_softmax_forward(x):
    """y = x - log(sum(exp(x))) along the last axis."""
    return _mapped(_rows.log_softmax_forward, checked("x", x, range(1, 65)))


def log_softmax_backward(dy, y):
    """dx of log_softmax, given its output y."""
    return _mapped(_rows.log_softmax_backward, *_pair(dy, y))


def softmax_crossentropy_forward(logits, target):
    """(loss, probabilities), (N,) and (N, K), from logits (N, K): loss = -sum(target * log_softmax(logits)).

    target is integer labels (N,), each in [0, K), or a distribution (N, K) of logits' dtype.
    """
    logits = checked("logits", logits, 2)
    target = _target(target, logits)
    loss, probabilities = empty(logits.shape[:1], logits.dtype), empty(logits.shape, logits.dtype)
    if logits.size:
        _rows.crossentropy_forward(logits, target, loss, probabilities)
    return loss, probabilities


def softmax_crossentropy_backward(dloss, probabilities, target):
    """dlogits (N, K), given dloss (N,) and the forward's probabilities."""
    probabilities = checked("probabilities", probabilities, 2)
    target = _target(target, probabilities)
    dloss = checked("dloss", dloss, 1, like=probabilities)
    same_shape("dloss", dloss, probabilities.shape[:1], "one entry a sample")
    dlogits = empty(probabilities.shape, probabilities.dtype)
    if dlogits.size:
        _rows.crossentropy_backward(dloss, probabilities, target, dlogits)
    return dlogits


def _target(target, logits):
    if target.ndim != 1:
        target = checked("target", target, 2, like=logits)
        same_shape("target", target, logits.shape, "the logits' shape")
        return target
    same_shape("target", target, logits.shape[:1], "one label a sample")
    if target.dtype.kind not in "iu":
        raise TypeError(f"Labels must be integers; got {target.dtype}. Convert them: target.astype('int64').")
    if target.size and not (0 <= target.min() and target.max() < logits.shape[1]):
        raise ValueError(
            f"Labels must be in [0, {logits.shape[1]}), one a class; got {target.min()} to {target.max()}."
        )
    return as_integers(target)


def _mapped(kernel, x, *others):
    y = empty(x.shape, x.dtype)
    if y.size:
        kernel(x, *others, y)
    return y


def _pair(dy, y):
    dy = checked("dy", dy)
    y = checked("y", y, like=dy)
    same_shape("dy", dy, y.shape, "y's shape")
    return dy, y
