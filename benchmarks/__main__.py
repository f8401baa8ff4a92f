"""`python -m benchmarks SUBCOMMAND`: the command line of the benchmarks.

Contract: exit code 0 where the measuring worked, whatever its outcome; 1 without the chart; 2 for a bad argument.
Losses are printed like wins. `python -m benchmarks SUBCOMMAND --help` lists the options; contestants.py says who takes
part and how a peer in an environment of its own is named.
"""

import argparse
import dataclasses
import os
import re
import sys

from . import augment, competing, pipeline, report, scale, series, startup, suites, targets
from .contestants import CONTESTANTS, OURS
from .results import Results

EXTRA = {  # what the table needs beside the usual contestants
    "conv": ("fastconv-exact",),
    "train": ("fastconv-1", "fastconv-avx2", "torch-compile"),
    "infer": ("torch-compile",),
}


@dataclasses.dataclass
class Settings:
    threads: int
    rounds: int
    seconds: float  # that a contestant is timed in a round, at least
    only: re.Pattern | None
    peers: list[str] | None
    pythons: dict[str, str]
    epoch: bool = False

    def names(self, suite):
        """The contestants of a suite."""
        return [row.name for row in CONTESTANTS.values() if suite in row.suites and
                (row.name == OURS or (row.default if self.peers is None else row.name in self.peers))]  # fmt: skip


def main(argv=None):
    arguments = _parser().parse_args(argv)
    if getattr(arguments, "stored", None):
        results = Results.load(arguments.stored)
    else:
        settings = _settings(arguments)
        results = suites.new_results(settings)
    report.machine(results)
    print()
    if getattr(arguments, "stored", None):
        targets.show(results)
    else:
        arguments.run(arguments, settings, results)
    report.closing(results)
    if arguments.json:
        results.save(arguments.json)
    if arguments.chart:
        return _draw(results, arguments)
    return 0


def _draw(results, arguments):
    """The exit code: 1, and one line, where there is no chart to draw or nothing to draw it with."""
    from . import chart

    try:
        (chart.summary if arguments.run is everything else chart.draw)(results, arguments.chart)
    except (ImportError, OSError, ValueError) as error:
        print(f"python -m benchmarks: --chart: {error}", file=sys.stderr)
        return 1
    return 0


def peak(arguments, settings, results):
    suites.limits(settings, results)
    report.limits(results)


def kernels(arguments, settings, results):
    suites.run(arguments.command, settings, results)
    report.kernels(arguments.command, results)


def dense(arguments, settings, results):
    suites.run("dense", settings, results)
    report.dense(results)


def layers(arguments, settings, results):
    suites.run("layers", settings, results)
    report.layers(results)


def network(arguments, settings, results):
    suites.run(arguments.command, settings, results)
    report.contestants(arguments.command, results)


def networks(arguments, settings, results):
    """Each network is reported as it ends, and all of them in one table at the end."""
    for network in suites.networks(settings, results, arguments.quick):
        report.network(network, results)
    report.networks(results)


def begin(arguments, settings, results):
    results.startup = startup.measure(settings, results, arguments.wheel)
    report.startup(results)


def beside_others(arguments, settings, results):
    competing.main(settings.rounds)


def augmentation(arguments, settings, results):
    augment.main(settings)


def input_pipeline(arguments, settings, results):
    pipeline.main(settings, arguments.quick)


def scaling(arguments, settings, results):
    scale.main(settings, arguments.quick)


def time_series(arguments, settings, results):
    series.main(settings, arguments.quick, arguments.epochs, arguments.batch_size)


def mnist99(arguments, settings, results):
    suites.mnist99(settings, results, arguments.seeds)
    report.mnist99(results)


def everything(arguments, settings, results):
    """Every suite that a target is set for, each reported as it ends, and then the table of what must be reached."""
    peak(arguments, settings, results)
    for suite in filter(lambda suite: suite not in ("dense", "layers"), suites.TASKS):
        suites.run(suite, settings, results, EXTRA.get(suite, ()))
        (report.kernels if suite in ("conv", "pool") else report.contestants)(suite, results)
    begin(arguments, settings, results)
    mnist99(arguments, settings, results)
    targets.show(results)


