"""Greedy decoding with a KV cache: one pass over the prompt, then one position a token."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import DynamicCache

from lisa_ros.model.modeling import LisaModel


class NotFiniteError(ArithmeticError):
    """The network computed infinity or NaN, of which no word and no mask can be made; the message is one sentence."""


def require_finite(values: Tensor, part: str) -> None:
    """Raise ``NotFiniteError`` unless all values are finite; ``part`` names what computed them."""
    if not bool(torch.isfinite(values).all()):
        raise NotFiniteError(
            f"The {part} computed values that are not finite in {str(values.dtype).removeprefix('torch.')}; "
            "load the checkpoint with dtype bfloat16 or float32, or copy it again if it is damaged."
        )


@dataclass(slots=True)
class Prefix:
    """Positions that are computed once and shared by all that is asked after them."""

    cache: DynamicCache
    length: int


@dataclass(frozen=True, slots=True)
class Step:
    """One predicted token: its id, its probability, and the final-normed hidden state ``[D]`` that predicts it."""

    token: int
    probability: float
    hidden_state: Tensor
    logits: Tensor


@torch.inference_mode()
def compute_prefix(model: LisaModel, embeddings: Tensor) -> Prefix:
    """Run ``[1, L, D]`` embeddings and keep their keys and values."""
    cache = DynamicCache(config=model.language_model.config)
    model.language_model.model(inputs_embeds=embeddings, past_key_values=cache, use_cache=True)
    return Prefix(cache, embeddings.shape[1])


@torch.inference_mode()
def extend(model: LisaModel, embeddings: Tensor, cache: DynamicCache) -> Tensor:
    """Run ``[1, L, D]`` embeddings after what the cache holds; returns final-normed hidden states ``[L, D]``."""
    output = model.language_model.model(inputs_embeds=embeddings, past_key_values=cache, use_cache=True)
    return output.last_hidden_state[0]


@torch.inference_mode()
def predict(model: LisaModel, hidden_state: Tensor) -> Step:
    """Return the most probable token after one final-normed hidden state ``[D]``; raises ``NotFiniteError``."""
    logits = model.language_model.lm_head(hidden_state)
    token = int(logits.argmax())
    probability = float(torch.softmax(logits.float(), dim=-1)[token])
    if math.isnan(probability):
        require_finite(logits, "language model")
    return Step(token, probability, hidden_state, logits)


def greedy_steps(model: LisaModel, hidden_state: Tensor, cache: DynamicCache, max_new_tokens: int) -> Iterator[Step]:
    """Yield one ``Step`` a new token, starting from the state that predicts the first; ends with the end token."""
    for _ in range(max_new_tokens):
        step = predict(model, hidden_state)
        yield step
        if step.token == model.config.tokens.eos:
            return
        hidden_state = extend(model, embed_token(model, step.token), cache)[-1]


@torch.inference_mode()
def embed_token(model: LisaModel, token: int) -> Tensor:
    """Return the embedding ``[1, 1, D]`` of one token id."""
    return model.language_model.get_input_embeddings()(torch.tensor([[token]], device=model.device))
