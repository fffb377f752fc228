from __future__ import annotations

import re

import numpy as np
import pytest

from lisa_ros.simulation.requests.bank import load_bank
from lisa_ros.simulation.requests.replies import absent_answer, all_answers, present_answer
from lisa_ros.simulation.requests.sampling import RequestSplit, sample_requests

BANK = load_bank()
ANSWERS = list(all_answers())


def test_an_answer_names_the_kind_then_gives_the_mask_then_the_reason():
    cup, meaning = BANK.kinds["cup"], BANK.kinds["cup"].meanings[0]
    assert present_answer(cup, meaning, several=False) == f"It is the {cup.name} [SEG]. {meaning.because}"
    assert present_answer(cup, meaning, several=True) == f"They are the {cup.plural} [SEG]. {meaning.because_plural}"
    scissors = BANK.kinds["scissors"]
    assert present_answer(scissors, scissors.meanings[0], several=False).startswith("These are the scissors [SEG]. The")
    assert absent_answer(cup) == f"I see no {cup.name} here [REJ]."


def test_every_answer_has_one_mark_and_whole_sentences():
    for answer in ANSWERS:
        assert answer.count("[SEG]") + answer.count("[REJ]") == 1
        assert re.fullmatch(r"(?:[A-Z].* )?\[(?:SEG|REJ)\]\.(?: (?:It|Its|They|Their) .+\.)?", answer), answer


@pytest.mark.parametrize("split", RequestSplit)
def test_every_answer_that_can_be_drawn_is_among_all_answers(split):
    known = set(ANSWERS)
    rng = np.random.default_rng(0)
    for _ in range(20):
        names = rng.permutation(list(BANK.kinds))[:6]
        scene = {str(name): [2 * i + 1, 2 * i + 2][: 1 + i % 2] for i, name in enumerate(names)}
        assert {request.answer for request in sample_requests(scene, rng, 40, split)} <= known


def test_every_kind_can_be_found_alone_found_in_numbers_and_missed():
    assert "[SEG]." in ANSWERS
    for kind in BANK.kinds.values():
        assert absent_answer(kind) in ANSWERS
        for several in (False, True):
            assert all(present_answer(kind, meaning, several) in ANSWERS for meaning in kind.meanings)
