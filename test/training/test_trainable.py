from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch

from lisa_ros.evaluation.parity.comparison import Findings
from lisa_ros.evaluation.parity.recording import read_arrays, recorded_model
from lisa_ros.evaluation.parity.training import recorded_batch
from lisa_ros.model.configuration import ConfigurationError
from lisa_ros.model.modeling import LisaModel
from lisa_ros.model.official import translated_key
from lisa_ros.training.lisa_objective import LisaObjective
from lisa_ros.training.trainable import (
    LoraSettings,
    TrainableConfig,
    learning_parameters,
    make_trainable,
    trainable_report,
)

RECORDING = Path(__file__).parents[1] / "data" / "golden_tiny_d"


@pytest.fixture(scope="module")
def recorded():
    """The recorded network and batch; tests must not change them."""
    model = recorded_model(RECORDING)
    return model, recorded_batch(model, read_arrays(RECORDING / "train_inputs.npz"), Findings())


@pytest.fixture
def model(recorded):
    return copy.deepcopy(recorded[0])


def lora_names(model, targets=("q_proj", "v_proj")):
    layers = range(model.config.language.num_hidden_layers)
    start = "language_model.model.layers"
    return {
        f"{start}.{layer}.self_attn.{target}.lora_{matrix}.default.weight"
        for layer in layers
        for target in targets
        for matrix in "AB"
    }


def losses(model, batch, *, train):
    with torch.no_grad():
        values = LisaObjective(model).train(train)(batch)
    return {name: value.item() for name, value in values.items()}


def test_by_default_what_the_reference_trains_learns_and_lora_beside_it(model):
    recorded = read_arrays(RECORDING / "train_outputs.npz")
    pairs = zip(recorded["grad_names"], recorded["grad_norms"], strict=True)
    with_gradient = {translated_key(str(name)) for name, norm in pairs if norm > 0}
    make_trainable(model, TrainableConfig())
    assert set(learning_parameters(model)) == with_gradient | lora_names(model)
    assert not any("lora_" in name for name in model.vision_tower.state_dict())
    q_proj = model.language_model.model.layers[0].self_attn.q_proj
    assert q_proj.scaling["default"] == 2.0 and q_proj.lora_dropout["default"].p == 0.05
    assert q_proj.lora_A["default"].weight.shape == (8, 80) and not q_proj.lora_B["default"].weight.any()


def test_nothing_changes_before_the_first_step(recorded, model):
    expected = losses(recorded[0], recorded[1], train=False)
    make_trainable(model, TrainableConfig())
    for train in (True, False):
        assert losses(model, recorded[1], train=train) == pytest.approx(expected, rel=1e-6)


def test_dropout_is_lora_s_alone_and_only_in_training(recorded, model):
    make_trainable(model, TrainableConfig(lora=LoraSettings(dropout=0.5)))
    for name, value in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(value, std=0.1)
    assert losses(model, recorded[1], train=False) == losses(model, recorded[1], train=False)
    assert losses(model, recorded[1], train=True) != losses(model, recorded[1], train=True)


def test_parts_and_target_modules_are_chosen(model):
    lora = LoraSettings(r=2, alpha=6, target_modules=("k_proj", "o_proj"))
    make_trainable(model, TrainableConfig(parts=("mm_projector",), lora=lora))
    expected = {"mm_projector.weight", "mm_projector.bias"} | lora_names(model, ("k_proj", "o_proj"))
    assert set(learning_parameters(model)) == expected
    assert model.language_model.model.layers[0].self_attn.k_proj.scaling["default"] == 3.0


def test_the_blocks_may_learn_as_a_whole_instead(model):
    make_trainable(model, TrainableConfig(parts=("layers",), lora=LoraSettings(r=0)))
    learning = learning_parameters(model)
    assert all(name.startswith(("language_model.model.layers", "language_model.model.norm")) for name in learning)
    assert len(learning) == 3 * 9 + 1


def test_counts(model):
    make_trainable(model, TrainableConfig())
    total = sum(value.numel() for value in model.parameters())
    report = trainable_report(model)
    assert report.learning == {
        "embed_tokens": 363 * 80,
        "lm_head": 363 * 80,
        "text_hidden_fcs": 80 * 80 + 80 + 80 * 256 + 256,
        "lora": 3 * 2 * 8 * (80 + 80),
        "mask_decoder": sum(v.numel() for k, v in learning_parameters(model).items() if k.startswith("mask_decoder")),
    }
    assert sum(report.learning.values()) + report.frozen == total
    assert str(report).startswith(f"{sum(report.learning.values()):,} of {total:,} parameters learn (")
    assert "lora 7,680" in str(report)


