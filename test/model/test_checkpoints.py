from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from lisa_ros.model.checkpoints import FROZEN_FILE, FROZEN_PREFIX, MODEL_FILE, CheckpointError, quantised_rows
from lisa_ros.model.image_processing import ImageProcessor
from lisa_ros.model.modeling import LisaModel


@pytest.fixture
def saved(tiny_model, tmp_path):
    tiny_model.save_pretrained(tmp_path / "model", dtype=torch.float32)
    return tmp_path / "model"


def change_weights(folder, change):
    weights = load_file(folder / MODEL_FILE)
    change(weights)
    save_file(weights, folder / MODEL_FILE)


def test_all_that_is_learned_comes_back_to_the_bit(tiny_model, saved):
    loaded = LisaModel.from_pretrained(saved)
    assert loaded.config == tiny_model.config and not loaded.training
    for key, value in tiny_model.state_dict().items():
        if not key.startswith(FROZEN_PREFIX):
            assert torch.equal(loaded.state_dict()[key], value), key
    assert loaded.language_model.lm_head.weight is loaded.language_model.get_input_embeddings().weight
    assert not any(value.is_meta for value in [*loaded.parameters(), *loaded.buffers()])


@torch.inference_mode()
def test_a_loaded_network_computes_what_the_saved_one_computed(tiny_model, saved):
    loaded = LisaModel.from_pretrained(saved)
    images = ImageProcessor(tiny_model.config)(np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8))
    for compute in (
        lambda model: model.language_model(inputs_embeds=model.encode_image_for_language(images)).logits,
        lambda model: model.decode_masks(model.encode_image_for_masks(images), torch.ones(2, 32))[0],
    ):
        images.pyramid_features = None
        expected = compute(tiny_model)
        images.pyramid_features = None
        assert torch.allclose(compute(loaded), expected, atol=1e-5)


def test_frozen_matrices_are_int8_with_half_a_step_of_error_at_most(tiny_model, saved):
    stored = load_file(saved / FROZEN_FILE)
    loaded = LisaModel.from_pretrained(saved).state_dict()
    matrices = 0
    for key, value in tiny_model.state_dict().items():
        if not key.startswith(FROZEN_PREFIX):
            continue
        if value.ndim == 2:
            matrices += 1
            assert stored[key].dtype is torch.int8
            step = value.abs().amax(dim=1, keepdim=True) / 127
            assert ((loaded[key] - value).abs() <= 0.51 * step).all(), key
        else:
            assert torch.equal(loaded[key], value.half().float()), key
    assert matrices > 10


def test_a_row_of_zeros_stays_zero_and_small_rows_stay_close():
    matrix = torch.stack([torch.zeros(8), torch.linspace(-1e-3, 1e-3, 8), torch.linspace(-9.0, 9.0, 8)])
    stored = quantised_rows({"w": matrix})
    back = stored["w"].float() * stored["w.scale"].float()[:, None]
    assert torch.equal(back[0], matrix[0])
    assert ((back - matrix).abs() <= 0.01 * matrix.abs().amax(1, keepdim=True)).all()


def test_16_bit_storage_keeps_the_positional_matrix_exact(tiny_model, tmp_path):
    tiny_model.save_pretrained(tmp_path)
    stored = load_file(tmp_path / MODEL_FILE)
    matrix = "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"
    assert torch.equal(stored[matrix], tiny_model.state_dict()[matrix])
    assert stored["text_hidden_fcs.0.weight"].dtype is torch.float16
    loaded = LisaModel.from_pretrained(tmp_path, dtype=torch.bfloat16)
    assert loaded.state_dict()[matrix].dtype is torch.float32
    assert {value.dtype for value in loaded.parameters()} == {torch.bfloat16}


