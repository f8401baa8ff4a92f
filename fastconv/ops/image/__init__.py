"""keras.ops.image: resizing, warping, filters, colours and patches of images.

A family a file; layers/preprocessing/ builds on them. Contract: images are (height, width, channels) or a batch of them,
`data_format="channels_first"` moves their channels to the end and back, which costs two copies. Integers are
computed in float32, rounded and limited to what their dtype holds; uint8 is warped, cut and padded as it is.
"""

from .colors import hsv_to_rgb, rgb_to_grayscale, rgb_to_hsv
from .filters import gaussian_blur, sobel_edges, ssim
from .patches import crop_images, extract_patches, extract_patches_3d, pad_images
from .resizing import resize, scale_and_translate
from .warping import affine_transform, elastic_transform, map_coordinates, perspective_transform

__all__ = [
    "affine_transform",
    "crop_images",
    "elastic_transform",
    "extract_patches",
    "extract_patches_3d",
    "gaussian_blur",
    "hsv_to_rgb",
    "map_coordinates",
    "pad_images",
    "perspective_transform",
    "resize",
    "rgb_to_grayscale",
    "rgb_to_hsv",
    "scale_and_translate",
    "sobel_edges",
    "ssim",
]
