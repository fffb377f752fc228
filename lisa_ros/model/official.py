"""The official LISA checkpoint seen from here: its weight names and configuration, translated to ours.

Source: dvlab-research/LISA; the names follow its ``LISAForCausalLM``. Nothing is loaded here, only translated.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from torch import Tensor

from lisa_ros.model.configuration import (
    ClipVisionConfig,
    ConfigurationError,
    LanguageConfig,
    LisaConfig,
    MaskDecoderConfig,
    SamVitConfig,
    TokenConfig,
)
from lisa_ros.model.configuration_checks import build_part

SAM_PREFIX = "model.visual_model."
PREFIXES = (
    (SAM_PREFIX, ""),
    ("model.text_hidden_fcs.0.", "text_hidden_fcs."),
    ("model.mm_projector.", "mm_projector."),
    ("model.vision_tower.vision_tower.vision_model.", "vision_tower."),
    ("model.vision_tower.vision_tower.", "vision_tower."),
    ("model.embed_tokens.", "language_model.model.embed_tokens."),
    ("model.layers.", "language_model.model.layers."),
    ("model.norm.", "language_model.model.norm."),
    ("lm_head.", "language_model.lm_head."),
)
LANGUAGE_FIELDS = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "rms_norm_eps",
    "max_position_embeddings",
    "hidden_act",
)
"""What every official configuration tells about its Llama."""
OPTIONAL_LANGUAGE_FIELDS = ("num_key_value_heads", "tie_word_embeddings")
DERIVED = re.compile(r"rotary_emb\.inv_freq$|embeddings\.position_ids$|visual_model\.pixel_(mean|std)$")
"""Tensors that the network computes itself; the stored rotary frequencies are rounded and were never used."""


class UnknownKeyError(ValueError):
    """A weight name is not one of the official LISA; the message quotes it."""


def translated_weights(official: dict[str, Tensor], config: LisaConfig) -> dict[str, Tensor]:
    """Return the weights under our names, without those that influence nothing; raises ``UnknownKeyError``."""
    return {translated_key(key): value for key, value in official.items() if unread_reason(key, config.vision) is None}


def translated_key(key: str) -> str:
    """Return our name for an official weight name; raises ``UnknownKeyError``."""
    for official, ours in PREFIXES:
        if key.startswith(official):
            return ours + key[len(official) :]
    raise UnknownKeyError(f"{key!r} is not a weight of the official LISA.")


def official_key(key: str) -> str:
    """Return the official name of a weight that bears our name ``key``."""
    for official, ours in PREFIXES:
        if ours and key.startswith(ours):
            return official + key[len(ours) :]
    return f"{SAM_PREFIX}{key}"


def unread_reason(key: str, vision: object) -> str | None:
    """Say why an official weight influences nothing; ``None`` if it does.

    It is derived, or belongs to CLIP behind the layer that ``vision``, the language model's eye, is read at.
    """
    if DERIVED.search(key):
        return "computed by the network itself"
    if "vision_tower" not in key or not isinstance(vision, ClipVisionConfig):
        return None
    layer = re.search(r"encoder\.layers\.(\d+)\.", key)
    last_read = vision.num_hidden_layers + vision.select_layer
    if "post_layernorm" in key or (layer is not None and int(layer[1]) > last_read):
        return "behind the layer of CLIP that LISA reads"
    return None


def reference_config(values: Mapping[str, Any]) -> LisaConfig:
    """Return the configuration of a recording of the reference: its ``llama``, ``clip`` and ``sam`` parts, token ids.

    Raises ``ConfigurationError`` for a field that is missing or has a value that the network does not know.
    """
    try:
        feature = values["mm_vision_select_feature"]
        if feature != "patch":
            raise ConfigurationError(f"mm_vision_select_feature is {feature!r}; only 'patch' is known.")
        llama = values["llama"]
        return LisaConfig(
            name=values["name"],
            language=official_language(llama),
            vision=official_clip(values["clip"], select_layer=values["mm_vision_select_layer"]),
            image_encoder=_reference_sam(values["sam"]),
            mask_decoder=_reference_mask_decoder(values["sam"]),
            tokens=TokenConfig(
                seg=values["seg_token_idx"],
                bos=llama["bos_token_id"],
                eos=llama["eos_token_id"],
                pad=llama["pad_token_id"],
                image_start=values["im_start_idx"],
                image_end=values["im_end_idx"],
            ),
        )
    except KeyError as error:
        raise ConfigurationError(f"The reference's configuration has no field {error}.") from error


def official_language(values: Mapping[str, Any]) -> LanguageConfig:
    """Return the Llama part of an official ``config.json``; ``use_cache`` and ``pretraining_tp`` do not concern us.

    Raises ``ConfigurationError`` for a rotary embedding of another kind and ``KeyError`` for a field that is missing.
    """
    if values.get("rope_scaling") is not None:
        raise ConfigurationError(f"rope_scaling is {values['rope_scaling']!r}; official checkpoints have null.")
    rope = values.get("rope_parameters") or {}
    if rope.get("rope_type", "default") != "default":
        raise ConfigurationError(f"rope_parameters are {rope!r}; official checkpoints have the type 'default'.")
    given = {name: values[name] for name in LANGUAGE_FIELDS}
    given |= {name: values[name] for name in OPTIONAL_LANGUAGE_FIELDS if name in values}
    rope_theta = rope.get("rope_theta") or values.get("rope_theta")
    given |= {} if rope_theta is None else {"rope_theta": rope_theta}
    return build_part(LanguageConfig, "language.", given)


def official_clip(values: Mapping[str, Any], *, select_layer: int) -> ClipVisionConfig:
    """Return the vision part of CLIP's own configuration, read at the layer that the official ``config.json`` names."""
    given = {field.name: values[field.name] for field in fields(ClipVisionConfig) if field.name != "select_layer"}
    return build_part(ClipVisionConfig, "vision.", given | {"select_layer": select_layer})


def _reference_sam(values: Mapping[str, Any]) -> SamVitConfig:
    return SamVitConfig(
        image_size=values["image_size"],
        patch_size=values["patch_size"],
        embed_dim=values["encoder_embed_dim"],
        depth=values["encoder_depth"],
        num_heads=values["encoder_num_heads"],
        global_attn_indexes=tuple(values["encoder_global_attn_indexes"]),
        window_size=values["window_size"],
        mlp_ratio=values["mlp_ratio"],
    )


def _reference_mask_decoder(values: Mapping[str, Any]) -> MaskDecoderConfig:
    return MaskDecoderConfig(
        embed_dim=values["prompt_embed_dim"],
        depth=values["decoder_depth"],
        mlp_dim=values["decoder_mlp_dim"],
        num_heads=values["decoder_num_heads"],
    )
