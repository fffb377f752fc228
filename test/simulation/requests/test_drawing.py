from __future__ import annotations

import json
import re

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
from lisa_ros.simulation.requests.bank import load_bank
from lisa_ros.simulation.requests.drawing import draw_requests, kinds_in_view, write_requests
from lisa_ros.simulation.requests.sampling import RequestSplit, RequestType, Shares

BANK = load_bank()
SCENES = [
    [("knife", 900), ("cup", 2000)],
    [("scissors", 700), ("fork", 90), ("plate", 4000)],
    [("cup", 800), ("cup", 20), ("banana", 1500)],
    [("teapot", 1000)],
    [("book", 3000), ("keys", 400)],
]


def make_frame(objects, size=(480, 640)):
    """A frame of which only its size and the kinds and visible pixels of its objects matter."""
    pose = np.eye(4)
    known = tuple(
        FrameObject(kind, kind, pose, pose, (0.1, 0.1, 0.1), pixels, (0, 0, 9, 9)) for kind, pixels in objects
    )
    camera = FrameCamera(np.eye(3), pose, size[1], size[0])
    return Frame(np.zeros((*size, 3), np.uint8), np.zeros(size, np.uint8), known, camera, None)


@pytest.fixture
def folder(tmp_path):
    """Ten frames with gaps in their indices."""
    start_folder(tmp_path, DatasetInfo(1, "train", 80, 60))
    for number in range(10):
        write_frame(tmp_path, 3 * number, make_frame(SCENES[number % len(SCENES)], (60, 80)))
    return FrameFolder(tmp_path)


def test_one_large_enough_instance_brings_all_that_are_seen():
    kinds, areas = ["cup", "fork", "cup", "cup", "plate", "fork"], [200, 30, 1, 0, 0, 49]
    assert kinds_in_view(kinds, areas, 50) == ({"cup": [1, 3]}, {"fork"})
    assert kinds_in_view(kinds, areas, 49) == ({"cup": [1, 3], "fork": [2, 6]}, set())
    assert kinds_in_view([], [], 50) == ({}, set())


def test_kinds_and_areas_belong_together():
    with pytest.raises(ValueError, match="shorter"):
        kinds_in_view(["cup", "fork"], [5], 1)


def test_the_smallest_object_grows_with_the_picture():
    for size, pixels, asked in (((480, 640), 149, False), ((480, 640), 151, True), ((240, 320), 40, True)):
        frame = make_frame([("cup", 9000), ("fork", pixels)], size)
        requests = draw_requests(frame, np.random.default_rng(0), 200, RequestSplit.TRAIN)
        assert ("fork" in {request.kind for request in requests}) == asked


def test_drawing_depends_on_the_frame_and_the_generator_alone():
    frame = make_frame(SCENES[0])
    first, second, other = (
        draw_requests(frame, np.random.default_rng(seed), 20, RequestSplit.TRAIN) for seed in (1, 1, 2)
    )
    assert first == second != other
    (absent,) = draw_requests(frame, np.random.default_rng(1), 1, RequestSplit.TRAIN, Shares(absent=1, out_of_domain=0))
    assert absent.request_type is RequestType.ABSENT


@pytest.mark.parametrize("split", RequestSplit)
def test_a_file_of_requests_asks_about_every_frame_and_sometimes_about_what_is_not_there(folder, split):
    entries = json.loads(write_requests(folder, split, seed=7).read_text())
    present = [entry for entry in entries if entry["request_type"] == "present"]
    absent = [entry for entry in entries if entry["request_type"] != "present"]
    assert [entry["frame"] for entry in present] == folder.indices
    assert [entry["frame"] for entry in absent] == [folder.indices[4], folder.indices[9]]
    for entry in present:
        kinds = [placed.kind for placed in folder[folder.indices.index(entry["frame"])].objects]
        assert entry["target_ids"] == [i for i, kind in enumerate(kinds, start=1) if kind == entry["kind"]]
        names = BANK.kinds[entry["kind"]]
        assert not re.search(rf"\b({names.name}|{names.plural})\b", entry["text"], re.IGNORECASE)
    for entry in absent:
        kinds = [placed.kind for placed in folder[folder.indices.index(entry["frame"])].objects]
        assert entry["target_ids"] == [] and entry["kind"] not in kinds


def test_a_written_request_never_calls_the_thing_by_its_name(tmp_path):
    start_folder(tmp_path, DatasetInfo(1, "train", 80, 60))
    write_frame(tmp_path, 0, make_frame([("knife", 900)], (60, 80)))
    folder = FrameFolder(tmp_path)
    written = [json.loads(write_requests(folder, RequestSplit.TRAIN, seed).read_text())[0] for seed in range(60)]
    by_name = [w.text for m in BANK.kinds["knife"].meanings if m.sort == "name" for w in m.training]
    assert by_name and len({entry["text"] for entry in written}) > 40
    assert not [entry["text"] for entry in written if any(text in entry["text"] for text in by_name)]


def test_a_file_of_requests_depends_on_frames_and_seed_alone(folder):
    path = write_requests(folder, RequestSplit.TRAIN, seed=1)
    first = path.read_text()
    assert path == folder.path / "requests.json"
    assert write_requests(folder, RequestSplit.TRAIN, seed=1).read_text() == first
    assert write_requests(folder, RequestSplit.TRAIN, seed=2).read_text() != first
    (folder.path / "frames" / "000000.json").unlink()
    fewer = json.loads(write_requests(FrameFolder(folder.path), RequestSplit.TRAIN, seed=1).read_text())
    kept = [entry for entry in json.loads(first) if entry["frame"] and entry["request_type"] == "present"]
    assert [entry for entry in fewer if entry["request_type"] == "present"] == kept


@pytest.mark.parametrize("split", RequestSplit)
def test_every_kind_can_be_asked_for_without_its_name(split):
    for kind in BANK.kinds:
        requests = draw_requests(make_frame([(kind, 5000)]), np.random.default_rng(0), 60, split, Shares(0, 0))
        assert {request.sort for request in requests} - {"name"}
