from __future__ import annotations

import json

import pytest

from lisa_ros.conversion.configuring import (
    clip_values,
    lisa_config,
    official_values,
    require_kind,
    vision_tower_name,
)
from lisa_ros.conversion.errors import ConversionError
from lisa_ros.model.llama_tokenizer import LlamaTokenizer

from .conftest import official_config, write_tokenizer


@pytest.fixture
def described(published, recorded):
    """All that a configuration is made of; a test may change it."""
    weights, config = recorded
    return {
        "values": official_config(config),
        "clip": clip_values(published.clip),
        "shapes": {name: tuple(value.shape) for name, value in weights.items()},
        "tokenizer": LlamaTokenizer.from_folder(published.folder),
        "name": "tiny",
    }


def refused(described, **changes):
    with pytest.raises(ConversionError) as error:
        lisa_config(**described | {"values": described["values"] | changes})
    return str(error.value)


def with_tokens(described, folder, pieces, added, **options):
    write_tokenizer(folder, pieces, added, **options)
    return described | {"tokenizer": LlamaTokenizer.from_folder(folder)}


def test_every_field_that_matters_is_taken_over(described):
    changes = {
        "rms_norm_eps": 1e-5,
        "max_position_embeddings": 4096,
        "num_key_value_heads": 2,
        "hidden_act": "gelu",
        "rope_theta": 5e5,
        "mm_vision_select_layer": -3,
        "pad_token_id": 2,
        "use_cache": False,
    }
    config = lisa_config(**described | {"values": described["values"] | changes})
    language = config.language
    assert (language.rms_norm_eps, language.max_position_embeddings) == (1e-5, 4096)
    assert (language.num_key_value_heads, language.hidden_act, language.rope_theta) == (2, "gelu", 5e5)
    assert (config.vision.select_layer, config.tokens.pad, config.conversation) == (-3, 2, "llava_v1")


@pytest.mark.parametrize("pad", [None, -1])
def test_without_a_padding_token_the_unknown_one_pads(described, pad):
    assert lisa_config(**described | {"values": described["values"] | {"pad_token_id": pad}}).tokens.pad == 0


def test_what_cannot_be_honoured_is_quoted(described):
    assert refused(described, rope_scaling={"type": "linear"}) == (
        "rope_scaling is {'type': 'linear'}; official checkpoints have null."
    )
    assert "rope_parameters are" in refused(described, rope_parameters={"rope_type": "yarn"})
    assert refused(described, mm_vision_select_feature="cls_patch") == (
        "mm_vision_select_feature is 'cls_patch'; only 'patch' is known."
    )
    assert "expects a vision tower with 1024 channels (mm_hidden_size) and this one has 48" in refused(
        described, mm_hidden_size=1024
    )
    assert refused(described, out_dim=512) == "out_dim is 512, but SAM's mask decoder has 256 channels."
    assert "mm_projector_type is 'mlp2x_gelu', but the weights are those of a projector 'linear'" in refused(
        described, mm_projector_type="mlp2x_gelu"
    )
    assert "tokens.bos" in refused(described, bos_token_id=-1)


def test_a_field_of_a_wrong_type_or_none_at_all_is_one_sentence(described):
    assert refused(described, hidden_size="96") == "language.hidden_size is '96'; it must be of type int."
    assert refused(described, mm_vision_select_layer="-2") == "vision.select_layer is '-2'; it must be of type int."
    assert "field of a wrong type" in refused(described, pad_token_id="0")
    del described["values"]["intermediate_size"]
    assert refused(described) == "The official config.json has no field 'intermediate_size'; get it again."


def test_the_tokens_are_looked_up_and_never_assumed(described, published, pieces):
    added = {"<im_start>": 300, "[SEG]": 301, "<im_end>": 303}
    tokens = lisa_config(**with_tokens(described, published.folder, pieces, added)).tokens
    assert (tokens.seg, tokens.image_start, tokens.image_end) == (301, 300, 303)


def test_a_tokenizer_that_does_not_belong_to_the_weights_is_told(described, published, pieces):
    markers = {"<im_start>": 301, "<im_end>": 302}
    assert "The tokenizer has no token [SEG]" in refused(with_tokens(described, published.folder, pieces, markers))
    assert "its tokenizer lacks <im_start> or <im_end>" in refused(
        with_tokens(described, published.folder, pieces, {"[SEG]": 303})
    )
    assert "The tokenizer has ids up to 304, but vocab_size is 304" in refused(
        with_tokens(described, published.folder, pieces, markers | {"[SEG]": 303, "<new>": 304})
    )
    write_tokenizer(published.folder, pieces, markers | {"[SEG]": 303})
    assert "The tokenizer gives <s> the id 1; the configuration says 5" in refused(described, bos_token_id=5)


