from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from lisa_ros.simulation.assets import AssetCache, default_cache, load_assets
from lisa_ros.simulation.kinds import KINDS
from lisa_ros.simulation.sources import AssetError, fetch_archives


def test_a_missing_or_old_cache_is_answered_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(AssetError, match="lisa simulate --fetch-assets"):
        load_assets(tmp_path / "empty")
    (tmp_path / "manifest.json").write_text(json.dumps({"version": 0, "meshes": [], "surfaces": []}))
    with pytest.raises(AssetError, match=r"has version 0.*--fetch-assets"):
        load_assets(tmp_path)


def test_the_cache_can_be_moved(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LISA_ROS_ASSETS", str(tmp_path))
    assert default_cache() == tmp_path
    monkeypatch.delenv("LISA_ROS_ASSETS")
    assert default_cache().parts[-2:] == ("lisa_ros", "assets")


def test_sources_that_cannot_be_had_are_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("lisa_ros.simulation.sources.INSTALLED_MODELS", Path("/nowhere/furniture"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(AssetError, match=r"apt-get does not exist here; install it with `sudo apt install"):
        fetch_archives(tmp_path)


def test_the_manifest_covers_every_mesh_of_every_kind(real_assets: AssetCache) -> None:
    assert set(real_assets.meshes) == {mesh.identifier for kind in KINDS for mesh in kind.meshes}
    assert len(real_assets.surfaces) >= 20


def test_files_have_the_digests_of_the_manifest(real_assets: AssetCache) -> None:
    for mesh in list(real_assets.meshes.values())[::20]:
        for name, digest in mesh.sha256.items():
            assert hashlib.sha256(real_assets.part_path(mesh, name).read_bytes()).hexdigest() == digest
