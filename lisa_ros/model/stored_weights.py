"""The weight files of a checkpoint folder, read tensor by tensor.

A folder holds ``model.safetensors``, or shards ``model-0000x-of-0000y.safetensors`` with
``model.safetensors.index.json`` (the layout of Hugging Face), and, where parts never change between editions,
``frozen.safetensors``. A matrix may be stored as int8 with one fp16 ``.scale`` a row beside it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from lisa_ros.model.checkpoint_folder import (
    FROZEN_FILE,
    INDEX_FILE,
    MODEL_FILE,
    SHARD,
    CheckpointError,
    listed,
    names_in,
    read_json,
)

SCALE_SUFFIX = ".scale"
CHUNK_BYTES = 2**22
"""Read at once: what reading needs beside the tensor itself."""
AGAIN = "copy the folder again, or run the lisa convert that wrote it again"
STORED_TYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "BF16": torch.bfloat16,
    "F16": torch.float16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """Where one tensor lies: ``offset`` bytes from the start of ``path``, in row-major order."""

    path: Path
    dtype: torch.dtype
    shape: tuple[int, ...]
    offset: int

    def read(self, dtype: torch.dtype, device: torch.device) -> Tensor:
        """Return the tensor in ``dtype`` on ``device``; raises ``CheckpointError``."""
        value = torch.empty(self.shape, dtype=dtype, device=device)
        step = CHUNK_BYTES // self.dtype.itemsize
        for part, chunk in zip(value.view(-1).split(step), self._chunks(step), strict=True):
            part.copy_(chunk)
        return value

    def read_scaled(self, scales: Tensor, dtype: torch.dtype, device: torch.device) -> Tensor:
        """Return the matrix ``[rows, columns]`` with every row multiplied by its one of fp32 ``scales`` ``[rows]``."""
        value = torch.empty(self.shape, dtype=dtype, device=device)
        rows, columns = max(CHUNK_BYTES // self.shape[1], 1), self.shape[1]
        chunks = self._chunks(rows * columns)
        for part, scale, chunk in zip(value.split(rows), scales.split(rows), chunks, strict=True):
            part.copy_(chunk.view(-1, columns).float() * scale[:, None])
        return value

    def _chunks(self, step: int) -> Iterator[Tensor]:
        """Yield the elements ``step`` at a time, each time in the same small buffer.

        These are plain reads: the pages of a mapping would count as memory of the process, and a file that shrinks
        under a mapping ends the process.
        """
        count = prod(self.shape)
        buffer = torch.empty(min(step, count), dtype=self.dtype)
        try:
            with self.path.open("rb") as file:
                file.seek(self.offset)
                for start in range(0, max(count, 1), step):
                    chunk = buffer[: count - start]
                    content = chunk.view(torch.uint8).numpy().data
                    if file.readinto(content) != content.nbytes:
                        raise CheckpointError(f"{self.path} ends too soon; copy it again.")
                    yield chunk
        except OSError as error:
            raise CheckpointError(f"{self.path} cannot be read ({error}); copy it again.") from error


class StoredWeights:
    """All tensors of a folder by name; opening it reads the headers only. Raises ``CheckpointError``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._tensors: dict[str, StoredTensor] = {}
        for path, expected in _weight_files(folder).items():
            tensors = _header(path)
            if expected is not None:
                _require_indexed(path, expected, set(tensors))
            for key, tensor in tensors.items():
                if key in self._tensors:
                    raise CheckpointError(f"{key} is both in {self._tensors[key].path} and in {path}; copy them again.")
                self._tensors[key] = tensor
        self._check_scales()

    def __len__(self) -> int:
        return len(self._tensors)

    @property
    def outlines(self) -> dict[str, Tensor]:
        """Every tensor as the network sees it, on the meta device; an int8 matrix with scales counts as fp32."""
        return {
            key: torch.empty(tensor.shape, dtype=torch.float32 if self._is_scaled(key) else tensor.dtype, device="meta")
            for key, tensor in self._tensors.items()
            if not self._is_scale(key)
        }

    def read(self, key: str, *, dtype: torch.dtype, device: torch.device) -> Tensor:
        """Return one tensor on ``device``, a floating-point one in ``dtype``, an int8 one multiplied by its scales."""
        stored = self._tensors[key]
        if self._is_scaled(key):
            scales = self._tensors[key + SCALE_SUFFIX].read(torch.float32, torch.device("cpu"))
            return stored.read_scaled(scales, dtype, device)
        return stored.read(dtype if stored.dtype.is_floating_point else stored.dtype, device)

    def _is_scaled(self, key: str) -> bool:
        return key in self._tensors and key + SCALE_SUFFIX in self._tensors and self._tensors[key].dtype is torch.int8

    def _is_scale(self, key: str) -> bool:
        return key.endswith(SCALE_SUFFIX) and self._is_scaled(key.removesuffix(SCALE_SUFFIX))

    def _check_scales(self) -> None:
        for key in filter(self._is_scaled, self._tensors):
            shape, scales = self._tensors[key].shape, self._tensors[key + SCALE_SUFFIX].shape
            if len(shape) != 2 or scales != shape[:1]:
                raise CheckpointError(f"{key} {list(shape)} has scales {list(scales)}; it needs one a row.")


