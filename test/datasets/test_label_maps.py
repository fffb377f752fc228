from __future__ import annotations

import numpy as np
import pytest

from lisa_ros.datasets.label_maps import open_ade20k, open_cocostuff, open_mapillary, read_classes
from lisa_ros.datasets.records import DatasetError, ItemError

from .conftest import write_image, write_json, write_labels

ADE_LABELS = np.zeros((20, 30), np.uint8)
ADE_LABELS[5:10, 5:10], ADE_LABELS[12:, :9], ADE_LABELS[:, 29] = 13, 150, 255


def ade(root, name="ADE_train_1", labels=ADE_LABELS, height=20, width=30):
    write_image(root / "ade20k/images/training" / f"{name}.jpg", height, width)
    write_labels(root / "ade20k/annotations/training" / f"{name}.png", labels)


def masks_of(item):
    return {referent.texts: referent.mask() for referent in item.referents}


def test_class_lists_have_the_published_names_at_their_pixel_values():
    ade20k, cocostuff = read_classes("ade20k"), read_classes("cocostuff")
    assert list(ade20k) == list(range(1, 151)) and list(cocostuff) == list(range(182))
    assert [ade20k[value] for value in (1, 13, 90, 150)] == ["wall", "person", "television receiver", "flag"]
    assert [cocostuff[value] for value in (0, 89, 91, 156, 181)] == ["person", "toothbrush", "banner", "sky", "wood"]
    assert len(set(ade20k.values())) == 150 and len(set(cocostuff.values())) == 182


def test_ade20k_shows_its_classes_and_ignores_pixels_without_one(root):
    ade(root)
    dataset = open_ade20k("ade20k", root)
    assert len(dataset) == 1 and dataset.name == "ade20k" and dataset[0].name == "ADE_train_1"
    masks = masks_of(dataset[0])
    assert list(masks) == [("person",), ("flag",)]
    person = masks[("person",)]
    assert person.dtype == np.uint8 and person.shape == (20, 30)
    assert ((person == 1) == (ADE_LABELS == 13)).all()
    assert ((person == 255) == np.isin(ADE_LABELS, (0, 255))).all()
    assert (person[ADE_LABELS == 150] == 0).all()
    assert not any(referent.is_sentence for referent in dataset[0].referents)


def test_images_come_in_the_order_of_their_names(root):
    for name in ("c", "a", "b"):
        ade(root, name)
    dataset = open_ade20k("ade20k", root)
    assert [dataset[index].name for index in range(len(dataset))] == ["a", "b", "c"]


def test_faults_of_one_image_leave_the_others_usable(root):
    ade(root, "1_good")
    ade(root, "2_size", np.ones((20, 31)))
    ade(root, "3_value", np.full((20, 30), 151))
    ade(root, "4_void", np.zeros((20, 30)))
    ade(root, "5_unlabelled")
    (root / "ade20k/annotations/training/5_unlabelled.png").unlink()
    ade(root, "6_pictureless")
    (root / "ade20k/images/training/6_pictureless.jpg").unlink()
    ade(root, "7_broken")
    (root / "ade20k/annotations/training/7_broken.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0" * 30)
    dataset = open_ade20k("ade20k", root)
    assert len(dataset) == 7 and len(dataset[0].referents) == 2
    messages = ["30 x 20 pixels, its label map .* 31 x 20", "holds the value 151", "no pixel of a class"]
    messages += ["5_unlabelled.png is missing", "6_pictureless.jpg is missing", "7_broken.png cannot be read"]
    for index, message in enumerate(messages, start=1):
        with pytest.raises(ItemError, match=message):
            dataset[index]


def test_cocostuff_leaves_out_names_with_a_hyphen(root):
    labels = np.full((20, 30), 255)
    labels[:5], labels[5:8], labels[8:10] = 0, 95, 156
    write_labels(root / "cocostuff/train2017/000000000009.png", labels)
    write_image(root / "coco/train2017/000000000009.jpg")
    write_image(root / "coco/train2017/000000000025.jpg")
    dataset = open_cocostuff("cocostuff", root)
    assert len(dataset) == 1, "only images with a label map belong to COCO-Stuff"
    masks = masks_of(dataset[0])
    assert list(masks) == [("person",), ("sky",)]
    assert (masks[("sky",)][5:8] == 255).all() and (masks[("sky",)][10:] == 255).all()
    assert (masks[("sky",)][:5] == 0).all() and (masks[("sky",)][8:10] == 1).all()


def test_mapillary_takes_its_names_from_its_configuration(root):
    names = ["Bird", "Traffic Sign (Back)", "Ambiguous", "Ambiguous"]
    write_json(root / "mapillary/config_v2.0.json", {"labels": [{"readable": name, "name": "x"} for name in names]})
    labels = np.ones((20, 30))
    labels[:4], labels[4:6] = 2, 3
    palette = list(range(256)) * 3
    write_labels(root / "mapillary/training/v2.0/labels/x.png", labels, palette)
    write_image(root / "mapillary/training/images/x.jpg")
    masks = masks_of(open_mapillary("mapillary", root)[0])
    assert list(masks) == [("traffic sign (back)",), ("ambiguous",)]
    assert ((masks[("ambiguous",)] == 1) == (labels > 1)).all(), "classes of one name are one thing to ask for"


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"labels": [{"name": "x"}]}, r"labels\[0\] has no 'readable'"),
        ({"labels": {"readable": "Bird"}}, "'labels' of the file is .* where a list is needed"),
        ({}, "the file has no 'labels'"),
    ],
)
def test_a_malformed_configuration_is_named(root, config, message):
    write_json(root / "mapillary/config_v2.0.json", config)
    with pytest.raises(DatasetError, match=rf"config_v2\.0\.json: {message}.*copy it again"):
        open_mapillary("mapillary", root)


def test_a_missing_folder_is_named(root):
    with pytest.raises(DatasetError, match=r"The folder .*ade20k/images/training cannot be read"):
        open_ade20k("ade20k", root)
