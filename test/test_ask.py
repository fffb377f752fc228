from __future__ import annotations

import cv2
import numpy as np
import pytest

from lisa_ros.answers import Turn
from lisa_ros.cli import main
from lisa_ros.scripted import ScriptedSegmenter
from lisa_ros.segmenter import BACKENDS

RGB = np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8)
MIDDLE = (slice(20, 40), slice(30, 60))


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "picture.png"
    cv2.imwrite(str(path), RGB[:, :, ::-1])
    return path


@pytest.fixture
def ask(monkeypatch, tmp_path, capfd):
    """Run ``lisa ask`` with the scripted backend; returns exit code, printed lines and lines of complaint."""
    monkeypatch.setitem(BACKENDS, "lisa", BACKENDS["scripted"])
    (tmp_path / "model").mkdir()

    def ask(*words):
        code = main(["ask", *map(str, words), "--model", str(tmp_path / "model")])
        captured = capfd.readouterr()
        return code, captured.out.splitlines(), captured.err.splitlines()

    return ask


def read(path):
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    return image[:, :, ::-1] if image.ndim == 3 else image


def test_an_answer_is_its_words_its_verdict_and_its_masks(ask, picture):
    code, (words, verdict, mask), errors = ask(picture, "what is in the middle")
    assert (code, errors) == (0, [])
    assert words == "It is the rectangle in the middle."
    assert verdict == "verdict: found, 0 ms"
    assert mask == "mask: rectangle, box [30, 20, 60, 40], 600 pixels, score 1.00"


def test_further_requests_continue_the_conversation(ask, picture, monkeypatch):
    asked = []

    def listen(self, view, request, answering=ScriptedSegmenter.ask):
        asked.append(request)
        return answering(self, view, request)

    monkeypatch.setattr(ScriptedSegmenter, "ask", listen)
    code, lines, _ = ask(picture, "what is in the middle", "--then", "hello", "--then", "a unicorn")
    assert code == 0
    assert [line for line in lines if line.endswith(".")] == [
        "It is the rectangle in the middle.",
        "Hello.",
        "There is no unicorn here.",
    ]
    first, second = Turn("what is in the middle", "It is the rectangle in the middle."), Turn("hello", "Hello.")
    assert [request.history for request in asked] == [(), (first,), (first, second)]


def test_an_answer_that_failed_is_one_sentence_and_exit_1(tiny_model, tiny_text, picture, tmp_path, capsys):
    from lisa_ros.model.processing import LisaProcessor

    tiny_model.save_pretrained(tmp_path / "tiny")
    LisaProcessor(tiny_text.config, tiny_text).save_pretrained(tmp_path / "tiny")
    options = ["--model", str(tmp_path / "tiny"), "--device", "cpu", "--mask", str(tmp_path / "mask.png")]
    assert main(["ask", str(picture), "the knife", "--then", "and the cup", *options]) == 1
    complaint = capsys.readouterr().err
    assert complaint.startswith("lisa ask: ") and complaint.count("\n") == 1
    assert not (tmp_path / "mask.png").exists()


def test_the_pictures_show_the_mask(ask, picture, tmp_path):
    assert ask(picture, "it", "--overlay", tmp_path / "overlay.png", "--mask", tmp_path / "mask.png")[0] == 0
    expected = np.zeros(RGB.shape[:2], np.uint8)
    expected[MIDDLE] = 255
    assert np.array_equal(read(tmp_path / "mask.png"), expected)
    overlay, outside = read(tmp_path / "overlay.png"), expected == 0
    assert np.array_equal(overlay[outside], RGB[outside])
    assert np.abs(overlay[MIDDLE].astype(float) - (RGB[MIDDLE] / 2 + np.array([255, 64, 32]) / 2)).max() <= 1


def test_something_absent_gives_words_and_an_empty_mask(ask, picture, tmp_path):
    code, lines, _ = ask(picture, "a unicorn", "--overlay", tmp_path / "overlay.png", "--mask", tmp_path / "mask.png")
    assert code == 0 and lines == ["There is no unicorn here.", "verdict: not_present, 0 ms"]
    assert not read(tmp_path / "mask.png").any() and np.array_equal(read(tmp_path / "overlay.png"), RGB)


def test_a_checkpoint_answers_with_a_mask_alone(tiny_model, tiny_text, picture, tmp_path, capsys):
    from lisa_ros.model.processing import LisaProcessor

    tiny_model.save_pretrained(tmp_path / "tiny")
    LisaProcessor(tiny_text.config, tiny_text).save_pretrained(tmp_path / "tiny")
    options = ["--model", str(tmp_path / "tiny"), "--device", "cpu", "--mask-first"]
    assert main(["ask", str(picture), "where is the knife", *options, "--mask", str(tmp_path / "mask.png")]) == 0
    words, verdict, mask = capsys.readouterr().out.splitlines()
    assert words == "(no words)" and verdict.startswith("verdict: ")
    assert f"{np.count_nonzero(read(tmp_path / 'mask.png'))} pixels" in mask


def test_a_picture_that_cannot_be_read_is_one_sentence_and_exit_1(ask, picture, tmp_path):
    (tmp_path / "text.png").write_text("no picture")
    for path in (tmp_path / "none.png", tmp_path / "text.png", tmp_path):
        assert ask(path, "it") == (1, [], [f"lisa ask: {path} cannot be read as a picture."])


def test_an_empty_request_is_one_sentence_and_exit_1(ask, picture):
    code, lines, (error,) = ask(picture, "  ")
    assert (code, lines) == (1, []) and error.startswith("lisa ask: The request is empty (received '  ')")


def test_a_missing_model_is_one_sentence_and_exit_1(picture, tmp_path, capsys):
    assert main(["ask", str(picture), "it", "--model", str(tmp_path / "none")]) == 1
    (error,) = capsys.readouterr().err.splitlines()
    assert error.startswith("lisa ask: ") and "none' does not exist" in error


@pytest.mark.parametrize("option", ["--overlay", "--mask"])
@pytest.mark.parametrize("name", ["nowhere/picture.png", "picture.xyz", "picture"])
def test_a_picture_that_cannot_be_written_is_one_sentence_and_exit_1(ask, picture, tmp_path, option, name):
    code, lines, errors = ask(picture, "it", option, tmp_path / name)
    assert code == 1 and lines[0] == "It is the rectangle in the middle."
    expected = "cannot be written; name a .png or .jpg file in a folder that exists."
    assert errors == [f"lisa ask: {tmp_path / name} {expected}"]
