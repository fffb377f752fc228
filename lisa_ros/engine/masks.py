"""From mask embeddings to objects at the size of the image, with their scores."""

from __future__ import annotations

import math

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lisa_ros.answers import SegmentedObject, box_of
from lisa_ros.engine.decoding import require_finite
from lisa_ros.engine.view import LisaView
from lisa_ros.model.configuration import AcceptanceConfig

STABILITY_OFFSET = 1.0
"""Logits by which the threshold is moved up and down for the stability, as in SAM's mask generator."""


@torch.inference_mode()
def decode_object(view: LisaView, hidden_state: Tensor, label: str, seg_probability: float) -> SegmentedObject:
    """Decode the mask of one final-normed hidden state ``[D]`` that predicts ``[SEG]``; raises ``NotFiniteError``."""
    model, resized_size = view.model, view.images.resized_sizes[0]
    low_res_masks, iou_predictions = model.decode_masks(view.mask_features(), model.project_seg(hidden_state[None]))
    require_finite(low_res_masks, "mask decoder")
    logits = model.postprocess_masks(low_res_masks, resized_size, view.size)[0]
    mask = accepted((logits > 0).cpu().numpy(), model.config.acceptance)
    predicted_iou = float(iou_predictions[0, 0].float().clamp(0.0, 1.0))
    stability = mask_stability(without_padding(low_res_masks[0, 0], resized_size, model.config.mask_vision.input_size))
    return SegmentedObject(
        label=label,
        mask=np.ascontiguousarray(mask),
        box=box_of(mask),
        score=seg_probability * predicted_iou * stability,
        seg_probability=seg_probability,
        predicted_iou=predicted_iou,
        stability=stability,
    )


def accepted(mask: NDArray[np.bool_], acceptance: AcceptanceConfig) -> NDArray[np.bool_]:
    """Return a bool ``[H, W]`` mask without specks, empty when too little of it is left."""
    if acceptance.smallest_component > 0.0 and mask.any():
        _, components, statistics, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
        areas = statistics[:, cv2.CC_STAT_AREA]
        kept = areas >= acceptance.smallest_component * areas[1:].max()
        kept[0] = False
        mask = kept[components]
    return mask if mask.mean() >= acceptance.smallest_mask else np.zeros_like(mask)


def without_padding(low_res_mask: Tensor, resized_size: tuple[int, int], input_size: tuple[int, int]) -> Tensor:
    """Return the part ``[h', w']`` of a ``[h, w]`` mask that shows the image, which lies at the top left."""
    height, width = (
        math.ceil(side * resized / whole)
        for side, resized, whole in zip(low_res_mask.shape, resized_size, input_size, strict=True)
    )
    return low_res_mask[:height, :width]


def mask_stability(logits: Tensor) -> float:
    """Return the IoU of the masks at thresholds a little above and below zero; 0 for an empty mask."""
    inner = int((logits > STABILITY_OFFSET).sum())
    outer = int((logits > -STABILITY_OFFSET).sum())
    return inner / outer if outer else 0.0
