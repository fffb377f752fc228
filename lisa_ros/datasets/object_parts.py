"""Objects and their parts with outlines in COCO's format: PACO-LVIS and Pascal-Part.

Names are made as in the reference (utils/sem_seg_dataset.py), where every outline is one thing to ask for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from lisa_ros.datasets.annotation_files import malformed
from lisa_ros.datasets.coco import CocoAnnotation, CocoImage, Identifier, read_coco
from lisa_ros.datasets.images import require_file, require_size
from lisa_ros.datasets.outlines import outline_mask
from lisa_ros.datasets.records import AnnotatedImage, ItemError, Mask, Referent


@dataclass(slots=True, eq=False)
class ObjectPartDataset:
    """Images whose objects and parts are outlined; ``texts`` holds what each category can be called."""

    name: str
    image_folder: Path
    images: tuple[CocoImage, ...]
    annotations: Mapping[Identifier, list[CocoAnnotation]]
    texts: Mapping[int, tuple[str, ...]]

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> AnnotatedImage:
        """Return the things of one image; raises ``ItemError`` for one that is missing or has nothing outlined."""
        image = self.images[index]
        path = self.image_folder / image.file_name
        require_file(path)
        annotations = self.annotations.get(image.identifier, [])
        if not annotations:
            raise ItemError(f"The image {path} has no annotation in {self.name}; nothing can be asked for.")
        referents = (
            Referent(self.texts[annotation.category or 0], False, partial(_mask, path, image, annotation))
            for annotation in annotations
        )
        return AnnotatedImage(Path(image.file_name).stem, path, tuple(referents))


def open_paco_lvis(name: str, root: Path) -> ObjectPartDataset:
    """Open the LVIS half of PACO, whose images are those of COCO."""
    return _open(name, root / "vlpart" / "paco" / "annotations" / "paco_lvis_v1_train.json", root / "coco")


def open_pascal_part(name: str, root: Path) -> ObjectPartDataset:
    """Open Pascal-Part as VLPart prepares it."""
    folder = root / "vlpart" / "pascal_part"
    return _open(name, folder / "train.json", folder / "VOCdevkit" / "VOC2010" / "JPEGImages")


def category_texts(category: str) -> tuple[str, ...]:
    """Return what a category can be called: "mug_(cup):handle" gives "mug handle" and "the handle of the mug".

    Raises ``ValueError`` for a name that is empty or has more than one part.
    """
    names = [name.split("_(")[0].strip().lower() for name in category.strip().split(":")]
    if len(names) > 2 or not all(names):
        raise ValueError(f"the category name {category!r} is neither an object nor object:part")
    return (names[0],) if len(names) == 1 else (f"{names[0]} {names[1]}", f"the {names[1]} of the {names[0]}")


def _open(name: str, path: Path, image_folder: Path) -> ObjectPartDataset:
    file = read_coco(path)
    try:
        texts = {identifier: category_texts(category) for identifier, category in file.categories.items()}
    except ValueError as error:
        raise malformed(path, str(error)) from error
    annotations: dict[Identifier, list[CocoAnnotation]] = {}
    for annotation in file.annotations.values():
        if annotation.image not in file.images or annotation.category not in texts:
            raise malformed(
                path,
                f"the annotation {annotation.identifier!r} names the image {annotation.image!r} and the category "
                f"{annotation.category!r}, which are not both in it",
            )
        annotations.setdefault(annotation.image, []).append(annotation)
    return ObjectPartDataset(name, image_folder, tuple(file.images.values()), annotations, texts)


def _mask(path: Path, image: CocoImage, annotation: CocoAnnotation) -> Mask:
    what = f"The annotation {annotation.identifier!r} of {path}"
    require_size(path, (image.height, image.width), "its annotation")
    return outline_mask(annotation.outline, image.height, image.width, what)
