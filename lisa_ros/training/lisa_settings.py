"""Settings of the recipe ``lisa``: the paper's training, of any LISA folder; the defaults are the paper's."""

from __future__ import annotations

from dataclasses import dataclass, field

from lisa_ros.training.lisa_objective import ObjectiveWeights
from lisa_ros.training.mixture import DEFAULT_RATES
from lisa_ros.training.settings import SettingsError, require_at_least
from lisa_ros.training.source_settings import SourceSettings
from lisa_ros.training.trainable import TrainableConfig

PRECISIONS = ("bf16", "fp32")
DEVICES = ("auto", "cpu")
QUANTIZATIONS = ("8bit", "4bit")
STORED_TYPES = ("bfloat16", "float16", "float32")


def require_choice(name: str, value: str, valid: tuple[str, ...]) -> None:
    """Raise ``SettingsError`` unless a value is one of those that are valid."""
    if value not in valid:
        raise SettingsError(f"{name} is {value!r}; choose one of {', '.join(valid)}.")


@dataclass(frozen=True, slots=True)
class ValidationSettings:
    """What the network is scored on while it learns: forced masks, every ``every`` steps and at the end.

    ``data`` is a data set such as "reason_seg|val" in the folder ``root``, or "tabletop" with ``root`` a folder that
    `lisa simulate` made. ``limit`` leaves out cases after the first so many; 0 asks all.
    """

    data: str
    root: str
    every: int = 500
    limit: int = 0

    def __post_init__(self) -> None:
        require_at_least("validate.every", self.every, 1)
        require_at_least("validate.limit", self.limit, 0)


@dataclass(frozen=True, slots=True)
class LisaSettings:
    """All of a training run of the recipe ``lisa``.

    ``model`` is a LISA folder of this package; all that it holds is kept and goes on learning. A step takes
    ``accumulation`` micro-batches of ``batch_size`` samples on every process. ``precision`` bf16 keeps the weights
    that do not learn in 16 bits; ``quantization`` "8bit" or "4bit" those of the Llama's blocks in as many, which the
    merged folder then holds expanded. ``sharded`` spreads the weights over the processes (FSDP), which otherwise hold
    a copy each.
    """

    model: str
    output: str
    sources: tuple[SourceSettings, ...]
    rates: dict[str, float] = field(default_factory=lambda: dict(DEFAULT_RATES))
    trainable: TrainableConfig = field(default_factory=TrainableConfig)
    losses: ObjectiveWeights = field(default_factory=ObjectiveWeights)
    validate: ValidationSettings | None = None
    epochs: int = 10
    steps_per_epoch: int = 500
    batch_size: int = 2
    accumulation: int = 10
    learning_rate: float = 3e-4
    warmup_steps: int = 100
    betas: tuple[float, float] = (0.9, 0.95)
    weight_decay: float = 0.0
    gradient_clip: float = 1.0
    max_length: int = 512
    gradient_checkpointing: bool = True
    precision: str = "bf16"
    quantization: str | None = None
    stored_type: str = "bfloat16"
    device: str = "auto"
    sharded: bool = False
    seed: int = 0
    threads: int = 0
    workers: int = 4
    save_every: int = 250

    def __post_init__(self) -> None:
        for name in ("epochs", "steps_per_epoch", "batch_size", "accumulation", "max_length", "save_every"):
            require_at_least(name, getattr(self, name), 1)
        for name in ("warmup_steps", "learning_rate", "weight_decay", "seed", "threads", "workers"):
            require_at_least(name, getattr(self, name), 0)
        if not self.gradient_clip > 0:
            raise SettingsError(f"gradient_clip is {self.gradient_clip}; it must be more than 0.")
        if not all(0 <= beta < 1 for beta in self.betas):
            raise SettingsError(f"betas is {list(self.betas)}; both must lie in [0, 1).")
        require_choice("precision", self.precision, PRECISIONS)
        if self.quantization is not None:
            require_choice("quantization", self.quantization, QUANTIZATIONS)
            if self.sharded:
                raise SettingsError("quantization and sharded are both set; quantised weights cannot be sharded.")
        require_choice("stored_type", self.stored_type, STORED_TYPES)
        require_choice("device", self.device, DEVICES)

    @property
    def steps(self) -> int:
        """How many steps the run has."""
        return self.epochs * self.steps_per_epoch
