"""VGG19: VGG16 with four convolutions in each of the last three blocks.

Contract: Keras' arguments, layer names and weights.
"""

from fastconv.applications.vgg16 import decode_predictions, preprocess_input, vgg

__all__ = ["VGG19", "decode_predictions", "preprocess_input"]


def VGG19(
    include_top=True, weights=None, input_tensor=None, input_shape=None, pooling=None, classes=1000,
    classifier_activation="softmax", name="vgg19",
):  # fmt: skip
    """VGG with 19 layers of weights; arguments as Keras', `weights` None or a file's path. 143,667,240 weights."""
    options = include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation
    return vgg((2, 2, 4, 4, 4), name, *options)
