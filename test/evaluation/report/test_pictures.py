from __future__ import annotations

import base64

import cv2
import numpy as np
import pytest

from lisa_ros.datasets.records import IGNORE
from lisa_ros.evaluation.report.pictures import ANSWER_COLOUR, LONGEST_SIDE, TRUTH_COLOUR, data_address, overlay

RGB = np.full((60, 80, 3), 100, np.uint8)


def test_answer_truth_and_ignored_region_look_different():
    answer, truth = np.zeros((60, 80), bool), np.zeros((60, 80), np.uint8)
    answer[10:30, 10:30] = True
    truth[35:55, 40:70] = 1
    truth[5:20, 60:75] = IGNORE
    picture = overlay(RGB, answer, truth).astype(int)
    assert picture.shape == RGB.shape and (picture[2, 2] == 100).all() and (picture[45, 55] == 100).all()
    assert np.abs(picture[20, 20] - np.array(ANSWER_COLOUR)).max() < 90 and picture[20, 20, 0] > 170
    assert np.abs(picture[35, 55] - np.array(TRUTH_COLOUR)).max() < 60
    assert len(set(picture[12, 67])) == 1 and picture[12, 67, 0] > 110
    assert (RGB == 100).all(), "the image itself is not changed"


@pytest.mark.parametrize("shape", [(3000, 200, 3), (200, 3000, 3), (1, 1, 3)])
def test_pictures_are_of_modest_size(shape):
    rgb = np.zeros(shape, np.uint8)
    picture = overlay(rgb, np.ones(shape[:2], bool), np.ones(shape[:2], np.uint8))
    assert max(picture.shape) == max(min(max(shape), LONGEST_SIDE), 3) and min(picture.shape) >= 1


def test_an_address_holds_the_picture_in_its_colours():
    red = np.zeros((8, 8, 3), np.uint8)
    red[..., 0] = 200
    encoded = base64.b64decode(data_address(red).removeprefix("data:image/jpeg;base64,"), validate=True)
    blue, green, found = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR)[4, 4].astype(int)
    assert abs(found - 200) < 12 and max(blue, green) < 12
