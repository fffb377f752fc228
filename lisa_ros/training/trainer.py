"""The training loop: three stages, checkpoints from which it resumes, losses as CSV."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Sampler
from tqdm import tqdm

from lisa_ros.model.modeling import LisaModel
from lisa_ros.model.processing import LisaProcessor
from lisa_ros.model.text_processing import TabletopTextProcessor
from lisa_ros.simulation.frames import FrameError, FrameFolder
from lisa_ros.training.dense_head import DenseHead
from lisa_ros.training.embedded import new_model, new_processor
from lisa_ros.training.loss_table import LossTable
from lisa_ros.training.objectives import DenseObjective, JointObjective
from lisa_ros.training.settings import StageSettings, TrainingSettings
from lisa_ros.training.snapshots import assign, load_snapshot, save_snapshot
from lisa_ros.training.tabletop import NUM_KINDS, TabletopDataset, TabletopSample

ADAM_BETAS = (0.9, 0.95)


class RunningPositions(Sampler[int]):
    """Positions from ``start`` to ``end``; so a resumed run sees exactly the samples that are left."""

    def __init__(self, start: int, end: int) -> None:
        self.start, self.end = start, end

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.start, self.end))

    def __len__(self) -> int:
        return self.end - self.start


class Trainer:
    """Trains the embedded LISA as the settings say; call ``run`` again after an interruption and it goes on."""

    def __init__(self, settings: TrainingSettings, pretrained: Path) -> None:
        self.settings = settings
        self.folders = [_frames(Path(folder)) for folder in settings.frames]
        self.output = Path(settings.output)
        self.output.mkdir(parents=True, exist_ok=True)
        if settings.threads:
            torch.set_num_threads(settings.threads)
        self.processor: LisaProcessor = new_processor(settings.network, pretrained)
        self.model: LisaModel = new_model(self.processor.config, pretrained, settings.seed)
        vision = self.processor.config.vision
        self.head = DenseHead(vision, NUM_KINDS)  # type: ignore[arg-type]
        self.dense = DenseObjective(self.model, self.head, settings.losses)
        assert isinstance(self.processor.text, TabletopTextProcessor)
        self.joint = JointObjective(self.model, self.processor.text, self.dense, settings.losses, settings.blur)

    def run(self) -> None:
        """Run what is left of the stages, then write the checkpoint folder ``OUTPUT/model``."""
        (self.output / "settings.json").write_text(json.dumps(self.settings.to_dict(), indent=2))
        self._run_stage("dense", self.settings.dense, self.dense)
        self._run_stage("joint", self.settings.joint, self.joint)
        self._run_stage("language", self.settings.language, self.joint.language)
        self.model.eval().save_pretrained(self.output / "model")
        self.processor.save_pretrained(self.output / "model")

    def _run_stage(self, name: str, stage: StageSettings, objective: nn.Module) -> None:
        """Run what is left of one stage; it hands on the running average of its weights."""
        optimiser = self._optimiser(stage, objective)
        learned = _learned(objective)
        average = {name: value.detach().clone() for name, value in learned.items()}
        snapshot = self.output / f"{name}.safetensors"
        first_step = load_snapshot(snapshot, learned, optimiser, average)
        objective.train()
        batches = iter(self._loader(stage, first_step))
        with LossTable(self.output / f"{name}.csv", first_step) as table:
            for step in tqdm(
                range(first_step, stage.steps), name, initial=first_step, total=stage.steps, mininterval=5
            ):
                _set_learning_rate(optimiser, stage, step)
                # Requests are blurred at random; a resumed run blurs them as an unbroken one would.
                torch.manual_seed(self.settings.seed + step)
                losses = self._step(objective, optimiser, next(batches))
                _update_average(average, objective, min(self.settings.average_decay, (1 + step) / (10 + step)))
                table.add(step, losses)
                if (step + 1) % self.settings.save_every == 0 or step + 1 == stage.steps:
                    save_snapshot(snapshot, step + 1, learned, optimiser, average)
        assign(learned, average)

    def _step(
        self, objective: nn.Module, optimiser: torch.optim.Optimizer, samples: list[TabletopSample]
    ) -> dict[str, float]:
        losses: dict[str, Tensor] = objective(samples)
        optimiser.zero_grad(set_to_none=True)
        sum(losses.values()).backward()  # type: ignore[union-attr]
        nn.utils.clip_grad_norm_(_learned(objective).values(), self.settings.gradient_clip)
        optimiser.step()
        return {key: float(value.detach()) for key, value in losses.items()}

    def _optimiser(self, stage: StageSettings, objective: nn.Module) -> torch.optim.Optimizer:
        trunk: list[nn.Parameter] = []
        new: list[nn.Parameter] = []
        for name, value in _learned(objective).items():
            (trunk if "pyramid.trunk." in name else new).append(value)
        groups = [
            {"params": trunk, "peak": stage.trunk_learning_rate},
            {"params": new, "peak": stage.learning_rate},
        ]
        return torch.optim.AdamW(groups, lr=0.0, betas=ADAM_BETAS, weight_decay=self.settings.weight_decay)

    def _loader(self, stage: StageSettings, first_step: int) -> DataLoader[list[TabletopSample]]:
        dataset = TabletopDataset(
            self.folders,
            self.processor.config.vision,  # type: ignore[arg-type]
            self.settings.augmentation,
            requests_per_frame=stage.requests_per_frame,
            masks_per_frame=stage.masks_per_frame,
            smallest_target=self.settings.smallest_target,
            bare_mask_share=self.settings.bare_mask_share,
            typing_noise=self.settings.typing_noise,
            seed=self.settings.seed,
        )
        return DataLoader(
            dataset,  # type: ignore[arg-type]
            batch_size=stage.batch_size,
            sampler=RunningPositions(first_step * stage.batch_size, stage.steps * stage.batch_size),
            collate_fn=list,
            num_workers=self.settings.workers,
        )


def _frames(path: Path) -> FrameFolder:
    folder = FrameFolder(path)
    if not len(folder):
        raise FrameError(f"{path} holds no finished frames; make some with `lisa simulate`.")
    return folder


def _learned(objective: nn.Module) -> dict[str, nn.Parameter]:
    return {name: value for name, value in objective.named_parameters() if value.requires_grad}


@torch.no_grad()
def _update_average(average: dict[str, Tensor], objective: nn.Module, decay: float) -> None:
    for name, parameter in _learned(objective).items():
        average[name].lerp_(parameter, 1 - decay)


def _set_learning_rate(optimiser: torch.optim.Optimizer, stage: StageSettings, step: int) -> None:
    warmup = min(1.0, (step + 1) / max(stage.warmup_steps, 1))
    cosine = 0.5 * (1 + math.cos(math.pi * step / max(stage.steps, 1)))
    for group in optimiser.param_groups:
        group["lr"] = group["peak"] * warmup * max(cosine, 0.02)
