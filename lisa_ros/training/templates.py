"""Questions and answers around what a data set knows: the forms that the published LISA learned from.

Their number and form are the reference's (LISA, arXiv 2308.00692, section 3.3): whoever goes on training a published
checkpoint asks it as it was asked before. The two questions that end in "Please output segmentation mask." are also
those of the paper's evaluation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

SHORT_QUESTIONS = (
    "Can you segment the {name} in this image?",
    "Please segment the {name} in this image.",
    "What is {name} in this image? Please respond with segmentation mask.",
    "What is {name} in this image? Please output segmentation mask.",
)
"""For a noun phrase."""
LONG_QUESTIONS = (
    "{sentence} Please respond with segmentation mask.",
    "{sentence} Please output segmentation mask.",
)
"""For a whole sentence."""
EXPLAINING_QUESTIONS = (
    "{text} Please output segmentation mask and explain why.",
    "{text} Please respond with segmentation mask and explain why.",
    "{text} Please output segmentation mask and explain the answer.",
)
"""For a mask and the reason for it."""
ANSWERS = (
    "It is [SEG].",
    "Sure, [SEG].",
    "Sure, it is [SEG].",
    "Sure, the mask is [SEG].",
    "[SEG].",
)
"""One mask each."""

Item = TypeVar("Item")


def pick(items: Sequence[Item], rng: np.random.Generator) -> Item:
    """Return one of several equally likely things."""
    return items[int(rng.integers(len(items)))]


def mask_question(text: str, rng: np.random.Generator, *, is_sentence: bool) -> str:
    """Ask for the mask of a sentence, or of a phrase in lower case."""
    if is_sentence:
        return pick(LONG_QUESTIONS, rng).format(sentence=text)
    return pick(SHORT_QUESTIONS, rng).format(name=text.strip().lower())


def explaining_question(text: str, rng: np.random.Generator) -> str:
    """Ask for a mask and for the reason for it."""
    return pick(EXPLAINING_QUESTIONS, rng).format(text=text)


def mask_answer(rng: np.random.Generator) -> str:
    """Answer with one mask."""
    return pick(ANSWERS, rng)
