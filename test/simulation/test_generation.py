"""Frames drawn for real, 160 x 120 pixels; skipped where the objects have not been fetched."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lisa_ros.simulation.assets import AssetCache
from lisa_ros.simulation.contact_sheet import write_contact_sheet
from lisa_ros.simulation.frames import Frame, FrameFolder
from lisa_ros.simulation.generation import Generation, generate, missing_frames


@pytest.fixture(scope="module")
def made(real_assets: AssetCache, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("frames")
    generation = Generation(folder, real_assets.folder, 3, 11, 160, 120, "all", depth=True)
    assert list(generate(generation, missing_frames(generation), workers=1)) == [0, 1, 2]
    return folder


def pixels_of(frame: Frame, number: int) -> tuple[np.ndarray, np.ndarray]:
    return np.nonzero(frame.instance_ids == number + 1)


def test_ids_pixels_and_boxes_agree(made: Path) -> None:
    for frame in FrameFolder(made):
        assert frame.instance_ids.max() <= len(frame.objects)
        assert any(item.visible for item in frame.objects)
        for number, item in enumerate(frame.objects):
            rows, columns = pixels_of(frame, number)
            assert item.visible_pixels == len(rows)
            if len(rows):
                assert item.box == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)


def test_the_depth_of_every_object_lies_within_its_box_in_space(made: Path) -> None:
    """Pixels, depth, camera matrix and poses must tell one story."""
    for frame in FrameFolder(made):
        for number, item in enumerate(frame.objects):
            rows, columns = pixels_of(frame, number)
            if not len(rows):
                continue
            distance = frame.depth[rows, columns]
            seen = np.linalg.solve(frame.camera.matrix, np.stack([columns, rows, np.ones(len(rows))])) * distance
            inside = np.linalg.inv(item.pose_camera) @ np.vstack([seen, np.ones(len(rows))])
            half = np.array(item.size) / 2.0
            middle = np.array([0.0, 0.0, half[2]])
            assert (np.abs(inside[:3] - middle[:, None]) <= half[:, None] + 0.006).all(), (item.kind, item.mesh)
            assert np.allclose(frame.camera.pose @ item.pose_camera, item.pose, atol=1e-4)


def test_the_same_seed_and_index_give_the_same_picture(made: Path, real_assets: AssetCache, tmp_path: Path) -> None:
    generation = Generation(tmp_path, real_assets.folder, 3, 11, 160, 120, "all", depth=True)
    missing_frames(generation)
    assert list(generate(generation, [2], workers=1)) == [2]
    for name in ("000002.jpg", "000002.png", "000002_depth.png", "000002.json"):
        assert (tmp_path / "frames" / name).read_bytes() == (made / "frames" / name).read_bytes()
    assert missing_frames(generation) == [0, 1]


def test_a_contact_sheet_shows_every_frame(made: Path, tmp_path: Path) -> None:
    write_contact_sheet(FrameFolder(made), tmp_path / "sheet.png")
    assert (tmp_path / "sheet.png").stat().st_size > 10_000


@pytest.mark.parametrize(("field", "value"), [("frames", 0), ("seed", -1), ("width", 8)])
def test_impossible_orders_are_refused_with_the_value_received(field: str, value: int) -> None:
    order = {"folder": Path("out"), "assets": Path("assets"), "frames": 1, "seed": 0, field: value}
    with pytest.raises(ValueError, match=str(value)):
        Generation(**order)
