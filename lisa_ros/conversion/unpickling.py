"""The separate process that opens weight files: ``python -m lisa_ros.conversion.unpickling PARENT``.

It reads one request a line from its standard input and answers each with one line, both JSON. A pickle is opened here
and nowhere else, by torch's unpickler for tensors alone. The process ends with the one that started it, so that none is
left to write into a folder that another conversion has taken over.
"""

from __future__ import annotations

import ctypes
import json
import os
import pickle
import re
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from lisa_ros.conversion.hashing import sha256_of

SAFE_TORCH = (2, 10)
"""The first torch whose ``weights_only`` holds: CVE-2025-32434 and CVE-2026-24747 get around older ones."""
PR_SET_PDEATHSIG = 1
"""From linux/prctl.h."""
ZIP_START = b"PK\x03\x04"
LFS_POINTER = b"version https://git-lfs"
GET_AGAIN = "get it again from its publisher and compare the checksum"


class RefusedFileError(RuntimeError):
    """A file is not opened or not written; the message is one sentence."""


class SafetensorsFile(Mapping[str, Tensor]):
    """The tensors of a safetensors file, each read when it is asked for."""

    def __init__(self, path: Path) -> None:
        self._file = safe_open(path, framework="pt")

    def __getitem__(self, name: str) -> Tensor:
        return self._file.get_tensor(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._file.keys())

    def __len__(self) -> int:
        return len(self._file.keys())


class WeightFiles:
    """Opens weight files for requests; a pickle of the old form, which cannot be mapped, stays open for the next."""

    def __init__(self) -> None:
        self._held: tuple[Path, dict[str, Tensor]] | None = None

    def listed(self, path: Path) -> dict[str, tuple[str, list[int]]]:
        """Return the dtype and shape of every tensor of a file; raises ``RefusedFileError``."""
        return {name: (_dtype_name(value), list(value.shape)) for name, value in self.opened(path).items()}

    def opened(self, path: Path) -> Mapping[str, Tensor]:
        """Return the tensors of a file, which are read from disk when they are used; raises ``RefusedFileError``."""
        if self._held is not None and self._held[0] == path:
            return self._held[1]
        start = _first_bytes(path)
        if start.startswith(LFS_POINTER):
            raise RefusedFileError(f"{path} is a pointer of Git LFS in place of the file; run 'git lfs pull' there.")
        if path.suffix == ".safetensors":
            return _safetensors(path)
        self._held = None
        mapped = start.startswith(ZIP_START)
        tensors = _state_dict(path, mapped)
        if not mapped:
            self._held = (path, tensors)
        return tensors

    def written(self, path: Path, tensors: list[dict[str, Any]]) -> dict[str, Any]:
        """Write one safetensors file under a temporary name and rename it; returns its size and digest.

        Every tensor has a ``name``, the ``path`` it comes from, the name ``stored`` there and ``rows``, how many it
        shall have (``None``: as many as it has). Raises ``RefusedFileError``.
        """
        opened: dict[Path, Mapping[str, Tensor]] = {}
        chosen = {}
        for entry in tensors:
            source = Path(entry["path"])
            if source not in opened:
                opened[source] = self.opened(source)
            value = opened[source][entry["stored"]]
            _require_finite(value, entry["stored"], source)
            chosen[entry["name"]] = _with_rows(value, entry["rows"])
        part = path.with_name(path.name + ".part")
        try:
            save_file(_unshared(chosen), part, metadata={"format": "pt"})
            _finish(part)
            digest, size = sha256_of(part), part.stat().st_size
            part.replace(path)
        except (OSError, SafetensorError) as error:
            raise RefusedFileError(f"{path} cannot be written: {error}.") from error
        return {"size": size, "sha256": digest}


def _dtype_name(value: Tensor) -> str:
    return str(value.dtype).removeprefix("torch.")


def _first_bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(len(LFS_POINTER))
    except OSError as error:
        raise RefusedFileError(f"{path} cannot be read: {error.strerror}.") from error


def _safetensors(path: Path) -> SafetensorsFile:
    try:
        return SafetensorsFile(path)
    except (SafetensorError, OSError) as error:
        raise RefusedFileError(f"{path} is damaged or not safetensors ({error}); {GET_AGAIN}.") from error


