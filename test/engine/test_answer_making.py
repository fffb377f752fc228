from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from lisa_ros.answers import Finished, MaskReady, Mode, Request, Turn, Verdict
from lisa_ros.engine.lisa_segmenter import LisaSegmenter
from lisa_ros.model.llama_text import LlamaTextProcessor
from lisa_ros.model.processing import LisaProcessor

RGB = np.random.default_rng(2).integers(0, 256, (48, 80, 3), dtype=np.uint8)
PIECES = 700
"""Of the test tokenizers' SentencePiece model; the added tokens follow."""


@pytest.fixture(scope="module")
def conversing(tmp_path_factory):
    """An official-kind network with a tiny Llama of random weights and a tokenizer in the published form."""
    import json
    import shutil
    from pathlib import Path

    from lisa_ros.model.configuration import ClipVisionConfig, LanguageConfig, LisaConfig, SamVitConfig, TokenConfig
    from lisa_ros.model.modeling import LisaModel

    folder = tmp_path_factory.mktemp("tokenizer")
    recorded = Path(__file__).parents[1] / "data" / "tokenizers" / "13b_llama2_legacy"
    for path in recorded.iterdir():
        shutil.copy(path, folder)
    added = json.loads((folder / "added_tokens.json").read_text())
    config = LisaConfig(
        name="conversing",
        language=LanguageConfig(max(added.values()) + 1, 48, 64, 2, 4, max_position_embeddings=512),
        vision=ClipVisionConfig(32, 48, 3, 2, image_size=28, patch_size=14),
        image_encoder=SamVitConfig(64, 16, 32, 2, 2, (1,), window_size=2),
        tokens=TokenConfig(seg=added["[SEG]"], image_start=added["<im_start>"], image_end=added["<im_end>"]),
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = LisaModel(config).eval()
    return LisaSegmenter(model, LisaProcessor(config, LlamaTextProcessor.from_folder(folder, config)))


def answer_to(segmenter, view, request):
    *events, last = segmenter.ask(view, request)
    assert isinstance(last, Finished)
    assert [event.object for event in events if isinstance(event, MaskReady)] == list(last.answer.objects)
    return last.answer


def test_a_conversation_is_one_sequence_and_masks_belong_to_the_last_answer(conversing):
    """The mask forced after a conversation is that of the state at the end of the whole conversation's ids."""
    from transformers import DynamicCache

    from lisa_ros.engine.decoding import extend
    from lisa_ros.engine.masks import decode_object

    history = (Turn("where is the cup", "Sure, [SEG]."), Turn("and the plate", "It is [SEG]."))
    request = Request("what is beside it", mode=Mode.MASK_FIRST, history=history)
    view = conversing.look(RGB)
    (found,) = answer_to(conversing, view, request).objects

    model, prompt = conversing.model, conversing.processor.text.prompt(request.text, history)
    ids = torch.cat([prompt.prefix_ids, prompt.request_ids])
    assert int((ids == model.config.tokens.seg).sum()) == 2
    embeddings, _ = model.embed(ids, model.encode_image_for_language(view.images)[0])
    state = extend(model, embeddings, DynamicCache(config=model.language_model.config))[-1]
    expected = decode_object(view, state, "", found.seg_probability)
    assert (found.mask == expected.mask).all() and found.score == pytest.approx(expected.score, rel=1e-4)
    alone = answer_to(conversing, view, replace(request, history=()))
    assert alone.objects[0].seg_probability != found.seg_probability


def test_the_transcript_continues_the_conversation(conversing):
    view = conversing.look(RGB)
    first = answer_to(conversing, view, Request("where is the cup", max_new_tokens=4))
    history = (Turn("where is the cup", first.transcript),)
    second = answer_to(conversing, view, Request("and the plate", max_new_tokens=4, history=history))
    assert second.verdict is not Verdict.FAILED


def test_a_conversation_that_is_too_long_for_the_checkpoint_fails_with_a_sentence(conversing):
    history = tuple(Turn("where is the cup on the table", "It is [SEG].") for _ in range(60))
    view = conversing.look(RGB)
    failed = answer_to(conversing, view, Request("and the plate", history=history))
    assert failed.verdict is Verdict.FAILED and not failed.objects
    assert "made for 512; begin a new one" in failed.error
    assert answer_to(conversing, view, Request("the plate", max_new_tokens=2)).verdict is not Verdict.FAILED


def test_a_checkpoint_for_single_requests_refuses_a_history(tiny_model, tiny_text):
    segmenter = LisaSegmenter(tiny_model, LisaProcessor(tiny_text.config, tiny_text))
    request = Request("and the knife", history=(Turn("where is the cup", "It is [SEG]."),))
    failed = answer_to(segmenter, segmenter.look(RGB), request)
    assert failed.verdict is Verdict.FAILED and failed.error.endswith(".")


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("part", ["language_model.model.norm", "mask_decoder.output_upscaling.0"])
def test_an_overflow_is_told_and_not_taken_for_an_empty_mask(tiny_model, tiny_text, part, mode):
    segmenter = LisaSegmenter(tiny_model, LisaProcessor(tiny_text.config, tiny_text))
    view = segmenter.look(RGB)
    with torch.no_grad():
        tiny_model.get_submodule(part).weight.fill_(torch.inf)
    if part.startswith("mask_decoder"):
        tiny_model.language_model.lm_head = always(tiny_text.config.tokens.seg, tiny_text.config.language.vocab_size)
    failed = answer_to(segmenter, view, Request("where is the knife", mode=mode, max_new_tokens=3))
    assert failed.verdict is Verdict.FAILED and failed.objects == ()
    assert "not finite in float32" in failed.error


def always(token, vocab_size):
    """A language head that predicts one token whatever it is given."""
    head = torch.nn.Linear(48, vocab_size)
    with torch.no_grad():
        head.weight.zero_()
        head.bias.zero_()
        head.bias[token] = 9.0
    return head
