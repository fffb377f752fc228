from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest
import yaml

from lisa_ros.training.lisa_settings import LisaSettings
from lisa_ros.training.recipes import read_recipe
from lisa_ros.training.settings import SettingsError
from lisa_ros.training.tabletop_settings import TabletopSettings

STAGE = {"steps": 5, "batch_size": 2, "learning_rate": 1.0e-3, "trunk_learning_rate": 0.0, "requests_per_frame": 3}
VALID = {"output": "runs/x", "frames": ["a", "b"], "dense": STAGE, "joint": STAGE, "language": STAGE}
LISA = {
    "recipe": "lisa",
    "model": "weights/x",
    "output": "runs/x",
    "sources": [{"data": "reason_seg|train", "root": "data"}],
}
EXAMPLES = sorted((Path(__file__).parents[2] / "config" / "training").glob("*.yaml"))


@pytest.fixture
def read(tmp_path):
    def read(values):
        path = tmp_path / "settings.yaml"
        path.write_text(values if isinstance(values, str) else yaml.safe_dump(values))
        return read_recipe(path)

    return read


def changed(path, value, valid=None):
    """Valid settings with one value replaced; ``path`` is the names down to it."""
    *parents, name = path.split(".")
    result = json.loads(json.dumps(valid or VALID))
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
    assert read(json.loads(json.dumps(asdict(settings)))) == settings


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_the_settings_that_come_with_the_project_are_valid(path):
    settings = read_recipe(path)
    assert isinstance(settings, TabletopSettings if path.name == "tabletop.yaml" else LisaSettings)


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
        (changed("save_every", 0), r"save_every is 0; it must be 1 or more"),
        (changed("joint.requests_per_frame", 0), r"joint\.requests_per_frame is 0; words need 1 or more"),
        (changed("language.requests_per_frame", 0), r"language\.requests_per_frame is 0; words need 1 or more"),
        ("- a\n- b\n", r"holds \['a', 'b'\]; it must hold named values"),
        ("a: [", r"settings\.yaml cannot be read as training settings"),
    ],
)
def test_what_is_wrong_is_quoted_with_what_would_be_valid(read, values, complaint):
    with pytest.raises(SettingsError, match=complaint):
        read(values)


def test_the_paper_is_what_the_recipe_lisa_does_by_default(read):
    settings = read(LISA)
    losses, lora = settings.losses, settings.trainable.lora
    assert (losses.ce, losses.bce, losses.dice) == (1.0, 2.0, 0.5)
    assert (lora.r, lora.alpha, lora.dropout, lora.target_modules) == (8, 16, 0.05, ("q_proj", "v_proj"))
    assert (settings.learning_rate, settings.betas, settings.weight_decay) == (3e-4, (0.9, 0.95), 0.0)
    assert (settings.batch_size, settings.accumulation, settings.gradient_clip) == (2, 10, 1.0)
    assert (settings.steps, settings.warmup_steps, settings.max_length) == (5000, 100, 512)
    assert (settings.precision, settings.gradient_checkpointing, settings.validate) == ("bf16", True, None)
    assert settings.rates == {"semantic": 9, "referring": 3, "vqa": 3, "reasoning": 1}
    (source,) = settings.sources
    assert (source.data, source.root) == ("reason_seg|train", "data")


def test_the_settings_for_lisa_7b_say_the_paper_s_values(read):
    path = next(path for path in EXAMPLES if path.name == "lisa_7b.yaml")
    shipped, default = read_recipe(path), read(LISA)
    own = {"model", "output", "sources", "validate"}
    assert {k: v for k, v in asdict(shipped).items() if k not in own} == {
        k: v for k, v in asdict(default).items() if k not in own
    }
    assert len(shipped.sources) == 11


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"recipe": "vicuna"}, r"recipe is 'vicuna'; choose one of tabletop, lisa"),
        ({**LISA, "sources": "ade20k"}, r"sources is 'ade20k'; it must be a list of type SourceSettings"),
        ({**LISA, "sources": [{"root": "data"}]}, r"sources does not give 'data', which has no default"),
        ({**LISA, "rates": [1]}, r"rates is \[1\]; it must hold named values of type float"),
        ({**LISA, "rates": {"vqa": "often"}}, r"rates, vqa is 'often'; it must be of type float"),
        (changed("trainable.lora.dropout", 1.5, LISA), r"lora\.dropout is 1\.5; it must lie in \[0, 1\)"),
        (changed("losses.ce", -1, LISA), r"The weight of ce is -1\.0; it must be 0 or more"),
        (
            changed("validate.every", 0, LISA | {"validate": {"data": "a", "root": "b"}}),
            r"validate\.every is 0; it",
        ),
        ({**LISA, "validate": 3}, r"validate holds 3; it must hold named values"),
        ({**LISA, "accumulation": 0}, r"accumulation is 0; it must be 1 or more"),
        ({**LISA, "learning_rate": "3e-4"}, r"learning_rate is '3e-4'; it must be of type float.*3\.0e-4"),
        ({**LISA, "learning_rate": -0.1}, r"learning_rate is -0\.1; it must be 0 or more"),
        ({**LISA, "gradient_clip": 0}, r"gradient_clip is 0\.0; it must be more than 0"),
        ({**LISA, "betas": [0.9, 1.0]}, r"betas is \[0\.9, 1\.0\]; both must lie in"),
        ({**LISA, "precision": "fp16"}, r"precision is 'fp16'; choose one of bf16, fp32"),
        ({**LISA, "quantization": "2bit"}, r"quantization is '2bit'; choose one of 8bit, 4bit"),
        ({**LISA, "quantization": "8bit", "sharded": True}, r"quantised weights cannot be sharded"),
        ({**LISA, "device": "tpu"}, r"device is 'tpu'; choose one of auto, cpu"),
    ],
)
def test_what_is_wrong_in_the_recipe_lisa_is_quoted(read, values, complaint):
    with pytest.raises(ValueError, match=complaint):
        read(values)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(SettingsError, match=r"none\.yaml cannot be read as training settings"):
        read_recipe(tmp_path / "none.yaml")
