"""A new LISA from a plain LLaVA and SAM, as the reference begins its training."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn

from lisa_ros.conversion.configuring import IMAGE_MARKERS, SEG
from lisa_ros.conversion.shapes import Shapes, mask_decoder_config, projector_kind
from lisa_ros.model.llama_tokenizer import LlamaTokenizer

NEW_ROWS = "new rows of embed_tokens and lm_head: the mean of the old rows"
NEW_PROJECTION = "text_hidden_fcs: torch's default initialisation of linear layers"
EMBEDDING = "model.embed_tokens.weight"


def with_lisa_tokens(tokenizer: LlamaTokenizer, shapes: Shapes) -> LlamaTokenizer:
    """Return the tokenizer with the tokens of LISA that it lacks, in the order in which the reference adds them.

    A LLaVA with the projector of LLaVA-1.5 gets no image markers, as LISA++ has none.
    """
    wanted = [SEG, *(IMAGE_MARKERS if projector_kind(shapes) == "linear" else ())]
    added = dict(tokenizer.added)
    for text in wanted:
        if text not in added:
            added[text] = max([*added.values(), tokenizer.pieces.get_piece_size() - 1]) + 1
    return LlamaTokenizer(tokenizer.pieces, added, legacy=tokenizer.legacy)


@dataclass(frozen=True, slots=True)
class Beginning:
    """A LLaVA seen as a LISA: its configuration and tokenizer as they will be, and what to say about what is new."""

    values: dict[str, Any]
    tokenizer: LlamaTokenizer
    told: dict[str, Any]

    @property
    def rows(self) -> int:
        """How many tokens the language model will know."""
        return int(self.values["vocab_size"])


def begin(values: dict[str, Any], tokenizer: LlamaTokenizer, shapes: Shapes, seed: int) -> Beginning:
    """Return LLaVA's configuration and tokenizer as those of a LISA: the tokens added, no row of tokens lost."""
    extended = with_lisa_tokens(tokenizer, shapes)
    new_tokens = {text: token for text, token in extended.added.items() if text not in tokenizer.added}
    rows = shapes[EMBEDDING][0] if EMBEDDING in shapes else values.get("vocab_size", 0)
    changes = {
        "vocab_size": max(rows, max(extended.added.values()) + 1),
        "mm_use_im_start_end": projector_kind(shapes) == "linear",
    }
    told = {"new_tokens": new_tokens, "seed": seed, "made": [NEW_ROWS, NEW_PROJECTION]}
    return Beginning(values | changes, extended, told)


def write_fresh_projection(path: Path, shapes: Shapes, seed: int) -> None:
    """Write an untrained projection from hidden states to mask embeddings under its official names, fp32."""
    hidden_size = shapes[EMBEDDING][-1] if EMBEDDING in shapes else 1
    embed_dim = mask_decoder_config(shapes).embed_dim
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        layers = {"0": nn.Linear(hidden_size, hidden_size), "2": nn.Linear(hidden_size, embed_dim)}
    weights = {
        f"model.text_hidden_fcs.0.{number}.{name}": value.detach()
        for number, layer in layers.items()
        for name, value in layer.named_parameters()
    }
    save_file(weights, path)
