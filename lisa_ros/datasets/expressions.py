"""Files of referring expressions: refs(OWNER).p of refCOCO and its kin, grefs(OWNER).json or .p of gRefCOCO."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lisa_ros.datasets import plain_pickle
from lisa_ros.datasets.annotation_files import field, malformed, read_json
from lisa_ros.datasets.coco import Identifier
from lisa_ros.datasets.records import DatasetError

LOGGER = logging.getLogger(__name__)
NO_TARGET = -1
"""gRefCOCO's annotation id of an expression that refers to nothing in its image."""


@dataclass(frozen=True, slots=True)
class Expression:
    """One thing, or several, or none in an image, and the ways to refer to it.

    ``annotations`` are the identifiers of its outlines, none where nothing is referred to. ``texts`` are lower case.
    """

    identifier: Identifier
    image: Identifier
    annotations: tuple[Identifier, ...]
    split: str
    texts: tuple[str, ...]


def read_expressions(path: Path) -> list[Expression]:
    """Read a file of expressions, JSON or a pickle of plain values, which is unpickled in a process of its own.

    Sentences without words are left out and their number is logged. Raises ``DatasetError``.
    """
    entries = _unpickled(path) if path.suffix == ".p" else read_json(path)
    if not isinstance(entries, list):
        raise malformed(path, "the file holds no list of expressions")
    expressions, blank_sentences = [], 0
    for index, entry in enumerate(entries):
        sentences = _sentences(entry, path, f"entry {index}")
        texts = tuple(sentence for sentence in sentences if sentence)
        blank_sentences += len(sentences) - len(texts)
        if texts:
            expressions.append(_expression(entry, texts, path, f"entry {index}"))
    if blank_sentences:
        LOGGER.warning("%s: %d sentences without words are left out.", path, blank_sentences)
    return expressions


def _sentences(entry: Any, path: Path, place: str) -> list[str]:
    sentences = field(entry, "sentences", list, path, place)
    return [field(sentence, "sent", str, path, f"a sentence of {place}").strip().lower() for sentence in sentences]


def _expression(entry: Any, texts: tuple[str, ...], path: Path, place: str) -> Expression:
    identifier = field(entry, "ref_id", (int, str), path, place)
    image = field(entry, "image_id", (int, str), path, place)
    split = field(entry, "split", str, path, place)
    annotations = field(entry, "ann_id", (int, str, list), path, place)
    annotations = annotations if isinstance(annotations, list) else [annotations]
    if not annotations or not all(type(annotation) in (int, str) for annotation in annotations):
        raise malformed(path, f"'ann_id' of {place} is {annotations!r} where one id or several are needed")
    if annotations == [NO_TARGET]:
        annotations = []
    return Expression(identifier, image, tuple(annotations), split, texts)


def _unpickled(path: Path) -> Any:
    if not path.is_file():
        raise DatasetError(f"The file of expressions {path} is missing; copy it there from the data set.")
    command = [sys.executable, "-I", plain_pickle.__file__, str(path)]
    reading = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    if reading.returncode != 0:
        reason = reading.stderr.decode(errors="replace").strip() or f"reading it ended with {reading.returncode}"
        raise DatasetError(f"{path} is no pickle of plain values ({reason}); copy it again from the data set.")
    return json.loads(reading.stdout)
