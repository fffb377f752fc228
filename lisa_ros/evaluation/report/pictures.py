"""One case as a picture: the answer filled, the truth outlined, what no score counts in grey."""

from __future__ import annotations

import base64

import cv2
import numpy as np
from numpy.typing import NDArray

from lisa_ros.datasets.records import IGNORE, Mask

LONGEST_SIDE = 480
JPEG_QUALITY = 80
ANSWER_COLOUR, ANSWER_SHARE = (255, 96, 32), 0.55
TRUTH_COLOUR = (60, 230, 120)
IGNORED_COLOUR, IGNORED_SHARE = (128, 128, 128), 0.7
WHITE = (255, 255, 255)


def overlay(rgb: NDArray[np.uint8], answer: NDArray[np.bool_], truth: Mask) -> NDArray[np.uint8]:
    """Return a smaller copy of uint8 RGB ``[H, W, 3]`` with both masks drawn into it, uint8 RGB."""
    scale = min(1.0, LONGEST_SIDE / max(rgb.shape[:2]))
    size = (max(1, round(rgb.shape[1] * scale)), max(1, round(rgb.shape[0] * scale)))
    picture = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    _fill(picture, _resized(truth == IGNORE, size), IGNORED_COLOUR, IGNORED_SHARE)
    _fill(picture, _resized(answer, size), ANSWER_COLOUR, ANSWER_SHARE)
    result = np.rint(picture).astype(np.uint8)
    outlines, _ = cv2.findContours(_resized(truth == 1, size).astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(result, outlines, -1, WHITE, 4, cv2.LINE_AA)
    cv2.drawContours(result, outlines, -1, TRUTH_COLOUR, 2, cv2.LINE_AA)
    return result


def data_address(rgb: NDArray[np.uint8]) -> str:
    """Return uint8 RGB ``[H, W, 3]`` as the address of a JPEG that holds the picture itself."""
    encoded = cv2.imencode(".jpg", rgb[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes()
    return "data:image/jpeg;base64," + base64.b64encode(encoded).decode("ascii")


def _resized(mask: NDArray[np.bool_], size: tuple[int, int]) -> NDArray[np.bool_]:
    return cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA) >= 0.5


def _fill(picture: NDArray[np.float32], mask: NDArray[np.bool_], colour: tuple[int, int, int], share: float) -> None:
    picture[mask] = (1.0 - share) * picture[mask] + share * np.array(colour, np.float32)
