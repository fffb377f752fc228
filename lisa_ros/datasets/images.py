"""Pictures and label maps found in folders and read from their files, the same way for every data set."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps

from lisa_ros.datasets.records import DatasetError, ItemError

READING_FAULTS = (OSError, ValueError, SyntaxError, struct.error, Image.DecompressionBombError)
"""What Pillow raises for files that are cut off, damaged, oversized or no pictures at all."""
SIDEWAYS = (5, 6, 7, 8)
"""EXIF orientations of which height and width are exchanged."""


def stems_in(folder: Path, *suffixes: str) -> list[str]:
    """Return the names without suffix of all files with one of ``suffixes``, sorted, hidden files left out.

    Raises ``DatasetError`` for a folder that is missing or holds none.
    """
    try:
        paths = [path for path in folder.iterdir() if path.suffix in suffixes and not path.name.startswith(".")]
    except OSError as error:
        reason = error.strerror or str(error)
        raise DatasetError(f"The folder {folder} cannot be read ({reason}); copy it from the data set.") from error
    if not paths:
        raise DatasetError(f"The folder {folder} holds no {' or '.join(suffixes)}; copy them there from the data set.")
    return sorted({path.stem for path in paths})


def read_rgb(path: Path) -> NDArray[np.uint8]:
    """Return a picture as uint8 RGB ``[H, W, 3]``, turned upright by its EXIF orientation as the reference does.

    Raises ``ItemError`` for a file that is missing, cut off or no picture.
    """
    with _opened(path) as image:
        return np.array(ImageOps.exif_transpose(image).convert("RGB"))


def image_size(path: Path) -> tuple[int, int]:
    """Return ``(height, width)`` of what ``read_rgb`` would return from the header alone; raises ``ItemError``."""
    with _opened(path) as image:
        sideways = image.getexif().get(ExifTags.Base.Orientation) in SIDEWAYS
        return (image.width, image.height) if sideways else (image.height, image.width)


def read_labels(path: Path) -> NDArray[np.uint8]:
    """Return a label map as uint8 ``[H, W]``; of a picture with a palette the indices count, not its colours.

    Raises ``ItemError`` for a file that is missing or cut off, or that has no single channel of bytes.
    """
    with _opened(path) as image:
        if image.mode not in ("L", "P"):
            raise ItemError(f"The label map {path} has the mode {image.mode}; it must be one channel of 8 bits.")
        return np.array(image)


def require_size(path: Path, size: tuple[int, int], what: str) -> None:
    """Raise ``ItemError`` unless the picture at ``path`` has the ``(height, width)`` of ``what`` ("its label map")."""
    found = image_size(path)
    if found != size:
        raise ItemError(
            f"The image {path} has {found[1]} x {found[0]} pixels, {what} {size[1]} x {size[0]}; "
            "they do not belong together."
        )


def require_file(path: Path) -> None:
    """Raise ``ItemError`` unless the image file exists."""
    if not path.is_file():
        raise ItemError(f"The image {path} is missing; copy it there from the data set.")


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    require_file(path)
    try:
        with Image.open(path) as image:
            yield image
    except READING_FAULTS as error:
        raise ItemError(f"The image {path} cannot be read ({error}); copy it again from the data set.") from error
