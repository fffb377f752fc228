from __future__ import annotations

import csv
import math
import shutil
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from lisa_ros.model.modeling import LisaModel
from lisa_ros.model.processing import LisaProcessor
from lisa_ros.simulation.frames import FrameError
from lisa_ros.training import loop as loop_module
from lisa_ros.training import tabletop_trainer as trainer_module
from lisa_ros.training.tabletop_settings import StageSettings, TabletopSettings
from lisa_ros.training.tabletop_trainer import TabletopTrainer

STAGES = ("dense", "joint", "language")
STEPS = 4
PEAK, TRUNK_PEAK, WARMUP = 1e-3, 5e-4, 2


class Killed(BaseException):
    """Ends a run in the middle, as a signal would."""


@pytest.fixture(scope="module")
def tiny_network(tiny_text):
    """Let the trainer train a tiny network instead of one with pretrained parts."""

    def new_model(config, pretrained, seed):
        torch.manual_seed(seed)
        return LisaModel(config)

    processor = LisaProcessor(tiny_text.config, tiny_text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer_module, "new_processor", lambda network, pretrained: processor)
        patch.setattr(trainer_module, "new_model", new_model)
        yield


@pytest.fixture(scope="module")
def settings(frames, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    stage = StageSettings(STEPS, 2, PEAK, TRUNK_PEAK, WARMUP, requests_per_frame=2, masks_per_frame=2)
    yield TabletopSettings(
        output=str(folder / "unbroken"),
        frames=(str(frames.path),),
        dense=stage,
        joint=stage,
        language=replace(stage, masks_per_frame=0),
        workers=0,
        save_every=2,
    )
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def unbroken(tiny_network, settings):
    """A run from start to end: its folder, the trainer and the learning rates of its steps."""
    trainer, rates = train(settings)
    return trainer.output, trainer, rates


def train(settings, kill_before=None):
    """Run until the end, or until step number ``kill_before`` of this trainer."""
    trainer, rates = TabletopTrainer(settings, Path("nowhere")), []
    step = loop_module._RunningStage._step

    def watched(stage, number, batches):
        if len(rates) == kill_before:
            raise Killed
        result = step(stage, number, batches)
        rates.append([group["lr"] for group in stage.learned.optimiser.param_groups])
        return result

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed) if kill_before else nullcontext():
        patch.setattr(loop_module._RunningStage, "_step", watched)
        trainer.run()
    return trainer, rates


def losses(folder, stage):
    """The rows of a table of losses without their times."""
    with (folder / f"{stage}.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [{name: float(value) for name, value in row.items() if name != "seconds"} for row in rows]


def weights(folder):
    return load_file(folder / "model" / "model.safetensors")


def test_a_killed_run_goes_on_as_if_it_had_not_been(unbroken, settings):
    folder, _, rates = unbroken
    broken = replace(settings, output=str(folder.parent / "broken"))
    for kill_before in (3, 5, 5):
        train(broken, kill_before)
    trainer, last = train(broken)
    assert (len(rates), len(last)) == (3 * STEPS, 2)
    for stage in STAGES:
        rows = losses(trainer.output, stage)
        assert [row["step"] for row in rows] == list(range(STEPS))
        for expected, found in zip(losses(folder, stage), rows, strict=True):
            assert expected == found
    expected, found = weights(folder), weights(trainer.output)
    assert expected.keys() == found.keys() and all(value.equal(found[name]) for name, value in expected.items())


def test_every_stage_writes_the_losses_that_it_has(unbroken):
    eyes, words = {"dense", "presence", "bce", "dice", "iou"}, {"ce", "prompt"}
    for stage, expected in zip(STAGES, (eyes, eyes | words, words), strict=True):
        for row in losses(unbroken[0], stage):
            assert set(row) == expected | {"step", "loss", "lr", "grad_norm"}
            assert row["loss"] == pytest.approx(sum(row[name] for name in expected), rel=1e-6)


def test_the_learning_rates_warm_up_and_fall(unbroken):
    shares = [0.5, *(0.5 * (1 + math.cos(math.pi * step / STEPS)) for step in range(1, STEPS))]
    for index, found in enumerate(unbroken[2]):
        share = shares[index % STEPS]
        # The eyes rest while words are learned.
        peaks = [PEAK] if index >= 2 * STEPS else [PEAK, TRUNK_PEAK]
        assert sorted(found, reverse=True) == pytest.approx([peak * share for peak in peaks])


def test_the_checkpoint_loads_strictly_and_holds_the_averaged_weights(unbroken):
    folder, trainer, _ = unbroken
    loaded = LisaModel.from_pretrained(folder / "model")
    assert LisaProcessor.from_pretrained(folder / "model").config == trainer.processor.config
    words, eyes = (load_file(folder / f"{stage}.safetensors") for stage in ("language", "joint"))
    average, last = (words[f"{sort}/text_hidden_fcs.0.weight"].half() for sort in ("average", "weight"))
    assert loaded.text_hidden_fcs[0].weight.half().equal(average) and not average.equal(last)
    stem = eyes["average/model.pyramid.trunk.stem.weight"].half()
    assert loaded.pyramid.trunk.stem.weight.half().equal(stem)


def test_a_finished_run_trains_no_more(unbroken, settings):
    folder, before = unbroken[0], weights(unbroken[0])
    _, rates = train(settings)
    assert rates == [] and len(losses(folder, "joint")) == STEPS
    after = weights(folder)
    assert all(value.equal(after[name]) for name, value in before.items())


def test_a_folder_without_frames_is_told_before_anything_is_fetched(settings, write_frames, tmp_path):
    empty = replace(settings, frames=(str(write_frames("empty", []).path),))
    with pytest.raises(FrameError, match=r"empty holds no finished frames; make some with `lisa simulate`\.$"):
        TabletopTrainer(empty, tmp_path / "pretrained")
    assert not (tmp_path / "pretrained").exists()
