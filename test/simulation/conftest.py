"""An asset cache of plain boxes for tests that draw nothing, and the real one for tests that do."""

from __future__ import annotations

from pathlib import Path

import pytest

from lisa_ros.simulation.assets import AssetCache, MeshAsset, PartAsset, default_cache, load_assets
from lisa_ros.simulation.kinds import KINDS
from lisa_ros.simulation.normalising import Pose
from lisa_ros.simulation.sources import AssetError

UPRIGHT = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))


@pytest.fixture
def box_assets() -> AssetCache:
    """A cache in memory whose meshes are 6 x 9 x 5 cm boxes; its files do not exist."""
    part = PartAsset("part0.obj", "", (0.5, 0.4, 0.3, 1.0), 0.1, 0.1)
    pose = Pose(UPRIGHT, (0.0, 0.0, 0.0), (0.06, 0.09, 0.05))
    meshes = {
        source.identifier: MeshAsset(
            source.identifier, kind.identifier, source.held_out, "CC0-1.0", "nobody", "box", (part,), (pose,), {}
        )
        for kind in KINDS
        for source in kind.meshes
    }
    return AssetCache(Path("nowhere"), meshes, ("wood", "stone"))


@pytest.fixture(scope="session")
def real_assets() -> AssetCache:
    """The objects that `lisa simulate --fetch-assets` fetched."""
    try:
        return load_assets(default_cache())
    except AssetError as error:
        pytest.skip(str(error))
