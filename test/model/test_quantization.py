from __future__ import annotations

import sys
from dataclasses import replace

import pytest
import torch
from torch import nn

from lisa_ros.model.checkpoints import CheckpointError
from lisa_ros.model.modeling import LisaModel
from lisa_ros.model.quantization import BLOCKS

LINEARS = ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj"]
LINEARS += ["mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"]


@pytest.fixture(scope="module")
def saved(tiny_text, tmp_path_factory):
    """A checkpoint whose rows of 64 and 96 weights are whole blocks of both sizes; returns its folder."""
    language = replace(tiny_text.config.language, hidden_size=64, intermediate_size=96)
    with torch.random.fork_rng():
        torch.manual_seed(7)
        model = LisaModel(replace(tiny_text.config, language=language))
        for name, value in model.named_parameters():
            if name.startswith(BLOCKS) and value.ndim == 2:
                nn.init.normal_(value, std=value.shape[1] ** -0.5)
    folder = tmp_path_factory.mktemp("model")
    model.save_pretrained(folder, dtype=torch.float32)
    return folder


def error_of(found, expected):
    return float((found.float() - expected.float()).norm() / expected.float().norm())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("quantization", ["8bit", "4bit"])
def test_only_the_linear_layers_of_llamas_blocks_lose_bits(saved, quantization, dtype):
    from bitsandbytes.nn import Linear4bit, Linear8bitLt

    plain = LisaModel.from_pretrained(saved, dtype=dtype)
    model = LisaModel.from_pretrained(saved, dtype=dtype, quantization=quantization)
    kind = Linear8bitLt if quantization == "8bit" else Linear4bit
    quantized = {name for name, module in model.named_modules() if isinstance(module, kind)}
    assert quantized == {f"{BLOCKS}.{layer}.{name}" for layer in range(2) for name in LINEARS}
    assert (model.quantization, model.dtype, plain.quantization) == (quantization, dtype, None)
    assert not model.training and not any(value.is_meta for value in [*model.parameters(), *model.buffers()])
    kept = {key for key in plain.state_dict() if key.removesuffix(".weight") not in quantized}
    assert {"language_model.lm_head.weight", "mm_projector.weight", "text_hidden_fcs.0.weight"} < kept
    for key in kept:
        assert torch.equal(model.state_dict()[key], plain.state_dict()[key]), key
    weights = sum(plain.get_parameter(f"{name}.weight").numel() for name in quantized)
    stored = sum(model.get_parameter(f"{name}.weight").nbytes for name in quantized)
    assert stored == weights if quantization == "8bit" else stored == weights / 2


@torch.inference_mode()
@pytest.mark.parametrize(("quantization", "largest"), [("8bit", 0.05), ("4bit", 0.5)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_what_the_language_model_says_stays_close(saved, quantization, largest, dtype):
    plain = LisaModel.from_pretrained(saved)
    model = LisaModel.from_pretrained(saved, dtype=dtype, quantization=quantization)
    ids = torch.arange(6, 40)[None]
    expected = plain.language_model.model(ids).last_hidden_state
    for _ in range(2):
        found = model.language_model.model(ids).last_hidden_state
        assert found.dtype is dtype and 0.0 < error_of(found, expected) < largest


@torch.inference_mode()
@pytest.mark.parametrize("name", ["self_attn.q_proj", "mlp.down_proj"])
def test_four_bits_compute_in_the_type_that_was_asked_for(saved, name):
    """NormalFloat of these Gaussian weights is off by a tenth; multiplying with it must add nothing to that."""
    from bitsandbytes.functional import dequantize_4bit

    key = f"{BLOCKS}.1.{name}"
    weight = LisaModel.from_pretrained(saved).get_parameter(f"{key}.weight")
    layer = LisaModel.from_pretrained(saved, quantization="4bit").get_submodule(key)
    rounded = dequantize_4bit(layer.weight.data, layer.weight.quant_state)
    assert 0.05 < error_of(rounded, weight) < 0.13
    states = torch.randn(5, weight.shape[1])
    assert torch.allclose(layer(states), states @ rounded.T, atol=1e-5)


@torch.inference_mode()
@pytest.mark.parametrize("quantization", ["8bit", "4bit"])
def test_the_log_stays_quiet(saved, quantization, caplog):
    model = LisaModel.from_pretrained(saved, quantization=quantization)
    model.language_model.model(torch.arange(6, 40)[None])
    assert not caplog.records


def test_rows_that_four_bits_cannot_hold_are_refused(tiny_model, tmp_path):
    tiny_model.save_pretrained(tmp_path)
    with pytest.raises(CheckpointError) as error:
        LisaModel.from_pretrained(tmp_path, quantization="4bit")
    assert str(error.value) == (
        "quantization '4bit' needs rows of a multiple of 32 weights, and "
        f"{BLOCKS}.0.self_attn.q_proj has 48; choose 8bit or none."
    )
    assert LisaModel.from_pretrained(tmp_path, quantization="8bit").quantization == "8bit"


def test_other_names_and_a_missing_bitsandbytes_are_one_sentence(saved, monkeypatch):
    with pytest.raises(CheckpointError, match=r"^quantization is '3bit'; choose one of none, 8bit, 4bit\.$"):
        LisaModel.from_pretrained(saved, quantization="3bit")
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(
        CheckpointError, match=r"^quantization '8bit' needs bitsandbytes, .* pip install bitsandbytes\.$"
    ):
        LisaModel.from_pretrained(saved, quantization="8bit")
    assert LisaModel.from_pretrained(saved)


def test_a_quantised_network_is_not_saved(saved, tmp_path):
    model = LisaModel.from_pretrained(saved, quantization="4bit")
    with pytest.raises(CheckpointError, match="loaded in 4bit cannot be saved"):
        model.save_pretrained(tmp_path / "new")


def test_weights_that_are_not_finite_are_found_before_they_are_rounded(saved, tmp_path):
    model = LisaModel.from_pretrained(saved)
    with torch.no_grad():
        model.get_parameter(f"{BLOCKS}.0.mlp.up_proj.weight")[3, 5] = torch.nan
    model.save_pretrained(tmp_path, dtype=torch.float32)
    for quantization in ("8bit", "4bit"):
        with pytest.raises(CheckpointError, match=rf"{BLOCKS}\.0\.mlp\.up_proj\.weight in .* are not finite"):
            LisaModel.from_pretrained(tmp_path, quantization=quantization)
