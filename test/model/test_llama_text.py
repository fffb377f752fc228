"""The recorded ids and labels are those of the reference with the slow tokenizer of transformers 4.31."""

from __future__ import annotations

import json
import random
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from sentencepiece import SentencePieceProcessor

from lisa_ros.answers import Turn
from lisa_ros.model.checkpoint_folder import CheckpointError
from lisa_ros.model.configuration import TokenConfig
from lisa_ros.model.conversation import LLAVA_V1_SYSTEM, llava_prompt
from lisa_ros.model.llama_text import LlamaTextProcessor
from lisa_ros.model.llama_tokenizer import LlamaTokenizer
from lisa_ros.model.modeling import IMAGE_TOKEN
from lisa_ros.model.official import reference_config
from lisa_ros.model.processing import IGNORE_INDEX
from lisa_ros.model.text_processing import load_text_processor

TOKENIZERS = Path(__file__).parents[1] / "data" / "tokenizers"
LISA_PLUS = "llava15_nonlegacy"
LEGACY = ("7b_legacy", "13b_llama2_legacy")
KINDS = (*LEGACY, LISA_PLUS)


def expected_of(kind):
    return json.loads((TOKENIZERS / kind / "expected_ids.json").read_text(encoding="utf-8"))


def config_for(kind, golden_folder, conversation="llava_v1"):
    expected = expected_of(kind)
    config = reference_config(json.loads((golden_folder / "config.json").read_text()))
    tokens = TokenConfig(seg=expected["seg_token_idx"], image_start=expected["im_start"], image_end=expected["im_end"])
    language = replace(config.language, vocab_size=expected["vocab"])
    return replace(config, language=language, tokens=tokens, conversation=conversation)


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


def recorded_turns(text):
    pairs = re.findall(r"USER: (?:<im_start><image><im_end>\n)?(.*?) ASSISTANT: (.*?)</s>", text)
    return [Turn(request, answer) for request, answer in pairs]


@pytest.mark.parametrize("legacy_kind", LEGACY)
def test_recorded_training_batches_have_their_ids_labels_and_mask(legacy_kind, golden_folder):
    text = LlamaTextProcessor.from_folder(TOKENIZERS / legacy_kind, config_for(legacy_kind, golden_folder))
    collated = expected_of(legacy_kind)["collate"]
    recorded = [collated[name] for name in ("conversations", "input_ids", "labels", "attention_masks")]
    assert len(recorded[0]) == 3
    for conversation, input_ids, labels, mask in zip(*recorded, strict=True):
        found = text.conversation(recorded_turns(conversation))
        padding = len(input_ids) - len(found.input_ids)
        assert found.input_ids.tolist() + padding * [0] == input_ids
        assert found.labels.tolist() + padding * [IGNORE_INDEX] == labels
        assert len(found.input_ids) * [1] + padding * [0] == mask


def test_recorded_conversations_of_several_turns_have_their_ids_and_labels(kind, golden_folder):
    """The reference cuts at 257 ids (512 positions with 256 visual tokens)."""
    recorded = json.loads((TOKENIZERS / kind / "conversations.json").read_text(encoding="utf-8"))
    assert len(recorded) == (11 if kind == LISA_PLUS else 14)
    for case in recorded:
        config = config_for(kind, golden_folder, case["conversation"])
        text = LlamaTextProcessor.from_folder(
            TOKENIZERS / kind, without_markers(config) if kind == LISA_PLUS else config
        )
        turns = [Turn(request, answer) for request, answer in case["turns"]]
        if "ids" in case:
            prompt = text.prompt(case["request"], turns)
            assert prompt.prefix_ids.tolist() + prompt.request_ids.tolist() == case["ids"]
            assert prompt.prefix_ids.equal(text.prompt("Another one").prefix_ids)
        else:
            conversation = text.conversation(turns)
            assert conversation.input_ids.tolist()[:257] == case["input_ids"]
            assert conversation.labels.tolist()[:257] == case["labels"]


def without_markers(config):
    """The configuration of LISA++, which has no tokens around the image."""
    return replace(config, tokens=replace(config.tokens, image_start=None, image_end=None))


