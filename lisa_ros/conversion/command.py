"""The command ``lisa convert``: a published checkpoint into a model folder of this package."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

INTERRUPTED = 130
"""The exit code of a program that Ctrl-C ended."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``lisa convert``."""
    parser.add_argument("source", help="folder or hub id of a published LISA, or of a LLaVA with --segment-anything")
    parser.add_argument("target", type=Path, help="folder to write; run again with the same arguments to resume")
    parser.add_argument("--revision", help="branch, tag or commit of the source on the hub")
    parser.add_argument(
        "--vision-tower",
        metavar="FOLDER_OR_ID",
        help="the CLIP that the language model sees with (default: what the source's config.json names)",
    )
    parser.add_argument(
        "--segment-anything",
        type=Path,
        metavar="FILE",
        help="SAM's weights, such as sam_vit_h_4b8939.pth: make an untrained LISA of a LLaVA, to be trained",
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of what is new in an untrained LISA")
    parser.add_argument(
        "--shard-size",
        default="1GB",
        help="largest size of a weight file, and about the memory that it takes (default: %(default)s)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Convert; returns the exit code."""
    try:
        return _converted(arguments)
    except KeyboardInterrupt:
        print("\nlisa convert: interrupted; the same command again goes on where it stopped.", file=sys.stderr)
        return INTERRUPTED


def _converted(arguments: argparse.Namespace) -> int:
    from lisa_ros.conversion.converter import convert
    from lisa_ros.conversion.errors import ConversionError
    from lisa_ros.conversion.sources import ConversionRequest
    from lisa_ros.model.hub import SourceError

    request = ConversionRequest(
        source=arguments.source,
        target=arguments.target.expanduser(),
        revision=arguments.revision,
        vision_tower=arguments.vision_tower,
        segment_anything=arguments.segment_anything,
        seed=arguments.seed,
        shard_size=arguments.shard_size,
    )
    try:
        print(convert(request))
    except ConversionError as error:
        for detail in error.details:
            print(detail, file=sys.stderr)
        print(f"lisa convert: {error}", file=sys.stderr)
        return 1
    except (SourceError, OSError) as error:
        print(f"lisa convert: {error}", file=sys.stderr)
        return 1
    return 0
