from __future__ import annotations

from pathlib import Path

import numpy as np

from lisa_ros.datasets.opening import open_dataset
from lisa_ros.datasets.records import AnnotatedImage, ItemError, Referent
from lisa_ros.evaluation.cases import Case, Skip
from lisa_ros.evaluation.referring import reasonseg_cases, refcoco_cases


def test_reasonseg_asks_the_first_text_and_groups_by_its_kind(reasonseg, drawn):
    cases = {
        case.id: case for case in reasonseg_cases(open_dataset("reason_seg|val", reasonseg)) if isinstance(case, Case)
    }
    assert cases["a_phrase"].request == (
        "What is the thing in the middle in this image? Please output segmentation mask."
    )
    assert cases["c_cp1252"].request == "caf\u00e9 \u2013 where is it? Please output segmentation mask."
    for name, case in cases.items():
        assert case.group == ("long" if drawn[0][name][1] else "short")
        assert case.image_path.name == f"{name}.jpg" and case.truth().shape == drawn[1:]
    assert set(np.unique(cases["b_sentence"].truth())) == {0, 1, 255}


class Listed:
    """A data set of the images given; an error among them is raised when its turn comes."""

    name = "listed"

    def __init__(self, *items):
        self.items = items

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        if isinstance(self.items[index], Exception):
            raise self.items[index]
        return self.items[index]


def image(*referents, name="train/a"):
    return AnnotatedImage(name, Path("a.jpg"), referents)


THING = Referent(("a thing", "That Thing "), False, lambda: np.zeros((2, 2), np.uint8))


def test_items_that_cannot_be_used_keep_their_place_and_reason():
    dataset = Listed(ItemError("The image is missing."), image(THING), image(THING, THING))
    first, second, third = reasonseg_cases(dataset)
    assert first == Skip("listed[0]", "The image is missing.") and isinstance(second, Case)
    assert third == Skip("train/a", "train/a has 2 targets instead of 1.")
    assert [type(case) for case in refcoco_cases(dataset)] == [Skip] + [Case] * 6


def test_ids_are_fit_for_file_names_and_texts_are_in_lower_case():
    first, second = refcoco_cases(Listed(image(THING)), plain=True)
    assert (first.id, second.id) == ("train_a-0-0", "train_a-0-1")
    assert (first.request, second.request) == ("a thing", "that thing")
