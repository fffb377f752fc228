"""Semantic segmentation with one label map an image: ADE20K, COCO-Stuff and Mapillary Vistas.

Names, numbers and what is left out are those of the reference (utils/sem_seg_dataset.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lisa_ros.datasets.annotation_files import field, read_json
from lisa_ros.datasets.images import read_labels, require_size, stems_in
from lisa_ros.datasets.records import IGNORE, AnnotatedImage, ItemError, Mask, Referent

CLASSES_FOLDER = Path(__file__).parent / "classes"
IMAGE_SUFFIX = ".jpg"
LABEL_SUFFIX = ".png"


@dataclass(slots=True, eq=False)
class LabelMapDataset:
    """Images with a label map of the same name; each class that an image shows is one referent.

    ``classes`` gives the pixel values that have a name, ``unnamed`` those that have none: they are ``IGNORE`` in every
    mask. Classes of one name make one referent.
    """

    name: str
    image_folder: Path
    label_folder: Path
    stems: tuple[str, ...]
    classes: Mapping[int, str]
    unnamed: frozenset[int]

    def __len__(self) -> int:
        return len(self.stems)

    def __getitem__(self, index: int) -> AnnotatedImage:
        """Return the classes of one image; raises ``ItemError`` where files are missing, differ in size or are odd."""
        stem = self.stems[index]
        image_path = self.image_folder / f"{stem}{IMAGE_SUFFIX}"
        label_path = self.label_folder / f"{stem}{LABEL_SUFFIX}"
        labels = read_labels(label_path)
        height, width = labels.shape
        require_size(image_path, (height, width), f"its label map {label_path}")
        values_of = self._values_by_name(labels, label_path)
        referents = (
            Referent((name,), False, partial(_mask, labels, values, tuple(self.unnamed)))
            for name, values in values_of.items()
        )
        return AnnotatedImage(stem, image_path, tuple(referents))

    def _values_by_name(self, labels: NDArray[np.uint8], path: Path) -> dict[str, list[int]]:
        present = np.flatnonzero(np.bincount(labels.ravel(), minlength=256)).tolist()
        unknown = [value for value in present if value not in self.classes and value not in self.unnamed]
        if unknown:
            raise ItemError(f"The label map {path} holds the value {unknown[0]}, which no class of {self.name} has.")
        values_of: dict[str, list[int]] = {}
        for value in present:
            if value in self.classes:
                values_of.setdefault(self.classes[value], []).append(value)
        if not values_of:
            raise ItemError(f"The label map {path} holds no pixel of a class with a name; nothing can be asked for.")
        return values_of


def open_ade20k(name: str, root: Path) -> LabelMapDataset:
    """Open ADE20K (the 150 classes of its scene parsing benchmark): pixel value 0 means other things."""
    images, labels = root / "ade20k" / "images" / "training", root / "ade20k" / "annotations" / "training"
    stems = {*stems_in(images, IMAGE_SUFFIX), *stems_in(labels, LABEL_SUFFIX)}
    return LabelMapDataset(name, images, labels, tuple(sorted(stems)), read_classes("ade20k"), frozenset({0, IGNORE}))


def open_cocostuff(name: str, root: Path) -> LabelMapDataset:
    """Open COCO-Stuff; classes with a hyphen in their names ("wall-brick") are left out, as in the reference.

    Its label maps say which images belong to it: the folder of the images serves other data sets too.
    """
    images, labels = root / "coco" / "train2017", root / "cocostuff" / "train2017"
    classes = read_classes("cocostuff")
    hyphened = {value for value, class_name in classes.items() if "-" in class_name}
    named = {value: class_name for value, class_name in classes.items() if value not in hyphened}
    stems = tuple(stems_in(labels, LABEL_SUFFIX))
    return LabelMapDataset(name, images, labels, stems, named, frozenset(hyphened | {IGNORE}))


def open_mapillary(name: str, root: Path) -> LabelMapDataset:
    """Open Mapillary Vistas 2.0; its configuration names the pixel values in their order."""
    folder = root / "mapillary"
    images, labels = folder / "training" / "images", folder / "training" / "v2.0" / "labels"
    config = folder / "config_v2.0.json"
    entries = field(read_json(config), "labels", list, config, "the file")
    readable = [field(entry, "readable", str, config, f"labels[{index}]") for index, entry in enumerate(entries)]
    stems = {*stems_in(images, IMAGE_SUFFIX), *stems_in(labels, LABEL_SUFFIX)}
    classes = {value: class_name.lower() for value, class_name in enumerate(readable) if value != IGNORE}
    return LabelMapDataset(name, images, labels, tuple(sorted(stems)), classes, frozenset({IGNORE}))


def read_classes(name: str) -> dict[int, str]:
    """Return the classes of ``classes/NAME.txt``: pixel value in the published label maps -> name.

    COCO-Stuff's 156 is "sky", as in the reference, where the published list has "sky-other".
    """
    lines = (CLASSES_FOLDER / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    return {int(value): class_name for value, class_name in (line.split(": ") for line in lines)}


def _mask(labels: NDArray[np.uint8], values: list[int], unnamed: tuple[int, ...]) -> Mask:
    table = np.zeros(256, np.uint8)
    table[list(unnamed)] = IGNORE
    table[values] = 1
    return table[labels]
