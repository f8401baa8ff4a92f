"""What a run prints: the machine, aligned tables, geometric means, notes.

Reads results.py, measures nothing. Contract: ratios are the other's time over fastconv's, so more than 1 is a win;
losses are printed like wins; a time whose result was wrong is never printed, its error is.
"""

from .contestants import CONTESTANTS, NETWORKS, OURS, TORCH_FORMATS
from .results import geomean
from .shapes import DENSE_PASSES, EPOCH_STEPS, PASSES


def machine(results):
    print("   ".join(f"{name}: {value}" for name, value in (results.machine | results.settings).items()))


def closing(results):
    """What stands under every run: versions, the peak, who was missing."""
    versions = {}
    for contestant, found in results.versions.items():
        versions.setdefault(CONTESTANTS[contestant].environment, found)
    for environment, found in versions.items():
        print(f"{environment}: " + ", ".join(f"{name} {version}" for name, version in found.items()))
    if results.peak:
        print(f"FMA peak measured in this run: {results.peak:.0f} GFLOP/s on {results.settings['threads']} threads")
        if results.busy:
            print(f"WARNING: the peak fell to {min(results.peaks):.0f} GFLOP/s on the way: other programs were "
                  "running, and threads that wait for each other suffer most. Repeat on a quiet machine.")  # fmt: skip
    for contestant, why in results.missing.items():
        print(f"skipped: {CONTESTANTS[contestant].label}: {why}")


def table(headers, rows):
    """Aligned columns: the first is text, the others stand to the right."""
    cells = [headers, *rows]
    widths = [max(len(row[i]) for row in cells) for i in range(len(headers))]
    for n, row in enumerate(cells):
        print("  ".join(f"{cell:<{w}}" if i == 0 else f"{cell:>{w}}" for i, (cell, w) in enumerate(zip(row, widths))))
        if n == 0:
            print("  ".join("-" * w for w in widths))
    print()


def kernels(suite, results):
    """Convolution or pooling: one line a shape and pass; the ratio is to PyTorch's better format."""
    rows = results.suite(suite)
    names = _present(rows)
    headers = [suite, "pass", *(f"{CONTESTANTS[name].label} ms" for name in names)]
    headers += ["GFLOP/s", "% peak"] * (suite == "conv") + ["PyTorch/ours", "rounds"]
    lines = []
    for row in rows:
        line = [row.name, row.what, *(_milliseconds(row, name) for name in names)]
        if suite == "conv":
            line += _rates(row, results.peak)
        lines.append(line + _ratio(row, TORCH_FORMATS))
    table(headers, lines)
    for what in PASSES:
        _summary(what, [row for row in rows if row.what == what and row.has(OURS) and row.best(TORCH_FORMATS)])
    _failures(rows)


def dense(results):
    """One line a shape and pass, and the ratios to each peer."""
    rows = results.suite("dense")
    names = _present(rows)
    peers = [name for name in names if name != OURS]
    labels = [CONTESTANTS[name].label for name in peers]
    headers = [
        "rows x channels x filters",
        "pass",
        *(f"{CONTESTANTS[name].label} us" for name in names),
        "GFLOP/s",
        "% peak",
    ]
    headers += [cell for label in labels for cell in (f"{label}/ours", "rounds")]
    lines = []
    for row in rows:
        times = [f"{1e6 * row.time(name):.1f}" if row.has(name) else _milliseconds(row, name) for name in names]
        ratios = [cell for name in peers for cell in _ratio(row, [name])]
        lines.append([row.name, row.what, *times, *_rates(row, results.peak), *ratios])
    table(headers, lines)
    for name, label in zip(peers, labels):
        for what in DENSE_PASSES:
            _summary(what, [row for row in rows if row.what == what and row.has(OURS) and row.has(name)], [name], label)
    _failures(rows)


def layers(results):
    """One line a layer and pass; the ratio is to the quickest peer."""
    rows = results.suite("layers")
    names = _present(rows)
    peers = [name for name in names if name != OURS]
    lines = []
    for row in rows:
        lines.append([row.name, row.what, *(_milliseconds(row, name) for name in names), *_ratio(row, peers)])
    table(["layer", "pass", *(f"{CONTESTANTS[name].label} ms" for name in names), "best peer/ours", "rounds"], lines)
    for what in ("inference", "training"):
        _summary(
            what, [row for row in rows if row.what == what and row.has(OURS) and row.best(peers)], peers, "best peer"
        )
    _failures(rows)


