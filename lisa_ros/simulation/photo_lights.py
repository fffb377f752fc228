"""The light of a photo-like frame: lamps of a size, and what a room and its windows send from above.

Directions and colours are those of the scene's lights; sizes and the window depend on the scene's own seed alone.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from lisa_ros.simulation.rendering import FLOOR_HEIGHT, WALL_HEIGHT
from lisa_ros.simulation.scenes import Light, Scene

LAMP_HEIGHTS = (1.3, 1.8)
"""Lamps hang between these heights above the table, in metres: higher than any camera, so that they hide nothing."""
SKY_ROWS, SKY_COLUMNS = 32, 64
Z_UP = ((1.0, 0.0, 0.0), (0.0, 0.0, -1.0), (0.0, 1.0, 0.0))
"""From Mitsuba's y-up sky to our world."""


def photo_lights(scene: Scene, mitsuba: Any) -> dict[str, Any]:
    """Return the emitters of a scene by name."""
    random = np.random.default_rng([scene.exposure.seed, 1])
    emitters = {"sky": _sky(scene, random, mitsuba)}
    for number, light in enumerate(scene.lights[:-1]):
        emitters[f"lamp{number}"] = _lamp(light, 0.8 * scene.room.distance, random, mitsuba)
    return emitters


def _lamp(light: Light, reach: float, random: np.random.Generator, mitsuba: Any) -> dict[str, Any]:
    """Return a disk that shines on the middle of the table, at most ``reach`` metres to the side."""
    position = lamp_position(light, reach, float(random.uniform(*LAMP_HEIGHTS)))
    smallest, largest = (0.04, 0.25) if light.shadow else (0.25, 0.5)
    radius = float(np.exp(random.uniform(np.log(smallest), np.log(largest))))
    colour = np.array(light.colour)
    warm = colour * (colour / colour.mean()) ** random.uniform(0.0, 1.5)
    radiance = random.uniform(0.8, 2.0) * warm * float(position @ position) / radius**2
    frame = mitsuba.ScalarTransform4f().look_at(origin=position.tolist(), target=[0.0, 0.0, 0.0], up=[0.3, 0.9, 0.1])
    return {
        "type": "disk",
        "to_world": frame @ mitsuba.ScalarTransform4f().scale(radius),
        "emitter": {"type": "area", "radiance": {"type": "rgb", "value": radiance.tolist()}},
    }


def lamp_position(light: Light, reach: float, height: float) -> NDArray[np.float64]:
    """Return where a lamp hangs, in the world frame: against the direction of the light, ``height`` above the table."""
    upward = -np.array(light.direction)
    aside = upward[:2] * height / upward[2]
    aside *= min(1.0, reach / max(float(np.linalg.norm(aside)), 1e-6))
    return np.array([*aside, height])


def _sky(scene: Scene, random: np.random.Generator, mitsuba: Any) -> dict[str, Any]:
    frame = np.eye(4)
    frame[:3, :3] = Z_UP
    corner = np.sqrt(2.0) * scene.room.distance + max(scene.table.width, scene.table.depth) / 2.0
    lowest = float(np.arctan2(FLOOR_HEIGHT + WALL_HEIGHT, corner))
    picture = sky_picture(np.array(scene.ambient), lowest, random)
    return {
        "type": "envmap",
        "bitmap": mitsuba.Bitmap(picture),
        "to_world": mitsuba.ScalarTransform4f(frame),
    }


def sky_picture(ambient: NDArray[np.float64], lowest: float, random: np.random.Generator) -> NDArray[np.float32]:
    """Return radiance from every direction, float32 ``[SKY_ROWS, SKY_COLUMNS, 3]``, the zenith in the first row.

    Below the elevation ``lowest`` (radians) the walls hide it; it is dark there, so that no path looks for its light.
    """
    height = np.cos(np.pi * (np.arange(SKY_ROWS) + 0.5) / SKY_ROWS)
    brightness = np.repeat((0.35 + 0.65 * np.clip(height, 0.0, 1.0))[:, None], SKY_COLUMNS, axis=1)
    coarse = random.uniform(0.4, 1.6, (4, 8)).astype(np.float32)
    brightness *= cv2.resize(coarse, (SKY_COLUMNS, SKY_ROWS), interpolation=cv2.INTER_LINEAR)
    picture = brightness[..., None] * ambient
    for _ in range(int(random.integers(0, 3))):
        top, left = int(random.integers(4, 9)), int(random.integers(SKY_COLUMNS))
        columns = np.arange(left, left + int(random.integers(4, 12))) % SKY_COLUMNS
        cool = 1.0 + random.uniform(-0.05, 0.2) * np.array([-1.0, 0.0, 1.0])
        picture[top : top + int(random.integers(3, 7)), columns] += random.uniform(2.0, 10.0) * ambient.mean() * cool
    picture[height < np.sin(lowest)] = 0.0
    return np.ascontiguousarray(picture, np.float32)
