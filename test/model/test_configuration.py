from __future__ import annotations

import copy
import json

import pytest

from lisa_ros.model.configuration import ClipVisionConfig, ConfigurationError, LisaConfig, PyramidConfig
from lisa_ros.model.official import reference_config


@pytest.fixture
def official(golden_folder):
    return reference_config(json.loads((golden_folder / "config.json").read_text()))


def test_both_arrangements_survive_a_round_trip_through_a_folder(official, tiny_text, tmp_path):
    for config in (official, tiny_text.config):
        config.save(tmp_path)
        assert LisaConfig.from_dict(json.loads((tmp_path / "config.json").read_text())) == config


def test_sizes_that_follow_from_others(official):
    assert ClipVisionConfig().num_image_tokens == 256
    assert official.mask_vision.embedding_size == (16, 16)
    pyramid = PyramidConfig((288, 384))
    assert (pyramid.num_image_tokens, pyramid.embedding_size, pyramid.input_size) == (108, (18, 24), (288, 384))


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("model_type", "llava", "model_type is 'llava'; this package reads 'lisa_ros'"),
        ("vision.type", "resnet", "vision.type is 'resnet'; choose one of clip, pyramid"),
        ("vision", None, "vision.type is None; choose one of clip, pyramid"),
        ("language", None, "language is None; it must be of type LanguageConfig"),
        ("language", [1, 2], r"language is \[1, 2\]; it must hold named values"),
        ("language.vocab_size", ..., "language.vocab_size is missing; it has no default"),
        ("language.hidden_size", "96", "language.hidden_size is '96'; it must be of type int"),
        ("language.hidden_size", 97, "language.hidden_size is 97; it must be a multiple of num_attention_heads, 6"),
        (
            "language.num_key_value_heads",
            4,
            "num_attention_heads is 6; it must be a multiple of num_key_value_heads, 4",
        ),
        ("language.num_attention_heads", 0, "language.num_attention_heads is 0; it must be 1 or more"),
        ("language.hidden_act", "swish", "language.hidden_act is 'swish'; choose one of silu"),
        ("language.rms_norm_eps", float("nan"), "language.rms_norm_eps is nan; it must be a finite number"),
        ("language.rope_theta", float("inf"), "language.rope_theta is inf; it must be a finite number"),
        ("language.rms_norm_eps", -1e-6, "language.rms_norm_eps is -1e-06; it must be above 0"),
        ("vision.image_size", 225, "vision.image_size is 225; it must be a multiple of patch_size, 14"),
        ("vision.select_layer", 1, r"vision.select_layer is 1; it must lie in \[-4, -1\]"),
        ("image_encoder", None, "image_encoder is missing; only a pyramid"),
        ("image_encoder.global_attn_indexes", 3, "image_encoder.global_attn_indexes is 3"),
        ("image_encoder.windows", 3, "image_encoder.windows is not known; valid are depth, embed_dim"),
        ("tokens.seg", 304, r"tokens.seg is 304; it must lie in \[0, vocab_size\) = \[0, 304\)"),
        ("tokens.seg", True, "tokens.seg is True; it must be of type int"),
        ("projector", "mlp", "projector is 'mlp'; choose one of linear, mlp2x_gelu"),
        ("conversation", "vicuna", "conversation is 'vicuna'; choose one of llava_v1"),
        ("conversation", "tabletop", "request_encoder is missing; the conversation 'tabletop' goes through one"),
        ("field_of_view", "wide", "field_of_view is 'wide'; choose one of crop, pad"),
    ],
)
def test_a_wrong_value_is_quoted_with_what_would_be_valid(official, field, value, sentence):
    values = copy.deepcopy(official.to_dict())
    *parts, name = field.split(".")
    target = values[parts[0]] if parts else values
    if value is ...:
        del target[name]
    else:
        target[name] = value
    with pytest.raises(ConfigurationError, match=sentence):
        LisaConfig.from_dict(values)


def test_a_pyramid_needs_sides_of_whole_cells():
    with pytest.raises(
        ConfigurationError, match=r"vision.image_size is \[288, 380\]; both sides must be multiples of 32"
    ):
        PyramidConfig((288, 380))
