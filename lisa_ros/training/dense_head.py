"""The heads that only training has: kinds of pixels and cells, and an embedding of each kind as a mask prompt."""

from __future__ import annotations

from torch import Tensor, nn

from lisa_ros.model.configuration import PyramidConfig
from lisa_ros.model.vision import MaskFeatures


class DenseHead(nn.Module):
    """Maps pyramid outputs to kind logits ``[B, K, h, w]`` at strides 4 and 16 and presence logits ``[B, N, K]``.

    ``kind_embeddings`` prompt the mask decoder before the language model can: the decoder learns with them to follow a
    prompt, and the language model learns to write prompts like them.
    """

    def __init__(self, config: PyramidConfig, num_kinds: int) -> None:
        super().__init__()
        fine, _, coarse = config.mask_channels
        self.fine = nn.Conv2d(fine, num_kinds, 1)
        self.coarse = nn.Conv2d(coarse, num_kinds, 1)
        self.presence = nn.Linear(config.token_channels, num_kinds)
        self.kind_embeddings = nn.Embedding(num_kinds, coarse)

    def forward(self, tokens: Tensor, features: MaskFeatures) -> tuple[Tensor, Tensor, Tensor]:
        """Return the logits at stride 4, at stride 16 and of the cells."""
        assert features.high_resolution is not None
        return self.fine(features.high_resolution[0]), self.coarse(features.image_embeddings), self.presence(tokens)
