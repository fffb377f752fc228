from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lisa_ros.simulation.assets import AssetCache, PartAsset
from lisa_ros.simulation.photo_materials import flat_colour, is_metal, part_material

STEEL = PartAsset("part0.obj", "", (0.64, 0.64, 0.64, 1.0), 0.5, 0.75)


@pytest.mark.parametrize(
    ("kind", "colour", "metal"),
    [
        ("fork", (0.64, 0.64, 0.64, 1.0), True),
        ("plate", (0.64, 0.64, 0.64, 1.0), False),
        ("scissors", (0.7, 0.33, 0.0, 1.0), False),
        ("knife", (0.01, 0.01, 0.01, 1.0), False),
        ("keys", (0.53, 0.45, 0.23, 1.0), True),
    ],
)
def test_the_grey_parts_of_cutlery_are_steel(kind: str, colour: tuple, metal: bool) -> None:
    assert is_metal(kind, replace(STEEL, colour=colour)) is metal


def test_clear_parts_are_glass_and_opaque_ones_are_not(box_assets: AssetCache) -> None:
    glass = next(mesh for mesh in box_assets.meshes.values() if mesh.kind == "drinking_glass")
    clear = part_material(glass, STEEL, (0.6, 0.6, 0.6, 0.25), box_assets, None)
    milky = part_material(glass, STEEL, (0.6, 0.6, 0.6, 0.7), box_assets, None)
    solid = part_material(glass, STEEL, (0.6, 0.6, 0.6, 1.0), box_assets, None)
    assert clear["type"] == milky["type"] == "blendbsdf"
    assert 0.0 < clear["weight"] < milky["weight"] < 1.0
    assert solid["surface"]["type"] == "principled"


def test_colours_become_light() -> None:
    assert flat_colour(np.array([0.5, 0.5, 0.5]))["value"] == pytest.approx([0.214] * 3, abs=1e-3)
