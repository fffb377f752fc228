"""The embedded LISA before training: sizes from the settings, pretrained parts in their places."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer

from lisa_ros.model.configuration import (
    AcceptanceConfig,
    LanguageConfig,
    LisaConfig,
    MaskDecoderConfig,
    PyramidConfig,
    RequestEncoderConfig,
    TokenConfig,
)
from lisa_ros.model.efficientnet import folded_state_dict
from lisa_ros.model.modeling import LisaModel
from lisa_ros.model.processing import LisaProcessor
from lisa_ros.model.text_processing import SPECIAL_TOKENS, TabletopTextProcessor, train_answer_tokenizer
from lisa_ros.simulation.requests.replies import all_answers
from lisa_ros.training.pretrained import efficientnet_weights, minilm_files, minilm_weights
from lisa_ros.training.tabletop_settings import NetworkSettings

NAME = "lisa-tabletop"
ACCEPTANCE = AcceptanceConfig(smallest_component=0.1, smallest_mask=1.5e-4, least_score=0.2)
"""Chosen on simulated frames: specks ruin boxes, and a mask of a few pixels or with a low score is rarely right."""


def new_processor(network: NetworkSettings, pretrained: Path) -> LisaProcessor:
    """Return the processor with a vocabulary learned from the answers of the request bank."""
    answer_tokenizer = train_answer_tokenizer(all_answers(), network.answer_vocabulary)
    request_tokenizer = Tokenizer.from_file(str(minilm_files(pretrained)[1]))
    config = embedded_config(network, answer_tokenizer.get_vocab_size())
    return LisaProcessor(config, TabletopTextProcessor(answer_tokenizer, request_tokenizer, config))


def embedded_config(network: NetworkSettings, vocab_size: int) -> LisaConfig:
    """Return the configuration of the embedded LISA."""
    dim = network.mask_dim
    return LisaConfig(
        name=NAME,
        language=LanguageConfig(
            vocab_size=vocab_size,
            hidden_size=network.hidden_size,
            intermediate_size=network.intermediate_size,
            num_hidden_layers=network.num_hidden_layers,
            num_attention_heads=network.num_attention_heads,
            max_position_embeddings=1024,
            tie_word_embeddings=True,
        ),
        vision=PyramidConfig(image_size=network.image_size, mask_channels=(dim // 8, dim // 4, dim)),
        image_encoder=None,
        tokens=TokenConfig(
            pad=SPECIAL_TOKENS.index("<pad>"),
            bos=SPECIAL_TOKENS.index("<s>"),
            eos=SPECIAL_TOKENS.index("</s>"),
            seg=SPECIAL_TOKENS.index("[SEG]"),
            rejection=SPECIAL_TOKENS.index("[REJ]"),
        ),
        mask_decoder=MaskDecoderConfig(
            embed_dim=dim,
            mlp_dim=network.mask_decoder_mlp_dim,
            num_multimask_outputs=0,
            iou_head_hidden_dim=dim,
            high_resolution=True,
        ),
        request_encoder=RequestEncoderConfig(),
        acceptance=ACCEPTANCE,
        conversation="tabletop",
        field_of_view="pad",
    )


def new_model(config: LisaConfig, pretrained: Path, seed: int) -> LisaModel:
    """Return the untrained network with ImageNet's trunk and MiniLM in place."""
    torch.manual_seed(seed)
    model = LisaModel(config)
    assert model.pyramid is not None and model.request_encoder is not None
    model.pyramid.trunk.load_state_dict(folded_state_dict(efficientnet_weights(pretrained)))
    weights, _ = minilm_files(pretrained)
    missing, unexpected = model.request_encoder.bert.load_state_dict(minilm_weights(weights), strict=False)
    if missing or unexpected:
        raise ValueError(f"MiniLM's weights do not fit: missing {missing}, unexpected {unexpected}.")
    return model
