"""Real nodes as processes on real DDS, each test in a domain of its own, on this machine only."""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest

if importlib.util.find_spec("rclpy") is None:
    collect_ignore_glob = ["test_*.py"]

TIMEOUT = 30.0


@pytest.fixture(scope="module")
def domain() -> Iterator[int]:
    """A ROS domain that nobody else on this machine uses, held by a port."""
    for candidate in range(1, 102):
        holder = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            holder.bind(("127.0.0.1", 21000 + candidate))
        except OSError:
            holder.close()
            continue
        with holder:
            yield candidate
            return
    pytest.fail("No ROS domain is free.")


class NodeProcess:
    """The installed ``lisa_node`` as a process."""

    def __init__(self, domain: int, *ros_arguments: str, **environment: str) -> None:
        from ament_index_python import get_package_prefix

        executable = Path(get_package_prefix("lisa_ros"), "lib", "lisa_ros", "lisa_node")
        variables = {"ROS_DOMAIN_ID": str(domain), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST", **environment}
        self.process = subprocess.Popen(
            [sys.executable, str(executable), "--ros-args", *ros_arguments],
            env={**os.environ, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def end(self, *signals: signal.Signals) -> tuple[int, str]:
        """Send the signals at once, wait, and return the exit status and all that was printed."""
        for number in signals:
            self.process.send_signal(number)
        output, _ = self.process.communicate(timeout=TIMEOUT)
        return self.process.returncode, output

    def stop(self) -> None:
        """End the process if it still runs; not by killing, which leaves shared memory that delays the next one."""
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.communicate(timeout=5.0)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()


class Peer:
    """The other side: publishes images and queries, keeps everything that a node publishes."""

    def __init__(self, domain: int, node: str = "/lisa", image: str = "/image", compressed: bool = False) -> None:
        import rclpy
        from diagnostic_msgs.msg import DiagnosticArray
        from lifecycle_msgs.srv import ChangeState, GetState
        from rcl_interfaces.srv import SetParameters
        from rclpy.executors import SingleThreadedExecutor
        from sensor_msgs.msg import CompressedImage, Image
        from std_msgs.msg import String

        from lisa_ros.msg import Result

        self.context = rclpy.Context()
        self.context.init(domain_id=domain)
        self.node = rclpy.create_node("peer", context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.image_topic = image
        self.results: list[Any] = []
        self.masks: list[Any] = []
        self.reasonings: list[str] = []
        self.diagnostics: list[Any] = []
        self.node.create_subscription(Result, f"{node}/result", self.results.append, 100)
        self.node.create_subscription(Image, f"{node}/mask", self.masks.append, 10)
        self.node.create_subscription(String, f"{node}/reasoning", lambda text: self.reasonings.append(text.data), 10)
        self.node.create_subscription(DiagnosticArray, "/diagnostics", self.diagnostics.append, 10)
        self.camera = self.node.create_publisher(CompressedImage if compressed else Image, image, 1)
        self.asker = self.node.create_publisher(String, f"{node}/query", 100)
        self._change = self.node.create_client(ChangeState, f"{node}/change_state")
        self._set = self.node.create_client(SetParameters, f"{node}/set_parameters")
        # Last of all: once this answers, the node has discovered everything above too.
        self._state = self.node.create_client(GetState, f"{node}/get_state")

    def wait(self, condition: Callable[[], Any], what: str) -> Any:
        """Spin until ``condition`` returns something true; return that."""
        end = time.monotonic() + TIMEOUT
        while not (met := condition()):
            if time.monotonic() > end:
                pytest.fail(f"Waited {TIMEOUT} s in vain for {what}.")
            self.executor.spin_once(timeout_sec=0.02)
        return met

    def call(self, client: Any, request: Any) -> Any:
        self.wait(client.service_is_ready, client.srv_name)
        future = client.call_async(request)
        self.wait(future.done, f"an answer of {client.srv_name}")
        return future.result()

    def state(self) -> str:
        from lifecycle_msgs.srv import GetState

        return self.call(self._state, GetState.Request()).current_state.label

    def discover(self) -> None:
        """Wait until the node answers; it drops its first replies if it has not discovered this peer yet."""
        from lifecycle_msgs.srv import GetState

        replies: list[Any] = []
        next_call = time.monotonic()

        def replied() -> bool:
            nonlocal next_call
            if self._state.service_is_ready() and time.monotonic() >= next_call:
                next_call = time.monotonic() + 0.5
                replies.append(self._state.call_async(GetState.Request()))
            return any(reply.done() for reply in replies)

        self.wait(replied, f"a reply of {self._state.srv_name}")

    def wait_for(self, state: str) -> None:
        """Wait until the node and this peer know each other and the node is in ``state``."""
        self.discover()
        self.wait(lambda: self.state() == state, f"the state {state}")
        self.wait(lambda: self.asker.get_subscription_count() == 1, "the subscription to queries")

    def change(self, transition: str) -> bool:
        from lifecycle_msgs.msg import Transition
        from lifecycle_msgs.srv import ChangeState

        request = ChangeState.Request(transition=Transition(label=transition))
        return self.call(self._change, request).success

    def set_parameter(self, name: str, value: Any) -> Any:
        from rcl_interfaces.srv import SetParameters
        from rclpy.parameter import Parameter

        parameter = Parameter(name, value=value).to_parameter_msg()
        return self.call(self._set, SetParameters.Request(parameters=[parameter])).results[0]

    def query(self, text: str) -> None:
        from std_msgs.msg import String

        self.asker.publish(String(data=text))

    def ask(self, text: str) -> Any:
        """Publish a query and return its result."""
        seen = len(self.results)
        self.query(text)
        return self.wait(lambda: self.results[seen:], f"the result of {text[:50]!r}")[0]

    def keep_busy(self, *texts: str) -> None:
        """Publish queries and return when the node has them, which a bad query after them shows: it fails at once."""
        for text in texts:
            self.query(text)
        self.query("")
        self.wait(lambda: self.results and self.results[-1].query == "", "the result of the bad query")

    def ask_about(self, image: Any, text: str) -> Any:
        """Show the image until a query is answered about it; return that result."""
        self.wait(lambda: self.camera.get_subscription_count() == 1, "the subscription to images")

        def result() -> Any:
            self.camera.publish(image)
            answer = self.ask(text)
            return answer if answer.header == image.header else None

        return self.wait(result, "a result about the image shown")

    def status(self, key: str) -> str | None:
        """Return the newest value of a key of the diagnostics."""
        values = {pair.key: pair.value for pair in self.diagnostics[-1].status[0].values} if self.diagnostics else {}
        return values.get(key)

    def close(self) -> None:
        self.executor.shutdown()
        self.node.destroy_node()
        self.context.shutdown()


@pytest.fixture
def start_node(domain: int) -> Iterator[Callable[..., NodeProcess]]:
    """Start nodes that do not outlive the test; the backend is ``scripted``."""
    started: list[NodeProcess] = []

    def start(*ros_arguments: str, **environment: str) -> NodeProcess:
        started.append(NodeProcess(domain, "-p", "backend:=scripted", *ros_arguments, **environment))
        return started[-1]

    yield start
    for node in started:
        node.stop()


@pytest.fixture
def make_peer(domain: int) -> Iterator[Callable[..., Peer]]:
    """Make peers that do not outlive the test."""
    made: list[Peer] = []

    def make(**options: Any) -> Peer:
        made.append(Peer(domain, **options))
        return made[-1]

    yield make
    for peer in made:
        peer.close()


@pytest.fixture(scope="module")
def answering(domain: int) -> Iterator[Peer]:
    """A peer of one active scripted node, shared by the tests of a module that leave it active."""
    node, peer = NodeProcess(domain, "-p", "backend:=scripted"), Peer(domain)
    peer.wait_for("active")
    yield peer
    peer.close()
    code, output = node.end(signal.SIGINT)
    assert code == 0 and "Traceback" not in output, output


@pytest.fixture(scope="session")
def make_image() -> Callable[..., Any]:
    """Make ``sensor_msgs/Image`` messages, each with a header of its own."""
    stamps = count(1)

    def make(pixels: Any = None, encoding: str = "rgb8", step: int | None = None, **fields: Any) -> Any:
        from sensor_msgs.msg import Image

        pixels = np.zeros((24, 32, 3), np.uint8) if pixels is None else np.ascontiguousarray(pixels)
        message = Image(height=pixels.shape[0], width=pixels.shape[1], encoding=encoding, **fields)
        message.step = pixels.strides[0] if step is None else step
        message.data.frombytes(pixels.tobytes())
        message.header.frame_id = "camera_optical_frame"
        message.header.stamp.sec = next(stamps)
        message.header.stamp.nanosec = 123456789
        return message

    return make
