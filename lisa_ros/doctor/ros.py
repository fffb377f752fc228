"""ROS 2 as the node would find it. Nothing here names a module of ROS in an import: all are tried by name, in a child.

Without ROS the package can still answer (``lisa ask``), so nothing here is more than a warning.
"""

from __future__ import annotations

import os
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from lisa_ros.doctor.findings import Check, Finding, Options, ok, one_line, warning

CLIENT_LIBRARY = "rclpy"
MESSAGES = ("std_msgs.msg", "sensor_msgs.msg", "diagnostic_msgs.msg", "lifecycle_msgs.msg")
OWN_MESSAGES = "lisa_ros.msg"
SOURCE_IT = "source /opt/ros/<distribution>/setup.bash, or . scripts/environment.bash, in this shell"
RANGES = ("SUBNET", "LOCALHOST", "OFF", "SYSTEM_DEFAULT")
HIGHEST_DOMAIN = 101
"""Above it, ports of Linux programs may be in the way (the ROS documentation's advice)."""


def check_client_library(options: Options) -> Finding | None:
    """Import rclpy and ask it for its middleware."""
    distribution = os.environ.get("ROS_DISTRO", "")
    edition = distribution or "of Python wheels"
    if find_spec(CLIENT_LIBRARY) is None:
        return warning(
            "rclpy is not installed: lisa ask works, the node does not.", SOURCE_IT, distribution=distribution
        )
    try:
        library: Any = import_module(CLIENT_LIBRARY)
        middleware = library.get_rmw_implementation_identifier()
    except Exception as error:
        words = f"rclpy ({edition}) cannot be used ({one_line(error)})."
        return warning(words, SOURCE_IT, distribution=distribution)
    return ok(f"ROS 2 {edition}, {middleware}", distribution=distribution, middleware=middleware)


def check_messages(options: Options) -> Finding | None:
    """Import the messages of the node, those of this package included."""
    if find_spec(CLIENT_LIBRARY) is None:
        return None
    missing = [name.partition(".")[0] for name in MESSAGES if not _can_import(name)]
    if missing:
        return warning(f"{', '.join(missing)} cannot be imported: the node does not start.", SOURCE_IT)
    if not _can_import(OWN_MESSAGES):
        remedy = "build the workspace (scripts/setup, or colcon build) and source its setup file"
        return warning("the messages of lisa_ros are not built or not sourced: the node does not start.", remedy)
    bridge = "is there" if find_spec("cv_bridge") else "is not, and is not needed"
    return ok(f"lisa_ros.msg and those of ROS can be imported; cv_bridge {bridge}")


def _can_import(name: str) -> bool:
    try:
        import_module(name)
    except Exception:
        return False
    return True


def check_discovery(options: Options) -> Finding | None:
    """Look at the variables that decide which nodes see each other."""
    if find_spec(CLIENT_LIBRARY) is None:
        return None
    domain = os.environ.get("ROS_DOMAIN_ID", "")
    reach = os.environ.get("ROS_AUTOMATIC_DISCOVERY_RANGE", "")
    words = f"ROS_DOMAIN_ID {domain or '0 (unset)'}, ROS_AUTOMATIC_DISCOVERY_RANGE {reach or 'SUBNET (unset)'}"
    if domain and not (domain.isdecimal() and int(domain) <= HIGHEST_DOMAIN):
        return warning(f"{words}: not a usable domain.", f"set ROS_DOMAIN_ID to a number from 0 to {HIGHEST_DOMAIN}")
    if reach and reach.upper() not in RANGES:
        return warning(
            f"{words}: not a known range.", f"set ROS_AUTOMATIC_DISCOVERY_RANGE to one of {', '.join(RANGES)}"
        )
    if reach.upper() == "OFF" or os.environ.get("ROS_LOCALHOST_ONLY") == "1":
        return warning(f"{words}: nodes of other machines are not seen.", "set it to SUBNET to reach a robot")
    return ok(words, domain=domain, range=reach)


CHECKS: dict[str, Check] = {"ros": check_client_library, "messages": check_messages, "discovery": check_discovery}
