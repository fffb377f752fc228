from __future__ import annotations

import pickle

import numpy as np
import pytest

from lisa_ros.datasets.opening import GROUPS, open_dataset
from lisa_ros.datasets.records import DatasetError

from .conftest import (
    as_bytes,
    box_polygon,
    coco_file,
    expression,
    python2_pickle,
    write_image,
    write_json,
    write_labels,
)

BOX = [box_polygon(2, 2, 12, 12)]


@pytest.fixture
def layout(root):
    """One image of every data set, in the layout of the reference."""
    for folder in ("coco/train2017", "ade20k/images/training", "mapillary/training/images"):
        write_image(root / folder / "1.jpg")
    for folder in ("cocostuff/train2017", "ade20k/annotations/training", "mapillary/training/v2.0/labels"):
        write_labels(root / folder / "1.png", np.ones((20, 30)))
    write_json(root / "mapillary/config_v2.0.json", {"labels": [{"readable": "Bird"}, {"readable": "Curb"}]})
    parts = coco_file([(1, "train2017/1.jpg", 20, 30)], [(1, 1, 1, BOX, 0)], [(1, "mug:handle")])
    write_json(root / "vlpart/paco/annotations/paco_lvis_v1_train.json", parts)
    write_json(root / "vlpart/pascal_part/train.json", parts)
    write_image(root / "vlpart/pascal_part/VOCdevkit/VOC2010/JPEGImages/train2017/1.jpg")
    said = [{"from": "human", "value": "<image>\nWhat?"}, {"from": "gpt", "value": "A mug."}]
    write_json(root / "llava_dataset/llava_instruct_150k.json", [{"id": "1", "image": "1.jpg", "conversations": said}])
    for split in ("train", "val", "test"):
        folder = root / "reason_seg/ReasonSeg" / split
        write_image(folder / "1.jpg")
        shape = {"label": "target", "points": [[2, 2], [11, 2], [11, 11]]}
        write_json(folder / "1.json", {"text": ["a"], "is_sentence": False, "shapes": [shape]})
    write_json(root / "reason_seg/ReasonSeg/explanatory/train.json", [])
    refer(root / "refer_seg")
    return root


def refer(folder):
    entries = [expression(index, 1, 1, split, "it") for index, split in enumerate(["train", "val", "testA", "test"])]
    for name, owner in [("refclef", "unc"), ("refcoco", "unc"), ("refcoco+", "unc"), ("refcocog", "umd")]:
        write_json(folder / name / "instances.json", coco_file([(1, "1.jpg", 20, 30)], [(1, 1, 1, BOX, 0)]))
        (folder / name / f"refs({owner}).p").write_bytes(python2_pickle(as_bytes(entries)))
    write_json(folder / "grefcoco/instances.json", coco_file([(1, "1.jpg", 20, 30)], [(1, 1, 1, BOX, 0)]))
    write_json(folder / "grefcoco/grefs(unc).json", entries)
    write_image(folder / "images/saiapr_tc-12/1.jpg")
    write_image(folder / "images/mscoco/images/train2014/1.jpg")


@pytest.mark.parametrize("name", [name for group in GROUPS.values() for name in group])
def test_every_data_set_opens_by_its_name_and_can_be_sent_to_another_process(layout, name):
    dataset = pickle.loads(pickle.dumps(open_dataset(name, layout)))
    assert len(dataset) == 1 and dataset.name.split("|")[0] == name
    item = dataset[0]
    masks = [referent.mask() for referent in item.referents]
    assert all(mask.shape == (20, 30) and (mask == 1).any() for mask in masks)
    assert bool(masks) != (name in GROUPS["vqa"]) and bool(item.conversations) == (name in GROUPS["vqa"])


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ("ADE20K|train", "ade20k"),
        ("ReasonSeg|val", "reason_seg|val"),
        ("reason_seg|TEST", "reason_seg|test"),
        ("reason_seg|train_val", "reason_seg|train_val"),
        ("reason_seg", "reason_seg|train"),
        ("refcoco|unc|val", "refcoco|unc|val"),
        ("RefCOCO+|testa", "refcoco+|unc|testA"),
        ("refcocog", "refcocog|umd|train"),
        ("refcocog | umd | test", "refcocog|umd|test"),
        ("gRefCOCO|unc|val", "grefcoco|unc|val"),
    ],
)
def test_spellings_lead_to_one_name(layout, spec, name):
    assert open_dataset(spec, layout).name == name


def test_referring_data_may_lie_in_the_root_itself(root):
    refer(root)
    assert open_dataset("refcoco|unc|val", root)[0].referents[0].mask().sum() == 100


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("ade", "'ade' has the unknown name 'ade'; valid are ade20k, cocostuff, .*, reason_seg"),
        ("", "has the unknown name ''; valid are"),
        ("ade20k|val", "'ade20k|val' has the unknown split 'val'; valid are train"),
        ("reason_seg|dev", "unknown split 'dev'; valid are train, val, test, train_val"),
        ("refcoco|unc|dev", "unknown split 'dev'; valid are train, val, test, testA, testB"),
        ("refcoco|umd|val", "unknown owner 'umd'; valid are unc, google"),
        ("refcocog|unc", "unknown split 'unc'; valid are train, val, test"),
        ("ReasonSeg|unc|val", "has too many parts; write name|split"),
        ("refcoco|unc|val|x", "has too many parts; write name|split or name|owner|split"),
    ],
)
def test_unknown_specifications_are_quoted_with_what_is_valid(root, spec, message):
    with pytest.raises(DatasetError, match=message.replace("|", r"\|")):
        open_dataset(spec, root)


def test_a_missing_root_is_named(tmp_path):
    with pytest.raises(DatasetError, match="folder of data sets .*nowhere does not exist"):
        open_dataset("ade20k", tmp_path / "nowhere")
