"""Reasoning segmentation: ReasonSeg, images with implicit instructions, one target each and some explanations."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from lisa_ros.answers import Turn
from lisa_ros.datasets.annotation_files import field, malformed, read_json
from lisa_ros.datasets.images import image_size, require_file, stems_in
from lisa_ros.datasets.reason_seg_files import Polygon, paint, read_annotation
from lisa_ros.datasets.records import AnnotatedImage, Mask, Referent

LOGGER = logging.getLogger(__name__)
SPLITS = ("train", "val", "test", "train_val")
"""Parts that can be opened; the published LISA of version 1 learned from train and val together."""
EXPLAINED_SPLIT = "train"


@dataclass(slots=True, eq=False)
class ReasonSegDataset:
    """Images with one referent each; ``stems`` are the files without their suffixes, in order."""

    name: str
    stems: tuple[Path, ...]
    explanations: Mapping[str, tuple[Turn, ...]]

    def __len__(self) -> int:
        return len(self.stems)

    def __getitem__(self, index: int) -> AnnotatedImage:
        """Return the instructions about one image; raises ``ItemError`` where its files are missing or unusable."""
        stem = self.stems[index]
        image_path, annotation_path = stem.with_name(f"{stem.name}.jpg"), stem.with_name(f"{stem.name}.json")
        require_file(image_path)
        annotation = read_annotation(annotation_path)
        mask = partial(_mask, image_path, annotation_path, annotation.polygons)
        referent = Referent(annotation.texts, annotation.is_sentence, mask)
        return AnnotatedImage(
            stem.name, image_path, (referent,), explanations=self.explanations.get(image_path.name, ())
        )


def open_reason_seg(name: str, root: Path, split: str) -> ReasonSegDataset:
    """Open ``reason_seg/ReasonSeg/SPLIT``; explanations belong to the images of the training split.

    Raises ``DatasetError`` where the folder is missing or empty or the explanations are damaged.
    """
    folder = root / "reason_seg" / "ReasonSeg"
    parts = split.split("_")
    # An image without its annotation file or the other way round is an item too, so that its fault is noticed.
    stems = tuple(folder / part / stem for part in parts for stem in stems_in(folder / part, ".jpg", ".json"))
    explained = EXPLAINED_SPLIT in parts
    return ReasonSegDataset(name, stems, _explanations(folder / "explanatory" / "train.json") if explained else {})


def _explanations(path: Path) -> dict[str, tuple[Turn, ...]]:
    if not path.is_file():
        LOGGER.warning("%s is not there, so answers come without explanations; data of your own need none.", path)
        return {}
    entries = read_json(path)
    if not isinstance(entries, list):
        raise malformed(path, "the file holds no list of explanations")
    explanations: dict[str, tuple[Turn, ...]] = {}
    for index, entry in enumerate(entries):
        image, query, outputs = (
            field(entry, key, str, path, f"entry {index}") for key in ("image", "query", "outputs")
        )
        explanations[image] = (*explanations.get(image, ()), Turn(query, outputs))
    return explanations


def _mask(image_path: Path, annotation_path: Path, polygons: tuple[Polygon, ...]) -> Mask:
    return paint(polygons, *image_size(image_path), str(annotation_path))