def test_a_lisa_without_image_markers_is_configured_without(described, published, pieces):
    numbered = {
        name.replace("mm_projector.", "mm_projector.0."): shape for name, shape in described["shapes"].items()
    } | {"model.mm_projector.2.weight": (96, 96), "model.mm_projector.2.bias": (96,)}
    plus_plus = with_tokens(described | {"shapes": numbered}, published.folder, pieces, {"[SEG]": 303}, legacy=False)
    for wanted in (True, False):
        values = described["values"] | {"mm_use_im_start_end": wanted}
        config = lisa_config(**plus_plus | {"values": values})
        assert config.projector == "mlp2x_gelu" and config.tokens.image_start is None
    values = described["values"] | {"mm_use_im_start_end": False}
    assert lisa_config(**described | {"values": values}).tokens.image_end is None


def test_what_is_no_lisa_is_told_what_to_do(published, recorded):
    shapes = {name: tuple(value.shape) for name, value in recorded[0].items()}
    folder, values = published.folder, official_values(published.folder)
    require_kind(values, shapes, folder, starts_from_llava=False)
    with pytest.raises(ConversionError, match="is a LISA with a mask decoder of its own; leave out --segment-anything"):
        require_kind(values, shapes, folder, starts_from_llava=True)
    with pytest.raises(ConversionError, match="holds LoRA weights such as model.a.lora_A.weight; merge them"):
        require_kind(values, shapes | {"model.a.lora_A.weight": (8, 8)}, folder, starts_from_llava=False)
    language_only = {name: shape for name, shape in shapes.items() if "visual_model" not in name}
    with pytest.raises(ConversionError, match=r"no weights of SAM \(model.visual_model.\*\): it is a plain LLaVA or"):
        require_kind(values, language_only, folder, starts_from_llava=False)
    del values["train_mask_decoder"]
    with pytest.raises(ConversionError, match=r"no train_mask_decoder in its config\.json: .* with --segment-anything"):
        require_kind(values, shapes, folder, starts_from_llava=False)


def test_other_models_and_other_versions_are_named(published):
    published.change_config(model_type="lisa_ros")
    with pytest.raises(ConversionError, match="is a model folder of this package already; it can be used as it is"):
        official_values(published.folder)
    for name in ("pytorch_model-visual_model.bin", "pytorch_model-text_hidden_fcs.bin"):
        (published.folder / name).write_bytes(b"")
    with pytest.raises(ConversionError, match="is a LISA of version 0, another architecture .*; take one of"):
        official_values(published.folder)
    (published.clip / "config.json").write_text(json.dumps({"model_type": "gpt2"}))
    with pytest.raises(ConversionError, match="describes a model of type 'gpt2', neither LISA nor LLaVA"):
        official_values(published.clip)
    with pytest.raises(ConversionError, match="of type 'gpt2' instead of a CLIP; give the right vision tower"):
        clip_values(published.clip)


def test_a_vision_tower_of_another_machine_names_the_option(published, tmp_path):
    folder = published.folder
    elsewhere = "/someone/elsewhere/clip-vit-large-patch14, a folder of another machine; .* --vision-tower FOLDER_OR_ID"
    with pytest.raises(ConversionError, match=elsewhere):
        vision_tower_name(official_values(folder), folder)
    here = official_values(folder) | {"vision_tower": str(tmp_path)}
    assert vision_tower_name(here, folder) == str(tmp_path)
    assert vision_tower_name({"mm_vision_tower": "openai/clip-vit-large-patch14"}, folder).startswith("openai/")
    with pytest.raises(ConversionError, match="names no vision tower; name one with --vision-tower"):
        vision_tower_name({}, folder)


@pytest.mark.parametrize("form", ["whole", "vision alone", "old"])
def test_what_a_clip_does_not_say_is_what_clip_assumes(published, form):
    sizes = {"hidden_size": 64, "num_hidden_layers": 5}
    config = {
        "whole": {"model_type": "clip", "vision_config": sizes},
        "vision alone": {"model_type": "clip_vision_model"} | sizes,
        "old": {"model_type": "clip", "vision_config": None, "vision_config_dict": sizes},
    }[form]
    (published.clip / "config.json").write_text(json.dumps(config))
    found = clip_values(published.clip)
    assert (found["hidden_size"], found["num_hidden_layers"]) == (64, 5)
    assert (found["image_size"], found["hidden_act"], found["layer_norm_eps"]) == (224, "quick_gelu", 1e-5)
