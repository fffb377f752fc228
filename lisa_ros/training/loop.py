"""The training loop: one for every recipe, on one process or many, resumed exactly after an interruption."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor, nn
from tqdm import tqdm

from lisa_ros.training.loss_plot import write_loss_plot
from lisa_ros.training.metrics import Metrics, Skip
from lisa_ros.training.micro_batches import MicroBatch, Samples, load
from lisa_ros.training.positions import Share
from lisa_ros.training.processes import spread, whole
from lisa_ros.training.settings import TrainingError
from lisa_ros.training.snapshots import Learned, assign, load_snapshot, save_snapshot
from lisa_ros.training.trainable import learning_parameters

SHOWN_SOURCES = 5


@dataclass(frozen=True, slots=True)
class OptimiserPlan:
    """AdamW: the peak learning rate of a weight by its name, the share of the peak by step, and the usual constants.

    Gradients are clipped to a norm of ``gradient_clip``.
    """

    peak_of: Callable[[str], float]
    schedule: Callable[[int], float]
    betas: tuple[float, float] = (0.9, 0.95)
    weight_decay: float = 0.0
    gradient_clip: float = 1.0


@dataclass(frozen=True, slots=True)
class Stage:
    """One stretch of training: what is minimised over what, and how.

    ``objective`` maps a batch to weighted losses by name, whose sum is minimised; on several processes the names are
    the same for every batch. ``place`` puts a batch on the device. ``batch_size`` is that of a micro-batch. With
    ``average_decay`` the stage hands on the running average of its weights. ``after_step`` is called on every process
    with the number of steps that are done.
    """

    name: str
    objective: nn.Module
    samples: Samples
    steps: int
    batch_size: int
    plan: OptimiserPlan
    accumulation: int = 1
    average_decay: float | None = None
    place: Callable[[Any], Any] = lambda batch: batch
    after_step: Callable[[int], None] = lambda steps: None


@dataclass(frozen=True, slots=True)
class TrainingLoop:
    """Runs stages and keeps in ``output`` what they need to go on after an interruption.

    For each there are ``NAME.safetensors`` (the snapshot, every ``save_every`` steps and at the end), ``NAME.csv``,
    ``NAME.png`` and TensorBoard's files. Chance in a micro-batch depends on ``seed`` and its number alone.
    """

    accelerator: Accelerator
    output: Path
    seed: int
    workers: int
    save_every: int
    sharded: bool = False

    def run(self, stage: Stage) -> None:
        """Run what is left of a stage; raises ``TrainingError`` with one sentence where it cannot go on."""
        share = Share(
            stage.batch_size, stage.accumulation, self.accelerator.num_processes, self.accelerator.process_index
        )
        objective = spread(stage.objective, self.accelerator, sharded=self.sharded)
        learned = _learned(self.accelerator.unwrap_model(objective), stage)
        first_step = self._resume(stage, learned, share)
        if first_step < stage.steps:
            _RunningStage(self, stage, share, objective, learned).run(first_step)
        assign(learned.parameters, learned.averages)

    def snapshot(self, stage: Stage) -> Path:
        """Return the path of a stage's snapshot."""
        return self.output / f"{stage.name}.safetensors"

    def _resume(self, stage: Stage, learned: Learned, share: Share) -> int:
        first_step = load_snapshot(self.snapshot(stage), learned, share.samples_per_step)
        found = self.accelerator.gather(torch.tensor([first_step], device=self.accelerator.device)).tolist()
        if len(set(found)) > 1:
            raise TrainingError(
                f"The processes find snapshots of different steps ({', '.join(map(str, found))}); "
                f"{self.output} must be one folder that all machines share."
            )
        return first_step


def _learned(objective: nn.Module, stage: Stage) -> Learned:
    """Return what an objective learns, with an optimiser that has a group for every peak of the learning rate."""
    parameters = learning_parameters(objective)
    groups: dict[float, list[nn.Parameter]] = {}
    for name, parameter in parameters.items():
        groups.setdefault(stage.plan.peak_of(name), []).append(parameter)
    optimiser = torch.optim.AdamW(
        [{"params": group, "peak": peak} for peak, group in groups.items()],
        lr=0.0,
        betas=stage.plan.betas,
        weight_decay=stage.plan.weight_decay,
    )
    averaged = parameters if stage.average_decay is not None else {}
    return Learned(parameters, optimiser, {name: value.detach().clone() for name, value in averaged.items()})


