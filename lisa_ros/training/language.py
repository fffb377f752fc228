"""What the language part learns: to write the answer, and to prompt the mask decoder at ``[SEG]``."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from lisa_ros.model.modeling import LisaModel
from lisa_ros.model.processing import IGNORE_INDEX
from lisa_ros.model.text_processing import TabletopTextProcessor
from lisa_ros.training.dense_head import DenseHead
from lisa_ros.training.losses import LossWeights, text_loss
from lisa_ros.training.packing import PackedBatch, Segment, pack
from lisa_ros.training.tabletop import TabletopSample, stacked_pixels

KEPT_REQUESTS = 40000
"""Requests whose frozen states are kept in memory, about 10 kB each."""


@dataclass(frozen=True, slots=True)
class RequestBlur:
    """How requests are blurred in training, so that the meaning is learned and not the wording.

    ``noise`` is the length of a random shift of all token states, relative to the length of their mean;
    ``sentence_only`` the chance that the language model gets the sentence state without the token states.
    """

    noise: float = 0.5
    sentence_only: float = 0.5


@dataclass(slots=True)
class ReadBatch:
    """What a batch of answers came to: final-normed states and labels of ``T`` predicted tokens, and their image."""

    states: Tensor
    labels: Tensor
    images: Tensor


class LanguageObjective(nn.Module):
    """Words, and prompts like the embedding of the kind that they stand for; the eyes are frozen."""

    def __init__(
        self, model: LisaModel, text: TabletopTextProcessor, head: DenseHead, weights: LossWeights, blur: RequestBlur
    ) -> None:
        super().__init__()
        assert model.request_encoder is not None and model.pyramid is not None
        self.language_model, self.mm_projector = model.language_model, model.mm_projector
        self.request_encoder, self.text_hidden_fcs = model.request_encoder, model.text_hidden_fcs
        self.text, self.weights, self.blur = text, weights, blur
        self.tokens = model.config.tokens
        # In a tuple, because parts of the objective would be trained.
        self._frozen = (model.pyramid, head)
        self._request_states: dict[str, Tensor] = {}

    def forward(self, samples: list[TabletopSample]) -> dict[str, Tensor]:
        """Return the weighted losses by name."""
        with torch.no_grad():
            tokens, _ = self._frozen[0](stacked_pixels(samples))
        read = self.read(tokens, samples)
        return self.losses(read, self.prompts(read), samples)

    def read(self, tokens: Tensor, samples: list[TabletopSample]) -> ReadBatch:
        """Run the language model over all requests and answers of a batch."""
        packed = self._pack(tokens, samples)
        hidden_states = self.language_model.model(
            inputs_embeds=packed.inputs_embeds,
            position_ids=packed.position_ids,
            attention_mask=packed.attention_mask,
            use_cache=False,
        ).last_hidden_state
        predicting = packed.labels != IGNORE_INDEX
        return ReadBatch(hidden_states[predicting], packed.labels[predicting], torch.nonzero(predicting)[:, 0])

    def prompts(self, read: ReadBatch) -> Tensor:
        """Return the mask embeddings ``[n, C]`` of all ``[SEG]`` of a batch."""
        return self.text_hidden_fcs(read.states[read.labels == self.tokens.seg])

    def losses(self, read: ReadBatch, prompts: Tensor, samples: list[TabletopSample]) -> dict[str, Tensor]:
        """Return the weighted losses of the words and of the prompts' distance to the embeddings of their kinds."""
        kinds = [r.kind for sample in samples for r in sample.requests if "[SEG]" in r.answer]
        wanted = self._frozen[1].kind_embeddings(torch.tensor(kinds, dtype=torch.long)).detach()
        return {
            "ce": self.weights.ce * text_loss(self.language_model.lm_head(read.states), read.labels),
            "prompt": self.weights.prompt * (functional.mse_loss(prompts, wanted) if kinds else prompts.sum()),
        }

    def _pack(self, tokens: Tensor, samples: list[TabletopSample]) -> PackedBatch:
        embed_tokens = self.language_model.get_input_embeddings()
        begin = embed_tokens(torch.tensor([[self.tokens.bos]])).expand(len(samples), -1, -1)
        self._read_new_requests({r.text for sample in samples for r in sample.requests})
        segments = [[self._segment(r.text, r.answer) for r in sample.requests] for sample in samples]
        return pack(torch.cat([begin, self.mm_projector(tokens)], dim=1), segments, embed_tokens)

    def _read_new_requests(self, requests: set[str]) -> None:
        """Run the frozen request encoder over requests whose states are not kept yet, all in one batch."""
        if len(self._request_states) > KEPT_REQUESTS:
            self._request_states.clear()
        new = sorted(requests - set(self._request_states))
        if not new:
            return
        ids = [self.text.request_inputs(request).input_ids[0] for request in new]
        padded = nn.utils.rnn.pad_sequence(ids, batch_first=True)
        mask = nn.utils.rnn.pad_sequence([torch.ones_like(row) for row in ids], batch_first=True)
        for request, row, states in zip(new, ids, self.request_encoder.read(padded, mask), strict=True):
            self._request_states[request] = states[: len(row)].half()

    def _segment(self, request: str, answer: str) -> Segment:
        frozen_states = blurred(self._request_states[request].float(), self.blur.noise)[None]
        states = self.request_encoder.project(frozen_states, torch.ones(frozen_states.shape[:2]))[0]
        if torch.rand(()) < self.blur.sentence_only:
            states = states[:1]
        return Segment(states, torch.tensor([self.text.answer_start, *self.text.answer_ids(answer)]))


def blurred(token_states: Tensor, noise: float) -> Tensor:
    """Shift token states ``[T, D]`` together, in a random direction, by ``noise`` times the length of their mean."""
    direction = functional.normalize(torch.randn(token_states.shape[1]), dim=0)
    return token_states + noise * token_states.mean(0).norm() * direction
