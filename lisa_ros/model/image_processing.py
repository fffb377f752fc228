"""From an RGB image to the tensors that the two eyes of LISA take."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from lisa_ros.model.configuration import ClipVisionConfig, LisaConfig
from lisa_ros.model.modeling import ImageInputs

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
SAM_MEAN = (123.675, 116.28, 103.53)
SAM_STD = (58.395, 57.12, 57.375)
PYRAMID_MEAN = (127.0, 127.0, 127.0)
PYRAMID_STD = (128.0, 128.0, 128.0)
LETTERBOX_COLOUR = tuple(round(255 * mean) for mean in CLIP_MEAN)


class ImageProcessor:
    """Prepares images for one configuration."""

    def __init__(self, config: LisaConfig) -> None:
        self.config = config
        self.is_shared = config.image_encoder is None
        self.clip = None if self.is_shared else _clip_processor(config.vision)

    def __call__(self, rgb: NDArray[np.uint8]) -> ImageInputs:
        """Prepare one image, uint8 RGB ``[H, W, 3]``; raises ``ValueError`` for any other shape or dtype."""
        _require_rgb(rgb)
        original_size = (rgb.shape[0], rgb.shape[1])
        mean, std = (PYRAMID_MEAN, PYRAMID_STD) if self.is_shared else (SAM_MEAN, SAM_STD)
        resized_size = fitted_size(original_size, self.config.mask_vision.input_size)
        mask_pixel_values = padded_pixels(rgb, resized_size, self.config.mask_vision.input_size, mean, std)
        pixel_values = mask_pixel_values if self.is_shared else self._clip_pixels(rgb)
        return ImageInputs(pixel_values, mask_pixel_values, [resized_size], [original_size])

    def _clip_pixels(self, rgb: NDArray[np.uint8]) -> Tensor:
        if self.config.field_of_view == "pad":
            rgb = letterboxed(rgb)
        assert self.clip is not None
        return self.clip(images=Image.fromarray(rgb), return_tensors="pt")["pixel_values"]


def fitted_size(size: tuple[int, int], limits: tuple[int, int]) -> tuple[int, int]:
    """Return the largest ``(height, width)`` of the same shape that fits into ``limits``, rounded as SAM rounds."""
    scale = min(limits[0] / size[0], limits[1] / size[1])
    return (max(int(size[0] * scale + 0.5), 1), max(int(size[1] * scale + 0.5), 1))


def padded_pixels(
    rgb: NDArray[np.uint8],
    resized_size: tuple[int, int],
    input_size: tuple[int, int],
    mean: tuple[float, float, float],
    std: tuple[float, float, float],
) -> Tensor:
    """Resize (bilinear, antialiased), normalise, then pad right and bottom with zeros: fp32 ``[1, 3, H, W]``."""
    image = rgb
    if resized_size != rgb.shape[:2]:
        image = np.asarray(Image.fromarray(rgb).resize(resized_size[::-1], Image.Resampling.BILINEAR))
    pixels = (torch.from_numpy(image.copy()).permute(2, 0, 1).float() - torch.tensor(mean)[:, None, None]) / (
        torch.tensor(std)[:, None, None]
    )
    padded = pixels.new_zeros((1, 3, *input_size))
    padded[0, :, : resized_size[0], : resized_size[1]] = pixels
    return padded


def letterboxed(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Pad an image to a square of CLIP's mean colour, so that its centre crop is the whole image."""
    height, width = rgb.shape[:2]
    side = max(height, width)
    square = np.empty((side, side, 3), np.uint8)
    square[:] = LETTERBOX_COLOUR
    top, left = (side - height) // 2, (side - width) // 2
    square[top : top + height, left : left + width] = rgb
    return square


def _require_rgb(rgb: NDArray[np.uint8]) -> None:
    if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3 or 0 in rgb.shape:
        raise ValueError(f"An image must be uint8 [height, width, 3] and not empty, not {rgb.dtype} {list(rgb.shape)}.")


def _clip_processor(vision: object) -> Any:
    """Return transformers' PIL processor: the one that equals the official preprocessing to the bit."""
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    assert isinstance(vision, ClipVisionConfig)
    return CLIPImageProcessorPil(
        size={"shortest_edge": vision.image_size},
        crop_size={"height": vision.image_size, "width": vision.image_size},
        resample=Image.Resampling.BICUBIC,
        image_mean=list(CLIP_MEAN),
        image_std=list(CLIP_STD),
    )