def test_what_learns_is_fp32_beside_frozen_bf16(model):
    for parameter in model.parameters():
        parameter.data = parameter.data.bfloat16()
    make_trainable(model, TrainableConfig())
    types = {(value.requires_grad, value.dtype) for value in model.parameters()}
    assert types == {(True, torch.float32), (False, torch.bfloat16)}


def test_tied_embeddings_stay_tied(tiny_model):
    tiny_model.bfloat16()
    make_trainable(tiny_model, TrainableConfig())
    language_model = tiny_model.language_model
    assert language_model.lm_head.weight is language_model.model.embed_tokens.weight
    assert language_model.lm_head.weight.requires_grad and language_model.lm_head.weight.dtype == torch.float32
    assert "lm_head" not in trainable_report(tiny_model).learning


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (
            TrainableConfig(parts=("lm_heads",)),
            "parts names 'lm_heads'; this network has embed_tokens, layers, lm_head, ",
        ),
        (
            TrainableConfig(parts=("pyramid",)),
            "parts names 'pyramid'; this network has .*, image_encoder, mask_decoder",
        ),
        (
            TrainableConfig(lora=LoraSettings(target_modules=("q_proj", "query"))),
            "lora.target_modules names 'query'; the Llama's blocks have down_proj, gate_proj, k_proj, o_proj, q_proj, ",
        ),
    ],
)
def test_names_that_this_network_does_not_have_are_quoted(model, settings, sentence):
    with pytest.raises(ConfigurationError, match=sentence):
        make_trainable(model, settings)
    assert not any("lora_" in name for name in model.state_dict())


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: LoraSettings(r=-1), "lora.r is -1; it must be 1 or more, or 0"),
        (lambda: LoraSettings(alpha=0), "lora.alpha is 0; it must be 1 or more"),
        (lambda: LoraSettings(dropout=1.0), r"lora.dropout is 1\.0; it must lie in \[0, 1\)"),
        (lambda: LoraSettings(target_modules=()), "lora.target_modules is empty"),
        (lambda: TrainableConfig(parts=(), lora=LoraSettings(r=0)), "parts is empty and lora.r is 0"),
        (lambda: TrainableConfig(parts=("layers",)), "parts names 'layers' and lora.r is not 0"),
    ],
)
def test_values_that_are_not_valid_are_quoted(make, sentence):
    with pytest.raises(ConfigurationError, match=sentence):
        make()


def test_networks_that_cannot_learn_are_refused(recorded, model):
    make_trainable(model, TrainableConfig())
    with pytest.raises(ConfigurationError, match="has LoRA already; merge it first"):
        make_trainable(model, TrainableConfig())
    with pytest.raises(ConfigurationError, match="is in float16, .* load it in bfloat16 or float32"):
        make_trainable(copy.deepcopy(recorded[0]).half(), TrainableConfig())


@pytest.mark.parametrize("quantization", ["8bit", "4bit"])
def test_quantised_blocks_learn_through_lora(golden_model, golden_folder, tmp_path, quantization):
    golden_model.save_pretrained(tmp_path, dtype=torch.float32)
    model = LisaModel.from_pretrained(tmp_path, dtype=torch.bfloat16, quantization=quantization)
    whole = trainable_report(model)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        used_before = model.language_model(inputs_embeds=torch.randn(1, 3, 96))
    assert torch.isfinite(used_before.logits).all()
    make_trainable(model, TrainableConfig())
    report = trainable_report(model)
    assert sum(report.learning.values()) - report.learning["lora"] + report.frozen == sum(
        value.numel() for value in golden_model.parameters()
    )
    assert whole.frozen + sum(whole.learning.values()) == sum(value.numel() for value in golden_model.parameters())
    given = read_arrays(golden_folder / "val_inputs.npz")
    given = {"image.0": given.pop("image"), "gt_masks.0": np.minimum(given.pop("gt_masks"), 1), **given}
    batch = recorded_batch(golden_model, given | {"labels": given["input_ids"]}, Findings())
    objective = LisaObjective(model, gradient_checkpointing=True).train()
    found = objective(batch)
    sum(found.values()).backward()
    expected = losses(golden_model, batch, train=False)
    assert {name: value.item() for name, value in found.items()} == pytest.approx(expected, rel=0.1)
    gradients = {name: value.grad for name, value in learning_parameters(model).items()}
    assert all(torch.isfinite(value).all() for value in gradients.values())
    assert all(gradients[name].any() for name in lora_names(model) if "lora_B" in name)
    with pytest.raises(ConfigurationError, match="parts names 'layers', which is quantised"):
        make_trainable(
            LisaModel.from_pretrained(tmp_path, dtype=torch.bfloat16, quantization=quantization),
            TrainableConfig(parts=("layers",), lora=LoraSettings(r=0)),
        )
