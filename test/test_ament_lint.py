"""The linters of ROS distributions, each where it is installed, with settings that agree with ruff."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
COMMANDS = {
    "ament_flake8": ["--config", "ament_flake8.ini", "lisa_ros", "launch", "test", "setup.py"],
    "ament_pep257": ["--convention", "google", "--add-ignore", "D105", "D107", "D403", "--", "lisa_ros", "launch"],
    "ament_lint_cmake": ["CMakeLists.txt"],
    "ament_xmllint": ["package.xml", "config"],
}


@pytest.mark.parametrize("linter", COMMANDS)
def test_linter_is_content(linter: str) -> None:
    if shutil.which(linter) is None:
        pytest.skip(f"{linter} is not installed")
    run = subprocess.run(
        [linter, *COMMANDS[linter]], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert run.returncode == 0, "\n".join(line for line in run.stdout.splitlines() if ":" in line)
