"""The conversion's side of the separate process that opens weight files."""

from __future__ import annotations

import hashlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from lisa_ros.conversion.errors import ConversionError

PROGRAM = "lisa_ros.conversion.unpickling"
PACKAGE_PARENT = Path(__file__).resolve().parents[2]
SECONDS_BETWEEN_LOOKS = 0.5


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """A tensor as it lies in a weight file: its name there, dtype as torch names it, and shape."""

    name: str
    path: Path
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """A file of the target folder: size in bytes and SHA-256."""

    name: str
    size: int
    sha256: str

    @classmethod
    def of_text(cls, name: str, text: str) -> WrittenFile:
        """Return the file that a text will be, UTF-8."""
        content = text.encode()
        return cls(name, len(content), hashlib.sha256(content).hexdigest())


class WeightReader:
    """Lists and copies tensors by a process of its own, which runs while the context is open.

    Its methods raise ``ConversionError``.
    """

    def __enter__(self) -> WeightReader:
        self._complaints: IO[bytes] = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            [sys.executable, "-m", PROGRAM, str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            env=os.environ | {"PYTHONPATH": _search_path()},
            # Ctrl-C is for the conversion alone, which then ends this process.
            start_new_session=True,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is not None:
            self._process.kill()
        self._process.communicate()
        self._complaints.close()

    @property
    def process(self) -> int:
        """The id of the process."""
        return self._process.pid

    def tensors_of(self, path: Path) -> list[StoredTensor]:
        """Return what a weight file holds."""
        found = self._answer({"do": "list", "path": str(path)}, path, lambda: None)
        return [StoredTensor(name, path, dtype, tuple(shape)) for name, (dtype, shape) in found.items()]

    def write(
        self, path: Path, tensors: Sequence[tuple[str, StoredTensor, int | None]], on_wait: Callable[[], None]
    ) -> WrittenFile:
        """Write a safetensors file of tensors: their new names, where they lie, how many rows they shall have.

        ``on_wait`` is called now and then until the file is there.
        """
        entries = [
            {"name": name, "path": str(stored.path), "stored": stored.name, "rows": rows}
            for name, stored, rows in tensors
        ]
        written = self._answer({"do": "write", "path": str(path), "tensors": entries}, path, on_wait)
        return WrittenFile(path.name, written["size"], written["sha256"])

    def _answer(self, request: dict[str, Any], path: Path, on_wait: Callable[[], None]) -> Any:
        requests, answers = self._process.stdin, self._process.stdout
        assert requests is not None and answers is not None
        try:
            requests.write(json.dumps(request).encode() + b"\n")
            requests.flush()
        except BrokenPipeError as error:
            raise ConversionError(self._last_words(path)) from error
        while not select.select([answers], [], [], SECONDS_BETWEEN_LOOKS)[0]:
            on_wait()
        line = answers.readline()
        if not line.endswith(b"\n"):
            raise ConversionError(self._last_words(path))
        reply = json.loads(line)
        if "error" in reply:
            raise ConversionError(reply["error"])
        return reply["result"]

    def _last_words(self, path: Path) -> str:
        code = self._process.wait()
        self._complaints.seek(0)
        said = self._complaints.read().decode(errors="replace").strip().splitlines()
        reason = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        remedy = (
            "Memory may have run out; run lisa convert again" if code == -signal.SIGKILL else "The file may be damaged"
        )
        detail = f", last words {said[-1]!r}" if said else ""
        return f"The process that worked on {path} ended early ({reason}{detail}). {remedy}."


def _search_path() -> str:
    return os.pathsep.join([str(PACKAGE_PARENT), *filter(None, [os.environ.get("PYTHONPATH")])])
