"""Augmentation: fastconv's layers beside torchvision's v2 transforms, on batches of 64 images as bytes and as floats.

Each in its own process and its own layout (channels last, channels first). Contract: `python -m benchmarks augment` prints
a row for each change and batch: milliseconds a batch and how often fastconv's would go into torchvision's. fastconv draws
for each image, torchvision once for a batch, which costs it less. Without torchvision in the interpreter of `torch`, the
rows show fastconv alone. `python -m benchmarks.augment FRAMEWORK THREADS SECONDS` is such a process.
"""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
import time

from . import ROOT
from .contestants import CONTESTANTS, interpreter
from .process import THREAD_VARIABLES

SIZES = (32, 224)
# name: (fastconv's layer, torchvision's transform), of which each is changed by a similar amount. `{size}` is the height.
ROWS = {
    "flip": ("RandomFlip('horizontal', {k})", "RandomHorizontalFlip(1.0)"),
    "rotation": ("RandomRotation(0.1, 'constant', {k})", "RandomRotation(36, InterpolationMode.BILINEAR)"),
    "zoom and move": (
        "RandomZoom((-0.2, 0.2), (-0.2, 0.2), 'constant', {k})",
        "RandomAffine(0, (0.1, 0.1), (0.8, 1.2), interpolation=InterpolationMode.BILINEAR)",
    ),
    "perspective": ("RandomPerspective((1.0, 1.0), 0.5, {k})", "RandomPerspective(0.5, 1.0)"),
    "crop": ("RandomCrop({size} * 7 // 8, {size} * 7 // 8, {k})", "RandomCrop({size} * 7 // 8)"),
    "resize": ("Resizing({size} // 2, {size} // 2, antialias=True, {k})", "Resize({size} // 2, antialias=True)"),
    "brightness": ("RandomBrightness(0.2, {k})", "ColorJitter(brightness=0.2)"),
    "contrast": ("RandomContrast(0.2, {k})", "ColorJitter(contrast=0.2)"),
    "saturation": ("RandomSaturation((0.3, 0.7), {k})", "ColorJitter(saturation=0.5)"),
    "hue": ("RandomHue(0.2, {k})", "ColorJitter(hue=0.1)"),
    "grey": ("RandomGrayscale(1.0, {k})", "RandomGrayscale(1.0)"),
    "invert": ("RandomInvert((1.0, 1.0), {k})", "RandomInvert(1.0)"),
    "posterize": ("RandomPosterization((4, 4), {k})", "RandomPosterize(4, 1.0)"),
    "solarize": ("Solarization(0.0, (0.5, 0.5), {k})", "RandomSolarize(128 if {bytes} else 0.5, 1.0)"),
    "contrast, automatic": ("AutoContrast({k})", "RandomAutocontrast(1.0)"),
    "equalize": ("Equalization({k})", "RandomEqualize(1.0)"),
    "blur": ("RandomGaussianBlur((1.0, 1.0), 3, {k})", "GaussianBlur(3)"),
    "sharpness": ("RandomSharpness((0.2, 0.2), {k})", "RandomAdjustSharpness(0.4, 1.0)"),
    "erasing": ("RandomErasing((1.0, 1.0), fill_value=0.0, {k})", "RandomErasing(1.0)"),
    "RandAugment": ("RandAugment({k})", "RandAugment(2)"),
}


def ours(size, as_bytes):
    """{name: a function of no arguments} of fastconv."""
    import numpy as np

    from fastconv import layers

    x = np.random.default_rng(0).integers(0, 256, (64, size, size, 3), "uint8")
    x = x if as_bytes else x.astype("float32")
    for name, (text, _) in ROWS.items():
        arguments = {"size": size, "k": "dtype='uint8'" if as_bytes else "dtype='float32'"}
        layer = eval("layers." + text.format(**arguments), {"layers": layers})
        yield name, lambda layer=layer: layer(x, training=True)


def _transforms():
    """torchvision's, also where its compiled operators were made for another PyTorch: they use none of them."""
    import torch

    while True:
        try:
            from torchvision.transforms import InterpolationMode, v2

            return InterpolationMode, v2
        except RuntimeError as error:
            missing = re.search(r"operator (torchvision::\w+) does not exist", str(error))
            if missing is None:
                raise ImportError(str(error)) from error
            torch.library.define(missing[1], "() -> ()")
            for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
                del sys.modules[name]


def theirs(size, as_bytes):
    """The same of torchvision; ImportError without it."""
    import torch

    InterpolationMode, v2 = _transforms()
    x = torch.randint(0, 256, (64, 3, size, size), dtype=torch.uint8)
    x = x if as_bytes else x.float() / 255
    for name, (_, text) in ROWS.items():
        names = {"v2": v2, "InterpolationMode": InterpolationMode}
        transform = eval("v2." + text.format(size=size, bytes=as_bytes), names)
        yield name, lambda transform=transform: transform(x)


def worker(framework, threads, seconds):
    """{"name, size, dtype": seconds a batch} of one framework."""
    if framework == "torch":
        import torch

        torch.set_num_threads(threads)
    else:
        import fastconv

        fastconv.set_num_threads(threads)
    found = {}
    for size in SIZES:
        for as_bytes in (True, False):
            for name, run in (ours if framework == "fastconv" else theirs)(size, as_bytes):
                try:
                    run()
                except (TypeError, ValueError, RuntimeError, NotImplementedError):
                    continue  # torchvision equalizes no floats
                found[f"{name}, {size}, {'uint8' if as_bytes else 'float32'}"] = _seconds(run, seconds)
    return found


def _seconds(run, least):
    times, start = [], time.perf_counter()
    while len(times) < 3 or time.perf_counter() - start < least:
        before = time.perf_counter()
        run()
        times.append(time.perf_counter() - before)
    return statistics.median(times)


def measure(settings):
    """{framework: {row: seconds}}, the medians of interleaved rounds."""
    rounds = {"fastconv": [], "torch": []}
    for _ in range(settings.rounds):
        for framework, results in rounds.items():
            command = [interpreter(CONTESTANTS[framework], settings.pythons), "-m", "benchmarks.augment", framework,
                       str(settings.threads), str(settings.seconds)]  # fmt: skip
            environment = {**os.environ, **dict.fromkeys(THREAD_VARIABLES, str(settings.threads))}
            done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
            if done.returncode == 0:
                results.append(json.loads(done.stdout.splitlines()[-1]))
            elif framework == "fastconv":
                raise RuntimeError(done.stderr)
    return {
        framework: {row: statistics.median([one[row] for one in results if row in one]) for row in (results or [{}])[0]}
        for framework, results in rounds.items()
    }


def main(settings):
    """Prints the table."""
    found = measure(settings)
    print(f"{'a batch of 64 images':38s}  fastconv  torchvision   ratio")
    ratios = []
    for row, seconds in found["fastconv"].items():
        if settings.only and not settings.only.search(row):
            continue
        other = found["torch"].get(row)
        line = f"{row:38s}  {seconds * 1e3:8.3f}"
        if other:
            ratios.append(other / seconds)
            line += f"     {other * 1e3:8.3f}  {ratios[-1]:6.2f}"
        print(line)
    if ratios:
        print(f"\n{sum(ratio >= 1 for ratio in ratios)} of {len(ratios)} not slower; geometric mean "
              f"{statistics.geometric_mean(ratios):.2f}")  # fmt: skip
    else:
        print("\nNo torchvision in the interpreter of `torch`: --python torch=PATH names another.")


if __name__ == "__main__":
    print(json.dumps(worker(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))))
