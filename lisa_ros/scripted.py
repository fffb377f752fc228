"""A Segmenter that answers by a script: for tests and tutorials that need no network.

Its masks are made up (an upright rectangle in the middle of the image); never use it to judge quality.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lisa_ros.answers import Answer, Event, Finished, MaskReady, Request, SegmentedObject, TextDelta, Verdict, box_of


@dataclass(frozen=True, slots=True)
class ScriptedView:
    """The size of the image, all that the script looks at."""

    size: tuple[int, int]


@dataclass(slots=True)
class ScriptedSegmenter:
    """Answers ``FOUND`` with a rectangle, ``NOT_PRESENT`` to a request with "unicorn", words alone to "hello".

    A request with "crash" raises ``RuntimeError``, as a faulty network would. ``delay`` is the time in seconds that an
    answer takes.
    """

    delay: float = 0.0
    name: str = "scripted"

    @classmethod
    def load(cls, delay: float = 0.0, **_: object) -> ScriptedSegmenter:
        """Make one; options that only networks understand are accepted and not used."""
        return cls(delay=delay)

    def look(self, rgb: NDArray[np.uint8]) -> ScriptedView:
        """Take one image, uint8 RGB ``[H, W, 3]``."""
        if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3:
            raise ValueError(f"An image must be uint8 [height, width, 3], not {rgb.dtype} {list(rgb.shape)}.")
        return ScriptedView(size=(rgb.shape[0], rgb.shape[1]))

    def ask(self, view: ScriptedView, request: Request) -> Iterator[Event]:
        """Yield the events of the scripted answer."""
        if "crash" in request.text:
            raise RuntimeError("the script was told to crash")
        time.sleep(self.delay)
        if "unicorn" in request.text:
            yield from self._say("There is no unicorn here.", Verdict.NOT_PRESENT)
        elif "hello" in request.text:
            yield from self._say("Hello.", Verdict.WORDS_ONLY)
        else:
            found = rectangle_in_the_middle(view.size)
            yield MaskReady(found)
            yield from self._say("It is the rectangle in the middle.", Verdict.FOUND, (found,))

    def _say(self, words: str, verdict: Verdict, objects: tuple[SegmentedObject, ...] = ()) -> Iterator[Event]:
        yield TextDelta(words)
        timings = {"total": 1000.0 * self.delay}
        yield Finished(Answer(verdict, words, objects, timings, self.name, transcript=words))

    def close(self) -> None:
        """Nothing to free."""


def rectangle_in_the_middle(size: tuple[int, int]) -> SegmentedObject:
    """Return an object that covers the middle third of an image of ``(height, width)``."""
    height, width = size
    mask = np.zeros(size, bool)
    mask[height // 3 : 2 * height // 3, width // 3 : 2 * width // 3] = True
    return SegmentedObject("rectangle", mask, box_of(mask), score=1.0)