@dataclass(slots=True)
class _RunningStage:
    """A stage on its way, on this process."""

    loop: TrainingLoop
    stage: Stage
    share: Share
    objective: nn.Module
    learned: Learned
    loss_names: dict[str, None] = field(default_factory=dict)
    """The losses that there were, in their order."""

    def run(self, first_step: int) -> None:
        stage, accelerator = self.stage, self.loop.accelerator
        # accelerate counts micro-batches through all stages; a step ends where the count divides.
        accelerator.gradient_accumulation_steps, accelerator.step = stage.accumulation, 0
        steps = range(first_step, stage.steps)
        batches = load(stage.samples, self.share, steps, self.loop.workers)
        is_main = accelerator.is_main_process
        bar = tqdm(
            steps, stage.name, initial=first_step, total=stage.steps, mininterval=2, disable=not is_main, unit="step"
        )
        metrics = Metrics(self.loop.output, stage.name, first_step) if is_main else None
        with closing(metrics) if metrics else nullcontext():
            for step in bar:
                self.objective.train()
                figures, skipped = self._step(step, batches)
                if metrics:
                    metrics.add(step, figures, skipped)
                    bar.set_postfix(loss=f"{figures['loss']:.3f}", refresh=False)
                stage.after_step(step + 1)
                if (step + 1) % self.loop.save_every == 0 or step + 1 == stage.steps:
                    self._save(step + 1)

    def _step(self, step: int, batches: Iterator[MicroBatch]) -> tuple[dict[str, float], list[Skip]]:
        """Run one step of the optimiser; returns its figures and the samples that were skipped on the way."""
        started = time.monotonic()
        rate = self._set_learning_rate(step)
        done: list[tuple[MicroBatch, dict[str, Tensor]]] = []
        for number in self.share.micro_batches(step):
            micro_batch = next(batches)
            done.append((micro_batch, self._gradients(micro_batch, number)))
        losses = self._mean([values for _, values in done])
        self.loss_names.update(dict.fromkeys(losses))
        self._require_finite(step, losses, done)
        norm = self._clipped()
        self._require_finite(step, {"the gradient's norm": norm}, done)
        self.learned.optimiser.step()
        self.learned.optimiser.zero_grad()
        self._update_averages(step)
        figures = {"loss": sum(losses.values()), **losses, "lr": rate, "grad_norm": norm}
        counts, skipped = self._counted([batch for batch, _ in done])
        return figures | {"seconds": time.monotonic() - started} | counts, skipped

    def _gradients(self, micro_batch: MicroBatch, number: int) -> dict[str, Tensor]:
        """Add the gradients of a micro-batch; returns its losses."""
        accelerator = self.loop.accelerator
        batch = self.stage.place(micro_batch.batch)
        # Dropout is the same whichever process computes a micro-batch, before and after an interruption.
        torch.manual_seed(self.loop.seed + number)
        with accelerator.accumulate(self.objective):
            losses: dict[str, Tensor] = self.objective(batch)
            accelerator.backward(sum(losses.values()))
        return {name: value.detach() for name, value in losses.items()}

    def _mean(self, losses: list[dict[str, Tensor]]) -> dict[str, float]:
        """Return the losses of all micro-batches of all processes, each the mean over those that have it."""
        names = list(dict.fromkeys(name for values in losses for name in values))
        means = [torch.stack([values[name] for values in losses if name in values]).mean() for name in names]
        return dict(zip(names, self.loop.accelerator.reduce(torch.stack(means), "mean").tolist(), strict=True))

    def _require_finite(
        self, step: int, values: dict[str, float], done: list[tuple[MicroBatch, dict[str, Tensor]]]
    ) -> None:
        """Stop before the weights are spoilt; the values are those of all processes, so all of them stop."""
        wrong = {name: value for name, value in values.items() if not math.isfinite(value)}
        if not wrong:
            return
        suspects = [batch for batch, losses in done if not all(value.isfinite() for value in losses.values())]
        sources: list[str] = gather_object([source for batch in suspects for source in batch.sources])
        if not sources:
            sources = gather_object([source for batch, _ in done for source in batch.sources])
        if not self.loop.accelerator.is_main_process:
            raise SystemExit(1)
        found = ", ".join(f"{name} is {value}" for name, value in wrong.items())
        shown = ", ".join(sources[:SHOWN_SOURCES]) + (", ..." if len(sources) > SHOWN_SOURCES else "")
        raise TrainingError(
            f"Training stopped at step {step}: {found}, in samples from {shown}; check these or lower the learning "
            "rate and start again, the last snapshot is whole."
        )

    def _clipped(self) -> float:
        norm = self.loop.accelerator.clip_grad_norm_(self.learned.parameters.values(), self.stage.plan.gradient_clip)
        return float(whole(norm))

    def _set_learning_rate(self, step: int) -> float:
        """Set the rate of every group and return the highest."""
        share = self.stage.plan.schedule(step)
        for group in self.learned.optimiser.param_groups:
            group["lr"] = group["peak"] * share
        return max(group["lr"] for group in self.learned.optimiser.param_groups)

    @torch.no_grad()
    def _update_averages(self, step: int) -> None:
        for name, average in self.learned.averages.items():
            decay = min(self.stage.average_decay or 0.0, (1 + step) / (10 + step))
            average.lerp_(self.learned.parameters[name], 1 - decay)

    def _counted(self, batches: list[MicroBatch]) -> tuple[dict[str, float], list[Skip]]:
        """Return what all processes counted in this step, by name, and the samples that they skipped."""
        mine = sum((batch.counts for batch in batches), Counter[str]())
        counts = sum((Counter(found) for found in gather_object([dict(mine)])), Counter[str]())
        skipped: list[Skip] = gather_object([skip for batch in batches for skip in batch.skipped])
        return dict(sorted(counts.items())), skipped

    def _save(self, step: int) -> None:
        loop, is_main = self.loop, self.loop.accelerator.is_main_process
        save_snapshot(loop.snapshot(self.stage), self.learned, step, self.share.samples_per_step, writes=is_main)
        if is_main:
            table = loop.output / f"{self.stage.name}.csv"
            write_loss_plot(table, table.with_suffix(".png"), ["loss", *self.loss_names])
