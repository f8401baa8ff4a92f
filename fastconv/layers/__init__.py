"""Keras-named layers: the public names, and the closed registry that model files are read with.

A new layer is its class, one entry in CLASSES and one row in tests/test_layers.py. Contract: `find(name)` returns a
class from CLASSES, or one that the caller passes in `custom_objects`, and nothing else.
"""

from fastconv.layers.activations import ELU, Activation, LeakyReLU, PReLU, ReLU, Softmax
from fastconv.layers.base import Layer
from fastconv.layers.convolutional import Conv1D, Conv2D, Conv3D
from fastconv.layers.core import Dense, Input, InputLayer
from fastconv.layers.depthwise import (
    DepthwiseConv1D,
    DepthwiseConv2D,
    DepthwiseConv3D,
    SeparableConv1D,
    SeparableConv2D,
    SeparableConv3D,
)
from fastconv.layers.merging import (
    Add,
    Average,
    Concatenate,
    Dot,
    Maximum,
    Minimum,
    Multiply,
    Subtract,
    add,
    average,
    concatenate,
    dot,
    maximum,
    minimum,
    multiply,
    subtract,
)
from fastconv.layers.normalization import (
    BatchNormalization,
    GroupNormalization,
    LayerNormalization,
    RMSNormalization,
    UnitNormalization,
)
from fastconv.layers.pooling import (
    AdaptiveAveragePooling1D,
    AdaptiveAveragePooling2D,
    AdaptiveAveragePooling3D,
    AdaptiveMaxPooling1D,
    AdaptiveMaxPooling2D,
    AdaptiveMaxPooling3D,
    AveragePooling1D,
    AveragePooling2D,
    AveragePooling3D,
    GlobalAveragePooling1D,
    GlobalAveragePooling2D,
    GlobalAveragePooling3D,
    GlobalMaxPooling1D,
    GlobalMaxPooling2D,
    GlobalMaxPooling3D,
    MaxPooling1D,
    MaxPooling2D,
    MaxPooling3D,
)
from fastconv.layers.preprocessing import Normalization, Rescaling
from fastconv.layers.regularization import (
    AlphaDropout,
    Dropout,
    GaussianDropout,
    GaussianNoise,
    SpatialDropout1D,
    SpatialDropout2D,
    SpatialDropout3D,
)
from fastconv.layers.reshaping import (
    Cropping1D,
    Cropping2D,
    Cropping3D,
    Flatten,
    Identity,
    Permute,
    RepeatVector,
    Reshape,
    UpSampling1D,
    UpSampling2D,
    UpSampling3D,
    ZeroPadding1D,
    ZeroPadding2D,
    ZeroPadding3D,
)
from fastconv.layers.specs import InputSpec
from fastconv.layers.transposed import Conv1DTranspose, Conv2DTranspose, Conv3DTranspose
from fastconv.registry import Registry

CLASSES = (
    InputLayer, Conv1D, Conv2D, Conv3D, MaxPooling1D, MaxPooling2D, MaxPooling3D, AveragePooling1D, AveragePooling2D,
    AveragePooling3D, GlobalMaxPooling1D, GlobalMaxPooling2D, GlobalMaxPooling3D, GlobalAveragePooling1D,
    GlobalAveragePooling2D, GlobalAveragePooling3D, Dense, Activation, ReLU, LeakyReLU, PReLU, ELU, Softmax,
    Flatten, Reshape, Permute, RepeatVector, Identity, ZeroPadding1D, ZeroPadding2D, ZeroPadding3D, Cropping1D,
    Cropping2D, Cropping3D, UpSampling1D, UpSampling2D, UpSampling3D, Add, Subtract, Multiply, Average, Maximum,
    Minimum, Concatenate, Dot, BatchNormalization, LayerNormalization, GroupNormalization, RMSNormalization,
    UnitNormalization, Dropout, SpatialDropout1D, SpatialDropout2D, SpatialDropout3D, GaussianNoise, GaussianDropout,
    AlphaDropout, Rescaling, Normalization,
    DepthwiseConv1D, DepthwiseConv2D, DepthwiseConv3D, SeparableConv1D, SeparableConv2D, SeparableConv3D,
    Conv1DTranspose, Conv2DTranspose, Conv3DTranspose, AdaptiveAveragePooling1D, AdaptiveAveragePooling2D,
    AdaptiveAveragePooling3D, AdaptiveMaxPooling1D, AdaptiveMaxPooling2D, AdaptiveMaxPooling3D,
)  # fmt: skip

# Keras' shorter names for the same classes.
Convolution1D, Convolution2D, Convolution3D = Conv1D, Conv2D, Conv3D
Convolution1DTranspose, Convolution2DTranspose = Conv1DTranspose, Conv2DTranspose
Convolution3DTranspose = Conv3DTranspose
SeparableConvolution1D, SeparableConvolution2D = SeparableConv1D, SeparableConv2D
MaxPool1D, MaxPool2D, MaxPool3D = MaxPooling1D, MaxPooling2D, MaxPooling3D
AvgPool1D, AvgPool2D, AvgPool3D = AveragePooling1D, AveragePooling2D, AveragePooling3D
GlobalMaxPool1D, GlobalMaxPool2D, GlobalMaxPool3D = GlobalMaxPooling1D, GlobalMaxPooling2D, GlobalMaxPooling3D
GlobalAvgPool1D, GlobalAvgPool2D, GlobalAvgPool3D = (
    GlobalAveragePooling1D, GlobalAveragePooling2D, GlobalAveragePooling3D,
)  # fmt: skip

FUNCTIONS = (add, subtract, multiply, average, maximum, minimum, concatenate, dot)

find = Registry("layer", CLASSES).find

_public = (*CLASSES, *FUNCTIONS)
__all__ = ["Input", "InputSpec", "Layer"] + [name for name, value in list(globals().items()) if value in _public]
