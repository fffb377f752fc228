from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lisa_ros.simulation.frames import (
    DatasetInfo,
    Frame,
    FrameCamera,
    FrameError,
    FrameFolder,
    FrameObject,
    finished_frames,
    start_folder,
    write_frame,
)

INFO = DatasetInfo(seed=1, split="train", width=40, height=30)


def make_frame() -> Frame:
    ids = np.zeros((30, 40), np.uint8)
    ids[5:20, 10:30] = 1
    camera = FrameCamera(np.array([[30.0, 0, 19.5], [0, 30.0, 14.5], [0, 0, 1]]), np.eye(4), 40, 30)
    pose = np.eye(4)
    pose[:3, 3] = (0.1, 0.2, 0.9)
    shown = FrameObject("cup", "mug", pose, pose, (0.1, 0.1, 0.12), 300, (10, 5, 30, 20))
    hidden = FrameObject("fork", "fork", pose, pose, (0.2, 0.02, 0.01), 12, (1, 1, 4, 5))
    depth = np.full((30, 40), 0.9, np.float32)
    return Frame(np.full((30, 40, 3), (200, 30, 60), np.uint8), ids, (shown, hidden), camera, depth)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    start_folder(tmp_path, INFO)
    write_frame(tmp_path, 4, make_frame())
    return tmp_path


def test_a_frame_reads_back_as_it_was_written(folder: Path) -> None:
    frames, written = FrameFolder(folder), make_frame()
    read = frames[0]
    assert (len(frames), frames.indices, frames.info) == (1, [4], INFO)
    assert np.array_equal(read.instance_ids, written.instance_ids)
    assert np.abs(read.rgb.astype(int) - written.rgb).max() <= 4
    assert np.allclose(read.depth, 0.9, atol=5e-4)
    assert [item.visible for item in read.objects] == [True, False]
    assert read.objects[0].box == (10, 5, 30, 20)
    assert np.allclose(read.objects[0].pose, written.objects[0].pose)
    assert np.allclose(read.camera.matrix, written.camera.matrix)


def test_a_frame_without_its_json_is_not_finished(folder: Path) -> None:
    (folder / "frames" / "000004.json").unlink()
    assert finished_frames(folder) == []
    assert len(FrameFolder(folder)) == 0


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".json"])
def test_a_corrupt_file_is_named_in_one_sentence(folder: Path, suffix: str) -> None:
    (folder / "frames" / f"000004{suffix}").write_bytes(b"not what it says")
    with pytest.raises(FrameError, match=rf"000004\{suffix} is corrupt.*simulate again"):
        FrameFolder(folder)[0]


def test_a_missing_picture_and_a_missing_folder_are_named(folder: Path, tmp_path: Path) -> None:
    (folder / "frames" / "000004.jpg").unlink()
    with pytest.raises(FrameError, match=r"000004\.jpg is missing"):
        FrameFolder(folder)[0]
    with pytest.raises(FrameError, match=r"dataset\.json cannot be read"):
        FrameFolder(tmp_path / "elsewhere")


def test_a_folder_of_other_frames_is_not_continued(folder: Path) -> None:
    start_folder(folder, INFO)
    with pytest.raises(FrameError, match="choose another folder"):
        start_folder(folder, DatasetInfo(seed=2, split="train", width=40, height=30))
