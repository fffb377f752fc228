from __future__ import annotations

import json

import pytest
import torch

from lisa_ros.model.configuration import ConfigurationError
from lisa_ros.model.official import UnknownKeyError, reference_config, translated_key, translated_weights


@pytest.fixture
def recorded(golden_folder):
    return json.loads((golden_folder / "config.json").read_text())


@pytest.mark.parametrize(
    ("official", "ours"),
    [
        ("model.layers.3.self_attn.q_proj.weight", "language_model.model.layers.3.self_attn.q_proj.weight"),
        ("model.norm.weight", "language_model.model.norm.weight"),
        ("lm_head.weight", "language_model.lm_head.weight"),
        ("model.mm_projector.0.weight", "mm_projector.0.weight"),
        ("model.text_hidden_fcs.0.2.bias", "text_hidden_fcs.2.bias"),
        ("model.visual_model.mask_decoder.iou_token.weight", "mask_decoder.iou_token.weight"),
        (
            "model.vision_tower.vision_tower.vision_model.embeddings.class_embedding",
            "vision_tower.embeddings.class_embedding",
        ),
    ],
)
def test_weight_names_are_translated(official, ours):
    assert translated_key(official) == ours


def test_an_unknown_weight_name_is_quoted():
    with pytest.raises(UnknownKeyError, match=r"'model\.extra\.weight' is not a weight of the official LISA"):
        translated_key("model.extra.weight")


def test_only_what_influences_nothing_is_left_out(recorded):
    clip = "model.vision_tower.vision_tower.vision_model."
    kept = ["model.norm.weight", f"{clip}encoder.layers.2.mlp.fc1.weight", f"{clip}pre_layrnorm.weight"]
    dropped = [
        "model.layers.0.self_attn.rotary_emb.inv_freq",
        f"{clip}embeddings.position_ids",
        f"{clip}encoder.layers.3.mlp.fc1.weight",
        f"{clip}post_layernorm.weight",
    ]
    weights = {key: torch.zeros(1) for key in kept + dropped}
    assert list(translated_weights(weights, reference_config(recorded))) == [translated_key(key) for key in kept]


def test_the_configuration_of_a_recording(recorded):
    config = reference_config(recorded)
    assert (config.tokens.seg, config.tokens.image_start, config.tokens.image_end) == (303, 301, 302)
    assert config.image_encoder.global_attn_indexes == (1, 3)
    assert (config.language.hidden_size, config.vision.hidden_size, config.mask_decoder.mlp_dim) == (96, 48, 256)
    assert config.vision.select_layer == -2


def test_what_a_recording_lacks_or_has_otherwise_is_quoted(recorded):
    with pytest.raises(ConfigurationError, match="no field 'vocab_size'"):
        reference_config(recorded | {"llama": {}})
    with pytest.raises(ConfigurationError, match="mm_vision_select_feature is 'cls_patch'; only 'patch' is known"):
        reference_config(recorded | {"mm_vision_select_feature": "cls_patch"})
    with pytest.raises(ConfigurationError, match="rope_scaling is"):
        reference_config(recorded | {"llama": recorded["llama"] | {"rope_scaling": {"type": "linear", "factor": 2.0}}})
