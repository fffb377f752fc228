"""The command line ``lisa``: each command lives in the room that does its work."""

from __future__ import annotations

import argparse
import sys
from importlib import import_module

COMMANDS = {
    "ask": ("lisa_ros.ask", "answer one request about one picture"),
    "simulate": ("lisa_ros.simulation.command", "render tabletop frames with objects whose masks are known"),
    "train": ("lisa_ros.training.command", "train or fine-tune a checkpoint as a settings file says"),
    "eval": ("lisa_ros.evaluation.command", "score a checkpoint on a benchmark"),
    "convert": ("lisa_ros.conversion.command", "make a model folder of a published checkpoint"),
    "parity": ("lisa_ros.evaluation.parity.command", "compare the network with a recording of the reference"),
    "doctor": ("lisa_ros.doctor.command", "say what works on this machine, what does not, and what to do"),
}


NEED_MORE = ("simulate", "train", "eval", "parity")
"""Commands that need more packages than answering does."""
INTERRUPTED = 130
"""Exit code of a process that Ctrl-C ended."""


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit code. Only the module of the command asked for is imported."""
    try:
        return _run(arguments)
    except ModuleNotFoundError as error:
        if (error.name or "lisa_ros").startswith("lisa_ros"):
            raise
        command = _first_word(arguments)
        options, extra = (" --simulation --training", "train") if command in NEED_MORE else ("", "model")
        print(
            f"lisa {command}: The package {error.name} is not installed; "
            f"run scripts/setup{options}, or pip install '.[{extra}]'.",
            file=sys.stderr,
        )
        return 1
    except KeyboardInterrupt:
        print(f"lisa {_first_word(arguments)}: Stopped.", file=sys.stderr)
        return INTERRUPTED


def _run(arguments: list[str] | None) -> int:
    parser = argparse.ArgumentParser(prog="lisa", description="LISA for ROS 2: ask, convert, train, evaluate.")
    commands = parser.add_subparsers(dest="command", required=True)
    wanted = _first_word(arguments)
    for name, (module, text) in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=text.capitalize() + ".")
        if name == wanted:
            import_module(module).add_arguments(command)
    parsed = parser.parse_args(arguments)
    return int(import_module(COMMANDS[parsed.command][0]).run(parsed))


def _first_word(arguments: list[str] | None) -> str | None:
    words = sys.argv[1:] if arguments is None else arguments
    return next((word for word in words if not word.startswith("-")), None)


if __name__ == "__main__":
    raise SystemExit(main())
