from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file

from lisa_ros.segmenter import SegmenterError
from lisa_ros.two_stage.naming import ObjectNamer

OFFLINE = """
import sys
from lisa_ros.segmenter import SegmenterError, make_segmenter
try:
    make_segmenter("two_stage", language=sys.argv[1], segmenter=sys.argv[2])
except SegmenterError as error:
    print(error)
"""


def load(folder):
    return ObjectNamer.load(str(folder), device=torch.device("cpu"), dtype=torch.float32)


@pytest.fixture
def copy(models, tmp_path):
    """A copy of a tiny model that a test may damage."""
    shutil.copytree(models["llava-tiny"], tmp_path / "copy")
    return tmp_path / "copy"


def complaint(folder):
    with pytest.raises(SegmenterError) as caught:
        load(folder)
    assert "\n" not in str(caught.value) and str(caught.value).endswith(".")
    return str(caught.value)


def test_a_folder_that_is_not_there_is_one_sentence(tmp_path):
    assert complaint(tmp_path / "none") == f"The folder {tmp_path / 'none'} of the language model does not exist."
    assert complaint("") == "No language model is named; give a local folder or an id of the Hugging Face hub."


def test_a_folder_without_a_model_is_one_sentence(tmp_path):
    assert complaint(tmp_path).startswith(f"The language model {tmp_path} cannot be loaded: ")


def test_a_lisa_folder_is_no_language_model(copy):
    (copy / "config.json").write_text(json.dumps({"model_type": "lisa_ros"}))
    assert "lisa_ros" in complaint(copy)


def test_weights_that_are_missing_are_listed(copy):
    path = copy / "model.safetensors"
    weights = load_file(path)
    dropped = [key for key in weights if "q_proj" in key]
    save_file({key: value for key, value in weights.items() if key not in dropped}, path, {"format": "pt"})
    assert f"lacks {len(dropped)} weights of a LlavaForConditionalGeneration: " in complaint(copy)


def test_a_truncated_file_is_one_sentence(copy):
    path = copy / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    assert "cannot be loaded" in complaint(copy)


def test_a_pickle_is_never_loaded(copy):
    torch.save(load_file(copy / "model.safetensors"), copy / "pytorch_model.bin")
    (copy / "model.safetensors").unlink()
    assert "safetensors" in complaint(copy)


def test_a_processor_that_is_missing_is_one_sentence(copy):
    for name in ("processor_config.json", "tokenizer.json", "tokenizer_config.json"):
        (copy / name).unlink()
    assert "cannot be loaded" in complaint(copy)


def test_an_id_that_is_not_in_the_cache_offline_is_one_sentence(models, tmp_path):
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    command = [sys.executable, "-c", OFFLINE, "owner/no-such-model", models["clipseg-tiny"]]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    words = "The language model owner/no-such-model cannot be loaded: there is no such folder, it is not in the Hugging"
    (line,) = result.stdout.splitlines()
    assert line.startswith(words) and "HF_HUB_OFFLINE is set" in line
