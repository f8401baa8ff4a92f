"""Networks by name, under Keras' names: each a function that gives a Model, with a file for each family.

`fastconv.applications.ResNet50(...)` is also `fastconv.applications.resnet50.ResNet50`, with preprocess_input and
decode_predictions beside it. Contract: architectures only; `weights` is None or the path of a file, since fastconv
downloads nothing.
"""

from fastconv.absent import explain as _explain
from fastconv.applications import (
    densenet,
    efficientnet,
    efficientnet_v2,
    imagenet_utils,
    inception_v3,
    lenet,
    mobilenet,
    mobilenet_v2,
    mobilenet_v3,
    resnet,
    resnet50,
    resnet_v2,
    series,
    unet,
    vgg16,
    vgg19,
    xception,
)
from fastconv.applications.densenet import DenseNet121
from fastconv.applications.efficientnet import EfficientNetB0
from fastconv.applications.efficientnet_v2 import EfficientNetV2B0
from fastconv.applications.inception_v3 import InceptionV3
from fastconv.applications.lenet import LeNet5
from fastconv.applications.mobilenet import MobileNet
from fastconv.applications.mobilenet_v2 import MobileNetV2
from fastconv.applications.mobilenet_v3 import MobileNetV3Large, MobileNetV3Small
from fastconv.applications.resnet import ResNet18, ResNet34, ResNet50
from fastconv.applications.resnet_v2 import ResNet50V2
from fastconv.applications.series import TCN, ResNet1D
from fastconv.applications.unet import UNet2D, UNet3D
from fastconv.applications.vgg16 import VGG16
from fastconv.applications.vgg19 import VGG19
from fastconv.applications.xception import Xception

__all__ = [
    "TCN", "VGG16", "VGG19", "DenseNet121", "EfficientNetB0", "EfficientNetV2B0", "InceptionV3", "LeNet5", "MobileNet",
    "MobileNetV2", "MobileNetV3Large", "MobileNetV3Small", "ResNet18", "ResNet1D", "ResNet34", "ResNet50",
    "ResNet50V2", "UNet2D", "UNet3D", "Xception", "densenet", "efficientnet", "efficientnet_v2", "imagenet_utils",
    "inception_v3", "lenet", "mobilenet", "mobilenet_v2", "mobilenet_v3", "resnet", "resnet50", "resnet_v2", "series",
    "unet", "vgg16", "vgg19", "xception",
]  # fmt: skip

_explain(__name__, __all__)


def __dir__() -> list[str]:
    return __all__
