"""What the node counts: answers, latencies, and every query that failed or was dropped, by cause."""

from __future__ import annotations

import threading
from collections import Counter, deque
from enum import Enum

import numpy as np

from lisa_ros.answers import Verdict

ANSWERS = (Verdict.FOUND, Verdict.NOT_PRESENT, Verdict.WORDS_ONLY)


class Cause(str, Enum):
    """Why a query got ``FAILED``."""

    BAD_QUERY = "bad_query"
    NO_IMAGE = "no_image"
    BROKEN_IMAGE = "broken_image"
    NETWORK = "network"
    NOT_ACTIVE = "not_active"
    QUEUE_FULL = "queue_full"
    STOPPED = "stopped"


class QueryError(Exception):
    """A query cannot be answered; the message is one sentence for the user."""

    def __init__(self, cause: Cause, sentence: str) -> None:
        super().__init__(sentence)
        self.cause = cause


class Counts:
    """Counts since the start of the process; any thread may add to them."""

    def __init__(self, window: int = 500) -> None:
        self._lock = threading.Lock()
        self._verdicts: Counter[Verdict] = Counter()
        self._causes: Counter[Cause] = Counter()
        self._latencies: deque[float] = deque(maxlen=window)
        self._objects_left_out = 0
        self.last_error = ""

    def answered(self, verdict: Verdict, milliseconds: float, objects_left_out: int) -> None:
        """Count an answer, its latency from query to result, and the objects that did not reach the threshold."""
        with self._lock:
            self._verdicts[verdict] += 1
            self._latencies.append(milliseconds)
            self._objects_left_out += objects_left_out

    def failed(self, cause: Cause, sentence: str) -> None:
        """Count a query that got ``FAILED``."""
        with self._lock:
            self._causes[cause] += 1
            self.last_error = sentence

    def table(self) -> dict[str, str]:
        """Return everything as names and printable values; the latencies are of the last answers."""
        with self._lock:
            p50, p99 = np.percentile(list(self._latencies) or [0.0], [50, 99])
            return {
                **{f"answers.{verdict.value}": str(self._verdicts[verdict]) for verdict in ANSWERS},
                **{f"failed.{cause.value}": str(self._causes[cause]) for cause in Cause},
                "objects left out": str(self._objects_left_out),
                "latency p50 (ms)": f"{p50:.1f}",
                "latency p99 (ms)": f"{p99:.1f}",
                "last error": self.last_error,
            }
