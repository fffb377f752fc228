"""The demo as a newcomer runs it: the shipped checkpoint answers about the shipped frames."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_shipped_checkpoint_passes_its_own_demo(domain: int, tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "lisa_ros.node.demo", "--output", tmp_path / "out"],
        cwd=ROOT,
        env={**os.environ, "ROS_DOMAIN_ID": str(domain)},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    found = re.search(r"(\d+) of (\d+) masks reach IoU 0.5", result.stdout)
    assert found is not None, result.stdout
    assert int(found[2]) >= 8
    assert int(found[1]) >= 0.75 * int(found[2])
    assert (tmp_path / "out" / "contact_sheet.jpg").stat().st_size > 10_000
