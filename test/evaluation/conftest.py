"""A folder of frames with known objects for the benchmark."""

from __future__ import annotations

import numpy as np
import pytest

from lisa_ros.simulation.frames import (
    DatasetInfo,
    Frame,
    FrameCamera,
    FrameFolder,
    FrameObject,
    start_folder,
    write_frame,
)

HEIGHT, WIDTH = 60, 80
SCENES = {
    2: [("cup", (5, 5, 30, 35)), ("knife", (40, 10, 75, 20)), ("cup", (50, 30, 70, 55))],
    5: [("banana", (10, 10, 60, 40))],
    9: [],
}


@pytest.fixture
def frames(tmp_path):
    """Frames 2, 5 and 9: two cups and a knife, a banana, an empty table."""
    start_folder(tmp_path / "frames_folder", DatasetInfo(1, "test", WIDTH, HEIGHT))
    for index, objects in SCENES.items():
        write_frame(tmp_path / "frames_folder", index, _frame(index, objects))
    return FrameFolder(tmp_path / "frames_folder")


def _frame(index, objects):
    ids = np.zeros((HEIGHT, WIDTH), np.uint8)
    for number, (_, (left, top, right, bottom)) in enumerate(objects, start=1):
        ids[top:bottom, left:right] = number
    pose, areas = np.eye(4), np.bincount(ids.ravel(), minlength=256)
    known = tuple(
        FrameObject(kind, kind, pose, pose, (0.1, 0.1, 0.1), int(areas[number]), box)
        for number, (kind, box) in enumerate(objects, start=1)
    )
    camera = FrameCamera(np.eye(3), pose, WIDTH, HEIGHT)
    return Frame(np.full((HEIGHT, WIDTH, 3), 20 * index, np.uint8), ids, known, camera, None)
