"""Pictures for tables, floors and walls: photographed materials and procedural patterns."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from lisa_ros.simulation.assets import AssetCache
from lisa_ros.simulation.scenes import Colour, Surface
from lisa_ros.simulation.sources import AssetError

PATTERNS = ("plain", "noise", "checker", "stripes", "tablecloth", "dots", "planks", "marble")
TILE_PIXELS = 256


def paint(surface: Surface, width: float, depth: float, pixels: int, assets: AssetCache) -> NDArray[np.uint8]:
    """Return the picture of a ``width`` x ``depth`` metre rectangle, uint8 RGB ``[pixels, pixels, 3]``."""
    tile = _tile(surface, assets)
    cosine, sine = np.cos(surface.angle), np.sin(surface.angle)
    side = tile.shape[0]
    across, along = width / pixels / surface.period * side, depth / pixels / surface.period * side
    turn = np.array([[cosine * across, -sine * along, 0.0], [sine * across, cosine * along, 0.0]])
    flags = cv2.WARP_INVERSE_MAP | cv2.INTER_LINEAR
    shrink = max(across, along)
    if shrink > 1.5:
        side = max(8, round(side / shrink))
        turn *= side / tile.shape[0]
        tile = np.asarray(cv2.resize(tile, (side, side), interpolation=cv2.INTER_AREA), np.uint8)
    return np.asarray(cv2.warpAffine(tile, turn, (pixels, pixels), flags=flags, borderMode=cv2.BORDER_WRAP), np.uint8)


def _tile(surface: Surface, assets: AssetCache) -> NDArray[np.uint8]:
    first, second = np.array(surface.first), np.array(surface.second)
    if surface.pattern not in PATTERNS:
        picture = _picture(surface.pattern, assets)
        return _bytes(picture * first)
    weight = _weight(surface.pattern, np.random.default_rng(surface.seed))[..., None]
    return _bytes((1.0 - weight) * first + weight * second)


def _picture(name: str, assets: AssetCache) -> NDArray[np.float32]:
    data = cv2.imread(str(assets.surface_path(name)), cv2.IMREAD_COLOR)
    if data is None:
        raise AssetError(f"The surface {name!r} is not in {assets.folder}; run `lisa simulate --fetch-assets`.")
    square = cv2.resize(data, (2 * TILE_PIXELS, 2 * TILE_PIXELS), interpolation=cv2.INTER_AREA)
    return np.asarray(square[:, :, ::-1], np.float32) / 255.0


def _bytes(colours: NDArray[np.floating]) -> NDArray[np.uint8]:
    return np.asarray(np.clip(colours * 255.0, 0, 255), np.uint8)


def _weight(pattern: str, random: np.random.Generator) -> NDArray[np.float64]:
    """Return how much of the second colour every pixel of a repeatable tile has, ``[TILE_PIXELS, TILE_PIXELS]``."""
    grid = np.arange(TILE_PIXELS) / TILE_PIXELS
    x, y = np.meshgrid(grid, grid)
    if pattern == "plain":
        return np.asarray(0.15 * _noise(random, 64), float)
    if pattern == "noise":
        return np.asarray(0.6 * _noise(random, 8) + 0.4 * _noise(random, 64), float)
    if pattern == "checker":
        return np.asarray((x < 0.5) ^ (y < 0.5), float)
    if pattern == "stripes":
        return np.asarray(x < random.uniform(0.2, 0.8), float)
    if pattern == "tablecloth":
        return np.asarray((x < 0.5) * 0.5 + (y < 0.5) * 0.5, float)
    if pattern == "dots":
        return np.asarray(np.hypot(x - 0.5, y - 0.5) < random.uniform(0.12, 0.35), float)
    if pattern == "planks":
        return _planks(x, y, random)
    veins = x + 1.5 * _noise(random, 4) + 0.4 * _noise(random, 16)
    return np.asarray(np.abs(np.sin(2.0 * np.pi * veins)) ** 6, float)


def _planks(x: NDArray[np.float64], y: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.float64]:
    """Return four boards with their own shades, grain along y and dark joints."""
    board = np.floor(x * 4).astype(int)
    shade = random.uniform(0.0, 0.5, 4)[board]
    grain = cv2.blur(_noise(random, 128), (1, 41), borderType=cv2.BORDER_REFLECT)
    joint = ((x * 4) % 1.0 < 0.03).astype(float)
    return np.asarray(np.clip(shade + 0.8 * np.asarray(grain) - 0.2 + joint, 0.0, 1.0), float)


def _noise(random: np.random.Generator, cells: int) -> NDArray[np.float64]:
    """Return smooth noise in [0, 1] of ``cells`` bumps a side that repeats without a seam."""
    coarse = np.tile(random.uniform(0.0, 1.0, (cells, cells)), (3, 3))
    fine = cv2.resize(coarse, (3 * TILE_PIXELS, 3 * TILE_PIXELS), interpolation=cv2.INTER_CUBIC)
    return np.clip(fine[TILE_PIXELS : 2 * TILE_PIXELS, TILE_PIXELS : 2 * TILE_PIXELS], 0.0, 1.0)


def mean_colour(picture: NDArray[np.uint8]) -> Colour:
    """Return the mean colour of a uint8 RGB picture in [0, 1]."""
    red, green, blue = picture[::16, ::16].reshape(-1, 3).mean(axis=0) / 255.0
    return float(red), float(green), float(blue)
