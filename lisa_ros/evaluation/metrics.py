"""The scores of reasoning segmentation (paper section 4.1): gIoU and cIoU, with bootstrap intervals."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

GIOU_EPSILON = 1e-5
CIOU_EPSILON = 1e-10
IGNORE = 255


def intersection_and_union(mask: NDArray[np.bool_], truth: NDArray[np.uint8] | NDArray[np.bool_]) -> tuple[int, int]:
    """Count the pixels of both and of either; pixels where ``truth`` is 255 are left out."""
    counted = truth != IGNORE
    wanted = (truth == 1) & counted
    given = mask & counted
    return int(np.count_nonzero(given & wanted)), int(np.count_nonzero(given | wanted))


def intersection_over_union(intersection: int, union: int) -> float:
    """Return the IoU as the reference's validation does: 1 where both masks are empty."""
    return 1.0 if union == 0 else intersection / (union + GIOU_EPSILON)


def g_iou(counts: Sequence[tuple[int, int]]) -> float:
    """Return the mean IoU over all ``(intersection, union)``."""
    return float(np.mean([intersection_over_union(*pair) for pair in counts])) if counts else float("nan")


def c_iou(counts: Sequence[tuple[int, int]]) -> float:
    """Return the sum of intersections over the sum of unions."""
    totals = np.sum(np.asarray(counts, dtype=np.float64).reshape(-1, 2), axis=0)
    return float(totals[0] / (totals[1] + CIOU_EPSILON))


def bootstrap_interval(
    counts: Sequence[tuple[int, int]],
    score: Callable[[Sequence[tuple[int, int]]], float],
    *,
    rounds: int = 1000,
    seed: int = 0,
) -> tuple[float, float]:
    """Return the 2.5 % and 97.5 % quantiles of ``score`` over resampled counts."""
    if not counts:
        return (float("nan"), float("nan"))
    rng = np.random.default_rng(seed)
    values = [score([counts[i] for i in rng.integers(len(counts), size=len(counts))]) for _ in range(rounds)]
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)
