"""The processes that the demo starts: none of them outlives it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from ament_index_python import get_package_prefix

from lisa_ros.node.demo.errors import DemoError

STOP_SECONDS = 10.0
LISA_NODE, CAMERA = "lisa_node", "demo_camera"


class Processes:
    """Processes that write to ``<logs>/<name>.log`` and end with the ``with`` block."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Processes:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self, name: str, command: Sequence[str]) -> subprocess.Popen[bytes]:
        """Start a process in a session of its own, so that Ctrl-C reaches it through ``stop`` alone; return it."""
        with self._log(name).open("wb") as log:
            self._running[name] = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )
        return self._running[name]

    def check(self) -> None:
        """Raise ``DemoError`` when a process has ended."""
        for name, process in self._running.items():
            if process.poll() is not None:
                log = self._log(name)
                words = log.read_text(errors="replace").strip().split("\n")[-1] or "nothing"
                raise DemoError(f"{name} ended with status {process.returncode}; the last line of {log} is: {words}")

    def stop(self) -> None:
        """Ask every process to end as Ctrl-C does, wait, and kill those that do not."""
        # An impatient second Ctrl-C would leave processes behind.
        previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
        for process in self._running.values():
            process.send_signal(signal.SIGINT)
        end = time.monotonic() + STOP_SECONDS
        for process in self._running.values():
            try:
                process.wait(max(0.0, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        signal.signal(signal.SIGINT, previous)

    def _log(self, name: str) -> Path:
        return self._logs / f"{name}.log"


def set_environment(logs: Path) -> None:
    """Keep ROS on this machine, in a domain of its own and with its logs in one place, unless the user chose."""
    os.environ.setdefault("ROS_DOMAIN_ID", str(free_domain()))
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    os.environ.setdefault("ROS_LOG_DIR", str(logs.resolve() / "ros"))


def free_domain() -> int:
    """Return a ROS domain, 1 to 101, in which nobody on this machine seems to be."""
    domains = [1 + (os.getpid() + offset) % 101 for offset in range(101)]
    return next((domain for domain in domains if _is_free(domain)), domains[0])


def _is_free(domain: int) -> bool:
    """Try the port that the first participant of a domain listens to (RTPS 2.2, section 9.6.1.1)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as port:
        try:
            port.bind(("", 7400 + 250 * domain + 10))
        except OSError:
            return False
    return True


def lisa_node_command(backend: str, model: str) -> list[str]:
    """Return the command that starts the installed node."""
    executable = Path(get_package_prefix("lisa_ros"), "lib", "lisa_ros", "lisa_node")
    # The value of a parameter is read as YAML, of which a JSON string is a part.
    texts = {"backend": backend, "model": model}
    parameters = [
        part for name, text in texts.items() for part in ("-p", f"{name}:={json.dumps(text, ensure_ascii=False)}")
    ]
    return [sys.executable, str(executable), "--ros-args", *parameters]


def camera_command(frames: Path) -> list[str]:
    """Return the command that starts the camera with a folder of frames."""
    return [sys.executable, "-m", "lisa_ros.node.demo.camera", str(frames)]
