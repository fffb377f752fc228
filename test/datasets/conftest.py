"""Small made-up data sets in the real formats."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image


def write_json(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


def write_image(path, height=20, width=30, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    rows, columns = np.mgrid[:height, :width]
    rgb = np.stack([rows * 255 // height, columns * 255 // width, rows * 0 + 90], axis=-1).astype(np.uint8)
    Image.fromarray(rgb).save(path, **options)
    return path


def write_labels(path, labels, palette=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(np.asarray(labels, np.uint8))
    if palette is not None:
        image.putpalette(palette)
    image.save(path)
    return path


def box_polygon(left, top, right, bottom):
    return [left, top, right, top, right, bottom, left, bottom]


def coco_file(images, annotations, categories=()):
    """A file in COCO's format; ``annotations`` are (id, image id, category id, segmentation, is crowd)."""
    return {
        "info": {},
        "images": [
            {"id": identifier, "file_name": name, "height": height, "width": width, "license": 1}
            for identifier, name, height, width in images
        ],
        "annotations": [
            {"id": identifier, "image_id": image, "category_id": category, "segmentation": outline, "iscrowd": crowd}
            for identifier, image, category, outline, crowd in annotations
        ],
        "categories": [{"id": identifier, "name": name} for identifier, name in categories],
    }


def python2_pickle(value):
    """The bytes that ``pickle.dump(value, file, 2)`` of Python 2 writes, where ``str`` are byte strings."""
    return b"\x80\x02" + _python2(value) + b"."


def _python2(value):
    if isinstance(value, dict):
        return b"}(" + b"".join(_python2(key) + _python2(item) for key, item in value.items()) + b"u"
    if isinstance(value, list):
        return b"](" + b"".join(map(_python2, value)) + b"e"
    if isinstance(value, int):
        return b"J" + value.to_bytes(4, "little", signed=True)
    if isinstance(value, bytes):
        return b"U" + bytes([len(value)]) + value
    encoded = value.encode()
    return b"X" + len(encoded).to_bytes(4, "little") + encoded


def as_bytes(value):
    """Text turned into the byte strings that Python 2 calls ``str``."""
    if isinstance(value, dict):
        return {as_bytes(key): as_bytes(item) for key, item in value.items()}
    if isinstance(value, list):
        return [as_bytes(item) for item in value]
    return value.encode() if isinstance(value, str) else value


def expression(ref_id, image_id, ann_id, split, *sentences):
    """One entry of a file of referring expressions, with all that the real ones hold."""
    return {
        "ref_id": ref_id,
        "image_id": image_id,
        "ann_id": ann_id,
        "category_id": 1,
        "file_name": f"COCO_train2014_{image_id:012d}_{ref_id}.jpg",
        "split": split,
        "sent_ids": list(range(len(sentences))),
        "sentences": [
            {"tokens": sentence.split(), "raw": sentence, "sent_id": index, "sent": sentence}
            for index, sentence in enumerate(sentences)
        ],
    }


@pytest.fixture
def root(tmp_path):
    """An empty folder of data sets."""
    folder = tmp_path / "dataset"
    folder.mkdir()
    return folder
