from __future__ import annotations

from contextlib import nullcontext

import pytest
import torch

from lisa_ros.model.configuration import MaskDecoderConfig, PyramidConfig
from lisa_ros.model.sam import (
    build_mask_decoder,
    build_prompt_encoder,
    decode_prompts,
    dense_positional_encoding,
    overflow_safe,
)

CONFIG = MaskDecoderConfig(embed_dim=32, mlp_dim=48, num_multimask_outputs=3, iou_head_hidden_dim=16)
VISION = PyramidConfig((96, 160), mask_channels=(4, 8, 32))


@pytest.fixture
def parts():
    """A mask decoder and a prompt encoder with random weights, and an image embedding ``[2, 32, 6, 10]``."""
    torch.manual_seed(1)
    decoder, encoder = build_mask_decoder(CONFIG).eval(), build_prompt_encoder(CONFIG, VISION)
    return decoder, encoder, torch.randn(2, 32, 6, 10)


def test_the_dense_positional_encoding_is_that_of_sam(parts):
    _, encoder, _ = parts
    assert torch.equal(dense_positional_encoding(encoder), encoder.get_dense_pe())


def test_the_dense_positional_encoding_exists_for_16_bit_weights(parts):
    _, encoder, _ = parts
    encoding = dense_positional_encoding(encoder.bfloat16())
    assert encoding.dtype is torch.float32 and encoding.shape == (1, 32, 6, 10)


@torch.inference_mode()
def test_decoding_is_that_of_sam_for_one_mask(parts):
    decoder, encoder, embeddings = parts
    prompts, positions = torch.randn(3, 1, 32), encoder.get_dense_pe()
    no_mask = encoder.no_mask_embed.weight
    expected_masks, expected_iou = decoder(
        image_embeddings=embeddings[:1],
        image_pe=positions,
        sparse_prompt_embeddings=prompts,
        dense_prompt_embeddings=no_mask.reshape(1, -1, 1, 1).expand(3, -1, 6, 10),
        multimask_output=False,
    )
    masks, iou = decode_prompts(decoder, encoder, embeddings[:1], prompts, None)
    assert masks.shape == (3, 1, 24, 40) and iou.shape == (3, 1)
    assert torch.allclose(masks, expected_masks, atol=1e-5) and torch.allclose(iou, expected_iou, atol=1e-5)


@torch.inference_mode()
def test_prompts_on_images_of_their_own_are_decoded_as_if_alone(parts):
    decoder, encoder, embeddings = parts
    prompts = torch.randn(2, 1, 32)
    fine = (torch.randn(2, 4, 24, 40), torch.randn(2, 8, 12, 20))
    together, _ = decode_prompts(decoder, encoder, embeddings, prompts, fine)
    for index in range(2):
        one = slice(index, index + 1)
        alone, _ = decode_prompts(decoder, encoder, embeddings[one], prompts[one], (fine[0][one], fine[1][one]))
        assert torch.allclose(together[one], alone, atol=1e-5)


@torch.inference_mode()
def test_finer_features_change_the_mask_and_zeros_do_not(parts):
    decoder, encoder, embeddings = parts
    arguments = (decoder, encoder, embeddings[:1])
    prompts = torch.randn(1, 1, 32)
    plain, _ = decode_prompts(*arguments, prompts, None)
    zeros = (torch.zeros(1, 4, 24, 40), torch.zeros(1, 8, 12, 20))
    assert torch.equal(decode_prompts(*arguments, prompts, zeros)[0], plain)
    for level in range(2):
        fine = tuple(torch.randn_like(value) if index == level else value for index, value in enumerate(zeros))
        assert not torch.allclose(decode_prompts(*arguments, prompts, fine)[0], plain, atol=1e-4)


def test_only_fp16_is_left_for_a_type_that_sams_features_fit_in(monkeypatch):
    cpu, cuda = torch.device("cpu"), torch.device("cuda", 0)
    for dtype in (torch.float32, torch.bfloat16):
        assert overflow_safe(dtype, cpu) is overflow_safe(dtype, cuda) is dtype
    assert overflow_safe(torch.float16, cpu) is torch.float32
    monkeypatch.setattr(torch.cuda, "device", lambda device: nullcontext())
    for supported, expected in ((True, torch.bfloat16), (False, torch.float32)):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation, found=supported: found)
        assert overflow_safe(torch.float16, cuda) is expected
