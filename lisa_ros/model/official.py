"""The official LISA checkpoint seen from here: its weight names and configuration, translated to ours.

Source: dvlab-research/LISA; the names follow its ``LISAForCausalLM``. Nothing is loaded here, only translated.
"""

from __future__ import annotations

import re

from torch import Tensor

from lisa_ros.model.configuration import ClipVisionConfig, LisaConfig

PREFIXES = (
    ("model.visual_model.", ""),
    ("model.text_hidden_fcs.0.", "text_hidden_fcs."),
    ("model.mm_projector.", "mm_projector."),
    ("model.vision_tower.vision_tower.vision_model.", "vision_tower."),
    ("model.embed_tokens.", "language_model.model.embed_tokens."),
    ("model.layers.", "language_model.model.layers."),
    ("model.norm.", "language_model.model.norm."),
    ("lm_head.", "language_model.lm_head."),
)
DERIVED = re.compile(r"rotary_emb\.inv_freq$|embeddings\.position_ids$")
"""Tensors that the network computes itself; the stored rotary frequencies are rounded and were never used."""


class UnknownKeyError(ValueError):
    """A weight name is not one of the official LISA; the message quotes it."""


def translated_weights(official: dict[str, Tensor], config: LisaConfig) -> dict[str, Tensor]:
    """Return the weights under our names, without those that influence nothing.

    Left out: derived tensors, CLIP's last norm and the CLIP layers after the one LISA reads. Raises
    ``UnknownKeyError``.
    """
    kept = {}
    for key, value in official.items():
        if DERIVED.search(key) or _is_unread_clip(key, config.vision):
            continue
        kept[translated_key(key)] = value
    return kept


def translated_key(key: str) -> str:
    """Return our name for an official weight name; raises ``UnknownKeyError``."""
    for official, ours in PREFIXES:
        if key.startswith(official):
            return ours + key[len(official) :]
    raise UnknownKeyError(f"{key!r} is not a weight of the official LISA.")


def _is_unread_clip(key: str, vision: object) -> bool:
    if "vision_tower" not in key or not isinstance(vision, ClipVisionConfig):
        return False
    layer = re.search(r"encoder\.layers\.(\d+)\.", key)
    last_read = vision.num_hidden_layers + vision.select_layer
    return "post_layernorm" in key or (layer is not None and int(layer[1]) > last_read)
