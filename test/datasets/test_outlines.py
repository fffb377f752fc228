from __future__ import annotations

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from lisa_ros.datasets.outlines import outline_mask
from lisa_ros.datasets.records import ItemError

from .conftest import box_polygon

DISC = np.hypot(*(np.mgrid[:20, :30] - np.array([[[8]], [[13]]]))) < 6


def run_lengths(mask):
    edges = np.flatnonzero(np.diff(np.r_[0, mask.T.ravel(), 2]))
    return np.diff(np.r_[-1, edges]).tolist() if mask[0, 0] else np.diff(np.r_[0, edges + 1][:-1]).tolist()


def rle(mask):
    encoded = coco_mask.encode(np.asfortranarray(mask, np.uint8))
    return {"size": encoded["size"], "counts": encoded["counts"].decode()}


def test_run_lengths_as_text_give_what_was_encoded():
    noise = np.random.default_rng(0).random((20, 30)) < 0.4
    for mask in (DISC, noise, ~DISC, np.ones((20, 30), bool)):
        for outline in (rle(mask), [rle(mask)]):
            decoded = outline_mask(outline, 20, 30, "it")
            assert (decoded == mask).all() and decoded.dtype == np.uint8


def test_run_lengths_as_numbers_go_down_the_columns():
    mask = outline_mask({"size": [4, 3], "counts": [5, 2, 5]}, 4, 3, "it")
    assert mask.T.ravel().tolist() == [0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0]


def test_several_run_lengths_and_overlapping_polygons_are_one_mask_of_ones():
    left, right = np.zeros((20, 30), bool), np.zeros((20, 30), bool)
    left[:, :18], right[:, 12:] = True, True
    assert (outline_mask([rle(left), rle(right)], 20, 30, "it") == 1).all()
    mask = outline_mask([box_polygon(2, 2, 12, 12), box_polygon(6, 6, 20, 14)], 20, 30, "it")
    assert mask.max() == 1 and mask[8, 8] == 1 and mask[3, 3] == 1 and mask[13, 18] == 1 and mask[3, 18] == 0


def test_a_polygon_that_reaches_outside_is_cut_off():
    mask = outline_mask([box_polygon(-500, -10, 10, 600)], 20, 30, "it")
    assert (mask == (np.arange(30) < 10)).all()


def test_a_part_without_area_changes_nothing():
    box = box_polygon(2, 2, 12, 12)
    assert (outline_mask([[1, 2, 3, 4], box], 20, 30, "it") == outline_mask([box], 20, 30, "it")).all()


@pytest.mark.parametrize(
    ("outline", "message"),
    [
        ([box_polygon(50, 50, 90, 90)], "covers no pixel of its image of 30 x 20"),
        ([[1, 2, 3, 4]], "fewer than 3 points"),
        ([[1, 2, 3, 4, 5]], "must be a list of pairs of numbers"),
        ([[1, 2, float("nan"), 4, 5, 6]], "must be numbers of at most 32767 pixels"),
        ([box_polygon(0, 0, 1e9, 1e9)], "must be numbers of at most 32767 pixels"),
        ([["a", "b", 1, 2, 3, 4]], "must be a list of pairs of numbers"),
        ([1, 2, 3, 4, 5, 6], "must be a list of pairs of numbers"),
        ([box_polygon(2, 2, 9, 9), {"size": [20, 30], "counts": [600]}], "must be a list of pairs of numbers"),
        ([], "has no outline"),
        (rle(np.zeros((20, 30), bool)), "covers no pixel"),
        ({"size": [30, 20], "counts": [600]}, r"for the size \[30, 20\], its image has \[20, 30\]"),
        ({"counts": [600]}, "for the size None"),
        ({"size": [20, 30], "counts": [0, 599]}, "do not add up"),
        ({"size": [20, 30], "counts": [-5, 605]}, "do not add up"),
        ({"size": [20, 30], "counts": "zzzz"}, "do not add up"),
        ({"size": [20, 30], "counts": ""}, "do not add up"),
        ({"size": [20, 30], "counts": rle(DISC)["counts"][:-2]}, "do not add up"),
        ({"size": [20, 30], "counts": None}, "do not add up"),
        ({"size": [20, 30], "counts": [0.5, 599.5]}, "do not add up"),
    ],
)
def test_what_encloses_nothing_in_the_image_is_refused(outline, message):
    with pytest.raises(ItemError, match=f"The thing .*{message}"):
        outline_mask(outline, 20, 30, "The thing")
