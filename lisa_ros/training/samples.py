"""What one step of training sees: images with conversations about them, and the masks that these have to give."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lisa_ros.answers import Turn


@dataclass(frozen=True, slots=True)
class TrainingSample:
    """One image and one or more conversations about it.

    ``rgb`` is uint8 ``[H, W, 3]``. ``masks`` is bool ``[n, H, W]``, one for every ``[SEG]`` in the answers of all
    conversations, in their order. ``source`` names the data set and the item, for messages.
    """

    rgb: NDArray[np.uint8]
    conversations: tuple[tuple[Turn, ...], ...]
    masks: NDArray[np.bool_]
    source: str
