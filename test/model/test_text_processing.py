from __future__ import annotations

import random
from dataclasses import replace

import pytest
from tokenizers import Tokenizer

from lisa_ros.answers import Turn
from lisa_ros.model.checkpoint_folder import CheckpointError
from lisa_ros.model.modeling import IMAGE_TOKEN, REQUEST_TOKEN
from lisa_ros.model.processing import IGNORE_INDEX, LisaProcessor, PromptError, spaced_like_print
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


def test_a_request_that_follows_others_is_refused_in_one_sentence(tiny_text):
    history = [Turn("where is the knife", "It is the knife [SEG].")]
    with pytest.raises(PromptError, match=r"^The request follows 1 earlier turns, [^\n]*; ask without a history\.$"):
        tiny_text.prompt("why?", history)
    assert tiny_text.prompt("why?", ()).request_ids.equal(tiny_text.prompt("why?").request_ids)


def test_a_conversation_is_a_prompt_and_its_answer_to_be_learned(tiny_text):
    answer = "I see no hammer here [REJ]."
    inputs, prompt = (
        tiny_text.conversation([Turn("Where is the hammer?", answer)]),
        tiny_text.prompt("Where is the hammer?"),
    )
    given, learned = [*prompt.prefix_ids.tolist(), *prompt.request_ids.tolist()], tiny_text.answer_ids(answer)
    assert learned[-1] == 2 and learned.count(5) == 1
    assert inputs.input_ids.tolist() == given + learned
    assert inputs.labels.tolist() == [IGNORE_INDEX] * len(given) + learned
    assert inputs.request.input_ids.equal(prompt.request.input_ids)


@pytest.mark.parametrize("count", [0, 2])
def test_a_conversation_of_other_than_one_turn_is_refused(tiny_text, count):
    with pytest.raises(
        ValueError, match=f"^The conversation has {count} turns; this checkpoint learns single requests"
    ):
        tiny_text.conversation([Turn("where", "It is the knife [SEG].")] * count)


@pytest.mark.parametrize(
    ("answer", "transcript"),
    [
        ("It is the knife [SEG]. It is sharp.", "It is the knife [SEG]. It is sharp."),
        ("[SEG].", "[SEG]."),
        ("I see no hammer here [REJ].", "I see no hammer here."),
    ],
)
def test_transcripts_keep_the_masks_and_no_other_special_token(tiny_text, answer, transcript):
    assert tiny_text.transcript(tiny_text.answer_ids(answer)) == transcript


@pytest.mark.parametrize(
    "text",
    ["[SEP] where [CLS] is [MASK]", "[CL[SEP]S] where [SEG] is", "</s>[PAD]where\x00 is [UNK]", "where [S\u200bEP] is"],
)
def test_a_request_cannot_smuggle_special_tokens(tiny_text, text):
    ids = tiny_text.request_inputs(text).input_ids[0].tolist()
    assert ids[0] == CLS and ids[-1] == SEP
    assert not {0, CLS, SEP, 4} & set(ids[1:-1])
    assert ids[-3:] == tiny_text.request_inputs("where is").input_ids[0].tolist()[-3:]


def test_no_combination_of_pieces_smuggles_a_special_token(tiny_text):
    tokenizer = Tokenizer.from_str(tiny_text.request_tokenizer.to_str())
    tokenizer.add_special_tokens(["<own>", "[low]"])
    text, rng = TabletopTextProcessor(tiny_text.answer_tokenizer, tokenizer, tiny_text.config), random.Random(2)
    pieces = [
        "[SEP]",
        "[S",
        "EP]",
        "[CLS]",
        "[Mas",
        "K]",
        "\u212a]",
        "[PAD]",
        "<own>",
        "<o",
        "wn>",
        "[LOW]",
        "[low",
        "]",
        "İ",
    ]
    pieces += ["\u200b", "\x00", "［ＳＥＰ］", " ", "where", "is", "knife", "##s", "\ud800"]
    special = {*tokenizer.get_added_tokens_decoder()} - {UNKNOWN}
    assert len(special) == 6
    for _ in range(2000):
        request = "".join(rng.choices(pieces, k=rng.randint(1, 9)))
        ids = text.request_inputs(request).input_ids[0].tolist()
        assert [token for token in ids if token in special] == [CLS, SEP], request


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