def contestants(suite, results):
    """Training or inference: one line a contestant."""
    rows = results.suite(suite)
    for row in rows:
        epoch = ["epoch s (600 steps)", "epoch s (measured)", "page faults"] if suite == "train" else []
        lines = []
        for name in sorted(filter(row.has, row.seconds), key=row.time):
            times = [1e3 * seconds for seconds in row.times(name)]
            line = [CONTESTANTS[name].label, f"{1e3 * row.time(name):.3f}", f"{min(times):.3f}..{max(times):.3f}"]
            if epoch:
                measured = results.epochs.get(name)
                line += [f"{EPOCH_STEPS * row.time(name):.1f}", f"{measured:.1f}" if measured else "-"]
                line.append(f"{results.habits[name]['faults']:.0f}" if name in results.habits else "-")
            lines.append(line + _ratio(row, [name]))
        table([f"{row.name} {row.what}", "ms", "rounds", *epoch, "its/ours", "rounds"], lines)
    if suite == "train" and "outside" in results.habits.get(OURS, {}):
        print(f"Python's share of fastconv's step (its time outside the compiled kernels): "
              f"{100 * results.habits[OURS]['outside']:.1f} %\n")  # fmt: skip
    _failures(rows)


def network(network, results):
    """One whole network: one line a contestant, with its memory, for training and each batch of inference."""
    rows = [row for suite in NETWORKS for row in results.suite(suite) if row.name == network.name]
    for row in rows:
        lines = []
        for name in sorted(filter(row.has, row.seconds), key=row.time):
            times = [1e3 * seconds for seconds in row.times(name)]
            line = [CONTESTANTS[name].label, f"{1e3 * row.time(name):.2f}", f"{min(times):.2f}..{max(times):.2f}"]
            line.append(f"{1e-9 * row.flops / row.time(name):.0f}")
            lines.append(line + _memory(row, name) + _ratio(row, [name]))
        headers = ["ms", "rounds", "GFLOP/s", "peak MB", "growth MB", "its/ours", "rounds"]
        table([_title(network, row.what), *headers], lines)
    _failures(rows)


def networks(results):
    """All networks, against the quickest peer of each; memory against the peer that takes least."""
    summary = {}
    lines = []
    for row in (row for suite in NETWORKS for row in results.suite(suite)):
        peers = [name for name in row.seconds if name != OURS]
        best, least = row.best(peers), _leanest(row, peers)
        if not row.has(OURS) or best is None:
            continue
        summary.setdefault(row.what, {})[row.name] = row.ratio(peers)
        lines.append([f"{row.name} {row.what}", f"{1e3 * row.time(OURS):.2f}", f"{1e3 * row.time(best):.2f}",
                      CONTESTANTS[best].label, *_ratio(row, peers), _memory(row, OURS)[1], _memory(row, least)[1],
                      CONTESTANTS[least].label])  # fmt: skip
    table(["network", "fastconv ms", "best peer ms", "best peer", "its/ours", "rounds", "growth MB", "least peer MB",
           "least peer"], lines)  # fmt: skip
    for what, ratios in summary.items():
        worst = min(ratios, key=ratios.get)
        print(f"{what:<8}  best peer / ours: geometric mean {geomean(ratios.values()):.2f}, worst {ratios[worst]:.2f} "
              f"({worst}), slower in {sum(ratio < 1 for ratio in ratios.values())} of {len(ratios)}")  # fmt: skip
    print("\npeak: the process's, above its data; growth: above the loaded framework, while running, not making it\n")


def limits(results):
    found = results.limits
    lines = [[f"multiply-adds, {isa}, {count} threads", f"{value:.0f}", "GFLOP/s"]
             for isa, counts in found["fma"].items() for count, value in counts.items()]  # fmt: skip
    lines += [[f"copy, {count} threads", f"{value:.1f}", "GB/s"] for count, value in found["copy"].items()]
    lines += [[f"first touch of a 4 KB page, {count} threads", f"{value:.2f}", "us"]
              for count, value in found["touch"].items()]  # fmt: skip
    table(["limit", "best of 8", "unit"], lines)