@pytest.mark.parametrize("conversation", ["llava_v1", "llava_llama_2"])
def test_labels_are_the_answers_and_their_ends_and_nothing_of_the_requests(kind, golden_folder, conversation):
    text = LlamaTextProcessor.from_folder(TOKENIZERS / kind, config_for(kind, golden_folder, conversation))
    turns = [Turn("Where is it?", "Sure, [SEG]. The dog [SEG] is here."), Turn("Why?", "It is the dog."), Turn("?", "")]
    inputs = text.conversation(turns)
    learned = inputs.labels != IGNORE_INDEX
    assert inputs.labels[learned].equal(inputs.input_ids[learned])
    starts = (learned[1:] & ~learned[:-1]).sum()
    assert starts == 3 and not learned[0]
    ends = inputs.input_ids == text.config.tokens.eos
    assert ends.sum() == 3 and learned[ends].all()
    written = inputs.input_ids[learned].tolist()
    first = text.transcript(written[: written.index(text.config.tokens.eos)])
    assert first == turns[0].answer and written.count(text.config.tokens.seg) == 2


def test_a_rejection_is_left_out_where_the_tokenizer_has_no_such_token(kind, golden_folder):
    text = LlamaTextProcessor.from_folder(TOKENIZERS / kind, config_for(kind, golden_folder))
    with_token, without = (
        text.conversation([Turn("Where is the hammer?", f"I see no hammer here{token}.")]) for token in (" [REJ]", "")
    )
    assert with_token.input_ids.equal(without.input_ids)


@pytest.mark.parametrize("turns", [[], [Turn("Where is <image> it?", "Here.")]])
def test_a_conversation_without_turns_or_with_a_second_image_is_refused(golden_folder, turns):
    text = LlamaTextProcessor.from_folder(TOKENIZERS / KINDS[0], config_for(KINDS[0], golden_folder))
    with pytest.raises(ValueError, match=r"^The conversation has (0|2) images; it must have turns and no <image>\.$"):
        text.conversation(turns)


def test_prefix_and_request_make_the_recorded_prompt_and_the_prefix_is_shared(kind, golden_folder):
    unchanged = 0
    for conversation in ("llava_v1", "llava_llama_2"):
        text = LlamaTextProcessor.from_folder(TOKENIZERS / kind, config_for(kind, golden_folder, conversation))
        prefixes = set()
        for case in expected_of(kind)["cases"]:
            if case["conv_type"] != conversation:
                continue
            prompt = text.prompt(case["query"])
            prefixes.add(tuple(prompt.prefix_ids.tolist()))
            assert prompt.prefix_ids[-1] == IMAGE_TOKEN and prompt.request is None
            if case["query"] == " ".join(case["query"].split()) and "[SEG]" not in case["query"]:
                unchanged += 1
                assert prompt.prefix_ids.tolist() + prompt.request_ids.tolist() == case["ids"]
        assert len(prefixes) == 1
    assert unchanged == 8


ADVERSARIAL = (
    "[SEG]", "[", "]", "S", "EG", "SEG", "[seg]", "[S\u200bEG]", "［ＳＥＧ］", "[REJ]", "<", ">", "/", "s", "<s>",
    "</s>", "</", "<unk>", "<image>", "<im", "_start>", "<im_start>", "<im_end>", "<im_patch>", "image", "USER:",
    "USER", ":", "</S>", "ASSISTANT:", "[INST]", "[/INST]", "<<SYS>>", "<0x0A>", "<0x02>", "<extra_0>",
    "<ex", "tra_0>", "<Extra_0>", "▁", "\u200b", "\ufe0f", "\x00", "\n", "\ud800", " ", " ", "the dog", "Sure, it is",
    ".", "é", "测", "🚗",
)  # fmt: skip


def processor_with_an_own_token(kind, golden_folder, conversation):
    tokenizer = LlamaTokenizer.from_folder(TOKENIZERS / kind)
    extended = LlamaTokenizer(tokenizer.pieces, tokenizer.added | {"<extra_0>": 704}, legacy=tokenizer.legacy)
    return LlamaTextProcessor(extended, config_for(kind, golden_folder, conversation))


