"""The model: its configuration, files, hashes, weights, memory, and one real answer."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from lisa_ros.answers import Answer, Finished, Verdict
from lisa_ros.doctor.findings import Check, Finding, Options, ok, one_line, problem, size_words, warning
from lisa_ros.doctor.machine import memory
from lisa_ros.doctor.sample import Sample, sample
from lisa_ros.model_folder import EMBEDDED, find_model
from lisa_ros.segmenter import SegmenterError, make_segmenter

SMALL = 1e9
"""Bytes of weights up to which hashes are compared and an answer is tried without being asked to."""
AGAIN = "copy the whole folder again, or run the lisa convert that wrote it again"
IOU_OF_THE_EMBEDDED = 0.5
"""What the embedded checkpoint surpasses by far on the frame that comes along."""


def check_folder(options: Options) -> Finding | None:
    """Read the configuration and the tokenizers."""
    from lisa_ros.model.checkpoint_folder import CheckpointError, read_config
    from lisa_ros.model.text_processing import load_text_processor

    try:
        folder = Path(find_model(options.model))
        if not folder.is_dir():
            return problem(f"{folder} is not a folder.", "name a folder; lisa doctor downloads nothing")
        config = read_config(folder, options.model or str(folder))
        load_text_processor(folder, config)
    except (SegmenterError, CheckpointError) as error:
        return problem(str(error), "")
    return ok(f"{config.name} in {folder}: configuration and tokenizers are valid", folder=str(folder))


def _usable(options: Options) -> tuple[Path, Any] | None:
    """Return folder and configuration, or ``None`` where ``check_folder`` has said why not."""
    from lisa_ros.model.checkpoint_folder import CheckpointError, read_config

    try:
        folder = Path(find_model(options.model))
        return folder, read_config(folder, options.model)
    except (SegmenterError, CheckpointError):
        return None


def check_files(options: Options) -> Finding | None:
    """Compare sizes and hashes with what was written down when the folder was made."""
    usable = _usable(options)
    if usable is None:
        return None
    from lisa_ros.model.checkpoint_folder import PROVENANCE_FILE

    folder, _ = usable
    sizes = {path.name: path.stat().st_size for path in sorted(folder.iterdir()) if path.is_file()}
    words = f"{len(sizes)} files, {size_words(sum(sizes.values()))}"
    if not (folder / PROVENANCE_FILE).is_file():
        return ok(f"{words}, no {PROVENANCE_FILE} to compare with", sizes=sizes)
    try:
        recorded = _recorded(folder / PROVENANCE_FILE)
    except (OSError, ValueError) as error:
        return problem(f"{PROVENANCE_FILE} cannot be read ({one_line(error)}).", AGAIN)
    has_hashes = options.full or sum(sizes.values()) <= SMALL
    faults = _faults(folder, sizes, recorded, has_hashes)
    if faults:
        return problem(f"{words}: {'; '.join(faults)}.", AGAIN, sizes=sizes)
    compared = "sizes and hashes are" if has_hashes else "sizes are (--full compares hashes too)"
    return ok(f"{words}, {compared} those of {PROVENANCE_FILE}", sizes=sizes, hashed=has_hashes)


def _recorded(path: Path) -> dict[str, tuple[str, int]]:
    """Return file -> (SHA-256, size) as recorded; raises ``ValueError`` for anything of another form."""
    content = json.loads(path.read_text(encoding="utf-8"))
    files = content.get("files") if isinstance(content, dict) else None
    if not isinstance(files, list) or not files:
        raise ValueError("it lists no files")
    try:
        recorded = {Path(file["name"]).name: (str(file["sha256"]), int(file["size"])) for file in files}
    except (KeyError, TypeError) as error:
        raise ValueError(f"its list of files is damaged: {one_line(error)}") from error
    return recorded


def _faults(folder: Path, sizes: dict[str, int], recorded: dict[str, tuple[str, int]], has_hashes: bool) -> list[str]:
    from lisa_ros.conversion.hashing import sha256_of

    faults = []
    for name, (digest, size) in recorded.items():
        if name not in sizes:
            faults.append(f"{name} is missing")
        elif sizes[name] != size:
            faults.append(f"{name} has {sizes[name]} bytes instead of {size}")
        elif has_hashes and sha256_of(folder / name) != digest:
            faults.append(f"{name} was changed: its SHA-256 is not the recorded one")
    strangers = [name for name in sizes if name.endswith(".safetensors") and name not in recorded]
    return faults + [f"{name} is not recorded" for name in strangers]


def check_weights(options: Options) -> Finding | None:
    """Compare names, shapes and types in the headers with the network; no weight is read."""
    from lisa_ros.model.checkpoint_folder import CheckpointError

    usable = _usable(options)
    if usable is None:
        return None
    try:
        count = _match(*usable)
    except CheckpointError as error:
        return problem(str(error), AGAIN)
    return ok(f"all {count} tensors of the network are there in their shapes", tensors=count)


def _match(folder: Path, config: Any) -> int:
    from lisa_ros.model.checkpoints import require_matching
    from lisa_ros.model.stored_weights import StoredWeights

    outlines = StoredWeights(folder).outlines
    require_matching(_outline(config), outlines, folder)
    return len(outlines)


def _outline(config: Any) -> Any:
    import torch

    from lisa_ros.model.modeling import LisaModel

    with torch.device("meta"):
        return LisaModel(config)


def check_model_memory(options: Options) -> Finding | None:
    """Compare what the weights take with what the machine has."""
    import torch

    from lisa_ros.doctor.memory import weight_bytes

    usable = _usable(options)
    if usable is None:
        return None
    needed = weight_bytes(_outline(usable[1]))
    on_gpu = torch.cuda.is_available()
    available, place = (torch.cuda.mem_get_info()[0], "the GPU") if on_gpu else (memory()[1], "memory")
    words = ", ".join(f"{size_words(size)} in {name}" for name, size in needed.items())
    words = f"weights take {words}; {place} has {size_words(available)} free"
    fitting = [name for name, size in needed.items() if size < 0.9 * available]
    if not fitting:
        return problem(f"{words}: too little.", "end other programs, or use a machine with more memory", needed=needed)
    usual = "16 bits" if on_gpu else "32 bits"
    if usual in fitting:
        return ok(words, needed=needed, available=available)
    setting = {"16 bits": "dtype bfloat16"}.get(fitting[0], f"quantization {fitting[0]}")
    return warning(f"{words}: too little for the default.", f"use {setting}", needed=needed)


def check_answer(options: Options) -> Finding | None:
    """Ask one question about a frame that comes along, with the whole network."""
    usable = _usable(options)
    if usable is None:
        return None
    folder = usable[0]
    weights = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    if weights > SMALL and not options.full:
        return ok(f"not tried, because {size_words(weights)} of weights take long to load; --full tries it")
    asked, times = sample(), [time.perf_counter()]
    try:
        segmenter = make_segmenter("lisa", model=str(folder))
        times.append(time.perf_counter())
        for _ in ("first", "usual"):
            *_, last = segmenter.ask(segmenter.look(asked.rgb), asked.request)
            times.append(time.perf_counter())
    except Exception as error:
        return problem(f"the network cannot answer ({one_line(error)}).", "see the lines above; report this one")
    assert isinstance(last, Finished)
    seconds = {name: round(times[i + 1] - times[i], 3) for i, name in enumerate(("load", "first_answer", "answer"))}
    return _judge(asked, last.answer, seconds, is_embedded=folder.resolve().parts[-2:] == EMBEDDED.parts)


def _judge(asked: Sample, answer: Answer, seconds: dict[str, float], *, is_embedded: bool) -> Finding:
    if answer.verdict is Verdict.FAILED:
        return problem(f"the answer failed: {answer.error}", "see the lines above; report this one")
    first, usual = (f"{1000 * seconds[name]:.0f} ms" for name in ("first_answer", "answer"))
    took = f"in {usual} (the first time {first}, loading {seconds['load']:.1f} s)"
    said = " ".join(answer.words.split()) or "(no words)"
    words = f'"{asked.request.text}" is answered {took}: {answer.verdict.value}, "{said}"'
    iou = asked.iou(answer)
    if iou is None:
        return ok(words, **seconds)
    words = f"{words}, IoU {iou:.2f}"
    if is_embedded and iou < IOU_OF_THE_EMBEDDED:
        return warning(f"{words}, less than it should be.", "report this; another torch or processor may be the cause")
    return ok(words, iou=round(iou, 4), **seconds)


CHECKS: dict[str, Check] = {
    "model": check_folder,
    "model files": check_files,
    "model weights": check_weights,
    "model memory": check_model_memory,
    "model answer": check_answer,
}
