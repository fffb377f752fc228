"""A program of its own: print a pickle of plain values (lists, dictionaries, text, numbers) as JSON.

The files of referring expressions are pickles of Python 2, and a pickle can run any code. So it is read in a process
that reads nothing else, and every class or function that it asks for is refused before it is even looked up. This
file imports nothing of ours: it is run by its path.
"""

from __future__ import annotations

import io
import json
import pickle
import resource
import sys
from pathlib import Path
from typing import Any, NoReturn

MEMORY_LIMIT = 1 << 30
"""Bytes; the largest real file needs a third, a hostile one that unfolds without end fails here."""
ENCODINGS = ("utf-8", "latin-1")
"""Of the byte strings of Python 2, tried in this order."""


class RefusedError(Exception):
    """A pickle holds more than plain values."""


class PlainUnpickler(pickle.Unpickler):
    """Unpickles plain values only."""

    def find_class(self, module: str, name: str) -> NoReturn:
        """Refuse; called for whatever is not a plain value."""
        raise RefusedError(f"it asks for {module}.{name}, but may hold lists, dictionaries, text and numbers only")


def read_plain_pickle(data: bytes) -> Any:
    """Return the value of a pickle of any protocol; raises whatever is wrong with it."""
    for encoding in ENCODINGS[:-1]:
        try:
            return PlainUnpickler(io.BytesIO(data), encoding=encoding).load()
        except UnicodeDecodeError:
            continue
    return PlainUnpickler(io.BytesIO(data), encoding=ENCODINGS[-1]).load()


def main() -> int:
    """Print the pickle named on the command line as JSON; a fault goes to stderr and gives 1."""
    hard_limit = resource.getrlimit(resource.RLIMIT_AS)[1]
    limit = MEMORY_LIMIT if hard_limit == resource.RLIM_INFINITY else min(MEMORY_LIMIT, hard_limit)
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard_limit))
    try:
        text = json.dumps(read_plain_pickle(Path(sys.argv[1]).read_bytes()))
    except Exception as error:  # A damaged pickle raises nearly anything; all of it means the same to the caller.
        print(str(error) or type(error).__name__, file=sys.stderr)
        return 1
    sys.stdout.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
