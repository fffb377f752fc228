from __future__ import annotations

import numpy as np
import pytest

from lisa_ros.answers import MAX_REQUEST_CHARACTERS, Mode, Request, SegmentedObject, box_of


def test_a_request_keeps_its_text_and_answers_freely_by_default():
    request = Request(" where is the cup? ")
    assert (request.text, request.mode) == (" where is the cup? ", Mode.AUTO)
    assert Request("x" * MAX_REQUEST_CHARACTERS).max_new_tokens >= 1


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"text": ""}, r"empty \(received ''\)"),
        ({"text": " \n"}, r"empty \(received ' \\n'\)"),
        ({"text": "x" * (MAX_REQUEST_CHARACTERS + 1)}, f"has {MAX_REQUEST_CHARACTERS + 1} characters; at most"),
        ({"text": "cup", "max_new_tokens": 0}, "max_new_tokens is 0; it must be 1 or more"),
    ],
)
def test_a_bad_request_is_refused_quoting_what_came(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        Request(**options)


def test_the_box_is_tight_with_exclusive_maxima():
    mask = np.zeros((10, 20), bool)
    mask[2:5, 7:9] = mask[8, 15] = True
    assert box_of(mask) == (7, 2, 16, 9)
    assert box_of(np.ones((3, 4), bool)) == (0, 0, 4, 3)
    assert box_of(np.zeros((3, 4), bool)) == (0, 0, 0, 0)


def test_the_area_counts_the_pixels_of_the_mask():
    mask = np.zeros((4, 4), bool)
    mask[0, :3] = True
    assert SegmentedObject("cup", mask, box_of(mask), 0.5).area == 3
