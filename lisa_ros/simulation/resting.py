"""How a rigid object rests on a table: its stable poses, from the convex hull of its vertices."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull, QhullError
from scipy.spatial.transform import Rotation

MAX_SUPPORTS = 60
CONTACT = 0.002


@dataclass(frozen=True, slots=True)
class Rest:
    """One stable pose: ``rotation`` is 3x3, ``centre_height`` the height of the centre above the table in metres."""

    rotation: NDArray[np.float64]
    centre_height: float


def stable_rests(vertices: NDArray[np.float64]) -> list[Rest]:
    """Return the stable poses of float ``[N, 3]`` vertices in metres, the lowest centre first.

    A pose is stable when the centre of the hull stands above the points that touch the table.
    """
    try:
        hull = ConvexHull(vertices, qhull_options="QJ")
    except QhullError:
        return []
    points = vertices[hull.vertices]
    centre = _hull_centre(vertices, hull)
    rests: list[Rest] = []
    for downward in _largest_faces(vertices, hull):
        rotation = _rotation_between(downward, np.array([0.0, 0.0, -1.0]))
        turned = (points - centre) @ rotation.T
        lowest = float(turned[:, 2].min())
        if _supported(turned[turned[:, 2] < lowest + CONTACT, :2]):
            rests.append(Rest(rotation, -lowest))
    return sorted(rests, key=lambda rest: rest.centre_height)


def _hull_centre(vertices: NDArray[np.float64], hull: ConvexHull) -> NDArray[np.float64]:
    middle = vertices[hull.vertices].mean(axis=0)
    corners = vertices[hull.simplices] - middle
    volume = np.abs(np.einsum("ij,ij->i", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])))
    centre = (corners.sum(axis=1) / 4.0 * volume[:, None]).sum(axis=0) / max(float(volume.sum()), 1e-12)
    return np.asarray(middle + centre, float)


def _largest_faces(vertices: NDArray[np.float64], hull: ConvexHull) -> NDArray[np.float64]:
    """Return outward unit normals of the hull's largest directions, facets of nearly equal normal joined."""
    corners = vertices[hull.simplices]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    normals = hull.equations[:, :3]
    joined = np.round(normals * 12).astype(int)
    _, inverse = np.unique(joined, axis=0, return_inverse=True)
    total = np.zeros((int(inverse.max()) + 1, 3))
    np.add.at(total, inverse.ravel(), normals * area[:, None])
    length = np.linalg.norm(total, axis=1)
    order = np.argsort(-length, kind="stable")[:MAX_SUPPORTS]
    return np.asarray(total[order] / np.maximum(length[order, None], 1e-12), float)


def _rotation_between(source: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    axis = np.cross(source, target)
    sine, cosine = float(np.linalg.norm(axis)), float(source @ target)
    if sine < 1e-9:
        return np.eye(3) if cosine > 0 else np.diag([1.0, -1.0, -1.0])
    return np.asarray(Rotation.from_rotvec(axis / sine * np.arctan2(sine, cosine)).as_matrix(), float)


def _supported(contacts: NDArray[np.float64]) -> bool:
    """Whether the origin lies within the hull of ``[N, 2]`` contact points."""
    if len(contacts) < 3:
        return False
    try:
        return bool((ConvexHull(contacts).equations[:, 2] <= 0.0).all())
    except QhullError:
        return False
