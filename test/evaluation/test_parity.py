"""The network beside the recorded reference: five generations and the forced forward of its validation."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from lisa_ros.cli import main
from lisa_ros.evaluation.parity.command import compare_with_recording
from lisa_ros.evaluation.parity.comparison import Comparison, Findings, Measure, difference

CASES = ("one_seg", "two_seg", "no_seg", "seg_is_last_token", "seg_in_prompt")
OF_A_GENERATION = {
    "resize_hw", "original_hw", "step_logits", "output_ids", "seg_positions", "seg_hidden", "seg_embeds",
    "low_res_logits", "iou_predictions", "mask_bits",
}  # fmt: skip
SMALLEST_CASE = "seg_in_prompt"


@pytest.fixture(scope="module")
def compared():
    """All comparisons with the recording by case and quantity, and what was not compared."""
    from pathlib import Path

    findings = compare_with_recording(Path(__file__).parents[1] / "data" / "golden_tiny_b")
    return {(entry.case, entry.quantity): entry for entry in findings.comparisons}, findings.not_checked


@pytest.mark.parametrize("case", CASES)
def test_a_generation_agrees_with_the_reference(compared, case):
    found = {quantity: entry for (name, quantity), entry in compared[0].items() if name == case}
    assert set(found) >= OF_A_GENERATION
    for quantity in ("output_ids", "seg_positions", "mask_bits", "resize_hw", "original_hw"):
        assert found[quantity].difference == 0, quantity
    for quantity in ("seg_hidden", "seg_embeds", "iou_predictions"):
        assert found[quantity].difference <= 5e-5, quantity
    for quantity in ("step_logits", "low_res_logits"):
        assert found[quantity].difference <= 2e-4, quantity
    assert all(entry.passed for entry in found.values())


def test_prepared_pixels_agree_for_an_image_made_smaller_and_one_made_larger(compared):
    for case in ("two_seg", "seg_in_prompt"):
        for quantity in ("clip_pixel_values", "sam_input"):
            assert compared[0][case, quantity].difference <= 1e-6


def test_the_forced_forward_and_its_scores_agree_with_the_reference(compared):
    found = {quantity: entry.difference for (name, quantity), entry in compared[0].items() if name == "val"}
    assert found["mask_bits"] == found["intersection"] == found["union"] == 0
    assert found["seg_embeds"] <= 5e-5 and found["acc_iou"] <= 1e-5


def test_everything_in_the_recording_was_compared(compared):
    assert compared[1] == []


@pytest.fixture
def small_recording(golden_folder, tmp_path):
    """One case of the recording, to be changed."""
    for name in ("config.json", "weights.safetensors"):
        shutil.copy(golden_folder / name, tmp_path / name)
    for name in ("inputs.npz", "outputs.npz"):
        arrays = np.load(golden_folder / name)
        np.savez(tmp_path / name, **{key: arrays[key] for key in arrays.files if key.startswith(SMALLEST_CASE)})
    return tmp_path


def empty(folder, *names):
    for name in names:
        np.savez(folder / name)


def change(path, key, value):
    arrays = dict(np.load(path))
    arrays[f"{SMALLEST_CASE}.{key}"] = value(arrays[f"{SMALLEST_CASE}.{key}"])
    np.savez(path, **arrays)


def test_agreement_exits_with_0_and_one_line_of_json_last(small_recording, capsys):
    np.savez(small_recording / "gradients.npz", loss=np.float32(1))
    outputs = dict(np.load(small_recording / "outputs.npz"))
    np.savez(small_recording / "outputs.npz", **outputs, **{f"{SMALLEST_CASE}.attention": np.zeros(3)})
    assert main(["parity", str(small_recording)]) == 0
    lines = capsys.readouterr().out.strip().splitlines()
    report = json.loads(lines[-1])
    assert report["passed"] and report["cases"] == [SMALLEST_CASE] and report["beyond"] == []
    assert report["not_checked"] == ["gradients.npz", f"{SMALLEST_CASE}.attention"]
    assert "gradients.npz: not checked" in lines
    assert 0 < report["largest"]["seg_embeds"] <= 5e-5


def test_every_quantity_beyond_its_tolerance_is_named_and_exits_with_1(small_recording, capsys):
    outputs = small_recording / "outputs.npz"
    change(outputs, "output_ids", lambda ids: ids + (np.arange(ids.size) == ids.size - 1))
    change(outputs, "seg_embeds", lambda embeds: embeds + np.float32(1e-4))
    change(outputs, "mask_bits", lambda bits: bits ^ (np.arange(bits.size).reshape(bits.shape) == 0))
    change(outputs, "low_res_logits", lambda logits: np.full_like(logits, np.nan))
    change(outputs, "iou_predictions", lambda iou: iou[:1])
    change(small_recording / "inputs.npz", "sam_input", lambda pixels: pixels + np.float32(1e-5))
    assert main(["parity", str(small_recording)]) == 1
    report = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    names = ("sam_input", "output_ids", "seg_embeds", "low_res_logits", "iou_predictions", "mask_bits")
    assert report["beyond"] == [f"{SMALLEST_CASE}.{name}" for name in names] and not report["passed"]
    assert report["largest"]["low_res_logits"] is None and report["largest"]["mask_bits"] == 1.0


def test_differences():
    counted = np.array([1, 2, 3])
    assert difference(counted, counted + (counted == 2), Measure.UNLIKE) == 1.0
    assert difference(counted, counted[:2], Measure.UNLIKE) == float("inf")
    pair, expected = np.array([0.0, 1.0]), np.array([0.5, -1.0])
    assert difference(pair, expected, Measure.LARGEST) == 2.0
    assert difference(pair, expected, Measure.LARGEST_RELATIVE) == 2.0
    assert difference(pair, expected, Measure.RELATIVE) == pytest.approx(np.hypot(0.5, 2) / np.hypot(0.5, 1))
    for measure in Measure:
        assert difference(np.zeros(0), np.zeros(0), measure) == difference(np.zeros(2), np.zeros(2), measure) == 0.0
    for measure in (Measure.LARGEST, Measure.RELATIVE, Measure.LARGEST_RELATIVE):
        assert difference(np.array([np.nan, 0.0]), np.zeros(2), measure) == float("inf")
    for measure in (Measure.RELATIVE, Measure.LARGEST_RELATIVE):
        assert difference(np.ones(2), np.zeros(2), measure) == float("inf")
    assert Comparison("case", "seg_embeds", 5e-5).passed and not Comparison("case", "seg_embeds", 5.1e-5).passed


def test_what_is_not_known_or_not_produced_is_not_checked():
    findings = Findings()
    findings.compare("a", {"loss": np.ones(1), "pixels": np.ones(1)}, {"pixels": np.ones(1), "union": np.ones(1)})
    assert findings.comparisons == [] and findings.not_checked == ["a.pixels", "a.union"]


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda folder: (folder / "config.json").unlink(), "is not a recording of the reference"),
        (lambda folder: (folder / "config.json").write_text("{}"), "no field 'mm_vision_select_feature'"),
        (lambda folder: (folder / "weights.safetensors").write_bytes(b"x" * 9), "is not a recording of the reference"),
        (lambda folder: (folder / "outputs.npz").write_bytes(b"PK"), "outputs.npz cannot be read as arrays"),
        (
            lambda folder: np.savez(folder / "inputs.npz", **{"a.b": np.zeros(1)}),
            "The recording of a has no output_ids",
        ),
        (
            lambda folder: np.savez(folder / "val_inputs.npz", image=np.zeros(1)),
            "val_outputs.npz cannot be read as arr",
        ),
        (lambda folder: empty(folder, "inputs.npz", "outputs.npz"), "holds nothing to compare with"),
        (
            lambda folder: change(folder / "inputs.npz", "input_ids", lambda ids: ids + 400),
            "does not fit its network: ",
        ),
        (
            lambda folder: change(folder / "inputs.npz", "input_ids", lambda ids: ids[:, :5]),
            "does not fit its network: ",
        ),
        (lambda folder: change(folder / "inputs.npz", "image", lambda image: image[..., 0]), "An image must be uint8 "),
    ],
)
def test_what_is_no_recording_is_one_sentence(small_recording, capsys, spoil, sentence):
    spoil(small_recording)
    assert main(["parity", str(small_recording)]) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and sentence in printed.err and printed.err.count("\n") == 1


def test_weights_that_do_not_fit_are_listed(small_recording, capsys):
    weights = load_file(small_recording / "weights.safetensors")
    del weights["model.mm_projector.bias"]
    save_file(weights, small_recording / "weights.safetensors")
    assert main(["parity", str(small_recording)]) == 2
    assert "1 missing: mm_projector.bias." in capsys.readouterr().err


@pytest.mark.parametrize("change_of", [1.0, 1.3])
def test_answers_in_bf16_are_compared_loosely(small_recording, capsys, change_of):
    outputs = dict(np.load(small_recording / "outputs.npz"))
    kept = ("output_ids", "step_logits", "seg_hidden", "seg_embeds", "low_res_logits", "mask_logits")
    recorded = {f"{SMALLEST_CASE}.{name}": outputs[f"{SMALLEST_CASE}.{name}"] for name in kept}
    recorded[f"{SMALLEST_CASE}.step_logits"] *= change_of
    np.savez(small_recording / "outputs_bf16_cpu.npz", **recorded)
    assert main(["parity", str(small_recording)]) == (change_of > 1)
    report = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    largest = {name: value for name, value in report["largest"].items() if name.startswith("bf16_")}
    compared = {f"bf16_{name}" for name in (*kept[1:], "mask_iou")}
    assert set(largest) == compared and report["not_checked"] == []
    assert report["beyond"] == ([f"{SMALLEST_CASE}.bf16_step_logits"] if change_of > 1 else [])
    assert all(1e-4 < value < 0.1 for name, value in largest.items() if name != "bf16_step_logits")


def test_pixels_on_the_edge_of_rounding_count_as_recorded_and_are_counted():
    recorded = np.array([[[1e-5, -1e-5, 3.0, -3.0]]])
    findings = Findings()
    findings.compare("case", {"mask_logits": np.array([[[-1e-6, -2e-5, 3.0, -3.0]]])}, {"mask_logits": recorded})
    assert findings.summary()["passed"] and findings.undecided_pixels == 1
    findings = Findings()
    findings.compare("case", {"mask_logits": np.array([[[1e-5, -1e-5, 3.0, 3.0]]])}, {"mask_logits": recorded})
    assert "case.mask_bits" in findings.summary()["beyond"] and findings.undecided_pixels == 0
