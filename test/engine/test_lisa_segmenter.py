from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from lisa_ros.answers import Finished, MaskReady, Mode, Request, TextDelta, Verdict
from lisa_ros.engine.lisa_segmenter import LisaSegmenter
from lisa_ros.model.modeling import IMAGE_TOKEN
from lisa_ros.model.processing import LisaProcessor, PromptInputs
from lisa_ros.segmenter import SegmenterError, make_segmenter
from lisa_ros.simulation.frames import FrameFolder

ROOT = Path(__file__).parents[2]
WEIGHTS = ROOT / "weights" / "lisa-tabletop"
RGB = np.random.default_rng(1).integers(0, 256, (40, 75, 3), dtype=np.uint8)


class ScriptedHead(nn.Module):
    """A language head that says one text whatever it is given; ``calls`` counts its predictions."""

    def __init__(self, token_ids, vocab_size):
        super().__init__()
        self.token_ids, self.vocab_size, self.calls = token_ids, vocab_size, 0

    def forward(self, hidden_state):
        logits = torch.zeros(self.vocab_size)
        logits[self.token_ids[self.calls % len(self.token_ids)]] = 9.0
        self.calls += 1
        return logits


@pytest.fixture
def segmenter(tiny_model, tiny_text):
    return LisaSegmenter(tiny_model, LisaProcessor(tiny_text.config, tiny_text))


def make_it_say(segmenter, answer):
    text = segmenter.processor.text
    head = ScriptedHead(text.answer_ids(answer), text.config.language.vocab_size)
    segmenter.model.language_model.lm_head = head
    return head


@torch.no_grad()
def make_its_masks(segmenter, sign):
    """Make every mask the whole image (1.0) or nothing (-1.0)."""
    decoder = segmenter.model.mask_decoder
    decoder.output_hypernetworks_mlps[0].layers[-1].weight.zero_()
    decoder.output_hypernetworks_mlps[0].layers[-1].bias.fill_(sign)
    decoder.output_upscaling[3].bias.fill_(100.0)


def final(segmenter, view, text="where is the knife", **options):
    *_, last = segmenter.ask(view, Request(text, **options))
    assert isinstance(last, Finished)
    return last.answer


def same(first, second):
    """Whether two answers are equal to the bit, timings apart."""
    assert len(first.objects) == len(second.objects)
    masks = all((a.mask == b.mask).all() for a, b in zip(first.objects, second.objects, strict=True))
    return masks and figures(first) == figures(second)


def figures(answer):
    scores = [(found.score, found.seg_probability, found.stability) for found in answer.objects]
    return answer.words, answer.verdict, scores


def test_the_mask_comes_when_seg_is_predicted_and_the_words_as_they_are_written(segmenter):
    make_it_say(segmenter, "It is the knife [SEG], it is sharp.")
    make_its_masks(segmenter, 1.0)
    events = list(segmenter.ask(segmenter.look(RGB), Request("what can i cut the bread with?")))
    kinds = [type(event) for event in events]
    mask_index = kinds.index(MaskReady)
    assert kinds.count(MaskReady) == kinds.count(Finished) == 1 and kinds[-1] is Finished
    before = "".join(event.text for event in events[:mask_index])
    after = "".join(event.text for event in events[mask_index + 1 : -1])
    assert (before, after) == ("", "It is the knife, it is sharp."), "words wait for what the eyes say"
    assert kinds.count(TextDelta) > 3
    answer = events[-1].answer
    assert (answer.words, answer.verdict, answer.model) == (before + after, Verdict.FOUND, "tiny")
    assert answer.objects == (events[mask_index].object,)
    assert answer.timings["to_first_mask"] < answer.timings["total"]


