from __future__ import annotations

from dataclasses import replace

import pytest

from lisa_ros.model.checkpoints import CheckpointError
from lisa_ros.model.modeling import IMAGE_TOKEN, REQUEST_TOKEN
from lisa_ros.model.processing import LisaProcessor, spaced_like_print
from lisa_ros.model.text_processing import TabletopTextProcessor, load_text_processor

UNKNOWN, CLS, SEP = 1, 2, 3


def test_a_prompt_is_begin_image_request_answer(tiny_text):
    prompt = tiny_text.prompt("Where is the knife?")
    assert prompt.prefix_ids.tolist() == [1, IMAGE_TOKEN]
    assert prompt.request_ids.tolist() == [REQUEST_TOKEN, tiny_text.answer_tokenizer.token_to_id("<answer>")]
    vocabulary = tiny_text.request_tokenizer.get_vocab()
    expected = [vocabulary[word] for word in ("[CLS]", "where", "is", "the", "knife", "?", "[SEP]")]
    assert prompt.request.input_ids.tolist() == [expected]
    assert prompt.request.attention_mask.tolist() == [[1] * len(expected)]


@pytest.mark.parametrize(
    "text", ["[SEP] where [CLS] is [MASK]", "[CL[SEP]S] where [SEG] is", "</s>[PAD]where\x00 is [UNK]"]
)
def test_a_request_cannot_smuggle_special_tokens(tiny_text, text):
    ids = tiny_text.request_inputs(text).input_ids[0].tolist()
    assert ids[0] == CLS and ids[-1] == SEP
    assert not {0, CLS, SEP, 4} & set(ids[1:-1])


def test_a_long_request_is_cut_and_still_ends(tiny_text):
    ids = tiny_text.request_inputs("knife " * 100).input_ids[0].tolist()
    assert len(ids) == 16 and ids[-1] == SEP


@pytest.mark.parametrize(
    ("answer", "words", "label"),
    [
        ("It is the knife [SEG].", "It is the knife.", "knife"),
        ("The bananas are [SEG].", "The bananas are.", ""),
        ("[SEG].", "", ""),
        ("I see no hammer here [REJ].", "I see no hammer here.", "hammer"),
    ],
)
def test_answers_come_back_as_words_and_names(tiny_text, answer, words, label):
    ids = tiny_text.answer_ids(answer)
    assert ids[-1] == tiny_text.config.tokens.eos
    assert tiny_text.words(ids) == words
    special = {tiny_text.config.tokens.seg, tiny_text.config.tokens.rejection}
    until = next(index for index, token in enumerate(ids) if token in special)
    assert tiny_text.label(ids[:until]) == label


def test_words_grow_by_what_a_longer_answer_adds_even_inside_a_character(tiny_text):
    ids = tiny_text.answer_ids("It is the 刀, no é knife [SEG] ; sharp.")
    texts = [tiny_text.words(ids[:count]) for count in range(len(ids) + 1)]
    assert texts[-1] == "It is the 刀, no é knife; sharp."
    assert all(later.startswith(earlier) for earlier, later in zip(texts, texts[1:], strict=False))


def test_text_is_spaced_like_print():
    assert spaced_like_print("  the  knife , or ;  this .\n") == "the knife, or; this."
    assert spaced_like_print(" . Here , caf\ufffd") == "Here, caf"


def test_the_tokenizers_survive_a_round_trip_through_a_folder(tiny_text, tmp_path):
    LisaProcessor(tiny_text.config, tiny_text).save_pretrained(tmp_path)
    loaded = LisaProcessor.from_pretrained(tmp_path)
    assert loaded.config == tiny_text.config and isinstance(loaded.text, TabletopTextProcessor)
    assert loaded.text.answer_ids("It is the knife [SEG].") == tiny_text.answer_ids("It is the knife [SEG].")
    request = "where is the hammer"
    assert loaded.text.request_inputs(request).input_ids.equal(tiny_text.request_inputs(request).input_ids)


def test_a_tokenizer_of_another_checkpoint_is_refused(tiny_text):
    config = replace(tiny_text.config, tokens=replace(tiny_text.config.tokens, seg=7))
    with pytest.raises(CheckpointError, match=r"gives \[SEG\] the id 4; the configuration says 7"):
        TabletopTextProcessor(tiny_text.answer_tokenizer, tiny_text.request_tokenizer, config)


@pytest.mark.parametrize("name", ["tokenizer.json", "request_tokenizer.json"])
def test_a_missing_or_damaged_tokenizer_is_one_sentence(tiny_text, tmp_path, name):
    tiny_text.save(tmp_path)
    (tmp_path / name).write_text("{")
    with pytest.raises(CheckpointError, match=rf"{name} cannot be read as a tokenizer .*; copy it again\.$"):
        load_text_processor(tmp_path, tiny_text.config)
    (tmp_path / name).unlink()
    with pytest.raises(CheckpointError, match=name):
        load_text_processor(tmp_path, tiny_text.config)
