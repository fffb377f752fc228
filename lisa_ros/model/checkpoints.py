"""Checkpoint folders into networks: strictly, and with no second copy of the weights in memory."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from lisa_ros.model.checkpoint_folder import CheckpointError, listed, local_folder, read_config, require_recorded_sizes
from lisa_ros.model.configuration import CONFIG_FILE, LisaConfig
from lisa_ros.model.modeling import MASK_PARTS, TIED_HEAD, LisaModel
from lisa_ros.model.quantization import check_quantization, quantize_blocks, set_weight
from lisa_ros.model.sam import is_kept_exact, overflow_safe
from lisa_ros.model.stored_weights import StoredWeights

WEIGHT_PATTERNS = ("*.json", "*.safetensors")


def load_model(
    source: str | Path,
    *,
    dtype: torch.dtype,
    device: torch.device,
    quantization: str | None = None,
    revision: str | None = None,
) -> LisaModel:
    """Load a checkpoint folder or hub id; see ``LisaModel.from_pretrained``. Raises ``CheckpointError``."""
    check_quantization(quantization)
    folder = local_folder(source, revision, WEIGHT_PATTERNS)
    config = read_config(folder, str(source))
    require_recorded_sizes(folder)
    stored = StoredWeights(folder)
    model = _outline(config, stored)
    require_matching(model, stored.outlines, folder)
    model.quantization = quantization
    quantized = {} if quantization is None else quantize_blocks(model, quantization, dtype)
    try:
        _fill(model, stored, quantized, dtype, device)
    except torch.OutOfMemoryError as error:
        raise CheckpointError(
            f"The weights in {folder} do not fit into the memory of {device}; "
            "choose quantization 8bit or 4bit, a dtype of 16 bits, or the device cpu."
        ) from error
    if config.language.tie_word_embeddings:
        model.language_model.tie_weights()
    _materialise_buffers(model, device)
    return model.eval()


def _outline(config: LisaConfig, stored: StoredWeights) -> LisaModel:
    """Return the network without weights, on the meta device."""
    repeated = max(_repetitions(config))
    if repeated > len(stored):
        raise CheckpointError(
            f"{CONFIG_FILE} in {stored.folder} asks for {repeated} layers, "
            f"but the weight files hold {len(stored)} tensors in all; use the {CONFIG_FILE} that belongs to them."
        )
    try:
        with torch.device("meta"):
            return LisaModel(config)
    except (ArithmeticError, RuntimeError, TypeError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise CheckpointError(
            f"{CONFIG_FILE} in {stored.folder} describes a network that cannot be built ({reason})."
        ) from error


def _repetitions(config: LisaConfig) -> list[int]:
    """Return how often each part repeats its layers."""
    parts = (config.language, config.vision, config.image_encoder, config.request_encoder)
    names = ("num_hidden_layers", "depth")
    return [
        config.mask_decoder.depth,
        config.mask_decoder.num_multimask_outputs,
        *(getattr(part, name) for part in parts for name in names if hasattr(part, name)),
    ]


def require_matching(model: LisaModel, weights: dict[str, Tensor], folder: Path) -> None:
    """Raise ``CheckpointError`` that lists what is missing, unexpected or of another shape or type in ``weights``."""
    expected = dict(model.state_dict())
    if model.config.language.tie_word_embeddings:
        expected.pop(TIED_HEAD, None)
    found = [f"{len(keys)} {what}: {listed(keys)}" for what, keys in _misfits(expected, weights).items() if keys]
    if found:
        raise CheckpointError(f"The weights in {folder} do not fit its {CONFIG_FILE}: {'; '.join(found)}.")


def _misfits(expected: dict[str, Tensor], weights: dict[str, Tensor]) -> dict[str, list[str]]:
    pairs = [(key, weights[key], expected[key]) for key in sorted(set(expected) & set(weights))]
    return {
        "missing": sorted(set(expected) - set(weights)),
        "unexpected": sorted(set(weights) - set(expected)),
        "of another shape": [
            f"{key} {list(found.shape)} instead of {list(wanted.shape)}"
            for key, found, wanted in pairs
            if found.shape != wanted.shape
        ],
        "of another type": [
            f"{key} ({found.dtype})"
            for key, found, wanted in pairs
            if found.is_floating_point() != wanted.is_floating_point()
        ],
    }


def _fill(
    model: LisaModel,
    stored: StoredWeights,
    quantized: dict[str, nn.Linear],
    dtype: torch.dtype,
    device: torch.device,
) -> None:
    """Read one tensor after another into its place; the first damaged one raises ``CheckpointError``."""
    mask_dtype = overflow_safe(dtype, device)
    # Quantising takes many times the memory of a matrix for a moment, so it is done while little is loaded.
    for key in sorted(stored.outlines, key=lambda key: key not in quantized):
        if key in quantized:
            weight = stored.read(key, dtype=dtype, device=torch.device("cpu"))
            _require_finite(key, weight, stored.folder)
            set_weight(quantized[key], weight, device)
            continue
        value = stored.read(key, dtype=_type_of(key, dtype, mask_dtype), device=device)
        _require_finite(key, value, stored.folder)
        _put(model, key, value)


def _type_of(key: str, dtype: torch.dtype, mask_dtype: torch.dtype) -> torch.dtype:
    if is_kept_exact(key):
        return torch.float32
    return mask_dtype if key.split(".")[0] in MASK_PARTS else dtype


def _require_finite(key: str, value: Tensor, folder: Path) -> None:
    """Raise for a weight that is not finite: the network would find nothing and never say why."""
    if not value.is_floating_point() or not value.numel():
        return
    if not torch.stack(torch.aminmax(value)).isfinite().all():
        remedy = "choose bfloat16 or float32" if value.dtype is torch.float16 else "copy it again"
        raise CheckpointError(f"{key} in {folder} has values that are not finite in {value.dtype}; {remedy}.")


def _put(model: nn.Module, key: str, value: Tensor) -> None:
    owner, _, name = key.rpartition(".")
    module = model.get_submodule(owner)
    old = getattr(module, name)
    is_parameter = isinstance(old, nn.Parameter)
    setattr(module, name, nn.Parameter(value, requires_grad=old.requires_grad) if is_parameter else value)


def _materialise_buffers(model: nn.Module, device: torch.device) -> None:
    """Recompute the buffers that are derived from the configuration and so are not stored."""
    for module in model.modules():
        for name, buffer in list(module.named_buffers(recurse=False)):
            if buffer.is_meta:
                setattr(module, name, _derived_buffer(module, name, buffer, device))


def _derived_buffer(module: nn.Module, name: str, buffer: Tensor, device: torch.device) -> Tensor:
    if name in ("inv_freq", "original_inv_freq"):
        return getattr(type(module)(module.config), name).to(device)
    if name == "position_ids":
        return torch.arange(buffer.shape[-1], device=device)[None]
    if name == "token_type_ids":
        return torch.zeros(buffer.shape, dtype=torch.long, device=device)
    raise CheckpointError(f"The buffer {name} of {type(module).__name__} is neither stored nor known how to compute.")
