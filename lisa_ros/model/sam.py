"""The parts of SAM that LISA uses, from the ``segment_anything`` package.

The package's own ``__init__`` imports torchvision, which nothing here needs; so only ``segment_anything.modeling`` is
imported, below a package module that has a path and no code.
"""

from __future__ import annotations

import sys
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from lisa_ros.model.configuration import MaskDecoderConfig, PyramidConfig, SamVitConfig


def sam_modeling() -> Any:
    """Return the module ``segment_anything.modeling`` without importing torchvision."""
    if "segment_anything" not in sys.modules:
        spec = find_spec("segment_anything")
        if spec is None or spec.submodule_search_locations is None:
            raise ImportError("segment_anything is not installed; install it with: pip install segment-anything")
        package = ModuleType("segment_anything")
        package.__path__ = list(spec.submodule_search_locations)
        package.__spec__ = spec
        sys.modules["segment_anything"] = package
    return import_module("segment_anything.modeling")


def is_kept_exact(key: str) -> bool:
    """Say whether a weight stays in fp32 whatever the rest is in: 16 bits would move the positions visibly."""
    return key.endswith("positional_encoding_gaussian_matrix")


def overflow_safe(dtype: torch.dtype, device: torch.device) -> torch.dtype:
    """Return the type for SAM's parts when the rest of the network is in ``dtype``.

    SAM's features leave the range of fp16, and infinities end as blank masks (the reference computes its neck in fp32
    for that). Beside an fp16 network they are in bf16, with the same memory and the range of fp32, where the device
    computes in it, else in fp32.
    """
    if dtype is not torch.float16:
        return dtype
    if device.type != "cuda":
        return torch.float32
    with torch.cuda.device(device):
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32


def build_image_encoder(config: SamVitConfig) -> nn.Module:
    """Return SAM's ViT: ``[B, 3, S, S]`` normalised pixels -> ``[B, 256, S / 16, S / 16]``."""
    encoder: nn.Module = sam_modeling().ImageEncoderViT(
        depth=config.depth,
        embed_dim=config.embed_dim,
        img_size=config.image_size,
        mlp_ratio=config.mlp_ratio,
        norm_layer=partial(nn.LayerNorm, eps=1e-6),
        num_heads=config.num_heads,
        patch_size=config.patch_size,
        qkv_bias=True,
        use_rel_pos=True,
        global_attn_indexes=config.global_attn_indexes,
        window_size=config.window_size,
        out_chans=256,
    )
    return encoder


def layer_norm_2d(channels: int) -> nn.Module:
    """Return SAM's layer norm over the channels of ``[B, C, H, W]``."""
    norm: nn.Module = sam_modeling().common.LayerNorm2d(channels)
    return norm


def build_prompt_encoder(config: MaskDecoderConfig, vision: SamVitConfig | PyramidConfig) -> nn.Module:
    """Return SAM's prompt encoder for the embedding and input sizes of ``vision``."""
    encoder: nn.Module = sam_modeling().PromptEncoder(
        embed_dim=config.embed_dim,
        image_embedding_size=vision.embedding_size,
        input_image_size=vision.input_size,
        mask_in_chans=16,
    )
    return encoder


def build_mask_decoder(config: MaskDecoderConfig) -> nn.Module:
    """Return the mask decoder with the submodules, and so the weight names, of SAM's own."""
    modeling = sam_modeling()
    transformer = modeling.TwoWayTransformer(
        depth=config.depth, embedding_dim=config.embed_dim, mlp_dim=config.mlp_dim, num_heads=config.num_heads
    )
    decoder: nn.Module = modeling.MaskDecoder(
        num_multimask_outputs=config.num_multimask_outputs,
        transformer=transformer,
        transformer_dim=config.embed_dim,
        iou_head_depth=3,
        iou_head_hidden_dim=config.iou_head_hidden_dim,
    )
    return decoder


def dense_positional_encoding(prompt_encoder: Any) -> Tensor:
    """Return SAM's dense positional encoding, fp32 ``[1, C, h, w]``, whatever the dtype of the weights.

    SAM's own ``get_dense_pe`` raises for 16-bit weights: its grid is fp32.
    """
    layer = prompt_encoder.pe_layer
    height, width = prompt_encoder.image_embedding_size
    matrix = layer.positional_encoding_gaussian_matrix.float()
    y = (torch.arange(height, device=matrix.device, dtype=torch.float32) + 0.5) / height
    x = (torch.arange(width, device=matrix.device, dtype=torch.float32) + 0.5) / width
    grid = torch.stack([x.expand(height, width), y[:, None].expand(height, width)], dim=-1)
    angles = 2 * torch.pi * ((2 * grid - 1) @ matrix)
    return torch.cat([angles.sin(), angles.cos()], dim=-1).permute(2, 0, 1)[None]


def decode_prompts(
    decoder: Any,
    prompt_encoder: Any,
    image_embeddings: Tensor,
    prompts: Tensor,
    high_resolution_features: tuple[Tensor, Tensor] | None,
) -> tuple[Tensor, Tensor]:
    """Decode mask token 0 for ``n`` prompts, all on one image or each on an image of its own.

    ``image_embeddings`` is ``[1 or n, C, h, w]``, ``prompts`` ``[n, 1, C]``. Returns ``low_res_masks``
    ``[n, 1, 4h, 4w]`` and ``iou_predictions`` ``[n, 1]``. Follows SAM's ``MaskDecoder`` with
    ``multimask_output=False``; the features at strides 8 and 4 are added before each upscaling's non-linearity.
    """
    count = prompts.shape[0]
    output_tokens = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight])
    tokens = torch.cat([output_tokens[None].expand(count, -1, -1), prompts.to(output_tokens.dtype)], dim=1)
    no_mask_embedding = prompt_encoder.no_mask_embed.weight.reshape(1, -1, 1, 1)
    source = (image_embeddings + no_mask_embedding).expand(count, -1, -1, -1)
    positions = dense_positional_encoding(prompt_encoder).to(source.dtype).expand(count, -1, -1, -1)
    states, source = decoder.transformer(source, positions, tokens)

    batch_shape = (count, image_embeddings.shape[1], *image_embeddings.shape[2:])
    upscaled = upscale(decoder.output_upscaling, source.transpose(1, 2).reshape(batch_shape), high_resolution_features)
    hypernetwork = decoder.output_hypernetworks_mlps[0](states[:, 1])
    low_res_masks = torch.einsum("nc,nchw->nhw", hypernetwork, upscaled)[:, None]
    return low_res_masks, decoder.iou_prediction_head(states[:, 0])[:, :1]


def upscale(layers: Any, embedding: Tensor, high_resolution_features: tuple[Tensor, Tensor] | None) -> Tensor:
    """Upscale ``[n, C, h, w]`` four times to ``[n, C / 8, 4h, 4w]``, with the finer features where there are any."""
    first, norm, activation, second, last_activation = layers
    upscaled = first(embedding)
    if high_resolution_features is not None:
        upscaled = upscaled + high_resolution_features[1]
    upscaled = second(activation(norm(upscaled)))
    if high_resolution_features is not None:
        upscaled = upscaled + high_resolution_features[0]
    return last_activation(upscaled)
