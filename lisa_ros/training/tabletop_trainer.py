"""The recipe ``tabletop``: the embedded LISA from pretrained parts, in three stages, on one CPU."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import nn

from lisa_ros.model.modeling import LisaModel
from lisa_ros.model.processing import LisaProcessor
from lisa_ros.model.text_processing import TabletopTextProcessor
from lisa_ros.simulation.frames import FrameError, FrameFolder
from lisa_ros.training.dense_head import DenseHead
from lisa_ros.training.embedded import new_model, new_processor
from lisa_ros.training.loop import OptimiserPlan, Stage, TrainingLoop
from lisa_ros.training.micro_batches import MicroBatch
from lisa_ros.training.objectives import DenseObjective, JointObjective
from lisa_ros.training.processes import start_processes
from lisa_ros.training.run_folder import open_run_folder
from lisa_ros.training.schedule import cosine_decay
from lisa_ros.training.settings import SettingsError
from lisa_ros.training.tabletop import NUM_KINDS, TabletopDataset
from lisa_ros.training.tabletop_settings import StageSettings, TabletopSettings

ADAM_BETAS = (0.9, 0.95)


@dataclass(frozen=True, slots=True)
class FrameSamples:
    """The tabletop's frames, as the training loop asks for them."""

    dataset: TabletopDataset

    def micro_batch(self, positions: Sequence[int]) -> MicroBatch:
        """Return the samples at running positions."""
        samples = [self.dataset[position] for position in positions]
        return MicroBatch(samples, tuple(f"the tabletop's sample {position}" for position in positions))


class TabletopTrainer:
    """Trains the embedded LISA as the settings say; call ``run`` again after an interruption and it goes on."""

    def __init__(self, settings: TabletopSettings, pretrained: Path) -> None:
        self.settings = settings
        accelerator = start_processes("cpu")
        self.is_main: bool = accelerator.is_main_process
        if accelerator.num_processes > 1:
            raise SettingsError(
                f"The recipe 'tabletop' runs on one process and was launched on {accelerator.num_processes}; "
                "launch one, or choose the recipe 'lisa'."
            )
        self.folders = [_frames(Path(folder)) for folder in settings.frames]
        if settings.threads:
            torch.set_num_threads(settings.threads)
        self.processor: LisaProcessor = new_processor(settings.network, pretrained)
        self.model: LisaModel = new_model(self.processor.config, pretrained, settings.seed)
        self.output = open_run_folder(settings)
        vision = self.processor.config.vision
        self.head = DenseHead(vision, NUM_KINDS)  # type: ignore[arg-type]
        self.dense = DenseObjective(self.model, self.head, settings.losses)
        assert isinstance(self.processor.text, TabletopTextProcessor)
        self.joint = JointObjective(self.model, self.processor.text, self.dense, settings.losses, settings.blur)
        self.loop = TrainingLoop(accelerator, self.output, settings.seed, settings.workers, settings.save_every)

    def run(self) -> None:
        """Run what is left of the stages, then write the checkpoint folder ``OUTPUT/model``."""
        self.loop.run(self._stage("dense", self.settings.dense, self.dense))
        self.loop.run(self._stage("joint", self.settings.joint, self.joint))
        self.loop.run(self._stage("language", self.settings.language, self.joint.language))
        self.model.eval().save_pretrained(self.output / "model")
        self.processor.save_pretrained(self.output / "model")

    def _stage(self, name: str, stage: StageSettings, objective: nn.Module) -> Stage:
        """Return a stage; it hands on the running average of its weights."""
        plan = OptimiserPlan(
            peak_of=lambda name: stage.trunk_learning_rate if "pyramid.trunk." in name else stage.learning_rate,
            schedule=partial(cosine_decay, warmup_steps=stage.warmup_steps, steps=stage.steps),
            betas=ADAM_BETAS,
            weight_decay=self.settings.weight_decay,
            gradient_clip=self.settings.gradient_clip,
        )
        return Stage(
            name=name,
            objective=objective,
            samples=FrameSamples(self._dataset(stage)),
            steps=stage.steps,
            batch_size=stage.batch_size,
            plan=plan,
            average_decay=self.settings.average_decay,
        )

    def _dataset(self, stage: StageSettings) -> TabletopDataset:
        return TabletopDataset(
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


def _frames(path: Path) -> FrameFolder:
    folder = FrameFolder(path)
    if not len(folder):
        raise FrameError(f"{path} holds no finished frames; make some with `lisa simulate`.")
    return folder
