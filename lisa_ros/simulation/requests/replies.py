"""The answers that the model is taught to write; ``[SEG]`` and ``[REJ]`` stand for one token each."""

from __future__ import annotations

from collections.abc import Iterator

from lisa_ros.simulation.requests.bank import Bank, Kind, Meaning, load_bank

OUT_OF_DOMAIN_ANSWER = "I do not see that here [REJ]."


def present_answer(kind: Kind, meaning: Meaning, several: bool) -> str:
    """Return the answer that names one or several objects of a kind and says why."""
    return f"{kind.opening(several)} [SEG]. {meaning.because_plural if several else meaning.because}"


def absent_answer(kind: Kind) -> str:
    """Return the answer that says a kind is not in view."""
    return f"I see no {kind.name} here [REJ]."


def all_answers(bank: Bank | None = None) -> Iterator[str]:
    """Yield every answer that can be a training target, and the bare mask."""
    for kind in (bank or load_bank()).kinds.values():
        for meaning in kind.meanings:
            yield present_answer(kind, meaning, several=False)
            yield present_answer(kind, meaning, several=True)
        yield absent_answer(kind)
    yield OUT_OF_DOMAIN_ANSWER
    yield BARE_MASK_ANSWER


BARE_MASK_ANSWER = "[SEG]."
"""The answer of the paper's evaluation prompt: a mask and nothing else."""
