"""A frozen BERT (all-MiniLM-L6-v2) that turns the request into token states for the language model."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from lisa_ros.model.configuration import RequestEncoderConfig


class RequestEncoder(nn.Module):
    """Maps request token ids ``[B, T]`` to states ``[B, T + 1, D]`` in the language model's width.

    The first state is projected from the mean over the tokens, the sentence embedding that MiniLM was trained for;
    the others from the tokens themselves. Padding is marked by ``attention_mask`` 0; its states are zero.
    """

    def __init__(self, config: RequestEncoderConfig, output_size: int) -> None:
        from transformers import BertConfig, BertModel

        super().__init__()
        self.bert: Any = BertModel(
            BertConfig(
                vocab_size=config.vocab_size,
                hidden_size=config.hidden_size,
                num_hidden_layers=config.num_hidden_layers,
                num_attention_heads=config.num_attention_heads,
                intermediate_size=config.intermediate_size,
                max_position_embeddings=config.max_position_embeddings,
            ),
            add_pooling_layer=False,
        )
        self.bert.requires_grad_(False)
        self.sentence_projection = nn.Sequential(
            nn.Linear(config.hidden_size, output_size), nn.GELU(), nn.Linear(output_size, output_size)
        )
        self.token_projection = nn.Linear(config.hidden_size, output_size)

    @torch.no_grad()
    def read(self, request_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Return the frozen BERT's token states ``[B, T, hidden_size]``; they may be kept and projected later."""
        return self.bert.eval()(input_ids=request_ids, attention_mask=attention_mask).last_hidden_state

    def project(self, token_states: Tensor, attention_mask: Tensor) -> Tensor:
        """Project the frozen states to ``[B, T + 1, D]``."""
        weights = attention_mask[..., None].to(token_states.dtype)
        mean = (token_states * weights).sum(1, keepdim=True) / weights.sum(1, keepdim=True)
        sentence = self.sentence_projection(nn.functional.normalize(mean, dim=-1) * SENTENCE_SCALE)
        return torch.cat([sentence, self.token_projection(token_states) * weights], dim=1)

    def forward(self, request_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Read and project."""
        return self.project(self.read(request_ids, attention_mask), attention_mask)


SENTENCE_SCALE = 20.0
"""A sentence embedding of unit length over 384 dimensions has entries of about 0.05; this brings them near one."""
