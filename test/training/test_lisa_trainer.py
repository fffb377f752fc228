"""The recipe ``lisa`` from a settings file to a folder that answers: on one process, on two, and after kills."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file

from lisa_ros.answers import Finished, Request, Verdict
from lisa_ros.cli import main
from lisa_ros.engine.lisa_segmenter import LisaSegmenter
from lisa_ros.model.modeling import LisaModel
from lisa_ros.model.processing import LisaProcessor

ROOT = Path(__file__).parents[2]
STEPS, ACCUMULATION, KEPT_EVERY = 6, 4, 2
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
DIE_WHILE_WRITING = """
import os, signal, sys
from pathlib import Path
from lisa_ros.cli import main
from lisa_ros.training import snapshots

def save_half(state, path, metadata):
    save_file(state, path, metadata)
    whole = Path(path).read_bytes()
    Path(path).write_bytes(whole[: len(whole) // 2])
    os.kill(os.getpid(), signal.SIGKILL)

save_file, snapshots.save_file = snapshots.save_file, save_half
main(["train", sys.argv[1]])
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Two pictures in the form of ReasonSeg and two of LLaVA-Instruct, whose samples have no mask; one is missing."""
    root = tmp_path_factory.mktemp("data")
    reasoning, pictures = root / "reason_seg" / "ReasonSeg" / "train", root / "coco" / "train2017"
    for folder in (reasoning, pictures, root / "llava_dataset"):
        folder.mkdir(parents=True)
    picture = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
    for index in range(2):
        cv2.imwrite(str(reasoning / f"{index}.jpg"), np.roll(picture, index, 0))
        shape = {"label": "target", "points": [[4, 4], [40, 8 + index], [20, 40]]}
        words = {"text": ["what can i cut the bread with"], "is_sentence": True, "shapes": [shape]}
        (reasoning / f"{index}.json").write_text(json.dumps(words))
        cv2.imwrite(str(pictures / f"{index}.jpg"), np.roll(picture, index, 1))
    said = [{"from": "human", "value": "<image>\nwhat is a knife"}, {"from": "gpt", "value": "A knife is used."}]
    dialogues = [{"id": str(i), "image": f"{i}.jpg", "conversations": said} for i in range(3)]
    (root / "llava_dataset" / "llava_instruct_150k.json").write_text(json.dumps(dialogues))
    return root


@pytest.fixture(scope="module")
def folder(tiny_text, tmp_path_factory):
    """A tiny LISA folder of the embedded kind."""
    path = tmp_path_factory.mktemp("lisa")
    torch.manual_seed(3)
    LisaModel(tiny_text.config).save_pretrained(path, dtype=torch.float32)
    LisaProcessor(tiny_text.config, tiny_text).save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def write(data, folder, frames, tmp_path_factory):
    """Write settings of a short run; returns their file and the run's folder."""

    def write(name, **changes):
        place = tmp_path_factory.mktemp(name)
        settings = {
            "recipe": "lisa",
            "model": str(folder),
            "output": str(place / "run"),
            "sources": [{"data": "reason_seg", "root": str(data)}, {"data": "llava_instruct_150k", "root": str(data)}],
            "rates": {"reasoning": 1, "vqa": 1},
            "trainable": {"lora": {"dropout": 0.2}},
            "validate": {"data": "tabletop", "root": str(frames.path), "every": 4, "limit": 3},
            "epochs": 1,
            "steps_per_epoch": STEPS,
            "batch_size": 1,
            "accumulation": ACCUMULATION,
            "learning_rate": 0.003,
            "warmup_steps": 2,
            "precision": "fp32",
            "stored_type": "float32",
            "device": "cpu",
            "threads": 1,
            "workers": 0,
            "save_every": KEPT_EVERY,
        } | changes
        (place / "settings.yaml").write_text(yaml.safe_dump(settings))
        return place / "settings.yaml", place / "run"

    return write


@pytest.fixture(scope="module")
def unbroken(write):
    """The folder of a run in one process, from start to end."""
    settings, run = write("unbroken")
    assert main(["train", str(settings)]) == 0
    return run


def rows(path):
    with path.open(newline="") as file:
        return [{name: value for name, value in row.items() if name != "seconds"} for row in csv.DictReader(file)]


def numbers(path):
    return [{name: float(value or 0) for name, value in row.items()} for row in rows(path)]


def started(command):
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, env=environment, cwd=ROOT, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def killed_at_row(process, table, count):
    """Kill a process and its children as soon as a table has so many rows."""
    while process.poll() is None:
        if table.is_file() and len(table.read_text().splitlines()) > count:
            os.killpg(process.pid, signal.SIGKILL)
            assert process.wait() == -signal.SIGKILL
            return
        time.sleep(0.005)
    raise AssertionError(process.stdout.read().decode())


def finished(process):
    output = process.communicate(timeout=300)[0].decode()
    assert process.returncode == 0, output


def test_a_run_writes_its_figures_and_a_folder_that_answers(unbroken, folder):
    steps = numbers(unbroken / "training.csv")
    assert [row["step"] for row in steps] == list(range(STEPS))
    assert [row["lr"] for row in steps] == pytest.approx([0.0015, 0.003, 0.003, 0.00225, 0.0015, 0.00075])
    for row in steps:
        assert row["loss"] == pytest.approx(row["ce"] + row["bce"] + row["dice"]) and row["grad_norm"] > 0
    assert steps[-1]["ce"] < steps[0]["ce"] - 0.5
    assert (unbroken / "training.png").read_bytes()[1:4] == b"PNG" and any((unbroken / "tensorboard").rglob("event*"))
    segmenter = LisaSegmenter.load(unbroken / "model", device="cpu")
    answer = list(segmenter.ask(segmenter.look(np.zeros((48, 64, 3), np.uint8)), Request("where is the knife")))[-1]
    assert isinstance(answer, Finished) and answer.answer.verdict is not Verdict.FAILED
    before, after = (load_file(path / "model.safetensors") for path in (folder, unbroken / "model"))
    changed = {name for name, value in before.items() if not value.equal(after[name])}
    parts = ("language_model.model.embed_tokens.", "text_hidden_fcs.", "mask_decoder.")
    assert before.keys() == after.keys() and changed
    assert all(name.startswith(parts) or name.endswith(("q_proj.weight", "v_proj.weight")) for name in changed)
    assert "language_model.model.layers.1.self_attn.v_proj.weight" in changed


def test_what_could_not_be_used_is_counted_and_listed_with_its_cause(unbroken):
    listed = rows(unbroken / "training_skipped.csv")
    assert listed and all("2.jpg" in row["cause"] and row["source"] == "llava_instruct_150k" for row in listed)
    counted = sum(row["skipped: llava_instruct_150k"] for row in numbers(unbroken / "training.csv"))
    assert counted == len(listed)


def test_the_folder_says_how_it_was_made(unbroken, data):
    made = json.loads((unbroken / "model" / "training.json").read_text())
    assert made["data"] == {"reasoning": ["reason_seg|train"], "vqa": ["llava_instruct_150k"]}
    assert (made["steps"], made["samples"], made["processes"]) == (STEPS, STEPS * ACCUMULATION, 1)
    assert made["settings"]["learning_rate"] == 0.003 and made["packages"]["torch"] == torch.__version__


def test_the_best_by_giou_is_kept(unbroken):
    scores = numbers(unbroken / "validation.csv")
    assert [row["step"] for row in scores] == [4, STEPS] and all(row["cases"] == 3 for row in scores)
    best = json.loads((unbroken / "best" / "training.json").read_text())
    first_best = max(scores, key=lambda row: row["gIoU"])
    assert best["steps"] == first_best["step"] and best["validation"]["gIoU"] == first_best["gIoU"]
    assert LisaModel.from_pretrained(unbroken / "best")


def test_runs_that_are_killed_go_on_with_the_same_bits(write, unbroken):
    settings, run = write("killed")
    killed_at_row(started([sys.executable, "-m", "lisa_ros.cli", "train", str(settings)]), run / "training.csv", 3)
    snapshot = (run / "training.safetensors").read_bytes()
    dying = started([sys.executable, "-c", DIE_WHILE_WRITING, str(settings)])
    assert dying.wait() == -signal.SIGKILL, dying.stdout.read().decode()
    assert (run / "training.safetensors").read_bytes() == snapshot and (run / "training.part").is_file()
    assert main(["train", str(settings)]) == 0
    for table in ("training.csv", "training_skipped.csv", "validation.csv"):
        assert rows(run / table) == rows(unbroken / table), table
    expected, found = (load_file(path / "model" / "model.safetensors") for path in (unbroken, run))
    assert all(value.equal(found[name]) for name, value in expected.items())


def test_two_processes_give_the_losses_of_one_with_copies_and_with_shards(write, unbroken):
    """A run that copies the network to two processes (DDP) is killed; one that shards it (FSDP) goes on."""
    settings, run = write("two", accumulation=ACCUMULATION // 2)
    command = [*TORCHRUN, "-m", "lisa_ros.cli", "train", str(settings)]
    killed_at_row(started(command), run / "training.csv", 3)
    settings.write_text(settings.read_text().replace("workers: 0", "workers: 0\nsharded: true"))
    finished(started(command))
    expected = numbers(unbroken / "training.csv")
    masks = [row["bce"] for row in expected]
    assert min(masks) < max(masks) / 2, "some micro-batches should have no mask"
    for found, wanted in zip(numbers(run / "training.csv"), expected, strict=True):
        assert found == pytest.approx(wanted, rel=2e-5)
    for found, wanted in zip(numbers(run / "validation.csv"), numbers(unbroken / "validation.csv"), strict=True):
        assert found == pytest.approx(wanted, abs=0.01)
    assert rows(run / "training_skipped.csv") == rows(unbroken / "training_skipped.csv")
    learned, shards = (load_file(path / "model" / "model.safetensors") for path in (unbroken, run))
    # AdamW takes whole steps along gradients that are nothing but rounding, so single weights differ by more.
    assert all((value - shards[name]).abs().mean() < 1e-4 for name, value in learned.items())


def test_a_run_goes_on_with_its_own_settings_only(write, unbroken, capsys):
    settings, run = write("other", output=str(unbroken), learning_rate=0.001)
    assert main(["train", str(settings)]) == 1
    assert "holds a run whose learning_rate is 0.003, not 0.001; name another output" in capsys.readouterr().err
    settings, _ = write("larger", output=str(unbroken), batch_size=2)
    assert main(["train", str(settings)]) == 1
    assert "is of a run with 4 samples a step and this one has 8" in capsys.readouterr().err
