from __future__ import annotations

import csv
import math
from collections import Counter
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from lisa_ros.datasets.records import DatasetError
from lisa_ros.training.loop import OptimiserPlan, Stage, TrainingLoop
from lisa_ros.training.micro_batches import MicroBatch
from lisa_ros.training.processes import start_processes
from lisa_ros.training.settings import TrainingError

PLAN = OptimiserPlan(peak_of=lambda name: 0.1 if name == "fast" else 0.01, schedule=lambda step: 1.0)


class Fit(nn.Module):
    """Fits two numbers to what the samples say."""

    def __init__(self):
        super().__init__()
        self.fast, self.slow = nn.Parameter(torch.zeros(())), nn.Parameter(torch.zeros(()))
        self.frozen = nn.Parameter(torch.zeros(()), requires_grad=False)

    def forward(self, values):
        return {"first": ((self.fast - values) ** 2).mean(), "second": ((self.slow + values) ** 2).mean()}


class Numbers:
    """Sample ``i`` is ``i % 5``, but for those that ``instead`` names."""

    def __init__(self, instead=None, failing=()):
        self.instead, self.failing = instead or {}, failing

    def micro_batch(self, positions):
        if set(positions) & set(self.failing):
            raise DatasetError("No item can be used.")
        values = [self.instead.get(position, float(position % 5)) for position in positions]
        skipped = tuple(("set", f"{position} is bad") for position in positions if position % 4 == 3)
        sources = tuple(f"number {position}" for position in positions)
        return MicroBatch(torch.tensor(values), sources, skipped, Counter(cut_masks=len(positions)))


@pytest.fixture
def train(tmp_path):
    """Run a stage of four steps on the CPU; options replace the usual ones."""

    def train(samples=None, name="fit", **changes):
        stage = Stage(name=name, objective=Fit(), samples=samples or Numbers(), steps=4, batch_size=2, plan=PLAN)
        loop = TrainingLoop(start_processes("cpu"), tmp_path, seed=1, workers=0, save_every=2)
        loop.run(replace(stage, **changes))
        with (tmp_path / f"{name}.csv").open(newline="") as file:
            return list(csv.DictReader(file))

    return train


def test_accumulated_micro_batches_are_one_larger_batch(train):
    whole = train(name="whole", batch_size=4)
    parts = train(name="parts", batch_size=1, accumulation=4)
    for name in ("loss", "first", "second", "grad_norm"):
        assert [float(row[name]) for row in parts] == pytest.approx([float(row[name]) for row in whole], rel=1e-6)


def test_every_stage_begins_its_steps_anew(train):
    train(name="odd", batch_size=1, accumulation=3, steps=1)
    assert len(train(name="even", batch_size=1, accumulation=2, steps=3)) == 3
    assert [float(row["grad_norm"]) > 0 for row in train(name="again", batch_size=1, accumulation=2)] == [True] * 4


def test_weights_learn_at_their_own_rates_and_the_norm_of_gradients_is_limited(train, tmp_path):
    plan = replace(PLAN, gradient_clip=1e-9, betas=(0.0, 0.0))
    row = train(name="clipped", plan=plan, steps=1)[0]
    assert float(row["grad_norm"]) > 1e-9 and float(row["lr"]) == 0.1
    state = load_file(tmp_path / "clipped.safetensors")
    assert math.hypot(*(float(state[f"optimiser/exp_avg/{name}"]) for name in ("fast", "slow"))) < 1.1e-9
    assert set(state) == {f"{part}/{name}" for name in ("fast", "slow") for part in
                          ("weight", "optimiser/step", "optimiser/exp_avg", "optimiser/exp_avg_sq")}  # fmt: skip
    train(name="rates", steps=1)
    state = load_file(tmp_path / "rates.safetensors")
    assert float(state["weight/fast"]) == pytest.approx(0.1, rel=1e-3)
    assert float(state["weight/slow"]) == pytest.approx(-0.01, rel=1e-3)


def test_what_is_skipped_is_counted_by_source_and_listed_by_cause(train, tmp_path):
    rows = train()
    assert [row["skipped: set"] for row in rows] == ["", "1", "", "1"] and rows[0]["cut_masks"] == "2"
    listed = (tmp_path / "fit_skipped.csv").read_text().splitlines()
    assert listed == ["step,source,cause", "1,set,3 is bad", "3,set,7 is bad"]


def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_samples(train, tmp_path):
    with pytest.raises(
        TrainingError, match=r"step 3: first is nan, second is nan, in samples from number 6, number 7;"
    ):
        train(Numbers({7: math.nan}))
    state = load_file(tmp_path / "fit.safetensors")
    assert all(value.isfinite().all() for value in state.values())
    assert len(train(Numbers({7: 1.0}))) == 4


def test_gradients_that_are_not_finite_stop_the_run_too(train, tmp_path):
    with pytest.raises(TrainingError, match=r"step 1: the gradient's norm is inf, in samples from number 2, "):
        train(Numbers({2: 1.8e19}))
    assert not (tmp_path / "fit.safetensors").exists()


def test_samples_that_cannot_be_made_stop_the_run_in_one_sentence(train):
    for workers in (0, 1):
        with pytest.raises(TrainingError, match=r"^No item can be used\.$"):
            train(Numbers(failing=[5]), name=f"workers{workers}")


def test_averages_are_handed_on(train, tmp_path):
    objective = Fit()
    train(objective=objective, average_decay=0.9)
    state = load_file(tmp_path / "fit.safetensors")
    assert objective.fast.item() == float(state["average/fast"]) != float(state["weight/fast"])


def test_a_snapshot_of_another_run_is_refused(train, tmp_path):
    train()
    other = Fit()
    other.slow.requires_grad_(False)
    with pytest.raises(TrainingError, match=r"learns other weights \(1 differ, weight/slow is one\); name another"):
        train(objective=other)
    with pytest.raises(TrainingError, match=r"a run with 2 samples a step and this one has 6"):
        train(batch_size=3, accumulation=2)
    whole = (tmp_path / "fit.safetensors").read_bytes()
    (tmp_path / "fit.safetensors").write_bytes(whole[:-20])
    with pytest.raises(TrainingError, match=r"fit\.safetensors is damaged .*; delete it to begin anew"):
        train()


def test_the_steps_that_are_done_are_told_before_they_are_kept(train, tmp_path):
    told = []
    train(after_step=lambda step: told.append((step, (tmp_path / "fit.safetensors").exists())))
    assert told == [(1, False), (2, False), (3, True), (4, True)]
