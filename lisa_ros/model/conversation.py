"""The text around requests and answers, as each checkpoint was trained with it, and user text that cannot break it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence

from lisa_ros.answers import Turn
from lisa_ros.model.processing import UNFINISHED_CHARACTER

IMAGE_PLACEHOLDER = "<image>"
SEG, REJECTION = "[SEG]", "[REJ]"
LLAVA_V1_SYSTEM = (
    "A chat between a curious human and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the human's questions."
)
LLAVA_LLAMA_2_SYSTEM = (
    "You are a helpful language and vision assistant. "
    "You are able to understand the visual content that the user provides, "
    "and assist the user with a variety of tasks using natural language."
)
RESERVED = re.compile(
    r"\[SEG\]|\[REJ\]|\[INST\]|\[/INST\]|<</?SYS>>|</?s>|<unk>|<pad>|<image>|<im_start>|<im_end>|<im_patch>"
    r"|\[CLS\]|\[SEP\]|\[MASK\]|\[PAD\]|\[UNK\]|USER:|ASSISTANT:",
    re.IGNORECASE,
)
"""What reads as a special token or as a role, of whatever checkpoint."""
CONTROL_CHARACTERS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u2581\ud800-\udfff]")
"""Controls, halves of characters that no UTF-8 holds, and the sign that SentencePiece itself writes for a space."""
INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
"""Unicode's Default_Ignorable_Code_Point: nobody sees them, so "[S\u200bEG]" reads as the token all the same."""
PUNCTUATION = (".", ",", ":", ";", "?", "!")


def reserved_with(special_tokens: Iterable[str]) -> re.Pattern[str]:
    """Return ``RESERVED`` together with the special tokens of one checkpoint."""
    longest_first = sorted(filter(str.strip, special_tokens), key=len, reverse=True)
    return re.compile("|".join([*map(re.escape, longest_first), RESERVED.pattern]), re.IGNORECASE)


def neutralised(text: str, reserved: re.Pattern[str] = RESERVED, *, one_line: bool = True) -> str:
    """Return user text, on ``one_line`` with single spaces, without controls and what reads as ``reserved``.

    Invisible characters inside a token and the compatible forms of its letters (fullwidth ones, ...) hide nothing;
    text without tokens keeps them. What is removed can uncover another token, so it is repeated until nothing changes.
    """
    text, before = CONTROL_CHARACTERS.sub(" ", text), None
    while text != before:
        before, text = text, _without(reserved, text)
        text = " ".join(text.split()) if one_line else text
    return text


def neutralised_answer(text: str, reserved: re.Pattern[str] = RESERVED) -> str:
    """Return an answer that a history quotes: its ``[SEG]`` and its line breaks stay, the rest is ``neutralised``."""
    return joined_at_seg([neutralised(part, reserved, one_line=False) for part in text.split(SEG)])


def _without(reserved: re.Pattern[str], text: str) -> str:
    text = reserved.sub(" ", text)
    as_read = INVISIBLE.sub("", unicodedata.normalize("NFKC", text))
    return reserved.sub(" ", as_read) if reserved.search(as_read) else text


def joined_at_seg(parts: Sequence[str]) -> str:
    """Return parts of an answer with a ``[SEG]`` between every two, spaces as in print around it."""
    text = parts[0]
    for part in parts[1:]:
        part = part.lstrip()
        text = f"{text.rstrip()} {SEG}{'' if part.startswith(PUNCTUATION) else ' '}{part}"
    return text.strip()


def transcript_of(token_ids: Iterable[int], seg: int, decode: Callable[[list[int]], str]) -> str:
    """Return the text of an answer's ids, ``[SEG]`` where ``seg`` stands, to be quoted in a history.

    Words that merely spell a special token are left out, and so is the beginning of a character at the end.
    """
    parts: list[list[int]] = [[]]
    for token in token_ids:
        if token == seg:
            parts.append([])
        else:
            parts[-1].append(token)
    text = joined_at_seg([neutralised(decode(part), one_line=False) for part in parts])
    return text.rstrip(UNFINISHED_CHARACTER)


def llava_prompt(conversation: str, turns: Sequence[Turn], request: str, *, with_image_markers: bool = True) -> str:
    """Return the prompt of a request after the turns that it follows; the next thing after it is the answer."""
    *earlier, (prompt, _) = llava_texts(
        conversation, [*turns, Turn(request, "")], with_image_markers=with_image_markers
    )
    return "".join(before + answer for before, answer in earlier) + prompt


def llava_texts(conversation: str, turns: Sequence[Turn], *, with_image_markers: bool = True) -> list[tuple[str, str]]:
    """Return for every turn about one image what comes before its answer, and the answer with what ends it.

    Joined they are the conversation. Templates of LLaVA, as the official LISA uses them: ``llava_v1`` for all its
    checkpoints, ``llava_llama_2`` offered. The image stands in the first turn, ``with_image_markers`` between two
    tokens of its own.
    """
    image = f"<im_start>{IMAGE_PLACEHOLDER}<im_end>" if with_image_markers else IMAGE_PLACEHOLDER
    lay_out = _llama_2_turn if conversation == "llava_llama_2" else _v1_turn
    return [
        lay_out(turn.request if number else f"{image}\n{turn.request}", turn.answer, is_first=number == 0)
        for number, turn in enumerate(turns)
    ]


def _v1_turn(request: str, answer: str, *, is_first: bool) -> tuple[str, str]:
    opening = f"{LLAVA_V1_SYSTEM} " if is_first else ""
    return f"{opening}USER: {request} ASSISTANT:", f" {answer}</s>" if answer else "</s>"


def _llama_2_turn(request: str, answer: str, *, is_first: bool) -> tuple[str, str]:
    opening = f"[INST] <<SYS>>\n{LLAVA_LLAMA_2_SYSTEM}\n<</SYS>>\n\n" if is_first else "<s>[INST] "
    return f"{opening}{request} [/INST]", f" {answer} </s>" if answer else " </s>"
