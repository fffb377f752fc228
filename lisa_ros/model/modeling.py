"""LISA: a multimodal Llama whose ``[SEG]`` token becomes a mask (Lai et al., CVPR 2024, "embedding as mask")."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from lisa_ros.model.configuration import LisaConfig, PyramidConfig
from lisa_ros.model.request_encoder import RequestEncoder
from lisa_ros.model.sam import (
    build_image_encoder,
    build_mask_decoder,
    build_prompt_encoder,
    decode_prompts,
)
from lisa_ros.model.vision import FeaturePyramid, MaskFeatures, build_clip_tower, clip_patch_features

IMAGE_TOKEN = -200
"""Placeholder id where the visual tokens go (LLaVA's IMAGE_TOKEN_INDEX)."""
REQUEST_TOKEN = -201
"""Placeholder id where the request encoder's states go; the embedded checkpoint only."""
TIED_HEAD = "language_model.lm_head.weight"
"""Not stored where the head shares the weights of the embeddings."""
MASK_PARTS = ("image_encoder", "pyramid", "prompt_encoder", "mask_decoder")
"""The parts that masks come from; see ``LisaModel.mask_dtype``."""


@dataclass(slots=True)
class ImageInputs:
    """One batch of prepared images.

    ``pixel_values`` is what the language model sees, ``mask_pixel_values`` what the mask decoder sees (the same tensor
    for a pyramid). ``resized_sizes`` and ``original_sizes`` hold ``(height, width)`` of every image after the resize
    for the mask decoder (without padding) and before it. The pyramid's features are kept here once computed.
    """

    pixel_values: Tensor
    mask_pixel_values: Tensor
    resized_sizes: list[tuple[int, int]]
    original_sizes: list[tuple[int, int]]
    pyramid_features: tuple[Tensor, MaskFeatures] | None = None

    def to(self, device: torch.device, dtype: torch.dtype, mask_dtype: torch.dtype | None = None) -> ImageInputs:
        """Return the inputs on another device and in another dtype, that of the mask decoder in one of its own."""
        shared = self.mask_pixel_values is self.pixel_values
        mask_pixel_values = self.mask_pixel_values.to(device, mask_dtype or dtype)
        pixel_values = mask_pixel_values if shared else self.pixel_values.to(device, dtype)
        return ImageInputs(pixel_values, mask_pixel_values, self.resized_sizes, self.original_sizes)


@dataclass(slots=True)
class RequestInputs:
    """Token ids ``[1, T]`` of one request for the request encoder, and their mask."""

    input_ids: Tensor
    attention_mask: Tensor


class LisaModel(nn.Module):
    """The network. It computes; preparing inputs is the processor's work and generating words the engine's."""

    def __init__(self, config: LisaConfig) -> None:
        super().__init__()
        self.config = config
        self.quantization: str | None = None
        hidden_size = config.language.hidden_size
        self.language_model: Any = _build_language_model(config)
        if isinstance(config.vision, PyramidConfig):
            self.pyramid: FeaturePyramid | None = FeaturePyramid(config.vision)
            vision_channels = config.vision.token_channels
        else:
            self.pyramid = None
            self.vision_tower = build_clip_tower(config.vision)
            vision_channels = config.vision.hidden_size
        self.mm_projector = _build_projector(config.projector, vision_channels, hidden_size)
        if config.image_encoder is not None:
            self.image_encoder = build_image_encoder(config.image_encoder)
        self.text_hidden_fcs = nn.Sequential(
            nn.Linear(hidden_size, hidden_size), nn.ReLU(), nn.Linear(hidden_size, config.mask_decoder.embed_dim)
        )
        self.prompt_encoder: Any = build_prompt_encoder(config.mask_decoder, config.mask_vision)
        self.mask_decoder: Any = build_mask_decoder(config.mask_decoder)
        self.request_encoder: RequestEncoder | None = (
            None if config.request_encoder is None else RequestEncoder(config.request_encoder, hidden_size)
        )

    @classmethod
    def from_pretrained(
        cls,
        source: str | Path,
        *,
        dtype: torch.dtype | None = None,
        device: str | torch.device = "cpu",
        quantization: str | None = None,
        revision: str | None = None,
    ) -> LisaModel:
        """Load a checkpoint of this package, a folder or a hub id; strict, safetensors only, no second copy in memory.

        ``dtype`` of ``None`` means float32; see ``mask_dtype`` for float16. ``quantization`` "8bit" or "4bit" stores
        the linear layers of Llama's blocks so (bitsandbytes) and computes them in ``dtype``. ``revision`` is a branch,
        tag or commit of the hub. Raises ``CheckpointError`` with one sentence for what is missing, incomplete, damaged,
        not of this kind, or not possible here.
        """
        from lisa_ros.model.checkpoints import load_model

        return load_model(
            source,
            dtype=dtype or torch.float32,
            device=torch.device(device),
            quantization=quantization,
            revision=revision,
        )

    def save_pretrained(
        self, folder: str | Path, *, dtype: torch.dtype = torch.float16, max_shard_size: int | str = "5GB"
    ) -> None:
        """Write configuration and weights into ``folder`` (floating-point weights in ``dtype``).

        More than ``max_shard_size`` (bytes, or words such as "5GB") becomes several files with an index. Raises
        ``CheckpointError``, also for a quantised network.
        """
        from lisa_ros.model.saving import save_model

        save_model(self, Path(folder), dtype=dtype, max_shard_size=max_shard_size)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.text_hidden_fcs.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """The floating-point type of the language model and of what goes into it and comes out of it."""
        return next(self.text_hidden_fcs.parameters()).dtype

    @property
    def mask_dtype(self) -> torch.dtype:
        """The floating-point type of the parts that masks come from: ``dtype``, but never float16, where SAM overflows.

        ``encode_image_for_masks`` and ``decode_masks`` take tensors of ``dtype`` too and return ``mask_dtype``.
        """
        return self.prompt_encoder.no_mask_embed.weight.dtype

    def encode_image_for_language(self, images: ImageInputs) -> Tensor:
        """Return the visual tokens ``[B, N, hidden_size]`` of the language model."""
        if self.pyramid is not None:
            return self.mm_projector(self._pyramid_features(images)[0].to(self.dtype))
        return self.mm_projector(clip_patch_features(self.vision_tower, images.pixel_values.to(self.dtype)))

    def encode_image_for_masks(self, images: ImageInputs) -> MaskFeatures:
        """Return the features of the mask decoder."""
        if self.config.image_encoder is not None:
            return MaskFeatures(self.image_encoder(images.mask_pixel_values.to(self.mask_dtype)))
        return self._pyramid_features(images)[1]

    def _pyramid_features(self, images: ImageInputs) -> tuple[Tensor, MaskFeatures]:
        assert self.pyramid is not None
        if images.pyramid_features is None:
            tokens, features = self.pyramid(images.pixel_values.to(self.mask_dtype))
            if self.config.mask_decoder.high_resolution is False:
                features = MaskFeatures(features.image_embeddings)
            images.pyramid_features = (tokens, features)
        return images.pyramid_features

    def embed(
        self, input_ids: Tensor, image_tokens: Tensor | None = None, request_states: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Embed one sequence of ids ``[L]``, placeholders replaced by their states.

        ``image_tokens`` is ``[N, D]`` and ``request_states`` ``[T, D]``. Returns the embeddings ``[1, L', D]`` and the
        ids spread over their positions ``[L']``, placeholder ids repeated. Raises ``ValueError`` when a placeholder
        has no states or states have no placeholder.
        """
        states = {IMAGE_TOKEN: image_tokens, REQUEST_TOKEN: request_states}
        embeddings, spread_ids = [], []
        for chunk in _chunks_at_placeholders(input_ids):
            placeholder = int(chunk[0])
            if placeholder >= 0:
                embeddings.append(self.language_model.get_input_embeddings()(chunk))
                spread_ids.append(chunk)
                continue
            inserted = states.pop(placeholder, None)
            if inserted is None:
                raise ValueError(f"The sequence has the placeholder {placeholder}, but no states to put there.")
            embeddings.append(inserted.to(self.dtype))
            spread_ids.append(chunk.expand(len(inserted)))
        if any(value is not None for value in states.values()):
            raise ValueError("The sequence has no placeholder for the image or the request that was given.")
        return torch.cat(embeddings)[None], torch.cat(spread_ids)

    def project_seg(self, hidden_states: Tensor) -> Tensor:
        """Project final-normed hidden states that PREDICT ``[SEG]``, ``[n, D]``, to mask embeddings ``[n, C]``."""
        return self.text_hidden_fcs(hidden_states)

    def decode_masks(self, features: MaskFeatures, seg_embeddings: Tensor) -> tuple[Tensor, Tensor]:
        """Decode ``n`` mask embeddings ``[n, C]`` on one image, or each on its own where the features have ``n``.

        Returns ``low_res_masks`` ``[n, 1, 4h, 4w]`` and ``iou_predictions`` ``[n, 1]``; empty for ``n == 0``.
        """
        height, width = features.image_embeddings.shape[2:]
        if seg_embeddings.shape[0] == 0:
            empty = features.image_embeddings.new_zeros
            return empty(0, 1, 4 * height, 4 * width), empty(0, 1)
        return decode_prompts(
            self.mask_decoder,
            self.prompt_encoder,
            features.image_embeddings,
            seg_embeddings[:, None],
            features.high_resolution,
        )

    def postprocess_masks(
        self, low_res_masks: Tensor, resized_size: tuple[int, int], original_size: tuple[int, int]
    ) -> Tensor:
        """Bring ``low_res_masks`` ``[n, 1, h, w]`` to the original image: fp32 logits ``[n, H, W]``, mask where > 0.

        Two bilinear steps, as SAM does: to the padded input size, cropped to ``resized_size``, then to the original.
        """
        if low_res_masks.shape[0] == 0:
            return low_res_masks.new_zeros((0, *original_size), dtype=torch.float32)
        masks = functional.interpolate(
            low_res_masks.float(), self.config.mask_vision.input_size, mode="bilinear", align_corners=False
        )
        masks = masks[..., : resized_size[0], : resized_size[1]]
        return functional.interpolate(masks, original_size, mode="bilinear", align_corners=False)[:, 0]


def _chunks_at_placeholders(input_ids: Tensor) -> list[Tensor]:
    """Split ids so that every placeholder (a negative id) stands alone."""
    boundaries = [0]
    for index in torch.nonzero(input_ids < 0).flatten().tolist():
        boundaries += [index, index + 1]
    boundaries.append(len(input_ids))
    return [input_ids[start:end] for start, end in zip(boundaries, boundaries[1:], strict=False) if end > start]


def _build_language_model(config: LisaConfig) -> nn.Module:
    from transformers import LlamaConfig, LlamaForCausalLM

    language, tokens = config.language, config.tokens
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=language.vocab_size,
            hidden_size=language.hidden_size,
            intermediate_size=language.intermediate_size,
            num_hidden_layers=language.num_hidden_layers,
            num_attention_heads=language.num_attention_heads,
            num_key_value_heads=language.num_key_value_heads,
            rms_norm_eps=language.rms_norm_eps,
            max_position_embeddings=language.max_position_embeddings,
            hidden_act=language.hidden_act,
            rope_parameters={"rope_type": "default", "rope_theta": language.rope_theta},
            tie_word_embeddings=language.tie_word_embeddings,
            pad_token_id=tokens.pad,
            bos_token_id=tokens.bos,
            eos_token_id=tokens.eos,
        )
    )


def _build_projector(kind: str, channels_in: int, channels_out: int) -> nn.Module:
    if kind == "linear":
        return nn.Linear(channels_in, channels_out)
    return nn.Sequential(nn.Linear(channels_in, channels_out), nn.GELU(), nn.Linear(channels_out, channels_out))
