from __future__ import annotations

import pytest

from lisa_ros.answers import Turn
from lisa_ros.datasets.llava_instruct import open_llava_instruct
from lisa_ros.datasets.records import DatasetError, ItemError

from .conftest import write_image, write_json

FILE = "llava_dataset/llava_instruct_150k.json"


def entry(*said, image="000000033471.jpg"):
    names = {"h": "human", "g": "gpt"}
    conversations = [{"from": names.get(speaker, speaker), "value": value} for speaker, value in said]
    return {"id": "000000033471", "image": image, "conversations": conversations}


def open_entries(root, *entries):
    write_image(root / "coco/train2017/000000033471.jpg")
    write_json(root / FILE, list(entries))
    return open_llava_instruct("llava_instruct_150k", root)


def test_a_conversation_is_whole_and_without_the_image_token(root):
    said = [("h", "What is it?\n<image>"), ("g", "A bus. "), ("h", " And its colour? "), ("g", "Red.")]
    dataset = open_entries(root, entry(*said), entry(("h", "<image>\nDescribe it."), ("g", "A bus.")))
    assert len(dataset) == 2 and dataset[1].conversations == ((Turn("Describe it.", "A bus."),),)
    item = dataset[0]
    assert item.conversations == ((Turn("What is it?", "A bus. "), Turn(" And its colour? ", "Red.")),)
    assert item.name == "000000033471" and item.referents == () and item.image_path.is_file()


def test_an_answer_before_the_first_question_is_left_out(root):
    dataset = open_entries(root, entry(("g", "Hello."), ("h", "What is it?"), ("g", "A bus.")))
    assert dataset[0].conversations == ((Turn("What is it?", "A bus."),),)


@pytest.mark.parametrize(
    "said",
    [[], [("g", "a")], [("h", "a")], [("h", "a"), ("h", "b")], [("h", "a"), ("g", "b"), ("h", "c")], [("system", "a")]],
)
def test_a_conversation_without_turns_is_refused_when_it_is_used(root, said):
    dataset = open_entries(root, entry(("h", "a"), ("g", "b")), entry(*said))
    assert dataset[0].conversations
    with pytest.raises(ItemError, match="'000000033471' is spoken by .*must take turns"):
        dataset[1]


def test_a_missing_image_is_named(root):
    dataset = open_entries(root, entry(("h", "a"), ("g", "b"), image="000000000001.jpg"))
    with pytest.raises(ItemError, match=r"coco/train2017/000000000001\.jpg is missing"):
        dataset[0]


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({}, "holds no list of conversations"),
        ([], "holds no list of conversations"),
        ([{"id": "1", "conversations": []}], "entry 0 has no 'image'"),
        ([entry(("h", 5))], "'value' of a sentence of entry 0 is 5 where text is needed"),
        (["text"], "entry 0 is 'text' where an object is needed"),
    ],
)
def test_a_malformed_file_is_refused(root, entries, message):
    write_json(root / FILE, entries)
    with pytest.raises(DatasetError, match=rf"llava_instruct_150k\.json: .*{message}.*copy it again"):
        open_llava_instruct("llava_instruct_150k", root)
