from __future__ import annotations

import pytest
import torch
from transformers import DynamicCache

from lisa_ros.engine.decoding import compute_prefix, extend, greedy_steps, predict


@pytest.fixture
def embeddings():
    return torch.randn(1, 12, 48, generator=torch.Generator().manual_seed(2))


def test_a_prefix_and_what_follows_compute_what_one_pass_computes(tiny_model, embeddings):
    whole = extend(tiny_model, embeddings, DynamicCache(config=tiny_model.language_model.config))
    prefix = compute_prefix(tiny_model, embeddings[:, :7])
    assert prefix.length == prefix.cache.get_seq_length() == 7
    rest = extend(tiny_model, embeddings[:, 7:], prefix.cache)
    assert torch.allclose(rest, whole[7:], atol=1e-5)


def test_greedy_steps_are_those_of_whole_passes_without_a_cache(tiny_model, embeddings):
    cache = DynamicCache(config=tiny_model.language_model.config)
    steps = list(greedy_steps(tiny_model, extend(tiny_model, embeddings, cache)[-1], cache, 5))
    table = tiny_model.language_model.get_input_embeddings()
    with torch.inference_mode():
        for index, step in enumerate(steps):
            said = table(torch.tensor([[before.token for before in steps[:index]]], dtype=torch.long))
            logits = tiny_model.language_model(inputs_embeds=torch.cat([embeddings, said], dim=1)).logits[0, -1]
            assert torch.allclose(step.logits, logits, atol=1e-5)
            assert step.token == int(logits.argmax())
            assert step.probability == pytest.approx(float(logits.softmax(-1)[step.token]), abs=1e-5)
    assert len(steps) == 5


def test_the_end_token_ends_the_answer(tiny_model, embeddings):
    cache = DynamicCache(config=tiny_model.language_model.config)
    hidden_state = extend(tiny_model, embeddings, cache)[-1]
    with torch.no_grad():
        tiny_model.language_model.lm_head.weight[tiny_model.config.tokens.eos] = 100 * hidden_state
    steps = list(greedy_steps(tiny_model, hidden_state, cache, 9))
    assert [step.token for step in steps] == [tiny_model.config.tokens.eos]
    assert predict(tiny_model, hidden_state).probability > 0.99
