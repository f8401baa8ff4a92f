"""Layers that prepare data: scaling by statistics, sizes, and the augmentation of images; spectrograms of sound.

A family a file; images.py is their base class. Contract: as layers' own; what is random is drawn in training alone.
"""

from fastconv.layers.preprocessing.colors import (
    RandomBrightness,
    RandomColorDegeneration,
    RandomContrast,
    RandomGrayscale,
    RandomHue,
    RandomInvert,
    RandomSaturation,
)
from fastconv.layers.preprocessing.filters import RandomErasing, RandomGaussianBlur, RandomSharpness
from fastconv.layers.preprocessing.geometry import (
    RandomElasticTransform,
    RandomFlip,
    RandomPerspective,
    RandomRotation,
    RandomShear,
    RandomTranslation,
    RandomZoom,
)
from fastconv.layers.preprocessing.histograms import (
    AutoContrast,
    ContrastLimitedAdaptiveHistogramEqualization,
    Equalization,
    RandomPosterization,
    Solarization,
)
from fastconv.layers.preprocessing.mixing import CutMix, MixUp
from fastconv.layers.preprocessing.policies import AugMix, Pipeline, RandAugment, RandomColorJitter
from fastconv.layers.preprocessing.scaling import Normalization, Rescaling
from fastconv.layers.preprocessing.sizes import CenterCrop, RandomCrop, Resizing
from fastconv.layers.preprocessing.spectrograms import MelSpectrogram, STFTSpectrogram

LAYERS = (
    AugMix, AutoContrast, CenterCrop, ContrastLimitedAdaptiveHistogramEqualization, CutMix, Equalization, MelSpectrogram,
    MixUp, Normalization, Pipeline, RandAugment, RandomBrightness, RandomColorDegeneration, RandomColorJitter,
    RandomContrast, RandomCrop, RandomElasticTransform, RandomErasing, RandomFlip, RandomGaussianBlur, RandomGrayscale,
    RandomHue, RandomInvert, RandomPerspective, RandomPosterization, RandomRotation, RandomSaturation, RandomSharpness,
    RandomShear, RandomTranslation, RandomZoom, Rescaling, Resizing, STFTSpectrogram, Solarization,
)  # fmt: skip

__all__ = [layer.__name__ for layer in LAYERS]