def _parser():
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure fastconv against its peers.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="SUBCOMMAND")
    for name, run, text in (
        ("peak", peak, "the machine's limits: multiply-adds, copies, fresh pages"),
        ("conv", kernels, "convolution: forward, backward and both"),
        ("pool", kernels, "pooling: forward, backward and both"),
        ("dense", dense, "matrix products of a dense layer: forward, input's and kernel's gradient"),
        ("layers", layers, "layers one by one: inference, and training with all gradients"),
        ("train", network, "the tutorial network's training step and epoch"),
        ("infer", network, "the tutorial network's inference at batch 1 and 100"),
        ("networks", networks, "whole networks: training step, inference at batch 1 and 32, peak memory"),
        ("startup", begin, "import time, sizes, memory while training"),
        ("competing", beside_others, "training while other programs want the processors"),
        ("augment", augmentation, "augmentation of images, beside torchvision's v2 transforms"),
        (
            "pipeline",
            input_pipeline,
            "an epoch from fastconv.data.Dataset beside one from arrays, and PyTorch's DataLoader",
        ),
        ("scale", scaling, "training over 1 to 256 machines: messages measured here, and a prediction"),
        ("series", time_series, "accuracy of time-series classifiers on aeon's data, beside the published figures"),
        ("mnist99", mnist99, "seconds of `fastconv train mnist --preset fast`"),
        ("table", everything, "everything, and the table of what must be reached"),
    ):
        aliases = ["all"] if name == "table" else []
        command = commands.add_parser(name, help=text, description=text, aliases=aliases)
        command.set_defaults(run=run)
        _common_options(command)
        if name == "train":
            command.add_argument("--epoch", action="store_true", help="also run a whole epoch of 60,000 digits each")
        if name == "series":
            for option in ("--epochs", "--batch-size"):
                command.add_argument(option, type=_positive, metavar="N", help="of every classifier (default: its own)")
        if name in ("startup", "table"):
            command.add_argument("--wheel", metavar="FILE", help="fastconv's wheel (default: the newest in dist/)")
        if name in ("mnist99", "table"):
            command.add_argument("--seeds", type=_positive, metavar="N", help="runs of the fast recipe (default: 5)")
        if name == "table":
            command.add_argument("--from", dest="stored", metavar="FILE", help="the table from a --json file, no runs")
    return parser


def _common_options(command):
    add = command.add_argument
    add(
        "--threads",
        type=_positive,
        metavar="N",
        default=len(os.sched_getaffinity(0)),
        help="for every contestant (default: the processors available)",
    )
    add("--rounds", type=_positive, metavar="N", help="interleaved rounds (default: 9)")
    add("--quick", action="store_true", help="3 short rounds, one seed, no large network: does it work, not how fast")
    add("--only", type=_pattern, metavar="REGEX", help="only tasks whose name matches")
    add("--peers", type=_peers, metavar="NAME,...", help=f"of {', '.join(sorted(set(CONTESTANTS) - {OURS}))}")
    add(
        "--python",
        action="append",
        default=[],
        type=_python,
        metavar="NAME=PATH",
        help="the interpreter of a contestant's own environment; may be repeated",
    )
    add("--json", metavar="FILE", help="write every figure to this file")
    add("--chart", metavar="FILE", help="draw a chart as this .png or .svg file (needs matplotlib)")


def _settings(arguments):
    quick = arguments.quick
    if getattr(arguments, "seeds", 0) is None:
        arguments.seeds = 1 if quick else 5
    return Settings(
        threads=arguments.threads,
        rounds=arguments.rounds or (3 if quick else 9),
        seconds=0.02 if quick else 0.15,
        only=arguments.only,
        peers=arguments.peers,
        pythons=dict(arguments.python),
        epoch=getattr(arguments, "epoch", False),
    )


def _positive(text):
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1; got {text!r}")
    return int(text)


def _pattern(text):
    try:
        return re.compile(text)
    except re.error as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no regular expression: {error}") from None


def _peers(text):
    names = text.split(",")
    unknown = [name for name in names if name not in CONTESTANTS]
    if unknown:
        raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)}; choose from {', '.join(CONTESTANTS)}")
    return names


def _python(text):
    name, _, path = text.partition("=")
    known = {row.environment for row in CONTESTANTS.values()} | set(CONTESTANTS)
    if name not in known or not path:
        raise argparse.ArgumentTypeError(f"must be NAME=PATH with NAME of {', '.join(sorted(known))}; got {text!r}")
    return name, path


if __name__ == "__main__":
    sys.exit(main())
