"""What a scene is: a camera, lights, surfaces and objects, as plain data that any renderer can draw.

The world frame has its origin in the middle of the table top, z up, in metres. Cameras are optical frames: x right,
y down, z forward.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vector = tuple[float, float, float]
Colour = tuple[float, float, float]
Paint = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Camera:
    """A pinhole camera at ``position`` that looks at ``target``, turned by ``roll`` about its axis.

    ``field_of_view`` is horizontal; angles are in radians, the image is ``width`` x ``height`` pixels.
    """

    position: Vector
    target: Vector
    roll: float
    field_of_view: float
    width: int
    height: int

    @property
    def focal_length(self) -> float:
        """Focal length in pixels, the same in both directions."""
        return self.width / (2.0 * float(np.tan(self.field_of_view / 2.0)))

    @property
    def matrix(self) -> NDArray[np.float64]:
        """The 3x3 intrinsic matrix K; the centre of the first pixel is (0, 0)."""
        focal = self.focal_length
        return np.array([
            [focal, 0.0, (self.width - 1) / 2.0],
            [0.0, focal, (self.height - 1) / 2.0],
            [0.0, 0.0, 1.0],
        ])  # fmt: skip

    @property
    def pose(self) -> NDArray[np.float64]:
        """The 4x4 transform from the optical frame to the world."""
        forward = np.array(self.target) - np.array(self.position)
        forward /= np.linalg.norm(forward)
        right = np.cross(forward, [0.0, 0.0, 1.0])
        right /= np.linalg.norm(right)
        down = np.cross(forward, right)
        cosine, sine = np.cos(self.roll), np.sin(self.roll)
        pose = np.eye(4)
        pose[:3, 0] = cosine * right + sine * down
        pose[:3, 1] = cosine * down - sine * right
        pose[:3, 2] = forward
        pose[:3, 3] = self.position
        return pose


@dataclass(frozen=True, slots=True)
class Light:
    """A light that shines along ``direction``; from ``position`` with a spot, or from everywhere if it is None."""

    direction: Vector
    colour: Colour
    shadow: bool
    position: Vector | None = None


@dataclass(frozen=True, slots=True)
class Surface:
    """The look of a flat thing: a ``pattern`` (a picture of the asset cache or a procedural one) in two colours.

    ``period`` is the size of one repetition in metres, ``angle`` turns the pattern (radians), ``seed`` fixes its
    random parts. A picture is multiplied by ``first``.
    """

    pattern: str
    first: Colour
    second: Colour
    period: float
    angle: float
    seed: int


@dataclass(frozen=True, slots=True)
class Table:
    """A rectangular table top of ``width`` (x) and ``depth`` (y) metres; ``gloss`` in [0, 1] is how it shines."""

    width: float
    depth: float
    surface: Surface
    gloss: float


@dataclass(frozen=True, slots=True)
class Room:
    """The floor and four walls; each wall is ``distance`` metres away from the middle of the table."""

    floor: Surface
    wall: Surface
    distance: float


@dataclass(frozen=True, slots=True)
class PlacedObject:
    """One object on the table: a mesh in one of its poses, scaled, turned by ``yaw`` radians and put at ``x, y``.

    ``colours`` are RGBA in [0, 1], one a part of the mesh, by which its texture is multiplied.
    """

    kind: str
    mesh: str
    pose: int
    x: float
    y: float
    yaw: float
    scale: float
    colours: tuple[Paint, ...]


@dataclass(frozen=True, slots=True)
class Exposure:
    """How the sensor distorts colours: a gain a channel, a gamma, and the deviation of its noise in grey levels."""

    gain: Colour
    gamma: float
    noise: float
    seed: int


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything that one frame shows."""

    camera: Camera
    lights: tuple[Light, ...]
    ambient: Colour
    table: Table
    room: Room
    objects: tuple[PlacedObject, ...]
    exposure: Exposure


def object_transform(
    placed: PlacedObject, rotation: NDArray[np.float64], offset: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the 4x4 transform from the mesh as it is stored to the world; its 3x3 part includes the scale.

    ``rotation`` and ``offset`` are those of the pose in which the mesh rests.
    """
    cosine, sine = np.cos(placed.yaw), np.sin(placed.yaw)
    yaw = np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]])
    transform = np.eye(4)
    transform[:3, :3] = placed.scale * yaw @ rotation
    transform[:3, 3] = placed.scale * yaw @ offset + np.array([placed.x, placed.y, 0.0])
    return transform
