from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lisa_ros.doctor.groups import GROUPS, checks_of

ROOT = Path(__file__).parents[2]
TITLES = [title for group in GROUPS.values() for title in checks_of(group.modules)]


def doctor(*words, environment=()):
    command = [sys.executable, "-m", "lisa_ros.cli", "doctor", *words]
    return subprocess.run(command, cwd=ROOT, env=dict(environment), capture_output=True, text=True, timeout=120)


@pytest.fixture
def environment():
    return os.environ | {"HF_HUB_OFFLINE": "1"}


def test_this_machine_can_work_and_ends_in_one_line_of_json(environment):
    result = doctor("--json", environment=environment)
    *lines, verdict, last = result.stdout.splitlines()
    assert (result.returncode, result.stderr) == (0, "")
    assert verdict.startswith("lisa_ros can work here (problems: 0, ")
    checks = json.loads(last)["checks"]
    assert [line.split()[0] for line in lines] == [check["status"] for check in checks.values()]
    expected = set(TITLES) if "rclpy" not in checks["ros"]["words"] else set(TITLES) - {"messages", "discovery"}
    assert set(checks) == expected
    assert "lisa-tabletop" in checks["model"]["words"] and checks["model answer"]["facts"]["iou"] > 0.5


def test_a_broken_machine_is_described_without_a_traceback(environment, tmp_path):
    for name in ("torch", "rclpy", "huggingface_hub"):
        (tmp_path / f"{name}.py").write_text("raise ImportError('broken')")
    paths = os.pathsep.join([str(tmp_path), environment.get("PYTHONPATH", "")])
    broken = {name: value for name, value in environment.items() if name != "HOME"} | {"PYTHONPATH": paths}
    result = doctor("--model", str(tmp_path / "none"), environment=broken | {"TMPDIR": "/proc"})
    statuses = {line[9:23].strip(): line.split()[0] for line in result.stdout.splitlines()[:-1]}
    assert result.returncode == 1 and "Traceback" not in result.stdout + result.stderr
    assert statuses["torch"] == statuses["packages"] == statuses["model"] == "problem"
    assert statuses["ros"] == "warning" and statuses["python"] == "ok"
    assert result.stdout.splitlines()[-1].startswith("lisa_ros cannot work here (problems: ")
    assert all(" -> " in line for line in result.stdout.splitlines()[:-1] if line.startswith("warning"))


def test_ctrl_c_ends_it_without_a_traceback(environment):
    command = [sys.executable, "-m", "lisa_ros.cli", "doctor"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=ROOT, env=environment, start_new_session=True, **pipes) as process:
        assert process.stdout.readline()
        os.killpg(process.pid, signal.SIGINT)
        _, complaints = process.communicate(timeout=60)
    assert (process.returncode, complaints) == (130, "lisa doctor: interrupted.\n")
