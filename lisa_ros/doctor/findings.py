"""What a check finds, and what a check is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from enum import Enum
from typing import Any


class Status(str, Enum):
    """Whether the package can work as it is, can work in part, or cannot work."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found: one line of words, what to do unless all is well, and figures for machines."""

    status: Status
    words: str
    remedy: str = ""
    facts: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Finding:
        """Make one of plain values."""
        return cls(**values | {"status": Status(values["status"])})

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self) | {"status": self.status.value}


def ok(words: str, **facts: Any) -> Finding:
    """Return a finding that needs nothing to be done."""
    return Finding(Status.OK, words, facts=facts)


def warning(words: str, remedy: str, **facts: Any) -> Finding:
    """Return a finding about something that the package can do without."""
    return Finding(Status.WARNING, words, remedy, facts)


def problem(words: str, remedy: str, **facts: Any) -> Finding:
    """Return a finding about something without which the package cannot work."""
    return Finding(Status.PROBLEM, words, remedy, facts)


@dataclass(frozen=True, slots=True)
class Options:
    """What the user asked for: the model to look at (empty: the embedded one), and whether nothing is too large."""

    model: str = ""
    full: bool = False


Check = Callable[[Options], Finding | None]
"""Looks at one thing; ``None`` when there is nothing to say because an earlier check has said it."""


def one_line(error: BaseException) -> str:
    """Return an error as one line: its type where the words alone say little, and the first line of its message."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def size_words(count: float) -> str:
    """Return a number of bytes in GB or MB (powers of ten)."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
