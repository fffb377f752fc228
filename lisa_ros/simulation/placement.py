"""Where objects stand: footprints on the table that do not overlap."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lisa_ros.simulation.scenes import Camera

FARTHEST = 1.7
"""Objects stand at most this far from the camera, in metres."""


@dataclass(frozen=True, slots=True)
class Footprint:
    """A rectangle of ``width`` x ``depth`` metres around ``x, y``, turned by ``yaw`` radians."""

    x: float
    y: float
    yaw: float
    width: float
    depth: float

    @property
    def axes(self) -> NDArray[np.float64]:
        """The two unit directions of the sides, one a row."""
        cosine, sine = np.cos(self.yaw), np.sin(self.yaw)
        return np.array([[cosine, sine], [-sine, cosine]])

    @property
    def corners(self) -> NDArray[np.float64]:
        """The four corners in metres, one a row."""
        halves = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]]) * [self.width / 2.0, self.depth / 2.0]
        return halves @ self.axes + [self.x, self.y]


def overlap(first: Footprint, second: Footprint, gap: float = 0.0) -> bool:
    """Whether two footprints come closer than ``gap`` metres (separating axis test)."""
    for axis in np.concatenate([first.axes, second.axes]):
        one, other = first.corners @ axis, second.corners @ axis
        if one.max() + gap <= other.min() or other.max() + gap <= one.min():
            return False
    return True


def inside_table(footprint: Footprint, width: float, depth: float) -> bool:
    """Whether a footprint lies wholly on a table of ``width`` x ``depth`` metres around the origin."""
    return bool((np.abs(footprint.corners) <= [width / 2.0, depth / 2.0]).all())


def table_point(camera: Camera, column: float, row: float) -> NDArray[np.float64] | None:
    """Return where the ray of a pixel meets the table top, ``[x, y]`` in metres; None if it is too far or never."""
    ray = camera.pose[:3, :3] @ np.linalg.solve(camera.matrix, np.array([column, row, 1.0]))
    if ray[2] >= -1e-6:
        return None
    point = np.array(camera.position) - ray * (camera.position[2] / ray[2])
    if np.linalg.norm(point - np.array(camera.position)) > FARTHEST:
        return None
    return np.asarray(point[:2], float)
