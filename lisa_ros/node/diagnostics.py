"""The state of the node once a second on ``/diagnostics``, for rqt_robot_monitor and its like."""

from __future__ import annotations

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.lifecycle import LifecycleNode

from lisa_ros.node.qos import reliable


class Diagnostics:
    """Publishes one status, and writes each new warning to the log once."""

    def __init__(self, node: LifecycleNode) -> None:
        self._node = node
        self._publisher = node.create_publisher(DiagnosticArray, "/diagnostics", reliable(1))
        self._warned = ""

    def publish(self, state: str, device: str, fault: str, warning: str, values: dict[str, str]) -> None:
        """Send the status.

        ``fault`` is why the node cannot work at all, ``warning`` what keeps it from answering now; each is one
        sentence, empty if there is none. ``values`` are shown as they are.
        """
        if warning and warning != self._warned:
            self._node.get_logger().warning(warning)
        self._warned = warning
        status = DiagnosticStatus(name=f"{self._node.get_fully_qualified_name()}: answers", hardware_id=device)
        status.level, status.message = level_and_message(state, fault, warning)
        status.values = [KeyValue(key=key, value=value) for key, value in {"state": state, **values}.items()]
        message = DiagnosticArray(status=[status])
        message.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(message)


def level_and_message(state: str, fault: str, warning: str) -> tuple[bytes, str]:
    """Return the level of a status and its headline: a fault before a warning before the state."""
    if fault:
        return DiagnosticStatus.ERROR, fault
    if warning:
        return DiagnosticStatus.WARN, warning
    return DiagnosticStatus.OK, state
