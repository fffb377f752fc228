"""Give pip the version and the shared files; everything else is in pyproject.toml."""

from pathlib import Path
from xml.etree import ElementTree

from setuptools import setup

ROOT = Path(__file__).parent


def shared_files(*folders: str) -> list[tuple[str, list[str]]]:
    """Return what colcon installs to ``share/lisa_ros`` in the form of setuptools' ``data_files``."""
    found: dict[str, list[str]] = {}
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.is_file():
                relative = path.relative_to(ROOT)
                found.setdefault(f"share/lisa_ros/{relative.parent}", []).append(str(relative))
    return list(found.items())


setup(
    version=ElementTree.parse(ROOT / "package.xml").findtext("version"),
    data_files=shared_files("config", "weights"),
)
