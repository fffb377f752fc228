from __future__ import annotations

import numpy as np
import pytest

from lisa_ros.answers import Verdict
from lisa_ros.node.demo.cases import Case
from lisa_ros.node.demo.outcomes import Outcome, Reply, judge, succeeded, summary
from lisa_ros.simulation.frames import Frame, FrameCamera
from lisa_ros.simulation.requests.sampling import RequestType

PRESENT = Case(0, "the cups", "cup", (1, 3), RequestType.PRESENT)
ABSENT = Case(0, "the sponge", "sponge", (), RequestType.ABSENT)
UNKNOWN = Case(0, "anything")


@pytest.fixture
def frame() -> Frame:
    """Ids 1, 2 and 3 in three columns of four pixels, and one of background."""
    ids = np.tile(np.array([1, 2, 3, 0], np.uint8), (4, 1))
    return Frame(np.zeros((4, 4, 3), np.uint8), ids, (), FrameCamera(np.eye(3), np.eye(4), 4, 4))


def reply(verdict: Verdict = Verdict.FOUND, mask: np.ndarray | None = None, milliseconds: float = 10.0) -> Reply:
    return Reply(verdict, "", mask, milliseconds, "It broke." if verdict is Verdict.FAILED else "")


def with_iou(iou: float, milliseconds: float = 10.0) -> Outcome:
    return Outcome(PRESENT, reply(milliseconds=milliseconds), iou)


def test_iou_is_of_the_union_of_all_targets(frame: Frame) -> None:
    first_two_columns = frame.instance_ids < 3
    first_two_columns[:, 3] = False
    outcome = judge(PRESENT, frame, reply(mask=first_two_columns))
    assert outcome.iou == pytest.approx(4 / 12, abs=1e-4)
    assert outcome.right is False
    assert judge(PRESENT, frame, reply(mask=frame.instance_ids % 2 == 1)).iou == pytest.approx(1.0, abs=1e-4)


def test_no_mask_for_something_present_scores_zero(frame: Frame) -> None:
    outcome = judge(PRESENT, frame, reply(Verdict.NOT_PRESENT))
    assert (outcome.iou, outcome.right) == (0.0, False)


@pytest.mark.parametrize(
    ("verdict", "right"), [(Verdict.NOT_PRESENT, True), (Verdict.FOUND, False), (Verdict.FAILED, False)]
)
def test_absence_is_right_when_noticed_and_no_mask_is_scored(frame: Frame, verdict: Verdict, right: bool) -> None:
    outcome = judge(ABSENT, frame, reply(verdict, np.ones((4, 4), bool)))
    assert (outcome.iou, outcome.right) == (None, right)


def test_nothing_is_judged_where_no_truth_is_known(frame: Frame) -> None:
    outcome = judge(UNKNOWN, frame, reply(mask=np.ones((4, 4), bool)))
    assert (outcome.iou, outcome.right) == (None, None)


def test_three_quarters_of_the_masks_must_be_good() -> None:
    good, bad = with_iou(0.5), with_iou(0.49)
    assert succeeded([good] * 6 + [bad] * 2)
    assert not succeeded([good] * 5 + [bad] * 3)
    assert succeeded([good, Outcome(ABSENT, reply(Verdict.FOUND), None)]), "absences do not count among the masks"


def test_summary_of_masks_and_absences() -> None:
    outcomes = [with_iou(0.9, 100.0), with_iou(0.3, 300.0), Outcome(ABSENT, reply(Verdict.NOT_PRESENT), None)]
    assert summary(outcomes) == "1 of 2 masks reach IoU 0.5; mean IoU 0.60; 1 of 1 absences noticed; median 100 ms"


def test_a_picture_of_the_user_succeeds_when_all_is_answered() -> None:
    answered, failed = Outcome(UNKNOWN, reply(), None), Outcome(UNKNOWN, reply(Verdict.FAILED), None)
    assert succeeded([answered]) and not succeeded([answered, failed])
    assert summary([answered, failed]) == "1 of 2 requests answered; median 10 ms"
