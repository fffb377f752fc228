"""All checks in the order of the report, in groups that share a process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module

from lisa_ros.doctor.findings import Check


@dataclass(frozen=True, slots=True)
class Group:
    """Modules whose ``CHECKS`` share a process; none imports at import time what may be missing or broken.

    ``is_needed`` says whether a check that dies stops the package; without ROS and the hub it still answers.
    """

    modules: tuple[str, ...]
    is_needed: bool = True


GROUPS = {
    "machine": Group(("lisa_ros.doctor.machine",)),
    "packages": Group(("lisa_ros.doctor.packages", "lisa_ros.doctor.torch_build")),
    "ros": Group(("lisa_ros.doctor.ros",), is_needed=False),
    "hub": Group(("lisa_ros.doctor.hub",), is_needed=False),
    "model": Group(("lisa_ros.doctor.checkpoint",)),
}


def checks_of(modules: Sequence[str]) -> dict[str, Check]:
    """Return the checks of some modules by their titles, in order."""
    checks: dict[str, Check] = {}
    for module in modules:
        checks |= import_module(module).CHECKS
    return checks
