"""The processor: images and requests in, tensors out; token ids in, words out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lisa_ros.answers import Turn
from lisa_ros.model.checkpoint_folder import local_folder, read_config
from lisa_ros.model.configuration import LisaConfig
from lisa_ros.model.image_processing import ImageProcessor
from lisa_ros.model.modeling import ImageInputs, RequestInputs


@dataclass(slots=True)
class PromptInputs:
    """One request, prepared.

    ``prefix_ids`` ``[P]`` end with the placeholder of the image and do not depend on the request; ``request_ids``
    ``[R]`` follow them and may hold the placeholder of the request encoder, whose input is ``request``.
    """

    prefix_ids: Tensor
    request_ids: Tensor
    request: RequestInputs | None = None


@dataclass(slots=True)
class ConversationInputs:
    """One whole conversation, prepared for training.

    ``input_ids`` ``[L]`` hold the placeholders; ``labels`` ``[L]`` are the ids that have to be written, each at its own
    position in ``input_ids`` (a loss shifts them), and ``IGNORE_INDEX`` everywhere else.
    """

    input_ids: Tensor
    labels: Tensor
    request: RequestInputs | None = None


IGNORE_INDEX = -100
"""The label of a position that no loss counts."""


class PromptError(ValueError):
    """A request cannot be put to this checkpoint; the message is one sentence for the user."""


class TextProcessor(Protocol):
    """Text in, ids out and back, for one kind of checkpoint."""

    refusal_ids: list[int]
    """Ids that begin an answer about something that is not there; empty when the checkpoint has no such answer."""

    def prompt(self, request: str, history: Sequence[Turn] = ()) -> PromptInputs:
        """Prepare one request for the language model, user text neutralised, after the turns that it follows.

        Raises ``PromptError`` when the checkpoint answers single requests only and there is a history.
        """
        ...

    def conversation(self, turns: Sequence[Turn]) -> ConversationInputs:
        """Prepare a conversation about one image for training; its texts are trusted and may hold special tokens."""
        ...

    def transcript(self, token_ids: list[int]) -> str:
        """Return an answer as a later turn quotes it: ``[SEG]`` included, other special tokens left out."""
        ...

    def words(self, token_ids: list[int]) -> str:
        """Return what a user reads of an answer: no special tokens, spaces as in print."""
        ...

    def label(self, token_ids: list[int]) -> str:
        """Return the name that an answer gives its mask, from the ids before ``[SEG]``; empty when it gives none."""
        ...

    def save(self, folder: Path) -> None:
        """Write the tokenizer files."""
        ...


TOKENIZER_PATTERNS = ("*.json", "tokenizer.model")


class LisaProcessor:
    """Prepares images and requests for one checkpoint."""

    def __init__(self, config: LisaConfig, text: TextProcessor) -> None:
        self.config = config
        self.image = ImageProcessor(config)
        self.text = text

    @classmethod
    def from_pretrained(cls, source: str | Path, *, revision: str | None = None) -> LisaProcessor:
        """Read configuration and tokenizers of a checkpoint folder or hub id; raises ``CheckpointError``."""
        from lisa_ros.model.text_processing import load_text_processor

        folder = local_folder(source, revision, TOKENIZER_PATTERNS)
        config = read_config(folder, str(source))
        return cls(config, load_text_processor(folder, config))

    def save_pretrained(self, folder: str | Path) -> None:
        """Write configuration and tokenizers into ``folder``."""
        Path(folder).mkdir(parents=True, exist_ok=True)
        self.config.save(Path(folder))
        self.text.save(Path(folder))

    def __call__(self, rgb: NDArray[np.uint8], request: str) -> tuple[ImageInputs, PromptInputs]:
        """Prepare one image, uint8 RGB ``[H, W, 3]``, and one request."""
        return self.image(rgb), self.text.prompt(request)


def ids(values: list[int]) -> Tensor:
    """Return token ids as a tensor."""
    return torch.tensor(values, dtype=torch.long)


UNFINISHED_CHARACTER = "\ufffd"
"""What a decoder writes for the first bytes of a character whose last ones are still to come."""


def spaced_like_print(text: str) -> str:
    """Return text with single spaces and none before punctuation.

    Punctuation that begins the text (of "[SEG].") and an unfinished character that ends it are left out.
    """
    text = " ".join(text.split())
    for mark in ".,:;?!":
        text = text.replace(f" {mark}", mark)
    return text.rstrip(f" {UNFINISHED_CHARACTER}").lstrip(" .,:;?!")
