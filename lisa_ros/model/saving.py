"""Writing a network into a checkpoint folder, so that an interruption never leaves one that loads and is wrong."""

from __future__ import annotations

import json
import os
from pathlib import Path

import torch
from huggingface_hub import split_torch_state_dict_into_shards
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from lisa_ros.model.checkpoint_folder import (
    FROZEN_FILE,
    INDEX_FILE,
    MODEL_FILE,
    PART_SUFFIX,
    SHARD,
    CheckpointError,
    names_in,
)
from lisa_ros.model.modeling import TIED_HEAD, LisaModel
from lisa_ros.model.sam import is_kept_exact
from lisa_ros.model.stored_weights import SCALE_SUFFIX

FROZEN_PREFIX = "request_encoder.bert."
SMALLEST_SCALE = 2.0**-24
"""The smallest fp16 above zero: a row of zeros has a scale too."""


def save_model(model: LisaModel, folder: Path, *, dtype: torch.dtype, max_shard_size: int | str) -> None:
    """Write ``config.json``, the weights in files of ``max_shard_size`` at most, a request encoder apart as int8.

    Everything is written under temporary names and renamed at the end; while one of those is left, the folder does not
    load. Raises ``CheckpointError``.
    """
    if model.quantization is not None:
        raise CheckpointError(
            f"A model that was loaded in {model.quantization} cannot be saved, because its weights are rounded; "
            "load it without quantization and save that."
        )
    weights = dict(model.state_dict())
    if model.config.language.tie_word_embeddings:
        weights.pop(TIED_HEAD, None)
    frozen = {key: weights.pop(key) for key in list(weights) if key.startswith(FROZEN_PREFIX)}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        written = _write_parts(folder, weights, frozen, dtype, max_shard_size)
        _put_in_place(model, folder, written)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"The model cannot be written into {folder} ({error}).") from error


def _write_parts(
    folder: Path,
    weights: dict[str, Tensor],
    frozen: dict[str, Tensor],
    dtype: torch.dtype,
    max_shard_size: int | str,
) -> list[str]:
    """Write all files under temporary names and return their names to be; what fails leaves nothing behind."""
    types = {key: _stored_type(key, value, dtype) for key, value in weights.items()}
    files = _planned_files(weights, types, max_shard_size)
    written = [*files, *([INDEX_FILE] if len(files) > 1 else []), *([FROZEN_FILE] if frozen else [])]
    try:
        for name, keys in files.items():
            _write(_part(folder, name), {key: weights[key].detach().cpu().to(types[key]) for key in keys})
        if len(files) > 1:
            _part(folder, INDEX_FILE).write_text(_index(files, weights, types), encoding="utf-8")
        if frozen:
            _write(_part(folder, FROZEN_FILE), quantised_rows(frozen))
    except (OSError, SafetensorError):
        for name in written:
            _part(folder, name).unlink(missing_ok=True)
        raise
    return written


def _stored_type(key: str, value: Tensor, dtype: torch.dtype) -> torch.dtype:
    return value.dtype if is_kept_exact(key) or not value.is_floating_point() else dtype


def _planned_files(
    weights: dict[str, Tensor], types: dict[str, torch.dtype], max_shard_size: int | str
) -> dict[str, list[str]]:
    """Return the names of the files to write, each with its tensors; one file bears the name without a number."""
    outlines = {key: torch.empty(value.shape, dtype=types[key], device="meta") for key, value in weights.items()}
    plan = split_torch_state_dict_into_shards(
        outlines, filename_pattern=MODEL_FILE.replace(".", "{suffix}."), max_shard_size=max_shard_size
    )
    return plan.filename_to_tensors


def _index(files: dict[str, list[str]], weights: dict[str, Tensor], types: dict[str, torch.dtype]) -> str:
    size = sum(weights[key].numel() * types[key].itemsize for key in weights)
    weight_map = {key: name for name, keys in files.items() for key in keys}
    return json.dumps({"metadata": {"total_size": size}, "weight_map": weight_map}, indent=2) + "\n"


def _part(folder: Path, name: str) -> Path:
    return folder / (name + PART_SUFFIX)


def _write(path: Path, weights: dict[str, Tensor]) -> None:
    save_file({key: value.contiguous() for key, value in weights.items()}, path, metadata={"format": "pt"})
    # safetensors makes its files private; a model folder is as readable as any other.
    umask = os.umask(0)
    os.umask(umask)
    path.chmod(0o666 & ~umask)


def _put_in_place(model: LisaModel, folder: Path, written: list[str]) -> None:
    """Replace an older checkpoint; as long as a part is left, what lies beside it may belong to either."""
    for name in names_in(folder):
        if name in (MODEL_FILE, INDEX_FILE, FROZEN_FILE) or SHARD.fullmatch(name):
            (folder / name).unlink()
    model.config.save(folder)
    for name in written:
        _part(folder, name).replace(folder / name)


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
