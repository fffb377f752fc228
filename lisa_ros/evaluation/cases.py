"""What a benchmark asks: cases with their truth, and items that cannot be used."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from lisa_ros.datasets.records import Mask


class EvaluationError(RuntimeError):
    """An evaluation cannot be done as asked; the message is one sentence for the user."""


@dataclass(frozen=True, slots=True)
class Case:
    """One request about one image with its truth.

    ``id`` is unique in its benchmark and fit for a file name. ``text`` is the wording of the data set, ``request`` what
    a model is asked. Cases with the same ``image_path`` follow one another. ``truth`` makes the mask when it is called
    and raises ``ItemError`` where that is not possible. ``group``, ``kind`` and ``sort`` are what figures are told
    apart by, empty where a benchmark has no such thing; ``names`` are the right names for the target, if known.
    """

    id: str
    image_path: Path
    text: str
    request: str
    truth: Callable[[], Mask]
    group: str = ""
    kind: str = ""
    sort: str = ""
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Skip:
    """An item of a data set that cannot be used, and why, in one sentence."""

    id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Benchmark:
    """Cases and how they are reported.

    ``total`` is the number of cases and skips to come, for a progress bar. gIoU and cIoU are over all cases where
    ``scores_absent``, as in the reference's validation, else over those whose target is there. ``notes`` are sentences
    that belong beside the figures.
    """

    name: str
    split: str
    data: str
    cases: Iterable[Case | Skip]
    total: int
    scores_absent: bool
    notes: tuple[str, ...] = ()
