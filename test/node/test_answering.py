from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from rclpy.logging import get_logger

from lisa_ros.answers import Answer, Finished, MaskReady, Request, SegmentedObject, TextDelta, Verdict, box_of
from lisa_ros.node.answering import Answerer, Query, Reports, keep_confident
from lisa_ros.node.counts import Counts
from lisa_ros.node.jobs import LatestFrame
from lisa_ros.node.parameters import Parameters
from lisa_ros.scripted import ScriptedView

SIZE = (24, 32)


def thing(column: int, score: float) -> SegmentedObject:
    mask = np.zeros(SIZE, bool)
    mask[:, column] = True
    return SegmentedObject(f"column {column}", mask, box_of(mask), score)


class Columns:
    """A Segmenter that finds one object for each score it was given, and counts what it was asked."""

    name = "columns"

    def __init__(self, *scores: float) -> None:
        self.objects = tuple(thing(column, score) for column, score in enumerate(scores))
        self.looks, self.cancelled = 0, False
        self.while_answering = lambda: None

    def look(self, rgb):
        self.looks += 1
        return ScriptedView(rgb.shape[:2])

    def ask(self, view, request):
        if request.text == "nothing at all":
            return
        try:
            for found in self.objects:
                yield MaskReady(found)
            self.while_answering()
            yield TextDelta("Columns.")
            failed = request.text == "fail"
            verdict = Verdict.FAILED if failed else Verdict.FOUND
            yield Finished(Answer(verdict, "Columns.", self.objects, {"ask": 1.0}, error="No luck." if failed else ""))
        except GeneratorExit:
            self.cancelled = True
            raise

    def close(self):
        pass


@dataclass
class RecordingPublishers:
    """Stands in for ``Publishers``, so that what is sent can be seen in order."""

    sent: list = field(default_factory=list)

    def result(self, query_id, query, header, answer):
        self.sent.append(("result", answer))

    def mask(self, header, size, objects):
        self.sent.append(("mask", [found.label for found in objects]))

    def overlay(self, header, rgb, objects, color, alpha):
        self.sent.append(("overlay", [found.label for found in objects]))


class Room:
    """An Answerer with everything around it."""

    def __init__(self, segmenter, image):
        self.publishers, self.counts, self.frames = RecordingPublishers(), Counts(), LatestFrame()
        self.parameters, self.stop = Parameters(), threading.Event()
        self.segmenter, self.image = segmenter, image
        self.answerer = Answerer(
            segmenter,
            self.frames,
            lambda: "The lid is on.",
            lambda: self.parameters,
            self.publishers,
            Reports(self.publishers, self.counts, get_logger("test")),
        )
        self.frames.put(image)

    def ask(self, text: str) -> Answer:
        self.publishers.sent.clear()
        self.answerer.answer(Query(1, text, Request(text)), self.stop)
        return dict(self.publishers.sent)["result"]


@pytest.fixture
def make_room(make_image):
    return lambda *scores: Room(Columns(*scores), make_image(np.zeros((*SIZE, 3), np.uint8)))


def test_the_mask_leaves_before_the_result_and_grows_with_each_object(make_room):
    room = make_room(0.9, 0.8)
    room.ask("columns")
    assert [(kind, what) for kind, what in room.publishers.sent if kind != "result"] == [
        ("mask", ["column 0"]),
        ("mask", ["column 0", "column 1"]),
        ("overlay", ["column 0", "column 1"]),
    ]
    assert [kind for kind, _ in room.publishers.sent] == ["mask", "mask", "result", "overlay"]


def test_one_frame_is_looked_at_once_whatever_is_asked_and_a_new_one_again(make_room):
    room = make_room(0.9)
    first, second = room.ask("one"), room.ask("two")
    assert room.segmenter.looks == 1
    assert {"conversion", "look"} <= first.timings.keys()
    assert not {"conversion", "look"} & second.timings.keys()
    assert {"waiting", "ask", "query_to_result"} <= second.timings.keys()
    room.frames.put(room.image)
    room.ask("three")
    assert room.segmenter.looks == 2


def test_objects_below_the_threshold_are_left_out_everywhere_and_counted(make_room):
    room = make_room(0.9, 0.2)
    room.parameters = replace(room.parameters, score_threshold=0.5)
    answer = room.ask("columns")
    assert answer.verdict is Verdict.FOUND and [found.label for found in answer.objects] == ["column 0"]
    assert [what for kind, what in room.publishers.sent if kind == "mask"] == [["column 0"]]
    assert room.counts.table()["objects left out"] == "1"


def test_an_answer_that_loses_all_its_objects_is_not_present_with_a_blank_mask(make_room):
    room = make_room(0.2, 0.1)
    room.parameters = replace(room.parameters, score_threshold=0.5)
    assert room.ask("columns").verdict is Verdict.NOT_PRESENT
    assert [what for kind, what in room.publishers.sent if kind == "mask"] == [[]]


def test_more_objects_than_labels_are_cut():
    crowd = Answer(Verdict.FOUND, "", tuple(thing(0, 1.0) for _ in range(300)))
    assert len(keep_confident(crowd, 0.0).objects) == 255


def test_without_objects_the_verdict_of_the_network_stands():
    words = Answer(Verdict.WORDS_ONLY, "Hello.")
    assert keep_confident(words, 0.5) == words


def test_an_image_too_old_counts_as_none_and_zero_trusts_every_image(make_room, monkeypatch):
    room = make_room(0.9)
    later = room.frames.get().received + 7.0
    monkeypatch.setattr("lisa_ros.node.jobs.time.monotonic", lambda: later)
    answer = room.ask("columns")
    assert answer.error == "There is no image to look at: the last image arrived 7.0 s ago. The lid is on."
    room.parameters = replace(room.parameters, image_timeout=0.0)
    assert room.ask("columns").verdict is Verdict.FOUND


def test_stopping_cancels_the_network_and_fails_the_query(make_room):
    room = make_room(0.9)
    room.segmenter.while_answering = room.stop.set
    answer = room.ask("columns")
    assert answer.verdict is Verdict.FAILED and "deactivated" in answer.error
    assert room.segmenter.cancelled
    assert room.counts.table()["failed.stopped"] == "1"


@pytest.mark.parametrize(
    ("text", "error"), [("fail", "No luck."), ("nothing at all", "The network ended without an answer.")]
)
def test_a_network_that_fails_or_says_nothing_is_failed_and_its_view_is_dropped(make_room, text, error):
    room = make_room(0.9)
    answer = room.ask(text)
    assert (answer.verdict, answer.error) == (Verdict.FAILED, error)
    assert room.counts.table()["failed.network"] == "1"
    room.ask("columns")
    assert room.segmenter.looks == 2
