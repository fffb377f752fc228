from __future__ import annotations

import math

import pytest
import torch

from lisa_ros.training.losses import (
    IGNORE_INDEX,
    dense_loss,
    dice_loss,
    iou_loss,
    mask_bce_loss,
    presence_loss,
    text_loss,
)

LOGITS = torch.tensor([[[0.0, math.log(3.0)]], [[-math.log(3.0), 0.0]]])
TARGETS = torch.tensor([[[1.0, 0.0]], [[0.0, 0.0]]])


def test_bce_is_the_mean_over_pixels_averaged_over_masks():
    first, second = (math.log(2) + math.log(4)) / 2, (math.log(4 / 3) + math.log(2)) / 2
    assert float(mask_bce_loss(LOGITS, TARGETS)) == pytest.approx((first + second) / 2)


def test_dice_has_the_scale_and_the_epsilon_of_the_reference():
    first = 1 - (2 * 0.5 / 1000 + 1e-6) / ((0.5 + 0.75 + 1) / 1000 + 1e-6)
    second = 1 - 1e-6 / (0.75 / 1000 + 1e-6)
    assert float(dice_loss(LOGITS, TARGETS)) == pytest.approx((first + second) / 2, rel=1e-5)


def test_no_masks_cost_nothing():
    none = torch.zeros(0, 4, 4)
    assert float(mask_bce_loss(none, none)) == float(dice_loss(none, none)) == 0.0


def test_text_counts_labels_that_are_not_ignored():
    logits = torch.tensor([[0.0, math.log(3.0)], [0.0, 0.0], [5.0, -5.0]])
    labels = torch.tensor([1, 0, IGNORE_INDEX])
    assert float(text_loss(logits, labels)) == pytest.approx((math.log(4 / 3) + math.log(2)) / 2)


def test_the_predicted_iou_is_compared_with_the_one_that_the_mask_has():
    logits, targets = torch.tensor([[[1.0, 1.0, -1.0, -1.0]]]), torch.tensor([[[1.0, 0.0, 1.0, 0.4]]])
    assert float(iou_loss(torch.tensor([0.5]), logits, targets)) == pytest.approx((0.5 - 1 / 3) ** 2)
    predicted = torch.tensor([0.5], requires_grad=True)
    logits.requires_grad_()
    iou_loss(predicted, logits, targets).backward()
    assert predicted.grad is not None and logits.grad is None


def test_dense_weighs_the_foreground():
    logits, kinds = torch.zeros(1, 3, 1, 2), torch.tensor([[[0, 2]]])
    logits[0, 2, 0, 1] = math.log(2.0)
    background, foreground = math.log(3), math.log(2)
    assert float(dense_loss(logits, kinds, 3.0)) == pytest.approx((background + 3 * foreground) / 4)


def test_presence_is_summed_over_kinds_and_averaged_over_cells():
    logits, presence = torch.zeros(1, 2, 3), torch.ones(1, 2, 3)
    assert float(presence_loss(logits, presence)) == pytest.approx(3 * math.log(2))