def test_every_missing_unexpected_and_misshapen_weight_is_listed(saved):
    def change(weights):
        del weights["mm_projector.bias"]
        weights["mm_projector.extra"] = torch.zeros(1)
        weights["text_hidden_fcs.2.bias"] = torch.zeros(33)
        weights["text_hidden_fcs.0.bias"] = torch.zeros(48, dtype=torch.int32)

    change_weights(saved, change)
    with pytest.raises(CheckpointError) as error:
        LisaModel.from_pretrained(saved)
    assert str(error.value) == (
        f"The weights in {saved} do not fit its config.json: 1 missing: mm_projector.bias; "
        "1 unexpected: mm_projector.extra; 1 of another shape: text_hidden_fcs.2.bias [33] instead of [32]; "
        "1 of another type: text_hidden_fcs.0.bias (torch.int32)."
    )


def test_a_long_list_is_cut_with_its_count(saved):
    change_weights(saved, lambda weights: [weights.pop(key) for key in list(weights) if "layers" in key])
    with pytest.raises(CheckpointError, match=r"\d\d missing: .* and \d+ more\.$"):
        LisaModel.from_pretrained(saved)


def test_a_missing_frozen_file_is_missing_weights(saved):
    (saved / FROZEN_FILE).unlink()
    with pytest.raises(CheckpointError, match=r"missing: request_encoder\.bert\."):
        LisaModel.from_pretrained(saved)


@pytest.mark.parametrize("scale", [torch.ones(3), torch.ones(24, 1)])
def test_scales_that_do_not_fit_their_matrix_are_quoted(saved, scale):
    weights = load_file(saved / FROZEN_FILE)
    key = f"{FROZEN_PREFIX}encoder.layer.0.attention.self.query.weight"
    save_file(weights | {f"{key}.scale": scale}, saved / FROZEN_FILE)
    with pytest.raises(CheckpointError, match=r"query\.weight \[24, 24\] has scales .* one a row"):
        LisaModel.from_pretrained(saved)


def test_a_scale_without_its_matrix_is_unexpected(saved):
    change_weights(saved, lambda weights: weights.update({"nothing.scale": torch.ones(2)}))
    with pytest.raises(CheckpointError, match=r"1 unexpected: nothing\.scale"):
        LisaModel.from_pretrained(saved)


@pytest.mark.parametrize("keep", [0, 7, 2000, -1])
def test_a_truncated_file_is_damaged(saved, keep):
    content = (saved / MODEL_FILE).read_bytes()
    (saved / MODEL_FILE).write_bytes(content[:keep])
    with pytest.raises(CheckpointError, match=r"model\.safetensors is damaged or not safetensors .*; copy it again\.$"):
        LisaModel.from_pretrained(saved)


def test_a_pickle_is_refused_and_never_opened(saved):
    (saved / MODEL_FILE).unlink()
    (saved / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'exit 1'\ntR.")
    with pytest.raises(CheckpointError, match=r"holds the pickle pytorch_model\.bin, which is not loaded"):
        LisaModel.from_pretrained(saved)


def test_what_is_no_checkpoint_folder_is_one_sentence(saved, tmp_path):
    with pytest.raises(CheckpointError, match=r"folder .*nowhere does not exist; give a folder"):
        LisaModel.from_pretrained(tmp_path / "nowhere")
    with pytest.raises(CheckpointError, match=r"has no config\.json; it is not a model folder"):
        LisaModel.from_pretrained(tmp_path)
    (saved / "config.json").write_text(json.dumps({"model_type": "llava"}))
    with pytest.raises(CheckpointError, match="model_type is 'llava'; .* must be converted first"):
        LisaModel.from_pretrained(saved)


def test_saving_leaves_no_partial_file_and_replaces_an_older_one(tiny_model, saved):
    shutil.copy(saved / MODEL_FILE, saved / "older")
    with torch.no_grad():
        tiny_model.text_hidden_fcs[2].bias.add_(1.0)
    tiny_model.save_pretrained(saved, dtype=torch.float32)
    assert not list(saved.glob("*.part"))
    older, newer = load_file(saved / "older"), load_file(saved / MODEL_FILE)
    assert torch.equal(newer["text_hidden_fcs.2.bias"], older["text_hidden_fcs.2.bias"] + 1.0)
