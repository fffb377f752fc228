"""What is compared with a recording, how a difference is measured, and which is allowed."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]


class Measure(Enum):
    """How the difference between two arrays is measured."""

    UNLIKE = "elements that are not equal"
    LARGEST = "largest absolute difference"
    LARGEST_RELATIVE = "largest difference relative to its element"
    RELATIVE = "length of the difference relative to the length of what is expected"


@dataclass(frozen=True, slots=True)
class Rule:
    """How one quantity is measured and the largest difference allowed."""

    measure: Measure
    tolerance: float


EXACT = Rule(Measure.UNLIKE, 0.0)
PIXELS = Rule(Measure.LARGEST, 1e-6)
HIDDEN = Rule(Measure.LARGEST, 5e-5)
SCORE = Rule(Measure.LARGEST, 1e-5)
LOGITS = Rule(Measure.LARGEST, 2e-4)
LOSS = Rule(Measure.RELATIVE, 1e-5)
GRADIENT = Rule(Measure.RELATIVE, 1e-4)
SIXTEEN_BIT = Rule(Measure.RELATIVE, 0.1)

RULES = {
    "resize_hw": EXACT,
    "original_hw": EXACT,
    "clip_pixel_values": PIXELS,
    "sam_input": PIXELS,
    "clip_features": HIDDEN,
    "image_tokens": HIDDEN,
    "last_hidden": HIDDEN,
    "step_logits": LOGITS,
    "output_ids": EXACT,
    "n_clip_calls": EXACT,
    "seg_positions": EXACT,
    "seg_count_per_conversation": EXACT,
    "seg_hidden": HIDDEN,
    "seg_embeds": HIDDEN,
    "sam_image_embedding": HIDDEN,
    "low_res_logits": LOGITS,
    "iou_predictions": HIDDEN,
    "mask_logits": LOGITS,
    "mask_bits": EXACT,
    "intersection": EXACT,
    "union": EXACT,
    "acc_iou": SCORE,
    "loss": LOSS,
    "ce_loss": LOSS,
    "mask_bce_loss": LOSS,
    "mask_dice_loss": LOSS,
    "mask_loss": LOSS,
    "gradient": GRADIENT,
    "grad_norms": Rule(Measure.LARGEST_RELATIVE, 1e-4),
    "bf16_step_logits": SIXTEEN_BIT,
    "bf16_seg_hidden": SIXTEEN_BIT,
    "bf16_seg_embeds": SIXTEEN_BIT,
    "bf16_sam_image_embedding": SIXTEEN_BIT,
    "bf16_low_res_logits": SIXTEEN_BIT,
    "bf16_mask_logits": SIXTEEN_BIT,
    "bf16_mask_iou": Rule(Measure.LARGEST, 0.1),
}
"""The rule of every quantity: in fp32, but for those that begin with ``bf16``, where rounding leaves little else."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One quantity of one case and how far it is from the reference's, measured by the quantity's rule."""

    case: str
    quantity: str
    difference: float

    @property
    def tolerance(self) -> float:
        """The largest difference allowed."""
        return RULES[self.quantity].tolerance

    @property
    def passed(self) -> bool:
        """Whether the difference is allowed."""
        return self.difference <= self.tolerance


@dataclass(slots=True)
class Findings:
    """All comparisons with a recording, and the names of what it has that was not compared."""

    comparisons: list[Comparison] = field(default_factory=list)
    not_checked: list[str] = field(default_factory=list)
    undecided_pixels: int = 0

    def compare(self, case: str, produced: Arrays, expected: Arrays) -> None:
        """Compare what both have; the pixels of a mask that was recorded as logits are compared as well."""
        if "mask_logits" in produced:
            masks, undecided = masks_as_recorded(produced["mask_logits"], expected.get("mask_logits"))
            produced = {**produced, "mask_bits": packed(masks)}
            self.undecided_pixels += undecided
        if "mask_logits" in expected:
            expected = {"mask_bits": packed(expected["mask_logits"] > 0)} | expected
        for name, rule in RULES.items():
            if name in produced and name in expected:
                found = difference(produced[name], expected[name], rule.measure)
                self.comparisons.append(Comparison(case, name, found))
        self.not_checked += [f"{case}.{name}" for name in expected if name not in produced or name not in RULES]

    def summary(self) -> dict[str, Any]:
        """Return the largest difference of every quantity (``None`` if infinite) and what is beyond its tolerance."""
        largest: dict[str, float | None] = {}
        for quantity in RULES:
            found = [entry.difference for entry in self.comparisons if entry.quantity == quantity]
            if found:
                largest[quantity] = max(found) if np.isfinite(max(found)) else None
        beyond = [f"{entry.case}.{entry.quantity}" for entry in self.comparisons if not entry.passed]
        return {
            "cases": list(dict.fromkeys(entry.case for entry in self.comparisons)),
            "largest": largest,
            "beyond": beyond,
            "not_checked": self.not_checked,
            "undecided_pixels": self.undecided_pixels,
            "passed": not beyond,
        }


def masks_as_recorded(mask_logits: NDArray[Any], expected: NDArray[Any] | None) -> tuple[NDArray[np.bool_], int]:
    """Return the masks ``[n, H, W]`` of logits, and how many pixels were taken as recorded.

    Those are the ones whose recorded logit is 0 within the tolerance: on which side of 0 they lie is decided by the
    rounding of a machine. Without recorded logits every pixel is as it is.
    """
    masks: NDArray[np.bool_] = mask_logits > 0
    if expected is None or expected.shape != masks.shape:
        return masks, 0
    undecided = (np.abs(expected) <= LOGITS.tolerance) & (masks != (expected > 0))
    return masks ^ undecided, int(np.count_nonzero(undecided))


def packed(masks: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return masks ``[n, H, W]`` as bits, eight pixels of a row a byte."""
    return np.packbits(masks, axis=-1)


def difference(produced: NDArray[Any], expected: NDArray[Any], measure: Measure) -> float:
    """Return the difference of two arrays; infinite for another shape or what is not a number."""
    if produced.shape != expected.shape:
        return float("inf")
    if produced.size == 0:
        return 0.0
    if measure is Measure.UNLIKE:
        return float(np.count_nonzero(produced != expected))
    wanted = expected.astype(np.float64)
    gap = np.abs(produced.astype(np.float64) - wanted)
    with np.errstate(divide="ignore", invalid="ignore"):
        if measure is Measure.RELATIVE:
            found = np.linalg.norm(gap) / np.linalg.norm(wanted) if gap.any() else 0.0
        elif measure is Measure.LARGEST_RELATIVE:
            found = np.where(gap == 0, 0.0, gap / np.abs(wanted)).max()
        else:
            found = gap.max()
    return float(found) if np.isfinite(found) else float("inf")
