"""One mesh as its author made it, turned into an object that stands on a table in metres."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from lisa_ros.simulation.kinds import MeshSource
from lisa_ros.simulation.resting import stable_rests
from lisa_ros.simulation.sources import AssetError
from lisa_ros.simulation.wavefront import MeshPart

MAX_LYING_POSES = 4
Y_UP = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
"""From the y-up frame of the model files to our z-up frame."""
Z_UP_LIBRARIES = ("robosuite", "primitives")


@dataclass(frozen=True, slots=True)
class Pose:
    """A way to rest on the table: points become ``rotation @ point + offset``.

    ``offset`` in metres puts the lowest point on the ground and the middle of the footprint at the origin; ``size`` is
    width, depth and height of the box around the turned mesh. The first pose of a mesh is the identity.
    """

    rotation: tuple[tuple[float, float, float], ...]
    offset: tuple[float, float, float]
    size: tuple[float, float, float]

    @classmethod
    def from_json(cls, entry: dict[str, Any]) -> Pose:
        """Make one from its JSON object."""
        rotation = tuple((row[0], row[1], row[2]) for row in entry["rotation"])
        return cls(rotation, tuple(entry["offset"]), tuple(entry["size"]))


def normalise(parts: list[MeshPart], source: MeshSource) -> tuple[list[MeshPart], tuple[Pose, ...]]:
    """Return the wanted parts in metres, z up, standing on the ground, and the poses in which they rest."""
    kept = [part for part in parts if not source.cut or part.group.startswith(source.cut)]
    if not kept:
        groups = ", ".join(sorted({part.group for part in parts}))
        raise AssetError(f"{source.path} has no group {' or '.join(source.cut)}; its groups are {groups}.")
    up = np.eye(3) if source.library in Z_UP_LIBRARIES else Y_UP
    kept = [_turned(part, up) for part in _joined(kept)]
    kept = [replace(part, vertices=part.vertices * source.stretch) for part in kept]
    scale = source.length / float(np.ptp(_points(kept), axis=0).max())
    kept = [replace(part, vertices=part.vertices * scale) for part in kept]
    if source.rest == "flat":
        kept = _laid_flat(kept, source)
    grounded = _pose(np.eye(3), _points(kept))
    kept = [replace(part, vertices=part.vertices + np.array(grounded.offset)) for part in kept]
    return kept, _poses(_points(kept), source)


def _joined(parts: list[MeshPart]) -> list[MeshPart]:
    """Join parts that share a material: fewer meshes draw faster."""
    by_material: dict[str, list[MeshPart]] = {}
    for part in parts:
        by_material.setdefault(part.material.name, []).append(part)
    return [_concatenated(group) for group in by_material.values()]


def _concatenated(parts: list[MeshPart]) -> MeshPart:
    starts = np.cumsum([0, *(len(part.vertices) for part in parts[:-1])])
    return replace(
        parts[0],
        vertices=np.concatenate([part.vertices for part in parts]),
        normals=np.concatenate([part.normals for part in parts]),
        texture_coordinates=np.concatenate([part.texture_coordinates for part in parts]),
        faces=np.concatenate([part.faces + start for part, start in zip(parts, starts, strict=True)]),
    )


def _points(parts: list[MeshPart]) -> NDArray[np.float64]:
    return np.concatenate([part.vertices for part in parts])


def _turned(part: MeshPart, rotation: NDArray[np.float64]) -> MeshPart:
    return replace(part, vertices=part.vertices @ rotation.T, normals=part.normals @ rotation.T)


def _laid_flat(parts: list[MeshPart], source: MeshSource) -> list[MeshPart]:
    points = _points(parts)
    rests = stable_rests(points * (source.length / float(np.ptp(points, axis=0).max())))
    if not rests:
        raise AssetError(f"{source.identifier} has no stable pose; its mesh is too thin to be laid flat.")
    flat = [_turned(part, rests[0].rotation) for part in parts]
    angle, longest = _longest_horizontal(_points(flat))
    along = Rotation.from_euler("z", -angle).as_matrix()
    return [replace(_turned(part, along), vertices=part.vertices @ along.T * source.length / longest) for part in flat]


def _longest_horizontal(points: NDArray[np.float64]) -> tuple[float, float]:
    """Return the horizontal direction in radians in which the points extend furthest, and how far."""
    angles = np.radians(np.arange(0.0, 180.0, 2.0))
    extents = np.ptp(points[:, :2] @ np.stack([np.cos(angles), np.sin(angles)]), axis=0)
    best = int(extents.argmax())
    return float(angles[best]), float(extents[best])


def _poses(points: NDArray[np.float64], source: MeshSource) -> tuple[Pose, ...]:
    standing = _pose(np.eye(3), points)
    if not source.lies:
        return (standing,)
    tilted = [rest.rotation for rest in stable_rests(points) if abs(float(rest.rotation[2, 2])) < 0.7]
    return (standing, *(_pose(rotation, points) for rotation in tilted[:MAX_LYING_POSES]))


def _pose(rotation: NDArray[np.float64], points: NDArray[np.float64]) -> Pose:
    turned = points @ rotation.T
    lower, upper = turned.min(axis=0), turned.max(axis=0)
    middle = (lower + upper) / 2.0
    offset = (-float(middle[0]), -float(middle[1]), -float(lower[2]))
    width, depth, height = (float(value) for value in upper - lower)
    rows = tuple((float(row[0]), float(row[1]), float(row[2])) for row in rotation)
    return Pose(rows, offset, (width, depth, height))
