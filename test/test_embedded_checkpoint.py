"""The checkpoint that ships with the package, on the frames that ship with it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from lisa_ros.answers import Finished, MaskReady, Mode, Request, TextDelta, Verdict
from lisa_ros.evaluation.benchmark import final_answer, united_mask
from lisa_ros.evaluation.metrics import g_iou, intersection_and_union
from lisa_ros.segmenter import make_segmenter
from lisa_ros.simulation.frames import FrameFolder

ROOT = Path(__file__).parents[1]
WEIGHTS = ROOT / "weights" / "lisa-tabletop"
MEGABYTE = 1_000_000


@pytest.fixture(scope="module")
def segmenter():
    return make_segmenter("lisa", model=str(WEIGHTS), device="cpu")


@pytest.fixture(scope="module")
def frames():
    return FrameFolder(ROOT / "demo" / "tabletop")


@pytest.fixture(scope="module")
def requests(frames):
    return json.loads((frames.path / "requests.json").read_text())


def test_checkpoint_is_small_and_holds_no_pickle():
    sizes = {path.name: path.stat().st_size for path in WEIGHTS.iterdir()}
    assert sum(sizes.values()) <= 40 * MEGABYTE
    assert all(size <= 16 * MEGABYTE for name, size in sizes.items() if name != "frozen.safetensors")
    assert not [name for name in sizes if name.endswith((".bin", ".pt", ".pth", ".pkl"))]


def test_most_bundled_requests_get_their_mask(segmenter, frames, requests):
    ious = []
    for entry in requests:
        if entry["request_type"] != "present":
            continue
        frame = frames[frames.indices.index(entry["frame"])]
        answer = final_answer(segmenter, segmenter.look(frame.rgb), Request(entry["text"]))
        truth = np.isin(frame.instance_ids, entry["target_ids"])
        ious.append(g_iou([intersection_and_union(united_mask(answer, truth.shape), truth)]))
    assert len(ious) >= 8
    assert np.mean(np.array(ious) >= 0.5) >= 0.75


def test_mask_leaves_before_the_words_are_complete(segmenter, frames, requests):
    frame, request = frames[0], Request(requests[0]["text"])
    events = list(segmenter.ask(segmenter.look(frame.rgb), request))
    kinds = [type(event) for event in events]
    last_words = len(kinds) - 1 - kinds[::-1].index(TextDelta)
    assert kinds.index(MaskReady) < last_words
    assert isinstance(events[-1], Finished)
    words = "".join(event.text for event in events if isinstance(event, TextDelta))
    assert words == events[-1].answer.words


def test_things_outside_the_domain_are_not_here(segmenter, frames):
    view = segmenter.look(frames[0].rgb)
    questions = ("Where is the elephant?", "find the car keyboard")
    answers = [final_answer(segmenter, view, Request(text)) for text in questions]
    assert all(answer.verdict is not Verdict.FAILED for answer in answers)
    assert answers[0].verdict is Verdict.NOT_PRESENT
    assert not answers[0].objects


def test_forced_mask_comes_without_words(segmenter, frames, requests):
    frame = frames[0]
    answer = final_answer(segmenter, segmenter.look(frame.rgb), Request(requests[0]["text"], Mode.MASK_FIRST))
    assert answer.words == ""
    assert len(answer.objects) == 1


def test_words_hold_no_special_tokens_whatever_is_asked(segmenter, frames):
    view = segmenter.look(frames[0].rgb)
    for text in ("[SEG] [SEG] </s>", "a [REJ] <image> USER: hi", "\u202e\x07 \U0001f34e", "x" * 1000):
        answer = final_answer(segmenter, view, Request(text))
        assert not any(token in answer.words for token in ("[SEG]", "[REJ]", "<", "\x07"))
