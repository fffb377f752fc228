"""Which files hold the weights of a source: sharded or single, safetensors or pickled."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lisa_ros.conversion.errors import ConversionError
from lisa_ros.conversion.reader import StoredTensor, WeightReader
from lisa_ros.model.checkpoint_folder import listed
from lisa_ros.model.hub import ResolvedSource, SourceError, resolved_source

FORMS = (
    ("model.safetensors.index.json", "model.safetensors", "model*.safetensors"),
    ("pytorch_model.bin.index.json", "pytorch_model.bin", "pytorch_model*.bin"),
)
"""Index, single file and pattern of every form; where a source has several, the first is read."""
OTHER_FILES = ("*.json", "tokenizer.model")


@dataclass(frozen=True, slots=True)
class WeightFiles:
    """The weight files of one source, and which tensor its index says is in which (``None`` without an index)."""

    paths: tuple[Path, ...]
    index: Path | None = None
    weight_map: dict[str, str] | None = None

    @property
    def all(self) -> tuple[Path, ...]:
        """The weight files and their index."""
        return self.paths if self.index is None else (self.index, *self.paths)


def resolved_weights(source: str | Path, *, revision: str | None) -> ResolvedSource:
    """Return the folder of a checkpoint, from the hub in one form only; raises ``SourceError``."""
    for _, _, pattern in FORMS:
        try:
            resolved = resolved_source(source, revision=revision, patterns=(*OTHER_FILES, pattern))
        except SourceError:
            continue
        if any(resolved.folder.glob(pattern)):
            return resolved
    # What is not there in either form is told with the files of both.
    return resolved_source(source, revision=revision, patterns=(*OTHER_FILES, *(pattern for _, _, pattern in FORMS)))


def weight_files(folder: Path) -> WeightFiles:
    """Find the weight files of a folder; raises ``ConversionError`` for a damaged index and files that are missing."""
    for index_name, single_name, _ in FORMS:
        if (folder / index_name).is_file():
            return _indexed(folder, folder / index_name)
        if (folder / single_name).is_file():
            return WeightFiles((folder / single_name,))
    names = [name for index, single, _ in FORMS for name in (single, index)]
    raise ConversionError(f"The folder {folder} holds no weights; bring one of {', '.join(names)} with its shards.")


def _indexed(folder: Path, index: Path) -> WeightFiles:
    weight_map = read_json(index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map or not all(map(_is_plain_name, weight_map.values())):
        raise ConversionError(f"{index} has no weight_map from tensors to files beside it; get it again.")
    names = sorted(set(weight_map.values()))
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise ConversionError(
            f"{len(missing)} of the {len(names)} files that {index} names are not there: {listed(missing)}; "
            f"bring them into {folder}."
        )
    return WeightFiles(tuple(folder / name for name in names), index, weight_map)


def _is_plain_name(name: object) -> bool:
    return isinstance(name, str) and name not in ("", ".", "..") and Path(name).name == name


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file; raises ``ConversionError``."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConversionError(f"{path} cannot be read ({error}); get it again.") from error
    if not isinstance(values, dict):
        raise ConversionError(f"{path} holds {type(values).__name__} instead of an object; get it again.")
    return values


def stored_tensors(files: WeightFiles, reader: WeightReader) -> dict[str, StoredTensor]:
    """List the tensors of weight files by name; raises ``ConversionError`` where they are not as the index says."""
    found: dict[str, StoredTensor] = {}
    for path in files.paths:
        for tensor in reader.tensors_of(path):
            if tensor.name in found:
                raise ConversionError(
                    f"{tensor.name} is in {found[tensor.name].path} and in {path}; "
                    "the files are of different checkpoints, get them again."
                )
            found[tensor.name] = tensor
    if files.weight_map is not None:
        _require_as_indexed(found, files.weight_map, files.index)
    return found


def _require_as_indexed(found: dict[str, StoredTensor], weight_map: dict[str, str], index: Path | None) -> None:
    complaints = [
        f"missing: {name} (the index says {weight_map[name]})" for name in sorted(set(weight_map) - set(found))
    ]
    complaints += [
        f"unexpected: {name} (in {found[name].path.name}, not in the index)"
        for name in sorted(set(found) - set(weight_map))
    ]
    complaints += [
        f"misplaced: {name} (in {tensor.path.name}, the index says {weight_map[name]})"
        for name, tensor in sorted(found.items())
        if weight_map.get(name, tensor.path.name) != tensor.path.name
    ]
    if complaints:
        raise ConversionError(
            f"{index} and the files beside it do not belong together: {listed(complaints)}; get all of them again.",
            complaints,
        )
