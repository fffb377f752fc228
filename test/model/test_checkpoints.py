from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from lisa_ros.model.checkpoint_folder import FROZEN_FILE, MODEL_FILE, CheckpointError
from lisa_ros.model.image_processing import ImageProcessor
from lisa_ros.model.modeling import LisaModel
from lisa_ros.model.saving import FROZEN_PREFIX
from lisa_ros.model.stored_weights import StoredWeights


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


def test_a_hub_id_is_loaded_from_its_cached_snapshot_in_the_revision_asked_for(saved, tmp_path, monkeypatch):
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    repository = tmp_path / "hub" / "models--publisher--lisa"
    (repository / "snapshots").mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "v2").write_text("0123456789abcdef0123456789abcdef01234567")
    saved.rename(repository / "snapshots" / "0123456789abcdef0123456789abcdef01234567")
    assert LisaModel.from_pretrained("publisher/lisa", revision="v2").config.name == "tiny"
    with pytest.raises(CheckpointError, match=r"of publisher/lisa are not all in the cache, and HF_HUB_OFFLINE is set"):
        LisaModel.from_pretrained("publisher/lisa", revision="v3")
    with pytest.raises(CheckpointError, match=r"is a folder, and a folder has no revision 'v2'; leave it out\.$"):
        LisaModel.from_pretrained(tmp_path, revision="v2")


def test_a_long_list_is_cut_with_its_count(saved):
    change_weights(saved, lambda weights: [weights.pop(key) for key in list(weights) if "layers" in key])
    with pytest.raises(CheckpointError, match=r"\d\d missing: .* and \d+ more\.$"):
        LisaModel.from_pretrained(saved)


def test_a_missing_frozen_file_is_missing_weights(saved):
    (saved / FROZEN_FILE).unlink()
    with pytest.raises(CheckpointError, match=r"missing: request_encoder\.bert\."):
        LisaModel.from_pretrained(saved)


def test_a_scale_without_its_matrix_is_unexpected(saved):
    change_weights(saved, lambda weights: weights.update({"nothing.scale": torch.ones(2)}))
    with pytest.raises(CheckpointError, match=r"1 unexpected: nothing\.scale"):
        LisaModel.from_pretrained(saved)


@pytest.mark.parametrize(("key", "value"), [("text_hidden_fcs.2.bias", torch.nan), ("pyramid.stem", -torch.inf)])
def test_weights_that_are_not_finite_are_refused(saved, key, value):
    def change(weights):
        name = next(name for name in weights if name.startswith(key.replace("stem", "trunk.stem")))
        weights[name].view(-1)[1] = value

    change_weights(saved, change)
    with pytest.raises(CheckpointError, match=r"has values that are not finite in torch\.float32; copy it again\.$"):
        LisaModel.from_pretrained(saved)


def test_weights_beyond_the_range_of_16_bits_are_refused_in_that_type_only(saved):
    change_weights(saved, lambda weights: weights["mm_projector.bias"].fill_(1e5))
    with pytest.raises(CheckpointError, match=r"mm_projector\.bias .* torch\.float16; choose bfloat16 or float32\.$"):
        LisaModel.from_pretrained(saved, dtype=torch.float16)
    assert LisaModel.from_pretrained(saved, dtype=torch.bfloat16)


def test_a_device_without_enough_memory_is_one_sentence(saved, monkeypatch):
    def fail(*arguments, **options):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 MiB.")

    monkeypatch.setattr(StoredWeights, "read", fail)
    with pytest.raises(CheckpointError, match=r"do not fit into the memory of cpu; choose quantization 8bit or 4bit"):
        LisaModel.from_pretrained(saved)


LOADING = """
import ctypes, gc, json, re, sys
from pathlib import Path
import torch
import transformers.models.llama.modeling_llama, transformers.models.bert.modeling_bert
from lisa_ros.model.modeling import LisaModel
from lisa_ros.model.quantization import check_quantization
from lisa_ros.model.sam import sam_modeling

CODE_THAT_RUNS_FIRST = 6_000_000

def resident(name):
    return 1024 * int(re.search(name + r":\\s+(\\d+)", Path("/proc/self/status").read_text())[1])

check_quantization("4bit"), sam_modeling()
LisaModel.from_pretrained(sys.argv[1], quantization="8bit")
ratios = {}
for dtype, quantization in (("bfloat16", "8bit"), ("bfloat16", "4bit"), ("bfloat16", None), ("float32", None)):
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    model = LisaModel.from_pretrained(sys.argv[2], dtype=getattr(torch, dtype), quantization=quantization)
    peak = resident("VmHWM") - before - CODE_THAT_RUNS_FIRST
    weights = {v.untyped_storage().data_ptr(): v.untyped_storage().nbytes() for v in model.state_dict().values()}
    ratios[quantization or dtype] = (peak / sum(weights.values()), sum(weights.values()))
    del model, weights
print(json.dumps(ratios))
"""


def test_loading_never_holds_a_second_copy(saved, tiny_text, tmp_path):
    language = replace(
        tiny_text.config.language, hidden_size=256, intermediate_size=704, num_hidden_layers=80, vocab_size=60_000
    )
    with torch.device("meta"):
        outline = LisaModel(replace(tiny_text.config, language=language))
    model = outline.to_empty(device="cpu").to(torch.bfloat16)
    with torch.no_grad():
        for value in [*model.parameters(), *model.buffers()]:
            value.zero_()
    model.save_pretrained(tmp_path / "large", dtype=torch.bfloat16, max_shard_size="50MB")
    del model
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", LOADING, str(saved), str(tmp_path / "large")]
    output = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
    ratios = json.loads(output)
    sizes = {name: size for name, (_, size) in ratios.items()}
    assert sizes["float32"] > 1.9 * sizes["bfloat16"] > 2.5 * sizes["8bit"] > 3.0 * sizes["4bit"]
    assert {name: ratio for name, (ratio, _) in ratios.items() if ratio > 1.15} == {}
