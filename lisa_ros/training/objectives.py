"""What a stage of training minimises: ``DenseObjective`` teaches the eyes, ``JointObjective`` all of LISA."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from lisa_ros.model.modeling import LisaModel
from lisa_ros.model.sam import decode_prompts
from lisa_ros.model.text_processing import TabletopTextProcessor
from lisa_ros.model.vision import FeaturePyramid, MaskFeatures
from lisa_ros.training.dense_head import DenseHead
from lisa_ros.training.language import LanguageObjective, RequestBlur
from lisa_ros.training.losses import LossWeights, dense_loss, dice_loss, iou_loss, mask_bce_loss, presence_loss
from lisa_ros.training.tabletop import TabletopSample, stacked_pixels


class DenseObjective(nn.Module):
    """The eyes and the mask decoder without language: kinds of pixels and cells, and masks prompted by a kind."""

    def __init__(self, model: LisaModel, head: DenseHead, weights: LossWeights) -> None:
        super().__init__()
        assert model.pyramid is not None
        self.pyramid: FeaturePyramid = model.pyramid
        self.prompt_encoder, self.mask_decoder = model.prompt_encoder, model.mask_decoder
        self.head, self.weights = head, weights

    def forward(self, samples: list[TabletopSample]) -> dict[str, Tensor]:
        """Return the weighted losses by name."""
        tokens, features = self.pyramid(stacked_pixels(samples))
        owners = [(index, r) for index, sample in enumerate(samples) for r in sample.requests if r.mask is not None]
        prompts = self.head.kind_embeddings(torch.tensor([r.kind for _, r in owners], dtype=torch.long))
        chosen = features.of_images(torch.tensor([index for index, _ in owners], dtype=torch.long))
        return self.losses(tokens, features, samples) | self.mask_losses(chosen, prompts, samples)

    def losses(self, tokens: Tensor, features: MaskFeatures, samples: list[TabletopSample]) -> dict[str, Tensor]:
        """Return the weighted losses of kinds, of pyramid outputs that exist already."""
        kinds = torch.stack([sample.kinds for sample in samples])
        fine, coarse, present = self.head(tokens, features)
        coarse_loss = dense_loss(coarse, kinds[:, 2::4, 2::4], self.weights.foreground)
        return {
            "dense": self.weights.dense * (dense_loss(fine, kinds, self.weights.foreground) + 0.5 * coarse_loss),
            "presence": self.weights.presence
            * presence_loss(present, torch.stack([sample.presence for sample in samples])),
        }

    def mask_losses(self, features: MaskFeatures, prompts: Tensor, samples: list[TabletopSample]) -> dict[str, Tensor]:
        """Return the weighted losses of the masks decoded from ``prompts`` ``[n, C]``, one for each mask in order."""
        masks = [r.mask for sample in samples for r in sample.requests if r.mask is not None]
        if not masks:
            return {}
        targets = torch.stack(masks)
        low_res_masks, iou_predictions = decode_prompts(
            self.mask_decoder,
            self.prompt_encoder,
            features.image_embeddings,
            prompts[:, None],
            features.high_resolution,
        )
        logits = functional.interpolate(low_res_masks, targets.shape[1:], mode="bilinear", align_corners=False)[:, 0]
        return {
            "bce": self.weights.bce * mask_bce_loss(logits, targets),
            "dice": self.weights.dice * dice_loss(logits, targets),
            "iou": self.weights.iou * iou_loss(iou_predictions[:, 0], logits, targets),
        }


NO_BLUR = RequestBlur(noise=0.0, sentence_only=0.0)


class JointObjective(nn.Module):
    """LISA's losses for several requests a frame, with the dense ones as auxiliaries."""

    def __init__(
        self,
        model: LisaModel,
        text: TabletopTextProcessor,
        dense: DenseObjective,
        weights: LossWeights,
        blur: RequestBlur = NO_BLUR,
    ) -> None:
        super().__init__()
        self.model, self.dense = model, dense
        self.language = LanguageObjective(model, text, dense.head, weights, blur)

    def forward(self, samples: list[TabletopSample]) -> dict[str, Tensor]:
        """Return the weighted losses by name."""
        tokens, features = self.dense.pyramid(stacked_pixels(samples))
        read = self.language.read(tokens, samples)
        prompts = self.language.prompts(read)
        decoded = _decoded(samples)
        images = read.images[read.labels == self.model.config.tokens.seg][decoded]
        return (
            self.language.losses(read, prompts, samples)
            | self.dense.mask_losses(features.of_images(images), prompts[decoded], samples)
            | self.dense.losses(tokens, features, samples)
        )


def _decoded(samples: list[TabletopSample]) -> list[bool]:
    """Say for every ``[SEG]`` of a batch, in order, whether its mask is trained."""
    return [r.mask is not None for sample in samples for r in sample.requests if "[SEG]" in r.answer]
