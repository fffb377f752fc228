from __future__ import annotations

import numpy as np
import pytest

from lisa_ros.simulation.assets import AssetCache
from lisa_ros.simulation.photo_lights import LAMP_HEIGHTS, lamp_position, sky_picture
from lisa_ros.simulation.sampling import SceneSampler
from lisa_ros.simulation.scenes import Light


@pytest.mark.parametrize("reach", [1.0, 3.0])
def test_lamps_hang_against_their_light_inside_the_room(reach: float) -> None:
    light = Light((-0.8, 0.0, -0.6), (1.0, 1.0, 1.0), True)
    position = lamp_position(light, reach, 1.5)
    assert position[2] == 1.5
    assert np.allclose(position[:2], (min(reach, 2.0), 0.0))


def test_lamps_hang_higher_than_every_camera(box_assets: AssetCache) -> None:
    heights = [SceneSampler(box_assets, 3, 64, 48).sample(index).camera.position[2] for index in range(200)]
    assert max(heights) < LAMP_HEIGHTS[0]


def test_no_light_comes_from_behind_the_walls() -> None:
    picture = sky_picture(np.array([0.3, 0.3, 0.3]), np.radians(30.0), np.random.default_rng(0))
    rows = picture.max(axis=(1, 2))
    assert (rows[:10] > 0.0).all()
    assert (rows[11:] == 0.0).all()
