from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch

from lisa_ros.evaluation.parity.comparison import Findings
from lisa_ros.evaluation.parity.recording import read_arrays, recorded_model
from lisa_ros.evaluation.parity.training import recorded_batch
from lisa_ros.model.modeling import LisaModel
from lisa_ros.training.lisa_objective import LisaObjective
from lisa_ros.training.merging import merged
from lisa_ros.training.trainable import TrainableConfig, learning_parameters, make_trainable

RECORDING = Path(__file__).parents[1] / "data" / "golden_tiny_d"


@pytest.fixture(scope="module")
def recorded():
    """The recorded network and batch; tests must not change them."""
    model = recorded_model(RECORDING)
    return model, recorded_batch(model, read_arrays(RECORDING / "train_inputs.npz"), Findings())


@pytest.fixture
def model(recorded):
    """The recorded network after make_trainable."""
    model = copy.deepcopy(recorded[0])
    make_trainable(model, TrainableConfig())
    return model


def change(model):
    """Move all that learns, as training does."""
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(0)
        for name, value in learning_parameters(model).items():
            value.add_(torch.randn_like(value), alpha=0.05 if "lora_" in name else 0.01)


@torch.no_grad()
def predicted(model, batch):
    prediction = LisaObjective(model).eval().predict(batch)
    return [prediction.states, prediction.low_res_masks, model.language_model.lm_head(prediction.states)]


def test_without_a_step_the_weights_are_those_that_were_loaded(recorded, model, tmp_path):
    merged(model).save_pretrained(tmp_path, dtype=torch.float32)
    saved, expected = LisaModel.from_pretrained(tmp_path).state_dict(), recorded[0].state_dict()
    assert list(saved) == list(expected)
    assert all(torch.equal(saved[name], expected[name]) for name in expected)


def test_what_was_learned_is_in_a_plain_folder(recorded, model, tmp_path):
    change(model)
    merged(model).save_pretrained(tmp_path, dtype=torch.float32)
    plain = LisaModel.from_pretrained(tmp_path)
    assert list(plain.state_dict()) == list(recorded[0].state_dict())
    before, expected = predicted(recorded[0], recorded[1]), predicted(model, recorded[1])
    for found, wanted, old in zip(predicted(plain, recorded[1]), expected, before, strict=True):
        assert torch.allclose(found, wanted, rtol=0, atol=1e-5 * float(wanted.abs().max()))
        assert not torch.allclose(old, wanted, atol=1e-2)


def test_the_network_in_training_is_left_as_it_is(recorded, model):
    change(model)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    plain = merged(model)
    assert model.state_dict().keys() == before.keys()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not any(value.requires_grad and "lora" in name for name, value in plain.named_parameters())
    kept, shared = model.vision_tower.embeddings.class_embedding, plain.vision_tower.embeddings.class_embedding
    assert kept.data_ptr() == shared.data_ptr(), "the frozen weights are not copied"


def test_the_embedded_kind_merges_with_its_tied_embeddings(tiny_model, tmp_path):
    before = {name: value.clone() for name, value in tiny_model.state_dict().items()}
    make_trainable(tiny_model, TrainableConfig())
    change(tiny_model)
    plain = merged(tiny_model)
    assert plain.language_model.lm_head.weight is plain.language_model.model.embed_tokens.weight
    assert plain.state_dict().keys() == before.keys()
    q_proj = "language_model.model.layers.1.self_attn.q_proj"
    layer = tiny_model.get_submodule(q_proj)
    delta = layer.lora_B["default"].weight @ layer.lora_A["default"].weight
    assert torch.allclose(plain.get_submodule(q_proj).weight, before[f"{q_proj}.weight"] + 2 * delta, atol=1e-6)
    embeddings = torch.randn(1, 5, tiny_model.config.language.hidden_size)
    expected = tiny_model.eval().language_model(inputs_embeds=embeddings).logits
    assert torch.allclose(plain.language_model(inputs_embeds=embeddings).logits, expected, atol=1e-5)


def test_the_type_of_the_merged_weights_is_chosen(recorded):
    model = copy.deepcopy(recorded[0])
    for parameter in model.parameters():
        parameter.data = parameter.data.bfloat16()
    make_trainable(model, TrainableConfig())
    change(model)
    q_proj = "language_model.model.layers.0.self_attn.q_proj.weight"
    kept, fine = merged(model).state_dict(), merged(model, torch.float32).state_dict()
    assert kept[q_proj].dtype == torch.bfloat16 and kept["language_model.lm_head.weight"].dtype == torch.float32
    assert torch.equal(fine[q_proj].bfloat16(), kept[q_proj]) and not torch.equal(fine[q_proj], kept[q_proj].float())
    assert {value.dtype for value in fine.values()} == {torch.float32}
    half = merged(model, torch.bfloat16)
    exact = "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"
    assert {value.dtype for name, value in half.state_dict().items() if name != exact} == {torch.bfloat16}
    assert half.state_dict()[exact].dtype == torch.float32


@pytest.mark.parametrize("quantization", ["8bit", "4bit"])
def test_quantised_blocks_are_expanded(golden_model, tmp_path, quantization):
    golden_model.save_pretrained(tmp_path / "whole", dtype=torch.float32)
    model = LisaModel.from_pretrained(tmp_path / "whole", dtype=torch.bfloat16, quantization=quantization)
    make_trainable(model, TrainableConfig())
    change(model)
    model.eval()
    embeddings = torch.randn(1, 7, 96, generator=torch.Generator().manual_seed(0))
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        expected = model.language_model(inputs_embeds=embeddings).logits.float()
    merged(model).save_pretrained(tmp_path / "merged", dtype=torch.float32)
    plain = LisaModel.from_pretrained(tmp_path / "merged")
    assert plain.state_dict().keys() == golden_model.state_dict().keys()
    with torch.no_grad():
        found = plain.language_model(inputs_embeds=embeddings).logits
    assert (found - expected).norm() / expected.norm() < 0.05
