"""The recipe ``lisa``: LoRA and the mask decoder of any LISA folder, on any number of processes."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lisa_ros.model.modeling import LisaModel
from lisa_ros.model.processing import LisaProcessor
from lisa_ros.training.lisa_batch import Collator, LisaBatch
from lisa_ros.training.lisa_objective import LisaObjective
from lisa_ros.training.lisa_samples import MixedSamples
from lisa_ros.training.lisa_settings import LisaSettings
from lisa_ros.training.loop import OptimiserPlan, Stage, TrainingLoop
from lisa_ros.training.merging import merged
from lisa_ros.training.metrics import left_out
from lisa_ros.training.processes import start_processes, whole
from lisa_ros.training.run_folder import open_run_folder, write_provenance
from lisa_ros.training.schedule import linear_decay
from lisa_ros.training.snapshots import assign, saved_weights
from lisa_ros.training.trainable import learning_parameters, make_trainable, trainable_report
from lisa_ros.training.validation import Figures, Validation, ValidationTable

COMPUTED_TYPES = {"bf16": torch.bfloat16, "fp32": torch.float32}
STAGE = "training"


class LisaTrainer:
    """Trains a LISA folder as the settings say; call ``run`` again after an interruption and it goes on."""

    def __init__(self, settings: LisaSettings) -> None:
        self.settings = settings
        self.accelerator = start_processes(settings.device)
        self.is_main: bool = self.accelerator.is_main_process
        if settings.threads:
            torch.set_num_threads(settings.threads)
        self.processor = LisaProcessor.from_pretrained(settings.model)
        self.samples = MixedSamples(settings, Collator(self.processor, settings.max_length))
        self.validation = None if settings.validate is None else Validation(settings.validate, self.accelerator)
        is_sharded = settings.sharded and self.accelerator.num_processes > 1
        # What is sharded goes to the device in shards; the whole of it might not fit.
        self.objective = self._objective("cpu" if is_sharded else self.accelerator.device)
        self.output = open_run_folder(settings, writes=self.is_main)
        self.loop = TrainingLoop(
            self.accelerator, self.output, settings.seed, settings.workers, settings.save_every, settings.sharded
        )

    def run(self) -> None:
        """Run what is left of the training, then write the merged checkpoint folder ``OUTPUT/model``."""
        stage = self._stage()
        if self.is_main:
            print(f"{self.settings.model}: {trainable_report(self.objective.model)}.")
        self.loop.run(stage)
        if self.is_main:
            for sentence in left_out(self.output, STAGE):
                print(sentence)
            self._write_model(self.output / "model", saved_weights(self.loop.snapshot(stage)), self.settings.steps)
        self.accelerator.wait_for_everyone()
        self.accelerator.end_training()

    def _objective(self, device: torch.device | str) -> LisaObjective:
        """Return the network of the settings with what learns in it, the same on every process."""
        model = LisaModel.from_pretrained(
            self.settings.model,
            dtype=COMPUTED_TYPES[self.settings.precision],
            device=device,
            quantization=self.settings.quantization,
        )
        torch.manual_seed(self.settings.seed)
        make_trainable(model, self.settings.trainable)
        checkpointing = self.settings.gradient_checkpointing
        return LisaObjective(model, self.settings.losses, gradient_checkpointing=checkpointing)

    def _stage(self) -> Stage:
        settings = self.settings
        plan = OptimiserPlan(
            peak_of=lambda name: settings.learning_rate,
            schedule=partial(linear_decay, warmup_steps=settings.warmup_steps, steps=settings.steps),
            betas=settings.betas,
            weight_decay=settings.weight_decay,
            gradient_clip=settings.gradient_clip,
        )
        return Stage(
            name=STAGE,
            objective=self.objective,
            samples=self.samples,
            steps=settings.steps,
            batch_size=settings.batch_size,
            plan=plan,
            accumulation=settings.accumulation,
            place=self._placed,
            after_step=self._validate,
        )

    def _placed(self, batch: LisaBatch) -> LisaBatch:
        return batch.to(self.accelerator.device, COMPUTED_TYPES[self.settings.precision])

    def _validate(self, step: int) -> None:
        """Score the network where that is due, and keep it in ``OUTPUT/best`` where its gIoU is the highest so far."""
        if self.validation is None or not self.validation.is_due(step, self.settings.steps):
            return
        figures = self.validation.run(self.objective, self.processor, COMPUTED_TYPES[self.settings.precision])
        table = ValidationTable(self.output)
        # Written before the table says so: a run that is killed in between writes both again.
        if figures["gIoU"] > table.best_before(step):
            weights = {name: whole(value) for name, value in learning_parameters(self.objective).items()}
            if self.is_main:
                self._write_model(self.output / "best", weights, step, figures)
        if self.is_main:
            table.add(step, figures)

    def _write_model(self, folder: Path, weights: dict[str, Tensor], step: int, figures: Figures | None = None) -> None:
        """Merge what was learned into the folder that the training began with, and write that elsewhere.

        The network in training may be sharded; so it is loaded once more, whole and on the CPU.
        """
        objective = self._objective("cpu")
        assign(learning_parameters(objective), weights)
        stored_type = getattr(torch, self.settings.stored_type)
        merged(objective.model).save_pretrained(folder, dtype=stored_type)
        self.processor.save_pretrained(folder)
        write_provenance(folder, self.settings, self._facts(step) | ({"validation": figures} if figures else {}))

    def _facts(self, step: int) -> dict[str, Any]:
        return {
            "data": self.samples.names,
            "steps": step,
            "samples": step * self.settings.batch_size * self.settings.accumulation * self.accelerator.num_processes,
            "processes": self.accelerator.num_processes,
        }
