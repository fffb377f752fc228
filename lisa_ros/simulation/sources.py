"""The archives that the objects come from: a Debian package of household models and one Python wheel.

Nothing here needs root: a package that is not installed is downloaded and unpacked into the asset cache.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from zipfile import ZipFile

from lisa_ros.simulation.kinds import Library

MODELS_PACKAGE = "sweethome3d-furniture"
INSTALLED_MODELS = Path("/usr/share/sweethome3d/furniture")
ROBOSUITE = "robosuite==1.5.2"
ARCHIVES: dict[Library, str] = {
    "blendswap_cc0": "BlendSwap-CC-0.sh3f",
    "blendswap_ccby": "BlendSwap-CC-BY.sh3f",
    "katorlegaz": "KatorLegaz.sh3f",
    "scopia": "Scopia.sh3f",
}


class AssetError(RuntimeError):
    """Objects cannot be fetched or read; the message is one sentence for the user, with the remedy."""


def fetch_archives(cache: Path) -> dict[Library, ZipFile]:
    """Return every library as an open zip file, downloading into ``cache/downloads`` what is missing.

    Raises ``AssetError`` when a package can be neither found nor downloaded.
    """
    downloads = cache / "downloads"
    downloads.mkdir(parents=True, exist_ok=True)
    models = _models_folder(downloads)
    archives = {library: ZipFile(models / name) for library, name in ARCHIVES.items()}
    archives["robosuite"] = ZipFile(_robosuite_wheel(downloads))
    return archives


def _models_folder(downloads: Path) -> Path:
    unpacked = downloads / MODELS_PACKAGE
    inside = unpacked / INSTALLED_MODELS.relative_to("/")
    for folder in (INSTALLED_MODELS, inside):
        if all((folder / name).is_file() for name in ARCHIVES.values()):
            return folder
    remedy = f"install it with `sudo apt install {MODELS_PACKAGE}` and run this again"
    _run(["apt-get", "download", MODELS_PACKAGE], downloads, f"The Debian package {MODELS_PACKAGE}", remedy)
    package = max(downloads.glob(f"{MODELS_PACKAGE}_*.deb"))
    _run(["dpkg-deb", "-x", str(package), str(unpacked)], downloads, f"The Debian package {MODELS_PACKAGE}", remedy)
    package.unlink()
    return inside


def _robosuite_wheel(downloads: Path) -> Path:
    pattern = f"{ROBOSUITE.replace('==', '-')}-*.whl"
    if not any(downloads.glob(pattern)):
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", ".", ROBOSUITE]
        remedy = f"run `pip download --no-deps {ROBOSUITE}` on a connected machine and copy the wheel into {downloads}"
        _run(command, downloads, f"The Python package {ROBOSUITE}", remedy)
    return next(downloads.glob(pattern))


def _run(command: Sequence[str], folder: Path, what: str, remedy: str) -> None:
    if shutil.which(command[0]) is None:
        raise AssetError(f"{what} is needed for its models but {command[0]} does not exist here; {remedy}.")
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise AssetError(f"{what} is needed for its models but could not be had ({reason}); {remedy}.")
