"""The demo's own ROS node: has the camera show a frame, asks ``lisa_node`` about it, and waits for the answer."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import Any

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rcl_interfaces.srv import SetParameters
from rclpy.client import Client as ServiceClient
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.time import Time
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header, String

from lisa_ros.answers import Verdict
from lisa_ros.msg import Result
from lisa_ros.node.demo.errors import DemoError
from lisa_ros.node.demo.outcomes import Reply
from lisa_ros.node.publishing import VERDICTS
from lisa_ros.node.qos import reliable

START_SECONDS = 60.0
LOAD_SECONDS = 900.0
SWITCH_SECONDS = 20.0
ANSWER_SECONDS = 120.0
LISA = "/lisa"


class Client:
    """Speaks to the nodes ``/lisa`` and ``/demo_camera``, from whichever thread made it.

    ``watch`` is called about ten times a second while the client waits; what it raises ends the waiting.
    """

    def __init__(self, watch: Callable[[], None]) -> None:
        self._watch = watch
        self._context = rclpy.Context()
        self._context.init(args=[])
        self._node = rclpy.create_node("demo", context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self._results: list[Result] = []
        self._newest_picture = 0
        self._status: DiagnosticStatus | None = None
        self._query = self._node.create_publisher(String, f"{LISA}/query", reliable(10))
        self._set_parameters: ServiceClient = self._node.create_client(SetParameters, "/demo_camera/set_parameters")
        self._node.create_subscription(Result, f"{LISA}/result", self._results.append, reliable(10))
        self._node.create_subscription(CameraInfo, "camera_info", self._on_picture, reliable(1))
        # Last of all: when it hears a node, that node has discovered everything above too.
        self._node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, reliable(10))

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._executor.shutdown()
        self._node.destroy_node()
        self._context.shutdown()

    def wait_for_nodes(self) -> None:
        """Wait until both nodes are there."""

        def both() -> bool:
            return self._query.get_subscription_count() > 0 and self._set_parameters.service_is_ready()

        self._wait(both, START_SECONDS, "lisa_node and the camera start")

    def wait_until_active(self) -> str:
        """Wait until the network is loaded and the node answers; return the name of the network."""
        self._wait(lambda: self._state() == "active", LOAD_SECONDS, "the network is loaded")
        others = self._node.count_publishers(f"{LISA}/result") - 1
        if others > 0:
            raise DemoError(f"Another {LISA} runs in this ROS domain already; stop it or choose another ROS_DOMAIN_ID.")
        return self._value("model")

    def ask(self, position: int, text: str) -> Reply:
        """Show the frame at ``position`` and ask about it; no answer in time gives a ``FAILED`` one."""
        switched = self._show(position)
        end = time.monotonic() + SWITCH_SECONDS
        while True:
            self._wait_for_pictures_after(switched)
            result, milliseconds = self._ask_once(text)
            if result is None:
                return Reply(Verdict.FAILED, "", None, milliseconds, f"No answer came within {ANSWER_SECONDS:.0f} s.")
            if _nanoseconds(result.header) >= switched:
                return to_reply(result, milliseconds)
            # The node has not received that picture yet, and answered about none or the one before.
            if time.monotonic() > end:
                error = result.error or f"The picture did not reach the node within {SWITCH_SECONDS:.0f} s."
                return Reply(Verdict.FAILED, "", None, milliseconds, error)

    def _show(self, position: int) -> int:
        """Return a time in nanoseconds: every picture stamped later shows the frame at ``position``."""
        parameter = Parameter("position", value=position).to_parameter_msg()
        future = self._set_parameters.call_async(SetParameters.Request(parameters=[parameter]))
        self._wait(future.done, SWITCH_SECONDS, "the camera accepts a frame")
        response = future.result()
        assert response is not None, "a service that was called answers"
        outcome = response.results[0]
        if not outcome.successful:
            raise DemoError(f"The camera cannot show the frame at position {position}: {outcome.reason}.")
        return int(self._node.get_clock().now().nanoseconds)

    def _wait_for_pictures_after(self, nanoseconds: int) -> None:
        """Wait for two, so that the first has reached the node when the second is seen here."""
        for _ in range(2):
            seen = max(nanoseconds, self._newest_picture)
            self._wait(partial(self._is_newer_than, seen), SWITCH_SECONDS, "the camera shows a picture")

    def _is_newer_than(self, nanoseconds: int) -> bool:
        return self._newest_picture > nanoseconds

    def _ask_once(self, text: str) -> tuple[Result | None, float]:
        """Return the result, None when there was none in time, and the milliseconds that passed."""
        self._results.clear()
        started = time.monotonic()
        self._query.publish(String(data=text))
        self._spin_until(lambda: any(result.query == text for result in self._results), ANSWER_SECONDS)
        result = next((result for result in self._results if result.query == text), None)
        return result, 1000.0 * (time.monotonic() - started)

    def _wait(self, condition: Callable[[], Any], seconds: float, what: str) -> None:
        if not self._spin_until(condition, seconds):
            raise DemoError(f"Waited {seconds:.0f} s in vain until {what}.")

    def _spin_until(self, condition: Callable[[], Any], seconds: float) -> bool:
        """Return whether ``condition`` became true in time."""
        end = time.monotonic() + seconds
        while not condition():
            self._watch()
            if time.monotonic() > end:
                return False
            self._executor.spin_once(timeout_sec=0.1)
        return True

    def _state(self) -> str:
        """Return the lifecycle state of the node, empty before it is known."""
        if self._status is not None and self._status.level == DiagnosticStatus.ERROR:
            raise DemoError(self._status.message)
        return self._value("state")

    def _value(self, key: str) -> str:
        values = {pair.key: pair.value for pair in self._status.values} if self._status else {}
        return values.get(key, "")

    def _on_picture(self, message: CameraInfo) -> None:
        self._newest_picture = _nanoseconds(message.header)

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name.startswith(f"{LISA}:"):
                self._status = status


def to_reply(result: Result, milliseconds: float) -> Reply:
    """Return what the message of an answer says; the union of its masks is every label that is not background."""
    verdict = next(verdict for verdict, number in VERDICTS.items() if number == result.verdict)
    mask = None
    if result.objects:
        labels = np.frombuffer(result.labels.data, np.uint8).reshape(result.labels.height, result.labels.step)
        mask = labels[:, : result.labels.width] > 0
    return Reply(verdict, result.words, mask, milliseconds, result.error)


def _nanoseconds(header: Header) -> int:
    return int(Time.from_msg(header.stamp).nanoseconds)
