from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest
import torch
from safetensors.torch import save_file

from lisa_ros.conversion.errors import ConversionError
from lisa_ros.conversion.reader import WeightReader
from lisa_ros.conversion.weight_files import resolved_weights, stored_tensors, weight_files
from lisa_ros.model.hub import SourceError

from .conftest import INDEX, ROOT, SHARDS, is_gone


def listed(published, reader):
    return stored_tensors(weight_files(published.folder), reader)


def rewrite_index(published, change):
    index = published.index()
    change(index["weight_map"])
    (published.folder / INDEX).write_text(json.dumps(index))


def test_tensors_are_listed_with_their_file_dtype_and_shape(published, reader):
    found = listed(published, reader)
    assert {name: tensor.path.name for name, tensor in found.items()} == published.index()["weight_map"]
    embedding = found["model.embed_tokens.weight"]
    assert (embedding.dtype, embedding.shape) == ("bfloat16", (304, 96))


def test_a_single_file_needs_no_index_and_safetensors_come_before_pickles(tmp_path):
    torch.save({}, tmp_path / "pytorch_model.bin")
    assert weight_files(tmp_path).all == (tmp_path / "pytorch_model.bin",)
    save_file({}, tmp_path / "model.safetensors")
    assert weight_files(tmp_path).all == (tmp_path / "model.safetensors",)


def test_every_shard_that_is_missing_from_the_disk_is_named(published):
    for shard in SHARDS:
        (published.folder / shard).unlink()
    with pytest.raises(ConversionError, match=rf"2 of the 2 files that .* names are not there: {SHARDS[0]}, "):
        weight_files(published.folder)


@pytest.mark.parametrize("name", ["../elsewhere.bin", "/etc/passwd", "..", "", 3, None])
def test_an_index_never_leads_out_of_its_folder(published, name):
    rewrite_index(published, lambda weight_map: weight_map.update({"model.norm.weight": name}))
    with pytest.raises(ConversionError, match="has no weight_map from tensors to files beside it; get it again"):
        weight_files(published.folder)


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"weight_map": {}}', '{"weight_map": ["a"]}'])
def test_a_damaged_index_is_named(published, content):
    (published.folder / INDEX).write_text(content)
    with pytest.raises(ConversionError, match=rf"{INDEX} .*; get it again"):
        weight_files(published.folder)


def test_an_index_that_names_a_wrong_shard_is_refused_with_the_right_one(published, reader):
    rewrite_index(published, lambda weight_map: weight_map.update({"model.embed_tokens.weight": SHARDS[1]}))
    with pytest.raises(ConversionError, match="do not belong together") as error:
        listed(published, reader)
    assert error.value.details == (
        f"misplaced: model.embed_tokens.weight (in {SHARDS[0]}, the index says {SHARDS[1]})",
    )


def test_all_that_is_missing_from_and_unexpected_in_the_shards_is_listed(published, reader):
    def rename(tensors):
        for name in [name for name in tensors if ".layers.0.mlp" in name]:
            tensors[f"{name}.renamed"] = tensors.pop(name)

    published.rewrite(SHARDS[0], rename)
    with pytest.raises(ConversionError) as error:
        listed(published, reader)
    names = [f"model.layers.0.mlp.{part}_proj.weight" for part in ("down", "gate", "up")]
    assert error.value.details == (
        *(f"missing: {name} (the index says {SHARDS[0]})" for name in names),
        *(f"unexpected: {name}.renamed (in {SHARDS[0]}, not in the index)" for name in names),
    )
    assert f"missing: {names[0]}" in str(error.value) and str(error.value).endswith(
        "and 1 more; get all of them again."
    )


def test_a_tensor_in_two_shards_is_refused(published, reader):
    published.rewrite(SHARDS[1], lambda tensors: tensors.update({"model.embed_tokens.weight": torch.zeros(1)}))
    with pytest.raises(ConversionError, match=rf"embed_tokens.weight is in .*{SHARDS[0]} and in .*{SHARDS[1]}"):
        listed(published, reader)


def test_a_folder_without_weights_says_which_are_read(tmp_path):
    with pytest.raises(ConversionError, match="holds no weights; bring one of model.safetensors, model"):
        weight_files(tmp_path)


def test_what_is_not_there_is_told_once(tmp_path):
    with pytest.raises(SourceError, match="nowhere does not exist"):
        resolved_weights(tmp_path / "nowhere", revision=None)
    assert resolved_weights(tmp_path, revision=None).folder == tmp_path


def test_without_a_connection_the_files_of_both_forms_are_named(tmp_path, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    wanted = (
        r"The files \*\.json, tokenizer\.model, model\*\.safetensors, pytorch_model\*\.bin of publisher/LISA are not"
    )
    with pytest.raises(SourceError, match=wanted):
        resolved_weights("publisher/LISA", revision=None)


def test_a_process_that_ends_early_is_told_with_its_reason(published):
    with WeightReader() as reader:
        os.kill(reader.process, signal.SIGKILL)
        with pytest.raises(ConversionError, match=r"worked on .*\.bin ended early \(signal SIGKILL\).* Memory may"):
            listed(published, reader)


STARTS_A_READER_AND_WAITS = """
import subprocess, sys, time
wait = "import sys, time; from lisa_ros.conversion.unpickling import end_with_parent; " \\
       "end_with_parent(int(sys.argv[1])); print('ready', flush=True); time.sleep(60)"
import os
child = subprocess.Popen([sys.executable, "-c", wait, str(os.getpid())], stdout=subprocess.PIPE, start_new_session=True)
child.stdout.readline()
print(child.pid, flush=True)
time.sleep(60)
"""


def test_the_process_ends_with_the_one_that_started_it_even_while_it_is_busy():
    parent = subprocess.Popen([sys.executable, "-c", STARTS_A_READER_AND_WAITS], cwd=ROOT, stdout=subprocess.PIPE)
    child = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert is_gone(child)
