"""Where a model folder comes from: its sources and files with their checksums, and what was left out."""

from __future__ import annotations

import platform
import zipfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from lisa_ros.conversion.errors import ConversionError
from lisa_ros.conversion.hashing import sha256_of
from lisa_ros.conversion.reader import WrittenFile
from lisa_ros.model.hub import ResolvedSource

PACKAGES = ("lisa_ros", "torch", "safetensors", "transformers", "huggingface_hub", "sentencepiece")
SHA256_LENGTH = 64


@dataclass(frozen=True, slots=True)
class Source:
    """One source of weights: its part in the model, what the user called it, the hub's commit, and its files."""

    part: str
    name: str
    revision: str | None
    files: tuple[Path, ...]

    @classmethod
    def of(cls, part: str, resolved: ResolvedSource, files: Iterable[Path]) -> Source:
        """Return the source of a resolved folder; files that are not there are left out."""
        existing = tuple(path for path in dict.fromkeys(files) if path.is_file())
        return cls(part, resolved.name, resolved.revision, existing)

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(path.stat().st_size for path in self.files)

    def described(self, on_bytes: Callable[[int], object]) -> dict[str, Any]:
        """Return the source with the size and checksum of every file; raises ``ConversionError``."""
        files = [
            {"name": path.name, "size": path.stat().st_size, "sha256": _checked_sha256(path, on_bytes)}
            for path in self.files
        ]
        return {"part": self.part, "name": self.name, "revision": self.revision, "files": files}


def _checked_sha256(path: Path, on_bytes: Callable[[int], object]) -> str:
    """Return the checksum of a file; one in the hub's cache bears the right one as the name of what it links to.

    A pickle of torch is an archive with a checksum of every tensor, which torch itself does not look at.
    """
    found = sha256_of(path, on_bytes)
    damaged = _damaged_member(path)
    if damaged is not None:
        raise ConversionError(f"{path} is damaged: the checksum of {damaged} in it is wrong; get it again.")
    stored = path.resolve()
    if stored.parent.name == "blobs" and len(stored.name) == SHA256_LENGTH and stored.name != found:
        raise ConversionError(f"{path} is damaged: its SHA-256 is {found} instead of {stored.name}; download it again.")
    return found


def _damaged_member(path: Path) -> str | None:
    """Return the name of the first part of an archive whose checksum is wrong; ``None`` for whole and other files."""
    if path.suffix == ".safetensors" or not zipfile.is_zipfile(path):
        return None
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip()
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        return str(error)


def content_of(sources: Sequence[dict[str, Any]]) -> list[list[str]]:
    """Return what makes two descriptions of sources the same: the checksums, wherever the files lie."""
    return [[source["part"], file["name"], file["sha256"]] for source in sources for file in source["files"]]


@dataclass(slots=True)
class Provenance:
    """All that ``provenance.json`` tells.

    ``begun`` says what was made new for training, empty for a published LISA; ``shard_size`` is the size asked for.
    """

    sources: list[dict[str, Any]]
    left_out: dict[str, list[str]]
    begun: dict[str, Any]
    shard_size: str

    @property
    def identity(self) -> dict[str, Any]:
        """What two runs must have in common for the second to go on with the files of the first."""
        return {"sources": content_of(self.sources), "begun": self.begun, "shard_size": self.shard_size}

    def to_dict(self, files: Sequence[WrittenFile]) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "converted_at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "sources": self.sources,
            "files": [asdict(file) for file in files],
            "left_out": self.left_out,
            "begun": self.begun,
            "shard_size": self.shard_size,
            "versions": {"python": platform.python_version()} | {name: _version(name) for name in PACKAGES},
        }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed as a package"
