"""Keras' other path to ResNet50: `from fastconv.applications.resnet50 import ResNet50`. Nothing is defined here."""

from fastconv.applications.resnet import ResNet50, decode_predictions, preprocess_input

__all__ = ["ResNet50", "decode_predictions", "preprocess_input"]
