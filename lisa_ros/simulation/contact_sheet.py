"""One picture that shows many frames at a glance, every object outlined and named."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from lisa_ros.simulation.frames import Frame, FrameFolder

COLUMNS = 6
PALETTE = ((230, 60, 60), (60, 180, 75), (255, 205, 25), (70, 110, 230), (245, 130, 48), (145, 60, 190), (70, 220, 220))


def write_contact_sheet(folder: FrameFolder, path: Path, count: int = 24) -> None:
    """Write up to ``count`` frames, spread evenly over the folder, as one picture."""
    if len(folder) == 0:
        raise ValueError(f"{folder.path} has no finished frame to show.")
    positions = np.linspace(0, len(folder) - 1, min(count, len(folder))).round().astype(int)
    tiles = [overlay(folder[int(position)]) for position in positions]
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % min(COLUMNS, len(tiles)))
    columns = min(COLUMNS, len(tiles))
    rows = [np.hstack(tiles[start : start + columns]) for start in range(0, len(tiles), columns)]
    path.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(path), np.vstack(rows)[:, :, ::-1]):
        raise OSError(f"The contact sheet {path} could not be written.")


def overlay(frame: Frame) -> NDArray[np.uint8]:
    """Return the picture of a frame with the outline and the kind of every visible object."""
    picture = frame.rgb.copy()
    for number, item in enumerate(frame.objects):
        if not item.visible:
            continue
        colour = PALETTE[number % len(PALETTE)]
        mask = (frame.instance_ids == number + 1).astype(np.uint8)
        outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(picture, outlines, -1, colour, 1)
        place = (item.box[0], max(9, item.box[1] - 2))
        cv2.putText(picture, item.kind, place, cv2.FONT_HERSHEY_SIMPLEX, 0.35, colour, 1, cv2.LINE_AA)
    return picture
