"""What a checkpoint folder of this package is, and what another folder is instead."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

from lisa_ros.model.configuration import CONFIG_FILE, MODEL_TYPE, ConfigurationError, LisaConfig
from lisa_ros.model.hub import SourceError, resolved_source

MODEL_FILE = "model.safetensors"
INDEX_FILE = f"{MODEL_FILE}.index.json"
FROZEN_FILE = "frozen.safetensors"
SHARD = re.compile(r"model-\d+-of-\d+\.safetensors")
PART_SUFFIX = ".part"
"""What the names of files end with while they are written."""
PICKLE_SUFFIXES = (".bin", ".pth", ".pt", ".pkl", ".ckpt")


LISTED_NAMES = 5
PROVENANCE_FILE = "provenance.json"
"""What a conversion wrote down of the files that it read and wrote."""


class CheckpointError(RuntimeError):
    """A checkpoint cannot be loaded or saved; the message is one sentence with the remedy."""


def local_folder(source: str | Path, revision: str | None, patterns: tuple[str, ...]) -> Path:
    """Return the folder of a source, with the files of ``patterns`` where it comes from the hub."""
    try:
        return resolved_source(source, revision=revision, patterns=patterns).folder
    except SourceError as error:
        raise CheckpointError(str(error)) from error
    except OSError as error:
        raise CheckpointError(f"The model folder {source} cannot be read ({error.strerror}).") from error


def read_config(folder: Path, source: str) -> LisaConfig:
    """Return the configuration of a checkpoint folder, which the user called ``source``.

    Raises ``CheckpointError`` for anything else than a checkpoint folder of this package.
    """
    check_folder(folder, source)
    values = read_json(folder / CONFIG_FILE)
    _refuse_other_architectures(values, source)
    try:
        return LisaConfig.from_dict(values)
    except ConfigurationError as error:
        raise CheckpointError(f"{folder / CONFIG_FILE} is not valid: {error}") from error


def check_folder(folder: Path, source: str) -> None:
    """Raise ``CheckpointError`` with the remedy unless ``folder`` has the files of a checkpoint of this package."""
    names = names_in(folder)
    unfinished = [name for name in names if name.endswith(PART_SUFFIX)]
    if unfinished:
        raise CheckpointError(
            f"The folder {folder} holds {unfinished[0]}, left by a conversion or a save that was interrupted; "
            "run it again (lisa convert goes on where it stopped)."
        )
    pickles = [name for name in names if name.endswith(PICKLE_SUFFIXES)]
    weights = [name for name in names if name in (MODEL_FILE, INDEX_FILE)]
    if pickles and not weights:
        raise CheckpointError(
            f"The folder {folder} holds the pickle {pickles[0]}, which is not loaded: weights must be safetensors; "
            f"convert it first with: lisa convert {source} <target folder>."
        )
    if CONFIG_FILE not in names:
        has_weights = any(name.endswith(".safetensors") for name in names)
        state = "weights but no" if has_weights else "no"
        remedy = "copy the whole folder, or run the lisa convert that wrote it again" if has_weights else "name another"
        raise CheckpointError(f"The folder {folder} has {state} {CONFIG_FILE}; it is not a model folder: {remedy}.")


def require_recorded_sizes(folder: Path) -> None:
    """Raise ``CheckpointError`` where a weight file has not the size that the conversion wrote down.

    Only ``lisa doctor --full`` compares the checksums, which takes as long as reading everything.
    """
    if not (folder / PROVENANCE_FILE).is_file():
        return
    written = read_json(folder / PROVENANCE_FILE)
    files = written.get("files", []) if isinstance(written, dict) else []
    for file in files if isinstance(files, list) else []:
        name, size = (file.get(key) for key in ("name", "size")) if isinstance(file, dict) else (None, None)
        path = folder / str(name)
        if str(name).endswith(".safetensors") and path.is_file() and path.stat().st_size != size:
            raise CheckpointError(
                f"{path} has {path.stat().st_size} bytes; {PROVENANCE_FILE} says {size}, so it was changed or cut off: "
                "copy it again."
            )


def names_in(folder: Path) -> list[str]:
    """Return the sorted names in a folder; raises ``CheckpointError`` where there is none to read."""
    try:
        return sorted(os.listdir(folder))
    except FileNotFoundError as error:
        raise CheckpointError(
            f"The model folder {folder} does not exist; give a folder with {CONFIG_FILE} in it."
        ) from error
    except (OSError, ValueError) as error:
        raise CheckpointError(f"The model folder {folder} cannot be read ({error}).") from error


def read_json(path: Path) -> Any:
    """Return the content of a JSON file; raises ``CheckpointError``."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} cannot be read ({error}); copy it again.") from error


def listed(names: list[str]) -> str:
    """Return the first of the names for a sentence, with the number of the others."""
    more = len(names) - LISTED_NAMES
    return ", ".join(names[:LISTED_NAMES]) + (f" and {more} more" if more > 0 else "")


def _refuse_other_architectures(values: Any, source: str) -> None:
    if not isinstance(values, dict) or values.get("model_type") == MODEL_TYPE:
        return
    model_type, architectures = values.get("model_type"), values.get("architectures")
    if "LISA" in str(architectures) or str(model_type).startswith("llava"):
        raise CheckpointError(
            f"{source} is in the form of the official LISA (model_type {model_type!r}), which is not loaded "
            f"as it is; convert it first with: lisa convert {source} <target folder>."
        )
    raise CheckpointError(
        f"{source} holds a model of type {model_type!r}, not {MODEL_TYPE!r}; "
        "give a folder that lisa convert or lisa train has written."
    )
