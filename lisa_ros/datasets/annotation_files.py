"""Annotation files: JSON that is read whole and whose faults are told in one sentence."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from reprlib import repr as shortened
from typing import Any

from lisa_ros.datasets.records import DatasetError

KIND_NAMES = {str: "text", int: "a whole number", list: "a list", dict: "an object", bool: "true or false"}


def read_json(path: Path, object_hook: Callable[[dict[str, Any]], Any] | None = None) -> Any:
    """Return the content of a UTF-8 JSON file, every object of it passed through ``object_hook`` as soon as it is read.

    Raises ``DatasetError`` when the file is missing, cut off or no JSON.
    """
    if not path.is_file():
        raise DatasetError(f"The annotation file {path} is missing; copy it there from the data set.")
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"), object_hook=object_hook)
    except (OSError, ValueError, RecursionError) as error:
        raise DatasetError(f"{path} is damaged or not JSON ({error}); copy it again from the data set.") from error


def field(entry: Any, key: str, kinds: type | tuple[type, ...], path: Path, place: str) -> Any:
    """Return ``entry[key]``, which must be of one of ``kinds``; ``place`` says where in ``path`` the entry stands.

    ``True`` and ``False`` are no numbers here. Raises ``DatasetError``.
    """
    if not isinstance(entry, dict):
        raise malformed(path, f"{place} is {shortened(entry)} where an object is needed")
    if key not in entry:
        raise malformed(path, f"{place} has no {key!r}")
    value = entry[key]
    kinds = kinds if isinstance(kinds, tuple) else (kinds,)
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        needed = " or ".join(KIND_NAMES[kind] for kind in kinds)
        raise malformed(path, f"{key!r} of {place} is {shortened(value)} where {needed} is needed")
    return value


def malformed(path: Path, fault: str) -> DatasetError:
    """Return the error about a file that is JSON but not what its data set prescribes."""
    return DatasetError(f"{path}: {fault}; the file is damaged or of another format, copy it again from the data set.")
