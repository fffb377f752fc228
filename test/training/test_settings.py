from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from lisa_ros.training.settings import SettingsError, TrainingSettings

STAGE = {"steps": 5, "batch_size": 2, "learning_rate": 1.0e-3, "trunk_learning_rate": 0.0, "requests_per_frame": 3}
VALID = {"output": "runs/x", "frames": ["a", "b"], "dense": STAGE, "joint": STAGE, "language": STAGE}
EXAMPLES = sorted((Path(__file__).parents[2] / "config" / "training").glob("*.yaml"))


@pytest.fixture
def read(tmp_path):
    def read(values):
        path = tmp_path / "settings.yaml"
        path.write_text(values if isinstance(values, str) else yaml.safe_dump(values))
        return TrainingSettings.from_yaml(path)

    return read


def changed(path, value):
    """VALID with one value replaced; ``path`` is the names down to it."""
    *parents, name = path.split(".")
    result = json.loads(json.dumps(VALID))
    place = result
    for parent in parents:
        place = place.setdefault(parent, {})
    place[name] = value
    return result


def test_values_and_defaults_are_read(read):
    settings = read(changed("network", {"image_size": [64, 96], "hidden_size": 32}))
    assert settings.frames == ("a", "b") and settings.dense.steps == 5 and settings.seed == 1
    assert settings.network.image_size == (64, 96) and settings.network.num_hidden_layers == 4
    assert read(changed("weight_decay", 1)).weight_decay == 1.0


def test_settings_survive_a_round_trip(read):
    settings = read(changed("losses", {"ce": 2.0}))
    assert read(json.loads(json.dumps(settings.to_dict()))) == settings


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_the_settings_that_come_with_the_project_are_valid(path):
    assert TrainingSettings.from_yaml(path).joint.steps > 0


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        (changed("learning_rat", 1), r"names 'learning_rat'; valid are augmentation, average_decay"),
        (changed("dense.stepz", 1), r"dense names 'stepz'; valid are batch_size"),
        (changed(".1", 1), r"names ''; valid are"),
        ({key: VALID[key] for key in ("output", "dense", "joint", "language")}, r"does not give 'frames'"),
        (changed("joint", {"steps": 3}), r"joint does not give 'batch_size', which has no default"),
        (changed("dense.steps", "many"), r"dense, steps is 'many'; it must be of type int"),
        (changed("dense.steps", True), r"dense, steps is True; it must be of type int"),
        (changed("dense.steps", 1.5), r"dense, steps is 1\.5; it must be of type int"),
        (changed("dense.learning_rate", "1e-3"), r"learning_rate is '1e-3'; it must be of type float"),
        (changed("output", ["runs"]), r"output is \['runs'\]; it must be of type str"),
        (changed("frames", "data/train"), r"frames is 'data/train'; it must be a list of type str"),
        (changed("frames", [1]), r"frames is 1; it must be of type str"),
        (changed("frames", []), r"frames is \[\]; name at least one folder"),
        (changed("network.image_size", [64]), r"image_size is \[64\]; it must be a list of 2 of type int"),
        (changed("network.image_size", [64, "wide"]), r"image_size is 'wide'; it must be of type int"),
        (changed("network", 3), r"network holds 3; it must hold named values"),
        (changed("dense.steps", -1), r"steps is -1 and batch_size 2; valid are >= 0 and >= 1"),
        (changed("save_every", 0), r"save_every is 0; valid are"),
        (changed("joint.requests_per_frame", 0), r"joint\.requests_per_frame is 0; words need 1 or more"),
        (changed("language.requests_per_frame", 0), r"language\.requests_per_frame is 0; words need 1 or more"),
        ("- a\n- b\n", r"holds \['a', 'b'\]; it must hold named values"),
        ("a: [", r"settings\.yaml cannot be read as training settings"),
    ],
)
def test_what_is_wrong_is_quoted_with_what_would_be_valid(read, values, complaint):
    with pytest.raises(SettingsError, match=complaint):
        read(values)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(SettingsError, match=r"none\.yaml cannot be read as training settings"):
        TrainingSettings.from_yaml(tmp_path / "none.yaml")
