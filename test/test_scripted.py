from __future__ import annotations

import numpy as np
import pytest

from lisa_ros.answers import Finished, MaskReady, Request, TextDelta, Verdict
from lisa_ros.scripted import ScriptedSegmenter, rectangle_in_the_middle

SIZE = (30, 60)


def ask(text):
    segmenter = ScriptedSegmenter.load(device="cpu")
    view = segmenter.look(np.zeros((*SIZE, 3), np.uint8))
    assert view.size == SIZE
    return list(segmenter.ask(view, Request(text)))


def test_a_request_finds_the_rectangle_mask_first_and_finished_last():
    first, *between, last = ask("where is it?")
    assert isinstance(first, MaskReady) and isinstance(last, Finished)
    assert (last.answer.verdict, last.answer.objects) == (Verdict.FOUND, (first.object,))
    assert "".join(event.text for event in between if isinstance(event, TextDelta)) == last.answer.words


@pytest.mark.parametrize(("text", "verdict"), [("a unicorn", Verdict.NOT_PRESENT), ("hello", Verdict.WORDS_ONLY)])
def test_other_verdicts_have_words_and_no_object(text, verdict):
    last = ask(text)[-1]
    assert (last.answer.verdict, last.answer.objects) == (verdict, ()) and last.answer.words


def test_a_crash_raises_as_told():
    with pytest.raises(RuntimeError, match="told to crash"):
        ask("crash")


@pytest.mark.parametrize("image", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 3))])
def test_an_image_of_another_shape_or_type_is_refused(image):
    with pytest.raises(ValueError, match="must be uint8"):
        ScriptedSegmenter().look(image)


def test_the_rectangle_is_the_middle_third():
    found = rectangle_in_the_middle(SIZE)
    assert (found.box, found.area) == ((20, 10, 40, 20), 200)
