"""``scripts/setup`` on machines that lack something: one clear sentence with the remedy, and no traces."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TOOLS = "bash cat cut df dirname env find flock grep head mkdir readlink rm sed sha256sum sort tail timeout tr wc"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A fresh checkout, as far as setup looks at it."""
    folder = tmp_path / "checkout"
    (folder / "msg").mkdir(parents=True)
    shutil.copytree(ROOT / "scripts", folder / "scripts")
    shutil.copytree(ROOT / "requirements", folder / "requirements")
    for name in ("CMakeLists.txt", "package.xml"):
        shutil.copy(ROOT / name, folder)
    return folder


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A folder for PATH with everything that setup calls, the compiler and Python as stand-ins that do nothing."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in TOOLS.split():
        (folder / tool).symlink_to(shutil.which(tool) or tool)
    for name in ("cmake", "make", "g++"):
        program(folder / name, "exit 0")
    (folder / "python3").symlink_to(Path(sys.base_prefix) / "bin" / "python3")
    return folder


def program(path: Path, script: str) -> None:
    path.unlink(missing_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def setup(checkout: Path, programs: Path, *options: str, **environment: str) -> tuple[int, str, str]:
    """Run setup; returns its exit code, what it printed and its complaint."""
    run = subprocess.run(
        [checkout / "scripts" / "setup", *options],
        env={"PATH": str(programs), "HOME": str(checkout), "PIP_CONFIG_FILE": os.devnull, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    return run.returncode, run.stdout, run.stderr.strip()


def refusal(checkout: Path, programs: Path, *options: str, **environment: str) -> str:
    """The one sentence of a setup that did not begin."""
    code, printed, complaint = setup(checkout, programs, *options, **environment)
    assert code == 1
    assert printed == ""
    assert not (checkout / ".venv").exists()
    assert complaint.startswith("setup: ")
    assert "\n" not in complaint
    return complaint


def test_help_explains_every_option(checkout: Path, programs: Path) -> None:
    code, printed, complaint = setup(checkout, programs, "--help")
    assert (code, complaint) == (0, "")
    assert all(option in printed for option in ("--cpu", "--cuda", "--simulation", "--training", "PYTHON="))


def test_unknown_option(checkout: Path, programs: Path) -> None:
    assert "'--gpu'" in refusal(checkout, programs, "--gpu")


def test_build_tools_missing(checkout: Path, programs: Path) -> None:
    (programs / "cmake").unlink()
    (programs / "g++").unlink()
    complaint = refusal(checkout, programs)
    assert complaint.endswith("needs cmake and a C++ compiler; install with: sudo apt install cmake g++")


def test_python_missing(checkout: Path, programs: Path) -> None:
    (programs / "python3").unlink()
    assert "3.11, 3.12 or 3.13 is needed and none was found; install one with: sudo apt" in refusal(checkout, programs)


def test_named_python_of_no_use(checkout: Path, programs: Path) -> None:
    assert "/bin/false was found" in refusal(checkout, programs, PYTHON="/bin/false")


def test_python_without_venv_module(checkout: Path, programs: Path, tmp_path: Path) -> None:
    broken = tmp_path / "modules"
    broken.mkdir()
    (broken / "ensurepip.py").write_text("raise ImportError")
    program(programs / "python3", f'PYTHONPATH={broken} exec {sys.base_prefix}/bin/python3 "$@"')
    name = f"python3.{sys.version_info.minor}"
    assert f"{name} lacks its venv module; install with: sudo apt install {name}-venv" in refusal(checkout, programs)


def test_disk_full(checkout: Path, programs: Path) -> None:
    program(programs / "df", "printf 'Avail\\n1234M\\n'")
    assert "Only 1234 MB are free" in refusal(checkout, programs)
    assert "10240 MB are needed" in refusal(checkout, programs, "--cuda")


def test_environment_of_somebody_else_is_left_alone(checkout: Path, programs: Path) -> None:
    (checkout / ".venv").mkdir()
    (checkout / ".venv" / "mine").touch()
    code, printed, complaint = setup(checkout, programs)
    assert (code, printed) == (1, "")
    assert "was not made by setup" in complaint
    assert (checkout / ".venv" / "mine").exists()


def test_path_with_a_space(checkout: Path, programs: Path) -> None:
    moved = checkout.rename(checkout.with_name("my checkout"))
    assert "contains a space" in refusal(moved, programs)


def test_distribution_whose_rclpy_cannot_be_imported(checkout: Path, programs: Path) -> None:
    program(programs / "python3", "exit 1")
    assert "ROS nowhere is sourced but python3 cannot import its rclpy" in refusal(
        checkout, programs, ROS_DISTRO="nowhere"
    )


def test_network_out_of_reach(checkout: Path, programs: Path) -> None:
    code, printed, complaint = setup(checkout, programs, PIP_INDEX_URL="http://127.0.0.1:9/simple", PIP_RETRIES="0")
    assert code == 1
    assert "Python environment" in printed
    assert complaint.startswith("setup: The Python package index cannot be reached; check the network or proxy")
    assert (checkout / "log" / "setup.log").read_text()
