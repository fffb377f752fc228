"""What every data set gives: an image, and things in it that words ask for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lisa_ros.answers import Turn

IGNORE = 255
"""Pixels of a mask that are neither target nor background."""

Mask = NDArray[np.uint8]
"""uint8 ``[H, W]``: 1 on the target, 0 elsewhere, ``IGNORE`` where no score counts."""


class DatasetError(RuntimeError):
    """A data set cannot be opened; the message is one sentence that names the file and the remedy."""


class ItemError(DatasetError):
    """One item cannot be used (a missing image, a polygon outside it, ...); others can, so callers count and go on."""


@dataclass(frozen=True, slots=True)
class Referent:
    """One thing in an image and the equivalent ways to ask for it.

    ``texts`` are noun phrases ("the cup on the left"), or whole sentences where ``is_sentence``. ``mask`` makes the
    uint8 ``[H, W]`` mask when it is called and raises ``ItemError`` where that is not possible.
    """

    texts: tuple[str, ...]
    is_sentence: bool
    mask: Callable[[], Mask]


@dataclass(frozen=True, slots=True)
class AnnotatedImage:
    """One image of a data set.

    ``conversations`` are whole ones without masks (VQA). ``explanations`` are a question about the image's only
    referent and its answer in words without a mask (ReasonSeg); empty elsewhere.
    """

    name: str
    image_path: Path
    referents: tuple[Referent, ...] = ()
    conversations: tuple[tuple[Turn, ...], ...] = ()
    explanations: tuple[Turn, ...] = ()


class ImageDataset(Protocol):
    """A data set that is open: its annotations are read and found whole; images are read when an item is used."""

    name: str

    def __len__(self) -> int:
        """Return the number of images."""
        ...

    def __getitem__(self, index: int) -> AnnotatedImage:
        """Return one image's annotations; raises ``ItemError`` for one that cannot be used."""
        ...
