"""The folder that a conversion writes: locked, resumable, and no model folder before it is complete."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from lisa_ros.conversion.errors import ConversionError
from lisa_ros.conversion.hashing import sha256_of
from lisa_ros.conversion.provenance import content_of
from lisa_ros.conversion.reader import WrittenFile
from lisa_ros.conversion.weight_files import read_json
from lisa_ros.model.checkpoint_folder import PART_SUFFIX, PROVENANCE_FILE
from lisa_ros.model.configuration import CONFIG_FILE

JOURNAL_FILE = "conversion.jsonl" + PART_SUFFIX
"""What a conversion has finished so far, one JSON object a line; while it is there, no loader takes the folder."""
SPARE_BYTES = 64 << 20


class TargetFolder:
    """The folder of one conversion. Its methods raise ``ConversionError``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._journal: IO[str] | None = None
        self._finished: dict[str, WrittenFile] = {}

    @property
    def is_unfinished(self) -> bool:
        """Whether a conversion began here and did not end."""
        return (self.folder / JOURNAL_FILE).is_file()

    @property
    def is_finished(self) -> bool:
        """Whether a conversion ended here."""
        names = (CONFIG_FILE, PROVENANCE_FILE)
        return not self.is_unfinished and all((self.folder / name).is_file() for name in names)

    def require_usable(self) -> None:
        """Raise unless the folder is new, empty, or of a conversion."""
        if self.folder.exists() and not self.folder.is_dir():
            raise ConversionError(f"The target {self.folder} is a file; give a folder that is new or empty.")
        if self.folder.is_dir() and not (self.is_unfinished or self.is_finished) and any(self.folder.iterdir()):
            raise ConversionError(
                f"The target {self.folder} is not empty and holds no conversion; give a folder that is new or empty."
            )

    def require_same(
        self, sources: Sequence[dict[str, Any]], begun: dict[str, Any], on_bytes: Callable[[int], object]
    ) -> None:
        """Raise unless a finished conversion is of these sources and all that it wrote is still as it was."""
        provenance = read_json(self.folder / PROVENANCE_FILE)
        try:
            same = (content_of(provenance["sources"]), provenance["begun"]) == (content_of(sources), begun)
            files = [WrittenFile(**file) for file in provenance["files"]]
        except (KeyError, TypeError) as error:
            raise ConversionError(f"{self.folder / PROVENANCE_FILE} is damaged; give another target.") from error
        if not same:
            raise ConversionError(
                f"The target {self.folder} holds a conversion of something else; give another target."
            )
        damaged = [file.name for file in files if not self._is_intact(file, on_bytes)]
        if damaged:
            raise ConversionError(
                f"The target {self.folder} holds a conversion of this source, but {damaged[0]} is missing or damaged; "
                "delete the folder and convert again."
            )

    @contextmanager
    def opened(self, identity: dict[str, Any]) -> Iterator[None]:
        """Lock the folder for one conversion, after reading what an earlier run of the same finished."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / JOURNAL_FILE).open("a+", encoding="utf-8") as self._journal:
            _lock(self._journal, self.folder)
            self._read_journal(identity)
            yield

    def _read_journal(self, identity: dict[str, Any]) -> None:
        assert self._journal is not None
        self._journal.seek(0)
        entries = list(_complete_lines(self._journal.read()))
        if not entries:
            self._journal.truncate(0)
            self._append(identity)
            return
        if entries[0] != identity:
            raise ConversionError(
                f"The target {self.folder} holds an unfinished conversion of another source or with other options; "
                "give another target, or delete it."
            )
        self._finished = {entry["name"]: WrittenFile(**entry) for entry in entries[1:]}

    def _append(self, entry: dict[str, Any]) -> None:
        assert self._journal is not None
        # A line that a kill cut off must not swallow this one.
        self._journal.write("\n" + json.dumps(entry) + "\n")
        self._journal.flush()
        os.fsync(self._journal.fileno())

    def kept(self, name: str, on_bytes: Callable[[int], object]) -> WrittenFile | None:
        """Return a file that an earlier run finished, if it is still as it was then."""
        file = self._finished.get(name)
        return file if file is not None and self._is_intact(file, on_bytes) else None

    def _is_intact(self, file: WrittenFile, on_bytes: Callable[[int], object]) -> bool:
        path = self.folder / file.name
        return path.is_file() and path.stat().st_size == file.size and sha256_of(path, on_bytes) == file.sha256

    def finish(self, file: WrittenFile) -> None:
        """Note that a file is complete."""
        self._append(asdict(file))

    def write_text(self, name: str, text: str) -> WrittenFile:
        """Write a small file under a temporary name and rename it."""
        path = self.folder / name
        part = path.with_name(name + PART_SUFFIX)
        with part.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        return self.described(name)

    def described(self, name: str) -> WrittenFile:
        """Return a file that is there."""
        path = self.folder / name
        return WrittenFile(name, path.stat().st_size, sha256_of(path))

    def close(self) -> None:
        """Remove what only an unfinished conversion needs; from now on the folder is a model folder."""
        for path in self.folder.glob(f"*{PART_SUFFIX}"):
            if path.name != JOURNAL_FILE:
                path.unlink()
        (self.folder / JOURNAL_FILE).unlink(missing_ok=True)

    def require_space(self, needed: int) -> None:
        """Raise unless the disk has room for that many bytes."""
        existing = next(parent for parent in (self.folder, *self.folder.absolute().parents) if parent.is_dir())
        free = shutil.disk_usage(existing).free
        if free < needed + SPARE_BYTES:
            raise ConversionError(
                f"The disk of {self.folder} has {free / 1e9:.1f} GB free and the conversion needs "
                f"{needed / 1e9:.1f} GB; make room or give a target on another disk."
            )


def _lock(journal: IO[str], folder: Path) -> None:
    try:
        fcntl.flock(journal, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise ConversionError(f"Another conversion is writing into {folder}; wait for its end.") from error


def _complete_lines(text: str) -> Iterator[dict[str, Any]]:
    """Return the entries of a journal without what a kill cut off."""
    for line in filter(None, text.split("\n")):
        try:
            yield json.loads(line)
        except ValueError:
            continue
