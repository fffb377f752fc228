"""Small data sets for the benchmarks: frames with known objects, and a made-up ReasonSeg and refCOCO."""

from __future__ import annotations

import json
import pickle

import cv2
import numpy as np
import pytest

from lisa_ros.cli import main
from lisa_ros.simulation.frames import (
    DatasetInfo,
    Frame,
    FrameCamera,
    FrameFolder,
    FrameObject,
    start_folder,
    write_frame,
)

HEIGHT, WIDTH = 60, 80
SCENES = {
    2: [("cup", (5, 5, 30, 35)), ("knife", (40, 10, 75, 20)), ("cup", (50, 30, 70, 55))],
    5: [("banana", (10, 10, 60, 40))],
    9: [],
}


@pytest.fixture
def frames(tmp_path):
    """Frames 2, 5 and 9: two cups and a knife, a banana, an empty table."""
    start_folder(tmp_path / "frames_folder", DatasetInfo(1, "test", WIDTH, HEIGHT))
    for index, objects in SCENES.items():
        write_frame(tmp_path / "frames_folder", index, _frame(index, objects))
    return FrameFolder(tmp_path / "frames_folder")


def _frame(index, objects):
    ids = np.zeros((HEIGHT, WIDTH), np.uint8)
    for number, (_, (left, top, right, bottom)) in enumerate(objects, start=1):
        ids[top:bottom, left:right] = number
    pose, areas = np.eye(4), np.bincount(ids.ravel(), minlength=256)
    known = tuple(
        FrameObject(kind, kind, pose, pose, (0.1, 0.1, 0.1), int(areas[number]), box)
        for number, (kind, box) in enumerate(objects, start=1)
    )
    camera = FrameCamera(np.eye(3), pose, WIDTH, HEIGHT)
    return Frame(np.full((HEIGHT, WIDTH, 3), 20 * index, np.uint8), ids, known, camera, None)


TALL, WIDE = 45, 60
"""Height and width of the pictures of the made-up data sets."""
REASONSEG = {
    "a_phrase": (["the thing in the middle", "another wording"], False, [("target", (22, 16, 40, 29))]),
    "b_sentence": (["Which one is it?"], True, [("target", (2, 3, 30, 25)), ("ignore", (15, 10, 24, 20))]),
    "c_cp1252": (["caf\u00e9 \u2013 where is it?"], True, [("target", (0, 0, 59, 44)), ("Ignore_1", (30, 0, 59, 44))]),
    "d_refused": (["the unicorn"], False, [("target", (5, 5, 12, 9)), ("flag", (0, 0, 59, 44))]),
    "e_words": (["Say hello to it"], True, [("target", (1, 1, 9, 9)), ("target", (40, 30, 58, 43))]),
    "f_edge": (["what touches the edge"], False, [("ignore", (18, 12, 26, 20)), ("target", (20, 14, 59, 44))]),
    "g_no_polygon": (["something"], True, []),
    "h_no_picture": (["something"], True, [("target", (1, 1, 9, 9))]),
}
"""Name -> texts, whether they are sentences, and labelled rectangles with the corners ``x0, y0, x1, y1``, inclusive."""


@pytest.fixture
def reasonseg(tmp_path):
    """A folder of data sets with ReasonSeg's validation split; one item has no polygon and one no picture."""
    folder = tmp_path / "dataset" / "reason_seg" / "ReasonSeg" / "val"
    folder.mkdir(parents=True)
    for number, (name, (texts, is_sentence, shapes)) in enumerate(REASONSEG.items()):
        if name != "h_no_picture":
            write_picture(folder / f"{name}.jpg", number)
        entry = {"text": texts, "is_sentence": is_sentence, "shapes": [labelled(*shape) for shape in shapes]}
        encoding = "cp1252" if name == "c_cp1252" else "utf-8"
        (folder / f"{name}.json").write_bytes(json.dumps(entry, ensure_ascii=False).encode(encoding))
    return tmp_path / "dataset"


@pytest.fixture
def drawn():
    """What was drawn for ``reasonseg``, and the height and width of its pictures."""
    return REASONSEG, TALL, WIDE


def write_picture(path, number):
    rgb = np.random.default_rng(number).integers(0, 256, (TALL, WIDE, 3), dtype=np.uint8)
    assert cv2.imwrite(str(path), rgb)


def labelled(label, corners):
    left, top, right, bottom = corners
    return {"label": label, "points": [[left, top], [right, top], [right, bottom], [left, bottom]]}


@pytest.fixture
def refcoco(tmp_path):
    """A folder of data sets with one image of refCOCO and two of gRefCOCO."""
    root = tmp_path / "dataset" / "refer_seg"
    pictures = root / "images" / "mscoco" / "images" / "train2014"
    pictures.mkdir(parents=True)
    for number in (1, 2):
        write_picture(pictures / f"COCO_train2014_{number:012d}.jpg", number)
    sizes = {"height": TALL, "width": WIDE}
    images = [{"id": number, "file_name": f"COCO_train2014_{number:012d}.jpg", **sizes} for number in (1, 2)]
    boxes = {11: (22, 16, 40, 29), 12: (0, 0, 10, 10)}
    annotations = [
        {"id": id, "image_id": 1, "iscrowd": 0, "category_id": 1, "segmentation": [rectangle(*box)]}
        for id, box in boxes.items()
    ]
    for name in ("refcoco", "grefcoco"):
        (root / name).mkdir()
        content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "thing"}]}
        (root / name / "instances.json").write_text(json.dumps(content))
    refs = [
        referring(1, 1, 11, "val", "The MIDDLE one ", "center"),
        referring(2, 1, 12, "val", "top left unicorn"),
        referring(3, 1, 12, "testA", "not of this split"),
    ]
    (root / "refcoco" / "refs(unc).p").write_bytes(pickle.dumps(refs, protocol=2))
    several = [
        referring(1, 1, [11, 12], "val", "both of them"),
        referring(2, 2, [-1], "val", "the unicorn"),
        referring(3, 2, [-1], "val", "a thing that is not there"),
    ]
    (root / "grefcoco" / "grefs(unc).json").write_text(json.dumps(several))
    return tmp_path / "dataset"


def rectangle(left, top, right, bottom):
    return [left, top, right, top, right, bottom, left, bottom]


def referring(ref_id, image_id, ann_id, split, *sentences):
    entries = [{"sent": sentence, "sent_id": 10 * ref_id + n, "raw": sentence} for n, sentence in enumerate(sentences)]
    return {"ref_id": ref_id, "image_id": image_id, "ann_id": ann_id, "split": split, "sentences": entries}


@pytest.fixture
def evaluate(capsys):
    """Run ``lisa eval`` with the scripted backend; returns exit code, printed lines and complaint."""

    def evaluate(*words, backend="scripted"):
        code = main(["eval", *map(str, words), "--backend", backend])
        captured = capsys.readouterr()
        complaints = [line for line in captured.err.splitlines() if line.startswith("lisa eval: ")]
        return code, captured.out.splitlines(), complaints

    return evaluate


@pytest.fixture
def figures(evaluate):
    """Run ``lisa eval`` with success; returns the JSON object of the last line."""

    def figures(*words):
        code, lines, complaints = evaluate(*words)
        assert code == 0, complaints
        assert complaints == []
        return json.loads(lines[-1])

    return figures
