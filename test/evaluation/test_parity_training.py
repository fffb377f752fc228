"""A step of training beside the recorded reference: three images with 3, 1 and 1 conversations, 3, 0 and 2 masks."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from lisa_ros.cli import main
from lisa_ros.evaluation.parity.command import compare_with_recording
from lisa_ros.training import losses

RECORDING = Path(__file__).parents[1] / "data" / "golden_tiny_d"
LOSSES = ("loss", "ce_loss", "mask_bce_loss", "mask_dice_loss", "mask_loss")


@pytest.fixture(scope="module")
def whole():
    """The findings of the whole recording."""
    return compare_with_recording(RECORDING)


def test_the_losses_agree_with_the_reference(whole):
    found = {entry.quantity: entry.difference for entry in whole.comparisons if entry.case == "train"}
    assert all(found[name] <= 1e-5 for name in LOSSES)
    assert found["seg_embeds"] <= 5e-5 and found["seg_count_per_conversation"] == 0


def test_the_masks_of_every_image_agree_before_they_are_enlarged(whole):
    found = {entry.case: entry.difference for entry in whole.comparisons if entry.quantity == "low_res_logits"}
    assert set(found) == {"free_run", "train.0", "train.1", "train.2"} and max(found.values()) <= 2e-4


def test_the_gradients_agree_with_the_reference(whole):
    norms, *rows = [entry.difference for entry in whole.comparisons if "grad" in entry.quantity]
    assert norms <= 1e-4 and len(rows) == 2 and max(rows) <= 1e-4


def test_all_of_the_recording_was_compared_and_passed(whole):
    assert whole.not_checked == [] and whole.summary()["passed"]
    assert {"free_run", "train", "train.0", "train.1", "train.2"} < set(whole.summary()["cases"])


@pytest.fixture
def training_recording(tmp_path):
    """The recorded step alone, to be changed."""
    for name in ("config.json", "weights.safetensors", "train_inputs.npz", "train_outputs.npz"):
        shutil.copy(RECORDING / name, tmp_path / name)
    for name in ("inputs.npz", "outputs.npz"):
        np.savez(tmp_path / name)
    return tmp_path


def report_of(folder, capsys, exit_code):
    assert main(["parity", str(folder)]) == exit_code
    return json.loads(capsys.readouterr().out.strip().splitlines()[-1])


def change(path, key, value):
    arrays = dict(np.load(path))
    arrays[key] = value(arrays[key].copy())
    np.savez(path, **arrays)


def set_at(position, value):
    def changed(array):
        array[position] = value
        return array

    return changed


def test_a_step_alone_is_enough(training_recording, capsys):
    report = report_of(training_recording, capsys, 0)
    assert report["not_checked"] == [] and set(report["largest"]) >= {*LOSSES, "grad_norms", "gradient"}


def test_one_changed_weight_is_seen(training_recording, capsys):
    path = training_recording / "weights.safetensors"
    weights = load_file(path)
    weights["model.layers.1.mlp.up_proj.weight"][3, 5] += 0.5
    save_file(weights, path)
    report = report_of(training_recording, capsys, 1)
    assert {"train.loss", "train.ce_loss", "train.grad_norms"} <= set(report["beyond"])


def test_one_changed_label_is_seen_in_the_text_loss_alone(training_recording, capsys):
    change(training_recording / "train_inputs.npz", "labels", set_at((0, 32), 7))
    beyond = set(report_of(training_recording, capsys, 1)["beyond"])
    assert {"train.loss", "train.ce_loss", "train.grad_norms"} <= beyond
    assert not {"train.mask_bce_loss", "train.mask_dice_loss", "train.seg_embeds"} & beyond


def test_one_more_label_is_seen(training_recording, capsys):
    change(training_recording / "train_inputs.npz", "labels", set_at((0, 30), 283))
    assert "train.ce_loss" in report_of(training_recording, capsys, 1)["beyond"]


def test_a_changed_mask_is_seen_in_the_mask_losses_alone(training_recording, capsys):
    change(training_recording / "train_inputs.npz", "gt_masks.0", set_at((0, slice(0, 4), slice(0, 4)), 1))
    beyond = set(report_of(training_recording, capsys, 1)["beyond"])
    assert {"train.mask_bce_loss", "train.mask_dice_loss", "train.mask_loss", "train.loss"} <= beyond
    assert "train.ce_loss" not in beyond


@pytest.mark.parametrize(
    ("name", "value", "quantity"),
    [
        ("DICE_SCALE", 1e6, "mask_dice_loss"),
        ("DICE_EPSILON", 1e-2, "mask_dice_loss"),
        ("MASK_COUNT_EPSILON", 1e-3, "mask_bce_loss"),
    ],
)
def test_other_constants_in_the_losses_are_seen(training_recording, capsys, monkeypatch, name, value, quantity):
    monkeypatch.setattr(losses, name, value)
    assert f"train.{quantity}" in report_of(training_recording, capsys, 1)["beyond"]


@pytest.mark.parametrize("weight", ["ce_loss_weight", "bce_loss_weight", "dice_loss_weight"])
def test_the_weights_are_those_of_the_recording(training_recording, capsys, weight):
    change(training_recording / "train_inputs.npz", weight, lambda value: value * 1.001)
    quantity = {"ce": "ce_loss", "bce": "mask_bce_loss", "dice": "mask_dice_loss"}[weight.split("_")[0]]
    beyond = set(report_of(training_recording, capsys, 1)["beyond"])
    assert {f"train.{quantity}", "train.loss"} <= beyond
    assert beyond & {"train.ce_loss", "train.mask_bce_loss", "train.mask_dice_loss"} == {f"train.{quantity}"}


def test_gradients_are_compared_one_by_one_and_noise_is_not(training_recording, capsys):
    path = training_recording / "train_outputs.npz"
    norms = np.load(path)["grad_norms"]
    noise, zero = int(np.flatnonzero((norms > 0) & (norms < 1e-6))[0]), int(np.flatnonzero(norms == 0)[0])
    change(path, "grad_norms", set_at(noise, norms[noise] * 3))
    assert report_of(training_recording, capsys, 0)["beyond"] == []
    change(path, "grad_norms", set_at(zero, 0.01))
    assert report_of(training_recording, capsys, 1)["beyond"] == ["train.grad_norms"]
    change(path, "grad_norms", lambda values: norms * (np.arange(len(norms)) != 5))
    assert report_of(training_recording, capsys, 1)["beyond"] == ["train.grad_norms"]
    change(path, "grad_norms", lambda values: norms * np.where(np.arange(len(norms)) == 5, 1.0002, 1.0))
    change(path, "grad.lm_head.weight.row_seg", lambda row: row * np.float32(1.0002))
    beyond = report_of(training_recording, capsys, 1)["beyond"]
    assert beyond == ["train.grad_norms", "train.grad.lm_head.weight.row_seg.gradient"]


def test_what_the_recording_has_beyond_what_is_known_is_named(training_recording, capsys):
    path = training_recording / "train_outputs.npz"
    np.savez(
        path, **dict(np.load(path)), learning_rate=np.zeros(1), **{"attention.1": np.zeros(2), "masks.7": np.zeros(1)}
    )
    report = report_of(training_recording, capsys, 0)
    assert sorted(report["not_checked"]) == ["train.1.attention", "train.learning_rate", "train.masks.7"]


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        (
            "input_ids",
            lambda ids: np.where(ids == 360, 7, ids),
            "The recording of train does not fit its network: Image 0",
        ),
        ("labels", lambda labels: labels[:, :9], "The recording of train does not fit its network: "),
        ("offset", lambda offset: offset + 1, "The recording of train has offset [1, 4, 5, 6] for 5 conversations."),
        ("bce_loss_weight", lambda weight: -weight, "The weight of bce is -2.0; it must be 0 or more."),
        ("image.1", lambda image: image[..., :2], "An image must be uint8 [height, width, 3]"),
    ],
)
def test_a_broken_step_is_one_sentence(training_recording, capsys, key, value, sentence):
    change(training_recording / "train_inputs.npz", key, value)
    assert main(["parity", str(training_recording)]) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and sentence in printed.err and printed.err.count("\n") == 1


def test_a_gradient_of_something_else_is_one_sentence(training_recording, capsys):
    change(training_recording / "train_outputs.npz", "grad_names", set_at(2, "model.layers.0.lora_A.weight"))
    assert main(["parity", str(training_recording)]) == 2
    assert "has a gradient of 'model.layers.0.lora_A.weight', which is no weight" in capsys.readouterr().err
    (training_recording / "train_inputs.npz").unlink()
    assert main(["parity", str(training_recording)]) == 2
    assert "train_inputs.npz cannot be read as arrays" in capsys.readouterr().err
