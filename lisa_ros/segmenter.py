"""The seam between robots and networks: look at an image once, ask about it cheaply.

Knows neither torch nor ROS. Backends are made by name; their modules are imported only when one is made.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lisa_ros.answers import Event, Request


class SegmenterError(RuntimeError):
    """A backend cannot be made or cannot work; the message is one sentence for the user, with the remedy."""


class View(Protocol):
    """What depends on one image only; kept while the image is current and handed to every ``ask`` about it."""

    @property
    def size(self) -> tuple[int, int]:
        """``(height, width)`` of the image in pixels."""
        ...


class Segmenter(Protocol):
    """A network that answers requests about images. One thread uses it at a time."""

    name: str

    def look(self, rgb: NDArray[np.uint8]) -> View:
        """Take one image, uint8 RGB ``[H, W, 3]``; raises ``ValueError`` for any other shape or dtype."""
        ...

    def ask(self, view: View, request: Request) -> Iterator[Event]:
        """Yield ``TextDelta`` and ``MaskReady`` as they become known, then exactly one ``Finished``.

        Closing the iterator cancels the answer within one decoding step.
        """
        ...

    def close(self) -> None:
        """Free the memory of the network; no other method may be called afterwards."""
        ...


BACKENDS: dict[str, str] = {
    "lisa": "lisa_ros.engine.lisa_segmenter:LisaSegmenter",
    "scripted": "lisa_ros.scripted:ScriptedSegmenter",
    "two_stage": "lisa_ros.two_stage.two_stage_segmenter:TwoStageSegmenter",
}
"""Backend name -> ``module:class``; each class has a ``load(**options)`` classmethod that returns a Segmenter."""


def make_segmenter(backend: str, **options: Any) -> Segmenter:
    """Make the Segmenter called ``backend`` with its own options.

    Raises ``SegmenterError`` with one sentence when the name is unknown or the backend cannot be loaded.
    """
    if backend not in BACKENDS:
        raise SegmenterError(f"There is no backend {backend!r}; choose one of {', '.join(sorted(BACKENDS))}.")
    module_name, class_name = BACKENDS[backend].split(":")
    try:
        module = import_module(module_name)
    except ImportError as error:
        raise SegmenterError(f"The backend {backend!r} needs a package that is not installed: {error}.") from error
    return getattr(module, class_name).load(**options)
