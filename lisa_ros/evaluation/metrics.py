"""The scores of reasoning segmentation (paper section 4.1): gIoU and cIoU, with bootstrap intervals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lisa_ros.datasets.records import IGNORE

GIOU_EPSILON = 1e-5
CIOU_EPSILON = 1e-10
DRAWN_AT_ONCE = 2_000_000
"""How many resampled counts are held in memory together."""

Counts = Sequence[tuple[int, int]] | NDArray[Any]
"""``(intersection, union)`` of every case in pixels, ``[..., n, 2]``; leading axes are scored one by one."""


def intersection_and_union(mask: NDArray[np.bool_], truth: NDArray[np.uint8] | NDArray[np.bool_]) -> tuple[int, int]:
    """Count the pixels of both and of either; pixels where ``truth`` is ``IGNORE`` are left out."""
    counted = truth != IGNORE
    wanted = (truth == 1) & counted
    given = mask & counted
    return int(np.count_nonzero(given & wanted)), int(np.count_nonzero(given | wanted))


def intersection_over_union(intersection: int, union: int) -> float:
    """Return the IoU as the reference's validation does: 1 where both masks are empty."""
    return 1.0 if union == 0 else intersection / (union + GIOU_EPSILON)


def g_iou(counts: Counts) -> Any:
    """Return the mean IoU, a float for ``[n, 2]`` counts and an array for more axes; NaN without a case."""
    intersections, unions = _split(counts)
    if unions.shape[-1] == 0:
        return float("nan")
    return _plain(np.where(unions == 0, 1.0, intersections / (unions + GIOU_EPSILON)).mean(axis=-1))


def c_iou(counts: Counts) -> Any:
    """Return the sum of intersections over the sum of unions, with the same shapes as ``g_iou``."""
    intersections, unions = _split(counts)
    if unions.shape[-1] == 0:
        return float("nan")
    return _plain(intersections.sum(axis=-1) / (unions.sum(axis=-1) + CIOU_EPSILON))


def bootstrap_interval(
    counts: Counts, score: Callable[[Counts], Any], *, rounds: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """Return the 2.5 % and 97.5 % quantiles of ``score`` over resampled counts ``[n, 2]``; NaN without a case."""
    array = np.asarray(counts, dtype=np.float64).reshape(-1, 2)
    if not len(array):
        return (float("nan"), float("nan"))
    rng = np.random.default_rng(seed)
    at_once = max(DRAWN_AT_ONCE // len(array), 1)
    values = [
        score(array[rng.integers(len(array), size=(min(at_once, rounds - done), len(array)))])
        for done in range(0, rounds, at_once)
    ]
    low, high = np.quantile(np.concatenate(values), [0.025, 0.975])
    return float(low), float(high)


def _split(counts: Counts) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    array = np.asarray(counts, dtype=np.float64)
    array = array if array.ndim > 1 else array.reshape(-1, 2)
    return array[..., 0], array[..., 1]


def _plain(values: NDArray[np.float64]) -> Any:
    return values if np.ndim(values) else float(values)
