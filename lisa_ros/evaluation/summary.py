"""The figures of a run: over all its cases, by group, by kind and by sort of wording."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from statistics import median
from typing import Any

from lisa_ros.answers import Verdict
from lisa_ros.evaluation.metrics import bootstrap_interval, c_iou, g_iou
from lisa_ros.evaluation.outcomes import Outcome

Figures = dict[str, Any]
GOOD_IOU = 0.5


def summary(outcomes: Sequence[Outcome], *, scores_absent: bool) -> Figures:
    """Return the figures of a benchmark; what has no value is ``None``, because JSON has no NaN.

    gIoU and cIoU are over all cases where ``scores_absent``, else over those whose target is there.
    ``target_accuracy`` and ``no_target_accuracy`` are the shares of cases with and without a target whose mask says so
    (T-acc. and N-acc. of gRefCOCO); ``not_present`` and ``refused_present`` are shares of verdicts. ``no_mask`` counts
    the answers without any mask, scored as empty ones, and ``failed`` those that are failures.
    """
    present = [outcome for outcome in outcomes if outcome.has_target]
    absent = [outcome for outcome in outcomes if not outcome.has_target]
    scored = outcomes if scores_absent else present
    milliseconds = [outcome.milliseconds for outcome in outcomes if outcome.milliseconds is not None]
    return {
        "requests": len(outcomes),
        "present": len(present),
        "absent": len(absent),
        **scores(scored),
        "right_object": _rate(outcome.right_object for outcome in present if outcome.words),
        "target_accuracy": _rate(outcome.mask_pixels > 0 for outcome in present),
        "no_target_accuracy": _rate(outcome.mask_pixels == 0 for outcome in absent),
        "refused_present": _rate(outcome.verdict != Verdict.FOUND.value for outcome in present),
        "not_present": _rate(outcome.verdict == Verdict.NOT_PRESENT.value for outcome in absent),
        "no_mask": sum(outcome.masks == 0 for outcome in outcomes),
        "several_masks": sum(outcome.masks > 1 for outcome in outcomes),
        "failed": sum(outcome.verdict == Verdict.FAILED.value for outcome in outcomes),
        "median_milliseconds": _rounded(median(milliseconds)) if milliseconds else None,
        "groups": by(scored, lambda outcome: outcome.group),
    }


def scores(outcomes: Sequence[Outcome]) -> Figures:
    """Return gIoU and cIoU with their 95 % bootstrap intervals, and the share of IoUs of 0.5 or more."""
    counts = [outcome.counts for outcome in outcomes]
    return {
        "gIoU": _rounded(g_iou(counts)),
        "gIoU_interval": [_rounded(value) for value in bootstrap_interval(counts, g_iou)],
        "cIoU": _rounded(c_iou(counts)),
        "cIoU_interval": [_rounded(value) for value in bootstrap_interval(counts, c_iou)],
        "IoU_above_half": _rate(outcome.iou >= GOOD_IOU for outcome in outcomes),
    }


def by(outcomes: Iterable[Outcome], key: Callable[[Outcome], str]) -> dict[str, Figures]:
    """Return requests and scores of the outcomes that share a key, ordered by it; empty keys are left out."""
    parts: dict[str, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        if key(outcome):
            parts[key(outcome)].append(outcome)
    return {name: {"requests": len(part), **scores(part)} for name, part in sorted(parts.items())}


def per_kind(outcomes: Iterable[Outcome]) -> dict[str, Figures]:
    """Return requests, scores and right-object rate of every kind that was there."""
    present = [outcome for outcome in outcomes if outcome.has_target]
    named = {
        kind: _rate(o.right_object for o in present if o.kind == kind and o.words)
        for kind in Counter(outcome.kind for outcome in present)
    }
    return {
        kind: figures | {"right_object": named[kind]}
        for kind, figures in by(present, lambda outcome: outcome.kind).items()
    }


def _rate(values: Iterable[bool | None]) -> float | None:
    collected = [value for value in values if value is not None]
    return _rounded(sum(collected) / len(collected)) if collected else None


def _rounded(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 6)
