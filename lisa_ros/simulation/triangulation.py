"""Polygons of a model cut into triangles: a concave polygon must not be fanned out from one corner."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def triangulate(corners: NDArray[np.float64]) -> list[tuple[int, int, int]]:
    """Return triangles of a simple polygon, float ``[N, 3]`` and nearly flat, as corner numbers (ear clipping)."""
    points = _flattened(corners)
    remaining = list(range(len(points)))
    triangles: list[tuple[int, int, int]] = []
    while len(remaining) > 3:
        ear = next((place for place in range(len(remaining)) if _is_ear(points, remaining, place)), 0)
        before, after = remaining[ear - 1], remaining[(ear + 1) % len(remaining)]
        triangles.append((before, remaining.pop(ear), after))
    return [*triangles, (remaining[0], remaining[1], remaining[2])]


def _flattened(corners: NDArray[np.float64]) -> list[tuple[float, float]]:
    """Project the corners onto the coordinate plane in which the polygon is largest, counter-clockwise."""
    normal = np.cross(corners, np.roll(corners, -1, axis=0)).sum(axis=0)
    axis = int(np.abs(normal).argmax())
    first, second = (axis + 1) % 3, (axis + 2) % 3
    if normal[axis] < 0:
        first, second = second, first
    return [(float(corner[first]), float(corner[second])) for corner in corners]


def _is_ear(points: list[tuple[float, float]], remaining: list[int], place: int) -> bool:
    before, corner, after = remaining[place - 1], remaining[place], remaining[(place + 1) % len(remaining)]
    first, second, third = points[before], points[corner], points[after]
    if _turn(first, second, third) <= 0.0:
        return False
    others = (points[number] for number in remaining if number not in (before, corner, after))
    return not any(
        _turn(first, second, other) >= 0.0 and _turn(second, third, other) >= 0.0 and _turn(third, first, other) >= 0.0
        for other in others
        if other not in (first, second, third)
    )


def _turn(first: tuple[float, float], second: tuple[float, float], third: tuple[float, float]) -> float:
    """Return twice the signed area of a triangle, positive if it is counter-clockwise."""
    return (second[0] - first[0]) * (third[1] - first[1]) - (second[1] - first[1]) * (third[0] - first[0])
