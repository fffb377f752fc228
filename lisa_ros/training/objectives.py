"""What a stage of training minimises: ``DenseObjective`` teaches the eyes, ``JointObjective`` all of LISA."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from lisa_ros.model.modeling import LisaModel
from lisa_ros.model.sam import decode_prompts
from lisa_ros.model.text_processing import TabletopTextProcessor
from lisa_ros.model.vision import FeaturePyramid, MaskFeatures
from lisa_ros.training.dense_head import DenseHead
from lisa_ros.training.losses import (
    IGNORE_INDEX,
    dense_loss,
    dice_loss,
    iou_loss,
    mask_bce_loss,
    presence_loss,
    text_loss,
)
from lisa_ros.training.packing import PackedBatch, Segment, pack
from lisa_ros.training.tabletop import TabletopSample


@dataclass(frozen=True, slots=True)
class LossWeights:
    """Weights of the losses; the first three are the paper's names (its values: 1.0, 2.0, 0.5)."""

    ce: float = 1.0
    bce: float = 2.0
    dice: float = 1.0
    iou: float = 0.2
    dense: float = 1.0
    presence: float = 0.1
    prompt: float = 1.0
    foreground: float = 2.0


KEPT_REQUESTS = 40000
"""Requests whose frozen states are kept in memory, about 10 kB each."""


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


class JointObjective(nn.Module):
    """LISA's losses for several requests a frame, with the dense ones as auxiliaries."""

    def __init__(
        self, model: LisaModel, text: TabletopTextProcessor, dense: DenseObjective, weights: LossWeights
    ) -> None:
        super().__init__()
        self.model, self.dense, self.weights = model, dense, weights
        self.text = text
        self._request_states: dict[str, Tensor] = {}

    def forward(self, samples: list[TabletopSample]) -> dict[str, Tensor]:
        """Return the weighted losses by name."""
        tokens, features = self.dense.pyramid(stacked_pixels(samples))
        packed = self._pack(tokens, samples)
        hidden_states = self.model.language_model.model(
            inputs_embeds=packed.inputs_embeds,
            position_ids=packed.position_ids,
            attention_mask=packed.attention_mask,
            use_cache=False,
        ).last_hidden_state
        predicting = packed.labels != IGNORE_INDEX
        labels = packed.labels[predicting]
        states = hidden_states[predicting]
        losses = {"ce": self.weights.ce * text_loss(self.model.language_model.lm_head(states), labels)}
        is_seg = labels == self.model.config.tokens.seg
        images = torch.nonzero(predicting)[:, 0][is_seg]
        decoded = _decoded(samples)
        prompts = self.model.project_seg(states[is_seg])
        losses["prompt"] = self.weights.prompt * self._prompt_loss(prompts, samples)
        losses |= self.dense.mask_losses(features.of_images(images[decoded]), prompts[decoded], samples)
        return losses | self.dense.losses(tokens, features, samples)

    def _prompt_loss(self, prompts: Tensor, samples: list[TabletopSample]) -> Tensor:
        """Return the mean squared distance of prompts to the embedding of the kind that each stands for."""
        kinds = [r.kind for sample in samples for r in sample.requests if "[SEG]" in r.answer]
        wanted = self.dense.head.kind_embeddings(torch.tensor(kinds, dtype=torch.long)).detach()
        return functional.mse_loss(prompts, wanted) if kinds else prompts.sum()

    def _pack(self, tokens: Tensor, samples: list[TabletopSample]) -> PackedBatch:
        embed_tokens = self.model.language_model.get_input_embeddings()
        image_tokens = self.model.mm_projector(tokens)
        begin = embed_tokens(torch.tensor([[self.model.config.tokens.bos]])).expand(len(samples), -1, -1)
        self._read_new_requests({r.text for sample in samples for r in sample.requests})
        segments = [[self._segment(r.text, r.answer) for r in sample.requests] for sample in samples]
        return pack(torch.cat([begin, image_tokens], dim=1), segments, embed_tokens)

    def _read_new_requests(self, requests: set[str]) -> None:
        """Run the frozen request encoder over requests whose states are not kept yet, all in one batch."""
        encoder = self.model.request_encoder
        assert encoder is not None
        if len(self._request_states) > KEPT_REQUESTS:
            self._request_states.clear()
        new = sorted(requests - set(self._request_states))
        if not new:
            return
        ids = [self.text.request_inputs(request).input_ids[0] for request in new]
        padded = torch.nn.utils.rnn.pad_sequence(ids, batch_first=True)
        mask = torch.nn.utils.rnn.pad_sequence([torch.ones_like(row) for row in ids], batch_first=True)
        for request, row, states in zip(new, ids, encoder.read(padded, mask), strict=True):
            self._request_states[request] = states[: len(row)].half()

    def _segment(self, request: str, answer: str) -> Segment:
        encoder = self.model.request_encoder
        assert encoder is not None
        frozen_states = self._request_states[request].float()[None]
        answer_ids = torch.tensor([self.text.answer_start, *self.text.answer_ids(answer)])
        return Segment(encoder.project(frozen_states, torch.ones(frozen_states.shape[:2]))[0], answer_ids)


def stacked_pixels(samples: list[TabletopSample]) -> Tensor:
    """Return the pixel values ``[B, 3, H, W]`` of a batch, in the memory format that convolutions are fastest with."""
    pixel_values = torch.stack([sample.pixel_values for sample in samples])
    return pixel_values.contiguous(memory_format=torch.channels_last)


def _decoded(samples: list[TabletopSample]) -> list[bool]:
    """Say for every ``[SEG]`` of a batch, in order, whether its mask is trained."""
    return [r.mask is not None for sample in samples for r in sample.requests if "[SEG]" in r.answer]
