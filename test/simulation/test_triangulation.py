from __future__ import annotations

import numpy as np

from lisa_ros.simulation.triangulation import triangulate


def area(corners: np.ndarray, triangles: list[tuple[int, int, int]]) -> float:
    points = corners[np.array(triangles)]
    return float(np.linalg.norm(np.cross(points[:, 1] - points[:, 0], points[:, 2] - points[:, 0]), axis=1).sum() / 2)


def test_a_concave_polygon_keeps_its_notch() -> None:
    horseshoe = np.array([[0, 0], [3, 0], [3, 3], [2, 3], [2, 1], [1, 1], [1, 3], [0, 3]], float)
    corners = np.column_stack([horseshoe[:, 0], np.full(8, 0.7), horseshoe[:, 1]])
    for ring in (corners, corners[::-1]):
        triangles = triangulate(ring)
        assert len(triangles) == 6
        assert np.isclose(area(ring, triangles), 7.0)


def test_triangles_keep_the_winding_of_the_polygon() -> None:
    corners = np.array([[0, 0, 0], [2, 0, 0], [3, 1, 0], [1, 2, 0], [-1, 1, 0]], float)
    points = corners[np.array(triangulate(corners))]
    assert (np.cross(points[:, 1] - points[:, 0], points[:, 2] - points[:, 0])[:, 2] > 0).all()
