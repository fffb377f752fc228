from __future__ import annotations

import numpy as np
import pytest

from lisa_ros.evaluation.prompts import mask_request
from lisa_ros.training import templates
from lisa_ros.training.templates import explaining_question, mask_answer, mask_question


def all_of(draw):
    rng = np.random.default_rng(0)
    return {draw(rng) for _ in range(300)}


def test_there_are_as_many_forms_as_the_published_weights_know():
    sets = (templates.SHORT_QUESTIONS, templates.LONG_QUESTIONS, templates.EXPLAINING_QUESTIONS, templates.ANSWERS)
    assert [len(set(texts)) for texts in sets] == [4, 2, 3, 5]
    assert all("mask" in text or "segment" in text for questions in sets[:3] for text in questions)
    assert all("explain" in text for text in templates.EXPLAINING_QUESTIONS)


def test_every_answer_has_one_mask_and_ends_with_a_full_stop():
    answers = all_of(mask_answer)
    assert answers == set(templates.ANSWERS)
    assert all(answer.count("[SEG]") == 1 and answer.endswith("[SEG].") for answer in answers)


def test_phrases_are_asked_for_in_lower_case_and_sentences_as_they_stand():
    short = all_of(lambda rng: mask_question(" The Red CUP ", rng, is_sentence=False))
    assert len(short) == 4 and all("the red cup in this image" in question for question in short)
    long = all_of(lambda rng: mask_question("What keeps Food {cold}?", rng, is_sentence=True))
    assert len(long) == 2 and all(question.startswith("What keeps Food {cold}? Please ") for question in long)
    assert len(all_of(lambda rng: explaining_question("What keeps Food cold?", rng))) == 3


@pytest.mark.parametrize(("text", "is_sentence"), [("the red cup", False), ("What keeps food cold?", True)])
def test_the_requests_of_the_evaluation_are_among_those_that_are_learned(text, is_sentence):
    learned = all_of(lambda rng: mask_question(text, rng, is_sentence=is_sentence))
    assert mask_request(text, is_sentence=is_sentence) in learned
