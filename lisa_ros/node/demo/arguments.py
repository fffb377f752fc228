"""What the user can say on the command line."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lisa_ros.answers import Request
from lisa_ros.node.parameters import NODE_BACKENDS

DESCRIPTION = """Starts lisa_node and a camera that plays pictures of a tabletop, asks the node about them, and shows
each answer: on screen, and as a picture with the mask in it. With --image it asks about a picture of yours."""


@dataclass(frozen=True, slots=True)
class Options:
    """``image`` and ``queries`` go together; without them the requests of the folder ``frames`` are asked.

    ``frames`` None stands for the frames that come with this package, ``model`` empty for its checkpoint.
    """

    output: Path
    backend: str
    model: str
    frames: Path | None
    image: Path | None
    queries: tuple[str, ...]


def parse(arguments: Sequence[str] | None = None) -> Options:
    """Return the options; explains what is wrong and raises ``SystemExit`` like every command line."""
    parser = _parser()
    given = parser.parse_args(arguments)
    if bool(given.image) != bool(given.query):
        parser.error("--image and --query go together: a picture, and what to ask about it.")
    if given.image and given.frames:
        parser.error("--image and --frames exclude each other; choose one.")
    for text in given.query:
        try:
            Request(text)
        except ValueError as error:
            parser.error(str(error))
    return Options(given.output, given.backend, given.model, given.frames, given.image, tuple(given.query))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scripts/demo", description=DESCRIPTION)
    parser.add_argument("--image", type=Path, metavar="FILE", help="ask about this picture instead of the tabletop")
    parser.add_argument(
        "--query", action="append", default=[], metavar="TEXT", help="what to ask about it; may be repeated"
    )
    parser.add_argument(
        "--output", type=Path, default=Path("demo_output"), metavar="FOLDER", help="pictures (default: %(default)s)"
    )
    parser.add_argument(
        "--model", default="", metavar="FOLDER", help="another checkpoint than the one that comes along"
    )
    parser.add_argument("--frames", type=Path, metavar="FOLDER", help="other frames, with a requests.json beside them")
    parser.add_argument(
        "--backend", choices=NODE_BACKENDS, default="lisa", help="scripted makes its answers up (default: lisa)"
    )
    return parser
