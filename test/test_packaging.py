from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from email.parser import Parser
from importlib.util import find_spec
from pathlib import Path
from xml.etree import ElementTree

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
REQUIREMENTS = ROOT / "requirements"
FROM_SYSTEM = {"PIL": "python3-pil", "cv2": "python3-opencv", "numpy": "python3-numpy", "yaml": "python3-yaml"}
"""Python module -> rosdep key."""


def package_xml() -> ElementTree.Element:
    return ElementTree.parse(ROOT / "package.xml").getroot()


def version() -> str:
    return package_xml().findtext("version", "")


def sources(folder: str) -> set[Path]:
    """Files in ``folder``, relative to it."""
    found = (path for path in (ROOT / folder).rglob("*") if path.is_file() and path.suffix != ".pyc")
    return {path.relative_to(ROOT / folder) for path in found}


def lines(name: str) -> list[str]:
    text = (REQUIREMENTS / name).read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


@pytest.fixture(scope="module")
def prefix() -> Path:
    """Where the workspace is installed."""
    index = pytest.importorskip("ament_index_python.packages")
    try:
        return Path(index.get_package_prefix("lisa_ros"))
    except index.PackageNotFoundError:
        pytest.skip("no built workspace is sourced")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """What ``pip install .`` installs, with a stand-in for the weights."""
    if find_spec("wheel") is None:
        pytest.skip("the package wheel is not installed")
    checkout = tmp_path_factory.mktemp("checkout")
    for name in ("lisa_ros", "requirements", "config"):
        shutil.copytree(ROOT / name, checkout / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("package.xml", "pyproject.toml", "setup.py", "MANIFEST.in", "README.md"):
        if (ROOT / name).exists():
            shutil.copy(ROOT / name, checkout)
    (checkout / "weights" / "lisa-tabletop").mkdir(parents=True)
    (checkout / "weights" / "lisa-tabletop" / "config.json").write_text("{}")
    command = "pip wheel --quiet --no-deps --no-build-isolation --no-index --wheel-dir dist ."
    subprocess.run([sys.executable, "-m", *command.split()], cwd=checkout, check=True)
    return zipfile.ZipFile(next((checkout / "dist").glob("*.whl")))


def test_changelog_and_package_agree_on_the_version() -> None:
    released = re.search(r"^(\d+\.\d+\.\d+) \(", (ROOT / "CHANGELOG.rst").read_text(encoding="utf-8"), re.MULTILINE)
    assert released is not None
    assert released[1] == version()


def test_every_licence_named_by_the_package_is_here() -> None:
    licence = package_xml().find("license")
    assert licence is not None
    assert licence.text == "Apache-2.0"
    assert "Apache License" in (ROOT / licence.get("file", "")).read_text(encoding="utf-8")


def test_the_node_imports_only_what_package_xml_declares() -> None:
    declared = {element.text for element in package_xml() if element.tag in ("depend", "exec_depend")}
    needed: set[str] = set()
    for path in (ROOT / "lisa_ros" / "node").rglob("*.py"):
        for statement in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(statement, ast.Import):
                needed |= {alias.name.split(".")[0] for alias in statement.names}
            elif isinstance(statement, ast.ImportFrom) and statement.module and not statement.level:
                needed.add(statement.module.split(".")[0])
    foreign = needed - sys.stdlib_module_names - {"lisa_ros"}
    assert {FROM_SYSTEM.get(name, name) for name in foreign} <= declared


def test_every_requirement_has_one_pin_within_its_range() -> None:
    pins = {canonicalize_name(name): pin for name, pin in (line.split("==") for line in lines("constraints.txt"))}
    assert len(pins) == len(lines("constraints.txt"))
    for path in REQUIREMENTS.glob("*.txt"):
        for requirement in map(Requirement, lines(path.name)):
            assert requirement.specifier.contains(pins[canonicalize_name(requirement.name)]), requirement


def test_every_source_file_is_installed(prefix: Path) -> None:
    relative = Path(sysconfig.get_path("purelib", vars={"base": ""})).relative_to("/")
    installed = prefix / relative / "lisa_ros"
    assert {path for path in sources("lisa_ros") if not (installed / path).is_file()} == set()


def test_shared_files_are_installed(prefix: Path) -> None:
    for folder in ("launch", "config", "weights"):
        share = prefix / "share" / "lisa_ros" / folder
        assert {path for path in sources(folder) if not (share / path).is_file()} == set()


@pytest.mark.parametrize("program", ["lisa", "lisa_node"])
def test_programs_are_installed_and_executable(prefix: Path, program: str) -> None:
    installed = prefix / "lib" / "lisa_ros" / program
    assert installed.read_text(encoding="utf-8").startswith("#!/usr/bin/env python3\n")
    assert installed.stat().st_mode & 0o111


def test_the_installed_command_line_lists_its_commands(prefix: Path) -> None:
    command = [sys.executable, prefix / "lib" / "lisa_ros" / "lisa", "--help"]
    answer = subprocess.run(command, capture_output=True, text=True, check=True, cwd="/").stdout
    assert all(word in answer for word in ("simulate", "train", "eval"))


def test_wheel_holds_code_data_and_weights_but_nothing_else(wheel: zipfile.ZipFile) -> None:
    names = set(wheel.namelist())
    assert {f"lisa_ros/{path}" for path in sources("lisa_ros")} <= names
    assert any(name.endswith("/data/share/lisa_ros/weights/lisa-tabletop/config.json") for name in names)
    folders = {"lisa_ros", f"lisa_ros-{version()}.dist-info", f"lisa_ros-{version()}.data"}
    assert {name.split("/")[0] for name in names} == folders


def test_wheel_says_its_version_command_and_extras(wheel: zipfile.ZipFile) -> None:
    information = f"lisa_ros-{version()}.dist-info"
    metadata = Parser().parsestr(wheel.read(f"{information}/METADATA").decode())
    assert metadata["Version"] == version()
    assert set(metadata.get_all("Provides-Extra", [])) == {"model", "simulation", "train", "dev"}
    needed = [Requirement(text) for text in metadata.get_all("Requires-Dist", [])]
    always = {requirement.name for requirement in needed if requirement.marker is None}
    assert always == {Requirement(text).name for text in lines("core.txt")}
    assert "lisa = lisa_ros.cli:main" in wheel.read(f"{information}/entry_points.txt").decode()
