from __future__ import annotations

from importlib.util import find_spec

import pytest

from lisa_ros.doctor import ros
from lisa_ros.doctor.findings import Options, Status

needs_ros = pytest.mark.skipif(find_spec("rclpy") is None, reason="ROS is not installed")


def test_without_ros_only_the_node_is_missing(monkeypatch):
    monkeypatch.setattr(ros, "CLIENT_LIBRARY", "no_such_library")
    found = ros.CHECKS["ros"](Options())
    assert found.status is Status.WARNING and "lisa ask works" in found.words and "setup.bash" in found.remedy
    assert ros.CHECKS["messages"](Options()) is ros.CHECKS["discovery"](Options()) is None


@needs_ros
def test_the_middleware_is_named(examine):
    assert examine("ros")["ros"].facts["middleware"].startswith("rmw_")


@needs_ros
def test_a_middleware_that_is_not_installed_is_quoted(examine, monkeypatch):
    monkeypatch.setenv("RMW_IMPLEMENTATION", "rmw_of_dreams")
    finding = examine("ros")["ros"]
    assert finding.status is Status.WARNING and "rmw_of_dreams" in finding.words


def test_a_broken_client_library_is_one_line(examine, shadow):
    shadow("rclpy", "raise ImportError('librcl.so: cannot open shared object file')")
    finding = examine("ros")["ros"]
    assert finding.status is Status.WARNING and "librcl.so: cannot open shared object file" in finding.words


def test_messages_that_are_not_built_are_told(monkeypatch):
    monkeypatch.setattr(ros, "CLIENT_LIBRARY", "json")
    monkeypatch.setattr(ros, "MESSAGES", ("json",))
    monkeypatch.setattr(ros, "OWN_MESSAGES", "no_such_package.msg")
    found = ros.CHECKS["messages"](Options())
    assert found.status is Status.WARNING and "colcon build" in found.remedy
    monkeypatch.setattr(ros, "OWN_MESSAGES", "json")
    assert ros.CHECKS["messages"](Options()).status is Status.OK
    monkeypatch.setattr(ros, "MESSAGES", ("no_such_msgs.msg",))
    assert "no_such_msgs cannot be imported" in ros.CHECKS["messages"](Options()).words


@pytest.mark.parametrize(
    ("name", "value", "status"),
    [
        ("ROS_DOMAIN_ID", "42", Status.OK),
        ("ROS_DOMAIN_ID", "500", Status.WARNING),
        ("ROS_DOMAIN_ID", "seven", Status.WARNING),
        ("ROS_AUTOMATIC_DISCOVERY_RANGE", "EVERYWHERE", Status.WARNING),
        ("ROS_AUTOMATIC_DISCOVERY_RANGE", "OFF", Status.WARNING),
        ("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST", Status.OK),
    ],
)
def test_variables_of_discovery_are_judged(monkeypatch, name, value, status):
    monkeypatch.setattr(ros, "CLIENT_LIBRARY", "json")
    for variable in ("ROS_DOMAIN_ID", "ROS_AUTOMATIC_DISCOVERY_RANGE", "ROS_LOCALHOST_ONLY"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv(name, value)
    found = ros.CHECKS["discovery"](Options())
    assert found.status is status and value in found.words
