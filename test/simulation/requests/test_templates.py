import numpy as np

from lisa_ros.simulation.requests.bank import Wording
from lisa_ros.simulation.requests.templates import (
    EXPLAIN_SUFFIX,
    HELD_OUT_TEMPLATES,
    MASK_SUFFIX,
    TRAINING_TEMPLATES,
    Template,
    add_typing_noise,
    fill,
)

KNIFE, SCISSORS = Wording("the knife"), Wording("the scissors", plural=True)


def test_there_are_enough_templates_and_no_held_out_one_is_trained_on():
    training, held_out = {t.text for t in TRAINING_TEMPLATES}, {t.text for t in HELD_OUT_TEMPLATES}
    assert len(training) == len(TRAINING_TEMPLATES) >= 24
    assert len(held_out) == len(HELD_OUT_TEMPLATES) >= 8
    assert not training & held_out


def test_the_suffixes_of_the_paper_are_among_the_training_templates():
    assert any(template.text.endswith(MASK_SUFFIX) for template in TRAINING_TEMPLATES)
    assert any(template.text.endswith(EXPLAIN_SUFFIX) for template in TRAINING_TEMPLATES)


def test_every_template_takes_the_phrase_and_leaves_no_brace():
    for template in TRAINING_TEMPLATES + HELD_OUT_TEMPLATES:
        for wording in (KNIFE, SCISSORS):
            text = fill(template, wording)
            assert wording.text in text.lower()
            assert not set("{}") & set(text)


def test_verb_and_pronoun_agree_with_the_phrase():
    template = Template("Where {is} {phrase}? I lost {it}.")
    assert fill(template, KNIFE) == "Where is the knife? I lost it."
    assert fill(template, SCISSORS) == "Where are the scissors? I lost them."


def test_a_sentence_that_starts_with_the_phrase_is_capitalised():
    assert fill(Template("{phrase}, please."), KNIFE) == "The knife, please."
    assert fill(Template("{phrase}"), KNIFE) == "the knife"


def test_typing_noise_keeps_the_letters_and_changes_little():
    text = "Where is the teapot with the spout?"
    noisy = [add_typing_noise(text, np.random.default_rng(seed)) for seed in range(30)]
    assert {"where is the teapot with the spout?", "where is the teapot with the spout"} < set(noisy)
    assert len(set(noisy)) > 5
    for variant in noisy:
        assert sorted(variant.lower().rstrip("?")) == sorted(text.lower().rstrip("?"))


def test_typing_noise_leaves_short_words_alone():
    assert {add_typing_noise("a cup", np.random.default_rng(seed)) for seed in range(20)} == {"a cup"}
