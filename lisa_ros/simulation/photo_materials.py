"""What the parts of an object are made of in a photo-like frame: plain and glossy surfaces, steel and glass.

Everything here is a plain dictionary of Mitsuba 3; colours are display values (sRGB) in [0, 1] until they leave.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from lisa_ros.simulation.assets import AssetCache, MeshAsset, PartAsset
from lisa_ros.simulation.scenes import Paint
from lisa_ros.simulation.sources import AssetError

METAL_KINDS = ("fork", "knife", "spoon", "scissors", "keys", "hammer", "screwdriver")
"""Kinds whose grey, shiny parts are steel."""
CLEAR = 0.95
"""Parts less opaque than this are glass."""
BRIGHTEST = 0.85
"""No surface throws back more than this share of the light."""


def part_material(mesh: MeshAsset, part: PartAsset, paint: Paint, assets: AssetCache, mitsuba: Any) -> dict[str, Any]:
    """Return the material of a part that is painted in the RGBA colour ``paint``."""
    colour = np.array(paint[:3])
    if part.texture:
        picture = _read_picture(assets, mesh, part.texture)
        return glossy(picture_colour(np.clip(picture * colour, 0, 255).astype(np.uint8), mitsuba), *_finish(part))
    if paint[3] < CLEAR:
        return _glass(colour, paint[3], part)
    if is_metal(mesh.kind, part):
        return _steel(colour, part)
    return glossy(flat_colour(colour), *_finish(part))


def is_metal(kind: str, part: PartAsset) -> bool:
    """Whether a part is steel: an untextured, grey and not too dull part of a kind that has steel."""
    if kind not in METAL_KINDS or part.texture:
        return False
    red, green, blue, _ = part.colour
    brightest, darkest = max(red, green, blue), min(red, green, blue)
    grey = brightest - darkest <= 0.2 * brightest
    return brightest >= 0.03 and part.specular >= 0.2 and (grey or kind == "keys")


def glossy(colour: dict[str, Any], roughness: float, specular: float) -> dict[str, Any]:
    """Return an opaque surface; ``roughness`` and ``specular`` in [0, 1] as in Disney's principled material."""
    surface = {"type": "principled", "base_color": colour, "roughness": roughness, "specular": specular}
    return {"type": "twosided", "surface": surface}


def flat_colour(colour: NDArray[np.float64]) -> dict[str, Any]:
    """Return one display colour as Mitsuba takes it."""
    return {"type": "rgb", "value": linear(np.clip(colour, 0.0, 1.0)).clip(0.003, BRIGHTEST).tolist()}


def picture_colour(picture: NDArray[np.uint8], mitsuba: Any) -> dict[str, Any]:
    """Return a uint8 RGB picture, top row first, as Mitsuba takes it."""
    levels = linear(np.arange(256) / 255.0).clip(0.003, BRIGHTEST).astype(np.float32)
    return {"type": "bitmap", "bitmap": mitsuba.Bitmap(np.ascontiguousarray(levels[picture])), "raw": True}


def linear(display: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the share of light that a display value in [0, 1] stands for (the sRGB curve)."""
    return np.where(display <= 0.04045, display / 12.92, ((display + 0.055) / 1.055) ** 2.4)


def _finish(part: PartAsset) -> tuple[float, float]:
    """Return roughness and specular from the part's own words for its shine."""
    polish = part.shininess * min(1.0, 2.0 * part.specular)
    return 0.65 - 0.45 * polish, min(0.6, 0.2 + 0.5 * part.specular)


def _steel(colour: NDArray[np.float64], part: PartAsset) -> dict[str, Any]:
    reflected = {"type": "rgb", "value": linear(0.55 + 0.4 * colour).clip(0.0, 0.9).tolist()}
    alpha = 0.22 - 0.12 * part.shininess
    surface = {"type": "roughconductor", "material": "none", "alpha": alpha, "specular_reflectance": reflected}
    return {"type": "twosided", "surface": surface}


def _glass(colour: NDArray[np.float64], opacity: float, part: PartAsset) -> dict[str, Any]:
    """Return thin tinted glass with a haze of its own colour, so that even clear glass can be seen."""
    brightest = max(float(colour.max()), 0.01)
    passed = (0.55 + 0.45 * colour / brightest) * (0.5 + 0.5 * brightest)
    clear = {
        "type": "thindielectric",
        "int_ior": 1.6,
        "specular_transmittance": {"type": "rgb", "value": passed.tolist()},
    }
    haze = glossy(flat_colour(colour), 0.15, 0.5)
    return {"type": "blendbsdf", "weight": opacity**1.7, "clear": clear, "haze": haze}


def _read_picture(assets: AssetCache, mesh: MeshAsset, name: str) -> NDArray[np.uint8]:
    picture = cv2.imread(str(assets.part_path(mesh, name)), cv2.IMREAD_COLOR)
    if picture is None:
        raise AssetError(f"{assets.part_path(mesh, name)} cannot be read; run `lisa simulate --fetch-assets`.")
    return np.asarray(picture[:, :, ::-1], np.uint8)
