from __future__ import annotations

import pytest

from lisa_ros.doctor import packages
from lisa_ros.doctor.findings import Options, Status


def look_at(title):
    return packages.CHECKS[title](Options())


def test_all_packages_are_there_in_their_ranges():
    finding = look_at("packages")
    assert finding.status is Status.OK
    assert {"numpy", "torch", "transformers", "safetensors", "segment-anything"} <= set(finding.facts["versions"])
    assert all(finding.facts["versions"].values())


def test_what_cannot_be_imported_is_named_with_its_reason(examine, shadow):
    for name in ("torch", "transformers", "tokenizers", "safetensors", "cv2", "bitsandbytes"):
        shadow(name, f"raise ImportError('lib{name}.so is missing')")
    findings = examine("packages")
    words = findings["packages"].words
    assert findings["packages"].status is Status.PROBLEM and "lisa_ros[model]" in findings["packages"].remedy
    for name in ("torch", "transformers", "safetensors"):
        assert f"{name} cannot be imported (ImportError: lib{name}.so is missing)" in words
    assert "opencv-python-headless cannot be imported (ImportError: libcv2.so is missing)" in words
    assert findings["bitsandbytes"].status is Status.WARNING, "the package works without it"
    assert findings["torch"].status is findings["gpu"].status is Status.PROBLEM


def test_a_version_out_of_range_is_a_problem(tmp_path, monkeypatch):
    information = tmp_path / "numpy-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: numpy\nVersion: 1.0\n")
    monkeypatch.syspath_prepend(tmp_path)
    finding = look_at("packages")
    assert finding.status is Status.PROBLEM and "numpy is 1.0, and >=1.26 is needed" in finding.words


def test_a_package_for_some_checkpoints_is_a_warning(monkeypatch):
    monkeypatch.setitem(packages.MODULES, "sentencepiece", "no_such_module")
    finding = look_at("packages")
    assert finding.status is Status.WARNING
    assert finding.words == "sentencepiece is not installed (needed for converted official checkpoints)."


def test_extras_are_only_mentioned(monkeypatch):
    monkeypatch.setitem(packages.MODULES, "peft", "no_such_module")
    finding = look_at("extras")
    assert finding.status is Status.OK and finding.facts["missing"] == {"lisa train": ["peft"]}


def test_an_installation_without_requirements_is_looked_at_no_further(tmp_path, monkeypatch):
    monkeypatch.setattr(packages, "__file__", str(tmp_path / "lisa_ros" / "doctor" / "packages.py"))
    monkeypatch.setattr(packages.metadata, "requires", lambda name: _raise(packages.metadata.PackageNotFoundError))
    assert look_at("packages").status is Status.WARNING and look_at("extras") is None


def test_an_installed_package_names_its_requirements_itself(tmp_path, monkeypatch):
    entries = ["numpy>=1.26", 'torch>=2.10; extra == "model"', 'mujoco>=3.3; extra == "simulation"']
    monkeypatch.setattr(packages, "__file__", str(tmp_path / "lisa_ros" / "doctor" / "packages.py"))
    monkeypatch.setattr(packages.metadata, "requires", lambda name: entries)
    assert list(look_at("packages").facts["versions"]) == ["numpy", "torch"]


def _raise(error):
    raise error


@pytest.mark.parametrize(("version", "wanted", "expected"), [("2.13.0+cpu", ">=2.10", True), ("5", ">=5,<6", True)])
def test_local_versions_are_within_their_range(version, wanted, expected):
    assert packages._is_within(version, wanted) is expected
