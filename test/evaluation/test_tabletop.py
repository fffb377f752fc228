from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from lisa_ros.answers import Answer, Finished, MaskReady, Mode, Request, SegmentedObject, Verdict, box_of
from lisa_ros.evaluation.tabletop import (
    Outcome,
    as_row,
    final_answer,
    names_kind,
    per_kind,
    run_benchmark,
    sample_cases,
    summary,
)
from lisa_ros.scripted import ScriptedSegmenter, ScriptedView
from lisa_ros.simulation.requests.bank import load_bank
from lisa_ros.simulation.requests.sampling import RequestSplit, RequestType

COUNT, SEED = 8, 4


def outcome(
    kind="cup", request_type="present", verdict="found", right=True, counts=(1, 2), milliseconds=10.0, words="a"
):
    return Outcome(0, "text", kind, "property", request_type, verdict, words, "cup", right, *counts, 1.0, milliseconds)


class KnowingSegmenter:
    """Answers with what a benchmark holds for true; ``masks`` false makes it name things without finding a pixel."""

    name = "knowing"

    def __init__(self, frames, masks=True, split=RequestSplit.TRAIN):
        self.masks, self.requests, self.cases = masks, [], {}
        for position, index in enumerate(frames.indices):
            frame = frames[position]
            for case in sample_cases(frame, index, split, COUNT, SEED):
                self.cases[int(frame.rgb.mean()), case.request.text] = case

    def look(self, rgb):
        self.level = int(rgb.mean())
        return ScriptedView(rgb.shape[:2])

    def ask(self, view, request):
        self.requests.append(request)
        case = self.cases[self.level, request.text]
        if not case.request.target_ids:
            yield Finished(Answer(Verdict.NOT_PRESENT, case.request.answer, (), {"total": 5.0}, self.name))
            return
        masks = [case.truth & (np.arange(view.size[1]) % 2 == half) for half in (0, 1)]
        masks = masks if self.masks else [np.zeros(view.size, bool)]
        label = load_bank().kinds[case.request.kind].plural.capitalize()
        found = tuple(SegmentedObject(label, mask, box_of(mask), 0.5 + half / 4) for half, mask in enumerate(masks))
        yield MaskReady(found[0])
        verdict = Verdict.FOUND if self.masks else Verdict.NOT_PRESENT
        yield Finished(Answer(verdict, case.request.answer, found, {"total": 5.0}, self.name))

    def close(self):
        """Nothing to free."""


def run(segmenter, frames, mode=Mode.AUTO, split=RequestSplit.TRAIN):
    return list(run_benchmark(segmenter, frames, split, requests_per_frame=COUNT, mode=mode, seed=SEED))


def test_the_truth_scores_one(frames):
    outcomes = run(KnowingSegmenter(frames), frames)
    assert len(outcomes) == 3 * COUNT and {o.frame for o in outcomes} == {2, 5, 9}
    figures = summary(outcomes)
    assert (figures["requests"], figures["present"] + figures["absent"]) == (3 * COUNT, 3 * COUNT)
    assert figures["gIoU"] == figures["cIoU"] == figures["right_object"] == figures["not_present"] == 1.0
    assert figures["gIoU_interval"] == [1.0, 1.0] and figures["IoU_above_half"] == 1.0
    assert figures["refused_present"] == 0.0 and figures["median_milliseconds"] == 5.0
    assert all(o.score == 0.75 for o in outcomes if o.has_target)


def test_no_masks_score_nothing(frames):
    figures = summary(run(KnowingSegmenter(frames, masks=False), frames))
    assert figures["gIoU"] == figures["cIoU"] == figures["IoU_above_half"] == 0.0
    assert figures["refused_present"] == figures["right_object"] == 1.0


def test_an_empty_table_is_asked_about_absent_things_only(frames):
    outcomes = [o for o in run(KnowingSegmenter(frames), frames) if o.frame == 9]
    assert len(outcomes) == COUNT and not any(o.has_target for o in outcomes)
    assert all(o.union == 0 and o.verdict == "not_present" for o in outcomes)


def test_a_mask_of_something_absent_is_told(frames):
    outcomes = run(ScriptedSegmenter(), frames)
    absent = [o for o in outcomes if not o.has_target]
    assert absent and all(o.intersection == 0 and o.union > 0 and not o.right_object for o in absent)
    assert summary(outcomes)["not_present"] == 0.0


def test_the_mode_reaches_the_segmenter(frames):
    for mode in Mode:
        segmenter = KnowingSegmenter(frames)
        run(segmenter, frames, mode)
        assert {request.mode for request in segmenter.requests} == {mode}


