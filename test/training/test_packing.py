from __future__ import annotations

import numpy as np
import pytest
import torch

from lisa_ros.engine.decoding import compute_prefix, extend
from lisa_ros.model.image_processing import ImageProcessor
from lisa_ros.training.losses import IGNORE_INDEX
from lisa_ros.training.packing import Segment, pack

PREFIX_LENGTH = 5


@pytest.fixture
def frames():
    """Prefixes of two frames and three and one requests about them, of different lengths."""
    generator = torch.Generator().manual_seed(6)
    segments = [
        [
            Segment(torch.randn(states, 48, generator=generator), torch.randint(6, 300, (ids,), generator=generator))
            for states, ids in lengths
        ]
        for lengths in ([(3, 6), (2, 4), (5, 9)], [(4, 5)])
    ]
    return torch.randn(2, PREFIX_LENGTH, 48, generator=generator), segments


def run(model, **inputs):
    with torch.inference_mode():
        return model.language_model.model(**inputs, use_cache=False).last_hidden_state


def alone(model, prefix, segment):
    """States that predict the answer of one request, computed with nothing else in the sequence."""
    embedded = model.language_model.get_input_embeddings()(segment.answer_ids)
    states = run(model, inputs_embeds=torch.cat([prefix, segment.request_states, embedded])[None])[0]
    start = len(prefix) + len(segment.request_states)
    return states[start : start + len(segment.answer_ids) - 1]


def test_packed_requests_are_computed_as_if_each_stood_alone(tiny_model, frames):
    prefixes, segments = frames
    packed = pack(prefixes, segments, tiny_model.language_model.get_input_embeddings())
    states = run(
        tiny_model,
        inputs_embeds=packed.inputs_embeds,
        position_ids=packed.position_ids,
        attention_mask=packed.attention_mask,
    )
    for index, frame in enumerate(segments):
        expected = torch.cat([alone(tiny_model, prefixes[index], segment) for segment in frame])
        predicting = packed.labels[index] != IGNORE_INDEX
        assert torch.allclose(states[index, predicting], expected, atol=1e-5)
        assert packed.labels[index, predicting].equal(torch.cat([segment.answer_ids[1:] for segment in frame]))
    assert torch.isfinite(states).all()


def test_what_is_trained_is_what_the_engine_computes(tiny_model, tiny_text):
    images = ImageProcessor(tiny_text.config)(np.random.default_rng(2).integers(0, 256, (64, 96, 3), dtype=np.uint8))
    prompts = [tiny_text.prompt(request) for request in ("where is the knife?", "what can i cut with")]
    answer_ids = torch.tensor([tiny_text.answer_start, *tiny_text.answer_ids("[SEG].")])
    with torch.inference_mode():
        tokens = tiny_model.encode_image_for_language(images)[0]
        states = [tiny_model.request_encoder(p.request.input_ids, p.request.attention_mask)[0] for p in prompts]
        prefix, _ = tiny_model.embed(prompts[0].prefix_ids, tokens)
        table = tiny_model.language_model.get_input_embeddings()
        packed = pack(prefix, [[Segment(each, answer_ids) for each in states]], table)
        trained = run(
            tiny_model,
            inputs_embeds=packed.inputs_embeds,
            position_ids=packed.position_ids,
            attention_mask=packed.attention_mask,
        )[packed.labels == tiny_text.config.tokens.seg]
        for prompt, request_states, expected in zip(prompts, states, trained, strict=True):
            cache = compute_prefix(tiny_model, prefix).cache
            embeddings, _ = tiny_model.embed(prompt.request_ids, request_states=request_states)
            assert torch.allclose(extend(tiny_model, embeddings, cache)[-1], expected, atol=1e-5)