@pytest.mark.parametrize("conversation", ["llava_v1", "llava_llama_2"])
def test_no_request_or_history_can_smuggle_a_special_token(kind, golden_folder, conversation):
    text, rng = processor_with_an_own_token(kind, golden_folder, conversation), random.Random(7)
    special = set(text.tokenizer.special.values()) - {text.tokenizer.pieces.unk_id()} | {IMAGE_TOKEN}
    tokens, make = text.config.tokens, lambda: "".join(rng.choices(ADVERSARIAL, k=rng.randint(1, 10)))
    prefix = text.prompt("plain").prefix_ids
    for _ in range(300):
        history = [Turn(make(), make()) for _ in range(rng.randint(0, 3))]
        prompt = text.prompt(make(), history)
        assert prompt.prefix_ids.equal(prefix)
        found = [token for token in prompt.request_ids.tolist() if token in special]
        round_end = [tokens.eos] + [tokens.bos] * (conversation == "llava_llama_2")
        wanted = [tokens.image_end]
        for turn in history:
            wanted += [tokens.seg] * turn.answer.count("[SEG]") + round_end
        assert found == wanted, history


def test_bytes_are_not_made_by_spelling_them(kind, golden_folder):
    text = LlamaTextProcessor.from_folder(TOKENIZERS / kind, config_for(kind, golden_folder))
    line_break = text.tokenizer.pieces.piece_to_id("<0x0A>")
    before_request = text.prompt("a").request_ids.tolist().count(line_break)
    assert text.prompt("a <0x0A> b <0x02>").request_ids.tolist().count(line_break) == before_request
    assert 2 not in text.prompt("a <0x0A> b <0x02>").request_ids.tolist()


def test_spaces_and_line_breaks_of_a_harmless_request_stay(kind, golden_folder):
    text = LlamaTextProcessor.from_folder(TOKENIZERS / kind, config_for(kind, golden_folder))
    request = "Segment  the dog\n and the cat"
    whole = text.tokenizer.encode(llava_prompt("llava_v1", (), request, with_image_markers=text._with_image_markers))
    prompt = text.prompt(request)
    assert [*prompt.prefix_ids.tolist(), *prompt.request_ids.tolist()] == whole
    assert not prompt.request_ids.equal(text.prompt("Segment the dog and the cat").request_ids)


def test_what_is_smuggled_leaves_no_trace(kind, golden_folder):
    text = LlamaTextProcessor.from_folder(TOKENIZERS / kind, config_for(kind, golden_folder))
    plain = text.prompt("Segment the dog please")
    for request in (
        "Segment\n the [SEG] dog\x00please",
        "Segment the [S\u200bEG]dog</s> please",
        "Segment the ＜s＞ dog please",
    ):
        assert text.prompt(request).request_ids.equal(plain.request_ids)


@pytest.mark.parametrize("conversation", ["llava_v1", "llava_llama_2"])
def test_what_was_written_has_the_same_ids_in_the_history(kind, golden_folder, conversation):
    text, rng = (
        LlamaTextProcessor.from_folder(TOKENIZERS / kind, config_for(kind, golden_folder, conversation)),
        random.Random(3),
    )
    words = [
        "Sure,",
        "it",
        "is",
        "[SEG]",
        "[SEG].",
        "the dog",
        "naïve",
        "测试",
        "🚗",
        "\nHere",
        "cup.",
        "(here)",
        "[left]",
        "5 < 6",
    ]
    recorded = [case["answer"] for case in expected_of(kind)["answers"]]
    for answer in recorded + [" ".join(rng.choices(words, k=rng.randint(1, 9))) for _ in range(200)]:
        conversation_inputs = text.conversation([Turn("Where is the dog?", answer.strip())])
        written = conversation_inputs.input_ids[conversation_inputs.labels != IGNORE_INDEX].tolist()
        transcript = text.transcript(written)
        assert transcript.count("[SEG]") == written.count(text.config.tokens.seg)
        if kind == LISA_PLUS and 0 in written:
            continue  # a piece without its word start that this tokenizer does not know has no text
        prompt = text.prompt("Why?", [Turn("Where is the dog?", transcript)])
        whole = prompt.prefix_ids.tolist() + prompt.request_ids.tolist()
        assert whole[: len(conversation_inputs.input_ids)] == conversation_inputs.input_ids.tolist(), answer


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("Sure, it is [SEG].", "Sure, it is."),
        ("[SEG].", ""),
        ("Sure, [SEG]. The dog [SEG] is here.", "Sure. The dog is here."),
        ("The car is on the road.", "The car is on the road."),
        ("It is [SEG]", "It is"),
    ],
)
def test_answers_come_back_as_words_that_only_grow(kind, golden_folder, answer, words):
    text = LlamaTextProcessor.from_folder(TOKENIZERS / kind, config_for(kind, golden_folder))
    recorded = {case["answer"]: case for case in expected_of(kind)["answers"]}[answer]
    end_of_prompt = len(text.tokenizer.encode(recorded["prompt"].removesuffix(f" {answer}</s>")))
    ids = recorded["ids"][end_of_prompt:]
    texts = [text.words(ids[:count]) for count in range(len(ids) + 1)]
    assert texts[-1] == words and text.label(ids) == ""
    assert all(later.startswith(earlier) for earlier, later in zip(texts, texts[1:], strict=False))


