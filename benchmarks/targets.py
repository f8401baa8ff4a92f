"""What fastconv must reach: one table of figures, each with its least value and how it follows from the results.

Measures nothing. Contract: a figure is a function of (results, turn): the value by medians for turn None, else that
round's own; it raises KeyError where something it needs was not measured, and the row says so. Nothing is softened: a
figure that takes the best of several peers names the ones that were missing, and what a busy machine or a part of the
shapes gave is marked as doubtful by a question mark.
"""

from collections.abc import Callable
from typing import NamedTuple

from . import report
from .contestants import CONTESTANTS, OURS, TORCH_FORMATS
from .results import geomean
from .shapes import CONVS

STEP_PEERS = (*TORCH_FORMATS, "keras-tf", "keras-jax")
WIDE = ("cifar.3x3.64", "resnet.l1", "resnet.l3", "vgg.c2")
PASSES = ("forward", "backward")


class Target(NamedTuple):
    figure: str
    target: float
    value: Callable
    peers: tuple = ()  # all of them are wanted
    at_most: bool = False
    rounds: bool = True  # False: there is one value, no spread


def _conv_ratios(results, turn, passes):
    rows = [row for row in results.suite("conv") if row.what in passes]
    return [row.ratio(TORCH_FORMATS, turn=turn) for row in rows]


def _conv_geomean(what):
    return lambda results, turn: geomean(_conv_ratios(results, turn, (what,)))


def _worst(results, turn):
    ratios = _conv_ratios(results, turn, PASSES)
    if not ratios:
        raise KeyError("no shape was measured")
    return min(ratios)


def _share_of_peak(names, contestant=OURS):
    """Geometric mean over shapes of the forward's direct-equivalent FLOP/s over the peak."""

    def value(results, turn):
        if not results.peak:
            raise KeyError("the FMA peak")
        who = contestant
        if "no set_precision" in results.missing.get(who, ""):
            who = OURS
        rows = [results.row("conv", name, "forward") for name in names]
        return geomean(1e-9 * row.flops / row.time(who, turn) / results.peak for row in rows)

    return value


def _max_pool(results, turn):
    rows = [row for row in results.suite("pool") if row.name.startswith("max") and row.what == "both"]
    return geomean(row.ratio(TORCH_FORMATS, turn=turn) for row in rows)


def _step(peers, ours=OURS):
    return lambda results, turn: results.row("train", "tutorial", "step").ratio(peers, ours, turn)


def _inference(batch):
    return lambda results, turn: results.row("infer", batch, "call").ratio(["onnxruntime"], turn=turn)


def _two_threads(results, turn):
    if results.settings["threads"] != 2:
        raise KeyError("a run on two threads (--threads 2)")
    return results.row("train", "tutorial", "step").ratio(["fastconv-1"], turn=turn)


def _mnist99(results, turn):
    runs = (results.mnist99 or {}).get("runs")
    if not runs:
        raise KeyError((results.mnist99 or {}).get("note") or "the fast recipe")
    if sum(accuracy for _, accuracy in runs) / len(runs) < 0.99:
        raise KeyError("99 %: the recipe's mean accuracy is below it")
    return sum(seconds for seconds, _ in runs) / len(runs)


def _memory(results, turn):
    memory = (results.startup or {}).get("memory", {})
    above = {name: use["peak"] - use["data"] for name, use in memory.items()}
    theirs = [above[name] for name in TORCH_FORMATS if name in above]
    if not theirs or OURS not in above:
        raise KeyError("the memory of PyTorch and fastconv")
    return min(theirs) / above[OURS]


TARGETS = (
    Target("tutorial step, batch 100: best of PyTorch (both formats), Keras on TF, on JAX / ours", 3.0,
           _step(STEP_PEERS), STEP_PEERS),
    Target("conv forward, geometric mean: PyTorch's better format / ours", 1.5,
           _conv_geomean("forward"), TORCH_FORMATS),
    Target("conv backward, geometric mean: PyTorch's better format / ours", 1.8,
           _conv_geomean("backward"), TORCH_FORMATS),
    Target("conv, worst single shape, forward or backward", 1.0, _worst, TORCH_FORMATS),
    Target('cifar.3x3.64, resnet.l1, resnet.l3, vgg.c2 forward, "fast": share of FMA peak', 1.4, _share_of_peak(WIDE)),
    Target('the same four, "exact": share of FMA peak', 0.80, _share_of_peak(WIDE, "fastconv-exact")),
    Target("resnet.down forward: share of FMA peak", 0.75, _share_of_peak(["resnet.down"])),
    Target("resnet.1x1 forward: share of FMA peak", 0.60, _share_of_peak(["resnet.1x1"])),
    Target("max-pool forward + backward, geometric mean: PyTorch's better format / ours", 3.0,
           _max_pool, TORCH_FORMATS),
    Target("inference, batch 1: ONNX Runtime / ours", 1.3, _inference("batch 1"), ("onnxruntime",)),
    Target("inference, batch 100: ONNX Runtime / ours", 1.5, _inference("batch 100"), ("onnxruntime",)),
    Target("tutorial step: one thread / two threads", 1.85, _two_threads),
    Target("MNIST 99 % test accuracy: seconds, mean of the seeds", 10, _mnist99, at_most=True, rounds=False),
    Target("peak memory above the loaded data, training: PyTorch / ours", 3, _memory, rounds=False),
    Target("tutorial step: PyTorch (own AVX-512) / ours with FASTCONV_ISA=avx2", 1.3,
           _step(TORCH_FORMATS, "fastconv-avx2"), TORCH_FORMATS),
)  # fmt: skip


def show(results):
    """Print the table."""
    lines, notes = [], []
    shapes = len({row.name for row in results.suite("conv")})
    if results.busy:
        notes.append("? the machine was busy")
    if 0 < shapes < len(CONVS):
        notes.append(f"? only {shapes} of the {len(CONVS)} convolution shapes were measured")
    doubt = "?" * bool(notes)
    for target in TARGETS:
        bound = f"{'<=' if target.at_most else '>='} {target.target:g}"
        try:
            value = target.value(results, None)
        except KeyError as error:
            lines.append([target.figure, bound, "-", "-", "not measured"])
            notes.append(f"{target.figure}: needs {error.args[0]}")
            continue
        reached = value <= target.target if target.at_most else value >= target.target
        outcome = ("reached" if reached else "OPEN") + doubt
        lines.append([target.figure, bound, f"{value:.2f}", _spread(target, results), outcome])
        absent = [CONTESTANTS[name].label for name in target.peers if name not in results.versions]
        if absent:
            notes.append(f"{target.figure}: without {', '.join(absent)}")
    report.table(["what it must reach", "target", "measured", "rounds", ""], lines)
    for note in notes:
        print(f"note: {note}")


def _spread(target, results):
    if not target.rounds:
        return "-"
    values = [target.value(results, turn) for turn in range(results.settings["rounds"])]
    return f"{min(values):.2f}..{max(values):.2f}"
