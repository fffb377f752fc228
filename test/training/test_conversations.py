from __future__ import annotations

from collections import Counter

import cv2
import numpy as np
import pytest

from lisa_ros.answers import Turn
from lisa_ros.datasets.records import IGNORE, AnnotatedImage, ItemError, Referent
from lisa_ros.training.conversations import DrawConfig, draw_sample
from lisa_ros.training.templates import ANSWERS, EXPLAINING_QUESTIONS, LONG_QUESTIONS, SHORT_QUESTIONS

HEIGHT, WIDTH = 12, 20


@pytest.fixture
def image_path(tmp_path):
    rgb = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    rgb[:, :10] = (200, 100, 50)
    cv2.imwrite(str(tmp_path / "image.png"), rgb[..., ::-1])
    return tmp_path / "image.png"


def mask_of(column):
    """Target in one column, and pixels that no score counts in the last row."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[:, column] = 1
    mask[-1] = IGNORE
    return mask


def referents(texts_of, is_sentence=False):
    return tuple(Referent(texts, is_sentence, lambda c=column: mask_of(c)) for column, texts in enumerate(texts_of))


@pytest.fixture
def draw(image_path):
    def draw(seed=0, *, config=DrawConfig(), one_text_each=True, **parts):  # noqa: B008
        image = AnnotatedImage("image", image_path, **parts)
        return draw_sample(image, np.random.default_rng(seed), "set, image", config, one_text_each=one_text_each)

    return draw


def columns(sample):
    """The column that each mask covers, all but its last row."""
    found = [np.flatnonzero(mask[0]).tolist() for mask in sample.masks]
    assert all(mask.sum() == HEIGHT - 1 and not mask[-1].any() for mask in sample.masks)
    return [column for (column,) in found]


def name_asked(question):
    for template in SHORT_QUESTIONS:
        before, after = template.split("{name}")
        if question.startswith(before) and question.endswith(after):
            return question[len(before) : len(question) - len(after)]
    raise AssertionError(question)


def test_classes_are_asked_for_one_by_one_with_a_mask_each(draw):
    sample = draw(referents=referents([("Wall",), ("Sky",)]))
    assert sample.rgb.shape == (HEIGHT, WIDTH, 3) and sample.rgb[0, 0].tolist() == [200, 100, 50]
    assert sample.masks.dtype == np.bool_ and sample.masks.shape == (2, HEIGHT, WIDTH)
    assert [len(turns) for turns in sample.conversations] == [1, 1]
    assert [name_asked(turns[0].request) for turns in sample.conversations] == ["wall", "sky"]
    assert all(turns[0].answer in ANSWERS for turns in sample.conversations)
    assert columns(sample) == [0, 1] and sample.source == "set, image"


def test_of_many_classes_three_different_ones_are_drawn_all_alike(draw):
    seen = Counter()
    for seed in range(200):
        sample = draw(seed, referents=referents([(f"class {index}",) for index in range(5)]))
        names = [name_asked(turns[0].request) for turns in sample.conversations]
        assert len(set(names)) == 3 and names == [f"class {column}" for column in columns(sample)]
        seen.update(names)
    assert len(seen) == 5 and max(seen.values()) < 1.4 * min(seen.values())


def test_three_classes_come_in_any_order(draw):
    orders = {tuple(columns(draw(seed, referents=referents([("a",), ("b",), ("c",)])))) for seed in range(60)}
    assert len(orders) == 6


def test_a_part_is_called_by_either_of_its_names_and_never_asked_for_twice(draw):
    names = Counter()
    for seed in range(60):
        sample = draw(seed, referents=referents([("cup handle", "the handle of the cup")]))
        assert len(sample.conversations) == 1
        names[name_asked(sample.conversations[0][0].request)] += 1
    assert min(names["cup handle"], names["the handle of the cup"]) > 15


def test_expressions_are_drawn_from_alike_whatever_they_refer_to(draw):
    texts = [("left cup", "red cup", "cup by the wall", "Cup"), ("spoon",)]
    pairs = Counter()
    for seed in range(200):
        sample = draw(seed, referents=referents(texts), one_text_each=False)
        asked = [name_asked(turns[0].request) for turns in sample.conversations]
        assert len(set(asked)) == 3
        pairs.update(zip(asked, columns(sample), strict=True))
    assert set(pairs) == {("left cup", 0), ("red cup", 0), ("cup by the wall", 0), ("cup", 0), ("spoon", 1)}
    assert max(pairs.values()) < 1.5 * min(pairs.values())


@pytest.mark.parametrize("most", [1, 2])
def test_no_more_is_asked_than_configured(draw, most):
    config = DrawConfig(most_conversations=most)
    sample = draw(referents=referents([("a",), ("b",), ("c",)]), config=config)
    assert len(sample.conversations) == len(sample.masks) == most


def test_sentences_get_the_long_questions(draw):
    questions = set()
    for seed in range(30):
        sample = draw(seed, referents=referents([("What keeps Food cold?",)], is_sentence=True), one_text_each=False)
        questions.add(sample.conversations[0][0].request)
    assert questions == {template.format(sentence="What keeps Food cold?") for template in LONG_QUESTIONS}


def test_a_whole_conversation_has_no_masks(draw):
    conversation = (Turn("What is  it?\n", "A wall.\n"), Turn("Why?", "To stand."))
    sample = draw(conversations=(conversation,))
    assert sample.conversations == (conversation,)
    assert sample.masks.shape == (0, HEIGHT, WIDTH) and sample.masks.dtype == np.bool_


def explained(draw, seed, **options):
    sentence, explanation = "What keeps food cold?", "The fridge keeps it cold."
    return draw(
        seed,
        referents=referents([(sentence,)], is_sentence=True),
        explanations=(Turn("Another wording?", explanation),),
        one_text_each=False,
        **options,
    )


def test_explanations_come_alone_beside_a_mask_or_not_at_all_as_often_as_in_the_reference(draw):
    kinds = Counter()
    for seed in range(1000):
        sample = explained(draw, seed)
        turn = sample.conversations[0][0]
        if turn.answer in ANSWERS:
            kinds["mask"] += 1
            assert turn.request in {template.format(sentence="What keeps food cold?") for template in LONG_QUESTIONS}
        elif "[SEG]" in turn.answer:
            kinds["both"] += 1
            assert turn.answer.removesuffix(" The fridge keeps it cold.") in ANSWERS
            assert turn.request in {template.format(text="What keeps food cold?") for template in EXPLAINING_QUESTIONS}
        else:
            kinds["words"] += 1
            assert turn == Turn("What keeps food cold?", "The fridge keeps it cold.")
        assert len(sample.masks) == ("[SEG]" in turn.answer)
    assert 70 < kinds["words"] < 130 and abs(kinds["mask"] - kinds["both"]) < 100


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_the_share_of_answers_in_words_alone_is_configured(draw, share):
    config = DrawConfig(words_only_share=share)
    assert [len(explained(draw, seed, config=config).masks) for seed in range(10)] == [int(1 - share)] * 10


def test_the_same_generator_draws_the_same(draw):
    first, second = (draw(5, referents=referents([(name,) for name in "abcdefgh"])) for _ in range(2))
    assert first.conversations == second.conversations and np.array_equal(first.masks, second.masks)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({}, r"set, image has nothing that can be asked for"),
        ({"referents": (Referent(("cup",), False, lambda: np.ones((3, 4), np.uint8)),)}, r"mask of \[3, 4\] pixels"),
        ({"referents": (Referent(("[SEG] cup",), False, lambda: mask_of(0)),)}, r"\[SEG\] has a meaning of its own"),
        ({"referents": (Referent((" ",), False, lambda: mask_of(0)),)}, "has an empty text"),
        ({"conversations": ((Turn("What?", "A <image>."),),)}, "<image> has a meaning of its own"),
        ({"conversations": ((Turn("What?", ""),),)}, "has an empty text"),
    ],
)
def test_what_cannot_be_learned_is_an_error_of_the_item(draw, parts, message):
    with pytest.raises(ItemError, match=message):
        draw(**parts)


def test_an_image_that_cannot_be_read_is_an_error_of_the_item(draw, image_path):
    image_path.write_bytes(image_path.read_bytes()[:40])
    with pytest.raises(ItemError, match="image.png"):
        draw(referents=referents([("cup",)]))


@pytest.mark.parametrize("options", [{"most_conversations": 0}, {"words_only_share": 1.5}])
def test_settings_that_make_no_sense_are_refused(options):
    (name, value), *_ = options.items()
    with pytest.raises(ValueError, match=f"{name} is {value}; it must"):
        DrawConfig(**options)
