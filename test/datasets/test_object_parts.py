from __future__ import annotations

import numpy as np
import pytest

from lisa_ros.datasets.object_parts import category_texts, open_paco_lvis, open_pascal_part
from lisa_ros.datasets.records import DatasetError, ItemError

from .conftest import box_polygon, coco_file, write_image, write_json

PACO = "vlpart/paco/annotations/paco_lvis_v1_train.json"
CATEGORIES = [(1, "mug_(cup)"), (2, "mug_(cup):Handle"), (3, "trash_can:rim_(edge)")]


def paco(root, annotations, images=((5, "train2017/000000000005.jpg", 20, 30),), categories=CATEGORIES):
    write_json(root / PACO, coco_file(images, annotations, categories))
    for _, name, height, width in images:
        write_image(root / "coco" / name, height, width)
    return root


@pytest.mark.parametrize(
    ("category", "texts"),
    [
        ("mug_(cup)", ("mug",)),
        ("Trash_can:rim_(edge)", ("trash_can rim", "the rim of the trash_can")),
        ("bus:license plate", ("bus license plate", "the license plate of the bus")),
    ],
)
def test_names_are_cleaned_up_as_in_the_reference(category, texts):
    assert category_texts(category) == texts


def test_every_outline_is_one_thing_to_ask_for(root):
    crowd = {"size": [20, 30], "counts": [0, 20, 580]}
    dataset = open_paco_lvis("paco_lvis", paco(root, [(0, 5, 2, [box_polygon(2, 2, 12, 12)], 0), (1, 5, 1, crowd, 1)]))
    item = dataset[0]
    assert item.image_path == root / "coco/train2017/000000000005.jpg" and item.name == "000000000005"
    assert [referent.texts for referent in item.referents] == [("mug handle", "the handle of the mug"), ("mug",)]
    handle, mug = (referent.mask() for referent in item.referents)
    assert handle.sum() == 100 and handle[2:12, 2:12].all()
    assert (mug == (np.arange(30) == 0)).all()


def test_pascal_part_finds_its_images(root):
    data = coco_file([(2008000008, "2008_000008.jpg", 20, 30)], [(0, 2008000008, 4, [box_polygon(0, 0, 9, 9)], 0)])
    data["categories"] = [{"id": 4, "name": "potted plant:pot"}]
    write_json(root / "vlpart/pascal_part/train.json", data)
    image = write_image(root / "vlpart/pascal_part/VOCdevkit/VOC2010/JPEGImages/2008_000008.jpg")
    item = open_pascal_part("pascal_part", root)[0]
    assert item.image_path == image and item.referents[0].texts == ("potted plant pot", "the pot of the potted plant")
    assert item.referents[0].mask().sum() == 81


def test_faults_of_one_image_leave_the_others_usable(root):
    names = ["good", "missing", "unannotated", "other_size", "outside"]
    images = [(index, f"train2017/{name}.jpg", 20, 30) for index, name in enumerate(names)]
    box = [box_polygon(2, 2, 12, 12)]
    outlines = [(0, box), (1, box), (3, box), (4, [box_polygon(100, 100, 120, 120)])]
    paco(root, [(image, image, 1, outline, 0) for image, outline in outlines], images)
    (root / "coco/train2017/missing.jpg").unlink()
    write_image(root / "coco/train2017/other_size.jpg", 20, 31)
    dataset = open_paco_lvis("paco_lvis", root)
    assert len(dataset) == 5 and dataset[0].referents[0].mask().sum() == 100
    for index, message in [(1, "missing.jpg is missing"), (2, "unannotated.jpg has no annotation in paco_lvis")]:
        with pytest.raises(ItemError, match=message):
            dataset[index]
    for index, message in [(3, "has 31 x 20 pixels, its annotation 30 x 20"), (4, "covers no pixel")]:
        with pytest.raises(ItemError, match=message):
            dataset[index].referents[0].mask()


@pytest.mark.parametrize(
    ("annotation", "categories", "message"),
    [
        ((0, 6, 1, [], 0), CATEGORIES, "names the image 6 and the category 1, which are not both in it"),
        ((0, 5, 9, [], 0), CATEGORIES, "names the image 5 and the category 9, which are not both in it"),
        ((0, 5, 1, [], 0), [(1, "a:b:c")], "the category name 'a:b:c' is neither an object nor object:part"),
        ((0, 5, 1, [], 0), [(1, " :b")], "the category name ' :b' is neither"),
    ],
)
def test_a_file_that_contradicts_itself_is_refused(root, annotation, categories, message):
    with pytest.raises(DatasetError, match=rf"paco_lvis_v1_train\.json: .*{message}"):
        open_paco_lvis("paco_lvis", paco(root, [annotation], categories=categories))
