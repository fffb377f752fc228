"""EfficientNet-Lite0 as a feature extractor, with its batch norms already folded into the convolutions.

Architecture: Tan & Le 2019 (EfficientNet) in the "Lite" form of the TensorFlow authors: ReLU6, no squeeze-and-excite,
TensorFlow's SAME padding.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

BATCH_NORM_EPSILON = 1e-3

# (kernel size, stride, expansion, channels, repeats) of every stage after the stem of 32 channels.
STAGES = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
# The block after which a stride ends, and the channels there: strides 4, 8, 16 and 32.
TAPS = {2: 24, 4: 40, 10: 112, 15: 320}
FEATURE_CHANNELS = tuple(TAPS.values())


class SameConv2d(nn.Conv2d):
    """A convolution with TensorFlow's SAME padding for inputs whose sides the stride divides."""

    def __init__(self, channels_in: int, channels_out: int, kernel_size: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(channels_in, channels_out, kernel_size, stride, groups=groups)
        total = kernel_size - stride
        self.padding_before, self.padding_after = total // 2, total - total // 2
        if self.padding_before == self.padding_after:
            self.padding = (self.padding_before, self.padding_before)

    def forward(self, features: Tensor) -> Tensor:
        """Convolve ``[B, C, H, W]``."""
        if self.padding_before != self.padding_after:
            before, after = self.padding_before, self.padding_after
            features = functional.pad(features, (before, after, before, after))
        return super().forward(features)


class InvertedResidual(nn.Module):
    """Expand, filter each channel, project; with a shortcut where the shape stays."""

    def __init__(self, channels_in: int, channels_out: int, kernel_size: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = channels_in * expansion
        self.expand = SameConv2d(channels_in, hidden, 1) if expansion > 1 else None
        self.depthwise = SameConv2d(hidden, hidden, kernel_size, stride, groups=hidden)
        self.project = SameConv2d(hidden, channels_out, 1)
        self.shortcut = stride == 1 and channels_in == channels_out

    def forward(self, features: Tensor) -> Tensor:
        """Map ``[B, C, H, W]`` to the block's channels and stride."""
        hidden = features if self.expand is None else functional.relu6(self.expand(features))
        hidden = self.project(functional.relu6(self.depthwise(hidden)))
        return features + hidden if self.shortcut else hidden


class EfficientNetLite0(nn.Module):
    """Maps ``[B, 3, H, W]`` (``(rgb - 127) / 128``; H, W multiples of 32) to features at strides 4, 8, 16 and 32."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = SameConv2d(3, 32, 3, stride=2)
        blocks, channels = [], 32
        for kernel_size, stride, expansion, channels_out, repeats in STAGES:
            for repeat in range(repeats):
                blocks.append(
                    InvertedResidual(channels, channels_out, kernel_size, stride if repeat == 0 else 1, expansion)
                )
                channels = channels_out
        self.blocks = nn.ModuleList(blocks)

    def forward(self, pixel_values: Tensor) -> list[Tensor]:
        """Return the features at strides 4, 8, 16 and 32."""
        features, taps = functional.relu6(self.stem(pixel_values)), []
        for index, block in enumerate(self.blocks):
            features = block(features)
            if index in TAPS:
                taps.append(features)
        return taps


def folded_state_dict(published: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the state dict of ``EfficientNetLite0`` from the published one (``_blocks.N._expand_conv`` ...).

    Every batch norm is folded into the convolution before it; the classifier head is left out.
    """
    folded = _fold(published, "_conv_stem", "_bn0", "stem")
    for index in range(sum(stage[-1] for stage in STAGES)):
        source, target = f"_blocks.{index}.", f"blocks.{index}."
        if f"{source}_expand_conv.weight" in published:
            folded |= _fold(published, f"{source}_expand_conv", f"{source}_bn0", f"{target}expand")
        folded |= _fold(published, f"{source}_depthwise_conv", f"{source}_bn1", f"{target}depthwise")
        folded |= _fold(published, f"{source}_project_conv", f"{source}_bn2", f"{target}project")
    return folded


def _fold(published: dict[str, Tensor], convolution: str, norm: str, target: str) -> dict[str, Tensor]:
    scale = published[f"{norm}.weight"] / torch.sqrt(published[f"{norm}.running_var"] + BATCH_NORM_EPSILON)
    return {
        f"{target}.weight": published[f"{convolution}.weight"] * scale[:, None, None, None],
        f"{target}.bias": published[f"{norm}.bias"] - published[f"{norm}.running_mean"] * scale,
    }
