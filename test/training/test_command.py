from __future__ import annotations

import pytest
import yaml

from lisa_ros.cli import main
from lisa_ros.training import tabletop_trainer as trainer_module
from lisa_ros.training.pretrained import PretrainedError

STAGE = {"steps": 1, "batch_size": 1, "learning_rate": 1.0e-3, "trunk_learning_rate": 0.0, "requests_per_frame": 1}


@pytest.fixture
def train(tmp_path, capsys):
    """Run ``lisa train`` on settings; returns the exit code and the lines of its complaint."""

    def train(**settings):
        path = tmp_path / "settings.yaml"
        stages = {"dense": STAGE, "joint": STAGE, "language": STAGE}
        path.write_text(yaml.safe_dump({"output": str(tmp_path / "run")} | stages | settings))
        code = main(["train", str(path), "--pretrained", str(tmp_path / "pretrained")])
        return code, capsys.readouterr().err.strip().splitlines()

    return train


def test_missing_settings_are_one_sentence_and_exit_1(tmp_path, capsys):
    assert main(["train", str(tmp_path / "none.yaml")]) == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("lisa train: ") and "none.yaml cannot be read as training settings" in line


def test_a_wrong_value_and_missing_frames_are_one_sentence_and_exit_1(train, tmp_path):
    code, (line,) = train(frames=["x"], seed="one")
    assert code == 1 and line.endswith("seed is 'one'; it must be of type int.")
    code, (line,) = train(frames=[str(tmp_path / "nowhere")])
    assert code == 1 and "nowhere/dataset.json cannot be read" in line


def test_an_impossible_network_is_one_sentence_and_exit_1(train, frames, tiny_text, tmp_path):
    (tmp_path / "pretrained").mkdir()
    tiny_text.request_tokenizer.save(str(tmp_path / "pretrained" / "minilm_tokenizer.json"))
    (tmp_path / "pretrained" / "minilm.safetensors").touch()
    code, (line,) = train(frames=[str(frames.path)], network={"image_size": [100, 100]})
    assert code == 1 and "vision.image_size is [100, 100]; both sides must be multiples of 32." in line


def test_a_failed_download_is_one_sentence_and_exit_1(train, frames, monkeypatch):
    def unreachable(network, pretrained):
        raise PretrainedError("It could not be downloaded; check the network.")

    monkeypatch.setattr(trainer_module, "new_processor", unreachable)
    assert train(frames=[str(frames.path)]) == (1, ["lisa train: It could not be downloaded; check the network."])
