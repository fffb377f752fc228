"""A tiny model folder for the doctor, and packages that are broken by real means: a module that comes first."""

from __future__ import annotations

import pytest

from lisa_ros.doctor.child_process import findings_of
from lisa_ros.doctor.findings import Options
from lisa_ros.doctor.groups import GROUPS


@pytest.fixture
def folder(tiny_model, tiny_text, tmp_path):
    """A whole checkpoint of the embedded kind, which a test may damage."""
    from lisa_ros.model.processing import LisaProcessor

    tiny_model.save_pretrained(tmp_path / "tiny")
    LisaProcessor(tiny_text.config, tiny_text).save_pretrained(tmp_path / "tiny")
    return tmp_path / "tiny"


@pytest.fixture
def shadow(tmp_path, monkeypatch):
    """Put a module of the given source before the real one of that name."""
    monkeypatch.syspath_prepend(tmp_path / "shadows")

    def shadow(name, source):
        (tmp_path / "shadows").mkdir(exist_ok=True)
        (tmp_path / "shadows" / f"{name}.py").write_text(source)

    return shadow


@pytest.fixture
def examine():
    """Run a group of checks in its process; returns the findings by title."""

    def examine(group, model=""):
        return dict(findings_of(GROUPS[group], Options(model)))

    return examine
