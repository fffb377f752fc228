"""The folder of a run: it belongs to one set of settings, and says what a checkpoint in it was made with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from lisa_ros.training.settings import SettingsError

SETTINGS_FILE = "settings.json"
PROVENANCE_FILE = "training.json"
MAY_CHANGE = frozenset({"workers", "threads", "save_every", "device", "sharded", "batch_size", "accumulation"})
"""What a run that goes on may do otherwise: its samples and losses stay the same, or its snapshot refuses."""
PACKAGES = ("lisa_ros", "torch", "transformers", "peft", "accelerate", "numpy", "safetensors")


def open_run_folder(settings: Any, *, writes: bool = True) -> Path:
    """Make the folder ``output`` of the settings and write them there, or find those of the run that goes on.

    One process ``writes``. Raises ``SettingsError`` where the folder holds a run with other settings.
    """
    output = Path(settings.output)
    path = output / SETTINGS_FILE
    # As JSON has it: tuples are lists.
    values = json.loads(json.dumps(asdict(settings)))
    before = values
    try:
        output.mkdir(parents=True, exist_ok=True)
        if path.is_file():
            before = json.loads(path.read_text(encoding="utf-8"))
        elif writes:
            write_json(path, values)
    except (OSError, ValueError) as error:
        raise SettingsError(f"{output} cannot be used as output ({error}); name another one.") from error
    _require_same(before, values, output)
    return output


def _require_same(before: dict[str, Any], now: dict[str, Any], output: Path) -> None:
    unlike = [name for name in sorted(before.keys() | now.keys()) if before.get(name) != now.get(name)]
    unlike = [name for name in unlike if name not in MAY_CHANGE]
    if unlike:
        name = unlike[0]
        raise SettingsError(
            f"{output} holds a run whose {name} is {before.get(name)!r}, not {now.get(name)!r}; "
            "name another output, or delete that folder to begin anew."
        )


def write_provenance(folder: Path, settings: Any, facts: Mapping[str, Any]) -> None:
    """Write ``training.json`` into a checkpoint folder: settings, ``facts`` and the versions of packages."""
    write_json(folder / PROVENANCE_FILE, {**facts, "settings": asdict(settings), "packages": _versions()})


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write named values under a temporary name and rename the file."""
    part = path.with_suffix(".part")
    part.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    part.replace(path)


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed as a package"
    return found
