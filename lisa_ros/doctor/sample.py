"""A frame to ask about: the first of those that come along, or a made-up one where they were not installed."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lisa_ros.answers import Answer, Request

FRAMES = Path("demo", "tabletop")


@dataclass(frozen=True, slots=True)
class Sample:
    """An image, uint8 RGB ``[H, W, 3]``, a request about it and the true mask, bool ``[H, W]``, where it is known."""

    rgb: NDArray[np.uint8]
    request: Request
    truth: NDArray[np.bool_] | None = None

    def iou(self, answer: Answer) -> float | None:
        """Return the IoU of all masks of an answer with the truth, ``None`` where it is not known."""
        if self.truth is None:
            return None
        mask = np.zeros_like(self.truth)
        for found in answer.objects:
            mask |= found.mask
        return float((mask & self.truth).sum() / max((mask | self.truth).sum(), 1))


def sample() -> Sample:
    """Return the first request of the bundled frames that has a target."""
    shares = [Path(prefix, "share", "lisa_ros") for prefix in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)]
    for parent in [*shares, Path(__file__).resolve().parents[2]]:
        if (parent / FRAMES / "requests.json").is_file():
            return _bundled(parent / FRAMES)
    ramp = np.linspace(0, 255, 320 * 240 * 3).reshape(240, 320, 3)
    return Sample(ramp.astype(np.uint8), Request("where is the cup?"))


def _bundled(folder: Path) -> Sample:
    requests = json.loads((folder / "requests.json").read_text(encoding="utf-8"))
    asked = next(entry for entry in requests if entry["target_ids"])
    stem = folder / "frames" / f"{asked['frame']:06d}"
    with Image.open(f"{stem}.jpg") as picture, Image.open(f"{stem}.png") as instances:
        rgb, truth = np.asarray(picture.convert("RGB")), np.isin(np.asarray(instances), asked["target_ids"])
    return Sample(rgb, Request(asked["text"]), truth)