def _weight_files(folder: Path) -> dict[Path, set[str] | None]:
    """Return the weight files of a folder with the names that its index says are in each; ``None`` without an index."""
    names = names_in(folder)
    if MODEL_FILE in names and INDEX_FILE in names:
        raise CheckpointError(
            f"The folder {folder} has both {MODEL_FILE} and {INDEX_FILE}; remove the one that is not its model."
        )
    files: dict[Path, set[str] | None] = {folder / FROZEN_FILE: None} if FROZEN_FILE in names else {}
    if INDEX_FILE in names:
        return files | _indexed_shards(folder, names)
    if MODEL_FILE in names:
        return files | {folder / MODEL_FILE: None}
    raise CheckpointError(f"The folder {folder} has neither {MODEL_FILE} nor {INDEX_FILE}; {AGAIN}.")


def _indexed_shards(folder: Path, names: list[str]) -> dict[Path, set[str] | None]:
    index = folder / INDEX_FILE
    content = read_json(index)
    weight_map = content.get("weight_map") if isinstance(content, dict) else None
    if not isinstance(weight_map, dict) or not weight_map:
        raise CheckpointError(f"{index} has no weight_map; copy it again.")
    foreign = [name for name in weight_map.values() if not isinstance(name, str) or not SHARD.fullmatch(name)]
    if foreign:
        raise CheckpointError(f"{index} names {foreign[0]!r}; shards are named like model-00001-of-00002.safetensors.")
    named = sorted(set(weight_map.values()))
    missing = [name for name in named if not (folder / name).is_file()]
    if missing:
        raise CheckpointError(f"{index} names {missing[0]}, which is missing; {AGAIN}.")
    forgotten = [name for name in names if SHARD.fullmatch(name) and name not in named]
    if forgotten:
        raise CheckpointError(
            f"The folder {folder} holds {forgotten[0]}, which its {INDEX_FILE} does not name; {AGAIN}."
        )
    return {folder / name: {key for key, shard in weight_map.items() if shard == name} for name in named}


def _require_indexed(path: Path, expected: set[str], found: set[str]) -> None:
    missing, extra = sorted(expected - found), sorted(found - expected)
    if missing:
        raise CheckpointError(
            f"{INDEX_FILE} says that {listed(missing)} is in {path}, which does not hold it; {AGAIN}."
        )
    if extra:
        raise CheckpointError(f"{path} holds {listed(extra)}, which {INDEX_FILE} does not say; {AGAIN}.")


def _header(path: Path) -> dict[str, StoredTensor]:
    """Return what a safetensors file holds.

    The package checks the header against itself and the length of the file; it does not tell where a tensor begins.
    """
    try:
        with safe_open(path, framework="pt"), path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(length))
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"{path} is damaged or not safetensors ({error}); copy it again.") from error
    header.pop("__metadata__", None)
    return {key: _stored_tensor(path, key, entry, 8 + length) for key, entry in header.items()}


def _stored_tensor(path: Path, key: str, entry: dict[str, Any], data_start: int) -> StoredTensor:
    if entry["dtype"] not in STORED_TYPES:
        raise CheckpointError(f"{key} in {path} is stored as {entry['dtype']}; known are {', '.join(STORED_TYPES)}.")
    return StoredTensor(
        path, STORED_TYPES[entry["dtype"]], tuple(entry["shape"]), data_start + entry["data_offsets"][0]
    )
