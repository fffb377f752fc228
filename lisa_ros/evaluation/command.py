"""The command ``lisa eval tabletop``: run the benchmark, print a table and one JSON line last."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from tqdm import tqdm

from lisa_ros.answers import Mode
from lisa_ros.evaluation.tabletop import Outcome, as_row, per_kind, run_benchmark, summary
from lisa_ros.segmenter import SegmenterError, make_segmenter
from lisa_ros.simulation.frames import FrameError, FrameFolder
from lisa_ros.simulation.requests.sampling import RequestSplit

MODES = {"free": Mode.AUTO, "forced": Mode.MASK_FIRST}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``lisa eval``."""
    parser.add_argument("benchmark", choices=["tabletop"], help="what to evaluate on")
    parser.add_argument("--model", type=Path, required=True, help="checkpoint folder")
    parser.add_argument("--frames", type=Path, required=True, help="folder that `lisa simulate` made")
    parser.add_argument(
        "--split",
        choices=[split.value for split in RequestSplit],
        default=RequestSplit.TRAIN.value,
        help="which wordings: seen in training, in new templates, or new meanings (default: %(default)s)",
    )
    parser.add_argument("--mode", choices=sorted(MODES), default="free", help="free generation or a forced mask first")
    parser.add_argument("--requests-per-frame", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0, help="seed of the requests")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads, 0 for torch's own choice")
    parser.add_argument("--rows", type=Path, help="write every outcome here, one JSON object a line")


def run(arguments: argparse.Namespace) -> int:
    """Run the benchmark; returns the exit code."""
    try:
        collected = _answer_all(arguments)
    except (FrameError, SegmenterError) as error:
        print(f"lisa eval: {error}", file=sys.stderr)
        return 1
    if arguments.rows:
        arguments.rows.parent.mkdir(parents=True, exist_ok=True)
        arguments.rows.write_text("".join(json.dumps(as_row(outcome)) + "\n" for outcome in collected))
    _print_report(collected, arguments)
    return 0


def _answer_all(arguments: argparse.Namespace) -> list[Outcome]:
    frames = FrameFolder(arguments.frames)
    if not len(frames):
        raise FrameError(f"{arguments.frames} holds no finished frames; make some with `lisa simulate`.")
    segmenter = make_segmenter("lisa", model=arguments.model, threads=arguments.threads)
    outcomes = run_benchmark(
        segmenter,
        frames,
        RequestSplit(arguments.split),
        requests_per_frame=arguments.requests_per_frame,
        mode=MODES[arguments.mode],
        seed=arguments.seed,
    )
    return list(tqdm(outcomes, total=len(frames) * arguments.requests_per_frame, unit="request", mininterval=2))


def _print_report(outcomes: list[Outcome], arguments: argparse.Namespace) -> None:
    for kind, row in per_kind(outcomes).items():
        named = "-" if row["right_object"] is None else f"{row['right_object']:.3f}"
        print(f"{kind:18s}{row['requests']:5d} requests  gIoU {row['gIoU']:.3f}  right object {named}")
    details = {name: str(getattr(arguments, name)) for name in ("model", "frames", "split", "mode", "seed")}
    print(json.dumps(details | summary(outcomes)))
