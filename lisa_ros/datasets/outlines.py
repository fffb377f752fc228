"""Masks from the outlines of COCO files: polygons, run lengths as numbers and run lengths as text."""

from __future__ import annotations

from collections.abc import Sequence
from reprlib import repr as shortened
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from lisa_ros.datasets.records import ItemError, Mask

LARGEST_COORDINATE = 32767
"""Pixels; farther points are no outlines, and filling them would take gigabytes."""
SMALLEST_POLYGON = 3


def outline_mask(outline: Any, height: int, width: int, what: str) -> Mask:
    """Return the uint8 ``[height, width]`` mask, 0 or 1, of everything that ``outline`` encloses.

    ``outline`` is a list of polygons ``[x0, y0, x1, y1, ...]`` in pixels, one dictionary of run lengths (``size`` and
    ``counts``) or a list of such. What reaches beyond the image is cut off. ``what`` names the outline in messages.
    Raises ``ItemError`` for a malformed outline and for one that covers no pixel.
    """
    parts = outline if isinstance(outline, list) else [outline]
    if not parts:
        raise ItemError(f"{what} has no outline; the annotation is incomplete.")
    if all(isinstance(part, dict) for part in parts):
        masks = [_filled_runs(part, height, width, what) for part in parts]
        mask = np.logical_or.reduce(masks).astype(np.uint8)
    else:
        mask = _filled_polygons(parts, height, width, what)
    if not mask.any():
        raise ItemError(f"{what} covers no pixel of its image of {width} x {height}; it lies outside or is too small.")
    return mask


def check_points(points: NDArray[np.float64], what: str) -> None:
    """Raise ``ItemError`` unless ``points`` are finite and near an image; shape ``[n, 2]``, in pixels."""
    if not (np.abs(points) <= LARGEST_COORDINATE).all():
        raise ItemError(
            f"{what} has the coordinates {shortened(points.ravel().tolist())}; "
            f"they must be numbers of at most {LARGEST_COORDINATE} pixels."
        )


def _filled_polygons(parts: Sequence[Any], height: int, width: int, what: str) -> Mask:
    polygons = [_points(part, what) for part in parts]
    # A part of one or two points encloses nothing, and pycocotools would take two points for a box.
    coordinates = [points.ravel().tolist() for points in polygons if len(points) >= SMALLEST_POLYGON]
    if not coordinates:
        raise ItemError(f"{what} has fewer than {SMALLEST_POLYGON} points; it encloses nothing.")
    runs = coco_mask.merge(coco_mask.frPyObjects(coordinates, height, width))
    return _filled_runs(runs, height, width, what).astype(np.uint8)


def _points(part: Any, what: str) -> NDArray[np.float64]:
    try:
        numbers = np.asarray(part, np.float64)
    except (TypeError, ValueError, OverflowError):
        numbers = np.empty(0)
    if numbers.ndim != 1 or numbers.size == 0 or numbers.size % 2:
        raise ItemError(f"{what} has the polygon {shortened(part)}; it must be a list of pairs of numbers.")
    points = numbers.reshape(-1, 2)
    check_points(points, what)
    return points


def _filled_runs(runs: dict[str, Any], height: int, width: int, what: str) -> NDArray[np.bool_]:
    """Fill run lengths, which go down the columns and start with background.

    ``pycocotools`` is not asked: it leaves pixels unset where the runs of a damaged file end too early.
    """
    size, counts = runs.get("size"), runs.get("counts")
    if size != [height, width]:
        raise ItemError(f"{what} has run lengths for the size {size!r}, its image has {[height, width]}.")
    counts = counts.encode() if isinstance(counts, str) else counts
    lengths: Any = _run_lengths(counts) if isinstance(counts, bytes) else counts
    whole_numbers = isinstance(lengths, list) and all(type(length) is int and length >= 0 for length in lengths)
    if not whole_numbers or sum(lengths) != height * width:
        raise ItemError(f"{what} has the run lengths {shortened(counts)}, which do not add up to its image.")
    return np.repeat(np.arange(len(lengths)) % 2 == 1, lengths).reshape(width, height).T


def _run_lengths(text: bytes) -> list[int]:
    """Decode COCO's text form of run lengths: 5 bits a character, 32 marks more to come, 16 the sign.

    From the fourth number on, each is the difference to the last but one.
    """
    lengths: list[int] = []
    value = shift = 0
    for character in text:
        bits = character - 48
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        lengths.append(value + lengths[-2] if len(lengths) > 2 else value)
        value = shift = 0
    return lengths
