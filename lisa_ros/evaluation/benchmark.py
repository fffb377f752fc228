"""The one way every benchmark is run: ask, unite the masks of the answer, compare with the truth.

``free`` answers as a user is answered: no mask counts as an empty one, several as their union. ``forced`` is the
reference's validation: the mask of the teacher-forced answer "[SEG]." (``Mode.MASK_FIRST``: the state that predicts
``[SEG]`` right after the request). In both the mask is scored as the segmenter gives it, after whatever a checkpoint's
``acceptance`` removes (specks and very small masks of the embedded one, nothing of the official ones).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lisa_ros.answers import Answer, Finished, Mode, Request, Verdict
from lisa_ros.datasets.images import read_rgb
from lisa_ros.datasets.records import ItemError, Mask
from lisa_ros.evaluation.cases import Case, Skip
from lisa_ros.evaluation.metrics import intersection_and_union
from lisa_ros.evaluation.outcomes import Outcome, encode_mask
from lisa_ros.segmenter import Segmenter, View

MODES = {"free": Mode.AUTO, "forced": Mode.MASK_FIRST}
MAX_NEW_TOKENS = 64

Size = tuple[int, int]
"""``(height, width)`` in pixels."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A system's answer to a case: all its masks united, bool ``[H, W]``, their number, and what it said."""

    mask: NDArray[np.bool_]
    masks: int
    verdict: Verdict
    words: str = ""
    error: str = ""
    label: str = ""
    score: float = 0.0
    milliseconds: float = math.nan


def run(
    segmenter: Segmenter, cases: Iterable[Case | Skip], mode: Mode, *, max_new_tokens: int = MAX_NEW_TOKENS
) -> Iterator[Outcome | Skip]:
    """Ask every case and yield what it came to; an image is looked at once for the cases that follow one another."""
    return score(cases, SegmenterReplies(segmenter, mode, max_new_tokens))


def score(cases: Iterable[Case | Skip], reply: Callable[[Case, Size], Reply]) -> Iterator[Outcome | Skip]:
    """Compare the reply to every case with its truth; what cannot be used is passed on as a ``Skip``.

    ``reply`` is given the case and the size of its truth and returns a mask of that size.
    """
    for case in cases:
        if isinstance(case, Skip):
            yield case
            continue
        try:
            truth = case.truth()
            yield _compared(case, truth, reply(case, (truth.shape[0], truth.shape[1])))
        except ItemError as error:
            yield Skip(case.id, str(error))


def _compared(case: Case, truth: Mask, reply: Reply) -> Outcome:
    intersection, union = intersection_and_union(reply.mask, truth)
    return Outcome(
        id=case.id,
        image=case.image_path.name,
        text=case.text,
        request=case.request,
        group=case.group,
        kind=case.kind,
        sort=case.sort,
        verdict=reply.verdict.value,
        words=reply.words,
        error=reply.error,
        label=reply.label,
        right_object=reply.label.lower() in case.names if case.names else None,
        masks=reply.masks,
        intersection=intersection,
        union=union,
        target_pixels=int(np.count_nonzero(truth == 1)),
        mask_pixels=int(np.count_nonzero(reply.mask)),
        score=_known(reply.score),
        milliseconds=_known(reply.milliseconds),
        mask=encode_mask(reply.mask),
    )


def _known(value: float) -> float | None:
    return round(value, 4) if math.isfinite(value) else None


@dataclass(slots=True)
class SegmenterReplies:
    """Asks a segmenter; a request that it cannot be asked is a failed answer."""

    segmenter: Segmenter
    mode: Mode
    max_new_tokens: int
    _path: Path | None = field(default=None, init=False)
    _view: View | None = field(default=None, init=False)

    def __call__(self, case: Case, size: Size) -> Reply:
        """Answer a case; raises ``ItemError`` when its image cannot be read or is not of the truth's ``size``."""
        view = self._look(case.image_path)
        if view.size != size:
            raise ItemError(f"The image {case.image_path} is {in_words(view.size)} pixels, its truth {in_words(size)}.")
        try:
            request = Request(case.request, self.mode, self.max_new_tokens)
        except ValueError as error:
            return Reply(np.zeros(view.size, bool), 0, Verdict.FAILED, error=str(error))
        answer = final_answer(self.segmenter, view, request)
        return Reply(
            mask=united_mask(answer, view.size),
            masks=len(answer.objects),
            verdict=answer.verdict,
            words=answer.words,
            error=answer.error,
            label=answer.objects[0].label if answer.objects else "",
            score=max((found.score for found in answer.objects), default=0.0),
            milliseconds=answer.timings.get("total", math.nan),
        )

    def _look(self, path: Path) -> View:
        if self._view is None or self._path != path:
            self._view, self._path = self.segmenter.look(read_rgb(path)), path
        return self._view


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


def in_words(size: Size) -> str:
    """Return a size as people write it, the width first."""
    return f"{size[1]}x{size[0]}"
