from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from lisa_ros.model.modeling import IMAGE_TOKEN, REQUEST_TOKEN
from lisa_ros.model.sam import sam_modeling


def test_placeholders_are_replaced_by_their_states_in_place(tiny_model):
    image, request = torch.full((6, 48), 2.0), torch.full((2, 48), 3.0)
    embeddings, expanded = tiny_model.embed(torch.tensor([1, IMAGE_TOKEN, 7, REQUEST_TOKEN, 3]), image, request)
    assert expanded.tolist() == [1, *[IMAGE_TOKEN] * 6, 7, REQUEST_TOKEN, REQUEST_TOKEN, 3]
    table = tiny_model.language_model.get_input_embeddings().weight
    assert torch.equal(embeddings[0, 1:7], image) and torch.equal(embeddings[0, 8:10], request)
    assert torch.equal(embeddings[0, [0, 7, 10]], table[[1, 7, 3]])


def test_a_placeholder_without_states_and_states_without_a_placeholder_are_errors(tiny_model):
    with pytest.raises(ValueError, match="placeholder -200, but no states"):
        tiny_model.embed(torch.tensor([1, IMAGE_TOKEN]))
    with pytest.raises(ValueError, match="no placeholder for the image"):
        tiny_model.embed(torch.tensor([1, 2]), torch.zeros(6, 48))
    with pytest.raises(ValueError, match="placeholder -200, but no states"):
        tiny_model.embed(torch.tensor([IMAGE_TOKEN, IMAGE_TOKEN]), torch.zeros(6, 48))


def test_the_image_takes_as_many_positions_as_the_configuration_says(tiny_model, golden_model):
    assert (tiny_model.config.vision.num_image_tokens, golden_model.config.vision.num_image_tokens) == (6, 256)


@torch.inference_mode()
def test_no_prompt_gives_no_mask(golden_model):
    features = golden_model.encode_image_for_masks(SimpleNamespace(mask_pixel_values=torch.zeros(1, 3, 256, 256)))
    low_res_masks, iou_predictions = golden_model.decode_masks(features, torch.zeros(0, 256))
    assert low_res_masks.shape == (0, 1, 64, 64) and iou_predictions.shape == (0, 1)
    assert golden_model.postprocess_masks(low_res_masks, (200, 256), (20, 30)).shape == (0, 20, 30)


def test_postprocessing_is_that_of_sam(golden_model):
    low_res_masks = torch.randn(2, 1, 64, 64)
    sam = SimpleNamespace(image_encoder=SimpleNamespace(img_size=256))
    expected = sam_modeling().Sam.postprocess_masks(sam, low_res_masks, (144, 256), (180, 320))[:, 0]
    assert torch.equal(golden_model.postprocess_masks(low_res_masks, (144, 256), (180, 320)), expected)
    assert golden_model.postprocess_masks(low_res_masks.half(), (144, 256), (9, 16)).dtype is torch.float32


@torch.inference_mode()
def test_padded_requests_are_read_as_if_alone_and_padding_gives_zeros(tiny_model):
    ids, mask = torch.tensor([[2, 7, 8, 3], [2, 9, 3, 0]]), torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]])
    states = tiny_model.request_encoder(ids, mask)
    alone = tiny_model.request_encoder(ids[1:, :3], mask[1:, :3])
    assert states.shape == (2, 5, 48)
    assert torch.allclose(states[1:, :4], alone, atol=1e-5)
    assert states[1, 4].abs().sum() == 0
