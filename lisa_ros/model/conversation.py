"""The text around a request, as each checkpoint was trained with it."""

from __future__ import annotations

import re

IMAGE_PLACEHOLDER = "<image>"
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
CONTROL_CHARACTERS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")


def neutralised(text: str) -> str:
    """Return user text without control characters and without anything that reads as a special token or a role.

    What is removed can uncover another special token, so it is repeated until nothing is left to remove.
    """
    text = CONTROL_CHARACTERS.sub(" ", text)
    while RESERVED.search(text):
        text = RESERVED.sub(" ", text)
    return " ".join(text.split())


def llava_prompt(conversation: str, request: str, *, with_image_markers: bool = True) -> str:
    """Return the prompt of one turn about one image; the next thing after it is the answer.

    Templates of LLaVA, as the official LISA uses them: ``llava_v1`` for all its checkpoints, ``llava_llama_2`` offered.
    """
    image = f"<im_start>{IMAGE_PLACEHOLDER}<im_end>" if with_image_markers else IMAGE_PLACEHOLDER
    message = f"{image}\n{request}"
    if conversation == "llava_llama_2":
        return f"[INST] <<SYS>>\n{LLAVA_LLAMA_2_SYSTEM}\n<</SYS>>\n\n{message} [/INST]"
    return f"{LLAVA_V1_SYSTEM} USER: {message} ASSISTANT:"
