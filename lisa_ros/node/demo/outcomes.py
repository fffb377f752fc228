"""What came back for a request, and how it compares with the truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median

import numpy as np
from numpy.typing import NDArray

from lisa_ros.answers import Verdict
from lisa_ros.evaluation.metrics import intersection_and_union, intersection_over_union
from lisa_ros.node.demo.cases import Case
from lisa_ros.simulation.frames import Frame

GOOD_IOU = 0.5
NEEDED_SHARE = 0.75
"""The demo fails when fewer masks than this share reach ``GOOD_IOU``: 6 of 8 (#3)."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer as it arrived: ``mask`` is the union of its masks, bool ``[H, W]``, None without any.

    ``milliseconds`` passed from the publication of the request to the arrival. ``error`` is one sentence, with
    ``FAILED`` only.
    """

    verdict: Verdict
    words: str
    mask: NDArray[np.bool_] | None
    milliseconds: float
    error: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A request with its reply; ``iou`` is None where no mask is asked for or the truth is unknown."""

    case: Case
    reply: Reply
    iou: float | None

    @property
    def right(self) -> bool | None:
        """Whether the mask is good, or the absence of the thing was noticed; None where the truth is unknown."""
        if self.case.request_type is None:
            return None
        return self.reply.verdict is Verdict.NOT_PRESENT if self.iou is None else self.iou >= GOOD_IOU


def judge(case: Case, frame: Frame, reply: Reply) -> Outcome:
    """Compare a reply with what is known of the frame."""
    return Outcome(case, reply, mask_iou(reply.mask, case.truth(frame)) if case.has_target else None)


def mask_iou(mask: NDArray[np.bool_] | None, truth: NDArray[np.bool_]) -> float:
    """Return the IoU of a mask with a truth of the same size that is not empty; 0 without a mask."""
    if mask is None:
        return 0.0
    return intersection_over_union(*intersection_and_union(mask, truth))


def summary(outcomes: Sequence[Outcome]) -> str:
    """Return the outcome of the whole demo in one line."""
    parts = []
    ious = [outcome.iou for outcome in outcomes if outcome.iou is not None]
    absences = [outcome.right for outcome in outcomes if outcome.iou is None and outcome.right is not None]
    if ious:
        parts += [f"{_good(ious)} of {len(ious)} masks reach IoU {GOOD_IOU}", f"mean IoU {fmean(ious):.2f}"]
    if absences:
        parts.append(f"{sum(absences)} of {len(absences)} absences noticed")
    times = [outcome.reply.milliseconds for outcome in outcomes if outcome.reply.verdict is not Verdict.FAILED]
    if not ious and not absences or len(times) < len(outcomes):
        parts.append(f"{len(times)} of {len(outcomes)} requests answered")
    if times:
        parts.append(f"median {median(times):.0f} ms")
    return "; ".join(parts)


def succeeded(outcomes: Sequence[Outcome]) -> bool:
    """Say whether enough masks are good; where no truth is known, whether every request was answered."""
    ious = [outcome.iou for outcome in outcomes if outcome.iou is not None]
    if ious:
        return _good(ious) >= NEEDED_SHARE * len(ious)
    return all(outcome.reply.verdict is not Verdict.FAILED for outcome in outcomes)


def _good(ious: Sequence[float]) -> int:
    return sum(iou >= GOOD_IOU for iou in ious)
