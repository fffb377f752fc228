"""A folder of painted frames: every object is a rectangle of its own colour, on a grey of the frame's own."""

from __future__ import annotations

import numpy as np
import pytest

from lisa_ros.model.configuration import PyramidConfig
from lisa_ros.simulation.frames import (
    DatasetInfo,
    Frame,
    FrameCamera,
    FrameFolder,
    FrameObject,
    start_folder,
    write_frame,
)
from lisa_ros.simulation.kinds import KINDS
from lisa_ros.training.augmentation import AugmentationConfig
from lisa_ros.training.tabletop import TabletopDataset

HEIGHT, WIDTH = 128, 192
COLOURS = [(220, 30, 30), (30, 220, 30), (30, 30, 220)]
BOXES = [(8, 8, 90, 60), (110, 10, 184, 66), (40, 72, 150, 120)]
NO_CHANGE = AugmentationConfig(1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0)


@pytest.fixture
def colours():
    return np.array(COLOURS)


@pytest.fixture
def no_change():
    """Augmentation that leaves a frame as it is."""
    return NO_CHANGE


@pytest.fixture
def write_frames(tmp_path):
    """Write a folder of frames, each a list of ``(kind, colour, box)``; later boxes cover earlier ones."""

    return lambda name, frames: _write(tmp_path / name, frames)


def _write(folder, frames):
    start_folder(folder, DatasetInfo(1, "train", WIDTH, HEIGHT))
    for index, objects in enumerate(frames):
        write_frame(folder, index, _painted(objects, background=60 + 20 * index))
    return FrameFolder(folder)


def _painted(objects, background):
    rgb, ids = np.full((HEIGHT, WIDTH, 3), background, np.uint8), np.zeros((HEIGHT, WIDTH), np.uint8)
    for number, (_, colour, (left, top, right, bottom)) in enumerate(objects, start=1):
        rgb[top:bottom, left:right], ids[top:bottom, left:right] = colour, number
    pose, areas = np.eye(4), np.bincount(ids.ravel(), minlength=256)
    known = tuple(
        FrameObject(kind, kind, pose, pose, (0.1, 0.1, 0.1), int(areas[number]), box)
        for number, (kind, _, box) in enumerate(objects, start=1)
    )
    return Frame(rgb, ids, known, FrameCamera(np.eye(3), pose, WIDTH, HEIGHT), None)


@pytest.fixture(scope="session")
def frames(tmp_path_factory):
    """Six frames of three kinds each, every kind in one frame only; tests must not change them."""
    names = [kind.identifier for kind in KINDS]
    painted = [list(zip(names[3 * i : 3 * i + 3], COLOURS, BOXES, strict=True)) for i in range(6)]
    return _write(tmp_path_factory.mktemp("painted"), painted)


@pytest.fixture
def make_dataset():
    """Make a data set for a network that sees 64 x 96 pixels; options replace the usual ones."""

    def make(*folders, augmentation=NO_CHANGE, **options):
        usual = {
            "requests_per_frame": 6,
            "masks_per_frame": 6,
            "smallest_target": 20,
            "bare_mask_share": 0.0,
            "typing_noise": 0.0,
            "seed": 3,
        }
        return TabletopDataset(list(folders), PyramidConfig((64, 96)), augmentation, **(usual | options))

    return make
