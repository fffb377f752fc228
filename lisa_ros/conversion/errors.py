"""What goes wrong in a conversion."""

from __future__ import annotations

from collections.abc import Sequence


class ConversionError(RuntimeError):
    """A checkpoint cannot be converted.

    The message is one sentence with the remedy; ``details`` are the lines of a list that is too long for it.
    """

    def __init__(self, message: str, details: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.details = tuple(details)
