"""The package itself, Python, and the machine: processor, memory, disk."""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
from importlib import metadata
from pathlib import Path

from lisa_ros.doctor.findings import Check, Finding, Options, ok, problem, size_words, warning

OLDEST_PYTHON = (3, 10)
PROVED_PYTHONS = ((3, 11), (3, 13))
"""The oldest and the newest Python on which everything was proved together."""
NEEDED_MEMORY = 1.5e9
"""Bytes that an answer of the embedded checkpoint takes, with room."""
NEEDED_DISK = 1e9


def check_package(options: Options) -> Finding | None:
    """Say which edition of this package runs, and from where."""
    folder = Path(__file__).resolve().parents[1]
    return ok(f"{_own_version(folder.parent)} in {folder}", version=_own_version(folder.parent))


def _own_version(root: Path) -> str:
    manifest = root / "package.xml"
    if manifest.is_file():
        found = re.search(r"<version>\s*([^<\s]+)", manifest.read_text(encoding="utf-8"))
        if found:
            return found[1]
    try:
        return metadata.version("lisa_ros")
    except metadata.PackageNotFoundError:
        return "of unknown version"


def check_python(options: Options) -> Finding | None:
    """Compare the version of Python with those that the package knows."""
    version, (oldest, newest) = sys.version_info[:2], PROVED_PYTHONS
    words = f"{platform.python_version()} ({sys.executable}) on {platform.platform()}"
    proved = "Python {}.{} to {}.{}".format(*oldest, *newest)
    if version < OLDEST_PYTHON:
        return problem(f"{words} is too old.", f"use {proved}", version=platform.python_version())
    if not oldest <= version <= newest:
        return warning(f"{words}; the package was proved with {proved}.", f"use {proved} if anything fails")
    return ok(words, version=platform.python_version())


def check_processor(options: Options) -> Finding | None:
    """Count the cores that this process may use."""
    usable, present = len(os.sched_getaffinity(0)), os.cpu_count() or 1
    limit = os.environ.get("OMP_NUM_THREADS")
    threads = f", OMP_NUM_THREADS={limit}" if limit else ""
    words = f"{_processor_name()}, {usable} of {present} cores usable{threads}"
    return ok(words, cores=usable, threads=limit)


def _processor_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def check_memory(options: Options) -> Finding | None:
    """Compare the memory that is free with what the embedded checkpoint needs."""
    total, available = memory()
    words = f"{size_words(available)} of {size_words(total)} available"
    if available < NEEDED_MEMORY:
        needed = size_words(NEEDED_MEMORY)
        return warning(f"{words}; an answer of the embedded checkpoint takes {needed}.", "end other programs")
    return ok(words, total=total, available=available)


def memory() -> tuple[int, int]:
    """Return the bytes of memory in all and available, within the limit of a container where there is one."""
    entries = dict(re.findall(r"^(\w+):\s+(\d+) kB", Path("/proc/meminfo").read_text(encoding="utf-8"), re.MULTILINE))
    total, available = (1024 * int(entries[name]) for name in ("MemTotal", "MemAvailable"))
    group = Path("/sys/fs/cgroup")
    try:
        limit = int((group / "memory.max").read_text())
        reclaimable = int(re.findall(r"^inactive_file (\d+)", (group / "memory.stat").read_text(), re.MULTILINE)[0])
        used = int((group / "memory.current").read_text()) - reclaimable
        return min(total, limit), max(min(available, limit - used), 0)
    except (OSError, ValueError, IndexError):  # no container, or one without a limit ("max")
        return total, available


def check_disk(options: Options) -> Finding | None:
    """Say how much can be written where the user stands."""
    folder = Path.cwd()
    free = shutil.disk_usage(folder).free
    words = f"{size_words(free)} free in {folder}"
    if not os.access(folder, os.W_OK):
        return warning(f"{words}, which cannot be written to.", "name folders of yours for what is written")
    if free < NEEDED_DISK:
        return warning(f"{words} is little.", "free some space before models are converted or trained")
    return ok(words, free=free)


CHECKS: dict[str, Check] = {
    "lisa_ros": check_package,
    "python": check_python,
    "processor": check_processor,
    "memory": check_memory,
    "disk": check_disk,
}
