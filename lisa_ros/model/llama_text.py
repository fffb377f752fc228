"""Text of the official checkpoints: LLaVA's conversations in the tokens of Llama."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from lisa_ros.answers import Turn
from lisa_ros.model.checkpoint_folder import CheckpointError
from lisa_ros.model.configuration import LisaConfig
from lisa_ros.model.conversation import (
    IMAGE_PLACEHOLDER,
    REJECTION,
    llava_prompt,
    llava_texts,
    neutralised,
    neutralised_answer,
    reserved_with,
    transcript_of,
)
from lisa_ros.model.llama_tokenizer import LlamaTokenizer
from lisa_ros.model.modeling import IMAGE_TOKEN
from lisa_ros.model.processing import IGNORE_INDEX, ConversationInputs, PromptInputs, ids, spaced_like_print


class LlamaTextProcessor:
    """LLaVA's conversation around a request; see ``lisa_ros.model.processing.TextProcessor``.

    Raises ``CheckpointError`` when the tokenizer and the configuration do not agree on a token.
    """

    def __init__(self, tokenizer: LlamaTokenizer, config: LisaConfig) -> None:
        self.tokenizer, self.config = tokenizer, config
        # Official checkpoints have no fixed way to say that something is not there.
        self.refusal_ids: list[int] = []
        self._reserved = reserved_with(tokenizer.special)
        self._special_ids = set(tokenizer.special.values())
        tokens = config.tokens
        self._with_image_markers = tokens.image_start is not None
        expected = {"[SEG]": tokens.seg, "<im_start>": tokens.image_start, "<im_end>": tokens.image_end}
        expected |= {"<s>": tokens.bos, "</s>": tokens.eos}
        for text, token in expected.items():
            found = tokenizer.special.get(text)
            if token is not None and found != token:
                raise CheckpointError(
                    f"The tokenizer gives {text} the id {found}; the configuration says {token}. "
                    "Use the tokenizer files that belong to the weights."
                )

    @classmethod
    def from_folder(cls, folder: Path, config: LisaConfig) -> LlamaTextProcessor:
        """Read the tokenizer of a checkpoint folder; raises ``CheckpointError``."""
        return cls(LlamaTokenizer.from_folder(folder), config)

    def prompt(self, request: str, history: Sequence[Turn] = ()) -> PromptInputs:
        """Prepare one request after the turns that it follows: everything up to the image, everything after it.

        The image stands in the first turn, so what is up to it is the same for every request. All texts are
        neutralised, for this tokenizer's own tokens too; only the ``[SEG]`` of the answers in the history stay. A text
        without anything to take out stays as it is, its spaces and line breaks too, as in the reference.
        """
        turns = [Turn(self._of_user(turn.request), neutralised_answer(turn.answer, self._reserved)) for turn in history]
        text = llava_prompt(
            self.config.conversation,
            turns,
            self._of_user(request),
            with_image_markers=self._with_image_markers,
        )
        token_ids = self.tokenizer.encode(text)
        end_of_prefix = token_ids.index(IMAGE_TOKEN) + 1
        return PromptInputs(prefix_ids=ids(token_ids[:end_of_prefix]), request_ids=ids(token_ids[end_of_prefix:]))

    def _of_user(self, text: str) -> str:
        is_harmless = neutralised(text, self._reserved, one_line=False) == text
        return text if is_harmless else neutralised(text, self._reserved)

    def conversation(self, turns: Sequence[Turn]) -> ConversationInputs:
        """Prepare a whole conversation for training; the labels are the answers and the end token after each.

        For tokenizers with ``legacy`` these are the ids and labels of the reference (``collate_fn`` of
        dvlab-research/LISA), which finds the answers by counting the tokens of each round anew. For others that count
        is wrong (the reference stops there), so an answer is what the tokens up to its end have beyond the tokens up
        to its beginning: the same positions wherever both rules hold. Nothing is cut; ``[REJ]`` is left out where the
        tokenizer has no such token. Raises ``ValueError`` without a turn, or with ``<image>`` in a text.
        """
        texts = llava_texts(
            self.config.conversation,
            [Turn(turn.request, self._learned(turn.answer)) for turn in turns],
            with_image_markers=self._with_image_markers,
        )
        text, spans = "", []
        for before, answer in texts:
            beginning = len(self.tokenizer.encode(text + before))
            text += before + answer
            spans.append(slice(beginning, len(self.tokenizer.encode(text))))
        input_ids = ids(self.tokenizer.encode(text))
        images = int((input_ids == IMAGE_TOKEN).sum())
        if images != 1:
            raise ValueError(f"The conversation has {images} images; it must have turns and no {IMAGE_PLACEHOLDER}.")
        labels = torch.full_like(input_ids, IGNORE_INDEX)
        for span in spans:
            labels[span] = input_ids[span]
        return ConversationInputs(input_ids, labels)

    def _learned(self, answer: str) -> str:
        return answer if REJECTION in self.tokenizer.special else answer.replace(f" {REJECTION}", "")

    def transcript(self, token_ids: list[int]) -> str:
        """Return an answer as a later turn quotes it, so that ``prompt`` gives it the same ids again.

        It does so for whatever the tokenizer can give: not for another way of cutting a word into pieces, a first
        piece of the answer or after ``[SEG]`` that begins no word, spaces around ``[SEG]`` or at the ends, unknown
        pieces, and words that spell a special token.
        """
        return transcript_of(token_ids, self.config.tokens.seg, self._decoded_words)

    def _decoded_words(self, token_ids: list[int]) -> str:
        return self.tokenizer.decode([token for token in token_ids if self._is_word(token)])

    def words(self, token_ids: list[int]) -> str:
        """Return what a user reads of an answer; a longer answer only ever adds to what a shorter one gave.

        A comma that only led to a mask ("Sure, [SEG].") is left out.
        """
        return spaced_like_print(" ".join(self.tokenizer.decode(part).rstrip(" ,") for part in self._parts(token_ids)))

    def _parts(self, token_ids: list[int]) -> list[list[int]]:
        """Split an answer at everything that is not a word."""
        parts: list[list[int]] = [[]]
        for token in token_ids:
            if self._is_word(token):
                parts[-1].append(token)
            else:
                parts.append([])
        return parts

    def _is_word(self, token: int) -> bool:
        return 0 <= token < self.tokenizer.pieces.get_piece_size() and token not in self._special_ids

    def label(self, token_ids: list[int]) -> str:
        """Return the empty name: official answers do not name their masks in a fixed form."""
        return ""

    def save(self, folder: Path) -> None:
        """Write the tokenizer files."""
        self.tokenizer.save(folder)
