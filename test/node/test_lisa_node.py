"""One running node: what it answers, and what it says to each kind of bad input. It must live through all of it."""

from __future__ import annotations

import numpy as np
import pytest
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from lisa_ros.answers import MAX_REQUEST_CHARACTERS
from lisa_ros.msg import Result


def test_a_query_without_any_image_fails_naming_the_topic(answering):
    result = answering.ask("where is the rectangle?")
    assert result.verdict == Result.FAILED and result.header == Header()
    assert "no image" in result.error and "/image" in result.error


def test_an_answer_carries_header_query_words_objects_and_labels(answering, make_image):
    image = make_image(np.zeros((24, 33, 3), np.uint8))
    result = answering.ask_about(image, "where is the rectangle?")
    assert result.header == image.header
    assert (result.query, result.words) == ("where is the rectangle?", "It is the rectangle in the middle.")
    assert (result.verdict, result.error, result.model) == (Result.FOUND, "", "scripted")
    (found,) = result.objects
    assert (found.label, found.score, found.label_id, found.area) == ("rectangle", 1.0, 1, 8 * 11)
    assert (found.box.x_offset, found.box.y_offset, found.box.width, found.box.height) == (11, 8, 11, 8)
    labels = np.frombuffer(result.labels.data, np.uint8).reshape(24, 33)
    assert (labels[8:16, 11:22] == 1).all() and labels.sum() == found.area
    assert {"waiting", "query_to_result"} <= {timing.stage for timing in result.timings}


def test_mask_and_reasoning_are_published_with_the_same_header(answering, make_image):
    image = make_image()
    result = answering.ask_about(image, "where is the rectangle?")
    mask = answering.wait(lambda: next((m for m in answering.masks if m.header == image.header), None), "the mask")
    assert (mask.encoding, mask.height, mask.width, mask.step) == ("mono8", 24, 32, 32)
    pixels = np.frombuffer(mask.data, np.uint8).reshape(24, 32)
    assert set(np.unique(pixels)) == {0, 255} and (pixels == 255).sum() == result.objects[0].area
    answering.wait(lambda: result.words in answering.reasonings, "the reasoning")


def test_the_overlay_is_built_when_somebody_listens(answering, make_image):
    overlays = []
    subscription = answering.node.create_subscription(Image, "/lisa/overlay", overlays.append, 10)
    image = make_image(np.full((24, 32, 3), 100, np.uint8))

    def shown():
        answering.ask_about(image, "where?")
        return next((overlay for overlay in overlays if overlay.header == image.header), None)

    message = answering.wait(shown, "an overlay of the image")
    answering.node.destroy_subscription(subscription)
    assert (message.encoding, message.step) == ("rgb8", 96)
    overlay = np.frombuffer(message.data, np.uint8).reshape(24, 32, 3)
    assert overlay[0, 0].tolist() == [100, 100, 100]
    assert overlay[12, 16].tolist() == [178, 82, 66]


@pytest.mark.parametrize(
    ("text", "verdict", "words"),
    [("a unicorn", Result.NOT_PRESENT, "There is no unicorn here."), ("hello", Result.WORDS_ONLY, "Hello.")],
)
def test_answers_without_objects_have_no_labels_and_a_blank_mask(answering, make_image, text, verdict, words):
    image = make_image()
    result = answering.ask_about(image, text)
    assert (result.verdict, result.words) == (verdict, words)
    assert len(result.objects) == 0 and len(result.labels.data) == 0
    mask = answering.wait(lambda: next((m for m in answering.masks if m.header == image.header), None), "the mask")
    assert not any(mask.data)


