from __future__ import annotations

import subprocess
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from lisa_ros.training import pretrained
from lisa_ros.training.pretrained import (
    EFFICIENTNET_MEMBER,
    EFFICIENTNET_PACKAGE,
    MINILM_MEMBERS,
    PretrainedError,
    default_folder,
    efficientnet_weights,
    minilm_files,
    minilm_weights,
)

WEIGHTS = {"_conv_stem.weight": torch.arange(6.0).reshape(2, 3), "_bn0.weight": torch.ones(2)}


class Intruder:
    """Unpickled, it would write a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.fixture
def index(monkeypatch):
    """Stand in for ``pip download``: put ``members`` (name in the package -> file) into a wheel; run all else."""
    run, calls = subprocess.run, []

    class Index:
        members: dict[str, Path] = {}  # noqa: RUF012 - each test sets its own
        error = ""

    def fake_run(command, **options):
        calls.append(command)
        if "pip" not in command:
            return run(command, **options)
        if Index.error:
            return subprocess.CompletedProcess(command, 1, "", Index.error)
        folder = Path(command[command.index("--dest") + 1])
        with zipfile.ZipFile(folder / "package-0.1.0-py3-none-any.whl", "w") as wheel:
            for name, path in Index.members.items():
                wheel.write(path, name)
        return subprocess.CompletedProcess(command, 0, "", "")

    Index.calls = calls
    monkeypatch.setattr(pretrained.subprocess, "run", fake_run)
    return Index


@pytest.fixture
def no_unpickling(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("A pickle was read in this process.")

    monkeypatch.setattr(torch, "load", refuse)


def test_the_published_pickle_is_read_once_elsewhere_and_kept_as_safetensors(index, no_unpickling, tmp_path):
    torch.save(WEIGHTS, tmp_path / "published.pth")
    index.members = {EFFICIENTNET_MEMBER: tmp_path / "published.pth"}
    folder = tmp_path / "kept" / "here"
    for _ in range(2):
        found = efficientnet_weights(folder)
        assert found.keys() == WEIGHTS.keys() and all(found[name].equal(value) for name, value in WEIGHTS.items())
    download, convert = index.calls
    assert download[-1] == EFFICIENTNET_PACKAGE and "--no-deps" in download
    assert convert[1] == "-c" and "weights_only=True" in convert[2]
    assert [path.name for path in folder.iterdir()] == ["efficientnet_lite0.safetensors"]
    with safe_open(folder / "efficientnet_lite0.safetensors", framework="pt") as file:
        assert set(file.keys()) == set(WEIGHTS)


def test_a_pickle_with_code_is_refused_and_its_code_never_runs(index, no_unpickling, tmp_path):
    torch.save({"a": Intruder(tmp_path / "was_here")}, tmp_path / "published.pth")
    index.members = {EFFICIENTNET_MEMBER: tmp_path / "published.pth"}
    with pytest.raises(PretrainedError, match=r"^efficientnet-lite0-57934424\.pth could not be read as plain weights"):
        efficientnet_weights(tmp_path / "kept")
    assert not (tmp_path / "was_here").exists()
    assert not (tmp_path / "kept" / "efficientnet_lite0.safetensors").exists()


def test_a_failed_download_is_one_sentence_with_the_last_line_of_pip(index, tmp_path):
    index.error = "Collecting it\nERROR: No matching distribution found\n"
    for fetch in (efficientnet_weights, minilm_files):
        with pytest.raises(PretrainedError, match=r"==0\.1\.0 could not be downloaded with pip \(ERROR: No ") as caught:
            fetch(tmp_path / "kept")
        assert "\n" not in str(caught.value) and str(caught.value).endswith("check the network and try again.")


def test_a_package_without_the_file_is_one_sentence(index, tmp_path):
    with pytest.raises(PretrainedError, match=r"package-0\.1\.0-py3-none-any\.whl has no usable .*model\.safetensors"):
        minilm_files(tmp_path / "kept")


def test_minilm_is_fetched_once_and_named_as_transformers_does(index, tmp_path):
    published = {
        "embeddings.position_ids": torch.arange(4),
        "embeddings.word_embeddings.weight": torch.ones(3, 2),
        "pooler.dense.weight": torch.ones(2, 2),
    }
    save_file(published, tmp_path / "model.safetensors")
    (tmp_path / "tokenizer.json").write_text("{}")
    index.members = {member: tmp_path / Path(member).name for member in MINILM_MEMBERS}
    for _ in range(2):
        weights, tokenizer = minilm_files(tmp_path / "kept")
    assert len(index.calls) == 1
    assert tokenizer.read_text() == "{}"
    assert list(minilm_weights(weights)) == ["embeddings.word_embeddings.weight"]


def test_the_folder_can_be_chosen(monkeypatch, tmp_path):
    monkeypatch.setenv("LISA_ROS_PRETRAINED", str(tmp_path))
    assert default_folder() == tmp_path
    monkeypatch.delenv("LISA_ROS_PRETRAINED")
    assert default_folder() == Path.home() / ".cache" / "lisa_ros" / "pretrained"
