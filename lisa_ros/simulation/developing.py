"""From traced light to a picture: noise is smoothed away, then exposure, white balance and tone as in a phone camera.

The smoothing is the edge-avoiding wavelet of Dammertz et al. ("Edge-Avoiding A-Trous Wavelet Transform for fast Global
Illumination Filtering", 2010), applied to the light without the colours of the surfaces.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from lisa_ros.simulation.scenes import Exposure

Image = NDArray[np.float32]
KERNEL = (0.0625, 0.25, 0.375, 0.25, 0.0625)
LEVELS = 4
NOISE = 1.4
"""How much the light of one path a pixel scatters, in natural logarithms of brightness, after a small blur."""
OUTLIER = 4.0
"""A pixel this many times brighter than the median around it is a stray sample."""
LUMINANCE = np.array([0.2126, 0.7152, 0.0722], np.float32)


@dataclass(frozen=True, slots=True)
class Traced:
    """What a path tracer saw, float32, linear: ``light`` and ``albedo`` ``[H, W, 3]``, ``normals`` ``[H, W, 3]``.

    ``depth`` ``[H, W]`` is in metres; ``samples`` is the number of paths a pixel.
    """

    light: Image
    albedo: Image
    normals: Image
    depth: Image
    samples: int


def smooth(traced: Traced) -> Image:
    """Return the light ``[H, W, 3]`` with less noise; edges of shapes, of colours and of shadows are kept."""
    albedo = np.asarray(np.maximum(traced.albedo, 0.04), np.float32)
    light = _without_outliers(traced.light / albedo)
    guides = np.dstack([traced.depth, 2.5 * traced.normals, 3.0 * traced.albedo])
    slope = _slope(traced.depth)
    tolerance = NOISE / np.sqrt(traced.samples)
    for level in range(LEVELS):
        light = _wavelet(light, guides, slope, 2**level, tolerance / 2**level)
    return light * albedo


def develop(light: Image, exposure: Exposure) -> NDArray[np.uint8]:
    """Return linear light ``[H, W, 3]`` as the uint8 picture of a camera that exposes by itself."""
    random = np.random.default_rng([exposure.seed, 2])
    light = light * _white_balance(light, exposure, float(random.uniform(0.3, 0.9)))
    luminance = np.maximum(light @ LUMINANCE, 1e-4)
    key = float(np.exp(np.log(luminance).mean()))
    bright = float(random.uniform(0.22, 0.42)) / key
    toned = _shoulder(light * min(bright, 1.9 / float(np.quantile(luminance, 0.97))))
    display = np.where(toned <= 0.0031308, 12.92 * toned, 1.055 * toned ** (1.0 / 2.4) - 0.055)
    contrast = float(random.uniform(0.0, 0.5))
    display += contrast * (display * display * (3.0 - 2.0 * display) - display)
    grain = random.standard_normal(display.shape, np.float32) * (0.6 * exposure.noise)
    return np.clip(np.rint(255.0 * display + grain), 0, 255).astype(np.uint8)


def _without_outliers(light: Image) -> Image:
    luminance = np.maximum(light @ LUMINANCE, 1e-6)
    limit = OUTLIER * cv2.medianBlur(luminance, 5) + 1e-3
    return light * np.minimum(1.0, limit / luminance)[..., None]


def _slope(depth: Image) -> Image:
    """Return how much depth changes from pixel to pixel, in metres."""
    across, along = cv2.Sobel(depth, cv2.CV_32F, 1, 0, scale=0.125), cv2.Sobel(depth, cv2.CV_32F, 0, 1, scale=0.125)
    return np.minimum(np.hypot(across, along), 0.02).astype(np.float32)


def _wavelet(light: Image, guides: Image, slope: Image, step: int, tolerance: float) -> Image:
    """Average over 5 x 5 pixels ``step`` apart that lie on the same surface and are about as bright."""
    bright = np.log(np.maximum(cv2.GaussianBlur(light @ LUMINANCE, (0, 0), 1.2), 1e-4)) / tolerance
    padded, padded_light = _padded(np.dstack([bright, guides]), 2 * step), _padded(light, 2 * step)
    middle = _window(padded, (0, 0), 2 * step)
    total, weights = np.zeros_like(light), np.zeros_like(slope)
    for row, vertical in enumerate(KERNEL):
        for column, horizontal in enumerate(KERNEL):
            move = ((row - 2) * step, (column - 2) * step)
            other = _window(padded, move, 2 * step) - middle
            distance = np.abs(other[..., 1]) / (slope * float(np.hypot(*move)) + 0.004)
            other[..., 1] = 0.0
            weight = vertical * horizontal * cv2.exp(-distance - np.einsum("ijk,ijk->ij", other, other))
            total += weight[..., None] * _window(padded_light, move, 2 * step)
            weights += weight
    return total / weights[..., None]


def _padded(image: Image, border: int) -> Image:
    return np.asarray(np.pad(image, ((border, border), (border, border), (0, 0)), mode="edge"), np.float32)


def _window(padded: Image, move: tuple[int, int], border: int) -> Image:
    """Return the image inside its border, moved by rows and columns."""
    (rows, columns), (height, width) = move, padded.shape[:2]
    return padded[border + rows : height - border + rows, border + columns : width - border + columns]


def _white_balance(light: Image, exposure: Exposure, share: float) -> Image:
    """Return channel gains that take away ``share`` of the picture's tint and add the sensor's own."""
    mean = light.reshape(-1, 3).mean(axis=0)
    gain = (mean.mean() / np.maximum(mean, 1e-6)) ** share * np.array(exposure.gain)
    return np.asarray(gain / gain.mean(), np.float32)


def _shoulder(light: Image) -> Image:
    """Return light in [0, 1]: highlights up to twice white are compressed, the rest is nearly kept."""
    return np.clip(light * (1.0 + light / 16.0) / (1.0 + 0.6 * light), 0.0, 1.0)
