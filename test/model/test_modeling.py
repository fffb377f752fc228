from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from lisa_ros.model.checkpoint_folder import MODEL_FILE
from lisa_ros.model.image_processing import ImageProcessor
from lisa_ros.model.modeling import IMAGE_TOKEN, MASK_PARTS, REQUEST_TOKEN, ImageInputs, LisaModel
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


def test_inputs_take_a_type_for_each_eye():
    one, two = torch.zeros(1, 3, 4, 4), torch.zeros(1, 3, 8, 8)
    apart = ImageInputs(one, two, [(8, 8)], [(9, 9)]).to(torch.device("cpu"), torch.float16, torch.bfloat16)
    assert (apart.pixel_values.dtype, apart.mask_pixel_values.dtype) == (torch.float16, torch.bfloat16)
    shared = ImageInputs(one, one, [(4, 4)], [(9, 9)]).to(torch.device("cpu"), torch.float16, torch.float32)
    assert shared.pixel_values is shared.mask_pixel_values and shared.pixel_values.dtype is torch.float32


@torch.inference_mode()
def test_masks_in_fp16_are_those_of_fp32_where_sam_leaves_the_range_of_fp16(golden_model, tmp_path):
    golden_model.save_pretrained(tmp_path, dtype=torch.float32)
    weights = load_file(tmp_path / MODEL_FILE)
    # A layer norm follows, so that in fp32 this changes nothing.
    weights["image_encoder.neck.0.weight"] *= 1e5
    save_file(weights, tmp_path / MODEL_FILE)
    exact, half = (LisaModel.from_pretrained(tmp_path, dtype=dtype) for dtype in (torch.float32, torch.float16))
    assert (half.dtype, half.mask_dtype) == (torch.float16, torch.float32)
    images = ImageProcessor(exact.config)(np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8))
    prompts = half.project_seg(torch.randn(3, exact.config.language.hidden_size).half())
    assert prompts.dtype is torch.float16

    expected, _ = exact.decode_masks(exact.encode_image_for_masks(images), prompts.float())
    found, _ = half.decode_masks(half.encode_image_for_masks(images), prompts)
    assert torch.equal(found, expected)
    for mask in half.postprocess_masks(found, images.resized_sizes[0], images.original_sizes[0]) > 0:
        assert 0.0 < mask.float().mean() < 1.0
    narrow = half.encode_image_for_masks(images.to(half.device, torch.float16)).image_embeddings
    assert narrow.dtype is torch.float32 and narrow.isfinite().all()
    overflown = half.image_encoder.half()(images.mask_pixel_values.half())
    assert not overflown.isfinite().all()


@torch.inference_mode()
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_the_small_eye_serves_both_sides_in_their_own_types(tiny_model, tmp_path, dtype):
    tiny_model.save_pretrained(tmp_path)
    model = LisaModel.from_pretrained(tmp_path, dtype=dtype)
    mask_dtype = torch.float32 if dtype is torch.float16 else dtype
    types = {name.split(".")[0]: value.dtype for name, value in model.named_parameters()}
    assert types == {name: mask_dtype if name in MASK_PARTS else dtype for name in types}
    images = ImageProcessor(model.config)(np.zeros((64, 96, 3), np.uint8))
    for given in (images, images.to(model.device, model.dtype, model.mask_dtype), images.to(model.device, dtype)):
        given.pyramid_features = None
        assert model.encode_image_for_language(given).dtype is dtype
        features = model.encode_image_for_masks(given)
        masks, iou = model.decode_masks(features, torch.zeros(2, 32, dtype=dtype))
        assert masks.dtype is iou.dtype is mask_dtype
        assert model.decode_masks(features, torch.zeros(0, 32, dtype=dtype))[0].dtype is mask_dtype
