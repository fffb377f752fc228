from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
import torch

from lisa_ros.conversion.configuring import lisa_config
from lisa_ros.conversion.errors import ConversionError
from lisa_ros.conversion.plan import VISION_TOWER, OfficialTensors, planned_tensors, size_in_bytes, target_files
from lisa_ros.conversion.reader import StoredTensor
from lisa_ros.model.checkpoint_folder import read_config
from lisa_ros.model.configuration import ClipVisionConfig, MaskDecoderConfig, SamVitConfig
from lisa_ros.model.llama_tokenizer import LlamaTokenizer
from lisa_ros.model.modeling import LisaModel

from .conftest import DATA, VISION, official_config

SIZES_7B = {
    "vocab_size": 32004,
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 32,
    "rms_norm_eps": 1e-6,
    "max_position_embeddings": 2048,
}
SIZES_13B = {
    "vocab_size": 32003,
    "hidden_size": 5120,
    "intermediate_size": 13824,
    "num_hidden_layers": 40,
    "num_attention_heads": 40,
    "num_key_value_heads": 40,
    "rms_norm_eps": 1e-5,
    "max_position_embeddings": 4096,
}
TOKENS_7B = {"<im_patch>": 32000, "<im_start>": 32001, "<im_end>": 32002, "[SEG]": 32003}
TOKENS_13B = {"[SEG]": 32000, "<im_start>": 32001, "<im_end>": 32002}


def official_key_lists(name):
    """The published shapes of a checkpoint and of its CLIP by their official names."""
    keys = json.loads(gzip.decompress((DATA / f"official_keys_{name}.json.gz").read_bytes()))
    return tuple({key: tuple(shape) for key, shape in keys[part].items()} for part in ("keys", "clip_keys"))


def stored(shapes, dtype="bfloat16"):
    """Tensors as if they lay in a file."""
    return {name: StoredTensor(name, Path("weights.bin"), dtype, tuple(shape)) for name, shape in shapes.items()}


@pytest.mark.parametrize(
    ("name", "sizes", "tokens", "parameters"),
    [
        ("7b", SIZES_7B, TOKENS_7B, 7_401_567_536),
        ("13b_llama2", SIZES_13B, TOKENS_13B, 13_689_764_144),
    ],
)
def test_the_network_of_a_published_configuration_has_exactly_the_published_weights(
    name, sizes, tokens, parameters, recorded
):
    shapes, clip_shapes = official_key_lists(name)
    values = official_config(recorded[1], mm_hidden_size=1024, **sizes)
    small = LlamaTokenizer.from_folder(DATA / "tokenizers" / "7b_legacy")
    tokenizer = LlamaTokenizer(small.pieces, tokens, legacy=True)
    clip = json.loads((DATA / "golden_tiny_b" / "config.json").read_text())["clip"]
    clip |= {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "num_attention_heads": 16}
    config = lisa_config(values, clip, shapes, tokenizer, name)
    assert (config.vision, config.image_encoder, config.mask_decoder) == (
        ClipVisionConfig(),
        SamVitConfig(),
        MaskDecoderConfig(),
    )

    official = OfficialTensors(stored(shapes))
    official.add_vision_tower(
        stored({key.removeprefix(VISION): shape for key, shape in clip_shapes.items()}, "float32")
    )
    planned = {tensor.name: tensor for tensor in planned_tensors(official, config)}
    with torch.device("meta"):
        expected = LisaModel(config).state_dict()
    assert {key: tensor.outline.shape for key, tensor in planned.items()} == {
        key: value.shape for key, value in expected.items()
    }
    left_out = {reason: len(names) for reason, names in official.left_out.items()}
    layers = sizes["num_hidden_layers"]
    assert left_out["computed by the network itself"] == layers
    assert left_out["behind the layer of CLIP that LISA reads"] == 18
    assert len(planned) == len(shapes) + len(clip_shapes) - layers - 18
    # SAM's positional matrix is a buffer, not a parameter.
    own = [tensor for key, tensor in planned.items() if not key.startswith("vision_tower.")]
    assert sum(tensor.outline.numel() for tensor in own) - 256 == parameters


@pytest.fixture
def config(converted_once):
    return read_config(converted_once[0], str(converted_once[0]))


@pytest.fixture
def official(recorded):
    return OfficialTensors(stored({name: value.shape for name, value in recorded[0].items()}))


def test_everything_that_does_not_fit_is_listed(official, config):
    tensors = official.tensors
    del tensors["model.norm.weight"]
    tensors |= stored({"model.norm.wrong": (96,), "an.adapter": (304, 96)})
    tensors |= stored({"model.mm_projector.bias": (97,), "lm_head.weight": (303, 96)})
    tensors |= stored({"model.text_hidden_fcs.0.0.bias": (96,)}, "int8")
    del tensors["model.visual_model.mask_decoder.iou_token.weight"]
    with pytest.raises(ConversionError) as error:
        planned_tensors(official, config)
    assert sorted(error.value.details) == [
        "missing: model.norm.weight [96]",
        "missing: model.visual_model.mask_decoder.iou_token.weight [1, 256]",
        "of another shape: lm_head.weight [303, 96] for [304, 96]",
        "of another shape: model.mm_projector.bias [97] for [96]",
        "of another type: model.text_hidden_fcs.0.0.bias int8",
        "unexpected: an.adapter [304, 96]",
        "unexpected: model.norm.wrong [96]",
    ]
    assert "(2 unexpected, 2 missing, 2 of another shape, 1 of another type)" in str(error.value)


def test_one_weight_under_two_names_is_refused(official, config):
    name = f"{VISION}vision_model.pre_layrnorm.weight"
    official.tensors[name.replace("vision_model.", "")] = official.tensors[name]
    with pytest.raises(ConversionError, match=r"1 unexpected.*beside"):
        planned_tensors(official, config)


def test_only_the_vision_side_of_a_clip_is_taken(recorded):
    official = OfficialTensors({})
    names = ["vision_model.pre_layrnorm.weight", "post_layernorm.bias", "text_model.encoder.a", "logit_scale", "odd"]
    official.add_vision_tower(stored(dict.fromkeys(names, (1,))))
    assert official.has_vision_tower
    wanted = ["pre_layrnorm.weight", "post_layernorm.bias", "odd"]
    assert list(official.tensors) == [VISION_TOWER + name for name in wanted]
    assert list(official.left_out.values()) == [["text_model.encoder.a", "logit_scale"]]


def test_every_tensor_is_in_one_file_of_the_size_asked_for(official, config):
    planned = planned_tensors(official, config)
    files = target_files(planned, 300_000)
    divided = [tensor.name for tensors in files.values() for tensor in tensors]
    assert sorted(divided) == sorted(tensor.name for tensor in planned)
    assert max(size_in_bytes(tensors) for tensors in files.values() if len(tensors) > 1) <= 300_000
    assert list(target_files(planned, "1GB")) == ["model.safetensors"]
    with pytest.raises(ConversionError, match="shard size is 'large'; give a size such as 500MB or 1GB"):
        target_files(planned, "large")


def test_a_vocabulary_that_grows_changes_two_matrices(official, config):
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        official.tensors |= stored({name: (300, 96)})
    planned = {tensor.name: tensor for tensor in planned_tensors(official, config, rows=304)}
    grown = {name: tensor for name, tensor in planned.items() if tensor.rows is not None}
    assert set(grown) == {"language_model.model.embed_tokens.weight", "language_model.lm_head.weight"}
    assert all(tensor.outline.shape == (304, 96) for tensor in grown.values())
