"""A tiny folder of frames with known answers of the scripted backend, which finds the middle third of every image."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

from lisa_ros.scripted import rectangle_in_the_middle
from lisa_ros.simulation.frames import DatasetInfo, Frame, FrameCamera, start_folder, write_frame

if importlib.util.find_spec("rclpy") is None:
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    """Two frames of different size, so that an answer about the wrong one shows."""
    folder = tmp_path / "table"
    start_folder(folder, DatasetInfo(seed=0, split="demo", width=66, height=48))
    write_frame(folder, 3, make_frame(48, 66))
    write_frame(folder, 5, make_frame(60, 36))
    requests = [
        request(3, "the middle", [1]),
        request(5, "the middle", [1]),
        request(5, "the corner", [2]),
        request(3, "the unicorn", [], "absent"),
    ]
    (folder / "requests.json").write_text(json.dumps(requests))
    return folder


def make_frame(height: int, width: int) -> Frame:
    """Instance 1 is the middle third, instance 2 a corner."""
    ids = rectangle_in_the_middle((height, width)).mask.astype(np.uint8)
    ids[:10, :10] = 2
    camera = FrameCamera(np.array([[50.0, 0, width / 2], [0, 50.0, height / 2], [0, 0, 1]]), np.eye(4), width, height)
    return Frame(np.full((height, width, 3), 90, np.uint8), ids, (), camera, np.full((height, width), 0.75, np.float32))


def request(frame: int, text: str, target_ids: list[int], request_type: str = "present") -> dict[str, object]:
    """One entry of the file of requests."""
    return {"frame": frame, "text": text, "kind": "cup", "target_ids": target_ids, "request_type": request_type}
