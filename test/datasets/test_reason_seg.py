from __future__ import annotations

import json

import pytest

from lisa_ros.answers import Turn
from lisa_ros.datasets.reason_seg import open_reason_seg
from lisa_ros.datasets.records import DatasetError, ItemError

from .conftest import write_image, write_json

TARGET = {"label": "target", "points": [[2, 2], [11, 2], [11, 11], [2, 11]]}


def add(root, split, name, *texts, shapes=(TARGET,), height=20):
    folder = root / "reason_seg/ReasonSeg" / split
    write_image(folder / f"{name}.jpg", height, 30)
    data = {"text": list(texts) or ["the lens"], "is_sentence": len(texts) > 1, "shapes": list(shapes)}
    return write_json(folder / f"{name}.json", data)


def explain(root, value):
    return write_json(root / "reason_seg/ReasonSeg/explanatory/train.json", value)


def test_an_image_has_one_target_and_all_its_instructions(root):
    add(root, "val", "2", "Where is it?", "Which one is it?")
    add(root, "val", "1")
    dataset = open_reason_seg("reason_seg|val", root, "val")
    assert dataset.name == "reason_seg|val" and [dataset[index].name for index in range(len(dataset))] == ["1", "2"]
    (referent,) = dataset[1].referents
    assert referent.texts == ("Where is it?", "Which one is it?") and referent.is_sentence
    assert referent.mask().shape == (20, 30) and referent.mask().sum() == 100
    assert not dataset[0].referents[0].is_sentence and dataset[0].explanations == ()


def test_training_images_have_explanations_by_the_name_of_their_file(root):
    for name in ("1", "2"):
        add(root, "train", name)
        add(root, "val", name)
    explain(root, [{"image": "2.jpg", "query": "What records?", "outputs": "The lens, as it gathers light."}])
    train = open_reason_seg("reason_seg|train", root, "train")
    assert train[0].explanations == ()
    assert train[1].explanations == (Turn("What records?", "The lens, as it gathers light."),)
    assert open_reason_seg("reason_seg|val", root, "val")[1].explanations == ()
    both = open_reason_seg("reason_seg|train_val", root, "train_val")
    assert [both[index].image_path.parent.name for index in range(4)] == ["train", "train", "val", "val"]


def test_missing_explanations_are_told(root, caplog):
    add(root, "train", "1")
    assert open_reason_seg("reason_seg|train", root, "train")[0].explanations == ()
    assert "explanatory/train.json is not there" in caplog.text


@pytest.mark.parametrize(
    ("value", "message"),
    [({}, "holds no list of explanations"), ([{"image": "1.jpg", "query": "a"}], "entry 0 has no 'outputs'")],
)
def test_malformed_explanations_are_refused(root, value, message):
    add(root, "train", "1")
    explain(root, value)
    with pytest.raises(DatasetError, match=rf"explanatory/train\.json: .*{message}"):
        open_reason_seg("reason_seg|train", root, "train")


def test_faults_of_one_image_leave_the_others_usable(root):
    add(root, "test", "1_good")
    add(root, "test", "2_without_polygons", shapes=())
    add(root, "test", "3_without_annotation").unlink()
    add(root, "test", "4_without_image").with_suffix(".jpg").unlink()
    add(root, "test", "5_broken").write_text(json.dumps({"text": ["a"]})[:-3])
    add(root, "test", "6_outside", height=2)
    add(root, "test", "7_no_picture").with_suffix(".jpg").write_text("nothing")
    dataset = open_reason_seg("reason_seg|test", root, "test")
    assert len(dataset) == 7 and dataset[0].referents[0].mask().sum() == 100
    messages = [r"2_without_polygons\.json has no polygon, so", r"3_without_annotation\.json is missing"]
    messages += [r"4_without_image\.jpg is missing", r"5_broken\.json is damaged"]
    for index, message in enumerate(messages, start=1):
        with pytest.raises(ItemError, match=message):
            dataset[index]
    for index, message in [(5, "lies outside the image of 30 x 2"), (6, "7_no_picture.jpg cannot be read")]:
        with pytest.raises(ItemError, match=message):
            dataset[index].referents[0].mask()


def test_a_missing_split_is_named(root):
    with pytest.raises(DatasetError, match="reason_seg/ReasonSeg/val cannot be read"):
        open_reason_seg("reason_seg|val", root, "val")
