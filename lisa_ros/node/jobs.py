"""What passes between the executor thread and the worker thread: the latest frame, waiting jobs, and the worker itself.

Knows neither ROS nor networks. The executor thread only stores; the worker thread computes and never waits for ROS.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

Job = TypeVar("Job")


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One image message as it came, unconverted; ``received`` is its arrival in seconds of the monotonic clock."""

    message: Any
    received: float = field(default_factory=time.monotonic)

    @property
    def age(self) -> float:
        """Seconds since the arrival."""
        return time.monotonic() - self.received


class LatestFrame:
    """A slot for the newest frame: storing replaces, reading leaves it in place."""

    def __init__(self) -> None:
        self._frame: Frame | None = None
        self._arrived = threading.Event()
        self.received_count = 0

    def put(self, message: Any) -> None:
        """Keep this message in place of the one before."""
        self._frame = Frame(message)
        self.received_count += 1
        self._arrived.set()

    def get(self) -> Frame | None:
        """Return the newest frame, ``None`` when there has been none since the last ``clear``."""
        return self._frame

    def wait(self, timeout: float) -> Frame | None:
        """Return the newest frame; where there has been none yet, wait up to ``timeout`` seconds for the first."""
        self._arrived.wait(timeout)
        return self._frame

    def clear(self) -> None:
        """Forget the frame."""
        self._arrived.clear()
        self._frame = None


class Jobs(Generic[Job]):
    """A bounded queue between threads that never blocks its producer.

    When it is full, ``newest_wins`` drops the job that has waited longest to make room; otherwise the new job is
    dropped. ``put`` hands the dropped job back, so that its owner can be told.
    """

    def __init__(self, size: int, newest_wins: bool = True) -> None:
        self._size = size
        self._newest_wins = newest_wins
        self._waiting: deque[Job] = deque()
        self._changed = threading.Condition()
        self._closed = False

    def __len__(self) -> int:
        """Return how many jobs wait."""
        return len(self._waiting)

    def put(self, job: Job) -> Job | None:
        """Add a job; return the job that lost its place, if any. A closed queue returns the new one."""
        with self._changed:
            if self._closed or (len(self._waiting) >= self._size and not self._newest_wins):
                return job
            dropped = self._waiting.popleft() if len(self._waiting) >= self._size else None
            self._waiting.append(job)
            self._changed.notify()
            return dropped

    def take(self) -> Job | None:
        """Wait for the job that has waited longest and remove it; ``None`` once the queue is closed."""
        with self._changed:
            while not self._waiting and not self._closed:
                self._changed.wait()
            return None if self._closed else self._waiting.popleft()

    def close(self) -> list[Job]:
        """Wake the consumer for good and return the jobs that still waited."""
        with self._changed:
            self._closed = True
            left = list(self._waiting)
            self._waiting.clear()
            self._changed.notify_all()
            return left


class Worker(Generic[Job]):
    """The one thread that computes: takes jobs one after the other until it is stopped.

    ``work(job, stop)`` does one job and returns early once the event ``stop`` is set. What it raises goes to
    ``on_error(job, error)``, and the thread lives on.
    """

    def __init__(
        self,
        jobs: Jobs[Job],
        work: Callable[[Job, threading.Event], None],
        on_error: Callable[[Job, Exception], None],
    ) -> None:
        self._jobs = jobs
        self._work = work
        self._on_error = on_error
        self._stop = threading.Event()
        # A daemon, so that a network stuck in a call cannot keep the process from ending.
        self._thread = threading.Thread(target=self._run, name="lisa_worker", daemon=True)

    def start(self) -> None:
        """Begin to take jobs."""
        self._thread.start()

    def stop(self, timeout: float) -> tuple[bool, list[Job]]:
        """Ask the running job to end and wait up to ``timeout`` seconds; return whether it ended, and the jobs left."""
        self._stop.set()
        left = self._jobs.close()
        self._thread.join(timeout)
        return not self._thread.is_alive(), left

    def _run(self) -> None:
        while (job := self._jobs.take()) is not None:
            try:
                self._work(job, self._stop)
            except Exception as error:
                self._on_error(job, error)
