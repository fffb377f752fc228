from __future__ import annotations

import json
import os
import struct

import pytest
import torch
from safetensors.torch import load_file, save_file

from lisa_ros.model import stored_weights
from lisa_ros.model.checkpoint_folder import FROZEN_FILE, INDEX_FILE, MODEL_FILE, CheckpointError
from lisa_ros.model.modeling import LisaModel
from lisa_ros.model.stored_weights import StoredWeights

CPU = torch.device("cpu")
SHARD_1, SHARD_2 = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"


@pytest.fixture
def weights():
    generator = torch.Generator().manual_seed(5)
    return {
        "matrix": torch.randn(300, 70, generator=generator),
        "half": torch.randn(1000, generator=generator).to(torch.bfloat16),
        "scalar": torch.tensor(2.5),
        "empty": torch.zeros(0, 4),
        "ids": torch.arange(7),
        "flags": torch.tensor([True, False]),
    }


@pytest.fixture
def shards(weights, tmp_path):
    """A folder with two shards; returns it and a function that writes an index with changes."""
    names = {key: SHARD_1 if key in ("matrix", "empty") else SHARD_2 for key in weights}
    for shard in (SHARD_1, SHARD_2):
        save_file({key: weights[key] for key, name in names.items() if name == shard}, tmp_path / shard)

    def index(**changes):
        (tmp_path / INDEX_FILE).write_text(json.dumps({"metadata": {}, "weight_map": names | changes}))

    index()
    return tmp_path, index


def refusal(folder):
    with pytest.raises(CheckpointError) as error:
        StoredWeights(folder)
    assert str(error.value).endswith(".")
    return str(error.value)


@pytest.mark.parametrize("chunk_bytes", [64, 2**22])
def test_every_tensor_comes_to_the_bit_in_whatever_pieces_it_is_read(weights, tmp_path, monkeypatch, chunk_bytes):
    monkeypatch.setattr(stored_weights, "CHUNK_BYTES", chunk_bytes)
    save_file(weights, tmp_path / MODEL_FILE, metadata={"format": "pt"})
    stored = StoredWeights(tmp_path)
    assert {key: (value.shape, value.dtype) for key, value in stored.outlines.items()} == {
        key: (value.shape, value.dtype) for key, value in weights.items()
    }
    for dtype in (torch.float32, torch.bfloat16):
        for key, value in weights.items():
            read = stored.read(key, dtype=dtype, device=CPU)
            expected = value.to(dtype) if value.is_floating_point() else value
            assert read.dtype is expected.dtype and torch.equal(read, expected), key


@pytest.mark.parametrize("chunk_bytes", [64, 2**22])
def test_an_int8_matrix_is_multiplied_by_the_scale_of_each_row(tmp_path, monkeypatch, chunk_bytes):
    monkeypatch.setattr(stored_weights, "CHUNK_BYTES", chunk_bytes)
    matrix = torch.randint(-127, 128, (50, 30), dtype=torch.int8)
    scales = torch.rand(50).half()
    save_file({"m": matrix, "m.scale": scales}, tmp_path / MODEL_FILE)
    stored = StoredWeights(tmp_path)
    assert list(stored.outlines) == ["m"]
    expected = matrix.float() * scales.float()[:, None]
    assert torch.equal(stored.read("m", dtype=torch.float32, device=CPU), expected)
    assert torch.equal(stored.read("m", dtype=torch.bfloat16, device=CPU), expected.bfloat16())


def test_shards_give_what_one_file_gives(shards, weights):
    stored = StoredWeights(shards[0])
    assert set(stored.outlines) == set(weights) and len(stored) == len(weights)
    for key, value in weights.items():
        assert torch.equal(stored.read(key, dtype=torch.float32, device=CPU).to(value.dtype), value)


def test_an_index_that_does_not_say_what_is_there_is_refused(shards):
    folder, index = shards
    index(matrix=SHARD_2)
    assert f"{SHARD_1} holds matrix, which {INDEX_FILE} does not say" in refusal(folder)
    index(another=SHARD_1)
    assert f"says that another is in {folder / SHARD_1}, which does not hold it; copy the folder" in refusal(folder)
    index(another="model-00003-of-00003.safetensors")
    assert (
        "names model-00003-of-00003.safetensors, which is missing; copy the folder again, or run the lisa"
        in refusal(folder)
    )
    for name in ("../secret.safetensors", "/etc/passwd", "frozen.safetensors", 5, None):
        index(matrix=name)
        assert f"names {name!r}; shards are named like" in refusal(folder)
    for content in ("{}", "[]", '{"weight_map": {}}', '{"weight_map": 3}'):
        (folder / INDEX_FILE).write_text(content)
        assert "has no weight_map" in refusal(folder)
    (folder / INDEX_FILE).write_text("{")
    assert f"{INDEX_FILE} cannot be read" in refusal(folder)


