"""A group of checks in a process of its own, so that whatever a check does, the doctor goes on.

The child writes one JSON line a check: what it found, or ``null``. A check that raises becomes a finding there; a
process that dies or hangs becomes the finding of the check it was at, and a new one does the rest.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from typing import IO, Any

from lisa_ros.doctor.findings import Finding, Options, Status, one_line
from lisa_ros.doctor.groups import Group, checks_of

SECONDS_A_CHECK = 60.0
SECONDS_A_FULL_CHECK = 3600.0
SECONDS_TO_END = 5.0
REMEDY = "look at the lines above; if they are well, report this one"
CHILD = (
    "import json, sys; orders = json.loads(sys.argv[1]); sys.path[:] = orders.pop('path'); "
    "from lisa_ros.doctor.child_process import obey; obey(**orders)"
)


def findings_of(group: Group, options: Options, seconds: float | None = None) -> Iterator[tuple[str, Finding]]:
    """Run the checks of a group and yield each title with its finding; ``seconds`` is the time that one may take."""
    limit = seconds or (SECONDS_A_FULL_CHECK if options.full else SECONDS_A_CHECK)
    waiting = list(checks_of(group.modules))
    while waiting:
        for title, finding in _run_child(group, waiting, options, limit):
            waiting = waiting[waiting.index(title) + 1 :]
            if finding is not None:
                yield title, finding


def _run_child(group: Group, titles: list[str], options: Options, limit: float) -> Iterator[tuple[str, Finding | None]]:
    """Run one process until it ends; the last pair may be about the check at which it died."""
    orders = {"path": sys.path, "group": asdict(group), "titles": titles, "options": asdict(options)}
    with os.fdopen(os.memfd_create("complaints"), "w+b") as complaints:  # a full or read-only disk is no hindrance
        process = subprocess.Popen(
            [sys.executable, "-c", CHILD, json.dumps(orders)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=complaints,
        )
        waiting, fault = list(titles), ""
        try:
            for finding in _messages(process, limit):
                yield waiting.pop(0), finding
            process.wait(SECONDS_TO_END)
        except (TimeoutError, subprocess.TimeoutExpired):
            fault = f"did not end within {limit:g} s"
        finally:
            process.kill()
            process.wait()
        if waiting:
            words = f"This check {fault or _end_of(process.returncode)}{_last_words(complaints)}."
            yield waiting[0], _fault(group.is_needed, words)


def _messages(process: subprocess.Popen[bytes], limit: float) -> Iterator[Finding | None]:
    """Yield what the child finds until it ends; raises ``TimeoutError`` when it is silent for ``limit`` seconds."""
    assert process.stdout is not None
    with selectors.DefaultSelector() as selector, process.stdout as pipe:
        selector.register(pipe, selectors.EVENT_READ)
        rest = b""
        while selector.select(limit):
            content = os.read(pipe.fileno(), 1 << 16)
            if not content:
                return
            *lines, rest = (rest + content).split(b"\n")
            for line in lines:
                plain = json.loads(line)
                yield None if plain is None else Finding.from_dict(plain)
    raise TimeoutError


def _end_of(code: int) -> str:
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended its process with exit code {code}"


def _last_words(complaints: IO[bytes]) -> str:
    complaints.seek(0)
    lines = [line.strip() for line in complaints.read().decode(errors="replace").splitlines() if line.strip()]
    return f" ({lines[-1][:300]})" if lines else ""


def _fault(is_needed: bool, words: str) -> Finding:
    return Finding(Status.PROBLEM if is_needed else Status.WARNING, words, REMEDY)


def obey(group: dict[str, Any], titles: list[str], options: dict[str, Any]) -> None:
    """Be the child: run the named checks of a group and write what they find to standard output.

    Whatever else is written there goes to standard error instead, from Python and from C.
    """
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as channel:
        os.dup2(2, 1)
        checks = checks_of(group["modules"])
        for title in titles:
            try:
                finding = checks[title](Options(**options))
            except Exception as error:
                finding = _fault(group["is_needed"], f"This check itself failed ({one_line(error)}).")
            print(json.dumps(None if finding is None else finding.to_dict()), file=channel, flush=True)
