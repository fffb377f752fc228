"""Settings of the recipe ``tabletop``: the embedded checkpoint in three stages."""

from __future__ import annotations

from dataclasses import dataclass, field

from lisa_ros.training.augmentation import AugmentationConfig
from lisa_ros.training.language import RequestBlur
from lisa_ros.training.losses import LossWeights
from lisa_ros.training.settings import SettingsError, require_at_least


@dataclass(frozen=True, slots=True)
class NetworkSettings:
    """Sizes of the embedded LISA."""

    image_size: tuple[int, int] = (288, 384)
    hidden_size: int = 256
    intermediate_size: int = 512
    num_hidden_layers: int = 4
    num_attention_heads: int = 8
    mask_dim: int = 160
    mask_decoder_mlp_dim: int = 512
    answer_vocabulary: int = 1024


@dataclass(frozen=True, slots=True)
class StageSettings:
    """One stage: how many steps of how many frames, and how fast the pretrained trunk and the new parts learn."""

    steps: int
    batch_size: int
    learning_rate: float
    trunk_learning_rate: float
    warmup_steps: int = 100
    requests_per_frame: int = 0
    masks_per_frame: int = 4

    def __post_init__(self) -> None:
        if self.steps < 0 or self.batch_size < 1:
            raise SettingsError(f"steps is {self.steps} and batch_size {self.batch_size}; valid are >= 0 and >= 1.")


@dataclass(frozen=True, slots=True)
class TabletopSettings:
    """All of a training run of the embedded checkpoint; it runs on one CPU."""

    output: str
    frames: tuple[str, ...]
    dense: StageSettings
    joint: StageSettings
    language: StageSettings
    network: NetworkSettings = field(default_factory=NetworkSettings)
    losses: LossWeights = field(default_factory=LossWeights)
    blur: RequestBlur = field(default_factory=RequestBlur)
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    smallest_target: int = 60
    bare_mask_share: float = 0.12
    typing_noise: float = 0.1
    weight_decay: float = 0.01
    gradient_clip: float = 1.0
    average_decay: float = 0.999
    seed: int = 1
    threads: int = 0
    workers: int = 1
    save_every: int = 200

    def __post_init__(self) -> None:
        if not self.frames:
            raise SettingsError(f"frames is {list(self.frames)}; name at least one folder that `lisa simulate` made.")
        require_at_least("save_every", self.save_every, 1)
        for name, stage in (("joint", self.joint), ("language", self.language)):
            if stage.steps and stage.requests_per_frame < 1:
                raise SettingsError(f"{name}.requests_per_frame is {stage.requests_per_frame}; words need 1 or more.")