def startup(results):
    found = results.startup
    numpy = found["imports"].get("numpy")
    lines = [[label, f"{1e3 * seconds:.0f}", f"{1e3 * (seconds - numpy):+.0f}" if numpy else "-"]
             for label, seconds in found["imports"].items()]  # fmt: skip
    table(["import", "ms", "over NumPy ms"], lines)
    lines = [[label, _megabytes(size["own"]), _megabytes(size["all"])] for label, size in found["installed"].items()]
    table(["installed", "MB", "with what it needs MB"], lines)
    wheel = found["wheel"]
    print(f"fastconv's wheel: {_megabytes(wheel)} MB\n" if wheel else
          "fastconv's wheel: none in dist/ (pip wheel . --no-deps -w dist); name one with --wheel\n")  # fmt: skip
    lines = [[CONTESTANTS[name].label, _megabytes(use["peak"]), _megabytes(use["peak"] - use["data"]),
              _megabytes(use["peak"] - use["loaded"])] for name, use in found["memory"].items()]  # fmt: skip
    table(["memory, training", "peak MB", "above the loaded data MB", "growth since loading MB"], lines)


def mnist99(results):
    found = results.mnist99
    lines = [[f"seed {seed}", f"{seconds:.1f}", f"{accuracy:.4f}"]
             for seed, (seconds, accuracy) in enumerate(found["runs"])]  # fmt: skip
    table(["fast recipe", "seconds", "test accuracy"], lines)
    if found["note"]:
        print(f"not run: {found['note']}\n")


def _present(rows):
    """The contestants that have a time in any row, ours first."""
    names = {name for row in rows for name in [*row.seconds, *row.failed]}
    return [name for name in CONTESTANTS if name in names]


def _milliseconds(row, name):
    return f"{1e3 * row.time(name):.3f}" if row.has(name) else "failed" if _is_wrong(row, name) else "-"


def _is_wrong(row, name):
    """A failure, not a thing that the framework does not offer."""
    return name in row.failed and not row.failed[name].startswith("NotImplementedError")


def _rates(row, peak):
    if not row.has(OURS):
        return ["-", "-"]
    rate = 1e-9 * row.flops / row.time(OURS)
    return [f"{rate:.0f}", f"{100 * rate / peak:.0f}" if peak else "-"]


def _ratio(row, others):
    """Ratio and the range of the rounds' ratios."""
    if not row.has(OURS) or not row.best(others):
        return ["-", "-"]
    return [f"{row.ratio(others):.2f}", _range(*row.spread(others))]


def _range(low, high):
    return f"{low:.2f}..{high:.2f}"


def _summary(what, rows, peers=TORCH_FORMATS, label="PyTorch's better format"):
    if rows:
        ratios = {row.name: row.ratio(peers) for row in rows}
        worst = min(ratios, key=ratios.get)
        losses = sum(ratio < 1 for ratio in ratios.values())
        print(f"{what:<8}  {label} / ours: geometric mean {geomean(ratios.values()):.2f}, "
              f"worst {ratios[worst]:.2f} ({worst}), slower in {losses} of {len(ratios)}")  # fmt: skip


def _failures(rows):
    for row in rows:
        for name in row.failed:
            if _is_wrong(row, name):
                print(f"FAILED {row.name} {row.what}, {CONTESTANTS[name].label}: {row.failed[name]}")
    print()


def _title(network, what):
    return f"{network.name} {what} of {network.batch}" if what == "step" else f"{network.name} {what}"


def _memory(row, name):
    """[peak above the data, growth since the framework and the data were loaded] in MB."""
    use = row.memory.get(name)
    return [_megabytes(use["peak"] - use["data"]), _megabytes(use["peak"] - use["loaded"])] if use else ["-", "-"]


def _leanest(row, names):
    """Which of `names` grew least."""
    grown = {name: row.memory[name]["peak"] - row.memory[name]["loaded"] for name in names if row.has(name)}
    return min(grown, key=grown.get, default=None)


def _megabytes(size):
    return f"{1e-6 * size:.1f}"
