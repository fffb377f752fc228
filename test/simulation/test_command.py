from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from lisa_ros.simulation.assets import AssetCache
from lisa_ros.simulation.command import add_arguments, parse_size, run
from lisa_ros.simulation.frames import FrameFolder


def ask(*words: str) -> int:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return run(parser.parse_args(words))


def test_without_a_folder_it_says_what_to_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert ask() == 1
    assert "Name the folder" in capsys.readouterr().err


def test_without_objects_it_says_how_to_fetch_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask(str(tmp_path / "out"), "--assets", str(tmp_path / "none")) == 1
    assert "lisa simulate --fetch-assets" in capsys.readouterr().err


def test_sizes_are_two_numbers() -> None:
    assert parse_size("448x336") == (448, 336)
    with pytest.raises(argparse.ArgumentTypeError, match="'448'"):
        parse_size("448")


def test_an_interrupted_run_is_continued(real_assets: AssetCache, tmp_path: Path) -> None:
    order = (str(tmp_path), "--size", "160x120", "--workers", "1", "--assets", str(real_assets.folder))
    assert ask(*order, "--frames", "1") == 0
    first = (tmp_path / "frames" / "000000.json").stat().st_mtime_ns
    assert ask(*order, "--frames", "2") == 0
    assert FrameFolder(tmp_path).indices == [0, 1]
    assert (tmp_path / "frames" / "000000.json").stat().st_mtime_ns == first