def test_ids_grow_and_every_query_of_a_burst_gets_its_result(answering, make_image):
    answering.ask_about(make_image(), "first")
    seen = len(answering.results)
    for number in range(3):
        answering.query(f"query {number}")
    answering.wait(lambda: len(answering.results) >= seen + 3, "three results")
    results = answering.results[seen:]
    assert [result.query for result in results] == ["query 0", "query 1", "query 2"]
    assert results[0].query_id < results[1].query_id < results[2].query_id


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "The request is empty (received ''); ask for something in plain words."),
        (" \t\n", "The request is empty (received ' \\t\\n'); ask for something in plain words."),
        ("x" * (MAX_REQUEST_CHARACTERS + 1), f"at most {MAX_REQUEST_CHARACTERS} are answered."),
        ("y" * 100_000, "The request has 100000 characters;"),
    ],
)
def test_bad_queries_fail_with_a_sentence(answering, text, sentence):
    result = answering.ask(text)
    assert (result.verdict, result.query) == (Result.FAILED, text)
    assert sentence in result.error


def broken(make_image, **fields):
    image = make_image()
    for name, value in fields.items():
        setattr(image, name, value)
    return image


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"height": 0, "width": 0, "step": 0}, "The image is empty: its size is 0 x 0."),
        ({"height": 25}, "is truncated: 2304 of 2400 bytes came."),
        ({"step": 95}, "has a step of 95 bytes; a row needs 96."),
        ({"encoding": "rgb99"}, "unknown encoding 'rgb99'"),
        ({"encoding": "16UC1"}, "'16UC1', which holds depth"),
    ],
)
def test_broken_images_fail_with_their_header_and_a_sentence(answering, make_image, fields, sentence):
    image = broken(make_image, **fields)
    result = answering.ask_about(image, "where?")
    assert (result.verdict, result.header) == (Result.FAILED, image.header)
    assert sentence in result.error and "\n" not in result.error


def test_a_network_that_raises_fails_that_query_alone(answering, make_image):
    result = answering.ask_about(make_image(), "crash")
    assert result.error == "The network failed on this query: the script was told to crash."
    assert answering.ask_about(make_image(), "where?").verdict == Result.FOUND


@pytest.mark.parametrize("payload", [b"\x00\x01\x00\x00\xff\xff\xff\x7f", b"\x00\x01\x00\x00", b"garbage"])
def test_bytes_that_are_no_message_are_survived(answering, make_image, payload):
    answering.asker.publish(payload)
    answering.camera.publish(payload)
    assert answering.ask_about(make_image(), "where?").verdict == Result.FOUND


def test_a_query_that_is_not_utf8_is_answered(answering, make_image):
    answering.ask_about(make_image(), "where?")
    seen = len(answering.results)
    answering.asker.publish(b"\x00\x01\x00\x00\x05\x00\x00\x00\xff\xfe\xfd\xfc\x00")
    result = answering.wait(lambda: answering.results[seen:], "a result")[0]
    assert result.verdict == Result.FOUND


def test_images_of_720p_are_answered(answering, make_image):
    image = make_image(np.random.default_rng(0).integers(0, 256, (720, 1280, 3), dtype=np.uint8), encoding="bgr8")
    result = answering.ask_about(image, "where?")
    assert (result.labels.height, result.labels.width) == (720, 1280)
    assert result.objects[0].area == (480 - 240) * (853 - 426)


def test_live_parameters_hold_from_the_next_query_on(answering, make_image):
    assert answering.set_parameter("image_timeout", 3600.0).successful
    refused = answering.set_parameter("mode", "fast")
    assert not refused.successful and "'fast'" in refused.reason
    refused = answering.set_parameter("model", "/elsewhere")
    assert not refused.successful and "'/elsewhere'" in refused.reason
    assert answering.ask_about(make_image(), "where?").verdict == Result.FOUND


def test_diagnostics_tell_state_model_counts_and_latency(answering, make_image):
    answering.ask_about(make_image(), "where?")
    answering.ask("")
    counted = len([result for result in answering.results if result.error.startswith("The request ")])
    answering.wait(lambda: answering.status("failed.bad_query") == str(counted), "the count of bad queries")
    assert (answering.status("state"), answering.status("model")) == ("active", "scripted")
    assert int(answering.status("answers.found")) > 0 and int(answering.status("images received")) > 0
    assert float(answering.status("latency p50 (ms)")) > 0.0 and float(answering.status("image age (s)")) >= 0.0
    assert "The request is empty" in answering.status("last error")
    assert answering.diagnostics[-1].status[0].name == "/lisa: answers"
