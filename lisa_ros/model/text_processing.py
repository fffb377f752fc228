"""Tokenizers: the small one of the embedded checkpoint, and the door to the official Llama one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from lisa_ros.answers import Turn
from lisa_ros.model.checkpoint_folder import CheckpointError
from lisa_ros.model.configuration import LisaConfig
from lisa_ros.model.conversation import neutralised, reserved_with, transcript_of
from lisa_ros.model.modeling import IMAGE_TOKEN, REQUEST_TOKEN, RequestInputs
from lisa_ros.model.processing import (
    IGNORE_INDEX,
    ConversationInputs,
    PromptError,
    PromptInputs,
    TextProcessor,
    ids,
    spaced_like_print,
)

ANSWER_TOKENIZER_FILE = "tokenizer.json"
REQUEST_TOKENIZER_FILE = "request_tokenizer.json"
SPECIAL_TOKENS = ("<pad>", "<s>", "</s>", "<answer>", "[SEG]", "[REJ]")
"""Ids 0 to 5 of the embedded checkpoint's vocabulary."""
REFUSAL = "I see no"
"""How every answer about a known kind that is absent begins."""
NAME = re.compile(r"\b(?:is|are|see no) (?:the )?(.+?)\s*(?:here)?$")


def load_text_processor(folder: Path, config: LisaConfig) -> TextProcessor:
    """Return the text processor of a checkpoint folder."""
    if config.conversation == "tabletop":
        return TabletopTextProcessor(
            _read_tokenizer(folder / ANSWER_TOKENIZER_FILE), _read_tokenizer(folder / REQUEST_TOKENIZER_FILE), config
        )
    from lisa_ros.model.llama_text import LlamaTextProcessor

    return LlamaTextProcessor.from_folder(folder, config)


class TabletopTextProcessor:
    """Requests go to the request encoder as WordPieces, answers are written in a vocabulary of their own."""

    def __init__(self, answer_tokenizer: Tokenizer, request_tokenizer: Tokenizer, config: LisaConfig) -> None:
        self.answer_tokenizer = answer_tokenizer
        self.request_tokenizer = request_tokenizer
        self.config = config
        assert config.request_encoder is not None
        self.request_tokenizer.no_padding()
        self.request_tokenizer.enable_truncation(config.request_encoder.max_request_tokens)
        special_tokens = request_tokenizer.get_added_tokens_decoder().values()
        self._reserved = reserved_with(token.content for token in special_tokens)
        self.answer_start: int = SPECIAL_TOKENS.index("<answer>")
        self._prefix_ids = [config.tokens.bos, IMAGE_TOKEN]
        self._request_ids = [REQUEST_TOKEN, self.answer_start]
        self.refusal_ids: list[int] = answer_tokenizer.encode(REFUSAL, add_special_tokens=False).ids
        for token, expected in (
            ("<answer>", self.answer_start),
            ("[SEG]", config.tokens.seg),
            ("[REJ]", config.tokens.rejection),
        ):
            found = answer_tokenizer.token_to_id(token)
            if found != expected:
                raise CheckpointError(
                    f"The tokenizer gives {token} the id {found}; the configuration says {expected}. "
                    "Use the tokenizer files that belong to the weights."
                )

    def prompt(self, request: str, history: Sequence[Turn] = ()) -> PromptInputs:
        """Prepare one request: begin, image | request states, ``<answer>``; raises ``PromptError`` with a history."""
        if history:
            raise PromptError(
                f"The request follows {len(history)} earlier turns, but this checkpoint answers single requests; "
                "ask without a history."
            )
        return PromptInputs(
            prefix_ids=ids(self._prefix_ids),
            request_ids=ids(self._request_ids),
            request=self.request_inputs(request),
        )

    def conversation(self, turns: Sequence[Turn]) -> ConversationInputs:
        """Prepare one request and its answer for training; raises ``ValueError`` for more turns or none."""
        if len(turns) != 1:
            raise ValueError(f"The conversation has {len(turns)} turns; this checkpoint learns single requests.")
        given, answer = [*self._prefix_ids, *self._request_ids], self.answer_ids(turns[0].answer)
        return ConversationInputs(
            input_ids=ids([*given, *answer]),
            labels=ids([*[IGNORE_INDEX] * len(given), *answer]),
            request=self.request_inputs(turns[0].request),
        )

    def transcript(self, token_ids: list[int]) -> str:
        """Return what the model wrote, ``[SEG]`` included and ``[REJ]`` not."""
        text = transcript_of(token_ids, self.config.tokens.seg, self.answer_tokenizer.decode)
        return re.sub(r"\s+(?=[.,:;?!])", "", text)

    def request_inputs(self, request: str) -> RequestInputs:
        """Return the WordPiece ids of a request, user text neutralised."""
        encoding = self.request_tokenizer.encode(neutralised(request.lower(), self._reserved))
        return RequestInputs(ids(encoding.ids)[None], ids(encoding.attention_mask)[None])

    def answer_ids(self, answer: str) -> list[int]:
        """Return the ids of an answer with its ``[SEG]`` or ``[REJ]``, and the end token."""
        return [*self.answer_tokenizer.encode(answer, add_special_tokens=False).ids, self.config.tokens.eos]

    def words(self, token_ids: list[int]) -> str:
        """Return what a user reads of an answer."""
        return spaced_like_print(self.answer_tokenizer.decode(token_ids, skip_special_tokens=True))

    def label(self, token_ids: list[int]) -> str:
        """Return the name before ``[SEG]`` or ``[REJ]``: "knife" in "It is the knife [SEG]"."""
        name = NAME.search(self.words(token_ids))
        return name[1] if name else ""

    def save(self, folder: Path) -> None:
        """Write both tokenizer files."""
        self.answer_tokenizer.save(str(folder / ANSWER_TOKENIZER_FILE), pretty=False)
        self.request_tokenizer.save(str(folder / REQUEST_TOKENIZER_FILE), pretty=False)


def train_answer_tokenizer(answers: Iterable[str], vocab_size: int) -> Tokenizer:
    """Learn a byte-pair vocabulary from the answers that the model has to write."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(answers, trainer)
    return tokenizer


def _read_tokenizer(path: Path) -> Tokenizer:
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # noqa: BLE001 - the library raises plain Exception
        raise CheckpointError(f"{path} cannot be read as a tokenizer ({error}); copy it again.") from error
