"""The command ``lisa simulate``: fetch the objects, make frames, show a contact sheet."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from tqdm import tqdm

from lisa_ros.simulation.assets import default_cache, fetch_assets, load_assets
from lisa_ros.simulation.contact_sheet import write_contact_sheet
from lisa_ros.simulation.frames import FrameError, FrameFolder
from lisa_ros.simulation.generation import VARIANTS, Generation, generate, missing_frames
from lisa_ros.simulation.requests.drawing import write_requests
from lisa_ros.simulation.requests.sampling import RequestSplit
from lisa_ros.simulation.sources import AssetError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``lisa simulate``."""
    parser.add_argument("output", nargs="?", type=Path, metavar="OUT", help="folder for the frames")
    parser.add_argument("--frames", type=int, default=100, help="number of frames (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the scenes (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes (default: all cores)")
    parser.add_argument("--size", type=parse_size, default=(448, 336), metavar="WxH", help="pixels (default: 448x336)")
    parser.add_argument(
        "--meshes", choices=("train", "held_out", "all"), default="train", help="which meshes (default: %(default)s)"
    )
    parser.add_argument("--depth", action="store_true", help="also write depth in millimetres")
    parser.add_argument(
        "--renderer",
        choices=("mujoco", *VARIANTS),
        default="mujoco",
        help="mujoco is fast, mitsuba looks like photographs; mitsuba_llvm is mitsuba several times faster, "
        "with LLVM 16 or newer at DRJIT_LIBLLVM_PATH (default: %(default)s)",
    )
    parser.add_argument(
        "--samples", type=int, default=12, help="light paths a pixel, for mitsuba (default: %(default)s)"
    )
    parser.add_argument(
        "--requests",
        choices=[split.value for split in RequestSplit],
        help="also write requests.json, an implicit request a frame in these wordings",
    )
    parser.add_argument("--contact-sheet", type=Path, metavar="FILE", help="picture of 24 frames to write at the end")
    parser.add_argument("--fetch-assets", action="store_true", help="fetch and convert the objects first")
    parser.add_argument("--assets", type=Path, metavar="DIR", help=f"objects (default: {default_cache()})")


def run(arguments: argparse.Namespace) -> int:
    """Run the command and return its exit status; errors are printed as one sentence."""
    try:
        _run(arguments)
    except (AssetError, FrameError, ValueError, OSError) as error:
        print(f"lisa simulate: {error}", file=sys.stderr)
        return 1
    return 0


def parse_size(text: str) -> tuple[int, int]:
    """Return width and height from a text like "448x336"."""
    width, separator, height = text.partition("x")
    if not (separator and width.isdigit() and height.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r} is not a size; write width and height like 448x336")
    return int(width), int(height)


def _run(arguments: argparse.Namespace) -> None:
    assets = arguments.assets or default_cache()
    if arguments.fetch_assets:
        cache = fetch_assets(assets)
        print(f"{len(cache.meshes)} objects and {len(cache.surfaces)} surfaces are in {cache.folder}.")
    if arguments.output is None:
        if not arguments.fetch_assets:
            raise ValueError("Name the folder for the frames, or fetch the objects with --fetch-assets.")
        return
    load_assets(assets)
    width, height = arguments.size
    generation = Generation(
        folder=arguments.output,
        assets=assets,
        frames=arguments.frames,
        seed=arguments.seed,
        width=width,
        height=height,
        meshes=arguments.meshes,
        depth=arguments.depth,
        renderer=arguments.renderer,
        samples=arguments.samples,
    )
    _make_frames(generation, arguments.workers)
    if arguments.requests is not None:
        write_requests(FrameFolder(arguments.output), RequestSplit(arguments.requests), arguments.seed)
    if arguments.contact_sheet is not None:
        write_contact_sheet(FrameFolder(arguments.output), arguments.contact_sheet)


def _make_frames(generation: Generation, workers: int) -> None:
    missing = missing_frames(generation)
    with tqdm(total=generation.frames, initial=generation.frames - len(missing), desc="frames", unit="frame") as bar:
        for _ in generate(generation, missing, min(workers, max(1, len(missing)))):
            bar.update()


def main() -> int:
    """Run ``lisa simulate`` by itself."""
    parser = argparse.ArgumentParser(prog="lisa simulate", description="Make frames of a simulated tabletop.")
    add_arguments(parser)
    return run(parser.parse_args())


if __name__ == "__main__":
    sys.exit(main())
