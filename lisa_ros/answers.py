"""The words all rooms share: requests, answers and the events of an answer in the making.

Knows numpy only; neither torch nor ROS.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

import numpy as np
from numpy.typing import NDArray

MAX_REQUEST_CHARACTERS = 1000


class Verdict(str, Enum):
    """What an answer says about the target of its request."""

    FOUND = "found"
    NOT_PRESENT = "not_present"
    WORDS_ONLY = "words_only"
    FAILED = "failed"


class Mode(str, Enum):
    """How the network answers: ``auto`` generates freely, ``mask_first`` forces ``[SEG]`` and generates no words."""

    AUTO = "auto"
    MASK_FIRST = "mask_first"


@dataclass(frozen=True, slots=True)
class Turn:
    """One request and the answer to it as the model writes it, ``[SEG]`` included; several make a conversation."""

    request: str
    answer: str


@dataclass(frozen=True, slots=True)
class Request:
    """One request in plain words, after the turns about the same image that it follows (``history``).

    Raises ``ValueError`` with one sentence for the user when the text is empty, blank or longer than
    ``MAX_REQUEST_CHARACTERS``, or when ``max_new_tokens`` is not positive.
    """

    text: str
    mode: Mode = Mode.AUTO
    max_new_tokens: int = 64
    history: tuple[Turn, ...] = ()

    def __post_init__(self) -> None:
        if not self.text.strip():
            raise ValueError(f"The request is empty (received {self.text!r}); ask for something in plain words.")
        if len(self.text) > MAX_REQUEST_CHARACTERS:
            raise ValueError(
                f"The request has {len(self.text)} characters; at most {MAX_REQUEST_CHARACTERS} are answered."
            )
        if self.max_new_tokens < 1:
            raise ValueError(f"max_new_tokens is {self.max_new_tokens}; it must be 1 or more.")


@dataclass(frozen=True, slots=True)
class SegmentedObject:
    """One mask of an answer with what is known of it.

    ``mask`` is bool ``[H, W]`` at the size of the image that was looked at. ``box`` is ``(x_min, y_min, x_max, y_max)``
    in pixels, the maximum exclusive; all zero for an empty mask. ``score`` in [0, 1] is the product of
    ``seg_probability`` (of the token that made the mask), ``predicted_iou`` and ``stability`` (IoU of the mask
    thresholded a little higher and a little lower).
    """

    label: str
    mask: NDArray[np.bool_]
    box: tuple[int, int, int, int]
    score: float
    seg_probability: float = 1.0
    predicted_iou: float = 1.0
    stability: float = 1.0

    @property
    def area(self) -> int:
        """Number of pixels of the mask."""
        return int(np.count_nonzero(self.mask))


@dataclass(frozen=True, slots=True)
class Answer:
    """The whole answer to one request; ``timings`` maps a stage name to milliseconds.

    ``words`` are for people; ``transcript`` is what the model wrote, ``[SEG]`` included, for the ``history`` of a
    request that follows.
    """

    verdict: Verdict
    words: str
    objects: tuple[SegmentedObject, ...] = ()
    timings: dict[str, float] = field(default_factory=dict)
    model: str = ""
    error: str = ""
    transcript: str = ""


@dataclass(frozen=True, slots=True)
class MaskReady:
    """Event: a mask exists; words may still follow."""

    object: SegmentedObject


@dataclass(frozen=True, slots=True)
class TextDelta:
    """Event: these characters were added to the words."""

    text: str


@dataclass(frozen=True, slots=True)
class Finished:
    """Event: the last of every answer."""

    answer: Answer


Event = MaskReady | TextDelta | Finished


def box_of(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """Return the tight ``(x_min, y_min, x_max, y_max)`` of a bool ``[H, W]`` mask, maxima exclusive, zeros if empty."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if rows.size == 0:
        return (0, 0, 0, 0)
    return (int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)
