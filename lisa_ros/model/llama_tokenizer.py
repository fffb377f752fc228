"""Llama's SentencePiece tokenizer, exactly as the official checkpoints were trained with it.

They were trained with the slow ``LlamaTokenizer`` of transformers 4.31. What later versions do around added tokens
differs from it, so its few rules are followed here, on SentencePiece itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sentencepiece import SentencePieceProcessor

from lisa_ros.model.checkpoint_folder import CheckpointError
from lisa_ros.model.conversation import IMAGE_PLACEHOLDER
from lisa_ros.model.modeling import IMAGE_TOKEN

PIECES_FILE = "tokenizer.model"
ADDED_TOKENS_FILE = "added_tokens.json"
TOKENIZER_CONFIG_FILE = "tokenizer_config.json"
WORD_START = "▁"


class LlamaTokenizer:
    """Text to ids and back.

    ``added`` maps the tokens that are not in the SentencePiece model to their ids; whitespace on both sides of one
    belongs to it. ``legacy`` says what follows an added token: the start of a word (transformers' legacy behaviour),
    or whatever is left of its first piece without the word start, often an unknown piece (LLaVA-1.5, LISA++).
    """

    def __init__(self, pieces: SentencePieceProcessor, added: Mapping[str, int], *, legacy: bool) -> None:
        self.pieces, self.added, self.legacy = pieces, dict(added), legacy
        control = {pieces.id_to_piece(token): token for token in (pieces.unk_id(), pieces.bos_id(), pieces.eos_id())}
        self.special = control | self.added
        longest_first = sorted(self.special, key=len, reverse=True)
        self._at_special = re.compile("(" + "|".join(map(re.escape, longest_first)) + ")")

    @classmethod
    def from_folder(cls, folder: Path) -> LlamaTokenizer:
        """Read the tokenizer files of a checkpoint folder; raises ``CheckpointError``."""
        settings = _read_json(folder / TOKENIZER_CONFIG_FILE)
        added = _added_tokens(settings, folder)
        path = folder / PIECES_FILE
        try:
            pieces = SentencePieceProcessor(model_proto=path.read_bytes())
        except (OSError, RuntimeError) as error:
            raise CheckpointError(
                f"{path} cannot be read as a SentencePiece model ({error}); copy it again."
            ) from error
        added = {text: token for text, token in added.items() if token >= pieces.get_piece_size()}
        return cls(pieces, added, legacy=settings.get("legacy") is not False)

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text, the begin token first and every ``<image>`` as ``IMAGE_TOKEN``."""
        encoded = [self.pieces.bos_id()]
        for number, part in enumerate(text.split(IMAGE_PLACEHOLDER)):
            encoded += [IMAGE_TOKEN] if number else []
            encoded += self._encode_part(part)
        return encoded

    def _encode_part(self, text: str) -> Iterator[int]:
        parts = self._at_special.split(text)
        for index, part in enumerate(parts):
            if index % 2:
                yield self.special[part]
                continue
            if index > 0 and parts[index - 1] in self.added:
                part = part.lstrip()
            if index + 1 < len(parts) and parts[index + 1] in self.added:
                part = part.rstrip()
            if part:
                yield from self._encode_words(part, continues=index > 0)

    def _encode_words(self, text: str, *, continues: bool) -> list[int]:
        pieces = self.pieces.encode(text, out_type=str)
        if continues and not self.legacy and not text.startswith(" ") and pieces[0].startswith(WORD_START):
            pieces = [piece for piece in (pieces[0].removeprefix(WORD_START), *pieces[1:]) if piece]
        return [self.pieces.piece_to_id(piece) for piece in pieces]

    def decode(self, token_ids: list[int]) -> str:
        """Return the text of ids from the SentencePiece model."""
        return str(self.pieces.decode(token_ids))

    def save(self, folder: Path) -> None:
        """Write the tokenizer files."""
        (folder / PIECES_FILE).write_bytes(self.pieces.serialized_model_proto())
        (folder / ADDED_TOKENS_FILE).write_text(json.dumps(self.added, indent=2) + "\n", encoding="utf-8")
        settings = {"tokenizer_class": "LlamaTokenizer", "legacy": self.legacy}
        (folder / TOKENIZER_CONFIG_FILE).write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


def _added_tokens(settings: dict[str, Any], folder: Path) -> dict[str, int]:
    """Return the added tokens from the file of their own or from the settings, where later versions keep them."""
    try:
        described = settings.get("added_tokens_decoder", {})
        added = {str(entry["content"]): int(token) for token, entry in described.items()}
        return added | {text: int(token) for text, token in _read_json(folder / ADDED_TOKENS_FILE).items()}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"The added tokens in {folder} cannot be read ({error!r}); copy them again.") from error


def _read_json(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file, empty when the file is not there."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read ({error}); copy it again.") from error
    if not isinstance(values, dict):
        raise CheckpointError(f"{path} holds {type(values).__name__} instead of an object; copy it again.")
    return values
