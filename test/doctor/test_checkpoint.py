from __future__ import annotations

import hashlib
import json
import os
import pickle
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from lisa_ros.doctor import checkpoint
from lisa_ros.doctor.checkpoint import CHECKS
from lisa_ros.doctor.findings import Options, Status

EMBEDDED = Path(__file__).parents[2] / "weights" / "lisa-tabletop"


def look_at(title, folder, full=False):
    return CHECKS[title](Options(str(folder), full))


def record(folder, **changed):
    """Write what ``lisa convert`` writes, with changes to the entry of ``model.safetensors``."""
    files = [
        {"name": path.name, "size": path.stat().st_size, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
        for path in sorted(folder.iterdir())
    ]
    next(file for file in files if file["name"] == "model.safetensors").update(changed)
    (folder / "provenance.json").write_text(json.dumps({"sources": [], "files": files}))


def change_weights(folder, change):
    path = folder / "model.safetensors"
    weights = load_file(path)
    change(weights)
    path.unlink()  # the copy may share it with the original
    save_file(weights, path)


def test_a_whole_folder_is_well(folder):
    record(folder)
    findings = {title: look_at(title, folder) for title in CHECKS}
    assert {finding.status for finding in findings.values()} == {Status.OK}
    assert "sizes and hashes are those of provenance.json" in findings["model files"].words
    assert "tensors of the network are there" in findings["model weights"].words
    assert findings["model answer"].facts["answer"] > 0 and findings["model answer"].facts["iou"] is not None


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda folder: (folder / "config.json").unlink(), "has weights but no config.json"),
        (lambda folder: (folder / "config.json").write_text("{"), "cannot be read"),
        (lambda folder: (folder / "tokenizer.json").unlink(), "tokenizer"),
        (lambda folder: (folder / "model.safetensors.part").write_bytes(b""), "lisa convert goes on"),
    ],
)
def test_a_folder_that_cannot_be_loaded_is_one_problem(folder, damage, words):
    damage(folder)
    assert look_at("model", folder).status is Status.PROBLEM
    assert words in look_at("model", folder).words


def test_an_official_folder_of_pickles_is_sent_to_lisa_convert(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llava", "architectures": ["LISAForCausalLM"]}))
    (tmp_path / "pytorch_model-00001-of-00002.bin").write_bytes(pickle.dumps({}))
    assert f"lisa convert {tmp_path}" in look_at("model", tmp_path).words
    assert [look_at(title, tmp_path) for title in CHECKS if title != "model"] == [None] * 4


@pytest.mark.parametrize("name", ["owner/model", "~/nowhere", "/nowhere"])
def test_what_is_no_folder_is_a_problem(name):
    assert look_at("model", name).status is Status.PROBLEM and "not" in look_at("model", name).words


def test_missing_and_misshapen_weights_are_named(folder):
    def change(weights):
        weights["mm_projector.bias"] = weights["mm_projector.bias"][:5].clone()
        del weights["text_hidden_fcs.0.weight"]

    change_weights(folder, change)
    finding = look_at("model weights", folder)
    assert finding.status is Status.PROBLEM
    assert "1 missing: text_hidden_fcs.0.weight" in finding.words and "mm_projector.bias [5]" in finding.words
    assert look_at("model answer", folder).status is Status.PROBLEM


def test_a_truncated_file_is_damaged(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-10])
    assert "is damaged" in look_at("model weights", folder).words


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"sha256": "0" * 64}, "model.safetensors was changed: its SHA-256 is not the recorded one"),
        ({"size": 3}, "bytes instead of 3"),
        ({"name": "other.safetensors"}, "other.safetensors is missing; model.safetensors is not recorded"),
    ],
)
def test_files_that_are_not_those_recorded_are_named(folder, changed, words):
    record(folder, **changed)
    finding = look_at("model files", folder)
    assert finding.status is Status.PROBLEM and words in finding.words and "copy the whole folder" in finding.remedy


@pytest.mark.parametrize("content", ["{", "[]", '{"files": []}', '{"files": [{"name": "a"}]}', '{"files": ["a"]}'])
def test_a_record_that_cannot_be_read_is_a_problem(folder, content):
    (folder / "provenance.json").write_text(content)
    assert "provenance.json cannot be read" in look_at("model files", folder).words


def test_large_models_are_hashed_and_tried_only_when_asked_to(folder, monkeypatch):
    monkeypatch.setattr(checkpoint, "SMALL", 100)
    record(folder, sha256="0" * 64)
    assert "--full compares hashes too" in look_at("model files", folder).words
    assert look_at("model files", folder, full=True).status is Status.PROBLEM
    assert "not tried" in look_at("model answer", folder).words
    assert "is answered in" in look_at("model answer", folder, full=True).words


def test_too_little_memory_names_the_setting_that_fits(folder, monkeypatch):
    needed = look_at("model memory", folder).facts["needed"]
    monkeypatch.setattr(checkpoint, "memory", lambda: (10**9, int(needed["16 bits"] * 1.2)))
    assert look_at("model memory", folder).remedy == "use dtype bfloat16"
    monkeypatch.setattr(checkpoint, "memory", lambda: (10**9, 100))
    assert look_at("model memory", folder).status is Status.PROBLEM


def test_an_embedded_checkpoint_that_answers_wrongly_is_told(tmp_path):
    copy = tmp_path / "weights" / "lisa-tabletop"
    copy.mkdir(parents=True)
    for path in EMBEDDED.iterdir():
        os.link(path, copy / path.name)
    change_weights(copy, lambda weights: weights["text_hidden_fcs.2.weight"].zero_())
    finding = look_at("model answer", copy)
    assert finding.status is Status.WARNING and "less than it should be" in finding.words
