"""What learns: LoRA in the attention of the Llama, and whole parts beside it (paper section 3.3)."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import nn

from lisa_ros.model.configuration import ConfigurationError
from lisa_ros.model.modeling import LisaModel

PARTS: dict[str, tuple[str, ...]] = {
    "embed_tokens": ("language_model.model.embed_tokens",),
    "layers": ("language_model.model.layers", "language_model.model.norm"),
    "lm_head": ("language_model.lm_head",),
    "vision_tower": ("vision_tower",),
    "mm_projector": ("mm_projector",),
    "text_hidden_fcs": ("text_hidden_fcs",),
    "image_encoder": ("image_encoder",),
    "mask_decoder": ("mask_decoder",),
    "pyramid": ("pyramid",),
    "request_projection": ("request_encoder.sentence_projection", "request_encoder.token_projection"),
}
"""Name of a part that can learn -> its modules; a network has those that its configuration names."""
UNUSED = ("mask_decoder.iou_prediction_head.", "mask_decoder.output_hypernetworks_mlps.")
USED = "mask_decoder.output_hypernetworks_mlps.0."
"""LISA uses mask token 0 only, so the heads of the others never get a gradient; the reference leaves them as they are
too, with gradients that are missing or zero."""
ADAPTER = "lora_"


@dataclass(frozen=True, slots=True)
class LoraSettings:
    """LoRA (Hu et al., ICLR 2022) in the Llama's blocks: ``W + alpha / r * B A``; ``r`` of 0 means none."""

    r: int = 8
    alpha: int = 16
    dropout: float = 0.05
    target_modules: tuple[str, ...] = ("q_proj", "v_proj")

    def __post_init__(self) -> None:
        if self.r < 0:
            raise ConfigurationError(f"lora.r is {self.r}; it must be 1 or more, or 0 for no LoRA.")
        if self.alpha < 1:
            raise ConfigurationError(f"lora.alpha is {self.alpha}; it must be 1 or more.")
        if not 0.0 <= self.dropout < 1.0:
            raise ConfigurationError(f"lora.dropout is {self.dropout}; it must lie in [0, 1).")
        if self.r and not self.target_modules:
            raise ConfigurationError("lora.target_modules is empty; name at least one, or set lora.r to 0.")


@dataclass(frozen=True, slots=True)
class TrainableConfig:
    """What learns; the defaults are the paper's. Everything else is frozen."""

    parts: tuple[str, ...] = ("embed_tokens", "lm_head", "text_hidden_fcs", "mask_decoder")
    lora: LoraSettings = field(default_factory=LoraSettings)

    def __post_init__(self) -> None:
        if not self.lora.r and not self.parts:
            raise ConfigurationError("parts is empty and lora.r is 0, so nothing would learn; name at least one part.")
        if self.lora.r and "layers" in self.parts:
            raise ConfigurationError(
                "parts names 'layers' and lora.r is not 0; the Llama's blocks learn in one way only."
            )


def make_trainable(model: LisaModel, settings: TrainableConfig) -> None:
    """Freeze the network but for what ``settings`` name, put LoRA's matrices in, and make all that learns fp32.

    LoRA's B is zero at first, so nothing changes yet; everything that a checkpoint brought is kept. Works on
    bitsandbytes' quantised blocks too (QLoRA). The matrices stand at ``...q_proj.lora_A.default.weight`` and the
    frozen weight at ``...q_proj.base_layer.weight``. Raises ``ConfigurationError`` for a part or target module that
    this network does not have, and for a network that has LoRA already or is in float16.
    """
    paths = [path for part in settings.parts for path in _paths(model, part)]
    if any(ADAPTER in name for name, _ in model.named_parameters()):
        raise ConfigurationError("The network has LoRA already; merge it first.")
    if any(parameter.dtype == torch.float16 for parameter in model.parameters()):
        raise ConfigurationError(
            "The network is in float16, in which SAM overflows and gradients vanish; load it in bfloat16 or float32."
        )
    _keep_differentiable(model.language_model.model.layers)
    if settings.lora.r:
        _inject_lora(model, settings.lora)
    for name, parameter in model.named_parameters():
        learns = ADAPTER in name or any(name.startswith(f"{path}.") for path in paths)
        parameter.requires_grad_(learns and (name.startswith(USED) or not name.startswith(UNUSED)))
        if parameter.requires_grad:
            parameter.data = parameter.data.float()


