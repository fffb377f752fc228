from __future__ import annotations

from itertools import product

import numpy as np

from lisa_ros.simulation.resting import stable_rests


def box(width: float, depth: float, height: float) -> np.ndarray:
    return np.array(list(product((0.0, width), (0.0, depth), (0.0, height))))


def test_a_brick_rests_on_its_six_sides_the_largest_first() -> None:
    rests = stable_rests(box(0.02, 0.10, 0.05))
    heights = [rest.centre_height for rest in rests]
    assert np.allclose(heights, [0.01, 0.01, 0.025, 0.025, 0.05, 0.05], atol=1e-4)
    lowest = box(0.02, 0.10, 0.05) @ rests[0].rotation.T
    assert np.isclose(np.ptp(lowest[:, 2]), 0.02, atol=1e-4)


def test_a_slanted_tower_does_not_rest_on_its_foot() -> None:
    tower = box(0.02, 0.02, 0.20)
    tower[:, 0] += 0.5 * tower[:, 2]
    assert all(rest.centre_height < 0.05 for rest in stable_rests(tower))


def test_points_without_a_volume_have_no_rest() -> None:
    assert stable_rests(np.zeros((5, 3))) == []
