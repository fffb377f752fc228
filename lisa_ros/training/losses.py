"""The losses of LISA (paper section 3.3): text cross entropy, per-pixel binary cross entropy and dice."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from lisa_ros.model.processing import IGNORE_INDEX

DICE_SCALE = 1000.0
DICE_EPSILON = 1e-6
MASK_COUNT_EPSILON = 1e-8


@dataclass(frozen=True, slots=True)
class LossWeights:
    """Weights of the losses; the first three are the paper's names (its values: 1.0, 2.0, 0.5)."""

    ce: float = 1.0
    bce: float = 2.0
    dice: float = 1.0
    iou: float = 0.2
    dense: float = 1.0
    presence: float = 0.1
    prompt: float = 1.0
    foreground: float = 2.0


def mask_bce_loss(mask_logits: Tensor, targets: Tensor) -> Tensor:
    """Binary cross entropy of ``[n, H, W]`` logits and targets in [0, 1]: the mean over pixels, averaged over masks."""
    per_mask = functional.binary_cross_entropy_with_logits(mask_logits, targets, reduction="none").flatten(1).mean(1)
    return per_mask.sum() / (len(mask_logits) + MASK_COUNT_EPSILON)


def dice_loss(mask_logits: Tensor, targets: Tensor) -> Tensor:
    """One minus the dice coefficient of ``[n, H, W]``, averaged over masks; the scale is the reference's."""
    probabilities, targets = mask_logits.sigmoid().flatten(1), targets.flatten(1)
    intersection = 2 * (probabilities / DICE_SCALE * targets).sum(1)
    total = (probabilities / DICE_SCALE).sum(1) + (targets / DICE_SCALE).sum(1)
    per_mask = 1 - (intersection + DICE_EPSILON) / (total + DICE_EPSILON)
    return per_mask.sum() / (len(mask_logits) + MASK_COUNT_EPSILON)


def text_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean cross entropy of ``[T, V]`` logits that predict the labels ``[T]``; zero without labels to count.

    ``IGNORE_INDEX`` labels do not count.
    """
    total = functional.cross_entropy(logits.float(), labels, ignore_index=IGNORE_INDEX, reduction="sum")
    return total / (labels != IGNORE_INDEX).sum().clamp(min=1)


def iou_loss(iou_predictions: Tensor, mask_logits: Tensor, targets: Tensor) -> Tensor:
    """Mean squared error of the predicted IoU ``[n]`` and the IoU of the masks ``[n, H, W]``, as SAM trains it."""
    with torch.no_grad():
        masks, truth = mask_logits > 0, targets > 0.5
        intersection, union = (masks & truth).flatten(1).sum(1), (masks | truth).flatten(1).sum(1)
        iou = intersection / union.clamp(min=1)
    return functional.mse_loss(iou_predictions.float(), iou)


def dense_loss(kind_logits: Tensor, kinds: Tensor, foreground_weight: float) -> Tensor:
    """Cross entropy of a kind per pixel, ``[B, K, h, w]`` against ``[B, h, w]``; kind 0 is the background."""
    weights = kind_logits.new_full((kind_logits.shape[1],), foreground_weight)
    weights[0] = 1.0
    return functional.cross_entropy(kind_logits.float(), kinds, weight=weights)


def presence_loss(presence_logits: Tensor, presence: Tensor) -> Tensor:
    """Binary cross entropy of "this kind is in this cell", ``[B, N, K]``; summed over kinds, mean over cells."""
    return (
        functional.binary_cross_entropy_with_logits(presence_logits.float(), presence, reduction="none").sum(2).mean()
    )
