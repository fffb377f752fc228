"""The files of ReasonSeg: one JSON an image with instructions and polygons, and the mask that these paint."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from reprlib import repr as shortened
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from lisa_ros.datasets.outlines import check_points
from lisa_ros.datasets.records import IGNORE, ItemError, Mask

LOGGER = logging.getLogger(__name__)
TARGET = 1
POLYGON = "polygon"
SKIPPED_LABEL = "flag"
IGNORED_LABEL = "ignore"
ENCODINGS = ("utf-8-sig", "cp1252")


@dataclass(frozen=True, slots=True)
class Polygon:
    """What is painted with ``value``, ``TARGET`` or ``IGNORE``; ``points`` are int32 ``[n, 2]``, x and y in pixels."""

    value: int
    points: NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Annotation:
    """The content of one JSON file."""

    texts: tuple[str, ...]
    is_sentence: bool
    polygons: tuple[Polygon, ...]


def read_annotation(path: Path) -> Annotation:
    """Read the JSON file of one image, UTF-8 or else Windows-1252.

    Raises ``ItemError`` where it is missing, damaged, asks nothing or outlines nothing: the two files of the test split
    without polygons would be scored as if their images showed nothing to find.
    """
    data = _read_json(path)
    texts, is_sentence, shapes = (_value(data, key, path) for key in ("text", "is_sentence", "shapes"))
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) and text.strip() for text in texts):
        raise ItemError(f"{path}: 'text' is {shortened(texts)}; it must be a list of one instruction or more.")
    if not isinstance(is_sentence, bool):
        raise ItemError(f"{path}: 'is_sentence' is {shortened(is_sentence)}; it must be true or false.")
    if not isinstance(shapes, list):
        raise ItemError(f"{path}: 'shapes' is {shortened(shapes)}; it must be a list of polygons.")
    found = [_polygon(shape, f"{path}: shapes[{index}]") for index, shape in enumerate(shapes)]
    polygons = tuple(polygon for polygon in found if polygon is not None)
    if not polygons:
        raise ItemError(f"{path} has no polygon, so no mask can be made or scored; outline the target.")
    return Annotation(tuple(text.strip() for text in texts), is_sentence, polygons)


def paint(polygons: tuple[Polygon, ...], height: int, width: int, what: str) -> Mask:
    """Return the uint8 ``[height, width]`` mask of ``polygons``, the largest painted first, outlines included.

    The order, the rounding of points towards zero and the drawing are those of the reference
    (utils/data_processing.py); of two polygons of one area the first in the file is painted last, where the reference
    leaves it to the sorting of the machine. What reaches beyond the image is cut off; a polygon that lies wholly
    outside draws nothing and is logged. Raises ``ItemError`` when nothing of any target lies inside.
    """
    areas = []
    for polygon in polygons:
        alone = np.zeros((height, width), np.uint8)
        _draw(alone, polygon, TARGET)
        areas.append(int(np.count_nonzero(alone)))
    targets = [area for area, polygon in zip(areas, polygons, strict=True) if polygon.value == TARGET]
    if targets and not any(targets):
        raise ItemError(f"{what}: every target lies outside the image of {width} x {height}; correct it.")
    if not all(areas):
        LOGGER.warning("%s: %d polygons lie outside the image and draw nothing.", what, areas.count(0))
    mask = np.zeros((height, width), np.uint8)
    for index in np.argsort(areas, kind="stable")[::-1]:
        _draw(mask, polygons[index], polygons[index].value)
    return mask


def _draw(mask: Mask, polygon: Polygon, value: int) -> None:
    # This draws the outline too; the reference's separate drawing of it changes no pixel.
    cv2.fillPoly(mask, [polygon.points], value)


def _read_json(path: Path) -> Any:
    if not path.is_file():
        raise ItemError(f"The annotation file {path} is missing; copy it there from the data set.")
    data = path.read_bytes()
    try:
        return json.loads(_decoded(data))
    except (ValueError, RecursionError) as error:
        raise ItemError(f"{path} is damaged or not JSON ({error}); copy it again from the data set.") from error


def _decoded(data: bytes) -> str:
    try:
        return data.decode(ENCODINGS[0])
    except UnicodeDecodeError:
        return data.decode(ENCODINGS[1])


def _value(data: Any, key: str, path: Path) -> Any:
    if not isinstance(data, dict) or key not in data:
        raise ItemError(f"{path} has no {key!r}; a file of ReasonSeg has 'text', 'is_sentence' and 'shapes'.")
    return data[key]


def _polygon(shape: Any, what: str) -> Polygon | None:
    """Return the polygon of a shape, ``None`` for one labelled "flag": those have no meaning any more."""
    label, points = (shape.get(key) for key in ("label", "points")) if isinstance(shape, dict) else (None, None)
    if not isinstance(label, str):
        raise ItemError(f"{what} has the label {shortened(label)}; it must be 'target', 'ignore' or 'flag'.")
    if label.lower() == SKIPPED_LABEL:
        return None
    try:
        numbers = np.asarray(points, np.float64)
    except (TypeError, ValueError, OverflowError):
        numbers = np.empty(0)
    if numbers.ndim != 2 or numbers.shape[1] != 2 or not len(numbers):
        raise ItemError(f"{what} has the points {shortened(points)}; they must be pairs of numbers.")
    if shape.get("shape_type", POLYGON) != POLYGON:
        raise ItemError(f"{what} is a {shortened(shape['shape_type'])}; draw the outline as a {POLYGON}.")
    check_points(numbers, what)
    return Polygon(IGNORE if IGNORED_LABEL in label.lower() else TARGET, numbers.astype(np.int32))
