from __future__ import annotations

import numpy as np
import pytest

from lisa_ros.answers import Answer, Finished, MaskReady, Mode, SegmentedObject, Verdict, box_of
from lisa_ros.evaluation.benchmark import run
from lisa_ros.evaluation.summary import summary
from lisa_ros.evaluation.tabletop import names_of, tabletop_cases
from lisa_ros.scripted import ScriptedSegmenter, ScriptedView
from lisa_ros.simulation.requests.bank import load_bank
from lisa_ros.simulation.requests.sampling import RequestSplit

COUNT, SEED = 8, 4


def cases_of(frames, split=RequestSplit.TRAIN, count=COUNT, seed=SEED):
    return list(tabletop_cases(frames, split, requests_per_frame=count, seed=seed))


class KnowingSegmenter:
    """Answers with what a benchmark holds for true; ``masks`` false makes it name things without finding a pixel."""

    name = "knowing"

    def __init__(self, frames, masks=True):
        self.masks = masks
        levels = {index: int(frames[position].rgb.mean()) for position, index in enumerate(frames.indices)}
        self.cases = {(levels[int(case.id[:6])], case.request): case for case in cases_of(frames)}

    def look(self, rgb):
        self.level = int(rgb.mean())
        return ScriptedView(rgb.shape[:2])

    def ask(self, view, request):
        case = self.cases[self.level, request.text]
        truth = case.truth() == 1
        if not truth.any():
            yield Finished(Answer(Verdict.NOT_PRESENT, "No such thing.", (), {"total": 5.0}, self.name))
            return
        masks = [truth & (np.arange(view.size[1]) % 2 == half) for half in (0, 1)]
        masks = masks if self.masks else [np.zeros(view.size, bool)]
        found = tuple(SegmentedObject(case.names[1].capitalize(), mask, box_of(mask), 0.75) for mask in masks)
        yield MaskReady(found[0])
        verdict = Verdict.FOUND if self.masks else Verdict.NOT_PRESENT
        yield Finished(Answer(verdict, "There.", found, {"total": 5.0}, self.name))


def answered(segmenter, frames):
    return list(run(segmenter, cases_of(frames), Mode.AUTO))


def test_the_truth_scores_one(frames):
    outcomes = answered(KnowingSegmenter(frames), frames)
    assert len(outcomes) == 3 * COUNT and {outcome.image for outcome in outcomes} == {
        "000002.jpg", "000005.jpg", "000009.jpg",
    }  # fmt: skip
    figures = summary(outcomes, scores_absent=False)
    assert (figures["requests"], figures["present"] + figures["absent"]) == (3 * COUNT, 3 * COUNT)
    assert all(figures[name] == pytest.approx(1.0, abs=1e-5) for name in ("gIoU", "cIoU", "right_object"))
    assert figures["not_present"] == figures["no_target_accuracy"] == figures["IoU_above_half"] == 1.0
    assert figures["refused_present"] == 0.0 and figures["median_milliseconds"] == 5.0


def test_no_masks_score_nothing(frames):
    figures = summary(answered(KnowingSegmenter(frames, masks=False), frames), scores_absent=False)
    assert figures["gIoU"] == figures["cIoU"] == figures["IoU_above_half"] == 0.0
    assert figures["refused_present"] == figures["right_object"] == 1.0


def test_an_empty_table_is_asked_about_absent_things_only(frames):
    outcomes = [o for o in answered(KnowingSegmenter(frames), frames) if o.image == "000009.jpg"]
    assert len(outcomes) == COUNT and not any(outcome.has_target for outcome in outcomes)
    assert all(outcome.union == 0 and outcome.verdict == "not_present" for outcome in outcomes)
    assert {outcome.group for outcome in outcomes} <= {"absent", "out_of_domain"}


def test_a_mask_of_something_absent_is_told(frames):
    outcomes = answered(ScriptedSegmenter(), frames)
    absent = [outcome for outcome in outcomes if not outcome.has_target]
    assert absent and all(outcome.intersection == 0 and outcome.union > 0 for outcome in absent)
    assert summary(outcomes, scores_absent=False)["not_present"] == 0.0


@pytest.mark.parametrize("split", RequestSplit)
def test_cases_depend_on_seed_and_frame_alone_and_hold_all_instances(frames, split):
    first, second, other = (
        [(case.id, case.request) for case in cases_of(frames, split, 12, seed)] for seed in (1, 1, 2)
    )
    assert first == second != other and len({id for id, _ in first}) == len(first) == 36
    areas = {"cup": 25 * 30 + 20 * 25, "knife": 35 * 10}
    on_frame_2 = [case for case in cases_of(frames, split, 12, 1) if case.id.startswith("000002-")]
    present = [case for case in on_frame_2 if case.group == "present"]
    assert {case.kind for case in present} == set(areas)
    assert all(case.truth().sum() == areas[case.kind] for case in present)
    assert not any(case.truth().any() for case in on_frame_2 if case not in present)


@pytest.mark.parametrize("kind", sorted(load_bank().kinds))
def test_a_kind_is_named_by_its_singular_or_plural(kind):
    names = load_bank().kinds[kind]
    assert names_of(kind) == (names.name, names.plural) and names_of("") == ()
