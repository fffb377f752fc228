"""Checkpoint folders: configuration and safetensors, loaded strictly.

A folder holds ``config.json``, ``model.safetensors`` and, where parts never change between editions,
``frozen.safetensors``. A matrix may be stored as int8 with one fp16 ``.scale`` a row beside it.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from lisa_ros.model.configuration import CONFIG_FILE, ConfigurationError, LisaConfig
from lisa_ros.model.modeling import LisaModel

MODEL_FILE = "model.safetensors"
FROZEN_FILE = "frozen.safetensors"
FROZEN_PREFIX = "request_encoder.bert."
SCALE_SUFFIX = ".scale"
LISTED_KEYS = 5
SMALLEST_SCALE = 2.0**-24
"""The smallest fp16 above zero: a row of zeros has a scale too."""


class CheckpointError(RuntimeError):
    """A checkpoint cannot be loaded; the message is one sentence with the remedy."""


def load_model(folder: Path, *, dtype: torch.dtype, device: torch.device) -> LisaModel:
    """Load a checkpoint folder; raises ``CheckpointError``."""
    check_folder(folder)
    try:
        config = LisaConfig.from_folder(folder)
    except ConfigurationError as error:
        raise CheckpointError(str(error)) from error
    with torch.device("meta"):
        model = LisaModel(config)
    weights = read_weights(folder, dtype=dtype, device=device)
    require_matching(model, weights, folder)
    model.load_state_dict(weights, strict=False, assign=True)
    if config.language.tie_word_embeddings:
        model.language_model.tie_weights()
    _materialise_buffers(model, device)
    return model.eval()


def check_folder(folder: Path) -> None:
    """Raise ``CheckpointError`` with the remedy unless ``folder`` looks like a checkpoint of this package."""
    if not folder.is_dir():
        raise CheckpointError(f"The model folder {folder} does not exist; give a folder with {CONFIG_FILE} in it.")
    if not (folder / CONFIG_FILE).is_file():
        raise CheckpointError(f"The folder {folder} has no {CONFIG_FILE}; it is not a model folder.")
    if not (folder / MODEL_FILE).is_file():
        pickled = sorted(path.name for pattern in ("*.bin", "*.pth", "*.pt") for path in folder.glob(pattern))
        found = f"; it holds the pickle {pickled[0]}, which is not loaded" if pickled else ""
        raise CheckpointError(f"The folder {folder} has no {MODEL_FILE}{found}. Weights must be safetensors.")


def read_weights(folder: Path, *, dtype: torch.dtype, device: torch.device) -> dict[str, Tensor]:
    """Read all tensors of a folder; floating-point ones in ``dtype``, int8 ones multiplied by their scales."""
    weights: dict[str, Tensor] = {}
    for name in (FROZEN_FILE, MODEL_FILE):
        path = folder / name
        if not path.is_file():
            continue
        try:
            with safe_open(path, framework="pt", device=str(device)) as file:
                for key in file.keys():  # noqa: SIM118 - not a dict
                    weights[key] = file.get_tensor(key)
        except (SafetensorError, OSError) as error:
            raise CheckpointError(f"{path} is damaged or not safetensors ({error}); copy it again.") from error
    return _dequantised(weights, dtype)


def _dequantised(weights: dict[str, Tensor], dtype: torch.dtype) -> dict[str, Tensor]:
    result = {}
    for key, value in weights.items():
        if key.removesuffix(SCALE_SUFFIX) != key and key.removesuffix(SCALE_SUFFIX) in weights:
            continue
        scale = weights.get(key + SCALE_SUFFIX)
        if scale is not None:
            if value.ndim != 2 or scale.shape != value.shape[:1]:
                raise CheckpointError(f"{key} {list(value.shape)} has scales {list(scale.shape)}; it needs one a row.")
            value = value.float() * scale.float()[:, None]
        keep_exact = key.endswith("positional_encoding_gaussian_matrix")
        result[key] = value.to(torch.float32 if keep_exact else dtype) if value.is_floating_point() else value
    return result


def require_matching(model: LisaModel, weights: dict[str, Tensor], folder: Path) -> None:
    """Raise ``CheckpointError`` that lists what is missing, unexpected or of another shape or type in ``weights``."""
    expected = dict(model.state_dict())
    if model.config.language.tie_word_embeddings:
        expected.pop("language_model.lm_head.weight", None)
    found = [f"{len(keys)} {what}: {_listed(keys)}" for what, keys in _misfits(expected, weights).items() if keys]
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


def _listed(keys: list[str]) -> str:
    more = len(keys) - LISTED_KEYS
    return ", ".join(keys[:LISTED_KEYS]) + (f" and {more} more" if more > 0 else "")


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


def save_model(model: LisaModel, folder: Path, *, dtype: torch.dtype) -> None:
    """Write ``config.json``, ``model.safetensors`` and, with a request encoder, ``frozen.safetensors`` (int8)."""
    folder.mkdir(parents=True, exist_ok=True)
    model.config.save(folder)
    weights = dict(model.state_dict())
    if model.config.language.tie_word_embeddings:
        weights.pop("language_model.lm_head.weight", None)
    frozen = {key: weights.pop(key) for key in list(weights) if key.startswith(FROZEN_PREFIX)}
    if frozen:
        _write(folder / FROZEN_FILE, quantised_rows(frozen))
    _write(folder / MODEL_FILE, {key: _stored(key, value, dtype) for key, value in weights.items()})


def _stored(key: str, value: Tensor, dtype: torch.dtype) -> Tensor:
    keep_exact = not value.is_floating_point() or key.endswith("positional_encoding_gaussian_matrix")
    return value.detach().cpu().to(value.dtype if keep_exact else dtype).contiguous()


def quantised_rows(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Store matrices as int8 with one scale a row, everything else as fp16."""
    result = {}
    for key, value in weights.items():
        value = value.detach().cpu()
        if value.ndim != 2:
            result[key] = value.half() if value.is_floating_point() else value
            continue
        scale = value.float().abs().amax(dim=1).div(127).half().clamp(min=SMALLEST_SCALE)
        result[key] = (value / scale.float()[:, None]).round().clamp(-127, 127).to(torch.int8)
        result[key + SCALE_SUFFIX] = scale
    return result


def _write(path: Path, weights: dict[str, Tensor]) -> None:
    """Write a file under a temporary name and rename it, so that a half-written one never bears the name."""
    part = path.with_suffix(path.suffix + ".part")
    save_file({key: value.contiguous() for key, value in weights.items()}, part)
    part.replace(path)
