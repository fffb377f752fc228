from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np

from lisa_ros.simulation.assets import AssetCache
from lisa_ros.simulation.kinds import KINDS
from lisa_ros.simulation.placement import Footprint, inside_table, overlap
from lisa_ros.simulation.sampling import SceneSampler

HELD_OUT = {mesh.identifier for kind in KINDS for mesh in kind.meshes if mesh.held_out}
KINDS_WITH_HELD_OUT = {kind.identifier for kind in KINDS if any(mesh.held_out for mesh in kind.meshes)}


def test_a_scene_depends_on_seed_and_index_alone(box_assets: AssetCache) -> None:
    sampler = SceneSampler(box_assets, 3, 448, 336)
    assert sampler.sample(7) == SceneSampler(box_assets, 3, 448, 336).sample(7)
    assert sampler.sample(7) != sampler.sample(8)
    assert sampler.sample(7) != replace(sampler, seed=4).sample(7)


def test_objects_stand_on_the_table_and_do_not_overlap(box_assets: AssetCache) -> None:
    sampler = SceneSampler(box_assets, 1, 448, 336)
    for scene in map(sampler.sample, range(40)):
        prints = []
        for item in scene.objects:
            width, depth, _ = box_assets.meshes[item.mesh].poses[item.pose].size
            prints.append(Footprint(item.x, item.y, item.yaw, item.scale * width, item.scale * depth))
        assert all(inside_table(one, scene.table.width, scene.table.depth) for one in prints)
        assert not any(overlap(one, other) for one, other in combinations(prints, 2))


def test_scenes_vary_in_number_and_repeat_a_kind_at_times(box_assets: AssetCache) -> None:
    scenes = [SceneSampler(box_assets, 2, 448, 336).sample(index) for index in range(120)]
    counts = [len(scene.objects) for scene in scenes]
    repeated = [len({item.kind for item in scene.objects}) < len(scene.objects) for scene in scenes]
    assert min(counts) <= 6 and max(counts) >= 10
    assert 0.1 < np.mean(repeated) < 0.6


def test_cameras_keep_their_ranges(box_assets: AssetCache) -> None:
    for index in range(60):
        camera = SceneSampler(box_assets, 5, 448, 336).sample(index).camera
        away = np.array(camera.position) - np.array(camera.target)
        pitch = np.degrees(np.arcsin(away[2] / np.linalg.norm(away)))
        assert 0.55 <= np.linalg.norm(away) <= 1.1
        assert 25.0 <= pitch <= 70.0
        assert 42.0 <= np.degrees(camera.field_of_view) <= 65.0
        assert np.allclose(camera.pose[:3, :3] @ camera.pose[:3, :3].T, np.eye(3))
        assert np.isclose(np.linalg.det(camera.pose[:3, :3]), 1.0)


def test_held_out_meshes_are_kept_from_training_and_used_when_asked_for(box_assets: AssetCache) -> None:
    for index in range(40):
        train = SceneSampler(box_assets, 6, 448, 336, "train").sample(index)
        held_out = SceneSampler(box_assets, 6, 448, 336, "held_out").sample(index)
        assert not HELD_OUT & {item.mesh for item in train.objects}
        assert all(item.mesh in HELD_OUT for item in held_out.objects if item.kind in KINDS_WITH_HELD_OUT)
