from __future__ import annotations

import numpy as np
import pytest
import torch

from lisa_ros.engine.masks import accepted, decode_object, mask_stability, without_padding
from lisa_ros.engine.view import LisaView
from lisa_ros.model.configuration import AcceptanceConfig
from lisa_ros.model.image_processing import ImageProcessor


def test_stability_is_the_overlap_of_a_tighter_and_a_wider_mask():
    assert mask_stability(torch.tensor([2.0, 0.5, -0.5, -2.0])) == pytest.approx(1 / 3)
    assert mask_stability(torch.tensor([[5.0, -5.0]])) == 1.0
    assert mask_stability(torch.tensor([-3.0, -2.0])) == 0.0


def test_padding_is_left_out_of_a_mask():
    mask = torch.arange(24.0).view(4, 6)
    assert torch.equal(without_padding(mask, (33, 96), (64, 96)), mask[:3])
    assert torch.equal(without_padding(mask, (64, 40), (64, 96)), mask[:, :3])
    assert torch.equal(without_padding(mask, (64, 96), (64, 96)), mask)


def test_an_object_has_the_size_of_the_image_and_the_product_of_its_scores(tiny_model):
    images = ImageProcessor(tiny_model.config)(np.full((45, 120, 3), 90, np.uint8))
    view = LisaView(tiny_model, images, torch.tensor([1]), {})
    hidden_state = torch.randn(48)
    found = decode_object(view, hidden_state, "knife", 0.5)
    with torch.inference_mode():
        low_res, iou = tiny_model.decode_masks(view.mask_features(), tiny_model.project_seg(hidden_state[None]))
        expected = tiny_model.postprocess_masks(low_res, images.resized_sizes[0], (45, 120))[0] > 0
    assert found.label == "knife" and found.mask.dtype == bool
    assert (found.mask == expected.numpy()).all() and found.mask.shape == (45, 120)
    assert found.predicted_iou == pytest.approx(float(iou.clamp(0, 1)))
    assert low_res.shape[2:] == (16, 24) and images.resized_sizes == [(36, 96)]
    assert found.stability == pytest.approx(mask_stability(low_res[0, 0, :9])), "padding does not count"
    assert found.score == pytest.approx(0.5 * found.predicted_iou * found.stability)


def test_a_predicted_iou_beyond_one_counts_as_one(tiny_model):
    with torch.no_grad():
        tiny_model.mask_decoder.iou_prediction_head.layers[-1].bias.fill_(9.0)
    view = LisaView(
        tiny_model, ImageProcessor(tiny_model.config)(np.zeros((64, 96, 3), np.uint8)), torch.tensor([1]), {}
    )
    assert decode_object(view, torch.zeros(48), "", 1.0).predicted_iou == 1.0


def test_specks_and_masks_of_almost_nothing_are_not_accepted():
    mask = np.zeros((60, 80), bool)
    mask[10:30, 10:40], mask[50:52, 70:73], mask[40:50, 5:15] = True, True, True
    cleaned = accepted(mask, AcceptanceConfig(smallest_component=0.1))
    assert cleaned[10:30, 10:40].all() and cleaned[40:50, 5:15].all() and cleaned.sum() == 600 + 100
    assert (accepted(mask, AcceptanceConfig()) == mask).all(), "the default accepts every pixel"
    assert not accepted(mask, AcceptanceConfig(smallest_mask=0.2)).any()
    assert not accepted(np.zeros((4, 4), bool), AcceptanceConfig(0.1, 0.1)).any()
