"""Masks of another system, scored through ``lisa eval --predictions``."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from lisa_ros.evaluation.cases import EvaluationError
from lisa_ros.evaluation.predictions import read_mask

SCORES = ("requests", "gIoU", "gIoU_interval", "cIoU", "cIoU_interval", "IoU_above_half", "groups", "skipped_items")


@pytest.fixture
def saved(figures, reasonseg, tmp_path):
    """Our own masks of the made-up ReasonSeg, and the figures that they came with."""
    folder = tmp_path / "masks"
    return folder, figures("reasonseg", "--data", reasonseg, "--save-predictions", folder)


@pytest.fixture
def rescored(figures, reasonseg, saved):
    """Score the folder of ``saved``."""
    return lambda *words: figures("reasonseg", "--data", reasonseg, "--predictions", saved[0], *words)


def test_masks_that_were_saved_score_as_they_did(saved, rescored):
    folder, first = saved
    assert len(list(folder.glob("*.png"))) == first["requests"] == 6
    found = rescored("--name", "ours again")
    assert {name: found[name] for name in SCORES} == {name: first[name] for name in SCORES}
    assert (found["mode"], found["model"], found["missing"], found["unused_predictions"]) == (
        "predictions", "ours again", 0, 0,
    )  # fmt: skip


def test_masks_of_every_benchmark_come_back(figures, refcoco, frames, tmp_path):
    for words in (("refcoco", "--data", refcoco), ("tabletop", "--frames", frames.path)):
        folder = tmp_path / words[0]
        first = figures(*words, "--save-predictions", folder)
        found = figures(*words, "--predictions", folder)
        assert {name: found[name] for name in SCORES} == {name: first[name] for name in SCORES}


def test_others_are_told_which_files_to_make(evaluate, figures, reasonseg, drawn, tmp_path):
    code, lines, _ = evaluate("reasonseg", "--data", reasonseg, "--list")
    cases = [json.loads(line) for line in lines]
    assert code == 0 and [case["id"] for case in cases] == [name for name in sorted(drawn[0]) if name[0] not in "gh"]
    assert cases[1]["request"] == "Which one is it? Please output segmentation mask."
    for case in cases:
        size = np.asarray(Image.open(case["image"])).shape[:2]
        Image.fromarray(np.full(size, 7, np.uint8)).save(tmp_path / case["prediction"])
    found = figures("reasonseg", "--data", reasonseg, "--predictions", tmp_path)
    assert found["target_accuracy"] == 1.0 and found["model"] == tmp_path.name


def test_any_value_but_zero_is_the_mask_in_every_form_of_one_channel(tmp_path):
    mask = np.random.default_rng(1).random((9, 13)) > 0.5
    forms = {
        "zero_one": Image.fromarray(mask.astype(np.uint8)),
        "zero_255": Image.fromarray(mask.astype(np.uint8) * 255),
        "bits": Image.fromarray(mask),
        "sixteen": Image.fromarray(mask.astype(np.uint16) * 40000),
        "palette": Image.fromarray(mask.astype(np.uint8) * 3, "P"),
    }
    for name, picture in forms.items():
        picture.save(tmp_path / f"{name}.png")
        assert (read_mask(tmp_path / f"{name}.png", (9, 13)) == mask).all(), name
    for value in (0, 255):
        Image.fromarray(np.full((9, 13), value, np.uint8)).save(tmp_path / "flat.png")
        assert read_mask(tmp_path / "flat.png", (9, 13)).all() == (value == 255)


@pytest.mark.parametrize(
    ("picture", "sentence"),
    [
        (np.zeros((13, 9), np.uint8), "is 9x13 pixels; the image of its case is 13x9"),
        (np.zeros((9, 13, 3), np.uint8), "is a picture in colour"),
        (np.arange(9 * 13, dtype=np.uint8).reshape(9, 13), "holds 117 different values"),
        (None, "cannot be read as a picture"),
    ],
)
def test_what_is_no_mask_of_the_case_is_one_sentence(tmp_path, picture, sentence):
    path = tmp_path / "mask.png"
    Image.fromarray(picture).save(path) if picture is not None else path.write_bytes(b"\x89PNG\r\n\x1a\n cut off")
    with pytest.raises(EvaluationError, match=f"mask.png {sentence}"):
        read_mask(path, (9, 13))


def test_a_wrong_file_ends_the_command_with_one_sentence(evaluate, reasonseg, saved):
    Image.new("L", (3, 3)).save(saved[0] / "d_refused.png")
    code, _, (complaint,) = evaluate("reasonseg", "--data", reasonseg, "--predictions", saved[0])
    assert code == 1 and "d_refused.png is 3x3 pixels; the image of its case is 60x45." in complaint


def test_missing_masks_are_an_error_or_counted_as_empty(evaluate, reasonseg, saved, rescored):
    folder, first = saved
    for name in ("a_phrase", "f_edge"):
        (folder / f"{name}.png").unlink()
    code, lines, (complaint,) = evaluate("reasonseg", "--data", reasonseg, "--predictions", folder)
    assert (code, lines) == (1, []) and "lacks 2 of 6 masks (a_phrase.png, f_edge.png)" in complaint
    found = rescored("--missing", "empty")
    assert (found["missing"], found["settings"]) == (2, "missing=empty") and found["gIoU"] < first["gIoU"]
    assert found["requests"] == 6


def test_pictures_that_belong_to_no_case_are_counted(saved, rescored):
    Image.new("L", (3, 3)).save(saved[0] / "misnamed.png")
    assert rescored()["unused_predictions"] == 1


def test_a_folder_that_is_not_there_is_one_sentence(evaluate, reasonseg, tmp_path):
    code, _, (complaint,) = evaluate("reasonseg", "--data", reasonseg, "--predictions", tmp_path / "none")
    assert code == 1 and "The folder of predictions" in complaint and "none does not exist" in complaint
