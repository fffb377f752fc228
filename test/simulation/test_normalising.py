from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lisa_ros.simulation.kinds import MeshSource
from lisa_ros.simulation.normalising import normalise
from lisa_ros.simulation.primitives import rounded_box
from lisa_ros.simulation.sources import AssetError
from lisa_ros.simulation.wavefront import Material

SOURCE = MeshSource("tin", "scopia", "tin.obj", "nobody", 0.3)


def tin() -> list:
    """A y-up tin, 2 wide, 6 high and 1 deep in its own units, far from its origin, with a lid of another group."""
    body = rounded_box((2.0, 6.0, 1.0), 0.1, (10.0, 3.0, -4.0), Material("metal"))
    lid = replace(rounded_box((2.0, 0.2, 1.0), 0.05, (10.0, 6.0, -4.0), Material("paper")), group="lid")
    return [body, lid]


def test_an_object_stands_in_metres_on_the_middle_of_its_foot() -> None:
    parts, poses = normalise(tin(), SOURCE)
    points = np.concatenate([part.vertices for part in parts])
    assert np.allclose(np.ptp(points, axis=0), np.array([2.0, 1.0, 6.1]) * 0.3 / 6.1, atol=1e-6)
    assert np.allclose((points.min(axis=0) + points.max(axis=0))[:2], 0.0, atol=1e-6)
    assert np.isclose(points[:, 2].min(), 0.0, atol=1e-6)
    assert len(poses) == 1


def test_flat_objects_are_laid_along_x() -> None:
    _, poses = normalise(tin(), replace(SOURCE, rest="flat"))
    width, depth, height = poses[0].size
    assert np.isclose(width, 0.3, atol=2e-3)
    assert height < depth < width


def test_every_pose_touches_the_table_and_no_pose_sinks() -> None:
    parts, poses = normalise(tin(), replace(SOURCE, lies=True))
    points = np.concatenate([part.vertices for part in parts])
    assert len(poses) > 1
    for pose in poses:
        placed = points @ np.array(pose.rotation).T + pose.offset
        assert np.isclose(placed[:, 2].min(), 0.0, atol=1e-6)
        assert np.allclose(np.ptp(placed, axis=0), pose.size, atol=1e-6)


def test_a_cut_keeps_its_groups_and_an_unknown_group_is_named() -> None:
    parts, _ = normalise(tin(), replace(SOURCE, cut=("lid",)))
    assert [part.material.name for part in parts] == ["paper"]
    with pytest.raises(AssetError, match="no group handle; its groups are lid, metal"):
        normalise(tin(), replace(SOURCE, cut=("handle",)))
