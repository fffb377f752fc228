from __future__ import annotations

import pytest

from lisa_ros.conversion.shapes import has_mask_decoder, image_encoder_config, mask_decoder_config, projector_kind
from lisa_ros.model.configuration import MaskDecoderConfig, SamVitConfig

ENCODER, DECODER = "model.visual_model.image_encoder.", "model.visual_model.mask_decoder."
VIT_B = SamVitConfig(embed_dim=768, depth=12, num_heads=12, global_attn_indexes=(2, 5, 8, 11))
VIT_L = SamVitConfig(embed_dim=1024, depth=24, num_heads=16, global_attn_indexes=(5, 11, 17, 23))
VIT_H = SamVitConfig()
SMALL = SamVitConfig(
    image_size=96,
    patch_size=8,
    embed_dim=24,
    depth=3,
    num_heads=2,
    global_attn_indexes=(1,),
    window_size=5,
    mlp_ratio=2.5,
)
ALL_GLOBAL = SamVitConfig(image_size=112, patch_size=8, embed_dim=24, depth=2, num_heads=3, global_attn_indexes=(0, 1))


def shapes_of(image_encoder=VIT_B, mask_decoder=None):
    """The shapes that our own network has in these sizes, under official names."""
    import torch

    from lisa_ros.model.sam import build_image_encoder, build_mask_decoder

    with torch.device("meta"):
        parts = {ENCODER: build_image_encoder(image_encoder)}
        parts[DECODER] = build_mask_decoder(mask_decoder or MaskDecoderConfig())
    return {
        prefix + name: tuple(value.shape) for prefix, part in parts.items() for name, value in part.state_dict().items()
    }


@pytest.mark.parametrize("config", [VIT_B, VIT_L, VIT_H, SMALL, ALL_GLOBAL], ids=["B", "L", "H", "small", "global"])
def test_the_sizes_of_an_image_encoder_are_in_its_shapes(config):
    assert image_encoder_config(shapes_of(config)) == config


@pytest.mark.parametrize(
    "config",
    [
        MaskDecoderConfig(),
        MaskDecoderConfig(embed_dim=64, depth=3, mlp_dim=96, num_multimask_outputs=0, iou_head_hidden_dim=48),
    ],
)
def test_the_sizes_of_a_mask_decoder_are_in_its_shapes(config):
    assert mask_decoder_config(shapes_of(SMALL, config)) == config


@pytest.mark.parametrize("change", ["gone", "wrong", "flat"])
def test_one_missing_or_misshapen_weight_does_not_change_what_the_others_say(change):
    whole = shapes_of(SMALL)
    for name, shape in whole.items():
        wrong = {"wrong": tuple(size + 1 for size in shape), "flat": (1,)}.get(change)
        shapes = whole | {name: wrong} if wrong else {key: value for key, value in whole.items() if key != name}
        # These two sizes are told by one weight alone.
        if "patch_embed.proj.weight" not in name:
            assert image_encoder_config(shapes) == SMALL, name
        if "mask_tokens.weight" not in name:
            assert mask_decoder_config(shapes) == MaskDecoderConfig(), name


def test_the_projector_of_llava_1_5_is_numbered():
    assert projector_kind({"model.mm_projector.weight": (8, 4), "model.mm_projector.bias": (8,)}) == "linear"
    assert projector_kind({"model.mm_projector.0.weight": (8, 4), "model.mm_projector.2.bias": (8,)}) == "mlp2x_gelu"


def test_a_llava_has_no_mask_decoder():
    assert not has_mask_decoder({"model.embed_tokens.weight": (8, 4)})
    assert has_mask_decoder(shapes_of(SMALL))
