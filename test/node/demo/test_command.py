"""The whole demo with real processes on real DDS and made-up answers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).parents[3]


def start(domain: int, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "lisa_ros.node.demo", "--backend", "scripted", *map(str, arguments)]
    environment = {**os.environ, "ROS_DOMAIN_ID": str(domain), "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def left_behind(domain: int) -> list[str]:
    """Return the commands of the demo's processes that still run in a domain."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command, environment = ((process / name).read_bytes() for name in ("cmdline", "environ"))
        except OSError:
            continue
        if f"ROS_DOMAIN_ID={domain}\0".encode() in environment and b"lisa" in command and b"pytest" not in command:
            found.append(command.replace(b"\0", b" ").decode())
    return found


def test_frames_are_shown_asked_about_and_judged(domain: int, frames: Path, tmp_path: Path) -> None:
    demo = start(domain, "--frames", frames, "--output", tmp_path / "out")
    output, _ = demo.communicate(timeout=60)
    assert "2 of 3 masks reach IoU 0.5; mean IoU 0.67; 1 of 1 absences noticed; median" in output, output
    assert demo.returncode == 1, "two of three are less than three quarters"
    pictures = {path.name for path in (tmp_path / "out").glob("*.jpg")}
    assert pictures == {"contact_sheet.jpg", *(f"table_{number:02d}.jpg" for number in range(1, 5))}
    assert "Traceback" not in output and left_behind(domain) == []


def test_a_picture_of_the_user_is_asked_about_until_ctrl_c(domain: int, tmp_path: Path) -> None:
    Image.new("RGB", (900, 700), "teal").save(tmp_path / "photo.png")
    queries = [argument for number in range(100) for argument in ("--query", f"question {number}")]
    demo = start(domain, "--image", tmp_path / "photo.png", *queries, "--output", tmp_path / "out")
    assert demo.stdout is not None
    for line in demo.stdout:
        if "question 1" in line:
            demo.send_signal(signal.SIGINT)
            break
    output, _ = demo.communicate(timeout=60)
    assert demo.returncode == 130 and "Traceback" not in output, output
    assert (tmp_path / "out" / "photo_01.jpg").exists()
    assert left_behind(domain) == []


def test_a_node_that_cannot_load_its_network_ends_the_demo(domain: int, frames: Path, tmp_path: Path) -> None:
    demo = start(domain, "--frames", frames, "--backend", "lisa", "--model", "/no/such/model", "--output", tmp_path)
    output, _ = demo.communicate(timeout=60)
    assert demo.returncode == 2 and "'/no/such/model' does not exist" in output, output
    assert left_behind(domain) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--query", "x"], "go together"),
        (["--image", "x.jpg", "--query", " "], "empty"),
        (["--image", "a"], "together"),
    ],
)
def test_arguments_that_make_no_sense_are_refused_at_once(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from lisa_ros.node.demo.arguments import parse

    with pytest.raises(SystemExit):
        parse(arguments)
    assert words in capsys.readouterr().err
