"""The tabletop benchmark: requests about simulated frames, answered as a user would be answered, and scored."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lisa_ros.answers import Answer, Finished, Mode, Request, Verdict
from lisa_ros.evaluation.metrics import bootstrap_interval, c_iou, g_iou, intersection_and_union
from lisa_ros.segmenter import Segmenter, View
from lisa_ros.simulation.frames import Frame, FrameFolder
from lisa_ros.simulation.requests.bank import load_bank
from lisa_ros.simulation.requests.drawing import draw_requests
from lisa_ros.simulation.requests.sampling import RequestSplit, TabletopRequest


@dataclass(frozen=True, slots=True)
class Case:
    """One request about one frame with its true mask, bool ``[H, W]``, empty without a target."""

    frame: int
    request: TabletopRequest
    truth: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one case came to: intersection and union in pixels, and whether the words name the right thing."""

    frame: int
    text: str
    kind: str
    sort: str
    request_type: str
    verdict: str
    words: str
    label: str
    right_object: bool
    intersection: int
    union: int
    score: float
    milliseconds: float

    @property
    def has_target(self) -> bool:
        """Whether the thing asked for is in the frame."""
        return self.request_type == "present"

    @property
    def iou(self) -> float:
        """IoU of the answer and the truth."""
        return g_iou([(self.intersection, self.union)])


def sample_cases(frame: Frame, index: int, split: RequestSplit, count: int, seed: int) -> list[Case]:
    """Draw ``count`` requests about one frame, a pure function of ``(seed, index)``."""
    requests = draw_requests(frame, np.random.default_rng([seed, index]), count, split)
    return [Case(index, request, np.isin(frame.instance_ids, list(request.target_ids))) for request in requests]


def run_benchmark(
    segmenter: Segmenter, frames: FrameFolder, split: RequestSplit, *, requests_per_frame: int, mode: Mode, seed: int
) -> Iterator[Outcome]:
    """Answer every case of a folder of frames and yield what it came to."""
    for position in range(len(frames)):
        frame = frames[position]
        cases = sample_cases(frame, frames.indices[position], split, requests_per_frame, seed)
        if not cases:
            continue
        view = segmenter.look(frame.rgb)
        for case in cases:
            yield _outcome(segmenter, view, case, mode)


def _outcome(segmenter: Segmenter, view: View, case: Case, mode: Mode) -> Outcome:
    answer = final_answer(segmenter, view, Request(case.request.text, mode=mode))
    label = answer.objects[0].label if answer.objects else ""
    mask = united_mask(answer, case.truth.shape)
    intersection, union = intersection_and_union(mask, case.truth)
    return Outcome(
        frame=case.frame,
        text=case.request.text,
        kind=case.request.kind,
        sort=case.request.sort,
        request_type=case.request.request_type.value,
        verdict=answer.verdict.value,
        words=answer.words,
        label=label,
        right_object=names_kind(label, case.request.kind),
        intersection=intersection,
        union=union,
        score=max((found.score for found in answer.objects), default=0.0),
        milliseconds=answer.timings.get("total", float("nan")),
    )


def final_answer(segmenter: Segmenter, view: View, request: Request) -> Answer:
    """Ask and wait for the whole answer."""
    for event in segmenter.ask(view, request):
        if isinstance(event, Finished):
            return event.answer
    raise RuntimeError(f"{segmenter.name} ended its answer to {request.text!r} without finishing it.")


def united_mask(answer: Answer, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return the union of all masks of an answer, bool ``[H, W]``."""
    mask = np.zeros(shape, bool)
    for found in answer.objects:
        mask |= found.mask
    return mask


def summary(outcomes: list[Outcome]) -> dict[str, Any]:
    """Return the figures of a benchmark: gIoU and cIoU of what is there, and how absence is told."""
    present = [outcome for outcome in outcomes if outcome.has_target]
    absent = [outcome for outcome in outcomes if not outcome.has_target]
    counts = [(outcome.intersection, outcome.union) for outcome in present]
    return {
        "requests": len(outcomes),
        "present": len(present),
        "gIoU": _rounded(g_iou(counts)),
        "gIoU_interval": [_rounded(value) for value in bootstrap_interval(counts, g_iou)],
        "cIoU": _rounded(c_iou(counts)),
        "IoU_above_half": _rate(outcome.iou >= 0.5 for outcome in present),
        "right_object": _rate(outcome.right_object for outcome in present if outcome.words),
        "refused_present": _rate(outcome.verdict != Verdict.FOUND.value for outcome in present),
        "absent": len(absent),
        "not_present": _rate(outcome.verdict == Verdict.NOT_PRESENT.value for outcome in absent),
        "median_milliseconds": _rounded(float(np.median([o.milliseconds for o in outcomes])) if outcomes else math.nan),
    }


def per_kind(outcomes: list[Outcome]) -> dict[str, dict[str, float | int | None]]:
    """Return requests, gIoU and right-object rate of every kind that was there."""
    groups: dict[str, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        if outcome.has_target:
            groups[outcome.kind].append(outcome)
    return {
        kind: {
            "requests": len(group),
            "gIoU": _rounded(g_iou([(outcome.intersection, outcome.union) for outcome in group])),
            "right_object": _rate(outcome.right_object for outcome in group if outcome.words),
        }
        for kind, group in sorted(groups.items())
    }


def names_kind(label: str, kind: str) -> bool:
    """Say whether an answer's name for its mask is that of the kind asked for, in the singular or the plural."""
    if not kind:
        return False
    names = load_bank().kinds[kind]
    return label.lower() in (names.name, names.plural)


def as_row(outcome: Outcome) -> dict[str, Any]:
    """Return an outcome as plain values, for a file of one JSON object a line."""
    return asdict(outcome) | {"iou": _rounded(outcome.iou)}


def _rate(values: Iterator[bool] | Any) -> float | None:
    collected = list(values)
    return _rounded(float(np.mean(collected))) if collected else None


def _rounded(value: float) -> float | None:
    """Round for a report; what has no value is ``None``, because JSON has no NaN."""
    return None if math.isnan(value) else round(value, 4)
