"""Is a result right? The comparison that every pass must survive before it is timed.

NumPy only: it runs in the workers. Contract: `compare` raises Wrong where any element is further from the float64
reference than TOLERANCE (for a loss: LOSS_TOLERANCE) times the reference's root mean square, or where a shape differs.
The reference holds the results for input 0 under the keys "<pass>.<number>"; input 1 is run first, so that a stale
cached result is caught.
"""

import numpy as np

TOLERANCE = 2e-4  # float32 sums of up to 100,000 terms, Winograd's transforms included
LOSS_TOLERANCE = 1e-5  # a step moves the loss by about 1e-2, so wrong gradients show
TRAINING_STEPS = 3  # whose losses are compared
NETWORK_TOLERANCE = 2e-3  # of logits after up to 40 convolutions
NETWORK_LOSS_TOLERANCE = 1e-3


class Wrong(Exception):
    """A result that differs from the reference."""


def passes(expected):
    """The passes that a reference covers, in its order."""
    return list(dict.fromkeys(key.partition(".")[0] for key in expected))


def compare(expected, what, run, arrays, network=False):
    """The largest error relative to the root mean square, over all results of pass `what`; a `network` is deep."""
    wanted = [value for key, value in expected.items() if key.partition(".")[0] == what]
    tolerance = NETWORK_TOLERANCE if network else TOLERANCE
    if what == "step":  # each moves the weights: the steps in order are the check
        results = [np.array([run(i) for i in range(wanted[0].size)])]
        tolerance = NETWORK_LOSS_TOLERANCE if network else LOSS_TOLERANCE
    else:
        run(1)
        results = arrays(run(0))
    if len(wanted) != len(results):
        raise Wrong(f"{len(results)} results where {len(wanted)} are expected")
    return max(_error(result, right, tolerance) for result, right in zip(results, wanted))


def _error(result, right, tolerance):
    if result.shape != right.shape:
        raise Wrong(f"shape {result.shape} where {right.shape} is expected")
    error = float(np.abs(result - right).max() / np.sqrt(np.mean(np.square(right, dtype=np.float64))))
    if not error <= tolerance:
        raise Wrong(f"differs from the reference by {error:.1e} of its root mean square (allowed: {tolerance:.0e})")
    return error