def test_ids_beyond_the_vocabulary_have_no_words(golden_folder):
    text = LlamaTextProcessor.from_folder(TOKENIZERS / KINDS[0], config_for(KINDS[0], golden_folder))
    assert text.words([5000, IMAGE_TOKEN, 0, 2]) == ""


def test_transcripts_keep_the_masks(kind, golden_folder):
    text = LlamaTextProcessor.from_folder(TOKENIZERS / kind, config_for(kind, golden_folder))
    for case in expected_of(kind)["answers"]:
        end_of_prompt = len(text.tokenizer.encode(case["prompt"].removesuffix(f" {case['answer']}</s>")))
        assert text.transcript(case["ids"][end_of_prompt:]) == case["answer"]
    assert text.transcript([5000, IMAGE_TOKEN, 0, 2]) == "" and text.transcript([]) == ""


def test_lisa_plus_has_no_markers_and_ids_by_its_own_rule(golden_folder):
    """LLaVA-1.5: the texts on both sides of the image are cut into pieces apart, each from its own beginning."""
    text = LlamaTextProcessor.from_folder(TOKENIZERS / LISA_PLUS, without_markers(config_for(LISA_PLUS, golden_folder)))
    pieces = SentencePieceProcessor(model_file=str(TOKENIZERS / LISA_PLUS / "tokenizer.model"))
    prompt = text.prompt("Where is the dog?")
    assert prompt.prefix_ids.tolist() == [1, *pieces.encode(f"{LLAVA_V1_SYSTEM} USER: "), IMAGE_TOKEN]
    assert prompt.request_ids.tolist() == pieces.encode("\nWhere is the dog? ASSISTANT:")
    inputs = text.conversation([Turn("Where are the dogs?", "Sure, [SEG]. The dog [SEG].")])
    comma, stop = (pieces.piece_to_id(mark) for mark in ",.")
    learned = inputs.input_ids[inputs.labels != IGNORE_INDEX].tolist()
    # The full stop follows its token at once, where the legacy rule begins a word.
    assert learned == [*pieces.encode("Sure"), comma, 700, stop, *pieces.encode("The dog"), 700, stop, 2]
    assert LlamaTokenizer(pieces, text.tokenizer.added, legacy=True).encode("[SEG].")[1:] != [700, stop]


def test_the_tokenizer_survives_a_round_trip_through_a_folder(kind, golden_folder, tmp_path):
    config = config_for(kind, golden_folder)
    LlamaTextProcessor.from_folder(TOKENIZERS / kind, config).save(tmp_path)
    loaded = load_text_processor(tmp_path, config)
    assert isinstance(loaded, LlamaTextProcessor)
    for case in expected_of(kind)["cases"]:
        assert loaded.tokenizer.encode(case["prompt"]) == case["ids"]


def test_a_tokenizer_of_another_checkpoint_is_refused(golden_folder, tmp_path):
    with pytest.raises(CheckpointError, match=r"gives \[SEG\] the id 700; the configuration says 703"):
        LlamaTextProcessor.from_folder(TOKENIZERS / "13b_llama2_legacy", config_for("7b_legacy", golden_folder))
    shutil.copy(TOKENIZERS / "7b_legacy" / "tokenizer.model", tmp_path)
    with pytest.raises(CheckpointError, match=r"gives \[SEG\] the id None; the configuration says 703"):
        LlamaTextProcessor.from_folder(tmp_path, config_for("7b_legacy", golden_folder))
