from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from lisa_ros.doctor import machine
from lisa_ros.doctor.findings import Options, Status


def look_at(title):
    return machine.CHECKS[title](Options())


def test_the_version_is_that_of_the_package():
    declared = ElementTree.parse(Path(__file__).parents[2] / "package.xml").findtext("version")
    assert look_at("lisa_ros").facts["version"] == declared


def test_an_old_python_is_a_problem_and_an_unproved_one_a_warning(monkeypatch):
    for version, status in (((3, 9), Status.PROBLEM), ((3, 12), Status.OK), ((3, 19), Status.WARNING)):
        monkeypatch.setattr(machine.sys, "version_info", (*version, 0, "final", 0))
        assert look_at("python").status is status


def test_memory_and_disk_are_compared_with_what_is_needed(monkeypatch):
    assert 0 < look_at("memory").facts["available"] <= look_at("memory").facts["total"]
    monkeypatch.setattr(machine, "NEEDED_MEMORY", 1e18)
    monkeypatch.setattr(machine, "NEEDED_DISK", 1e18)
    assert {look_at("memory").status, look_at("disk").status} == {Status.WARNING}


def test_a_folder_that_is_read_only_is_told(monkeypatch):
    monkeypatch.chdir("/proc/self")
    assert look_at("disk").status is Status.WARNING and "cannot be written to" in look_at("disk").words
