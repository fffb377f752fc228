"""A user's own picture as a folder of one frame."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from lisa_ros.node.demo.errors import DemoError
from lisa_ros.simulation.frames import DatasetInfo, Frame, FrameCamera, FrameFolder, start_folder, write_frame

LONGEST_SIDE = 1280
"""Larger pictures are scaled down to this many pixels, so that five a second travel well."""


def make_photo_folder(photo: Path, folder: Path) -> FrameFolder:
    """Write a picture as the only frame of a new folder; raises ``DemoError`` when it cannot be read."""
    rgb = read_photo(photo)
    height, width = rgb.shape[:2]
    start_folder(folder, DatasetInfo(seed=0, split="photo", width=width, height=height, renderer="camera"))
    # A matrix of zeros is how a camera says that it was not calibrated (sensor_msgs/CameraInfo).
    camera = FrameCamera(np.zeros((3, 3)), np.eye(4), width, height)
    write_frame(folder, 0, Frame(rgb, np.zeros((height, width), np.uint8), (), camera))
    return FrameFolder(folder)


def read_photo(path: Path) -> NDArray[np.uint8]:
    """Return a picture as uint8 RGB ``[H, W, 3]``, upright, no side longer than ``LONGEST_SIDE``.

    Transparent parts become white. Raises ``DemoError`` with one sentence when the file is no picture that PIL reads.
    """
    try:
        with Image.open(path) as opened:
            picture = _in_colour(ImageOps.exif_transpose(opened))
    except FileNotFoundError as error:
        raise DemoError(f"There is no picture {str(path)!r}; check the path.") from error
    # PIL says SyntaxError of some broken files.
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DemoError(f"{str(path)!r} cannot be read as a picture ({reason}); try a JPEG or PNG file.") from error
    picture.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.LANCZOS)
    return np.asarray(picture)


def _in_colour(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith("I") or picture.mode == "F":  # more than eight bits: spread what is there over eight
        values = np.asarray(picture, np.float32)
        low, high = float(values.min()), float(values.max())
        return Image.fromarray(np.uint8(255.0 * (values - low) / max(high - low, 1.0))).convert("RGB")
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
    return picture.convert("RGB")
