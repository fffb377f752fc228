"""Referring segmentation: refCLEF, refCOCO, refCOCO+, refCOCOg and gRefCOCO.

Files, splits and masks are those of the reference (utils/refer.py, utils/grefer.py, utils/refer_seg_dataset.py), but
for one thing: where the polygons of one outline overlap, the mask stays 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from lisa_ros.datasets.annotation_files import malformed
from lisa_ros.datasets.coco import CocoAnnotation, CocoFile, CocoImage, Identifier, read_coco
from lisa_ros.datasets.expressions import Expression, read_expressions
from lisa_ros.datasets.images import require_file, require_size
from lisa_ros.datasets.outlines import outline_mask
from lisa_ros.datasets.records import AnnotatedImage, DatasetError, Mask, Referent

GENERALISED = "grefcoco"
SPLITS: dict[str, dict[str, tuple[str, ...]]] = {
    "refclef": {"unc": ("train", "val", "test", "testA", "testB", "testC"), "berkeley": ("train", "val", "test")},
    "refcoco": {"unc": ("train", "val", "test", "testA", "testB"), "google": ("train", "val", "test")},
    "refcoco+": {"unc": ("train", "val", "test", "testA", "testB")},
    "refcocog": {"umd": ("train", "val", "test"), "google": ("train", "val")},
    GENERALISED: {"unc": ("train", "val", "testA", "testB")},
}
"""Data set -> who split it -> the parts; the first owner is the one that the reference trains on."""


@dataclass(slots=True, eq=False)
class ReferringDataset:
    """Images with all their expressions of one split, in the order of the file; each expression is one referent."""

    name: str
    image_folder: Path
    images: tuple[CocoImage, ...]
    expressions: Mapping[Identifier, list[Expression]]
    annotations: Mapping[Identifier, CocoAnnotation]

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> AnnotatedImage:
        """Return the expressions of one image; raises ``ItemError`` where it is missing."""
        image = self.images[index]
        path = self.image_folder / image.file_name
        require_file(path)
        referents = (
            Referent(expression.texts, False, partial(self._mask, path, image, expression))
            for expression in self.expressions[image.identifier]
        )
        return AnnotatedImage(Path(image.file_name).stem, path, tuple(referents))

    def _mask(self, path: Path, image: CocoImage, expression: Expression) -> Mask:
        what = f"The expression {expression.identifier!r} about {path}"
        require_size(path, (image.height, image.width), "its annotation")
        mask = np.zeros((image.height, image.width), np.uint8)
        annotations = [self.annotations[identifier] for identifier in expression.annotations]
        # gRefCOCO's own reader leaves crowds out where an expression refers to several things.
        single = [annotation for annotation in annotations if not annotation.is_crowd] or annotations
        for annotation in single:
            # An annotation without an outline is an empty mask, as in the reference.
            if annotation.outline:
                mask |= outline_mask(annotation.outline, image.height, image.width, what)
        return mask


def open_referring(name: str, root: Path, data_set: str, owner: str, split: str) -> ReferringDataset:
    """Open one split; the folders of the data sets lie in ``root/refer_seg``, as for training, or in ``root`` itself.

    Raises ``DatasetError`` where files are missing, damaged or do not belong together, or hold nothing of the split.
    """
    inner = root / "refer_seg"
    root = root if (root / data_set).is_dir() and not (inner / data_set).is_dir() else inner
    path = _expression_file(root / data_set, owner)
    expressions = [entry for entry in read_expressions(path) if _is_of(entry, split, data_set)]
    if not expressions:
        raise DatasetError(f"{path} holds no expression of the split {split!r}; choose another one or copy it again.")
    file = read_coco(root / data_set / "instances.json")
    by_image: dict[Identifier, list[Expression]] = {}
    for expression in expressions:
        _require_known(expression, file, path)
        by_image.setdefault(expression.image, []).append(expression)
    pictures = ("saiapr_tc-12",) if data_set == "refclef" else ("mscoco", "images", "train2014")
    images = tuple(file.images[identifier] for identifier in by_image)
    used = {identifier for expression in expressions for identifier in expression.annotations}
    annotations = {identifier: file.annotations[identifier] for identifier in used}
    return ReferringDataset(name, root.joinpath("images", *pictures), images, by_image, annotations)


def _expression_file(folder: Path, owner: str) -> Path:
    if folder.name != GENERALISED:
        return folder / f"refs({owner}).p"
    as_json = folder / f"grefs({owner}).json"
    pickled = as_json.with_suffix(".p")
    return pickled if pickled.is_file() and not as_json.is_file() else as_json


def _is_of(expression: Expression, split: str, data_set: str) -> bool:
    """Whether an expression belongs to ``split``; a mixed one such as "testAB" belongs to both of its parts."""
    if data_set == GENERALISED or split in ("train", "val"):
        return expression.split == split
    if split == "test":
        return "test" in expression.split
    return split.removeprefix("test") in expression.split


def _require_known(expression: Expression, file: CocoFile, path: Path) -> None:
    if expression.image not in file.images:
        raise malformed(
            path,
            f"the expression {expression.identifier!r} is about the image {expression.image!r}, which is not in "
            "the instances.json beside it",
        )
    for identifier in expression.annotations:
        if identifier not in file.annotations:
            raise malformed(
                path,
                f"the expression {expression.identifier!r} means the annotation {identifier!r}, which is not in "
                "the instances.json beside it",
            )
