"""The requests of the paper's evaluation (``ValDataset`` of the reference)."""

from __future__ import annotations


def mask_request(text: str, *, is_sentence: bool) -> str:
    """Return the request for the mask of a sentence ("What keeps the food cold?") or of a phrase ("the red cup")."""
    text = text.strip()
    question = text if is_sentence else f"What is {text} in this image?"
    return f"{question} Please output segmentation mask."
