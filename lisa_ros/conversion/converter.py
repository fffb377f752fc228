"""One conversion from beginning to end."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from lisa_ros.conversion.configuring import clip_values, lisa_config
from lisa_ros.conversion.plan import PlannedTensor, planned_tensors, size_in_bytes, target_files
from lisa_ros.conversion.provenance import Provenance
from lisa_ros.conversion.reader import WeightReader, WrittenFile
from lisa_ros.conversion.sources import TOKENIZER_FILES, ConversionRequest, FoundSources, find_sources
from lisa_ros.conversion.starting import begin, write_fresh_projection
from lisa_ros.conversion.target import TargetFolder
from lisa_ros.model.checkpoint_folder import INDEX_FILE, PART_SUFFIX, PROVENANCE_FILE
from lisa_ros.model.configuration import CONFIG_FILE, LisaConfig
from lisa_ros.model.llama_tokenizer import LlamaTokenizer

PROJECTION_FILE = "text_hidden_fcs.safetensors"


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be written: configuration, tokenizer, tensors by file, and what to say about them."""

    config: LisaConfig
    tokenizer: LlamaTokenizer
    files: dict[str, list[PlannedTensor]]
    begun: dict[str, Any]

    @property
    def size(self) -> int:
        """Bytes of all tensors."""
        return sum(size_in_bytes(tensors) for tensors in self.files.values())


def convert(request: ConversionRequest) -> str:
    """Convert as asked, or go on with what an interrupted run left; returns a sentence about the outcome.

    Raises ``ConversionError`` or ``SourceError``.
    """
    target = TargetFolder(request.target)
    target.require_usable()
    with WeightReader() as reader, tempfile.TemporaryDirectory() as scratch:
        found = find_sources(request, reader)
        plan = _plan(request, found, Path(scratch), reader)
        total = sum(source.size for source in found.files) + plan.size
        with tqdm(total=total, unit="B", unit_scale=True, mininterval=1, desc="checking the source") as bar:
            sources = [source.described(bar.update) for source in found.files]
            if target.is_finished:
                target.require_same(sources, plan.begun, bar.update)
                return f"{request.target} holds the finished conversion of {request.source} already; nothing to do."
            bar.set_description("converting")
            provenance = Provenance(sources, found.official.left_out, plan.begun, request.shard_size)
            _write(target, plan, provenance, reader, bar)
    return _outcome(request, plan, found)


def _plan(request: ConversionRequest, found: FoundSources, scratch: Path, reader: WeightReader) -> Plan:
    values, tokenizer, rows, begun = found.values, found.tokenizer, None, {}
    official = found.official
    if request.segment_anything is not None:
        beginning = begin(values, tokenizer, official.shapes, request.seed)
        values, tokenizer, rows, begun = beginning.values, beginning.tokenizer, beginning.rows, beginning.told
        write_fresh_projection(scratch / PROJECTION_FILE, official.shapes, request.seed)
        official.tensors |= {tensor.name: tensor for tensor in reader.tensors_of(scratch / PROJECTION_FILE)}
    config = lisa_config(values, clip_values(found.vision_folder), official.shapes, tokenizer, found.name)
    planned = planned_tensors(official, config, rows=rows)
    return Plan(config, tokenizer, target_files(planned, request.shard_size), begun)


def _outcome(request: ConversionRequest, plan: Plan, found: FoundSources) -> str:
    count, left_out = sum(map(len, plan.files.values())), sum(map(len, found.official.left_out.values()))
    return (
        f"Converted {request.source} to {request.target}: {count} tensors, {plan.size / 1e9:.2f} GB in "
        f"{len(plan.files)} file(s); {left_out} tensors that influence nothing left out (see {PROVENANCE_FILE})."
    )


def _write(target: TargetFolder, plan: Plan, provenance: Provenance, reader: WeightReader, bar: tqdm) -> None:
    with target.opened(provenance.identity):
        written = _write_weights(target, plan, reader, bar)
        plan.tokenizer.save(target.folder)
        written += [target.described(name) for name in TOKENIZER_FILES]
        if len(plan.files) > 1:
            written.append(target.write_text(INDEX_FILE, _index(plan)))
        configuration = json.dumps(plan.config.to_dict(), indent=2) + "\n"
        written.append(WrittenFile.of_text(CONFIG_FILE, configuration))
        target.write_text(PROVENANCE_FILE, json.dumps(provenance.to_dict(written), indent=2) + "\n")
        target.write_text(CONFIG_FILE, configuration)
        target.close()


def _write_weights(target: TargetFolder, plan: Plan, reader: WeightReader, bar: tqdm) -> list[WrittenFile]:
    kept = {name: _kept(target, name, size_in_bytes(tensors), bar) for name, tensors in plan.files.items()}
    target.require_space(sum(size_in_bytes(tensors) for name, tensors in plan.files.items() if kept[name] is None))
    return [kept[name] or _write_file(target, name, tensors, reader, bar) for name, tensors in plan.files.items()]


def _kept(target: TargetFolder, name: str, size: int, bar: tqdm) -> WrittenFile | None:
    before = bar.n
    file = target.kept(name, bar.update)
    bar.update(before + (0 if file is None else size) - bar.n)
    return file


def _write_file(
    target: TargetFolder, name: str, tensors: Sequence[PlannedTensor], reader: WeightReader, bar: tqdm
) -> WrittenFile:
    path = target.folder / name
    part = path.with_name(name + PART_SUFFIX)
    size, before = size_in_bytes(tensors), bar.n

    def show() -> None:
        seen = part.stat().st_size if part.is_file() else 0
        bar.update(before + min(seen, size) - bar.n)

    file = reader.write(path, [(tensor.name, tensor.stored, tensor.rows) for tensor in tensors], show)
    target.finish(file)
    bar.update(before + size - bar.n)
    return file


def _index(plan: Plan) -> str:
    weight_map = {tensor.name: name for name, tensors in plan.files.items() for tensor in tensors}
    return json.dumps({"metadata": {"total_size": plan.size}, "weight_map": weight_map}, indent=2) + "\n"
