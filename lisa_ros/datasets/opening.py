"""Opens a data set by its name, in the folder layout of the reference.

``root`` holds ``ade20k``, ``coco``, ``cocostuff``, ``mapillary``, ``vlpart``, ``refer_seg``, ``llava_dataset`` and
``reason_seg``, as the reference's README lays them out; only what is opened has to be there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from lisa_ros.datasets.label_maps import open_ade20k, open_cocostuff, open_mapillary
from lisa_ros.datasets.llava_instruct import open_llava_instruct
from lisa_ros.datasets.object_parts import open_paco_lvis, open_pascal_part
from lisa_ros.datasets.reason_seg import SPLITS as REASON_SEG_SPLITS
from lisa_ros.datasets.reason_seg import open_reason_seg
from lisa_ros.datasets.records import DatasetError, ImageDataset
from lisa_ros.datasets.referring import SPLITS as REFERRING_SPLITS
from lisa_ros.datasets.referring import open_referring

WHOLE_SETS: Mapping[str, Callable[[str, Path], ImageDataset]] = {
    "ade20k": open_ade20k,
    "cocostuff": open_cocostuff,
    "mapillary": open_mapillary,
    "paco_lvis": open_paco_lvis,
    "pascal_part": open_pascal_part,
    "llava_instruct_150k": open_llava_instruct,
}
"""Data sets of which the training part alone is used."""
REASON_SEG = "reason_seg"
GROUPS: dict[str, tuple[str, ...]] = {
    "semantic": ("ade20k", "cocostuff", "mapillary", "paco_lvis", "pascal_part"),
    "referring": tuple(REFERRING_SPLITS),
    "vqa": ("llava_instruct_150k",),
    "reasoning": (REASON_SEG,),
}
"""Kind of data set -> the names of its data sets."""
TRAIN = "train"


def open_dataset(spec: str, root: Path) -> ImageDataset:
    """Open the data set that ``spec`` names in the folder ``root``.

    ``spec`` is ``name``, ``name|split`` or, for referring data, ``name|owner|split`` in any case: "ade20k",
    "reason_seg|val" (also spelt "ReasonSeg|val"), "refcoco|unc|testA"; the split is train where none is given.
    Raises ``DatasetError`` for an unknown name, owner or split and for files that are missing or damaged.
    """
    name, *details = [part.strip().casefold() for part in spec.split("|")]
    opener = _opener(REASON_SEG if name == "reasonseg" else name, details, spec)
    if not root.is_dir():
        raise DatasetError(f"The folder of data sets {root} does not exist; give the one that holds them.")
    return opener(root)


def _opener(name: str, details: list[str], spec: str) -> Callable[[Path], ImageDataset]:
    _chosen(name, tuple(known for group in GROUPS.values() for known in group), "name", spec)
    if name in REFERRING_SPLITS:
        return _referring_opener(name, details, spec)
    _require_at_most(1, details, spec, "name|split")
    splits = REASON_SEG_SPLITS if name == REASON_SEG else (TRAIN,)
    split = _chosen(details[0] if details else TRAIN, splits, "split", spec)
    if name == REASON_SEG:
        return partial(open_reason_seg, f"{name}|{split}", split=split)
    return partial(WHOLE_SETS[name], name)


def _referring_opener(name: str, details: list[str], spec: str) -> Callable[[Path], ImageDataset]:
    _require_at_most(2, details, spec, "name|split or name|owner|split")
    splits = REFERRING_SPLITS[name]
    owner = _chosen(details[0], tuple(splits), "owner", spec) if len(details) == 2 else next(iter(splits))
    split = _chosen(details[-1] if details else TRAIN, splits[owner], "split", spec)
    return partial(open_referring, f"{name}|{owner}|{split}", data_set=name, owner=owner, split=split)


def _chosen(value: str, valid: tuple[str, ...], what: str, spec: str) -> str:
    """Return the entry of ``valid`` that ``value`` spells in some case."""
    for known in valid:
        if known.casefold() == value:
            return known
    raise DatasetError(f"The data set {spec!r} has the unknown {what} {value!r}; valid are {', '.join(valid)}.")


def _require_at_most(count: int, details: list[str], spec: str, form: str) -> None:
    if len(details) > count:
        raise DatasetError(f"The data set {spec!r} has too many parts; write {form}.")
