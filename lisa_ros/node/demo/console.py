"""What the demo prints: a line a step, a block a request, a summary."""

from __future__ import annotations

import os
import shutil
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from lisa_ros.answers import Verdict
from lisa_ros.node.demo.outcomes import Outcome

BOLD, DIM, GREEN, YELLOW, RED = "1", "2", "32", "33", "31"
VERDICT_COLOURS = {Verdict.FOUND: GREEN, Verdict.NOT_PRESENT: YELLOW, Verdict.WORDS_ONLY: DIM, Verdict.FAILED: RED}
INDENT = 4


class Console:
    """Writes for people; with colour and running seconds on a terminal, without them to a file or a pipe."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._is_terminal = stream.isatty()
        self._is_coloured = self._is_terminal and not os.environ.get("NO_COLOR")
        self._width = max(72, min(110, shutil.get_terminal_size((100, 24)).columns - 1))
        self._label, self._started = "", 0.0

    def say(self, text: str, style: str = "") -> None:
        """Print a paragraph."""
        for line in textwrap.wrap(text, self._width):
            self._print(self._styled(line, style))

    @contextmanager
    def step(self, label: str) -> Iterator[None]:
        """Print one line that says how long the ``with`` block takes; on a terminal, ``tick`` keeps it current."""
        self._label, self._started = label, time.monotonic()
        self.tick()
        end = "failed"
        try:
            yield
            end = self._seconds
        finally:
            self._print(f"{self._beginning}{end}")
            self._label = ""

    def tick(self) -> None:
        """Show how long the present step takes by now."""
        if self._label and self._is_terminal:
            print(f"{self._beginning}{self._seconds}", end="", file=self._stream, flush=True)

    def head(self, is_judged: bool) -> None:
        """Print the titles of the columns; ``is_judged`` says whether the truth is known."""
        titles = _columns("verdict", "IoU" if is_judged else "", "ms", "good" if is_judged else "")
        self._print()
        self._print(self._styled(f"{'#':<{INDENT}}{'request and answer':<{self._text_width}}{titles}", BOLD))
        self._print(self._styled("-" * self._width, DIM))

    def row(self, number: int, outcome: Outcome) -> None:
        """Print the block of one request."""
        reply = outcome.reply
        request = textwrap.wrap(outcome.case.text, self._text_width - 2) or [""]
        self._print(f"{number:<{INDENT}}{request[0]:<{self._text_width}}{self._judgement(outcome)}")
        for line in request[1:]:
            self._print(" " * INDENT + line)
        answer = textwrap.wrap(reply.error or reply.words or "(no words)", self._text_width - 2)
        for line in answer:
            self._print(" " * INDENT + self._styled(line, RED if reply.error else DIM))
        self._print()

    def end(self, summary: str, is_good: bool) -> None:
        """Print the outcome of the whole demo."""
        self._print(self._styled("-" * self._width, DIM))
        self.say(summary, GREEN if is_good else RED)

    @property
    def _beginning(self) -> str:
        return ("\r" if self._is_terminal else "") + f"{self._label:<40}"

    @property
    def _seconds(self) -> str:
        return f"{time.monotonic() - self._started:6.1f} s"

    @property
    def _text_width(self) -> int:
        return self._width - INDENT - len(_columns("", "", "", ""))

    def _judgement(self, outcome: Outcome) -> str:
        iou = "" if outcome.case.request_type is None else "-" if outcome.iou is None else f"{outcome.iou:.2f}"
        good = {None: "", True: "yes", False: "no"}[outcome.right]
        verdict = outcome.reply.verdict
        line = _columns(verdict.value.replace("_", " "), iou, f"{outcome.reply.milliseconds:.0f}", good)
        colour = VERDICT_COLOURS[verdict] if outcome.right is None else GREEN if outcome.right else RED
        return self._styled(line, colour)

    def _styled(self, text: str, style: str) -> str:
        return f"\033[{style}m{text}\033[0m" if style and self._is_coloured else text

    def _print(self, line: str = "") -> None:
        print(line.rstrip(), file=self._stream, flush=True)


def _columns(verdict: str, iou: str, milliseconds: str, good: str) -> str:
    return f"  {verdict:<12}{iou:>5}{milliseconds:>8}{good:>6}"
