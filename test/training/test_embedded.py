from __future__ import annotations

import pytest

from lisa_ros.model.text_processing import SPECIAL_TOKENS
from lisa_ros.simulation.requests.bank import load_bank
from lisa_ros.simulation.requests.replies import absent_answer, all_answers, present_answer
from lisa_ros.training.embedded import embedded_config, new_processor
from lisa_ros.training.tabletop_settings import NetworkSettings

BANK = load_bank()


@pytest.fixture(scope="module")
def processor(tiny_text, tmp_path_factory):
    """The processor of the embedded checkpoint, with a small vocabulary for requests in MiniLM's place."""
    folder = tmp_path_factory.mktemp("pretrained")
    tiny_text.request_tokenizer.save(str(folder / "minilm_tokenizer.json"))
    (folder / "minilm.safetensors").touch()
    return new_processor(NetworkSettings(), folder)


def label_of(text, answer):
    ids = text.answer_ids(answer)
    marks = (text.config.tokens.seg, text.config.tokens.rejection)
    return text.label(ids[: next(index for index, token in enumerate(ids) if token in marks)])


def test_special_tokens_come_first(processor):
    tokenizer = processor.text.answer_tokenizer
    assert [tokenizer.token_to_id(token) for token in SPECIAL_TOKENS] == [0, 1, 2, 3, 4, 5]
    tokens = processor.config.tokens
    assert (tokens.pad, tokens.bos, tokens.eos, tokens.seg, tokens.rejection) == (0, 1, 2, 4, 5)
    assert processor.config.language.vocab_size == tokenizer.get_vocab_size() <= 1024


def test_every_answer_comes_back_as_the_words_that_went_in(processor):
    for answer in all_answers():
        ids = processor.text.answer_ids(answer)
        assert ids[-1] == processor.config.tokens.eos and max(ids) < processor.config.language.vocab_size
        assert ids.count(4) == answer.count("[SEG]") and ids.count(5) == answer.count("[REJ]")
        expected = answer.replace(" [SEG]", "").replace(" [REJ]", "")
        assert processor.text.words(ids) == ("" if answer == "[SEG]." else expected)


def test_every_answer_names_its_kind(processor):
    for kind in BANK.kinds.values():
        for meaning in kind.meanings:
            assert label_of(processor.text, present_answer(kind, meaning, several=False)) == kind.name
            several = label_of(processor.text, present_answer(kind, meaning, several=True))
            assert several == (kind.name if kind.plural_word else kind.plural)
        assert label_of(processor.text, absent_answer(kind)) == kind.name
    assert label_of(processor.text, "[SEG].") == ""


def test_answers_are_short_in_their_own_vocabulary(processor):
    assert max(len(processor.text.answer_ids(answer)) for answer in all_answers()) <= 40


def test_sizes_come_from_the_settings():
    config = embedded_config(NetworkSettings(image_size=(64, 96), hidden_size=64, mask_dim=32), 500)
    assert config.vision.image_size == (64, 96) and config.vision.mask_channels == (4, 8, 32)
    assert (config.language.hidden_size, config.language.vocab_size) == (64, 500)
    assert config.mask_decoder.embed_dim == 32 and config.mask_vision is config.vision