@pytest.mark.parametrize("split", RequestSplit)
def test_cases_depend_on_seed_and_frame_alone_and_hold_all_instances(frames, split):
    first, second, other = (sample_cases(frames[0], 2, split, 12, seed) for seed in (1, 1, 2))
    assert [case.request for case in first] == [case.request for case in second]
    assert [case.request for case in first] != [case.request for case in other]
    assert [c.request for c in sample_cases(frames[0], 3, split, 12, 1)] != [c.request for c in first]
    areas = {"cup": 25 * 30 + 20 * 25, "knife": 35 * 10}
    present = [case for case in first if case.request.request_type is RequestType.PRESENT]
    assert {case.request.kind for case in present} == set(areas)
    assert all(case.truth.sum() == areas[case.request.kind] for case in present)
    assert not any(case.truth.any() for case in first if case not in present)


def test_a_summary_counts_what_happened():
    outcomes = [
        outcome(counts=(1, 2)),
        outcome(counts=(9, 10), milliseconds=20.0),
        outcome("knife", verdict="not_present", right=False, counts=(0, 10), milliseconds=90.0),
        outcome("fork", "absent", "not_present", right=False, counts=(0, 0)),
        outcome("", "out_of_domain", "found", right=False, counts=(0, 7)),
    ]
    figures = summary(outcomes)
    assert (figures["requests"], figures["present"], figures["absent"]) == (5, 3, 2)
    assert figures["gIoU"] == pytest.approx((0.5 + 0.9) / 3, abs=1e-4)
    assert figures["cIoU"] == pytest.approx(10 / 22, abs=1e-4)
    low, high = figures["gIoU_interval"]
    assert 0.0 <= low < figures["gIoU"] < high <= 0.9
    assert figures["IoU_above_half"] == pytest.approx(1 / 3, abs=1e-4)
    assert figures["right_object"] == pytest.approx(2 / 3, abs=1e-4)
    assert figures["refused_present"] == pytest.approx(1 / 3, abs=1e-4)
    assert (figures["not_present"], figures["median_milliseconds"]) == (0.5, 10.0)


def test_answers_without_words_name_nothing_right_or_wrong():
    silent = [outcome(right=False, words=""), outcome(right=False, words="")]
    assert summary(silent)["right_object"] is None
    assert per_kind(silent)["cup"]["right_object"] is None


def test_kinds_are_counted_apart_and_absent_things_not_at_all():
    outcomes = [
        outcome(counts=(1, 2)),
        outcome(right=False, counts=(0, 3)),
        outcome("banana", counts=(4, 4)),
        outcome("fork", "absent", "not_present", counts=(0, 0)),
    ]
    kinds = per_kind(outcomes)
    assert list(kinds) == ["banana", "cup"]
    assert kinds["banana"] == {"requests": 1, "gIoU": 1.0, "right_object": 1.0}
    assert kinds["cup"] == {"requests": 2, "gIoU": pytest.approx(0.25, abs=1e-4), "right_object": 0.5}


@pytest.mark.parametrize("outcomes", [[], [outcome("fork", "absent", "not_present", counts=(0, 0))]])
def test_figures_without_a_value_are_valid_json(outcomes):
    figures = json.loads(json.dumps(summary(outcomes), allow_nan=False))
    assert figures["gIoU"] is None and figures["right_object"] is None and figures["present"] == 0


@pytest.mark.parametrize("kind", sorted(load_bank().kinds))
def test_a_kind_is_named_by_its_singular_or_plural(kind):
    names = load_bank().kinds[kind]
    assert names_kind(names.name, kind) and names_kind(names.plural.upper(), kind)
    other = next(entry for identifier, entry in load_bank().kinds.items() if identifier != kind)
    assert not names_kind(other.name, kind) and not names_kind("", kind) and not names_kind(names.name, "")


def test_a_row_is_plain_values():
    row = json.loads(json.dumps(as_row(replace(outcome(counts=(3, 4)), words="It is the cup."))))
    assert row["iou"] == pytest.approx(0.75, abs=1e-4) and row["words"] == "It is the cup."


def test_an_answer_that_never_finishes_is_an_error():
    class Silent(ScriptedSegmenter):
        def ask(self, view, request):
            return iter(())

    with pytest.raises(RuntimeError, match="scripted ended its answer to 'where is it'"):
        final_answer(Silent(), ScriptedView((4, 4)), Request("where is it"))
