"""The eyes: what the language model sees and what the mask decoder sees of one image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from lisa_ros.model.configuration import ClipVisionConfig, PyramidConfig
from lisa_ros.model.efficientnet import FEATURE_CHANNELS, EfficientNetLite0
from lisa_ros.model.sam import layer_norm_2d


@dataclass(frozen=True, slots=True)
class MaskFeatures:
    """What the mask decoder sees of ``B`` images.

    ``image_embeddings`` is ``[B, C, h, w]``; ``high_resolution`` holds the features at strides 4 and 8,
    ``[B, C / 8, 4h, 4w]`` and ``[B, C / 4, 2h, 2w]``, or is ``None``.
    """

    image_embeddings: Tensor
    high_resolution: tuple[Tensor, Tensor] | None = None

    def of_images(self, indices: Tensor) -> MaskFeatures:
        """Return the features of some images of the batch, an image as often as its index ``[n]`` occurs."""
        fine = self.high_resolution
        return MaskFeatures(
            self.image_embeddings[indices], None if fine is None else (fine[0][indices], fine[1][indices])
        )


def build_clip_tower(config: ClipVisionConfig) -> nn.Module:
    """Return CLIP's vision transformer cut after the layer that LISA reads.

    The layers after ``select_layer`` and the last norm do not influence what is read, so they are not built.
    """
    from transformers import CLIPVisionConfig as TransformersClipVisionConfig
    from transformers import CLIPVisionModel

    tower: Any = CLIPVisionModel(
        TransformersClipVisionConfig(
            hidden_size=config.hidden_size,
            intermediate_size=config.intermediate_size,
            num_hidden_layers=config.num_hidden_layers + config.select_layer + 1,
            num_attention_heads=config.num_attention_heads,
            image_size=config.image_size,
            patch_size=config.patch_size,
            hidden_act=config.hidden_act,
            layer_norm_eps=config.layer_norm_eps,
        )
    )
    tower.post_layernorm = nn.Identity()
    cut: nn.Module = tower
    return cut


def clip_patch_features(tower: nn.Module, pixel_values: Tensor) -> Tensor:
    """Return the patch features ``[B, N, C]`` of ``[B, 3, S, S]`` pixels, without the class token."""
    return tower(pixel_values=pixel_values).last_hidden_state[:, 1:]


class FeaturePyramid(nn.Module):
    """EfficientNet-Lite0 and a top-down pyramid: visual tokens at stride 32, mask features at strides 16, 8 and 4.

    ``forward`` maps ``[B, 3, H, W]`` to tokens ``[B, N, token_channels]`` and ``MaskFeatures``.
    """

    def __init__(self, config: PyramidConfig) -> None:
        super().__init__()
        fine, middle, coarse = config.mask_channels
        stride_4, stride_8, stride_16, stride_32 = FEATURE_CHANNELS
        self.trunk = EfficientNetLite0()
        self.lateral_32 = nn.Conv2d(stride_32, coarse, 1)
        self.lateral_16 = nn.Conv2d(stride_16, coarse, 1)
        self.lateral_8 = nn.Conv2d(stride_8, middle, 1)
        self.lateral_4 = nn.Conv2d(stride_4, fine, 1)
        self.narrow_16 = nn.Conv2d(coarse, middle, 1)
        self.narrow_8 = nn.Conv2d(middle, fine, 1)
        self.context_32 = _smoothing(coarse)
        self.smooth_16 = _smoothing(coarse)
        self.smooth_8 = _smoothing(middle)
        self.smooth_4 = _smoothing(fine)
        # As SAM's encoder does: features of another scale than the prompts would drown them in the decoder's attention.
        self.norm_16 = layer_norm_2d(coarse)
        self.norm_8 = layer_norm_2d(middle)
        self.norm_4 = layer_norm_2d(fine)
        self.token_projection = nn.Linear(2 * coarse, config.token_channels)
        self.token_position = nn.Linear(4 * POSITION_FREQUENCIES, config.token_channels)

    def forward(self, pixel_values: Tensor) -> tuple[Tensor, MaskFeatures]:
        """Return the visual tokens and the mask features."""
        stride_4, stride_8, stride_16, stride_32 = self.trunk(pixel_values)
        level_32 = self.context_32(self.lateral_32(stride_32))
        level_16 = self.smooth_16(self.lateral_16(stride_16) + _double(level_32))
        level_8 = self.smooth_8(self.lateral_8(stride_8) + _double(self.narrow_16(level_16)))
        level_4 = self.smooth_4(self.lateral_4(stride_4) + _double(self.narrow_8(level_8)))
        features = MaskFeatures(self.norm_16(level_16), (self.norm_4(level_4), self.norm_8(level_8)))
        return self._tokens(level_32, level_16), features

    def _tokens(self, level_32: Tensor, level_16: Tensor) -> Tensor:
        features = torch.cat([level_32, functional.max_pool2d(level_16, 2)], dim=1)
        positions = grid_positions(features.shape[2], features.shape[3], features.device).to(features.dtype)
        tokens = self.token_projection(features.flatten(2).transpose(1, 2))
        return tokens + self.token_position(positions)


POSITION_FREQUENCIES = 8


def grid_positions(height: int, width: int, device: torch.device) -> Tensor:
    """Return sines and cosines of the cell centres of a grid, fp32 ``[h * w, 4 * POSITION_FREQUENCIES]``."""
    y = (torch.arange(height, device=device) + 0.5) / height
    x = (torch.arange(width, device=device) + 0.5) / width
    centres = torch.stack(torch.meshgrid(y, x, indexing="ij"), dim=-1).reshape(-1, 2)
    frequencies = torch.pi * torch.arange(1, POSITION_FREQUENCIES + 1, device=device)
    angles = (centres[:, :, None] * frequencies).flatten(1)
    return torch.cat([angles.sin(), angles.cos()], dim=1)


def _smoothing(channels: int) -> nn.Module:
    """Return a residual depthwise-separable 5x5 convolution, cheap at high resolution."""
    return _Residual(
        nn.Sequential(
            nn.Conv2d(channels, channels, 5, padding=2, groups=channels),
            nn.Conv2d(channels, 2 * channels, 1),
            nn.ReLU(),
            nn.Conv2d(2 * channels, channels, 1),
        )
    )


class _Residual(nn.Module):
    def __init__(self, layers: nn.Module) -> None:
        super().__init__()
        self.layers = layers

    def forward(self, features: Tensor) -> Tensor:
        return features + self.layers(features)


def _double(features: Tensor) -> Tensor:
    return functional.interpolate(features, scale_factor=2.0, mode="nearest")
