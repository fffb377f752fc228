"""A conversion that is killed and interrupted, and goes on."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from lisa_ros.conversion.target import JOURNAL_FILE
from lisa_ros.model.checkpoint_folder import CheckpointError
from lisa_ros.model.modeling import LisaModel

from .conftest import contents, convert_into, flip_last_bit, is_gone, started_convert

MANY_FILES = ("--shard-size", "100KB")


def files_noted(target):
    """How many files a conversion has finished so far."""
    journal = target / JOURNAL_FILE
    return journal.read_text().count("safetensors") if journal.is_file() else 0


def stopped_midway(target, published, sent):
    """Start the command and send it a signal as soon as it has finished some more files."""
    before = files_noted(target)
    process = started_convert(published.folder, target, "--vision-tower", published.clip, *MANY_FILES)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    while files_noted(target) < before + 3:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.001)
    reader = [int(child) for child in children.read_text().split()]
    process.send_signal(sent)
    complaints = process.communicate(timeout=60)[1]
    assert reader and all(is_gone(child) for child in reader)
    return process.returncode, complaints


def test_a_killed_and_an_interrupted_conversion_go_on_to_the_files_of_an_unbroken_one(
    published, divided_once, tmp_path
):
    target = tmp_path / "target"
    code, _ = stopped_midway(target, published, signal.SIGKILL)
    assert code == -signal.SIGKILL and not (target / "config.json").exists()
    with pytest.raises(CheckpointError, match=r"left by a conversion .* interrupted; run it again \(lisa convert"):
        LisaModel.from_pretrained(target)
    noted = files_noted(target)
    first = min(target.glob("*.safetensors"))
    written = first.stat().st_mtime_ns

    code, complaints = stopped_midway(target, published, signal.SIGINT)
    assert code == 130
    assert complaints.splitlines()[-1] == "lisa convert: interrupted; the same command again goes on where it stopped."
    assert "Traceback" not in complaints and files_noted(target) > noted

    kept, changed, gone = sorted(target.glob("*.safetensors"))[:3]
    flip_last_bit(changed)
    gone.unlink()
    convert_into(target, published, *MANY_FILES)
    assert contents(target) == contents(divided_once)
    assert kept.stat().st_mtime_ns == written, "what was finished before the kill was written again"
