"""The sources of one conversion, found and listed: the language model's, CLIP's, SAM's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lisa_ros.conversion.configuring import LISA_MARK, official_values, require_kind, vision_tower_name
from lisa_ros.conversion.errors import ConversionError
from lisa_ros.conversion.plan import OfficialTensors
from lisa_ros.conversion.provenance import Source
from lisa_ros.conversion.reader import StoredTensor, WeightReader
from lisa_ros.conversion.weight_files import OTHER_FILES, WeightFiles, resolved_weights, stored_tensors, weight_files
from lisa_ros.model.checkpoint_folder import CheckpointError
from lisa_ros.model.configuration import CONFIG_FILE
from lisa_ros.model.hub import ResolvedSource, SourceError, resolved_source
from lisa_ros.model.llama_tokenizer import ADDED_TOKENS_FILE, PIECES_FILE, TOKENIZER_CONFIG_FILE, LlamaTokenizer

TOKENIZER_FILES = (PIECES_FILE, ADDED_TOKENS_FILE, TOKENIZER_CONFIG_FILE)


@dataclass(frozen=True, slots=True)
class ConversionRequest:
    """What the user asked for; see ``lisa convert --help``."""

    source: str
    target: Path
    revision: str | None = None
    vision_tower: str | None = None
    segment_anything: Path | None = None
    seed: int = 0
    shard_size: str = "1GB"


@dataclass(frozen=True, slots=True)
class FoundSources:
    """Everything that a conversion reads, the weights listed but not yet read."""

    name: str
    values: dict[str, Any]
    tokenizer: LlamaTokenizer
    vision_folder: Path
    official: OfficialTensors
    files: tuple[Source, ...]


def find_sources(request: ConversionRequest, reader: WeightReader) -> FoundSources:
    """Find the sources and list their tensors; raises ``ConversionError`` or ``SourceError``."""
    values = _values_of(request)
    resolved = resolved_weights(request.source, revision=request.revision)
    folder = resolved.folder
    tokenizer = _tokenizer(folder)
    weights = weight_files(folder)
    official = OfficialTensors(stored_tensors(weights, reader))
    require_kind(values, official.shapes, folder, starts_from_llava=request.segment_anything is not None)
    vision = _vision_tower(request, values, folder, with_weights=not official.has_vision_tower)
    vision_weights = None if official.has_vision_tower else weight_files(vision.folder)
    if vision_weights is not None:
        official.add_vision_tower(stored_tensors(vision_weights, reader))
    if request.segment_anything is not None:
        official.add_segment_anything(_segment_anything(request.segment_anything, reader))
    return FoundSources(
        name=Path(resolved.name).name or "lisa",
        values=values,
        tokenizer=tokenizer,
        vision_folder=vision.folder,
        official=official,
        files=_files(request, resolved, weights, vision, vision_weights),
    )


def _values_of(request: ConversionRequest) -> dict[str, Any]:
    """Read the source's ``config.json`` before gigabytes are downloaded for something that cannot be converted."""
    try:
        folder = resolved_source(request.source, revision=request.revision, patterns=OTHER_FILES).folder
    except SourceError:
        folder = resolved_weights(request.source, revision=request.revision).folder
    values = official_values(folder)
    if request.segment_anything is None and LISA_MARK not in values:
        require_kind(values, {}, folder, starts_from_llava=False)
    if request.vision_tower is None:
        vision_tower_name(values, folder)
    return values


def _tokenizer(folder: Path) -> LlamaTokenizer:
    if not (folder / PIECES_FILE).is_file():
        raise ConversionError(f"The folder {folder} has no {PIECES_FILE}; bring it from where the weights are from.")
    try:
        return LlamaTokenizer.from_folder(folder)
    except CheckpointError as error:
        raise ConversionError(str(error)) from error


def _vision_tower(
    request: ConversionRequest, values: Mapping[str, Any], folder: Path, *, with_weights: bool
) -> ResolvedSource:
    name = request.vision_tower or vision_tower_name(values, folder)
    try:
        if with_weights:
            return resolved_weights(name, revision=None)
        return resolved_source(name, patterns=OTHER_FILES)
    except SourceError as error:
        raise ConversionError(f"The vision tower is needed too (--vision-tower FOLDER_OR_ID): {error}") from error


def _segment_anything(path: Path, reader: WeightReader) -> dict[str, StoredTensor]:
    if not path.is_file():
        raise ConversionError(
            f"The weights of SAM {path} are not there; give sam_vit_h_4b8939.pth of Segment Anything."
        )
    return {tensor.name: tensor for tensor in reader.tensors_of(path)}


def _files(
    request: ConversionRequest,
    resolved: ResolvedSource,
    weights: WeightFiles,
    vision: ResolvedSource,
    vision_weights: WeightFiles | None,
) -> tuple[Source, ...]:
    texts = [resolved.folder / name for name in (CONFIG_FILE, *TOKENIZER_FILES)]
    sources = [Source.of("LISA" if request.segment_anything is None else "LLaVA", resolved, [*texts, *weights.all])]
    seen = () if vision_weights is None else vision_weights.all
    sources.append(Source.of("vision tower", vision, [vision.folder / CONFIG_FILE, *seen]))
    if request.segment_anything is not None:
        path = request.segment_anything
        sources.append(Source("segment anything", str(path), None, (path,)))
    return tuple(sources)