def test_a_shard_that_is_no_file_is_missing(shards):
    folder, _ = shards
    (folder / SHARD_2).unlink()
    assert f"names {SHARD_2}, which is missing" in refusal(folder)
    (folder / SHARD_2).symlink_to(folder / SHARD_2)
    assert f"names {SHARD_2}, which is missing" in refusal(folder)
    (folder / SHARD_2).unlink()
    os.mkfifo(folder / SHARD_2)
    assert f"names {SHARD_2}, which is missing" in refusal(folder)


def test_a_shard_that_no_index_names_and_a_second_model_are_refused(shards):
    folder, _ = shards
    (folder / "model-00003-of-00003.safetensors").write_bytes((folder / SHARD_1).read_bytes())
    assert f"holds model-00003-of-00003.safetensors, which its {INDEX_FILE} does not name" in refusal(folder)
    (folder / "model-00003-of-00003.safetensors").rename(folder / MODEL_FILE)
    assert f"has both {MODEL_FILE} and {INDEX_FILE}" in refusal(folder)
    for name in (MODEL_FILE, INDEX_FILE):
        (folder / name).unlink()
    assert f"has neither {MODEL_FILE} nor {INDEX_FILE}; copy the folder again, or run the lisa convert" in refusal(
        folder
    )


def test_one_name_in_two_files_is_refused(weights, tmp_path):
    save_file(weights, tmp_path / MODEL_FILE)
    save_file({"half": weights["half"]}, tmp_path / FROZEN_FILE)
    assert "half is both in" in refusal(tmp_path)


@pytest.mark.parametrize("keep", [0, 7, 8, 200, -1])
def test_a_truncated_file_is_damaged(weights, tmp_path, keep):
    save_file(weights, tmp_path / MODEL_FILE)
    content = (tmp_path / MODEL_FILE).read_bytes()
    (tmp_path / MODEL_FILE).write_bytes(content[:keep])
    assert "model.safetensors is damaged or not safetensors" in refusal(tmp_path)
    assert refusal(tmp_path).endswith("; copy it again.")


def test_a_header_that_lies_is_damaged(weights, tmp_path):
    save_file(weights, tmp_path / MODEL_FILE)
    content = (tmp_path / MODEL_FILE).read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])

    def write(**changes):
        text = json.dumps(header | {"matrix": header["matrix"] | changes}).encode()
        (tmp_path / MODEL_FILE).write_bytes(struct.pack("<Q", len(text)) + text + content[8 + length :])

    write()
    assert StoredWeights(tmp_path)
    for lie in ({"shape": [300, 71]}, {"dtype": "F16"}, {"data_offsets": [0, 10**9]}, {"shape": [-300, -70]}):
        write(**lie)
        assert "is damaged or not safetensors" in refusal(tmp_path)
    (tmp_path / MODEL_FILE).write_bytes(struct.pack("<Q", 2**60) + content[8:])
    assert "is damaged or not safetensors" in refusal(tmp_path)


def test_a_number_format_that_is_not_read_is_named(tmp_path):
    save_file({"w": torch.zeros(4, dtype=torch.float8_e4m3fn)}, tmp_path / MODEL_FILE)
    assert "w in " in refusal(tmp_path) and "is stored as F8_E4M3; known are F64, F32, BF16, F16" in refusal(tmp_path)


def test_a_file_that_shrinks_after_it_was_opened_is_an_error_and_not_the_end_of_the_process(weights, tmp_path):
    save_file(weights, tmp_path / MODEL_FILE)
    stored = StoredWeights(tmp_path)
    os.truncate(tmp_path / MODEL_FILE, 1000)
    with pytest.raises(CheckpointError, match=r"model\.safetensors ends too soon; copy it again\.$"):
        stored.read("matrix", dtype=torch.float32, device=CPU)
    (tmp_path / MODEL_FILE).unlink()
    with pytest.raises(CheckpointError, match=r"model\.safetensors cannot be read"):
        stored.read("matrix", dtype=torch.float32, device=CPU)


def test_scales_that_do_not_fit_their_matrix_are_quoted(tiny_model, tmp_path):
    tiny_model.save_pretrained(tmp_path)
    weights = load_file(tmp_path / FROZEN_FILE)
    key = "request_encoder.bert.encoder.layer.0.attention.self.query.weight"
    for scales in (torch.ones(3), torch.ones(24, 1)):
        save_file(weights | {f"{key}.scale": scales}, tmp_path / FROZEN_FILE)
        with pytest.raises(CheckpointError, match=r"query\.weight \[24, 24\] has scales .* one a row"):
            LisaModel.from_pretrained(tmp_path)
