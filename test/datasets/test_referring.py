from __future__ import annotations

import pickle

import numpy as np
import pytest

from lisa_ros.datasets.records import DatasetError, ItemError
from lisa_ros.datasets.referring import open_referring

from .conftest import as_bytes, box_polygon, coco_file, expression, python2_pickle, write_image, write_json

LEFT, RIGHT = box_polygon(0, 0, 10, 20), box_polygon(20, 0, 30, 20)
CROWD = {"size": [20, 30], "counts": [200, 200, 200]}
TRAIN2014 = "images/mscoco/images/train2014"


def refer(folder, data_set="refcoco", owner="unc", entries=(), annotations=None):
    images = [(1, "COCO_1.jpg", 20, 30), (2, "COCO_2.jpg", 20, 30)]
    outlines = annotations or [(10, 1, 1, [LEFT], 0), (11, 1, 1, [RIGHT], 0), (12, 1, 1, CROWD, 1), (20, 2, 1, [], 0)]
    write_json(folder / data_set / "instances.json", coco_file(images, outlines, [(1, "person")]))
    (folder / data_set / f"refs({owner}).p").write_bytes(python2_pickle(as_bytes(list(entries))))
    for _, name, height, width in images:
        write_image(folder / TRAIN2014 / name, height, width)


ENTRIES = [
    expression(0, 2, 20, "train", "nothing here"),
    expression(1, 1, 10, "train", "Left one", "the one on the left"),
    expression(2, 1, 11, "train", "right one"),
    expression(3, 1, 12, "val", "the crowd"),
    expression(4, 2, 20, "testA", "somebody"),
    expression(5, 1, 10, "testB", "somebody else"),
]


@pytest.mark.parametrize("below", ["refer_seg", "."])
def test_one_image_holds_all_its_expressions_in_order(root, below):
    refer(root / below, entries=ENTRIES)
    dataset = open_referring("refcoco|unc|train", root, "refcoco", "unc", "train")
    assert dataset.name == "refcoco|unc|train" and [dataset[index].name for index in range(2)] == ["COCO_2", "COCO_1"]
    assert dataset[1].image_path == root / below / TRAIN2014 / "COCO_1.jpg"
    assert [referent.texts for referent in dataset[1].referents] == [
        ("left one", "the one on the left"),
        ("right one",),
    ]
    left, right = (referent.mask() for referent in dataset[1].referents)
    assert (left == (np.arange(30) < 10)).all() and (right == (np.arange(30) >= 20)).all()
    assert left.dtype == np.uint8 and left.shape == (20, 30)


def test_a_crowd_can_be_referred_to_and_no_outline_is_an_empty_mask(root):
    refer(root / "refer_seg", entries=ENTRIES)
    crowd = open_referring("x", root, "refcoco", "unc", "val")[0].referents[0].mask()
    assert (crowd == ((np.arange(30) >= 10) & (np.arange(30) < 20))).all()
    assert not open_referring("x", root, "refcoco", "unc", "testA")[0].referents[0].mask().any()


@pytest.mark.parametrize(
    ("split", "found"), [("train", 3), ("val", 1), ("testA", 2), ("testB", 2), ("testC", 1), ("test", 4)]
)
def test_splits_are_chosen_as_in_the_reference(root, split, found):
    entries = [*ENTRIES, expression(6, 1, 10, "testAB", "both"), expression(7, 1, 10, "testC", "third")]
    refer(root / "refer_seg", entries=entries)
    dataset = open_referring("x", root, "refcoco", "unc", split)
    assert sum(len(dataset[index].referents) for index in range(len(dataset))) == found


def test_refclef_numbers_by_text_and_has_its_own_images(root):
    folder = root / "refer_seg"
    runs = {"size": [20, 30], "counts": [0, 100, 500]}
    data = coco_file([(8756, "8756.jpg", 20, 30)], [("8756_2", 8756, 1, [runs], 0)])
    write_json(folder / "refclef/instances.json", data)
    (folder / "refclef/refs(unc).p").write_bytes(python2_pickle([expression(0, 8756, "8756_2", "train", "left half")]))
    image = write_image(folder / "images/saiapr_tc-12/8756.jpg")
    item = open_referring("x", root, "refclef", "unc", "train")[0]
    assert item.image_path == image and item.referents[0].mask().sum() == 100


@pytest.mark.parametrize("stored_as", ["json", "p"])
def test_grefcoco_unites_several_targets_and_knows_none(root, stored_as):
    folder = root / "refer_seg"
    refer(folder, "grefcoco")
    targets = {"both": [10, 11], "none": [-1], "one": [10], "with crowd": [10, 12], "crowd": [12]}
    entries = [expression(index, 1, target, "val", text) for index, (text, target) in enumerate(targets.items())]
    if stored_as == "json":
        write_json(folder / "grefcoco/grefs(unc).json", entries)
    else:
        (folder / "grefcoco/grefs(unc).p").write_bytes(pickle.dumps(entries))
    referents = open_referring("x", root, "grefcoco", "unc", "val")[0].referents
    sums = {referent.texts[0]: int(referent.mask().sum()) for referent in referents}
    assert sums == {"both": 400, "none": 0, "one": 200, "with crowd": 200, "crowd": 200}
    assert referents[1].mask().shape == (20, 30)


def test_faults_of_one_image_leave_the_others_usable(root):
    outlines = [(10, 1, [LEFT]), (11, 1, [[1, 2, 3, 4]]), (12, 1, CROWD), (20, 2, [LEFT])]
    annotations = [(identifier, image, 1, outline, 0) for identifier, image, outline in outlines]
    refer(root / "refer_seg", entries=ENTRIES, annotations=annotations)
    dataset = open_referring("x", root, "refcoco", "unc", "train")
    (root / "refer_seg" / TRAIN2014 / "COCO_2.jpg").unlink()
    with pytest.raises(ItemError, match=r"COCO_2\.jpg is missing"):
        dataset[0]
    assert dataset[1].referents[0].mask().sum() == 200
    with pytest.raises(ItemError, match=r"The expression 2 about .*COCO_1\.jpg has fewer than 3 points"):
        dataset[1].referents[1].mask()
    write_image(root / "refer_seg" / TRAIN2014 / "COCO_1.jpg", 30, 20)
    with pytest.raises(ItemError, match="has 20 x 30 pixels, its annotation 30 x 20"):
        dataset[1].referents[0].mask()


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (expression(9, 3, 10, "train", "x"), "the expression 9 is about the image 3, which is not in the instances"),
        (expression(9, 1, 99, "train", "x"), "the expression 9 means the annotation 99, which is not in the instances"),
    ],
)
def test_files_that_do_not_belong_together_are_refused(root, entry, message):
    refer(root / "refer_seg", entries=[*ENTRIES, entry])
    with pytest.raises(DatasetError, match=rf"refs\(unc\)\.p: {message}"):
        open_referring("x", root, "refcoco", "unc", "train")


def test_a_split_without_expressions_is_refused(root):
    refer(root / "refer_seg", entries=ENTRIES)
    with pytest.raises(DatasetError, match="holds no expression of the split 'testC'"):
        open_referring("x", root, "refcoco", "unc", "testC")


def test_missing_files_are_named(root):
    with pytest.raises(DatasetError, match=r"refer_seg/refcoco/refs\(unc\)\.p is missing"):
        open_referring("x", root, "refcoco", "unc", "train")
    refer(root, entries=ENTRIES)
    (root / "refcoco/instances.json").unlink()
    with pytest.raises(DatasetError, match=r"refcoco/instances\.json is missing"):
        open_referring("x", root, "refcoco", "unc", "train")