def _paths(model: LisaModel, part: str) -> Iterator[str]:
    """Return the modules of a part; raises unless this network has the part and its weights can learn."""
    if part not in _parts_of(model):
        raise ConfigurationError(f"parts names {part!r}; this network has {', '.join(_parts_of(model))}.")
    for path in PARTS[part]:
        if any(not parameter.is_floating_point() for parameter in model.get_submodule(path).parameters()):
            raise ConfigurationError(f"parts names {part!r}, which is quantised; quantised weights cannot learn.")
        yield path


def _parts_of(model: LisaModel) -> list[str]:
    modules = dict(model.named_modules())
    return [part for part, paths in PARTS.items() if all(path in modules for path in paths)]


def _keep_differentiable(layers: nn.Module) -> None:
    """Keep bitsandbytes from packing 4-bit weights for its kernel of CPUs, which has no backward pass."""
    for module in layers.modules():
        if getattr(module, "support_avx512bf16_for_cpu", False):
            module.support_avx512bf16_for_cpu = False  # type: ignore[assignment]
            # Unpacks the weights of a layer that was used already.
            module.state_dict()


def _inject_lora(model: LisaModel, settings: LoraSettings) -> None:
    # peft imports bitsandbytes, which warns of a kernel for CPUs that it can do without.
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    from peft import LoraConfig, inject_adapter_in_model

    layers = model.language_model.model.layers
    valid = sorted(
        {name.rpartition(".")[2] for name, module in layers.named_modules() if isinstance(module, nn.Linear)}
    )
    for target in settings.target_modules:
        if target not in valid:
            raise ConfigurationError(
                f"lora.target_modules names {target!r}; the Llama's blocks have {', '.join(valid)}."
            )
    config = LoraConfig(
        r=settings.r,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=list(settings.target_modules),
    )
    inject_adapter_in_model(config, layers)


def learning_parameters(module: nn.Module) -> dict[str, nn.Parameter]:
    """Return what learns by name: all that a snapshot of the training needs of the network."""
    return {name: parameter for name, parameter in module.named_parameters() if parameter.requires_grad}


@dataclass(frozen=True, slots=True)
class TrainableReport:
    """Numbers of parameters: those that learn by part (``lora`` is one), and the frozen ones."""

    learning: dict[str, int]
    frozen: int

    def __str__(self) -> str:
        total = sum(self.learning.values())
        parts = ", ".join(f"{part} {count:,}" for part, count in self.learning.items())
        return f"{total:,} of {total + self.frozen:,} parameters learn ({parts})"


def trainable_report(model: LisaModel) -> TrainableReport:
    """Count what learns and what is frozen; tied weights count once, quantised ones as they were before."""
    learning: dict[str, int] = {}
    frozen = 0
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            frozen += _size(parameter)
            continue
        part = _part_of(name)
        learning[part] = learning.get(part, 0) + parameter.numel()
    return TrainableReport(learning, frozen)


def _part_of(name: str) -> str:
    if ADAPTER in name:
        return "lora"
    return next((part for part, paths in PARTS.items() if any(name.startswith(f"{path}.") for path in paths)), name)


def _size(parameter: nn.Parameter) -> int:
    """Count the weights of a parameter; bitsandbytes packs two of 4 bits into a byte and keeps their shape aside."""
    state = getattr(parameter, "quant_state", None)
    return parameter.numel() if state is None else math.prod(state.shape)
