"""Random crops, flips and colours for frames of the tabletop."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class AugmentationConfig:
    """How far a training frame may be changed; every range is uniform, every chance independent."""

    smallest_crop: float = 0.6
    flip_chance: float = 0.5
    brightness: float = 0.25
    contrast: float = 0.25
    saturation: float = 0.35
    warmth: float = 0.12
    noise_chance: float = 0.4
    noise_sigma: float = 8.0
    blur_chance: float = 0.25


def augmented(
    rgb: NDArray[np.uint8],
    instance_ids: NDArray[np.uint8],
    size: tuple[int, int],
    config: AugmentationConfig,
    rng: np.random.Generator,
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return a random crop of both at ``size`` ``(height, width)``, perhaps mirrored, in other colours."""
    rgb, instance_ids = _cropped(rgb, instance_ids, config.smallest_crop, rng)
    rgb, instance_ids = resized(rgb, instance_ids, size)
    if rng.random() < config.flip_chance:
        rgb, instance_ids = np.ascontiguousarray(rgb[:, ::-1]), np.ascontiguousarray(instance_ids[:, ::-1])
    return _recoloured(rgb, config, rng), instance_ids


def resized(
    rgb: NDArray[np.uint8], instance_ids: NDArray[np.uint8], size: tuple[int, int]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return both at ``size`` ``(height, width)``."""
    shrinks = size[0] < rgb.shape[0]
    image = cv2.resize(rgb, size[::-1], interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    ids = cv2.resize(instance_ids, size[::-1], interpolation=cv2.INTER_NEAREST)
    return image.astype(np.uint8), ids.astype(np.uint8)


def _cropped(
    rgb: NDArray[np.uint8], instance_ids: NDArray[np.uint8], smallest: float, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    scale = rng.uniform(smallest, 1.0)
    height, width = int(rgb.shape[0] * scale), int(rgb.shape[1] * scale)
    top, left = int(rng.integers(rgb.shape[0] - height + 1)), int(rng.integers(rgb.shape[1] - width + 1))
    window = (slice(top, top + height), slice(left, left + width))
    return np.ascontiguousarray(rgb[window]), np.ascontiguousarray(instance_ids[window])


def _recoloured(rgb: NDArray[np.uint8], config: AugmentationConfig, rng: np.random.Generator) -> NDArray[np.uint8]:
    image = rgb.astype(np.float32)
    grey = image.mean(axis=2, keepdims=True)
    image = grey + (image - grey) * (1 + rng.uniform(-config.saturation, config.saturation))
    warmth = rng.uniform(-config.warmth, config.warmth)
    image *= np.array([1 + warmth, 1.0, 1 - warmth], np.float32)
    mean = image.mean()
    image = mean + (image - mean) * (1 + rng.uniform(-config.contrast, config.contrast))
    image *= 1 + rng.uniform(-config.brightness, config.brightness)
    if rng.random() < config.blur_chance:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 1.2))
    if rng.random() < config.noise_chance:
        image += rng.normal(0.0, rng.uniform(1.0, config.noise_sigma), image.shape).astype(np.float32)
    return np.clip(image, 0, 255).astype(np.uint8)
