from __future__ import annotations

import numpy as np
import pytest
from std_msgs.msg import Header

from lisa_ros.answers import Answer, SegmentedObject, Verdict, box_of
from lisa_ros.msg import Result
from lisa_ros.node.publishing import label_image, tint, to_image, to_result, union

SIZE = (6, 8)


def square(top: int, left: int, side: int = 3, **scores: float) -> SegmentedObject:
    mask = np.zeros(SIZE, bool)
    mask[top : top + side, left : left + side] = True
    return SegmentedObject(f"at {top}, {left}", mask, box_of(mask), **{"score": 0.5, **scores})


@pytest.fixture
def header():
    result = Header(frame_id="camera")
    result.stamp.sec, result.stamp.nanosec = 12, 34
    return result


def test_a_result_carries_everything_of_the_answer(header):
    first = square(0, 0, score=0.5, seg_probability=0.9, predicted_iou=0.8, stability=0.7)
    answer = Answer(Verdict.FOUND, "Two.", (first, square(2, 4)), {"look": 2.0, "ask": 3.5}, "tabletop")
    message = to_result(7, "where?", header, answer)
    assert (message.header, message.query, message.query_id) == (header, "where?", 7)
    assert (message.verdict, message.words, message.model, message.error) == (Result.FOUND, "Two.", "tabletop", "")
    assert [(timing.stage, timing.milliseconds) for timing in message.timings] == [("look", 2.0), ("ask", 3.5)]
    found = message.objects[0]
    assert (found.label, found.label_id, found.area) == ("at 0, 0", 1, 9)
    scores = (found.score, found.seg_probability, found.predicted_iou, found.stability)
    np.testing.assert_allclose(scores, (0.5, 0.9, 0.8, 0.7), rtol=1e-6)
    box = message.objects[1].box
    assert (box.x_offset, box.y_offset, box.width, box.height) == (4, 2, 3, 3)
    labels = np.frombuffer(message.labels.data, np.uint8).reshape(SIZE)
    assert message.labels.header == header and message.labels.encoding == "mono8"
    assert {int(label): int((labels == label).sum()) for label in np.unique(labels)} == {0: 30, 1: 9, 2: 9}


@pytest.mark.parametrize(
    ("verdict", "constant"),
    [
        (Verdict.FAILED, Result.FAILED),
        (Verdict.FOUND, Result.FOUND),
        (Verdict.NOT_PRESENT, Result.NOT_PRESENT),
        (Verdict.WORDS_ONLY, Result.WORDS_ONLY),
    ],
)
def test_each_verdict_has_its_constant_and_no_objects_mean_no_labels(verdict, constant, header):
    message = to_result(1, "q", header, Answer(verdict, ""))
    assert message.verdict == constant
    assert message.labels.width == 0 and len(message.labels.data) == 0


def test_union_and_labels_of_overlapping_objects():
    objects = (square(0, 0), square(2, 2))
    assert union(SIZE, objects).sum() == 17
    assert union(SIZE, ()).shape == SIZE and not union(SIZE, ()).any()
    labels = label_image(objects)
    assert labels[0, 0] == 1 and labels[2, 2] == 2 and labels[5, 7] == 0


def test_tint_mixes_the_colour_in_on_the_mask_alone():
    rgb = np.full((*SIZE, 3), 100, np.uint8)
    tinted = tint(rgb, (square(0, 0),), (200, 0, 100), 0.25)
    assert tinted[0, 0].tolist() == [125, 75, 100]
    assert (tinted[5] == 100).all() and (rgb == 100).all()


@pytest.mark.parametrize("channels", [(), (3,)])
def test_images_are_written_row_by_row_even_from_a_strided_array(channels, header):
    pixels = np.arange(4 * 10 * 3, dtype=np.uint8).reshape(4, 10, 3)[::2, 1::3, : channels[0] if channels else 1]
    pixels = pixels.reshape(2, 3, *channels) if not channels else pixels
    message = to_image(header, "any", pixels)
    assert (message.height, message.width, message.step) == (2, 3, 9 if channels else 3)
    assert bytes(message.data) == pixels.tobytes()
