from __future__ import annotations

import json

import pytest

from lisa_ros.model.checkpoint_folder import CheckpointError, listed, read_config
from lisa_ros.model.modeling import LisaModel
from lisa_ros.model.processing import LisaProcessor

PICKLE = b"cos\nsystem\n(S'exit 1'\ntR."


@pytest.fixture
def saved(tiny_model, tiny_text, tmp_path):
    tiny_model.save_pretrained(tmp_path / "model")
    LisaProcessor(tiny_text.config, tiny_text).save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def refusal(folder, load=LisaModel):
    with pytest.raises(CheckpointError) as error:
        load.from_pretrained(folder)
    sentence = str(error.value)
    assert sentence.endswith(".") and "\n" not in sentence
    return sentence


def test_a_folder_of_this_package_gives_its_configuration(saved, tiny_text):
    assert read_config(saved, "mine") == tiny_text.config
    assert LisaProcessor.from_pretrained(saved).config == tiny_text.config


@pytest.mark.parametrize("load", [LisaModel, LisaProcessor])
def test_what_is_no_folder_is_told_apart(saved, tmp_path, load):
    assert "nowhere does not exist; give a folder" in refusal(tmp_path / "nowhere", load)
    assert "config.json is a file, not a folder" in refusal(saved / "config.json", load)
    assert "has no config.json; it is not a model folder" in refusal(tmp_path, load)
    assert "cannot be read (File name too long)" in refusal(tmp_path / ("long" * 100), load)


def test_links_that_go_round_in_a_circle_are_no_folder_and_no_file(saved, tmp_path):
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    assert "a does not exist; give a folder" in refusal(tmp_path / "a")
    for name in ("config.json", "model.safetensors"):
        content = (saved / name).read_bytes()
        (saved / name).unlink()
        (saved / name).symlink_to(saved / name)
        assert name in refusal(saved)
        (saved / name).unlink()
        (saved / name).write_bytes(content)
    assert LisaModel.from_pretrained(saved)


@pytest.mark.parametrize(
    "values",
    [
        {"model_type": "llava", "architectures": ["LISAForCausalLM"]},
        {"model_type": "llava"},
        {"architectures": ["LISAForCausalLM"]},
    ],
)
@pytest.mark.parametrize("load", [LisaModel, LisaProcessor])
def test_the_official_form_is_sent_to_the_converter(saved, values, load):
    (saved / "config.json").write_text(json.dumps(values))
    assert f"convert it first with: lisa convert {saved} <target folder>." in refusal(saved, load)


def test_another_architecture_is_named(saved):
    (saved / "config.json").write_text(json.dumps({"model_type": "bert", "architectures": ["BertModel"]}))
    assert "holds a model of type 'bert', not 'lisa_ros'; give a folder that lisa convert" in refusal(saved)


@pytest.mark.parametrize("keep_config", [True, False])
@pytest.mark.parametrize("name", ["pytorch_model-00001-of-00002.bin", "model.pth", "weights.ckpt"])
def test_a_pickle_is_refused_unopened_and_sent_to_the_converter(saved, name, keep_config):
    (saved / "model.safetensors").rename(saved / name)
    (saved / name).write_bytes(PICKLE)
    if not keep_config:
        (saved / "config.json").unlink()
    sentence = refusal(saved)
    assert f"the pickle {name}, which is not loaded" in sentence and f"lisa convert {saved} <target" in sentence


def test_a_pickle_beside_the_weights_is_not_looked_at(saved):
    (saved / "training_args.bin").write_bytes(PICKLE)
    assert LisaModel.from_pretrained(saved)


@pytest.mark.parametrize("name", ["model-00002-of-00003.safetensors.part", "config.json.part"])
def test_what_a_conversion_left_half_written_is_refused(saved, name):
    (saved / name).write_bytes(b"half")
    sentence = refusal(saved)
    assert f"holds {name}, left by a conversion or a save that was interrupted" in sentence
    assert "lisa convert goes on where it stopped" in sentence


def test_weights_without_a_configuration_are_a_half_copied_folder(saved):
    (saved / "config.json").unlink()
    assert "has weights but no config.json" in refusal(saved) and "lisa convert" in refusal(saved)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "config.json cannot be read"),
        (b"{", "config.json cannot be read"),
        (b"\xff\xfe", "config.json cannot be read"),
        (b"[" * 100_000, "config.json cannot be read"),
        (b"[1]", "it must hold named values"),
        (b'{"model_type": "lisa_ros"}', "vision.type is None; choose one of clip, pyramid"),
    ],
)
def test_a_damaged_configuration_is_one_sentence(saved, content, sentence):
    (saved / "config.json").write_bytes(content)
    assert sentence in refusal(saved) and sentence in refusal(saved, LisaProcessor)


@pytest.mark.parametrize(
    ("part", "field", "value", "sentence"),
    [
        ("language", "rms_norm_eps", float("nan"), "language.rms_norm_eps is nan; it must be a finite number"),
        ("language", "num_hidden_layers", 10**9, "asks for 1000000000 layers, but the weight files hold"),
        ("mask_decoder", "num_multimask_outputs", 10**9, "asks for 1000000000 layers, but the weight files hold"),
        ("language", "vocab_size", 10**30, "describes a network that cannot be built"),
        ("language", "hidden_size", 96, r"of another shape"),
    ],
)
def test_numbers_that_do_not_belong_to_the_weights_are_refused_before_anything_is_built(
    saved, part, field, value, sentence
):
    values = json.loads((saved / "config.json").read_text())
    values[part][field] = value
    (saved / "config.json").write_text(json.dumps(values))
    assert sentence in refusal(saved)


def test_a_long_list_is_cut_with_its_count():
    assert listed(["a", "b"]) == "a, b"
    assert listed(list("abcdefgh")) == "a, b, c, d, e and 3 more"


def test_weights_of_another_size_than_was_written_down_are_refused(saved):
    path = saved / "model.safetensors"
    recorded = {"files": [{"name": path.name, "size": path.stat().st_size, "sha256": ""}]}
    (saved / "provenance.json").write_text(json.dumps(recorded))
    assert LisaModel.from_pretrained(saved)
    recorded["files"][0]["size"] += 2
    (saved / "provenance.json").write_text(json.dumps(recorded))
    assert "so it was changed or cut off: copy it again." in refusal(saved)
