"""From an annotated image to conversations about it, drawn anew every time it is seen.

What is drawn is what the reference draws (dvlab-research/LISA, its data sets for training): up to three things to ask
for, each in a conversation of its own; a whole conversation where the data set has some; explanations now and then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lisa_ros.answers import Turn
from lisa_ros.datasets.images import read_rgb
from lisa_ros.datasets.records import AnnotatedImage, ItemError, Referent
from lisa_ros.training.samples import TrainingSample
from lisa_ros.training.templates import explaining_question, mask_answer, mask_question, pick

RESERVED_TEXTS = ("[SEG]", "[REJ]", "<image>", "<im_start>", "<im_end>", "<s>", "</s>")
"""Texts of a data set that hold one of these would be read as something else."""


@dataclass(frozen=True, slots=True)
class DrawConfig:
    """How conversations are drawn; the defaults are the reference's.

    At most ``most_conversations`` are about one image. Where an image has an explanation, a share of
    ``words_only_share`` is answered with the explanation alone, half of the rest with a mask and the explanation.
    """

    most_conversations: int = 3
    words_only_share: float = 0.1

    def __post_init__(self) -> None:
        if self.most_conversations < 1:
            raise ValueError(f"most_conversations is {self.most_conversations}; it must be 1 or more.")
        if not 0 <= self.words_only_share <= 1:
            raise ValueError(f"words_only_share is {self.words_only_share}; it must lie in [0, 1].")


def draw_sample(
    image: AnnotatedImage, rng: np.random.Generator, source: str, config: DrawConfig, *, one_text_each: bool
) -> TrainingSample:
    """Draw conversations about one image; ``source`` names it in messages.

    With ``one_text_each`` things are drawn and then one of the texts of each (classes and parts, which have one name
    or two); without it all texts of all things are drawn from alike (expressions, instructions). Raises ``ItemError``
    where the image or a mask cannot be had, where nothing is asked, and where a text holds a special token.
    """
    rgb = read_rgb(image.image_path)
    if image.conversations:
        conversation = tuple(
            Turn(_checked(turn.request, source), _checked(turn.answer, source))
            for turn in pick(image.conversations, rng)
        )
        return TrainingSample(rgb, (conversation,), _stacked([], rgb), source)
    asked = _asked(image.referents, rng, config.most_conversations, one_text_each=one_text_each)
    if not asked:
        raise ItemError(f"{source} has nothing that can be asked for.")
    asked = [(referent, _checked(text, source)) for referent, text in asked]
    explanation = _checked(pick(image.explanations, rng).answer, source) if image.explanations else ""
    turns, with_masks = _turns(asked, explanation, rng, config)
    masks = [_mask(referent, rgb, source) for referent, _ in asked] if with_masks else []
    return TrainingSample(rgb, tuple((turn,) for turn in turns), _stacked(masks, rgb), source)


def _asked(
    referents: Sequence[Referent], rng: np.random.Generator, most: int, *, one_text_each: bool
) -> list[tuple[Referent, str]]:
    """Draw things to ask for with a text for each: all that there are, or ``most`` different ones."""
    choices = [
        (referent, texts)
        for referent in referents
        for texts in ([referent.texts] if one_text_each else _apart(referent))
    ]
    chosen = rng.choice(len(choices), most, replace=False) if len(choices) >= most else range(len(choices))
    return [(choices[index][0], pick(choices[index][1], rng)) for index in chosen]


def _apart(referent: Referent) -> list[tuple[str, ...]]:
    return [(text,) for text in referent.texts]


def _turns(
    asked: Sequence[tuple[Referent, str]], explanation: str, rng: np.random.Generator, config: DrawConfig
) -> tuple[list[Turn], bool]:
    """Return a turn for everything that is asked, and whether the answers have masks."""
    if explanation and rng.random() < config.words_only_share:
        return [Turn(text, explanation) for _, text in asked], False
    if explanation and rng.random() < 0.5:
        return [Turn(explaining_question(text, rng), f"{mask_answer(rng)} {explanation}") for _, text in asked], True
    return [
        Turn(mask_question(text, rng, is_sentence=referent.is_sentence), mask_answer(rng)) for referent, text in asked
    ], True


def _checked(text: str, source: str) -> str:
    """Return a text of a data set; raises ``ItemError`` where it cannot be learned."""
    found = [reserved for reserved in RESERVED_TEXTS if reserved in text]
    if found:
        raise ItemError(f"{source} has the text {text!r}; {found[0]} has a meaning of its own and cannot be learned.")
    if not text.strip():
        raise ItemError(f"{source} has an empty text; nothing can be learned from it.")
    return text


def _mask(referent: Referent, rgb: NDArray[np.uint8], source: str) -> NDArray[np.bool_]:
    """Return the target of training: pixels that no score counts are background, as in the reference."""
    mask = referent.mask()
    if mask.shape != rgb.shape[:2]:
        raise ItemError(f"{source} has a mask of {list(mask.shape)} pixels for an image of {list(rgb.shape[:2])}.")
    return mask == 1


def _stacked(masks: Sequence[NDArray[np.bool_]], rgb: NDArray[np.uint8]) -> NDArray[np.bool_]:
    return np.stack(masks) if masks else np.zeros((0, *rgb.shape[:2]), np.bool_)
