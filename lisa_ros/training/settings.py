"""Training settings, read from YAML; errors quote the value and say what would be valid."""

from __future__ import annotations

from dataclasses import MISSING, asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import yaml

from lisa_ros.training.augmentation import AugmentationConfig
from lisa_ros.training.language import RequestBlur
from lisa_ros.training.losses import LossWeights

Settings = TypeVar("Settings")


class SettingsError(ValueError):
    """A settings file is not valid; the message quotes the value and says what would be valid."""


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
class TrainingSettings:
    """All of a training run of the embedded checkpoint."""

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
        if self.save_every < 1:
            raise SettingsError(f"save_every is {self.save_every}; valid are steps >= 1.")
        for name, stage in (("joint", self.joint), ("language", self.language)):
            if stage.steps and stage.requests_per_frame < 1:
                raise SettingsError(f"{name}.requests_per_frame is {stage.requests_per_frame}; words need 1 or more.")

    @classmethod
    def from_yaml(cls, path: Path) -> TrainingSettings:
        """Read a settings file; raises ``SettingsError`` with one sentence."""
        try:
            values = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
            raise SettingsError(f"{path} cannot be read as training settings: {error}.") from error
        return _build(cls, values, str(path))

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, to be kept beside the checkpoints."""
        return asdict(self)


def _build(kind: type[Settings], values: object, where: str) -> Settings:
    if not isinstance(values, dict):
        raise SettingsError(f"{where} holds {values!r}; it must hold named values.")
    hints = get_type_hints(kind)
    unknown = sorted(set(values) - set(hints), key=str)
    if unknown:
        raise SettingsError(f"{where} names {unknown[0]!r}; valid are {', '.join(sorted(hints))}.")
    missing = [entry.name for entry in fields(kind) if entry.name not in values and _is_required(entry)]  # type: ignore[arg-type]
    if missing:
        raise SettingsError(f"{where} does not give {missing[0]!r}, which has no default.")
    return kind(**{name: _converted(hints[name], value, f"{where}, {name}") for name, value in values.items()})


def _is_required(entry: Any) -> bool:
    return entry.default is MISSING and entry.default_factory is MISSING


def _converted(hint: Any, value: object, where: str) -> object:
    if is_dataclass(hint):
        return _build(hint, value, where)  # type: ignore[arg-type]
    if get_origin(hint) is tuple:
        return _converted_items(get_args(hint), value, where)
    if hint is float and type(value) is int:
        return float(value)
    if type(value) is not hint:
        raise SettingsError(f"{where} is {value!r}; it must be of type {hint.__name__}.")
    return value


def _converted_items(hints: tuple[Any, ...], value: object, where: str) -> tuple[object, ...]:
    """Convert a list whose items are all of one type; ``hints`` has one for each, or one and an ellipsis."""
    any_number = hints[-1] is Ellipsis
    if not isinstance(value, list) or not (any_number or len(value) == len(hints)):
        wanted = "a list" if any_number else f"a list of {len(hints)}"
        raise SettingsError(f"{where} is {value!r}; it must be {wanted} of type {hints[0].__name__}.")
    return tuple(_converted(hints[0], item, where) for item in value)
