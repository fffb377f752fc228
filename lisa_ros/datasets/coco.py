"""Annotation files in the format of COCO, kept small: what no reader needs is dropped while the file is parsed.

A file of half a million outlines of 30 points takes about 500 MB this way, and 300 MB more while it is read.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lisa_ros.datasets.annotation_files import field, malformed, read_json

Identifier = int | str
"""What images and annotations are numbered by; refCLEF numbers its annotations by text."""


@dataclass(frozen=True, slots=True)
class CocoImage:
    """One image of the file; ``file_name`` is relative to the folder of the images, sizes are in pixels."""

    identifier: Identifier
    file_name: str
    height: int
    width: int


@dataclass(frozen=True, slots=True)
class CocoAnnotation:
    """One outlined thing; ``outline`` is what ``outlines.outline_mask`` takes."""

    identifier: Identifier
    image: Identifier
    category: int | None
    is_crowd: bool
    outline: Any


@dataclass(frozen=True, slots=True)
class CocoFile:
    """The images, annotations and category names of a file by their identifiers, in the order of the file."""

    images: dict[Identifier, CocoImage]
    annotations: dict[Identifier, CocoAnnotation]
    categories: dict[int, str]


def read_coco(path: Path) -> CocoFile:
    """Read a file in COCO's format.

    Raises ``DatasetError`` for a damaged file, missing keys, wrong types and identifiers that stand twice.
    """

    def compact(entry: dict[str, Any]) -> Any:
        return _annotation(entry, path) if "segmentation" in entry else entry

    data = read_json(path, compact)
    images: dict[Identifier, CocoImage] = {}
    for index, entry in enumerate(field(data, "images", list, path, "the file")):
        image = _image(entry, path, f"images[{index}]")
        _add(images, image.identifier, image, path, "images")
    annotations: dict[Identifier, CocoAnnotation] = {}
    for index, entry in enumerate(field(data, "annotations", list, path, "the file")):
        if not isinstance(entry, CocoAnnotation):
            field(entry, "segmentation", (list, dict), path, f"annotations[{index}]")
        _add(annotations, entry.identifier, entry, path, "annotations")
    return CocoFile(images, annotations, _categories(data, path))


def _image(entry: Any, path: Path, place: str) -> CocoImage:
    identifier = field(entry, "id", (int, str), path, place)
    file_name = field(entry, "file_name", str, path, place)
    height, width = field(entry, "height", int, path, place), field(entry, "width", int, path, place)
    return CocoImage(identifier, file_name, height, width)


def _annotation(entry: dict[str, Any], path: Path) -> CocoAnnotation:
    identifier = field(entry, "id", (int, str), path, "an annotation")
    place = f"the annotation {identifier!r}"
    image = field(entry, "image_id", (int, str), path, place)
    category = field(entry, "category_id", int, path, place) if "category_id" in entry else None
    outline = field(entry, "segmentation", (list, dict), path, place)
    return CocoAnnotation(identifier, image, category, bool(entry.get("iscrowd", 0)), _compact_outline(outline))


def _compact_outline(outline: Any) -> Any:
    """Turn lists of coordinates, 32 bytes a number, into arrays; what is malformed stays for whoever makes the mask."""
    if not isinstance(outline, list):
        return outline
    try:
        return [np.asarray(part, np.float64) if isinstance(part, list) else part for part in outline]
    except (TypeError, ValueError, OverflowError):
        return outline


def _categories(data: dict[str, Any], path: Path) -> dict[int, str]:
    categories: dict[int, str] = {}
    for index, entry in enumerate(field(data, "categories", list, path, "the file")):
        place = f"categories[{index}]"
        name = field(entry, "name", str, path, place)
        _add(categories, field(entry, "id", int, path, place), name, path, "categories")
    return categories


def _add(table: dict[Any, Any], identifier: Identifier, value: Any, path: Path, where: str) -> None:
    if identifier in table:
        raise malformed(path, f"the id {identifier!r} stands twice in {where}")
    table[identifier] = value
