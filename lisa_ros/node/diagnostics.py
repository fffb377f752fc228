"""The state of the node once a second on ``/diagnostics``, for rqt_robot_monitor and its like."""

from __future__ import annotations

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.lifecycle import LifecycleNode

from lisa_ros.node.qos import reliable

LASTING = 3
"""A warning is logged when it was true so many times in a row: a camera may start after the node."""


class Diagnostics:
    """Publishes one status, and writes each lasting warning to the log once."""

    def __init__(self, node: LifecycleNode) -> None:
        self._node = node
        self._publisher = node.create_publisher(DiagnosticArray, "/diagnostics", reliable(1))
        self._warning, self._times = "", 0

    def publish(self, state: str, device: str, fault: str, warning: str, values: dict[str, str]) -> None:
        """Send the status.

        ``fault`` is why the node cannot work at all, ``warning`` what keeps it from answering now; each is one
        sentence, empty if there is none. ``values`` are shown as they are.
        """
        self._log(warning)
        status = DiagnosticStatus(name=f"{self._node.get_fully_qualified_name()}: answers", hardware_id=device)
        status.level, status.message = level_and_message(state, fault, warning)
        status.values = [KeyValue(key=key, value=value) for key, value in {"state": state, **values}.items()]
        message = DiagnosticArray(status=[status])
        message.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(message)

    def _log(self, warning: str) -> None:
        self._times = self._times + 1 if warning == self._warning else 1
        self._warning = warning
        if warning and self._times == LASTING:
            self._node.get_logger().warning(warning)


def level_and_message(state: str, fault: str, warning: str) -> tuple[bytes, str]:
    """Return the level of a status and its headline: a fault before a warning before the state."""
    if fault:
        return DiagnosticStatus.ERROR, fault
    if warning:
        return DiagnosticStatus.WARN, warning
    return DiagnosticStatus.OK, state
