"""Sentences around a noun phrase: how people wrap "the thing with the spout" when they speak to a robot.

``{phrase}`` is the noun phrase; ``{is}`` and ``{it}`` agree with its number. The two suffixes about the
segmentation mask are those of the LISA paper (arXiv 2308.00692).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lisa_ros.simulation.requests.bank import Wording

MASK_SUFFIX = "Please output segmentation mask."
EXPLAIN_SUFFIX = "Please respond with segmentation mask and explain why."


@dataclass(frozen=True, slots=True)
class Template:
    """One sentence around a phrase; ``fetch`` marks those that only fit things which can be handed over."""

    text: str
    fetch: bool = False


TRAINING_TEMPLATES = (
    Template("Where {is} {phrase}?"),
    Template("where {is} {phrase}"),
    Template("Can you find {phrase}?"),
    Template("Could you hand me {phrase}?", fetch=True),
    Template("Please give me {phrase}.", fetch=True),
    Template("Bring me {phrase}, will you?", fetch=True),
    Template("segment {phrase}"),
    Template("Please segment {phrase} in this image."),
    Template("{phrase}, please."),
    Template("{phrase}"),
    Template("I am looking for {phrase}."),
    Template("I need {phrase}."),
    Template("I want {phrase}."),
    Template("Which of these {is} {phrase}?"),
    Template("What here {is} {phrase}?"),
    Template("Show me {phrase}."),
    Template("Point at {phrase}."),
    Template("Do you see {phrase}?"),
    Template("Can you see {phrase} over there?"),
    Template("Pick up {phrase}.", fetch=True),
    Template("Grab {phrase} for me.", fetch=True),
    Template("find {phrase}"),
    Template("I can't find {phrase}, can you?"),
    Template("Would you mind showing me {phrase}?"),
    Template("Robot, look for {phrase}."),
    Template("We could use {phrase} right now."),
    Template("Tell me where {phrase} {is}."),
    Template("What I need now {is} {phrase}."),
    Template("Let me have {phrase}.", fetch=True),
    Template("Mark {phrase} in the picture."),
    Template("Where in this image {is} {phrase}? " + MASK_SUFFIX),
    Template("What {is} {phrase} in this image? " + MASK_SUFFIX),
    Template("Can you segment {phrase}? " + EXPLAIN_SUFFIX),
    Template("Where {is} {phrase}? " + EXPLAIN_SUFFIX),
    Template("If you see {phrase}, point at {it}."),
    Template("Hello, I'm trying to find {phrase}. Where {is} {it}?"),
)

HELD_OUT_TEMPLATES = (
    Template("Have you got any idea where I could find {phrase}?"),
    Template("Would you be so kind as to pass me {phrase}?", fetch=True),
    Template("Fetch {phrase}, buddy.", fetch=True),
    Template("Highlight {phrase}."),
    Template("My boss asked for {phrase}. Which one would that be?"),
    Template("Locate {phrase} and tell me why you chose {it}."),
    Template("Hmm, there must be {phrase} somewhere on this table."),
    Template("Reach for {phrase}.", fetch=True),
    Template("Outline the pixels of {phrase}, please."),
    Template("I'd be grateful if you could spot {phrase} for me."),
    Template("Quick, {phrase}!"),
    Template("Any chance you can see {phrase} from where you are?"),
)

SENTENCE_SUFFIXES = ("", "", "", "", "", "", " " + MASK_SUFFIX, " " + EXPLAIN_SUFFIX)
"""What may follow a whole request; most requests stand alone."""


def fill(template: Template, wording: Wording) -> str:
    """Return ``template`` around the phrase ``wording``, its verb in the right number and its first letter right."""
    words = {"is": "are", "it": "them"} if wording.plural else {"is": "is", "it": "it"}
    text = template.text.format_map({"phrase": wording.text, **words})
    starts_sentence = template.text.startswith("{phrase}") and template.text.endswith(".")
    return text[0].upper() + text[1:] if starts_sentence else text


def add_typing_noise(text: str, rng: np.random.Generator) -> str:
    """Return ``text`` as typed in a hurry: in lower case, without its last mark, or with two letters swapped."""
    slip = rng.integers(3)
    if slip == 0:
        return text.lower()
    if slip == 1:
        return text.lower().rstrip(".?!")
    return _swap_letters(text, rng)


def _swap_letters(text: str, rng: np.random.Generator) -> str:
    """Swap two neighbouring letters inside a word of four letters or more; shorter words become other words."""
    inside = [i for i in range(1, len(text) - 2) if text[i - 1 : i + 3].isalpha() and text[i] != text[i + 1]]
    if not inside:
        return text
    at = inside[rng.integers(len(inside))]
    return text[:at] + text[at + 1] + text[at] + text[at + 2 :]
