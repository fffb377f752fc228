from __future__ import annotations

import json
from dataclasses import dataclass, replace

import pytest

from lisa_ros.training.run_folder import open_run_folder, write_provenance
from lisa_ros.training.settings import SettingsError


@dataclass(frozen=True)
class Settings:
    output: str
    betas: tuple[float, float] = (0.9, 0.95)
    workers: int = 1


@pytest.fixture
def settings(tmp_path):
    return Settings(str(tmp_path / "runs" / "one"))


def test_a_run_finds_its_folder_again_though_its_workers_are_others(settings):
    folder = open_run_folder(settings)
    assert open_run_folder(replace(settings, workers=4)) == folder
    assert json.loads((folder / "settings.json").read_text())["betas"] == [0.9, 0.95]


def test_a_folder_of_other_settings_is_refused_and_left_as_it_was(settings):
    before = (open_run_folder(settings) / "settings.json").read_text()
    with pytest.raises(SettingsError, match=r"a run whose betas is \[0\.9, 0\.95\], not \[0\.9, 0\.9\]; name another"):
        open_run_folder(replace(settings, betas=(0.9, 0.9)))
    assert (open_run_folder(settings) / "settings.json").read_text() == before


def test_a_folder_that_cannot_be_used_is_told(settings, tmp_path):
    (tmp_path / "runs").write_text("a file")
    with pytest.raises(SettingsError, match=r"one cannot be used as output \(.*\); name another one"):
        open_run_folder(settings)
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    (damaged / "settings.json").write_text("{")
    with pytest.raises(SettingsError, match=r"damaged cannot be used as output"):
        open_run_folder(replace(settings, output=str(damaged)))


def test_one_process_alone_writes(settings):
    assert not (open_run_folder(settings, writes=False) / "settings.json").exists()


def test_provenance_holds_settings_facts_and_versions(settings, tmp_path):
    write_provenance(tmp_path, settings, {"steps": 3})
    found = json.loads((tmp_path / "training.json").read_text())
    assert found["steps"] == 3 and found["settings"]["workers"] == 1 and "torch" in found["packages"]
