from __future__ import annotations

import json
import shutil

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from lisa_ros.model import saving
from lisa_ros.model.checkpoint_folder import FROZEN_FILE, INDEX_FILE, MODEL_FILE, CheckpointError
from lisa_ros.model.modeling import LisaModel
from lisa_ros.model.saving import FROZEN_PREFIX, quantised_rows

PARTS = "*.part"


def weight_files(folder):
    return sorted(path.name for path in folder.glob("*.safetensors*"))


def same_weights(first, second):
    pairs = zip(first.state_dict().items(), second.state_dict().items(), strict=True)
    return all(key == other and torch.equal(value, found) for (key, value), (other, found) in pairs)


def test_frozen_matrices_are_int8_with_half_a_step_of_error_at_most(tiny_model, tmp_path):
    tiny_model.save_pretrained(tmp_path, dtype=torch.float32)
    stored = load_file(tmp_path / FROZEN_FILE)
    loaded = LisaModel.from_pretrained(tmp_path).state_dict()
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


def test_files_above_the_limit_become_shards_in_the_layout_of_hugging_face(tiny_model, tmp_path):
    limit = 2_000_000
    tiny_model.save_pretrained(tmp_path / "one", dtype=torch.float32)
    tiny_model.save_pretrained(tmp_path / "many", dtype=torch.float32, max_shard_size=limit)
    index = json.loads((tmp_path / "many" / INDEX_FILE).read_text())
    names = sorted(set(index["weight_map"].values()))
    count = len(names)
    assert count > 2 and names[0] == f"model-00001-of-{count:05d}.safetensors"
    assert weight_files(tmp_path / "many") == sorted([FROZEN_FILE, INDEX_FILE, *names])
    whole, sizes = load_file(tmp_path / "one" / MODEL_FILE), {}
    for name in names:
        for key, value in load_file(tmp_path / "many" / name).items():
            assert index["weight_map"][key] == name and torch.equal(whole.pop(key), value)
            sizes[name] = sizes.get(name, 0) + value.nbytes
    assert not whole and max(sizes.values()) <= limit
    assert index["metadata"]["total_size"] == sum(sizes.values())
    assert same_weights(LisaModel.from_pretrained(tmp_path / "one"), LisaModel.from_pretrained(tmp_path / "many"))


def test_the_limit_counts_the_bytes_that_are_written(tiny_model, tmp_path):
    total = sum(value.nbytes for key, value in tiny_model.state_dict().items() if not key.startswith(FROZEN_PREFIX))
    tiny_model.save_pretrained(tmp_path / "half", dtype=torch.float16, max_shard_size=int(0.6 * total))
    tiny_model.save_pretrained(tmp_path / "single", dtype=torch.float32, max_shard_size=int(0.6 * total))
    assert MODEL_FILE in weight_files(tmp_path / "half") and INDEX_FILE in weight_files(tmp_path / "single")


def test_saving_again_leaves_nothing_of_the_older_checkpoint(tiny_model, tmp_path):
    tiny_model.save_pretrained(tmp_path, dtype=torch.float32, max_shard_size=2_000_000)
    with torch.no_grad():
        tiny_model.text_hidden_fcs[2].bias.add_(1.0)
    for limit in ("1GB", 4_000_000):
        tiny_model.save_pretrained(tmp_path, dtype=torch.float32, max_shard_size=limit)
        loaded = LisaModel.from_pretrained(tmp_path)
        assert torch.equal(loaded.text_hidden_fcs[2].bias, tiny_model.text_hidden_fcs[2].bias)
        assert not list(tmp_path.glob(PARTS))


class CutOffError(BaseException):
    """Nothing of ours handles it, as nothing handles a kill."""


def cut_off_after(patch, steps):
    """Let the file operation after ``steps`` of them raise; returns the list of those that were done."""
    done = []

    def counted(function):
        def call(*arguments, **options):
            if len(done) == steps:
                raise CutOffError
            done.append(function.__name__)
            return function(*arguments, **options)

        return call

    patch.setattr(saving, "save_file", counted(saving.save_file))
    for name in ("write_text", "unlink", "replace"):
        patch.setattr(saving.Path, name, counted(getattr(saving.Path, name)))
    return done


def test_a_save_that_is_cut_off_anywhere_never_leaves_a_mixture_that_loads(tiny_model, tmp_path, monkeypatch):
    options = {"dtype": torch.float32, "max_shard_size": 6_000_000}
    bias = tiny_model.text_hidden_fcs[2].bias
    older, refused = bias.clone(), 0
    for steps in range(100):
        with torch.no_grad():
            bias.copy_(older)
        tiny_model.save_pretrained(tmp_path, **options)
        with torch.no_grad():
            bias.add_(1.0)
        try:
            with monkeypatch.context() as patch:
                done = cut_off_after(patch, steps)
                tiny_model.save_pretrained(tmp_path, **options)
            break
        except CutOffError:
            pass
        if list(tmp_path.glob(PARTS)):
            refused += 1
            with pytest.raises(CheckpointError, match="interrupted; run it again"):
                LisaModel.from_pretrained(tmp_path)
        else:
            assert torch.equal(LisaModel.from_pretrained(tmp_path).text_hidden_fcs[2].bias, older)
    assert torch.equal(LisaModel.from_pretrained(tmp_path).text_hidden_fcs[2].bias, bias)
    assert done.count("save_file") >= 3 and done.count("replace") >= 4 and refused == len(done) - 1


def test_a_full_disk_is_one_sentence_and_leaves_the_older_checkpoint(tiny_model, tmp_path, monkeypatch):
    tiny_model.save_pretrained(tmp_path, dtype=torch.float32)
    content = shutil.copy(tmp_path / MODEL_FILE, tmp_path.parent / "older")

    def fail(weights, path, metadata):
        path.write_bytes(b"half")
        raise SafetensorError("I/O error: No space left on device")

    monkeypatch.setattr(saving, "save_file", fail)
    with pytest.raises(CheckpointError, match=r"cannot be written into .* \(I/O error: No space left on device\)\.$"):
        tiny_model.save_pretrained(tmp_path)
    assert not list(tmp_path.glob(PARTS)) and (tmp_path / MODEL_FILE).read_bytes() == content.read_bytes()
    assert LisaModel.from_pretrained(tmp_path)


def test_a_quantised_network_is_not_saved(tiny_model, tmp_path):
    tiny_model.quantization = "8bit"
    with pytest.raises(CheckpointError, match="loaded in 8bit cannot be saved, .* load it without quantization"):
        tiny_model.save_pretrained(tmp_path / "new")
    assert not (tmp_path / "new").exists()
