"""The one runner: beside the recorded validation of the reference, and with segmenters whose answers are known."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from lisa_ros.answers import Answer, Finished, MaskReady, Mode, Request, SegmentedObject, Verdict, box_of
from lisa_ros.datasets.records import ItemError
from lisa_ros.evaluation.benchmark import final_answer, run
from lisa_ros.evaluation.cases import Case, Skip
from lisa_ros.evaluation.metrics import g_iou, intersection_over_union
from lisa_ros.evaluation.outcomes import Outcome, decode_mask
from lisa_ros.scripted import ScriptedSegmenter, ScriptedView

HEIGHT, WIDTH = 12, 20
TRUTH = np.zeros((HEIGHT, WIDTH), np.uint8)
TRUTH[2:8, 4:14] = 1
TRUTH[2:4] = 255


class RecordedPrompt:
    """One recorded prompt in place of a tokenizer."""

    refusal_ids = ()

    def __init__(self, prompt_ids):
        self.prompt_ids = prompt_ids

    def prompt(self, request, history=()):
        from lisa_ros.model.modeling import IMAGE_TOKEN
        from lisa_ros.model.processing import PromptInputs

        end = self.prompt_ids.tolist().index(IMAGE_TOKEN) + 1
        return PromptInputs(self.prompt_ids[:end], self.prompt_ids[end:])

    def label(self, token_ids):
        return ""

    def transcript(self, token_ids):
        return ""


def test_forced_mode_is_the_validation_of_the_reference(golden_model, golden_folder, tmp_path):
    """A prompt ends where the recorded conversation goes on with [SEG]; its mask has to be that of the whole."""
    import torch

    from lisa_ros.engine.generation import forced_forward
    from lisa_ros.engine.lisa_segmenter import LisaSegmenter
    from lisa_ros.model.image_processing import ImageProcessor
    from lisa_ros.model.processing import LisaProcessor

    given, expected = (np.load(golden_folder / f"val_{side}.npz") for side in ("inputs", "outputs"))
    ids, attention = (torch.from_numpy(given[name]) for name in ("input_ids", "attention_mask"))
    cv2.imwrite(str(tmp_path / "image.png"), given["image"][:, :, ::-1])
    outcomes = []
    for row, truth in zip(ids, given["gt_masks"], strict=True):
        prompt = RecordedPrompt(row[: row.tolist().index(golden_model.config.tokens.seg)])
        segmenter = LisaSegmenter(golden_model, LisaProcessor(golden_model.config, prompt))
        outcomes += run(segmenter, [case(tmp_path / "image.png", truth=truth)], Mode.MASK_FIRST)
    totals = np.sum([outcome.counts for outcome in outcomes], axis=0)
    assert totals.tolist() == [expected["intersection"][1], expected["union"][1]]
    assert g_iou([outcome.counts for outcome in outcomes]) == pytest.approx(float(expected["acc_iou"][1]), abs=1e-5)
    forced = forced_forward(golden_model, ImageProcessor(golden_model.config)(given["image"]), ids, attention)
    for outcome, logits in zip(outcomes, forced.mask_logits.numpy(), strict=True):
        assert (decode_mask(outcome.mask) == (logits > 0)).all()


class Answering:
    """Answers every request with the masks given, whatever the image shows."""

    name = "answering"

    def __init__(self, *masks, verdict=Verdict.FOUND, error=""):
        self.masks, self.verdict, self.error = masks, verdict, error
        self.looks, self.requests = 0, []

    def look(self, rgb):
        self.looks += 1
        return ScriptedView(rgb.shape[:2])

    def ask(self, view, request):
        self.requests.append(request)
        found = tuple(SegmentedObject("Cups", mask, box_of(mask), 0.5 + n / 4) for n, mask in enumerate(self.masks))
        yield from map(MaskReady, found)
        yield Finished(Answer(self.verdict, "words", found, {"total": 5.0}, self.name, self.error))


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "picture.png"
    cv2.imwrite(str(path), np.full((HEIGHT, WIDTH, 3), 9, np.uint8))
    return path


def case(picture, id="one", truth=TRUTH, **details):
    return Case(id, picture, "the cups", "Where are the cups?", lambda: truth, **details)


def block(rows, columns):
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[rows, columns] = True
    return mask


def test_several_masks_count_as_their_union_and_ignored_pixels_not_at_all(picture):
    masks = block(slice(0, 6), slice(4, 8)), block(slice(4, 9), slice(6, 14))
    (outcome,) = run(Answering(*masks), [case(picture)], Mode.AUTO)
    united = masks[0] | masks[1]
    counted = TRUTH != 255
    expected = ((united & (TRUTH == 1)).sum(), ((united | (TRUTH == 1)) & counted).sum())
    assert outcome.counts == expected and outcome.iou == intersection_over_union(*expected)
    assert (outcome.masks, outcome.mask_pixels, outcome.target_pixels) == (2, united.sum(), (TRUTH == 1).sum())
    assert (decode_mask(outcome.mask) == united).all()
    assert (outcome.score, outcome.milliseconds, outcome.words) == (0.75, 5.0, "words")


def test_no_mask_is_an_empty_one_and_a_failure_keeps_its_sentence(picture):
    failing = Answering(verdict=Verdict.FAILED, error="The network is ill.")
    (outcome,) = run(failing, [case(picture)], Mode.AUTO)
    assert (outcome.masks, outcome.iou, outcome.verdict, outcome.error) == (0, 0.0, "failed", "The network is ill.")
    nothing = np.zeros((HEIGHT, WIDTH), np.uint8)
    (outcome,) = run(Answering(), [case(picture, truth=nothing)], Mode.AUTO)
    assert (outcome.iou, outcome.has_target) == (1.0, False)


def test_what_has_no_value_is_none(picture):
    class Unmeasured(Answering):
        def ask(self, view, request):
            found = SegmentedObject("", TRUTH == 1, (4, 2, 14, 8), float("nan"))
            yield Finished(Answer(Verdict.FOUND, "", (found,)))

    (outcome,) = run(Unmeasured(), [case(picture)], Mode.AUTO)
    assert (outcome.score, outcome.milliseconds) == (None, None)


def test_a_name_is_right_in_any_letters_and_unknown_where_no_name_is(picture):
    named, other, unknown = (case(picture, names=names) for names in (("cup", "cups"), ("knife", "knives"), ()))
    outcomes = list(run(Answering(), [named, other, unknown], Mode.AUTO))
    assert [outcome.right_object for outcome in outcomes] == [False, False, None]
    outcomes = list(run(Answering(TRUTH == 1), [named, other, unknown], Mode.AUTO))
    assert [outcome.right_object for outcome in outcomes] == [True, False, None]


def test_an_image_is_looked_at_once_for_the_cases_that_follow_one_another(picture, tmp_path):
    other = tmp_path / "other.png"
    cv2.imwrite(str(other), np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    segmenter = Answering(TRUTH == 1)
    cases = [case(picture, "a"), case(picture, "b"), case(other, "c"), case(picture, "d")]
    assert [outcome.id for outcome in run(segmenter, cases, Mode.AUTO)] == ["a", "b", "c", "d"]
    assert segmenter.looks == 3


@pytest.mark.parametrize("mode", Mode)
def test_the_mode_and_the_length_reach_the_segmenter(picture, mode):
    segmenter = Answering()
    list(run(segmenter, [case(picture)], mode, max_new_tokens=7))
    assert segmenter.requests == [Request("Where are the cups?", mode, 7)]


def test_a_request_that_cannot_be_asked_is_a_failed_answer(picture):
    segmenter = Answering(TRUTH == 1)
    too_long = Case("long", picture, "", "x" * 5000, lambda: TRUTH)
    (outcome,) = run(segmenter, [too_long], Mode.AUTO)
    assert (outcome.verdict, outcome.masks, segmenter.requests) == ("failed", 0, [])
    assert "5000 characters" in outcome.error


def test_what_cannot_be_used_is_passed_on_with_its_reason_and_the_rest_goes_on(picture, tmp_path):
    def broken():
        raise ItemError("The polygon is broken.")

    cases = [
        Skip("first", "no annotation"),
        Case("second", picture, "", "it", broken),
        Case("third", tmp_path / "none.jpg", "", "it", lambda: TRUTH),
        case(picture, "fourth", truth=TRUTH[1:]),
        case(picture, "fifth"),
    ]
    results = list(run(Answering(TRUTH == 1), cases, Mode.AUTO))
    assert [type(result) for result in results] == [Skip] * 4 + [Outcome]
    assert [result.id for result in results] == ["first", "second", "third", "fourth", "fifth"]
    reasons = [result.reason for result in results[:4]]
    assert reasons[:2] == ["no annotation", "The polygon is broken."] and "none.jpg" in reasons[2]
    assert f"is {WIDTH}x{HEIGHT} pixels, its truth {WIDTH}x{HEIGHT - 1}" in reasons[3]


def test_a_fault_of_the_network_is_not_taken_for_an_answer(picture):
    with pytest.raises(RuntimeError, match="crash"):
        list(run(ScriptedSegmenter(), [Case("a", picture, "", "crash", lambda: TRUTH)], Mode.AUTO))


def test_an_answer_that_never_finishes_is_an_error():
    class Silent(ScriptedSegmenter):
        def ask(self, view, request):
            return iter(())

    with pytest.raises(RuntimeError, match="scripted ended its answer to 'where is it'"):
        final_answer(Silent(), ScriptedView((4, 4)), Request("where is it"))