def _state_dict(path: Path, mapped: bool) -> dict[str, Tensor]:
    require_safe_torch(torch.__version__)
    try:
        values = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except MemoryError as error:
        raise RefusedFileError(f"{path} does not fit into memory; convert on a machine with more.") from error
    except Exception as error:  # a damaged pickle can raise anything
        raise RefusedFileError(_refusal(path, error)) from error
    if not isinstance(values, dict):
        raise RefusedFileError(f"{path} holds {type(values).__name__} instead of named tensors; {GET_AGAIN}.")
    for name, value in values.items():
        if not isinstance(name, str) or not isinstance(value, Tensor) or value.layout is not torch.strided:
            raise RefusedFileError(
                f"{path} holds {type(value).__name__} under {name!r} instead of a plain tensor; it is no checkpoint "
                "of weights alone."
            )
    return {name: value.detach() for name, value in values.items()}


def require_safe_torch(version: str) -> None:
    """Raise ``RefusedFileError`` for a torch that cannot open a pickle without running what it says."""
    numbers = tuple(int(number) for number in re.findall(r"\d+", version)[:2])
    if numbers < SAFE_TORCH:
        raise RefusedFileError(
            f"torch {version} cannot open pickles safely (CVE-2026-24747); "
            "install a newer one: pip install 'torch>=2.10'."
        )


def _refusal(path: Path, error: Exception) -> str:
    wanted = re.search(r"GLOBAL ([\w.]+)", str(error))
    if isinstance(error, pickle.UnpicklingError) and wanted is not None:
        return (
            f"{path} was refused and nothing in it was run: it asks for {wanted[1]}, which no file of weights needs, "
            f"so it may be harmful; {GET_AGAIN}."
        )
    # The long form of the message advises to open the file unsafely.
    told = re.search(r"WeightsUnpickler error:\s*(.+)", str(error))
    lines = [told[1]] if told is not None else str(error).strip().splitlines()
    reason = lines[0][:150].strip(" .") if lines else type(error).__name__
    return f"{path} is truncated, damaged or no file of weights ({reason}); {GET_AGAIN}."


def _require_finite(value: Tensor, name: str, path: Path) -> None:
    if value.is_floating_point() and value.numel() and not all(map(torch.isfinite, value.aminmax())):
        raise RefusedFileError(
            f"{path} holds values that are not finite in {name}, so no mask can come of it; {GET_AGAIN}."
        )


def _with_rows(value: Tensor, rows: int | None) -> Tensor:
    """Return a matrix with that many rows, each new one the mean of the old ones."""
    if rows is None or rows == value.shape[0]:
        return value
    mean = value.float().mean(dim=0).to(value.dtype)
    return torch.cat([value, mean.expand(rows - value.shape[0], -1)])


def _unshared(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors so that each is contiguous and has its memory for itself, as safetensors asks."""
    seen: set[int] = set()
    result = {}
    for name, value in tensors.items():
        whole = value.untyped_storage().nbytes() == value.numel() * value.element_size()
        place = value.untyped_storage().data_ptr()
        result[name] = value.contiguous() if whole and place not in seen else value.clone().contiguous()
        seen.add(place)
    return result


def _finish(path: Path) -> None:
    """Bring a file onto the disk, readable for whom new files are; safetensors makes it private."""
    umask = os.umask(0)
    os.umask(umask)
    path.chmod(0o666 & ~umask)
    with path.open("rb") as file:
        os.fsync(file.fileno())


def end_with_parent(parent: int) -> None:
    """Have the kernel kill this process as soon as the one that started it, ``parent``, has ended (Linux alone)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        raise SystemExit("The conversion has ended already.")


def answer_requests() -> None:
    """Answer requests until there are no more."""
    files = WeightFiles()
    actions: dict[str, Callable[..., Any]] = {"list": files.listed, "write": files.written}
    for line in sys.stdin:
        request = json.loads(line)
        action = actions[request.pop("do")]
        try:
            reply = {"result": action(Path(request.pop("path")), **request)}
        except RefusedFileError as error:
            reply = {"error": str(error)}
        print(json.dumps(reply), flush=True)


if __name__ == "__main__":
    end_with_parent(int(sys.argv[1]))
    answer_requests()