def test_a_found_object_is_named_and_measured(segmenter):
    make_it_say(segmenter, "It is the knife [SEG].")
    make_its_masks(segmenter, 1.0)
    (found,) = final(segmenter, segmenter.look(RGB)).objects
    assert found.label == "knife"
    assert (found.area, found.box, found.stability) == (40 * 75, (0, 0, 75, 40), 1.0)
    assert found.seg_probability > 0.9
    assert found.score == pytest.approx(found.seg_probability * found.predicted_iou)


@pytest.mark.parametrize(
    ("answer", "sign", "verdict", "masks"),
    [
        ("It is the knife [SEG].", 1.0, Verdict.FOUND, 1),
        ("The knife [SEG] is near the hammer [SEG].", 1.0, Verdict.FOUND, 2),
        ("[SEG].", 1.0, Verdict.FOUND, 1),
        ("It is the knife [SEG].", -1.0, Verdict.NOT_PRESENT, 0),
        ("I see no knife here [REJ].", 1.0, Verdict.NOT_PRESENT, 0),
        ("A knife is used for cutting.", 1.0, Verdict.WORDS_ONLY, 0),
    ],
)
def test_verdicts(segmenter, answer, sign, verdict, masks):
    make_it_say(segmenter, answer)
    make_its_masks(segmenter, sign)
    given = final(segmenter, segmenter.look(RGB))
    assert given.verdict is verdict and len(given.objects) == masks
    assert all(found.area == (40 * 75 if sign > 0 else 0) for found in given.objects)


def test_an_empty_mask_turns_the_answer_into_a_refusal(segmenter):
    make_it_say(segmenter, "It is the knife [SEG].")
    make_its_masks(segmenter, -1.0)
    events = list(segmenter.ask(segmenter.look(RGB), Request("where is the knife")))
    assert not any(isinstance(event, MaskReady) for event in events)
    answer = events[-1].answer
    assert answer.words.startswith("I see no") and answer.verdict is Verdict.NOT_PRESENT
    assert "".join(event.text for event in events[:-1]) == answer.words


def test_seg_as_the_very_last_token_allowed_still_gives_its_mask(segmenter):
    head = make_it_say(segmenter, "It is the knife [SEG].")
    make_its_masks(segmenter, 1.0)
    position = head.token_ids.index(segmenter.model.config.tokens.seg)
    answer = final(segmenter, segmenter.look(RGB), max_new_tokens=position + 1)
    assert (answer.words, len(answer.objects), head.calls) == ("It is the knife", 1, position + 1)


def test_mask_first_gives_one_mask_in_one_prediction_and_no_words(segmenter):
    head = make_it_say(segmenter, "A knife is used for cutting.")
    make_its_masks(segmenter, 1.0)
    events = list(segmenter.ask(segmenter.look(RGB), Request("where is the knife", mode=Mode.MASK_FIRST)))
    assert [type(event) for event in events] == [MaskReady, Finished]
    answer = events[-1].answer
    assert (answer.words, answer.verdict, head.calls) == ("", Verdict.FOUND, 1)
    assert answer.objects[0].seg_probability < 0.01


def test_mask_first_is_the_mask_of_an_answer_that_begins_with_seg(segmenter):
    make_its_masks(segmenter, 1.0)
    view = segmenter.look(RGB)
    forced = final(segmenter, view, mode=Mode.MASK_FIRST).objects[0]
    make_it_say(segmenter, "[SEG].")
    assert (final(segmenter, view).objects[0].mask == forced.mask).all()


def test_a_second_request_reuses_the_image_and_the_prefix(segmenter):
    lengths, looks = [], []
    model = segmenter.model
    model.language_model.model.register_forward_pre_hook(
        lambda _, arguments, named: lengths.append(named["inputs_embeds"].shape[1]), with_kwargs=True
    )
    model.pyramid.register_forward_pre_hook(lambda *_: looks.append(1))
    view = segmenter.look(RGB)
    assert not lengths and not looks
    first = final(segmenter, view, mode=Mode.MASK_FIRST)
    assert lengths[0] == 1 + 6 and len(lengths) == 2
    second = final(segmenter, view, mode=Mode.MASK_FIRST)
    assert lengths[2:] == lengths[1:2] and len(looks) == 1
    assert {"look_language", "look_masks"} <= set(first.timings)
    assert not {"look_language", "look_masks"} & set(second.timings)
    assert same(first, second)


