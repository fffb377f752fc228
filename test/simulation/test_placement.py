from __future__ import annotations

import numpy as np

from lisa_ros.simulation.placement import Footprint, inside_table, overlap, table_point
from lisa_ros.simulation.scenes import Camera


def test_turned_footprints_overlap_only_where_they_meet() -> None:
    long = Footprint(0.0, 0.0, np.pi / 4, 0.30, 0.02)
    assert not overlap(long, Footprint(0.10, -0.10, np.pi / 4, 0.30, 0.02))
    assert overlap(long, Footprint(0.10, 0.10, 0.0, 0.05, 0.05))
    assert overlap(Footprint(0, 0, 0, 0.1, 0.1), Footprint(0.11, 0, 0, 0.1, 0.1), gap=0.02)
    assert not overlap(Footprint(0, 0, 0, 0.1, 0.1), Footprint(0.11, 0, 0, 0.1, 0.1))


def test_a_corner_over_the_edge_is_not_on_the_table() -> None:
    assert inside_table(Footprint(0.4, 0.0, 0.0, 0.2, 0.1), 1.0, 0.5)
    assert not inside_table(Footprint(0.4, 0.0, np.pi / 4, 0.2, 0.2), 1.0, 0.5)


def test_pixels_meet_the_table_where_the_camera_looks_and_never_above_the_horizon() -> None:
    camera = Camera((-0.5, 0.2, 0.6), (0.1, 0.05, 0.0), 0.0, np.radians(60), 200, 150)
    assert np.allclose(table_point(camera, 99.5, 74.5), [0.1, 0.05], atol=1e-9)
    flat = Camera((-0.5, 0.0, 0.2), (0.0, 0.0, 0.2), 0.0, np.radians(60), 200, 150)
    assert table_point(flat, 99.5, 20.0) is None