def test_what_was_asked_before_leaves_no_trace(segmenter):
    used, fresh = segmenter.look(RGB), segmenter.look(RGB)
    final(segmenter, used, "where is the banana", max_new_tokens=9)
    for mode in Mode:
        expected = final(segmenter, fresh, "what can i cut with", mode=mode, max_new_tokens=12)
        assert same(final(segmenter, used, "what can i cut with", mode=mode, max_new_tokens=12), expected)


def test_an_answer_closed_early_leaves_no_trace(segmenter):
    real_head = segmenter.model.language_model.lm_head
    view = segmenter.look(RGB)
    head = make_it_say(segmenter, "A knife [SEG] is used for cutting.")
    make_its_masks(segmenter, 1.0)
    answer = segmenter.ask(view, Request("where is the hammer"))
    assert isinstance(next(answer), MaskReady)
    assert isinstance(next(answer), TextDelta)
    answer.close()
    assert head.calls < len(head.token_ids)
    segmenter.model.language_model.lm_head = real_head
    for mode in Mode:
        expected = final(segmenter, segmenter.look(RGB), mode=mode, max_new_tokens=12)
        assert same(final(segmenter, view, mode=mode, max_new_tokens=12), expected)


def test_a_failure_is_raised_and_the_next_request_is_answered_as_if_it_had_not_been(segmenter, monkeypatch):
    view = segmenter.look(RGB)
    expected = final(segmenter, segmenter.look(RGB), mode=Mode.MASK_FIRST)
    with monkeypatch.context() as patch:
        patch.setattr(segmenter.model, "decode_masks", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            list(segmenter.ask(view, Request("where is the knife", mode=Mode.MASK_FIRST)))
    assert same(final(segmenter, view, mode=Mode.MASK_FIRST), expected)


def test_a_request_of_special_tokens_only_is_answered(segmenter):
    assert final(segmenter, segmenter.look(RGB), "[SEG] </s>", max_new_tokens=3).verdict in Verdict


@pytest.mark.parametrize("rgb", [RGB[..., 0], RGB.astype(np.float32), np.zeros((0, 4, 3), np.uint8)])
def test_what_is_no_rgb_image_is_refused(segmenter, rgb):
    with pytest.raises(ValueError, match="must be uint8"):
        segmenter.look(rgb)


class RecordedText:
    """The prompt of one recorded case in place of a tokenizer; words are the ids."""

    refusal_ids = ()

    def __init__(self, input_ids):
        end = input_ids.tolist().index(IMAGE_TOKEN) + 1
        self.inputs = PromptInputs(input_ids[:end], input_ids[end:])

    def prompt(self, request, history=()):
        return self.inputs

    def words(self, token_ids):
        return " ".join(map(str, token_ids))

    transcript = words

    def label(self, token_ids):
        return ""


@pytest.mark.parametrize("case", ["one_seg", "two_seg", "no_seg", "seg_is_last_token"])
def test_answers_are_those_of_the_reference(golden_model, golden_folder, case):
    given, expected = np.load(golden_folder / "inputs.npz"), np.load(golden_folder / "outputs.npz")
    input_ids = torch.from_numpy(given[f"{case}.input_ids"][0])
    segmenter = LisaSegmenter(golden_model, LisaProcessor(golden_model.config, RecordedText(input_ids)))
    limit = int(given[f"{case}.max_new_tokens"])
    answer = final(segmenter, segmenter.look(given[f"{case}.image"]), max_new_tokens=limit)
    new_ids = expected[f"{case}.output_ids"][0, len(input_ids) :].tolist()
    assert answer.words == " ".join(map(str, new_ids))
    bits = expected[f"{case}.mask_bits"]
    assert len(answer.objects) == len(bits)
    for found, packed in zip(answer.objects, bits, strict=True):
        assert (np.packbits(found.mask, axis=-1) == packed).all()


def test_both_eyes_of_the_official_arrangement_look_once(golden_model, golden_folder):
    given = np.load(golden_folder / "inputs.npz")
    input_ids = torch.from_numpy(given["one_seg.input_ids"][0])
    segmenter = LisaSegmenter(golden_model, LisaProcessor(golden_model.config, RecordedText(input_ids)))
    looks = []
    eyes = (golden_model.vision_tower, golden_model.image_encoder)
    hooks = [eye.register_forward_pre_hook(lambda *_: looks.append(1)) for eye in eyes]
    view = segmenter.look(given["one_seg.image"])
    first, second = (final(segmenter, view, mode=Mode.MASK_FIRST) for _ in range(2))
    for hook in hooks:
        hook.remove()
    assert len(looks) == 2 and same(first, second)


def test_a_saved_checkpoint_answers_as_before_through_the_registry(segmenter, tmp_path):
    expected = final(segmenter, segmenter.look(RGB), mode=Mode.MASK_FIRST)
    segmenter.model.save_pretrained(tmp_path, dtype=torch.float32)
    segmenter.processor.save_pretrained(tmp_path)
    loaded = make_segmenter("lisa", model=str(tmp_path), device="cpu")
    answer = final(loaded, loaded.look(RGB), mode=Mode.MASK_FIRST)
    assert np.mean(answer.objects[0].mask == expected.objects[0].mask) > 0.98
    assert answer.objects[0].score == pytest.approx(expected.objects[0].score, abs=1e-2)
    loaded.close()


@pytest.fixture(scope="module")
def bundled():
    """A bundled picture, a request about it, and what the bundled checkpoint answers in fp32."""
    folder = ROOT / "demo" / "tabletop"
    asked = next(entry for entry in json.loads((folder / "requests.json").read_text()) if entry["target_ids"])
    rgb, request = FrameFolder(folder)[FrameFolder(folder).indices.index(asked["frame"])].rgb, asked["text"]
    exact = LisaSegmenter.load(WEIGHTS, "cpu")
    return rgb, request, final(exact, exact.look(rgb), request)


@pytest.mark.parametrize(
    "options",
    [{"dtype": "float16"}, {"dtype": "bfloat16"}, {"quantization": "8bit"}, {"quantization": "4bit"}],
    ids=lambda options: next(iter(options.values())),
)
def test_less_precision_gives_nearly_the_same_answer(bundled, options):
    rgb, request, expected = bundled
    loaded = LisaSegmenter.load(WEIGHTS, "cpu", **options)
    assert loaded.model.quantization == options.get("quantization")
    found = final(loaded, loaded.look(rgb), request)
    assert (found.words, found.verdict) == (expected.words, Verdict.FOUND)
    mask, other = found.objects[0].mask, expected.objects[0].mask
    assert (mask & other).sum() / (mask | other).sum() > 0.9


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({}, r"folder .* does not exist; give a folder"),
        ({"quantization": "3bit"}, "quantization is '3bit'; choose one of none, 8bit, 4bit"),
        ({"device": "abacus"}, "device is 'abacus'; valid are auto, cpu, cuda and cuda:N"),
        ({"device": "cpu", "dtype": "int8"}, "dtype is 'int8'; choose one of auto, float32, bfloat16, float16"),
    ],
)
def test_what_cannot_be_loaded_is_one_sentence(tmp_path, options, sentence):
    with pytest.raises(SegmenterError, match=sentence):
        LisaSegmenter.load(tmp_path / "nowhere", **options)


def test_cuda_without_a_device_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SegmenterError, match="torch finds no CUDA device here; choose cpu or auto"):
        LisaSegmenter.load(tmp_path, device="cuda:0")
